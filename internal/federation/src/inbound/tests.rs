//! What is taken, what is dropped, and why.

use bytes::Bytes;
use pubsub_envelope::{Kind, MessageId, Record, Route, Source, binary};
use pubsub_types::Timestamp;

use super::*;
use crate::action::Position;
use crate::batch::{BatchHead, BatchWriter};

const PEER_LOG: Uuid = Uuid::from_u128(0xbee);
const MY_LOG: Uuid = Uuid::from_u128(0x3e);
const OTHER_LOG: Uuid = Uuid::from_u128(0x07e);

/// A record as a log would give it out.
pub(crate) fn record(seq: u64, subject: &str, meta: Meta<'_>, payload: &[u8]) -> Record {
    let new =
        NewRecord { time: Timestamp(seq.cast_signed()), subject, payload, meta, headers: b"" };
    let mut bytes = Vec::new();
    binary::encode_record(&mut bytes, Kind::Message, seq, &new).unwrap();
    binary::parse_record(&bytes).unwrap().0.to_record()
}

/// A batch of one message from the peer `b`; `previous` when the peer published it.
fn one(seq: u64, subject: &str, meta: Meta<'_>, previous: Option<u64>) -> Batch {
    let mut writer = BatchWriter::new(seq - 1, 0, 0);
    assert!(writer.push(&record(seq, subject, meta, b"{}"), &meta, previous));
    let bytes = Bytes::from(writer.into_parts().0);
    let head = BatchHead { epoch: 1, base: seq - 1, after: seq, count: 1 };
    let position = Position { log: PEER_LOG, epoch: 1, seq };
    Batch::decode(head, position, bytes, 1 << 20).unwrap()
}

fn via(origins: Origins) -> Via {
    Via { peer: NodeName::new("b").unwrap(), origins }
}

fn inbound() -> Inbound {
    Inbound::new(NodeName::new("me").unwrap(), MY_LOG, Coverage::default())
}

fn judge(inbound: &mut Inbound, via: &Via, batch: &Batch, ids: &mut SeenIds) -> Option<Dropped> {
    let mut reason = None;
    let accepted = inbound.judge(via, batch, ids, |_, why| reason = Some(why));
    assert_eq!(accepted.len() + usize::from(reason.is_some()), 1);
    reason
}

/// Judged by somebody who knows nothing yet.
fn fresh(origins: Origins, batch: &Batch) -> Option<Dropped> {
    judge(&mut inbound(), &via(origins), batch, &mut SeenIds::new(9))
}

fn route(text: &str) -> Route<'_> {
    Route::parse(text).unwrap()
}

fn forwarded(names: &str, log: Uuid, seq: u64) -> Meta<'_> {
    let source = Source { log, epoch: 1, seq, previous: seq - 1 };
    let origin = names.split('\n').next().unwrap();
    Meta { origin, route: route(names), source: Some(source), ..Meta::default() }
}

#[test]
fn what_the_peer_published_is_taken_once_with_its_place_and_both_names_on_its_route() {
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let batch = one(7, "", Meta { origin: "b", ..Meta::default() }, Some(4));
    let accepted = inbound.judge(&via(Origins::Any), &batch, &mut ids, |_, _| panic!("new"));
    let record = accepted.records().next().unwrap();
    assert_eq!(record.meta.route, route("b\nme"));
    let source = Source { log: PEER_LOG, epoch: 1, seq: 7, previous: 4 };
    assert_eq!((record.meta.source, record.payload), (Some(source), b"{}".as_slice()));
    assert_eq!(judge(&mut inbound, &via(Origins::Any), &batch, &mut ids), Some(Dropped::Duplicate));
}

#[test]
fn a_message_without_an_origin_is_the_peers() {
    let batch = one(7, "", Meta::default(), Some(6));
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let accepted = inbound.judge(&via(Origins::Own), &batch, &mut ids, |_, _| panic!("new"));
    let record = accepted.records().next().unwrap();
    assert_eq!((record.meta.origin, record.meta.route), ("b", route("b\nme")));
}

