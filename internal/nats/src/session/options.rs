//! What the client wants, and what it used.

use crate::{Close, Connect};

/// Options of the last `CONNECT`, or those of a client that sent none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) verbose: bool,
    pub(super) pedantic: bool,
    pub(super) echo: bool,
    pub(super) headers: bool,
    pub(super) no_responders: bool,
    /// Whether it asks for an account of its choice.
    asks_for_account: bool,
    pub(super) protocol: i64,
    /// Whether they came in a `CONNECT` that is not answered yet.
    pub(super) connected: bool,
}

impl Options {
    /// Those of a client that has not said what it wants.
    pub(super) fn unsaid() -> Self {
        Self { connected: false, ..Self::of(&Connect::default(), false) }
    }

    /// `headers`: whether the server speaks them.
    pub(super) fn of(connect: &Connect, headers: bool) -> Self {
        Self {
            verbose: connect.verbose,
            pedantic: connect.pedantic,
            echo: connect.echo,
            headers: connect.headers && headers,
            no_responders: connect.no_responders,
            asks_for_account: !connect.account.is_empty() || connect.new_account,
            protocol: connect.protocol,
            connected: true,
        }
    }

    /// What a further `CONNECT` starts from. Credentials are not kept: they have to be given again.
    pub(super) fn as_connect(&self) -> Connect {
        Connect {
            verbose: self.verbose,
            pedantic: self.pedantic,
            echo: self.echo,
            headers: self.headers,
            no_responders: self.no_responders,
            protocol: self.protocol,
            ..Connect::default()
        }
    }

    /// Whether they go together, in the order in which nats-server finds fault with them.
    pub(super) const fn check(&self) -> Result<(), Close> {
        if self.asks_for_account {
            return Err(Close::AuthenticationFailure);
        }
        if self.protocol < 0 || self.protocol > 1 {
            return Err(Close::BadProtocolVersion);
        }
        if self.no_responders && !self.headers {
            return Err(Close::NoRespondersWithoutHeaders);
        }
        Ok(())
    }
}

/// Messages and bytes of a connection. Bytes are those of headers and payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages from the client.
    pub in_messages: u64,
    /// Their size.
    pub in_bytes: u64,
    /// Messages to the client.
    pub out_messages: u64,
    /// Their size.
    pub out_bytes: u64,
}
