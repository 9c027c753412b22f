//! The allowlist changes while the link is up.

use super::*;

fn policy(subscribe: &[&str], publish: &[&str]) -> PeerPolicy {
    PeerPolicy { subscribe: filters(subscribe), publish: filters(publish), ..Default::default() }
}

#[test]
fn a_channel_that_is_no_longer_allowed_stops_flowing() {
    let mut hub = Hub::sending(greeting("edge", lists(&["orders"], &["metrics"])), 0);
    hub.offer(0, "metrics");
    hub.session.subscribe(InSub(0), Start::New, hub.now);
    hub.poll();
    hub.forget();
    hub.session.set_policy(&policy(&["audit"], &["audit"]), hub.now);
    hub.poll();
    let not_allowed = RefuseCode::NotAllowed.to_u8();
    let frames = hub.frames();
    assert!(
        matches!(frames[..], [
            Frame::Refuse { sub: 0, code: one, .. }, Frame::Lists(_), Frame::Withdraw { sub: 0, code: two, .. },
        ] if one == not_allowed && two == not_allowed),
        "{frames:?}"
    );
    assert!(hub.actions.contains(&Action::Stopped { sub: OutSub(0), channel: channel("orders") }));
    assert!(hub.actions.contains(&Action::Ended { sub: InSub(0), channel: channel("metrics") }));
    // Offers of it are refused from now on, and what is on its way is passed over.
    hub.forget();
    hub.hear_bytes(batch(0, 0, 3, b""));
    hub.offer(1, "metrics");
    hub.session.channel(&channel("orders"), &log(7, 1, 9), hub.now);
    hub.poll();
    assert!(matches!(hub.events()[..], [Event::PolicyViolation { .. }]));
    assert!(!hub.frames().iter().any(|frame| matches!(frame, Frame::Offer { .. })));
    assert_eq!(hub.close_code(), None);
}

#[test]
fn a_channel_that_is_allowed_again_is_offered_again() {
    let mut hub = Hub::sending(greeting("edge", lists(&["orders"], &[])), 0);
    hub.session.set_policy(&policy(&["audit"], &[]), hub.now);
    hub.poll();
    hub.forget();
    hub.session.set_policy(&policy(&[], &[]), hub.now);
    hub.poll();
    assert!(hub.actions.contains(&Action::ListChannels), "{:?}", hub.actions);
    hub.session.channel(&channel("orders"), &log(7, 1, 9), hub.now);
    hub.poll();
    assert!(matches!(hub.frames()[..], [Frame::Lists(_), Frame::Offer { sub: 1, .. }]));
}

#[test]
fn the_dialer_keeps_to_new_lists_and_offers_what_is_allowed_now() {
    let config = SessionConfig::new(name("hub"));
    let asks = Lists { subscribe: Vec::new(), publish: filters(&["orders", "metrics"]) };
    let mut edge = Hub::with(Session::dial(config, asks, SECOND));
    edge.hear(&Frame::Welcome(greeting("other", lists(&[], &["orders"]))));
    for name in ["orders", "metrics"] {
        edge.session.channel(&channel(name), &log(7, 1, 9), edge.now);
    }
    edge.poll();
    assert_eq!(edge.session.status().sending.len(), 1);
    edge.forget();
    edge.hear(&Frame::Lists(lists(&[], &["metrics", "secrets"])));
    assert!(edge.actions.contains(&Action::ListChannels));
    let sends = filters(&["metrics"]);
    assert_eq!(edge.events(), [&Event::ListsChanged { sends, receives: Vec::new() }]);
    for name in ["orders", "metrics", "secrets"] {
        edge.session.channel(&channel(name), &log(7, 1, 9), edge.now);
    }
    edge.poll();
    let frames = edge.frames();
    assert!(
        matches!(
            frames[..],
            [Frame::Withdraw { sub: 0, .. }, Frame::Offer { sub: 1, channel: "metrics", .. },]
        ),
        "{frames:?}"
    );
}

#[test]
fn an_unchanged_allowlist_says_nothing() {
    let mut hub = Hub::sending(greeting("edge", lists(&["orders"], &[])), 0);
    hub.forget();
    hub.session.set_policy(&policy(&["orders", "more"], &[]), hub.now);
    hub.poll();
    assert!(hub.sent.is_empty() && hub.actions.is_empty());
}

#[test]
fn a_channel_nobody_asked_for_is_not_offered() {
    let mut hub = Hub::linked(greeting("edge", lists(&["orders.>"], &[])));
    for name in ["metrics", "orders", "orders.eu.dead-letter", "orders.eu"] {
        hub.session.channel(&channel(name), &log(7, 1, 9), hub.now);
        hub.session.channel(&channel(name), &log(7, 1, 9), hub.now);
    }
    hub.poll();
    assert!(matches!(hub.frames()[..], [Frame::Offer { channel: "orders.eu", .. }]));
}

#[test]
fn what_the_peer_declined_is_not_offered_over_and_over() {
    let mut hub = Hub::linked(greeting("edge", lists(&["orders"], &[])));
    hub.session.channel(&channel("orders"), &log(7, 1, 9), hub.now);
    hub.poll();
    hub.hear(&Frame::Refuse { sub: 0, code: 2, text: "no, thanks" });
    hub.forget();
    hub.session.channel(&channel("orders"), &log(7, 1, 9), hub.now);
    hub.wait(SECOND);
    assert!(hub.sent.is_empty());
}

#[test]
fn a_channel_made_anew_is_offered_anew() {
    let mut hub = Hub::sending(greeting("edge", lists(&["orders"], &[])), 0);
    hub.forget();
    hub.session.channel(&channel("orders"), &log(8, 1, 0), hub.now);
    hub.poll();
    let frames = hub.frames();
    assert!(
        matches!(
            frames[..],
            [Frame::Withdraw { sub: 0, code: 4, .. }, Frame::Offer { sub: 1, .. }]
        ),
        "{frames:?}"
    );
    // An acknowledgement that crossed it is no offence.
    hub.hear(&Frame::Ack { sub: 0, committed: 0, durable: 0, credit: 0 });
    hub.hear(&Frame::Subscribe { sub: 0, start: Start::All });
    assert_eq!(hub.close_code(), None);
    hub.forget();
    hub.session.channel_removed(&channel("orders"), hub.now);
    hub.poll();
    assert!(matches!(hub.frames()[..], [Frame::Withdraw { sub: 1, code: 4, .. }]));
}

#[test]
fn an_offer_taken_back_ends_the_subscription() {
    let mut hub = Hub::receiving(|_| ());
    hub.hear_bytes(batch(0, 0, 3, b"abc"));
    hub.forget();
    hub.hear(&Frame::Withdraw { sub: 0, code: 4, text: "removed" });
    let (channel, text) = (channel("orders"), "removed".to_owned());
    let refused = Event::Refused { channel: channel.clone(), code: RefuseCode::Gone, text };
    assert_eq!(hub.actions, [Action::Event(refused), Action::Ended { sub: InSub(0), channel }]);
    hub.session.synced(InSub(0), 3, hub.now);
    hub.poll();
    // Its bytes are free again, and that is said.
    let credited =
        hub.frames().iter().any(|frame| matches!(frame, Frame::Ack { credit, .. } if *credit > 0));
    assert!(credited, "{:?}", hub.frames());
}
