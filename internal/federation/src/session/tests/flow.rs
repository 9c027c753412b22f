//! Messages flow: windows, turns, acknowledgements, fragments, heartbeats.

use super::*;
use crate::action::{Missing, MissingReason};

fn edge(subscribe: &[&str]) -> Greeting {
    greeting("edge", lists(subscribe, &[]))
}

#[test]
fn the_first_batch_says_where_a_subscription_starts() {
    let hub = Hub::sending(edge(&["orders"]), 41);
    let sent = batches(&hub.sent);
    assert_eq!(
        sent.iter().map(|batch| (batch.len(), batch.position().seq)).collect::<Vec<_>>(),
        [(0, 41)]
    );
    assert_eq!(hub.reads(), 1);
}

#[test]
fn messages_go_out_with_what_came_before_them() {
    let mut hub = Hub::sending(edge(&["orders"]), 10);
    hub.forget();
    hub.read(&[own(12, b"a"), own(15, b"b")], true);
    let sent = batches(&hub.sent);
    let sources: Vec<_> = sent[0].iter().map(|message| message.meta().source.unwrap()).collect();
    assert_eq!(
        sources.iter().map(|s| (s.seq, s.previous)).collect::<Vec<_>>(),
        [(12, 10), (15, 12)]
    );
    assert_eq!(sources[0].log, Uuid::from_u128(7));
}

#[test]
fn what_could_not_be_read_leaves_a_hole_and_is_told() {
    let mut hub = Hub::sending(edge(&["orders"]), 10);
    hub.forget();
    let missing = Missing { first: 12, last: 14, why: MissingReason::Damage };
    let (one, two) = (own(11, b"a"), own(16, b"b"));
    let mut pieces =
        [Piece::Record(&one), Piece::Missing(missing), Piece::Record(&two)].into_iter();
    hub.session.read(OutSub(0), &mut pieces, 16, true, hub.now);
    hub.poll();
    let sources: Vec<(u64, u64)> = batches(&hub.sent)[0]
        .iter()
        .map(|message| message.meta().source.unwrap())
        .map(|source| (source.seq, source.previous))
        .collect();
    assert_eq!(sources, [(11, 10), (16, 14)]);
    assert_eq!(hub.events(), [&Event::ReplayGap { channel: channel("orders"), missing }]);
}

#[test]
fn what_the_peer_gave_us_is_not_sent_back_and_the_position_moves_on() {
    let mut hub = Hub::linked(edge(&["orders"]));
    // Up to 10 when the link came up: that may be of a former life of the peer's.
    hub.session.channel(&channel("orders"), &log(7, 1, 10), hub.now);
    hub.hear(&Frame::Subscribe { sub: 0, start: Start::New });
    hub.session.opened(OutSub(0), Opened { after: 8, missing: None }, hub.now);
    hub.poll();
    hub.forget();
    let source = Source { log: Uuid::nil(), epoch: 0, seq: 1, previous: 0 };
    let through = |route| {
        let route = Route::parse(route).unwrap();
        Meta { origin: "a", route, source: Some(source), ..Meta::default() }
    };
    let records = [
        record(9, Meta { origin: "edge", ..Meta::default() }, b"its own"),
        record(10, through("a\nedge\nhub"), b"perhaps lost"),
        record(11, through("a\nedge\nhub"), b"it has that"),
        record(12, through("a\nedge\nb\nhub"), b"perhaps lost"),
        record(13, through("edge\nb\nhub"), b"its own"),
    ];
    hub.read(&records, true);
    assert_eq!(hub.sent_seqs(), [10, 12]);
    assert_eq!(batches(&hub.sent)[0].position().seq, 13);
    assert_eq!(hub.session.status().counters.echoes_dropped, 3);
}

#[test]
fn nothing_is_read_beyond_the_window_until_the_peer_consumed_some() {
    let mut hub = Hub::sending(Greeting { window: 64 << 10, ..edge(&["orders"]) }, 0);
    let mut seq = 0;
    let mut credit = 0;
    while hub.reads() > 0 {
        hub.forget();
        let records: Vec<Record> = (seq + 1..=seq + 8).map(|seq| own(seq, &[7; 1000])).collect();
        seq += 8;
        credit += 64 + 8 * 1000;
        hub.read(&records, false);
    }
    let status = hub.session.status();
    assert!((40 << 10..=64 << 10).contains(&status.in_flight_bytes), "{status:?}");
    hub.hear(&Frame::Ack { sub: 0, committed: 16, durable: 8, credit: credit / 2 });
    assert_eq!(hub.reads(), 1);
    let acked =
        Action::Acked { sub: OutSub(0), channel: channel("orders"), committed: 16, durable: 8 };
    assert!(hub.actions.contains(&acked), "{:?}", hub.actions);
}

