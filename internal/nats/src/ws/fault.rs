//! What is wrong with what came through a WebSocket.

use crate::Close;

/// Why a WebSocket is closed by the one who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A bit is set that no extension gave a meaning.
    #[error("RSV2 and RSV3 must be clear")]
    ReservedBits,
    /// There is no such kind of frame.
    #[error("unknown opcode {0}")]
    UnknownOpcode(u8),
    /// Clients mask what they send.
    #[error("mask bit missing")]
    NotMasked,
    /// A ping, pong or close in more than one frame.
    #[error("control frame does not have final bit set")]
    ControlFragmented,
    /// A ping, pong or close with more than 125 bytes.
    #[error("control frame length bigger than maximum allowed of 125 bytes")]
    ControlTooLong,
    /// A compressed ping, pong or close.
    #[error("control frame must not be compressed")]
    ControlCompressed,
    /// A compressed frame where compression was not agreed on.
    #[error("compressed frame received without negotiated permessage-deflate")]
    NotNegotiated,
    /// A frame that continues nothing, or says a second time that it is compressed.
    #[error("invalid continuation frame")]
    Continuation,
    /// A message inside another.
    #[error("new message started before final frame for previous message was received")]
    Interleaved,
    /// A length of 2^63 and more.
    #[error("invalid 64-bit payload length")]
    Length,
    /// A close of one byte.
    #[error("close frame payload cannot be 1 byte")]
    CloseTooShort,
    /// A close for a reason that nobody may give.
    #[error("invalid close status code {0}")]
    CloseCode(u16),
    /// A close whose words are no text.
    #[error("invalid utf8 body in close frame")]
    CloseText,
    /// What was said to be compressed is not.
    #[error("corrupt compressed message")]
    Corrupt,
    /// A message is larger than the limit, in bytes, after inflation.
    #[error("message larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
}

impl Fault {
    /// The status that goes with the close.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::CloseText | Self::Corrupt => 1007,
            Self::TooLarge { .. } => 1009,
            _ => 1002,
        }
    }

    /// The reason that monitoring gives.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "Maximum Message Payload Exceeded",
            _ => "Read Error",
        }
    }
}

/// The status for a connection that the session ended, as nats-server chooses it.
#[must_use]
pub const fn close_code(close: &Close) -> u16 {
    match close {
        Close::ClientClosed => 1000,
        Close::AuthenticationTimeout
        | Close::AuthenticationFailure
        | Close::UserExpired
        | Close::AccountExpired
        | Close::Revoked
        | Close::MissingAccount
        | Close::ProxyNotTrusted
        | Close::ProxyRequired
        | Close::SlowConsumerPending { .. }
        | Close::SlowConsumerDeadline
        | Close::ConnectionsExceeded
        | Close::AccountConnectionsExceeded
        | Close::ControlLineTooLong { .. }
        | Close::Kicked => 1008,
        Close::TlsRequired | Close::TlsHandshakeFailure => 1015,
        Close::UnknownOperation
        | Close::BadArguments(_)
        | Close::HeadersNotEnabled
        | Close::ClientError
        | Close::BadProtocolVersion
        | Close::NoRespondersWithoutHeaders => 1002,
        Close::PayloadTooLarge { .. } => 1009,
        Close::Shutdown | Close::Stale | Close::ReadError | Close::WriteError => 1001,
    }
}
