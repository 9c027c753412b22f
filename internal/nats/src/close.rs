//! Why a connection ends: what the client is told, and what the operator reads.

use std::fmt;

use crate::Verb;

/// Why a connection is closed.
///
/// [`Close::error_text`] is what the client is sent before, [`Close::reason`] what monitoring and
/// disconnect events say. Both spell it as nats-server does. `Display` adds the details, for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client closed the connection.
    ClientClosed,
    /// The bytes are no operation, or a payload does not end where it was said to.
    UnknownOperation,
    /// Number, order or spelling of an operation's arguments is wrong. The client is told nothing.
    BadArguments(Verb),
    /// `HPUB` without `headers: true` in `CONNECT`. The client is told nothing.
    HeadersNotEnabled,
    /// The client sent `-ERR`. It is told nothing.
    ClientError,
    /// The arguments of an operation are longer than the limit, in bytes.
    ControlLineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A message is larger than the limit.
    PayloadTooLarge {
        /// Headers and payload, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// `protocol` in `CONNECT` is neither 0 nor 1.
    BadProtocolVersion,
    /// `no_responders` in `CONNECT` without `headers`.
    NoRespondersWithoutHeaders,
    /// The credentials are wrong, or an operation came before `CONNECT`.
    AuthenticationFailure,
    /// `CONNECT` did not come in time.
    AuthenticationTimeout,
    /// The user's credentials expired.
    UserExpired,
    /// The account expired.
    AccountExpired,
    /// The credentials were revoked.
    Revoked,
    /// The account is gone.
    MissingAccount,
    /// The client must speak TLS and does not.
    TlsRequired,
    /// The TLS handshake failed.
    TlsHandshakeFailure,
    /// Pings went unanswered.
    Stale,
    /// More bytes wait to be sent than the limit allows.
    SlowConsumerPending {
        /// Bytes that waited, the message that did not fit included.
        pending: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Nothing could be written for too long.
    SlowConsumerDeadline,
    /// The server has as many connections as it may.
    ConnectionsExceeded,
    /// The account has as many connections as it may.
    AccountConnectionsExceeded,
    /// Reading failed.
    ReadError,
    /// Writing failed.
    WriteError,
    /// The server stops, or is a lame duck whose time is up.
    Shutdown,
    /// An operator closed the connection.
    Kicked,
    /// The proxy's signature is not one of a trusted proxy.
    ProxyNotTrusted,
    /// The user may only connect through a trusted proxy.
    ProxyRequired,
}

impl Close {
    /// The text of the `-ERR` that precedes the end, without frame. `None`: the client is told nothing.
    #[must_use]
    pub const fn error_text(&self) -> Option<&'static str> {
        Some(match self {
            Self::UnknownOperation => "Unknown Protocol Operation",
            Self::ControlLineTooLong { .. } => "maximum control line exceeded",
            Self::PayloadTooLarge { .. } => "Maximum Payload Violation",
            Self::BadProtocolVersion => "invalid client protocol",
            Self::NoRespondersWithoutHeaders => "no responders requires headers support",
            Self::AuthenticationFailure | Self::ProxyNotTrusted | Self::ProxyRequired => {
                "Authorization Violation"
            }
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::UserExpired => "User Authentication Expired",
            Self::AccountExpired => "Account Authentication Expired",
            Self::Revoked => "User Authentication Revoked",
            Self::TlsRequired => "Secure Connection - TLS Required",
            Self::Stale => "Stale Connection",
            Self::ConnectionsExceeded => "maximum connections exceeded",
            Self::AccountConnectionsExceeded => "maximum account active connections exceeded",
            Self::ClientClosed
            | Self::BadArguments(_)
            | Self::HeadersNotEnabled
            | Self::ClientError
            | Self::MissingAccount
            | Self::TlsHandshakeFailure
            | Self::SlowConsumerPending { .. }
            | Self::SlowConsumerDeadline
            | Self::ReadError
            | Self::WriteError
            | Self::Shutdown
            | Self::Kicked => return None,
        })
    }

    /// Whether what waits in the outbox should still be sent. A client that is too slow would hold on to
    /// it, and the other side of a broken connection gets nothing.
    #[must_use]
    pub const fn lets_send(&self) -> bool {
        !matches!(
            self,
            Self::SlowConsumerPending { .. }
                | Self::SlowConsumerDeadline
                | Self::ReadError
                | Self::WriteError
                | Self::ClientClosed
        )
    }

    /// The reason that monitoring and disconnect events give.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::UnknownOperation | Self::BadArguments(_) | Self::HeadersNotEnabled => {
                "Protocol Violation"
            }
            Self::ClientError => "Parse Error",
            Self::ControlLineTooLong { .. } => "Maximum Control Line Exceeded",
            Self::PayloadTooLarge { .. } => "Maximum Message Payload Exceeded",
            Self::BadProtocolVersion => "Bad Client Protocol Version",
            Self::NoRespondersWithoutHeaders => "No Responders Requires Headers",
            Self::AuthenticationFailure => "Authentication Failure",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::UserExpired | Self::AccountExpired => "Authentication Expired",
            Self::Revoked => "Credentials Revoked",
            Self::MissingAccount => "Missing Account",
            Self::TlsRequired | Self::TlsHandshakeFailure => "TLS Handshake Failure",
            Self::Stale => "Stale Connection",
            Self::SlowConsumerPending { .. } => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerDeadline => "Slow Consumer (Write Deadline)",
            Self::ConnectionsExceeded => "Maximum Connections Exceeded",
            Self::AccountConnectionsExceeded => "Maximum Account Connections Exceeded",
            Self::ReadError => "Read Error",
            Self::WriteError => "Write Error",
            Self::Shutdown => "Server Shutdown",
            Self::Kicked => "Kicked",
            Self::ProxyNotTrusted => "Proxy Not Trusted",
            Self::ProxyRequired => "Proxy Required",
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            Self::UnknownOperation => f.write_str(": unknown operation"),
            Self::BadArguments(verb) => write!(f, ": wrong arguments of {verb}"),
            Self::HeadersNotEnabled => f.write_str(": HPUB without headers in CONNECT"),
            Self::ControlLineTooLong { limit } => write!(f, ": the limit is {limit} bytes"),
            Self::PayloadTooLarge { size, limit } => {
                write!(f, ": {size} bytes of {limit} at most")
            }
            Self::SlowConsumerPending { pending, limit } => {
                write!(f, ": {pending} bytes wait, of {limit} at most")
            }
            _ => Ok(()),
        }
    }
}
