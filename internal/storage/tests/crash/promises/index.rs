//! Whatever is not in the segments is a convenience: deleted, it is built again and answers the same.
//!
//! And what it answers is what a naive pass over the messages would.

use std::sync::Arc;

use pubsub_disk::Disk;
use pubsub_sim::{Corruption, SimDisk};
use pubsub_storage::{Channel, Finding, Item, Store};
use pubsub_types::{Filter, Seq, Timestamp};
use uuid::Uuid;

use crate::model::Rec;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::see::read_items;

/// Questions about subjects have the answers that `messages` give, all there are and ascending.
pub(crate) fn answers_are_a_models(channel: &Arc<Channel>, messages: &[Rec], exact: bool) {
    if !exact {
        // What was lost since its index was written, an index still tells of; counts are estimates.
        return;
    }
    let own = channel.name().as_str();
    let subject =
        |rec: &Rec| if rec.subject.is_empty() { own.to_owned() } else { rec.subject.into() };
    let all: Vec<(u64, String)> = messages.iter().map(|rec| (rec.seq, subject(rec))).collect();
    if !channel.findings().iter().any(Finding::is_loss) {
        assert_eq!(
            channel.stats().messages,
            all.len() as u64,
            "index: the count of messages, {:?}",
            channel.findings()
        );
    }
    let get = |seq: Option<Seq>| seq.map(Seq::get);
    for name in ["a", "b.1", "b.2", "c.d.e", "orders", "x.y", "nobody"] {
        let of: Vec<u64> = all.iter().filter(|(_, it)| it == name).map(|(seq, _)| *seq).collect();
        let last = channel.last_of(name).unwrap();
        assert_eq!(get(last), of.last().copied(), "index: the last of {name} among {of:?}");
        let first = channel.first_of(name).unwrap();
        assert_eq!(get(first), of.first().copied(), "index: the first of {name} among {of:?}");
        let count = channel.count_of(name).unwrap();
        assert_eq!(count, of.len() as u64, "index: the count of {name}, {of:?}");
        for from in probes(channel) {
            let next = channel.next_of(name, from).unwrap();
            let expected = of.iter().copied().find(|seq| *seq >= from.get());
            assert_eq!(get(next), expected, "index: the next of {name} from {from} in {of:?}");
        }
    }
    for filter in ["b.*", ">", "c.>", "a", "*.2", "orders"] {
        let filter = Filter::new(filter).unwrap();
        let of: Vec<&(u64, String)> = all.iter().filter(|(_, it)| filter.matches(it)).collect();
        for from in probes(channel) {
            let next = channel.next_match(&filter, from).unwrap();
            let expected = of.iter().map(|(seq, _)| *seq).find(|seq| *seq >= from.get());
            assert_eq!(get(next), expected, "index: the next match of {filter} from {from}");
        }
        let totals = channel.totals(&filter).unwrap();
        let mut subjects: Vec<&str> = of.iter().map(|(_, subject)| subject.as_str()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(totals.messages, of.len() as u64, "index: how many match {filter}");
        assert_eq!(totals.subjects, subjects.len() as u64, "index: subjects that match {filter}");
        assert_eq!(get(totals.first), of.first().map(|it| it.0), "index: the first of {filter}");
        assert_eq!(get(totals.last), of.last().map(|it| it.0), "index: the last of {filter}");
        let listed = channel.subjects(&filter, None, usize::MAX).unwrap();
        let mut listed: Vec<&str> = listed.iter().map(|info| info.subject.as_str()).collect();
        listed.sort_unstable();
        assert_eq!(listed, subjects, "index: the subjects that match {filter}");
    }
}

fn probes(channel: &Arc<Channel>) -> [Seq; 5] {
    let (first, last) = (channel.first_seq(), channel.last_seq());
    let seq = |number: u64| Seq::new(number.max(1)).unwrap();
    [Seq::FIRST, seq(first), seq(first.midpoint(last)), seq(last), seq(last + 1)]
}

/// A copy of the disk without indexes and checkpoints, and one without manifests, open to the same.
pub(crate) fn equals_a_rebuild(
    disk: &SimDisk,
    plan: &Plan,
    channel: &Arc<Channel>,
    messages: &[Rec],
    exact: bool,
) {
    let dir = channel.directory().to_str().unwrap().to_owned() + "/";
    let expected = read_items(channel, 0, 64).unwrap();
    for (nth, doomed) in [[".idx", "checkpoint."], ["MANIFEST.", "MANIFEST."]].iter().enumerate() {
        let copy = SimDisk::from_snapshot(&disk.snapshot(), 1);
        for path in copy.files() {
            let name = path.strip_prefix(&dir).unwrap_or_default();
            if doomed.iter().any(|part| name.contains(part)) {
                copy.corrupt(&path, &Corruption::Delete).unwrap();
            }
        }
        let opened: Arc<dyn Disk> = Arc::new(copy);
        let queue = Arc::new(Queue::default());
        let store = Store::open(opened, queue.clone(), plan.options(), Uuid::nil()).unwrap();
        let again = store.channel(channel.name(), Timestamp(0)).unwrap();
        let found = read_items(&again, 0, 64).unwrap();
        let without = doomed[0];
        let seqs = |items: &[Item]| {
            let seq = |item: &Item| match item {
                Item::Record(record) => record.seq,
                Item::Gap { .. } => 0,
            };
            items.iter().map(seq).filter(|seq| *seq > 0).collect::<Vec<_>>()
        };
        let (found, expected) = (seqs(&found), seqs(&expected));
        if nth == 0 && exact {
            assert_eq!(found, expected, "index: messages without {without}");
            assert_eq!(again.first_seq(), channel.first_seq(), "index: the first message");
            assert_eq!(again.last_seq(), channel.last_seq(), "index: the last message");
        }
        // Where records were lost, so may be the one that said what is deleted; and the
        // manifest may have kept a trim whose record a power cut took.
        let there = expected.iter().all(|seq| found.contains(seq));
        assert!(there, "index: without {without}, {found:?} are there and not {expected:?}");
        if nth == 0 && found == expected {
            answers_are_a_models(&again, messages, exact);
        }
        drop(again);
        queue.forget();
    }
}
