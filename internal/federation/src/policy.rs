//! Who may connect, and which channels may flow which way.
//!
//! ```text
//!   dialer asks        orders.>   metrics        nothing asked = nothing
//!   listener allows    orders.*   audit          nothing listed = anything
//!   ───────────────    ────────
//!   effective          orders.*                  what WELCOME says, and what both sides keep to
//! ```
//!
//! A peer that is not in the allowlist is nobody, and an empty allowlist knows nobody. Dead-letter
//! channels stay where they are, whatever a list says.

use std::collections::BTreeMap;

use pubsub_types::{ChannelName, Filter};

use crate::name::NodeName;

/// What a dialer wants of a hub. An empty list means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Channels to receive.
    pub subscribe: Vec<Filter>,
    /// Channels to send.
    pub publish: Vec<Filter>,
}

/// What one peer may do. An empty list means any channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPolicy {
    /// Channels that it may receive.
    pub subscribe: Vec<Filter>,
    /// Channels that it may send.
    pub publish: Vec<Filter>,
    /// Whose messages it may send.
    pub origins: Origins,
}

/// Whose messages a peer may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Anybody's: it may be a hub itself, and forward.
    #[default]
    Any,
    /// Its own only: it is an edge. What claims to come from another through it is dropped.
    Own,
}

/// The allowlist of a hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    peers: BTreeMap<NodeName, PeerPolicy>,
}

impl Policy {
    /// The allowlist with these peers. Of two with the same name, the last counts.
    #[must_use]
    pub fn new(peers: impl IntoIterator<Item = (NodeName, PeerPolicy)>) -> Self {
        Self { peers: peers.into_iter().collect() }
    }

    /// What the peer of this name may do; `None` when it may not connect.
    #[must_use]
    pub fn peer(&self, name: &str) -> Option<&PeerPolicy> {
        self.peers.get(name)
    }

    /// The peers, by name.
    pub fn peers(&self) -> impl Iterator<Item = (&NodeName, &PeerPolicy)> {
        self.peers.iter()
    }
}

impl PeerPolicy {
    /// What flows of what a dialer `asks`.
    #[must_use]
    pub fn effective(&self, asks: &Lists) -> Lists {
        Lists {
            subscribe: allowed_of(&asks.subscribe, &self.subscribe),
            publish: allowed_of(&asks.publish, &self.publish),
        }
    }

    /// Whether the peer may receive `channel`.
    #[must_use]
    pub fn may_subscribe(&self, channel: &ChannelName) -> bool {
        allows(&self.subscribe, channel)
    }

    /// Whether the peer may send `channel`.
    #[must_use]
    pub fn may_publish(&self, channel: &ChannelName) -> bool {
        allows(&self.publish, channel)
    }
}

fn allows(filters: &[Filter], channel: &ChannelName) -> bool {
    !channel.is_dead_letter() && (filters.is_empty() || matches_any(filters, channel))
}

/// Whether one of `filters` names `channel`. Never true of a dead-letter channel.
#[must_use]
pub fn matches_any(filters: &[Filter], channel: &ChannelName) -> bool {
    !channel.is_dead_letter() && filters.iter().any(|filter| filter.matches(channel.as_str()))
}

/// What a peer may have of what is asked. An empty list of allowed ones means any.
fn allowed_of(asked: &[Filter], allowed: &[Filter]) -> Vec<Filter> {
    if allowed.is_empty() { asked.to_vec() } else { intersection(asked, allowed) }
}

/// The filters that match what both lists match: pairwise, without repetition.
pub(crate) fn intersection(asked: &[Filter], allowed: &[Filter]) -> Vec<Filter> {
    let mut both: Vec<Filter> = Vec::new();
    for filter in asked {
        for other in allowed {
            if let Some(common) = common(filter, other)
                && !both.contains(&common)
            {
                both.push(common);
            }
        }
    }
    both
}