#[test]
fn a_read_that_gave_more_than_the_window_has_is_kept_and_sent_when_there_is_room() {
    let mut hub = Hub::sending(Greeting { window: 64 << 10, ..edge(&["orders"]) }, 0);
    hub.forget();
    let records: Vec<Record> = (1..=200).map(|seq| own(seq, &[7; 1000])).collect();
    hub.read(&records, true);
    let before = hub.sent_seqs();
    assert!(before.len() < 80, "{}", before.len());
    let credit = hub.session.status().in_flight_bytes;
    hub.hear(&Frame::Ack { sub: 0, committed: 1, durable: 0, credit });
    assert!(hub.sent_seqs().len() > before.len());
    assert!(hub.sent_seqs().iter().copied().eq(1..=hub.sent_seqs().len() as u64));
}

#[test]
fn a_slow_socket_stops_the_reader() {
    let mut hub = Hub::linked(Greeting { window: 1 << 30, ..edge(&["orders"]) });
    hub.session.channel(&channel("orders"), &log(7, 1, 1_000_000), hub.now);
    hub.hear(&Frame::Subscribe { sub: 0, start: Start::All });
    hub.session.opened(OutSub(0), Opened { after: 0, missing: None }, hub.now);
    // The socket takes nothing: actions that send are left where they are.
    let (mut seq, mut reads) = (0, 0);
    while let Some(action) = hub.session.poll_action() {
        if let Action::Send(_) = action {
            break;
        }
        if let Action::Read { .. } = action {
            reads += 1;
            let records: Vec<Record> =
                (seq + 1..=seq + 60).map(|seq| own(seq, &[7; 1000])).collect();
            seq += 60;
            let mut pieces = records.iter().map(Piece::Record);
            hub.session.read(OutSub(0), &mut pieces, seq, false, hub.now);
        }
    }
    assert!(reads <= 10, "{reads} reads ahead of the socket");
}

#[test]
fn channels_take_turns() {
    let mut hub = Hub::linked(edge(&[">"]));
    for (nth, name) in ["a", "b", "c"].into_iter().enumerate() {
        hub.session.channel(&channel(name), &log(nth as u128, 1, 1000), hub.now);
    }
    hub.poll();
    for sub in 0..3 {
        hub.hear(&Frame::Subscribe { sub, start: Start::All });
        hub.session.opened(OutSub(sub), Opened { after: 0, missing: None }, hub.now);
    }
    let mut turns = Vec::new();
    let mut next = [1_u64; 3];
    hub.poll();
    for _ in 0..12 {
        let reads: Vec<OutSub> = std::mem::take(&mut hub.actions)
            .iter()
            .filter_map(|action| match action {
                Action::Read { sub, .. } => Some(*sub),
                _ => None,
            })
            .collect();
        for sub in reads {
            turns.push(sub.0);
            let seq = &mut next[sub.0 as usize];
            let record = own(*seq, &[7; 20_000]);
            let mut pieces = std::iter::once(Piece::Record(&record));
            hub.session.read(sub, &mut pieces, *seq, false, hub.now);
            *seq += 1;
        }
        hub.poll();
    }
    let counts = [0, 1, 2].map(|sub| turns.iter().filter(|turn| **turn == sub).count());
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    assert!(counts[0] > 3, "{counts:?}");
}

#[test]
fn a_channel_taken_back_while_it_is_read_holds_no_room() {
    let mut hub = Hub::linked(edge(&["orders"]));
    for sub in 0..200 {
        hub.session.channel(&channel("orders"), &log(u128::from(sub), 1, 9), hub.now);
        hub.poll();
        hub.forget();
        hub.hear(&Frame::Subscribe { sub, start: Start::All });
        hub.session.opened(OutSub(sub), Opened { after: 0, missing: None }, hub.now);
        hub.poll();
        assert_eq!(hub.reads(), 1, "the {sub}th time");
        hub.hear(&Frame::Ack { sub, committed: 0, durable: 0, credit: 64 * u64::from(sub + 1) });
        // The answer to the read never comes.
    }
}

#[test]
fn news_while_reading_is_not_lost() {
    let mut hub = Hub::sending(edge(&["orders"]), 0);
    hub.forget();
    hub.session.ready(OutSub(0), hub.now);
    hub.read(&[own(1, b"")], true);
    assert_eq!(hub.reads(), 1, "ready came while the read was under way");
    hub.forget();
    hub.read(&[], true);
    assert_eq!(hub.reads(), 0);
    hub.session.ready(OutSub(0), hub.now);
    hub.session.ready(OutSub(0), hub.now);
    hub.poll();
    assert_eq!(hub.reads(), 1);
}

