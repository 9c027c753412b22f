//! What a session is told: by the configuration, by the socket, and by whoever knows the user.

use std::time::Duration;

/// What all connections of a listener have in common.
///
/// The defaults are those of nats-server, but for the time a client has to say who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest arguments of an operation, in bytes.
    pub control_line_max: usize,
    /// Largest message, headers included, in bytes.
    pub payload_max: usize,
    /// Most bytes that may wait to be sent to a client. Beyond it the client is too slow.
    pub pending_max: usize,
    /// Most subscriptions of a connection; 0: no limit.
    pub subscriptions_max: usize,
    /// Most tokens in the subject of a subscription; 0: no limit.
    pub subscription_tokens_max: usize,
    /// Whether headers are spoken at all.
    pub headers: bool,
    /// Whether a client must say who it is.
    pub auth_required: bool,
    /// Whether there is a user for those who do not.
    pub has_default_user: bool,
    /// How long a client may take to say who it is, or, where it need not, to say anything at all.
    pub connect_timeout: Duration,
    /// How long a client may be silent before it is asked whether it is there.
    pub ping_interval: Duration,
    /// How long after its beginning a connection is asked for the first time, at most. Some jitter in
    /// it keeps a thousand clients that reconnect together apart.
    pub first_ping: Duration,
    /// How many such questions may be unanswered.
    pub pings_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            control_line_max: 4096,
            payload_max: 1 << 20,
            pending_max: 64 << 20,
            subscriptions_max: 0,
            subscription_tokens_max: 0,
            headers: true,
            auth_required: false,
            has_default_user: false,
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_mins(2),
            first_ping: Duration::from_secs(2),
            pings_max: 2,
        }
    }
}

/// One connection, as the socket knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number, from 1.
    pub id: u64,
    /// The client's address, without port; empty where there is none.
    pub ip: Box<str>,
    /// What the client is asked to sign, where keys are in use.
    pub nonce: Option<Box<str>>,
    /// A random number that the client does not know.
    pub seed: u64,
}

/// Who the client turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The account it is in, as it is told.
    pub account: Box<str>,
    /// Whether that is the system account.
    pub is_system: bool,
    /// Largest message of this user, in bytes, where that differs from the settings.
    pub payload_max: Option<usize>,
    /// Most subscriptions of this user's connection, where that differs; 0: no limit.
    pub subscriptions_max: Option<usize>,
    /// When the credentials expire.
    pub expires: Option<Expiry>,
}

/// The end of some credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// When, on the clock of [`Session::poll`](crate::Session::poll).
    pub at: Duration,
    /// Whose.
    pub of: Expires,
}

/// Whose credentials expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// The user's.
    User,
    /// The account's.
    Account,
}
