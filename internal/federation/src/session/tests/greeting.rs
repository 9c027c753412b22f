//! Who comes in, and who does not.

use super::*;
use crate::config::{GREETING_MAX_BYTES, GREETING_TIME};

fn dialed(asks: &Lists) -> Hub {
    Hub::with(Session::dial(SessionConfig::new(name("edge")), asks.clone(), SECOND))
}

fn asks() -> Lists {
    Lists { subscribe: filters(&["orders.>"]), publish: filters(&["metrics"]) }
}

#[test]
fn both_sides_agree_on_what_is_asked_and_allowed() {
    let mut edge = dialed(&asks());
    let mut hub = Hub::accept(|_| ());
    hub.hear_bytes(edge.sent.remove(0));
    let Some(Action::Admit { peer }) = hub.actions.first() else { panic!("{:?}", hub.actions) };
    assert_eq!((peer.name.as_str(), peer.ephemeral), ("edge", false));
    let policy = PeerPolicy { subscribe: filters(&["orders.eu", "audit"]), ..Default::default() };
    hub.session.admit(&policy, hub.now);
    hub.poll();
    edge.hear_bytes(hub.sent.remove(0));
    for (end, sends, receives) in
        [(&hub, vec!["orders.eu"], vec!["metrics"]), (&edge, vec!["metrics"], vec!["orders.eu"])]
    {
        let found = end.actions.iter().find_map(|action| match action {
            Action::Established { sends, receives, .. } => Some((sends, receives)),
            _ => None,
        });
        assert_eq!(found, Some((&filters(&sends), &filters(&receives))));
        assert!(matches!(end.actions.last(), Some(Action::ListChannels)));
    }
}

#[test]
fn a_hub_that_grants_more_than_was_asked_gets_no_more() {
    let mut edge = dialed(&asks());
    edge.hear(&Frame::Welcome(greeting("hub", lists(&[">"], &[">"]))));
    let established = edge.actions.iter().any(|action| {
        matches!(action, Action::Established { sends, receives, .. }
            if *sends == filters(&["metrics"]) && *receives == filters(&["orders.>"]))
    });
    assert!(established, "{:?}", edge.actions);
    edge.offer(0, "secrets");
    assert!(matches!(edge.events()[..], [Event::PolicyViolation { inbound: true, .. }]));
}

#[test]
fn a_rejected_peer_is_told_why() {
    let mut hub = Hub::accept(|_| ());
    hub.hear(&Frame::Hello(greeting("edge", lists(&[], &[]))));
    hub.session.reject(CloseCode::NotAllowed, "edge is not in allowed_peers", hub.now);
    hub.poll();
    let text = "edge is not in allowed_peers";
    assert_eq!(hub.frames(), [Frame::Close { code: 4403, text }]);
    assert_eq!(
        hub.closed().unwrap().to_string(),
        "closed: not in allowlist: edge is not in allowed_peers"
    );
    let mut edge = dialed(&asks());
    edge.hear_bytes(hub.sent.remove(0));
    let closed = edge.closed().unwrap();
    assert_eq!((closed.code, closed.by_peer), (CloseCode::NotAllowed, true));
}

#[test]
fn the_name_said_must_be_the_one_certified_and_not_ours() {
    for (certified, said) in [(Some("edge"), "other"), (None, "hub"), (Some("hub"), "hub")] {
        let mut hub = Hub::accept(|config| config.certified = certified.map(name));
        hub.hear(&Frame::Hello(greeting(said, lists(&[], &[]))));
        assert_eq!(hub.close_code(), Some(CloseCode::NameMismatch), "{certified:?} {said}");
    }
    let mut hub = Hub::accept(|config| config.certified = Some(name("edge")));
    hub.hear(&Frame::Hello(greeting("edge", lists(&[], &[]))));
    assert_eq!(hub.close_code(), None);
}

#[test]
fn a_silent_or_half_open_connection_is_cut_when_the_handshake_is_due() {
    for hello in [false, true] {
        let mut hub = Hub::accept(|_| ());
        if hello {
            hub.hear(&Frame::Hello(greeting("edge", lists(&[], &[]))));
        }
        assert_eq!(hub.session.deadline(), Some(SECOND + GREETING_TIME));
        hub.wait(GREETING_TIME - Duration::from_nanos(1));
        assert_eq!(hub.close_code(), None);
        hub.wait(Duration::from_nanos(1));
        assert_eq!(hub.close_code(), Some(CloseCode::HandshakeTimeout));
        assert_eq!(hub.session.deadline(), None);
    }
}