/// The filter that matches exactly what both match. There is one, or nothing matches both.
fn common(one: &Filter, other: &Filter) -> Option<Filter> {
    let (mut left, mut right) = (one.as_str().split('.'), other.as_str().split('.'));
    let mut tokens: Vec<&str> = Vec::new();
    loop {
        match (left.next(), right.next()) {
            (None, None) => break,
            (Some(">"), Some(token)) => {
                tokens.push(token);
                tokens.extend(right);
                break;
            }
            (Some(token), Some(">")) => {
                tokens.push(token);
                tokens.extend(left);
                break;
            }
            (Some("*"), Some(token)) | (Some(token), Some("*")) => tokens.push(token),
            (Some(token), Some(same)) if token == same => tokens.push(token),
            _ => return None,
        }
    }
    // Both are filters, so what is left of either is one; only its length could still be refused.
    Filter::new(&tokens.join(".")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filters(texts: &[&str]) -> Vec<Filter> {
        texts.iter().map(|text| Filter::new(text).unwrap()).collect()
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    #[test]
    fn an_empty_allowlist_knows_nobody() {
        assert_eq!(Policy::default().peer("edge"), None);
        let policy = Policy::new([(NodeName::new("edge").unwrap(), PeerPolicy::default())]);
        assert!(policy.peer("edge").is_some());
        assert_eq!(policy.peer("edg"), None);
        assert_eq!(policy.peer("edge2"), None);
    }

    #[test]
    fn an_empty_list_of_a_peer_means_any_channel_and_of_a_dialer_none() {
        let open = PeerPolicy::default();
        assert!(open.may_publish(&channel("orders")) && open.may_subscribe(&channel("a.b")));
        assert_eq!(open.effective(&Lists::default()), Lists::default());
        let asks = Lists { subscribe: filters(&["orders.>"]), publish: filters(&["metrics"]) };
        assert_eq!(open.effective(&asks), asks);
    }

    #[test]
    fn dead_letters_stay_where_they_are_whatever_a_list_says() {
        let listed = filters(&[">"]);
        let all = PeerPolicy { subscribe: listed.clone(), publish: listed, ..Default::default() };
        for policy in [PeerPolicy::default(), all] {
            assert!(!policy.may_publish(&channel("orders.dead-letter")));
            assert!(!policy.may_subscribe(&channel("orders.dead-letter")));
        }
        assert!(!matches_any(&filters(&["orders.dead-letter"]), &channel("orders.dead-letter")));
    }

    #[test]
    fn effective_lists_are_what_is_asked_and_allowed() {
        let table: &[(&[&str], &[&str], &[&str])] = &[
            (&["orders"], &["orders"], &["orders"]),
            (&["orders"], &["metrics"], &[]),
            (&["orders.>"], &["orders.eu", "orders.us", "audit"], &["orders.eu", "orders.us"]),
            (&["orders.eu"], &["orders.>"], &["orders.eu"]),
            (&["orders.>"], &["*.eu"], &["orders.eu"]),
            (&["*.b"], &["a.*"], &["a.b"]),
            (&["a.*", "a.b"], &["a.b"], &["a.b"]),
            (&["a.>"], &["*.*.>"], &["a.*.>"]),
            (&["orders.>"], &["orders"], &[]),
        ];
        for (asked, allowed, wanted) in table {
            let policy = PeerPolicy { subscribe: filters(allowed), ..PeerPolicy::default() };
            let asks = Lists { subscribe: filters(asked), publish: Vec::new() };
            assert_eq!(policy.effective(&asks).subscribe, filters(wanted), "{asked:?} {allowed:?}");
        }
    }

    proptest! {
        #[test]
        fn what_both_sides_match_is_what_the_effective_list_matches(
            asked in prop::collection::vec("([ab*]\\.){0,2}[ab*>]", 1..4),
            allowed in prop::collection::vec("([ab*]\\.){0,2}[ab*>]", 1..4),
            name in "([ab]\\.){0,3}[ab]",
        ) {
            let list = |texts: &[String]| -> Vec<Filter> {
                texts.iter().map(|text| Filter::new(text).unwrap()).collect()
            };
            let (asked, allowed, channel) = (list(&asked), list(&allowed), channel(&name));
            let policy = PeerPolicy { subscribe: allowed.clone(), ..PeerPolicy::default() };
            let asks = Lists { subscribe: asked.clone(), publish: Vec::new() };
            let effective = policy.effective(&asks).subscribe;
            prop_assert_eq!(
                matches_any(&effective, &channel),
                matches_any(&asked, &channel) && matches_any(&allowed, &channel)
            );
        }
    }
}
