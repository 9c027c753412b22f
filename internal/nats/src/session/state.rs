//! Where in its life a session is.

/// What the next operation meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has said who this is.
    New,
    /// The shell finds out who this is; nothing is read.
    Authorizing,
    /// Everything is allowed that is allowed.
    Open,
    /// A further `CONNECT` is next; the subscriptions of the one before end, one by one.
    Dropping,
    /// They have ended.
    Dropped,
    /// It is over.
    Closed,
}