#[test]
fn nothing_large_and_nothing_else_comes_before_the_greeting_is_done() {
    let mut hub = Hub::accept(|_| ());
    hub.hear_bytes(vec![1; GREETING_MAX_BYTES + 1].into());
    assert_eq!(hub.close_code(), Some(CloseCode::TooLarge));

    let early = [
        Frame::Ping(1),
        Frame::Subscribe { sub: 0, start: Start::All },
        Frame::Welcome(greeting("edge", lists(&[], &[]))),
        Frame::Fragment { more: true, bytes: b"x" },
        Frame::Lists(lists(&[], &[])),
    ];
    for frame in &early {
        let mut hub = Hub::accept(|_| ());
        hub.hear(frame);
        assert_eq!(hub.close_code(), Some(CloseCode::OutOfOrder), "{frame:?}");
        let mut hub = Hub::accept(|_| ());
        hub.hear(&Frame::Hello(greeting("edge", lists(&[], &[]))));
        hub.hear(frame);
        assert_eq!(
            hub.close_code(),
            Some(CloseCode::OutOfOrder),
            "waiting to be let in: {frame:?}"
        );
    }
}

#[test]
fn a_second_greeting_ends_the_link() {
    let again = greeting("edge", lists(&[], &[]));
    for frame in [Frame::Hello(again.clone()), Frame::Welcome(again)] {
        let mut hub = Hub::linked(greeting("edge", lists(&[], &[])));
        hub.hear(&frame);
        assert_eq!(hub.close_code(), Some(CloseCode::OutOfOrder));
    }
}

#[test]
fn names_and_limits_that_cannot_be_end_the_link() {
    let base = || greeting("edge", lists(&[], &[]));
    let control = Greeting { name: "ed\nge".to_owned(), ..base() };
    let tiny = Greeting { frame_max: 100, ..base() };
    for (hello, code) in [
        (control, CloseCode::Malformed),
        (tiny, CloseCode::Malformed),
        (Greeting { version: 0, ..base() }, CloseCode::Version),
    ] {
        let mut hub = Hub::accept(|_| ());
        hub.hear(&Frame::Hello(hello));
        assert_eq!(hub.close_code(), Some(code));
    }
    let mut edge = dialed(&asks());
    edge.hear(&Frame::Welcome(Greeting { version: 2, ..base() }));
    assert_eq!(edge.close_code(), Some(CloseCode::Version));
}

#[test]
fn a_later_version_is_answered_with_ours() {
    let mut hub = Hub::accept(|_| ());
    hub.hear(&Frame::Hello(Greeting { version: 9, ..greeting("edge", lists(&[], &[])) }));
    hub.session.admit(&PeerPolicy::default(), hub.now);
    hub.poll();
    assert!(matches!(&hub.frames()[..], [Frame::Welcome(Greeting { version: 1, .. })]));
}

#[test]
fn lists_too_long_for_a_greeting_say_what_to_do() {
    let subscribe = (0..2000).map(|nth| Filter::new(&format!("channel.{nth}")).unwrap()).collect();
    let mut edge = dialed(&Lists { subscribe, publish: Vec::new() });
    assert!(edge.sent.is_empty());
    assert!(edge.closed().unwrap().text.ends_with("use wildcards"), "{:?}", edge.closed());
    edge.wait(GREETING_TIME * 2);
}

#[test]
fn compression_is_used_where_both_want_it() {
    for (ours, theirs) in [(false, true), (true, false), (true, true)] {
        let mut hub = Hub::accept(|config| config.lz4 = ours);
        hub.hear(&Frame::Hello(Greeting { lz4: theirs, ..greeting("edge", lists(&[], &[])) }));
        hub.session.admit(&PeerPolicy::default(), hub.now);
        hub.poll();
        let agreed = hub.actions.iter().find_map(|action| match action {
            Action::Established { lz4, .. } => Some(*lz4),
            _ => None,
        });
        assert_eq!(agreed, Some(ours && theirs));
    }
}