#[test]
fn what_is_stored_folds_to_what_was_judged() {
    let (mut judged, mut ids) = (inbound(), SeenIds::new(9));
    let mut folded = Coverage::default();
    for (batch, log) in [
        (one(7, "", Meta::default(), Some(6)), PEER_LOG),
        (one(9, "", forwarded("a\nx\nb", OTHER_LOG, 3), None), OTHER_LOG),
    ] {
        let accepted = judged.judge(&via(Origins::Any), &batch, &mut ids, |_, _| panic!("new"));
        let record = accepted.records().next().unwrap();
        folded.fold(&record.meta);
        let source = record.meta.source.unwrap();
        assert_eq!(source.log, log);
        assert!(folded.contains(origin_of(&record.meta), &source));
        assert!(judged.coverage().contains(origin_of(&record.meta), &source));
    }
}

#[test]
fn the_same_message_by_another_way_is_dropped() {
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let first = one(7, "", forwarded("a\nb", OTHER_LOG, 3), None);
    let second = one(99, "", forwarded("a\nc\nx\nb", OTHER_LOG, 3), None);
    assert_eq!(judge(&mut inbound, &via(Origins::Any), &first, &mut ids), None);
    let again = judge(&mut inbound, &via(Origins::Any), &second, &mut ids);
    assert_eq!(again, Some(Dropped::Duplicate));
}

#[test]
fn what_was_here_before_is_a_loop() {
    for meta in [
        forwarded("me\nb", OTHER_LOG, 3),
        Meta { source: None, ..forwarded("a\nme\nb", OTHER_LOG, 3) },
    ] {
        assert_eq!(fresh(Origins::Any, &one(7, "", meta, None)), Some(Dropped::Loop), "{meta:?}");
    }
    let batch = one(7, "", Meta { origin: "me", ..Meta::default() }, Some(6));
    assert_eq!(fresh(Origins::Any, &batch), Some(Dropped::Loop));
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let first = one(7, "", forwarded("a\nb", OTHER_LOG, 3), None);
    assert_eq!(judge(&mut inbound, &via(Origins::Any), &first, &mut ids), None);
    let back = one(9, "", forwarded("a\nb\nme\nc\nb", OTHER_LOG, 3), None);
    assert_eq!(judge(&mut inbound, &via(Origins::Any), &back, &mut ids), Some(Dropped::Loop));
}

#[test]
fn what_was_passed_on_and_lost_in_a_crash_is_taken_back() {
    let batch = one(7, "", forwarded("a\nb\nme\nc\nb", OTHER_LOG, 3), None);
    assert_eq!(fresh(Origins::Any, &batch), None);
}

#[test]
fn our_own_log_with_another_route_is_a_lie() {
    let batch = one(7, "", forwarded("a\nb", MY_LOG, 3), None);
    assert_eq!(fresh(Origins::Any, &batch), Some(Dropped::OwnLog));
}

#[test]
fn a_route_that_does_not_end_at_the_peer_is_a_lie() {
    for names in ["a", "a\nc"] {
        let batch = one(7, "", forwarded(names, OTHER_LOG, 3), None);
        assert_eq!(fresh(Origins::Any, &batch), Some(Dropped::BadRoute), "{names:?}");
    }
    let batch = one(7, "", Meta { origin: "a", ..Meta::default() }, Some(6));
    assert_eq!(fresh(Origins::Any, &batch), Some(Dropped::BadRoute));
    // Published by the peer, and in no log of the peer's.
    let batch = one(7, "", forwarded("b", OTHER_LOG, 3), None);
    assert_eq!(fresh(Origins::Any, &batch), Some(Dropped::BadRoute));
}

#[test]
fn an_edge_cannot_speak_for_others_nor_make_their_messages_look_known() {
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let edge = via(Origins::Own);
    for (meta, previous) in [
        (forwarded("a\nb", OTHER_LOG, 3), None),
        (Meta { origin: "a", route: route("a\nb"), ..Meta::default() }, Some(6)),
    ] {
        let refused = judge(&mut inbound, &edge, &one(7, "", meta, previous), &mut ids);
        assert_eq!(refused, Some(Dropped::ForeignOrigin));
    }
    // It may say that its log is the one that `a` writes to; what `a` publishes there is still new.
    let huge = one(1 << 60, "", Meta { origin: "b", ..Meta::default() }, Some(0));
    assert_eq!(judge(&mut inbound, &edge, &huge, &mut ids), None);
    let honest = one(8, "", forwarded("a\nb", PEER_LOG, 3), None);
    assert_eq!(judge(&mut inbound, &via(Origins::Any), &honest, &mut ids), None);
}