#[test]
fn a_message_longer_than_a_frame_goes_in_fragments_with_signs_of_life_between() {
    let mut hub = Hub::sending(Greeting { frame_max: 16 << 10, ..edge(&["orders"]) }, 0);
    hub.forget();
    let payload: Vec<u8> = (0..100_000_u32).map(|nth| nth.to_le_bytes()[0]).collect();
    let message = own(1, &payload);
    let mut pieces = std::iter::once(Piece::Record(&message));
    hub.session.read(OutSub(0), &mut pieces, 1, true, hub.now);
    // One frame is taken by the socket, then the peer pings.
    let Some(Action::Send(Message::Binary(first))) = hub.session.poll_action() else {
        panic!("a fragment")
    };
    hub.sent.push(first);
    hub.hear(&Frame::Ping(5));
    assert_eq!(hub.frames()[1], Frame::Pong(5));
    assert!(hub.sent.iter().all(|frame| frame.len() <= 16 << 10));
    assert_eq!(batches(&hub.sent)[0].iter().next().unwrap().payload(), payload);
}

#[test]
fn a_message_too_large_for_the_peer_holds_its_channel_and_no_other() {
    let mut hub = Hub::sending(Greeting { message_max: 100, ..edge(&[">"]) }, 0);
    hub.forget();
    hub.read(&[own(1, b"ok"), own(2, &[0; 101]), own(3, b"ok")], true);
    assert_eq!(hub.sent_seqs(), [1]);
    let held = Event::Held { channel: channel("orders"), seq: 2, bytes: 101, limit: 100 };
    assert_eq!(hub.events(), [&held]);
    assert!(hub.session.status().sending[0].held);
    hub.session.ready(OutSub(0), hub.now);
    hub.poll();
    assert_eq!(hub.reads(), 0, "nothing is skipped");
    assert_eq!(batches(&hub.sent).last().unwrap().position().seq, 1);
    hub.session.channel(&channel("other"), &log(8, 1, 1), hub.now);
    hub.poll();
    assert!(matches!(hub.frames().last(), Some(Frame::Offer { channel: "other", .. })));
}

