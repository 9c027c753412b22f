//! Why a link is down, slow or refusing, from what its node knows of it.

use std::time::Duration;

use pubsub_node::link::{LinkReport, LinkState, LinksStatus};
use serde::Serialize;

use crate::out;

/// One thing worth knowing about a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What it is about, in a word.
    pub(crate) what: &'static str,
    /// What was found, and what to do.
    pub(crate) text: String,
}

/// Everything worth knowing about `link`, the gravest first.
pub(crate) fn explain(link: &LinkReport, node: &LinksStatus) -> Vec<Finding> {
    let mut findings = vec![Finding { what: "state", text: state(link) }];
    let mut find = |what, text: String| findings.push(Finding { what, text });
    if link.state != LinkState::Established
        && let Some(error) = &link.last_error
    {
        find("why", error.clone());
        if let Some(advice) = advice(error, &node.name) {
            find("try", advice);
        }
    }
    for warning in node.certificate.iter().flat_map(|certificate| &certificate.warnings) {
        find("certificate", warning.clone());
    }
    if link.state == LinkState::Established {
        flow(link, &mut find);
    }
    if link.traffic.gaps > 0 {
        let gaps = link.traffic.gaps;
        find(
            "lost",
            format!(
                "{gaps} messages were gone before they could be sent; `pubsub audit --event replay_gap` says which and why"
            ),
        );
    }
    if link.traffic.refused > 0 {
        let refused = link.traffic.refused;
        find(
            "refused",
            format!(
                "{refused} messages or channels were refused; `pubsub audit --event policy_violation` says which, hub.allowed_peers is the rule"
            ),
        );
    }
    findings
}

fn state(link: &LinkReport) -> String {
    match link.state {
        LinkState::Established => {
            format!("up for {}", out::duration(Duration::from_secs(link.up_seconds)))
        }
        LinkState::Greeting => "connected, and names and lists are being exchanged".to_owned(),
        LinkState::Connecting => "is being connected".to_owned(),
        LinkState::Waiting => {
            let wait = Duration::from_millis(link.retry_in_ms.unwrap_or(0));
            let failures = link.failures;
            format!(
                "down after {failures} failures in a row; dialled again in {}",
                out::duration(wait)
            )
        }
    }
}

/// Why channels of a link that is up do not move.
fn flow(link: &LinkReport, find: &mut impl FnMut(&'static str, String)) {
    if link.sending.is_empty() && link.receiving.is_empty() {
        find("channels", "none flows: the lists of both sides have no channel in common that exists; compare client.hubs[].publish and subscribe here or there with the hub's allowed_peers".to_owned());
    }
    if link.window_bytes > 0 && link.unacked_bytes * 10 >= link.window_bytes * 9 {
        let (unacked, window) = (out::bytes(link.unacked_bytes), out::bytes(link.window_bytes));
        find(
            "window",
            format!(
                "{unacked} of {window} are not acknowledged: the peer stores more slowly than we send; look at its disk, or raise its federation.window_bytes for long distances"
            ),
        );
    }
    for channel in &link.sending {
        let name = &channel.channel;
        if channel.held {
            find(
                "held",
                format!(
                    "{name} waits at message {}, which is larger than the peer takes; raise storage.max_record_bytes there",
                    channel.position + 1
                ),
            );
        } else if !channel.flowing {
            find(
                "waits",
                format!("{name} is offered, and the peer has not subscribed; its log says why"),
            );
        } else if let Some(lag) = channel.lag_messages.filter(|lag| *lag > 0) {
            let age = channel.lag_ms.map_or_else(
                || "unknown".to_owned(),
                |ms| out::duration(Duration::from_millis(ms)),
            );
            find("lag", format!("{name} is {lag} messages behind, the oldest of age {age}"));
        }
    }
}

/// What to do about an error, where its text tells.
fn advice(error: &str, name: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if has(&["not in allowlist"]) {
        return Some(format!(
            "add {{name: {name}}} to hub.allowed_peers of the hub; it reads the list again by itself"
        ));
    }
    if has(&["refused", "No route", "unreachable"]) && has(&["os error", "connect to"]) {
        return Some("check that the hub runs and its port is open: client.hubs[].addr here, hub.listen_addr there".to_owned());
    }
    if has(&["revoked"]) {
        return Some("issue a new certificate: pubsub-keys issue".to_owned());
    }
    if has(&["expired", "ended"]) {
        return Some("renew the certificate: pubsub-keys renew".to_owned());
    }
    if has(&["authority", "certificate"]) {
        return Some(
            "check with pubsub-keys verify CERT --ca CA that both sides use the same authority"
                .to_owned(),
        );
    }
    has(&["failed to lookup", "resolve"])
        .then(|| "check the host name in client.hubs[].addr".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(state: LinkState, error: &str) -> LinkReport {
        LinkReport {
            addr: "hub.example:7740".to_owned(),
            state,
            failures: 3,
            retry_in_ms: Some(2_000),
            last_error: (!error.is_empty()).then(|| error.to_owned()),
            ..LinkReport::default()
        }
    }

    fn texts(link: &LinkReport) -> String {
        let node = LinksStatus { name: "berlin".to_owned(), ..LinksStatus::default() };
        explain(link, &node).into_iter().map(|it| format!("{}: {}\n", it.what, it.text)).collect()
    }

    #[test]
    fn a_rejected_edge_is_told_which_line_the_hub_needs() {
        let text = texts(&link(LinkState::Waiting, "closed by the peer: not in allowlist"));
        assert!(text.contains("dialled again in 2s"), "{text}");
        assert!(text.contains("add {name: berlin} to hub.allowed_peers"), "{text}");
    }

    #[test]
    fn a_link_that_is_up_says_what_holds_each_channel() {
        let mut up = link(LinkState::Established, "an old error");
        up.window_bytes = 100;
        up.unacked_bytes = 95;
        let flow = |channel: &str, flowing, held, lag| pubsub_node::link::ChannelFlow {
            channel: channel.to_owned(),
            flowing,
            held,
            lag_messages: Some(lag),
            lag_ms: Some(1_500),
            ..pubsub_node::link::ChannelFlow::default()
        };
        up.sending =
            vec![flow("a", true, false, 7), flow("b", false, false, 0), flow("c", true, true, 1)];
        let text = texts(&up);
        assert!(!text.contains("an old error"), "{text}");
        assert!(text.contains("95 B of 100 B are not acknowledged"), "{text}");
        assert!(text.contains("a is 7 messages behind, the oldest of age 1s500ms"), "{text}");
        assert!(text.contains("b is offered"), "{text}");
        assert!(text.contains("c waits at message 1"), "{text}");
    }
}
