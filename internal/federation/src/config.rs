//! What a link is told of its own node.

use std::time::Duration;

use uuid::Uuid;

use crate::name::NodeName;

/// Name of our sub-protocol in the WebSocket handshake.
pub const SUBPROTOCOL: &str = "pubsub.link.v1";

/// Largest frame, in bytes. What is longer travels in fragments.
pub const FRAME_MAX_BYTES: usize = 256 << 10;

/// Smallest limit on frames that a peer may set, in bytes.
pub const FRAME_MIN_BYTES: usize = 16 << 10;

/// Largest frame before the handshake is done, in bytes.
pub const GREETING_MAX_BYTES: usize = 16 << 10;

/// Time for the handshake.
pub const GREETING_TIME: Duration = Duration::from_secs(5);

/// Channels that a peer may offer on one link; beyond that it is closed.
pub const OFFERS_MAX: usize = 16_384;

/// What a link is told of its own node.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// Our name.
    pub name: NodeName,
    /// Identity of our data directory; nil when we have none.
    pub node: Uuid,
    /// Grows with each start.
    pub incarnation: u64,
    /// Program and version.
    pub agent: String,
    /// Name in the peer's certificate; `None` when there is no TLS, and the peer is whoever it says.
    pub certified: Option<NodeName>,
    /// We keep no files, and live from what the peer sends now.
    pub ephemeral: bool,
    /// Bytes of a batch, about; 1 KiB to [`FRAME_MAX_BYTES`] (clamped).
    pub batch_bytes: usize,
    /// Largest message that we take, in bytes, with subject and headers.
    pub message_max_bytes: usize,
    /// Bytes of batches that the peer may have in flight to us; at least 64 KiB (clamped).
    pub window_bytes: u64,
    /// Longest time between two signs of life; 100 ms to 1 h (clamped). The shorter of both peers'
    /// counts.
    pub heartbeat: Duration,
    /// Compress batches where the peer can read it, and take compressed ones.
    pub lz4: bool,
}

impl SessionConfig {
    /// The defaults for a node of this name.
    #[must_use]
    pub fn new(name: NodeName) -> Self {
        Self {
            name,
            node: Uuid::nil(),
            incarnation: 0,
            agent: concat!("pubsub/", env!("CARGO_PKG_VERSION")).to_owned(),
            certified: None,
            ephemeral: false,
            batch_bytes: 64 << 10,
            message_max_bytes: 8 << 20,
            window_bytes: 8 << 20,
            heartbeat: Duration::from_secs(10),
            lz4: false,
        }
    }
}