#[test]
fn positions_and_credit_are_acknowledged_when_written_and_when_synced() {
    let mut hub = Hub::receiving(|_| ());
    hub.hear_bytes(batch(0, 0, 3, b"abc"));
    hub.hear_bytes(batch(0, 3, 5, b"abc"));
    let Some(Action::Receive { batch: received, .. }) = hub.actions.last() else {
        panic!("{:?}", hub.actions)
    };
    assert_eq!((received.len(), received.position().seq), (2, 5));
    hub.forget();
    hub.session.committed(InSub(0), 3, hub.now);
    hub.poll();
    hub.session.synced(InSub(0), 5, hub.now);
    hub.poll();
    let acks: Vec<(u64, u64)> = hub
        .frames()
        .iter()
        .map(|frame| match frame {
            Frame::Ack { committed, durable, .. } => (*committed, *durable),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(acks, [(3, 0), (5, 5)]);
    hub.session.synced(InSub(0), 99, hub.now);
    hub.poll();
    assert!(matches!(hub.frames().last(), Some(Frame::Ack { committed: 5, durable: 5, .. })));
}

#[test]
fn a_channel_that_cannot_be_stored_is_offered_again_later_and_later() {
    let mut hub = Hub::sending(edge(&["orders"]), 0);
    hub.forget();
    let code = RefuseCode::Unavailable.to_u8();
    let mut waits = Vec::new();
    for sub in 0..4 {
        hub.hear(&Frame::Refuse { sub, code, text: "no space left" });
        let due = hub.session.deadline().unwrap();
        let mut waited = Duration::ZERO;
        hub.forget();
        while !hub.frames().iter().any(|frame| matches!(frame, Frame::Offer { .. })) {
            waited += SECOND;
            hub.wait(SECOND);
            hub.hear(&Frame::Ping(0));
            assert!(waited < SECOND * 100, "{due:?}");
        }
        waits.push(waited.as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8]);
}

#[test]
fn an_append_that_failed_ends_the_subscription_and_frees_its_bytes() {
    let mut hub = Hub::receiving(|config| config.window_bytes = 64 << 10);
    hub.hear_bytes(batch(0, 0, 30, &[0; 1000]));
    hub.forget();
    hub.session.failed(InSub(0), "no space left", hub.now);
    hub.poll();
    assert!(matches!(hub.frames()[0], Frame::Refuse { sub: 0, code: 3, text: "no space left" }));
    // What was on its way is passed over, and counts as consumed.
    for nth in 1..=9 {
        hub.hear_bytes(batch(0, 30 * nth, 30 * (nth + 1), &[0; 1000]));
    }
    assert_eq!(hub.close_code(), None);
    assert!(!hub.actions.iter().any(|action| matches!(action, Action::Receive { .. })));
    hub.offer(1, "orders");
    assert!(matches!(hub.actions.last(), Some(Action::Offered { sub: InSub(1), .. })));
}

#[test]
fn a_silent_peer_is_given_up_after_three_heartbeats_and_a_living_one_is_not() {
    let mut hub = Hub::linked(Greeting { heartbeat_ms: 2000, ..edge(&[]) });
    for _ in 0..10 {
        hub.wait(SECOND * 2);
        assert!(matches!(hub.frames().last(), Some(Frame::Ping(_))));
        let Some(Frame::Ping(nonce)) = hub.frames().pop() else { panic!("a ping") };
        hub.now += Duration::from_millis(7);
        hub.hear(&Frame::Pong(nonce));
        assert_eq!(hub.session.status().round_trip, Some(Duration::from_millis(7)));
    }
    for _ in 0..2 {
        hub.wait(SECOND * 2);
    }
    assert_eq!(hub.close_code(), None);
    hub.wait(SECOND * 2);
    assert_eq!(hub.close_code(), Some(CloseCode::Silent));
}

#[test]
fn an_idle_link_stays_up() {
    let mut hub = Hub::linked(edge(&[]));
    for beat in 0..100 {
        let deadline = hub.session.deadline().unwrap();
        hub.now = deadline;
        hub.wait(Duration::ZERO);
        hub.hear(&Frame::Pong(beat));
    }
    assert_eq!(hub.close_code(), None);
}

#[test]
fn a_graceful_end_is_said_and_is_the_last_thing() {
    let mut hub = Hub::sending(edge(&["orders"]), 0);
    hub.read(&[own(1, b"")], false);
    hub.forget();
    hub.session.close(CloseCode::GoingAway, "shutting down", hub.now);
    hub.session.close(CloseCode::Lost, "again", hub.now);
    hub.poll();
    assert_eq!(hub.frames(), [Frame::Close { code: 4000, text: "shutting down" }]);
    assert_eq!(hub.actions.len(), 1);
    hub.session.ready(OutSub(0), hub.now);
    hub.session.channel(&channel("late"), &log(8, 1, 1), hub.now);
    hub.session.channel_removed(&channel("orders"), hub.now);
    hub.session.opened(OutSub(0), Opened { after: 0, missing: None }, hub.now);
    hub.session.withdraw(OutSub(0), RefuseCode::Gone, "", hub.now);
    hub.session.set_policy(&PeerPolicy::default(), hub.now);
    hub.hear(&Frame::Ping(1));
    hub.wait(SECOND * 100);
    assert_eq!((hub.sent.len(), hub.actions.len()), (1, 1));
}

#[test]
fn a_lost_connection_is_not_written_to() {
    let mut hub = Hub::receiving(|_| ());
    hub.session.committed(InSub(0), 0, hub.now);
    hub.session.handle_message(Message::Binary(batch(0, 0, 3, b"abc")), hub.now);
    hub.session.handle_hangup("connection reset", hub.now);
    hub.forget();
    hub.poll();
    assert!(hub.sent.is_empty());
    // What came before is still handed out.
    assert!(matches!(hub.actions[0], Action::Receive { .. }));
    assert_eq!(hub.close_code(), Some(CloseCode::Lost));
}

#[test]
fn compressed_batches_come_back_as_they_were() {
    let peer = Greeting { lz4: true, ..edge(&["orders"]) };
    let mut hub = Hub::linked_with(peer, |config| config.lz4 = true);
    hub.session.channel(&channel("orders"), &log(7, 1, 9), hub.now);
    hub.hear(&Frame::Subscribe { sub: 0, start: Start::All });
    hub.session.opened(OutSub(0), Opened { after: 0, missing: None }, hub.now);
    hub.poll();
    hub.forget();
    let records: Vec<Record> = (1..=50).map(|seq| own(seq, b"{\"state\":\"paid\"}")).collect();
    hub.read(&records, true);
    assert!(hub.sent[0].len() < 50 * 16, "{}", hub.sent[0].len());
    assert!(hub.sent_seqs().into_iter().eq(1..=50));
}
