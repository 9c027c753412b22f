//! Why a link ends, and why a channel does not flow over one.

use std::fmt;

/// Why a link is closed. The number is the WebSocket close code, and what the CLOSE frame carries.
///
/// 4000 to 4099: nobody did wrong, come again. 4400 to 4499: the one told did wrong, or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// The node shuts down.
    GoingAway,
    /// A newer connection of the same node takes over.
    Replaced,
    /// Nothing was heard for three heartbeats.
    Silent,
    /// The connection ended without a word.
    Lost,
    /// The node cannot go on, through no fault of the peer.
    Unavailable,
    /// Bytes that are no frame, or a field that cannot be.
    Malformed,
    /// The peer speaks no version that we do.
    Version,
    /// The name said is not the name in the certificate, or it is our own.
    NameMismatch,
    /// The allowlist does not have the peer, or no longer. The predecessor's number.
    NotAllowed,
    /// The handshake took longer than its time.
    HandshakeTimeout,
    /// A frame that may not come here: a second HELLO, anything before it, a batch on no subscription.
    OutOfOrder,
    /// A frame, message or list beyond its limit.
    TooLarge,
    /// More in flight than the window allows.
    WindowExceeded,
    /// An acknowledgement of what was not sent.
    AckedUnsent,
    /// More channels offered than are taken.
    TooMany,
    /// Connections or messages beyond the peer's share.
    RateLimited,
    /// A code that this version does not know.
    Other(u16),
}

impl CloseCode {
    const KNOWN: [(Self, u16, &'static str); 16] = [
        (Self::GoingAway, 4000, "going away"),
        (Self::Replaced, 4001, "replaced by a newer connection"),
        (Self::Silent, 4002, "silent for three heartbeats"),
        (Self::Lost, 4003, "connection lost"),
        (Self::Unavailable, 4004, "unavailable"),
        (Self::Malformed, 4400, "malformed frame"),
        (Self::Version, 4401, "no common version"),
        (Self::NameMismatch, 4402, "name mismatch"),
        (Self::NotAllowed, 4403, "not in allowlist"),
        (Self::HandshakeTimeout, 4408, "handshake timeout"),
        (Self::OutOfOrder, 4409, "frame out of order"),
        (Self::TooLarge, 4413, "too large"),
        (Self::WindowExceeded, 4414, "window exceeded"),
        (Self::AckedUnsent, 4416, "acknowledged the unsent"),
        (Self::TooMany, 4428, "too many channels"),
        (Self::RateLimited, 4429, "beyond the peer's share"),
    ];

    /// The number on the wire.
    #[must_use]
    pub fn to_u16(self) -> u16 {
        if let Self::Other(number) = self {
            return number;
        }
        Self::KNOWN.iter().find(|known| known.0 == self).map_or(4004, |known| known.1)
    }

    /// The code of this number.
    #[must_use]
    pub fn from_u16(number: u16) -> Self {
        Self::KNOWN
            .iter()
            .find(|known| known.1 == number)
            .map_or(Self::Other(number), |known| known.0)
    }

    /// Whether going on as before will end the same way until an operator changes something.
    ///
    /// Such a link is still dialled again, with back-off; an ephemeral client gives up.
    #[must_use]
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::NotAllowed | Self::NameMismatch | Self::Version)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::KNOWN.iter().find(|known| known.0 == *self) {
            Some(known) => f.pad(known.2),
            None => write!(f, "code {}", self.to_u16()),
        }
    }
}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub code: CloseCode,
    /// The same for people, with what was found and what was wanted. May be empty.
    pub text: String,
    /// Whether the peer said so; else we did.
    pub by_peer: bool,
}

impl Closed {
    /// The peer's last word. WebSocket's own codes for an end in good order are ours, too.
    pub(crate) fn by_peer(code: u16, text: &str) -> Self {
        let code = match code {
            1000 | 1001 => CloseCode::GoingAway,
            _ => CloseCode::from_u16(code),
        };
        let text = text.chars().filter(|letter| !letter.is_control()).collect();
        Self { code, text, by_peer: true }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.by_peer { "closed by the peer: " } else { "closed: " })?;
        self.code.fmt(f)?;
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// Why one channel does not flow, while the link goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefuseCode {
    /// The allowlist does not have it.
    NotAllowed,
    /// Nobody asked for it.
    NotWanted,
    /// It cannot be stored or read now; it will be offered again after a while.
    Unavailable,
    /// It was removed.
    Gone,
    /// A code that this version does not know.
    Other(u8),
}

impl RefuseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::NotAllowed => 1,
            Self::NotWanted => 2,
            Self::Unavailable => 3,
            Self::Gone => 4,
            Self::Other(number) => number,
        }
    }

    /// The code of this number.
    #[must_use]
    pub const fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::NotAllowed,
            2 => Self::NotWanted,
            3 => Self::Unavailable,
            4 => Self::Gone,
            _ => Self::Other(number),
        }
    }
}

impl fmt::Display for RefuseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.pad("not allowed"),
            Self::NotWanted => f.pad("not wanted"),
            Self::Unavailable => f.pad("unavailable"),
            Self::Gone => f.pad("gone"),
            Self::Other(number) => write!(f, "code {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_from_its_number() {
        for number in 3990..4500 {
            assert_eq!(CloseCode::from_u16(number).to_u16(), number);
        }
        for (code, number, _) in CloseCode::KNOWN {
            assert_eq!((code.to_u16(), CloseCode::from_u16(number)), (number, code));
        }
        for number in 0..=255 {
            assert_eq!(RefuseCode::from_u8(number).to_u8(), number);
        }
    }

    #[test]
    fn a_rejected_peer_reads_the_predecessors_number() {
        assert_eq!(CloseCode::NotAllowed.to_u16(), 4403);
        assert!(CloseCode::NotAllowed.is_fatal());
        assert!(!CloseCode::GoingAway.is_fatal());
    }
}