#[test]
fn names_that_cannot_be_are_dropped() {
    let long = "x".repeat(251);
    let hops = vec!["a"; HOPS_MAX].join("\n") + "\nb";
    for meta in [
        Meta { origin: "a\u{1}", route: route("a\nb"), ..Meta::default() },
        Meta { origin: &long, ..Meta::default() },
        forwarded(&hops, OTHER_LOG, 3),
    ] {
        assert_eq!(fresh(Origins::Any, &one(7, "", meta, None)), Some(Dropped::BadName));
    }
    let meta = Meta { origin: "b", ..Meta::default() };
    for subject in ["a b", "a\r\nPUB", "a..b", "a.>", "*", "a\u{7f}", &"x".repeat(5000)] {
        let batch = one(7, subject, meta, Some(6));
        assert_eq!(fresh(Origins::Any, &batch), Some(Dropped::BadName), "{subject:?}");
    }
    assert_eq!(fresh(Origins::Any, &one(7, "orders.eu", meta, Some(6))), None);
}

#[test]
fn an_envelope_without_room_for_a_route_loses_what_nobody_understands_and_else_is_dropped() {
    let full = "x".repeat(65_000);
    let members = Meta { origin: "b", members: &full, ..Meta::default() };
    let batch = one(7, "", members, Some(6));
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let accepted = inbound.judge(&via(Origins::Any), &batch, &mut ids, |_, _| panic!("new"));
    assert_eq!(accepted.records().next().unwrap().meta.members, "");
    let service = Meta { origin: "b", service_name: &full, ..Meta::default() };
    assert_eq!(fresh(Origins::Any, &one(7, "", service, Some(6))), Some(Dropped::BadName));
}

#[test]
fn a_message_without_a_source_is_known_by_its_id() {
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let id = MessageId::Uuid(Uuid::from_u128(5));
    let plain = one(7, "", Meta { id, origin: "b", ..Meta::default() }, None);
    let edge = via(Origins::Any);
    assert_eq!(judge(&mut inbound, &edge, &plain, &mut ids), None);
    assert_eq!(judge(&mut inbound, &edge, &plain, &mut ids), Some(Dropped::DuplicateId));
    // The same message by way of a peer that says where it comes from.
    let sourced = one(8, "", Meta { id, ..forwarded("b\nc\nb", OTHER_LOG, 3) }, None);
    assert_eq!(judge(&mut inbound, &edge, &sourced, &mut ids), Some(Dropped::DuplicateId));
}

#[test]
fn an_id_used_twice_loses_nothing_where_both_say_where_they_come_from() {
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let id = MessageId::Text("same");
    for seq in [3, 4] {
        let batch = one(seq, "", Meta { id, ..forwarded("a\nb", OTHER_LOG, seq) }, None);
        assert_eq!(judge(&mut inbound, &via(Origins::Any), &batch, &mut ids), None);
    }
}

#[test]
fn what_could_not_be_stored_is_taken_when_it_comes_again() {
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let edge = via(Origins::Any);
    let id = MessageId::Text("x");
    let sourced = one(7, "", Meta { id, ..forwarded("a\nb", OTHER_LOG, 3) }, None);
    let plain = one(8, "", Meta { id: MessageId::Text("y"), origin: "b", ..Meta::default() }, None);
    for batch in [&sourced, &plain] {
        let taken = inbound.judge(&edge, batch, &mut ids, |_, _| panic!("new")).taken();
        inbound.undo(&edge, batch, &taken, &mut ids);
        assert_eq!(judge(&mut inbound, &edge, batch, &mut ids), None);
    }
}

#[test]
fn what_is_dropped_by_right_is_taken_by_an_allowed_way() {
    let (mut inbound, mut ids) = (inbound(), SeenIds::new(9));
    let id = MessageId::Text("x");
    let batch = one(7, "", Meta { id, ..forwarded("a\nb", OTHER_LOG, 3) }, None);
    let refused = judge(&mut inbound, &via(Origins::Own), &batch, &mut ids);
    assert_eq!(refused, Some(Dropped::ForeignOrigin));
    assert_eq!(judge(&mut inbound, &via(Origins::Any), &batch, &mut ids), None);
}
