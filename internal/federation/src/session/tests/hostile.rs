//! A peer that lies, floods, or talks out of turn: the link ends with a code that names it.

use super::*;
use crate::config::OFFERS_MAX;
use crate::wire::put_number;

fn edge() -> Greeting {
    greeting("edge", lists(&["orders"], &["orders"]))
}

fn code_after(frames: &[Frame<'_>]) -> Option<CloseCode> {
    let mut hub = Hub::linked(edge());
    for frame in frames {
        hub.hear(frame);
    }
    hub.close_code()
}

#[test]
fn acknowledging_the_unsent_ends_the_link() {
    let ack = |sub, committed, durable, credit| Frame::Ack { sub, committed, durable, credit };
    for (frame, text) in [
        (ack(0, 2, 0, 0), "beyond what was sent"),
        (ack(0, 1, 1, 1 << 40), "credit beyond what was sent"),
        (ack(1, 0, 0, 0), "a subscription that never was"),
    ] {
        let mut hub = Hub::sending(greeting("edge", lists(&["orders"], &[])), 0);
        hub.read(&[own(1, b"a")], true);
        hub.hear(&frame);
        assert_eq!(hub.close_code(), Some(CloseCode::AckedUnsent), "{text}");
    }
    let mut hub = Hub::linked(edge());
    hub.session.channel(&channel("orders"), &log(7, 1, 9), hub.now);
    hub.poll();
    hub.hear(&ack(0, 0, 0, 0));
    assert_eq!(hub.close_code(), Some(CloseCode::AckedUnsent), "an offer not even subscribed");
}

#[test]
fn a_batch_waiting_for_the_window_counts_as_unsent() {
    let mut hub =
        Hub::sending(Greeting { window: 64 << 10, ..greeting("edge", lists(&["orders"], &[])) }, 0);
    let records: Vec<Record> = (1..=200).map(|seq| own(seq, &[7; 1000])).collect();
    hub.read(&records, true);
    assert!(!hub.sent_seqs().contains(&200));
    hub.hear(&Frame::Ack { sub: 0, committed: 200, durable: 0, credit: 0 });
    assert_eq!(hub.close_code(), Some(CloseCode::AckedUnsent));
}

#[test]
fn a_flood_beyond_the_window_ends_the_link() {
    let mut hub = Hub::receiving(|config| config.window_bytes = 64 << 10);
    let mut sent = 0;
    while hub.close_code().is_none() {
        hub.hear_bytes(batch(0, sent, sent + 10, &[0; 1000]));
        sent += 10;
        assert!(sent < 100, "no end");
    }
    assert_eq!(hub.close_code(), Some(CloseCode::WindowExceeded));
    assert!(sent * 1000 > 60 << 10);
}

#[test]
fn a_flood_of_empty_batches_fills_the_window_too() {
    let mut hub = Hub::receiving(|config| config.window_bytes = 64 << 10);
    let mut sent = 0;
    while hub.close_code().is_none() {
        hub.hear_bytes(batch(0, 0, 0, b""));
        sent += 1;
        assert!(sent <= 1025, "no end");
    }
    assert_eq!(hub.close_code(), Some(CloseCode::WindowExceeded));
}

#[test]
fn a_message_larger_than_the_window_may_go_alone() {
    let mut hub = Hub::receiving(|config| config.window_bytes = 64 << 10);
    let big = batch(0, 0, 1, &[0; 200_000]);
    hub.hear_bytes(big);
    assert_eq!(hub.close_code(), None);
    hub.hear_bytes(batch(0, 1, 1, b""));
    assert_eq!(hub.close_code(), Some(CloseCode::WindowExceeded));
}

#[test]
fn a_message_beyond_the_limit_ends_the_link() {
    let mut hub = Hub::receiving(|config| config.message_max_bytes = 1000);
    hub.hear_bytes(batch(0, 0, 1, &[0; 1001]));
    assert_eq!(hub.close_code(), Some(CloseCode::TooLarge));
}

#[test]
fn fragments_without_end_end_the_link() {
    let mut hub = Hub::receiving(|config| config.message_max_bytes = 300_000);
    let part = vec![0; 200_000];
    hub.hear(&Frame::Fragment { more: true, bytes: &part });
    assert_eq!(hub.close_code(), None);
    hub.hear(&Frame::Fragment { more: true, bytes: &part });
    assert_eq!(hub.close_code(), Some(CloseCode::TooLarge));
    let mut hub = Hub::receiving(|_| ());
    hub.hear(&Frame::Fragment { more: true, bytes: b"" });
    assert_eq!(hub.close_code(), Some(CloseCode::Malformed));
}

#[test]
fn fragments_hold_nothing_but_long_frames() {
    for inner in [
        Frame::Ping(1),
        Frame::Fragment { more: false, bytes: b"x" },
        Frame::Hello(edge()),
        Frame::Close { code: 1, text: "" },
    ] {
        let mut bytes = Vec::new();
        inner.encode(&mut bytes);
        let code = code_after(&[Frame::Fragment { more: false, bytes: &bytes }]);
        assert_eq!(code, Some(CloseCode::OutOfOrder), "{inner:?}");
    }
}

#[test]
fn a_decompression_bomb_is_refused_before_it_swells() {
    let head = BatchHead { epoch: 0, base: 0, after: 1, count: 1 };
    let bomb = |hub: &mut Hub, inflated| {
        hub.hear(&Frame::Batch { sub: 0, head, inflated: Some(inflated), records: &[0; 100] });
        hub.close_code()
    };
    let mut agreed = Hub::linked_with(
        Greeting { lz4: true, ..greeting("edge", lists(&[], &["orders"])) },
        |config| config.lz4 = true,
    );
    agreed.offer(0, "orders");
    agreed.session.subscribe(InSub(0), Start::New, agreed.now);
    assert_eq!(bomb(&mut agreed, 1 << 50), Some(CloseCode::TooLarge));
    let mut plain = Hub::receiving(|_| ());
    assert_eq!(bomb(&mut plain, 100), Some(CloseCode::Malformed), "nobody agreed to lz4");
}

#[test]
fn batches_that_lie_about_lengths_end_the_link() {
    let good = batch(0, 0, 3, b"abc");
    for cut in 1..good.len() {
        let mut hub = Hub::receiving(|_| ());
        hub.hear_bytes(good.slice(..cut));
        assert_eq!(hub.close_code(), Some(CloseCode::Malformed), "cut to {cut} of {}", good.len());
    }
    let mut hub = Hub::receiving(|_| ());
    hub.hear_bytes([&good[..], b"x"].concat().into());
    assert_eq!(hub.close_code(), Some(CloseCode::Malformed));
    // As many records as a frame has no room for.
    let head = BatchHead { epoch: 0, base: 0, after: 9, count: u64::MAX };
    let mut hub = Hub::receiving(|_| ());
    hub.hear(&Frame::Batch { sub: 0, head, inflated: None, records: &[0; 60] });
    assert_eq!(hub.close_code(), Some(CloseCode::Malformed));
}

#[test]
fn batches_out_of_turn_end_the_link() {
    // Never offered, offered but not subscribed, not where the last one ended.
    let mut hub = Hub::linked(edge());
    hub.hear_bytes(batch(0, 0, 1, b""));
    assert_eq!(hub.close_code(), Some(CloseCode::OutOfOrder));
    let mut hub = Hub::linked(edge());
    hub.offer(0, "orders");
    hub.hear_bytes(batch(0, 0, 1, b""));
    assert_eq!(hub.close_code(), Some(CloseCode::OutOfOrder));
    for base in [0, 2, 4] {
        let mut hub = Hub::receiving(|_| ());
        hub.hear_bytes(batch(0, 0, 3, b""));
        hub.hear_bytes(batch(0, base, 5, b""));
        assert_eq!(hub.close_code(), Some(CloseCode::OutOfOrder), "{base}");
    }
}

#[test]
fn frames_that_make_no_sense_end_the_link() {
    let end = Position { log: Uuid::nil(), epoch: 0, seq: 0 };
    let offer = |sub, channel| Frame::Offer { sub, channel, end, first: 1 };
    for (frames, text) in [
        (vec![Frame::Subscribe { sub: 0, start: Start::All }], "subscribing what was not offered"),
        (vec![Frame::Refuse { sub: 0, code: 1, text: "" }], "refusing what was not offered"),
        (vec![Frame::Withdraw { sub: 0, code: 1, text: "" }], "taking back what was not offered"),
        (vec![offer(1, "orders")], "offers out of order"),
        (vec![offer(0, "orders"), offer(0, "orders")], "an offer twice"),
        (vec![offer(0, "orders"), offer(1, "orders")], "a channel twice"),
        (vec![Frame::Lists(lists(&[], &[]))], "lists from a dialer"),
    ] {
        assert_eq!(code_after(&frames), Some(CloseCode::OutOfOrder), "{text}");
    }
}

#[test]
fn subscribing_twice_ends_the_link() {
    let mut hub = Hub::sending(edge(), 0);
    hub.hear(&Frame::Subscribe { sub: 0, start: Start::All });
    assert_eq!(hub.close_code(), Some(CloseCode::OutOfOrder));
}

#[test]
fn bytes_that_are_no_frame_end_the_link() {
    for bytes in [b"".as_slice(), b"\0", b"\xff\xff", b"GET / HTTP/1.1\r\n\r\n", &[9; 3]] {
        let mut hub = Hub::linked(edge());
        hub.hear_bytes(Bytes::copy_from_slice(bytes));
        assert_eq!(hub.close_code(), Some(CloseCode::Malformed), "{bytes:?}");
    }
    let mut hub = Hub::linked(edge());
    hub.session.handle_message(Message::Text("{}".to_owned()), hub.now);
    hub.poll();
    assert_eq!(hub.close_code(), Some(CloseCode::Malformed));
    let mut hub = Hub::linked(edge());
    hub.hear_bytes(vec![8; (256 << 10) + 1].into());
    assert_eq!(hub.close_code(), Some(CloseCode::TooLarge));
}

#[test]
fn names_with_control_bytes_are_refused_and_shown_escaped() {
    let mut hub = Hub::linked(edge());
    for (nth, name) in ["a\r\nb", "", "../x", "orders.dead-letter", "x y"].into_iter().enumerate() {
        hub.forget();
        hub.offer(u32::try_from(nth).unwrap(), name);
        assert!(matches!(hub.frames()[..], [Frame::Refuse { code: 1, .. }]), "{name:?}");
        let [Event::PolicyViolation { channel, inbound: true }] = hub.events()[..] else {
            panic!("{:?}", hub.actions)
        };
        assert!(!channel.contains(char::is_control), "{channel:?}");
    }
    assert_eq!(hub.close_code(), None);
}

#[test]
fn more_offers_than_are_taken_end_the_link() {
    let mut hub = Hub::linked(greeting("edge", lists(&[], &[">"])));
    for nth in 0..u32::try_from(OFFERS_MAX).unwrap() {
        hub.offer(nth, &format!("c{nth}"));
    }
    assert_eq!(hub.close_code(), None);
    hub.offer(u32::try_from(OFFERS_MAX).unwrap(), "one.more");
    assert_eq!(hub.close_code(), Some(CloseCode::TooMany));
}

#[test]
fn a_peer_that_asks_and_does_not_read_fills_no_memory() {
    let mut hub = Hub::linked(edge());
    // The socket is full: nothing is polled.
    for nth in 0..100_000 {
        let mut ping = vec![10];
        put_number(&mut ping, nth);
        hub.session.handle_message(Message::Binary(ping.into()), hub.now);
    }
    hub.poll();
    assert_eq!(hub.frames(), [Frame::Pong(99_999)], "the last ping is answered");
    let end = Position { log: Uuid::nil(), epoch: 0, seq: 0 };
    for sub in 0..100_000 {
        let mut offer = Vec::new();
        Frame::Offer { sub, channel: "secrets", end, first: 1 }.encode(&mut offer);
        hub.session.handle_message(Message::Binary(offer.into()), hub.now);
    }
    hub.poll();
    assert_eq!(hub.close_code(), Some(CloseCode::TooMany));
    assert!(hub.actions.len() < 4 * OFFERS_MAX);
}

#[test]
fn the_peers_last_word_cannot_garble_a_log() {
    let mut hub = Hub::linked(edge());
    hub.hear(&Frame::Close { code: 4999, text: "bye\r\n\x1b[31mred" });
    let closed = hub.closed().unwrap();
    assert_eq!((closed.code, closed.text.as_str()), (CloseCode::Other(4999), "bye[31mred"));
}
