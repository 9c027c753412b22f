//! Who reads as which subscriber: one at a time, wherever it runs.
//!
//! ```text
//!   handler in this process ──╮
//!   client on the socket   ───┼──▶ (channel, id) ──▶ whoever came first; the others are told who
//!   command that moves it  ───╯
//! ```
//!
//! Two that read as one subscriber would each skip what the other has dealt with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_types::{ChannelName, SubscriberId};

type Key = (ChannelName, SubscriberId);

/// Who has a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimant {
    /// A handler or reader of a program that embeds the node.
    Embedded {
        /// The program's process.
        pid: u32,
    },
    /// A client of the control socket.
    Client {
        /// What it calls itself.
        name: String,
        /// Its process; `None` where the operating system does not say.
        pid: Option<u32>,
    },
    /// A link to another node.
    Link {
        /// The node.
        node: String,
    },
}

impl Claimant {
    /// A handler or reader of this process.
    #[must_use]
    pub fn embedded() -> Self {
        Self::Embedded { pid: std::process::id() }
    }
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { pid } => write!(f, "process {pid}, which has the data directory open"),
            Self::Client { name, pid: Some(pid) } => write!(f, "{name} in process {pid}"),
            Self::Client { name, pid: None } => write!(f, "{name}"),
            Self::Link { node } => write!(f, "the link to {node}"),
        }
    }
}

/// Somebody else has the subscriber.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("subscriber {id} of channel {channel} is in use by {by}")]
pub struct Claimed {
    /// The channel.
    pub channel: ChannelName,
    /// The subscriber.
    pub id: SubscriberId,
    /// Who has it.
    pub by: Claimant,
}

/// The subscribers of a node that somebody reads as.
#[derive(Debug, Default)]
pub struct Claims(Mutex<BTreeMap<Key, Claimant>>);

impl Claims {
    /// Takes the right to read as a subscriber, or to move it.
    ///
    /// # Errors
    /// Somebody has it.
    pub fn take(
        self: &Arc<Self>,
        channel: &ChannelName,
        id: &SubscriberId,
        by: Claimant,
    ) -> Result<Claim, Claimed> {
        let key = (channel.clone(), id.clone());
        let mut claims = self.0.lock();
        if let Some(by) = claims.get(&key) {
            let (channel, id) = key;
            return Err(Claimed { channel, id, by: by.clone() });
        }
        claims.insert(key.clone(), by);
        drop(claims);
        Ok(Claim { claims: self.clone(), key })
    }

    /// Who has a subscriber.
    #[must_use]
    pub fn holder(&self, channel: &ChannelName, id: &SubscriberId) -> Option<Claimant> {
        self.0.lock().get(&(channel.clone(), id.clone())).cloned()
    }

    /// A subscriber of `channel` that somebody has, if there is one.
    #[must_use]
    pub fn any_of(&self, channel: &ChannelName) -> Option<Claimed> {
        let claims = self.0.lock();
        let ((channel, id), by) = claims.iter().find(|((name, _), _)| name == channel)?;
        Some(Claimed { channel: channel.clone(), id: id.clone(), by: by.clone() })
    }
}

/// The right to read as one subscriber; given back when dropped.
#[derive(Debug)]
#[must_use = "dropped, it is given back"]
pub struct Claim {
    claims: Arc<Claims>,
    key: Key,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_has_one_reader_and_the_second_is_told_who_it_is() {
        let claims = Arc::new(Claims::default());
        let (orders, me) = (ChannelName::new("orders").unwrap(), SubscriberId::new("me").unwrap());
        let link = Claimant::Link { node: "hub:7740".to_owned() };
        let first = claims.take(&orders, &me, link.clone()).unwrap();
        let refused = claims.take(&orders, &me, Claimant::embedded()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "subscriber me of channel orders is in use by the link to hub:7740"
        );
        assert_eq!(claims.any_of(&orders), Some(refused));
        let other = SubscriberId::new("other").unwrap();
        drop(claims.take(&orders, &other, link).unwrap());
        drop(first);
        assert_eq!((claims.holder(&orders, &me), claims.any_of(&orders)), (None, None));
        drop(claims.take(&orders, &me, Claimant::embedded()).unwrap());
    }
}
