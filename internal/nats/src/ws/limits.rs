//! How much a WebSocket client may send at once.

/// What a client may send, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WsLimits {
    /// Largest message that is not compressed.
    pub message_max: u64,
    /// Largest message that is, after inflation.
    pub inflated_max: u64,
    /// How much of a compressed message is gathered before an inflater is spent on it.
    pub gathered_max: usize,
    /// Whether a compressed message longer than that is inflated as it comes, and not refused.
    pub streams: bool,
}

impl WsLimits {
    /// Before it is known who the client is: a `CONNECT` and a little, compressed, fits.
    #[must_use]
    pub const fn before_connect(control_line_max: usize, payload_max: usize) -> Self {
        let greeting_max = control_line_max.saturating_add(1 << 10);
        Self {
            inflated_max: greeting_max as u64,
            gathered_max: greeting_max,
            streams: false,
            ..Self::open(payload_max)
        }
    }

    /// For a client that is known: eight of the largest messages, as in nats-server, 64 MiB at most.
    #[must_use]
    pub const fn open(payload_max: usize) -> Self {
        const MESSAGE_MAX: u64 = 64 << 20;
        let eight = (payload_max as u64).saturating_mul(8);
        let message_max = if eight < MESSAGE_MAX { eight } else { MESSAGE_MAX };
        Self { message_max, inflated_max: message_max, gathered_max: 64 << 10, streams: true }
    }
}
