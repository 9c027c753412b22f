//! Which lines somebody wants to see.

use pubsub_types::Timestamp;

use crate::line::Fields;

/// Which lines to read. Each list must have one that fits; an empty one asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names or addresses of peers.
    pub peers: Vec<String>,
    /// Channels.
    pub channels: Vec<ChannelPattern>,
    /// Events, as they are written.
    pub events: Vec<String>,
    /// Not what happened before.
    pub since: Option<Timestamp>,
}

/// A channel, or many by wildcards, such as `orders.>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPattern {
    text: String,
    /// Nothing for a text that is no filter: the log may hold names that we would not give.
    filter: Option<pubsub_types::Filter>,
}

impl ChannelPattern {
    /// Whether it fits a channel.
    #[must_use]
    pub fn matches(&self, channel: &str) -> bool {
        self.text == channel || self.filter.as_ref().is_some_and(|filter| filter.matches(channel))
    }
}

impl From<&str> for ChannelPattern {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), filter: pubsub_types::Filter::new(text).ok() }
    }
}

impl Filter {
    pub(crate) fn matches(&self, line: &Fields<'_>) -> bool {
        let peers = &self.peers;
        let is_peer = |peer: &String| *peer == line.peer || *peer == line.peer_addr;
        let is_channel =
            |pattern: &ChannelPattern| !line.channel.is_empty() && pattern.matches(&line.channel);
        self.since.is_none_or(|since| line.ts >= since)
            && (self.events.is_empty() || self.events.iter().any(|event| *event == line.event))
            && (peers.is_empty() || peers.iter().any(is_peer))
            && (self.channels.is_empty() || self.channels.iter().any(is_channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"ts":"2026-11-21T13:00:00Z","event":"forward","message_id":"7",
        "channel":"orders.eu","direction":"inbound","peer":"edge","peer_addr":"10.0.0.7:4711"}"#;

    fn fits(filter: &Filter) -> bool {
        filter.matches(&Fields::parse(LINE).unwrap())
    }

    #[test]
    fn a_line_must_fit_every_list_that_asks_for_something() {
        let fitting = Filter {
            peers: vec!["other".to_owned(), "edge".to_owned()],
            channels: vec!["orders.>".into()],
            events: vec!["forward".to_owned()],
            since: Some("2026-11-21T13:00:00Z".parse().unwrap()),
        };
        assert!(fits(&Filter::default()));
        assert!(fits(&fitting));
        assert!(fits(&Filter { peers: vec!["10.0.0.7:4711".to_owned()], ..fitting.clone() }));
        assert!(fits(&Filter { channels: vec!["orders.eu".into()], ..fitting.clone() }));
        let since = Some("2026-11-21T13:00:00.1Z".parse().unwrap());
        for other in [
            Filter { peers: vec!["edg".to_owned()], ..fitting.clone() },
            Filter { channels: vec!["orders".into(), "no such name!".into()], ..fitting.clone() },
            Filter { events: vec!["loop_dropped".to_owned()], ..fitting.clone() },
            Filter { since, ..fitting },
        ] {
            assert!(!fits(&other), "{other:?}");
        }
    }

    #[test]
    fn a_line_about_no_channel_is_in_none() {
        let line = br#"{"ts":"2026-11-21T13:00:00Z","event":"peer_connected"}"#;
        let filter = Filter { channels: vec![">".into()], ..Filter::default() };
        assert!(!filter.matches(&Fields::parse(line).unwrap()));
    }
}
