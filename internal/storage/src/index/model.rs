//! The rules said once more, slowly: a tree of messages and a set of deletes answer every question,
//! and the indexes must answer the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use pubsub_types::{Filter, Seq, Timestamp};

use super::{ActiveIndex, IndexError, SlotSet, Span, SubjectCursor, Wanted};

/// What the empty subject stands for in these tests.
pub(super) const OWN: &str = "own.name";

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) time: Timestamp,
    pub(super) offset: u64,
    pub(super) len: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) first_seq: u64,
    pub(super) messages: BTreeMap<u64, Message>,
    pub(super) deleted: BTreeSet<u64>,
}

impl Model {
    pub(super) fn active(&self) -> ActiveIndex {
        let mut index = ActiveIndex::new(seq(self.first_seq));
        for (&at, message) in &self.messages {
            let Message { subject, time, offset, len } = message;
            index.push(seq(at), *time, *offset, *len, subject).unwrap();
        }
        for &at in &self.deleted {
            assert!(index.delete(seq(at)));
        }
        index
    }

    pub(super) fn deletes(&self) -> SlotSet {
        self.deleted.iter().map(|seq| u32::try_from(seq - self.first_seq).unwrap()).collect()
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.messages.last_key_value().map_or(self.first_seq, |(&seq, _)| seq)
    }

    fn live(&self, from: u64) -> impl Iterator<Item = (u64, &str)> {
        self.messages
            .range(from..)
            .filter(|(seq, _)| !self.deleted.contains(seq))
            .map(|(&seq, message)| (seq, message.subject.as_str()))
    }

    pub(super) fn first_at_or_after(&self, from: u64) -> Option<Seq> {
        self.live(from).next().map(|(at, _)| seq(at))
    }

    /// The messages whose subjects are `wanted`.
    pub(super) fn of(&self, wanted: impl Fn(&str) -> bool) -> Hits {
        Hits(self.live(0).filter(|(_, subject)| wanted(subject)).map(|(at, _)| at).collect())
    }

    pub(super) fn spans(&self) -> BTreeMap<&str, Span> {
        let mut spans = BTreeMap::new();
        for (at, subject) in self.live(0) {
            let new = Span { first: seq(at), last: seq(at), count: 0 };
            let span = spans.entry(subject).or_insert(new);
            span.last = seq(at);
            span.count += 1;
        }
        spans
    }

    pub(super) fn subjects(&self, wanted: Wanted<'_>, after: Option<&str>) -> Vec<(String, Span)> {
        let spans = self.spans();
        let wanted = spans.iter().filter(|(it, _)| wanted.matches(it) && after < Some(**it));
        wanted.map(|(&subject, &span)| (subject.to_owned(), span)).collect()
    }

    /// The first message that is as young as `time`, deleted or not.
    pub(super) fn at_time(&self, time: Timestamp) -> Option<u64> {
        self.messages.iter().find(|(_, message)| message.time >= time).map(|(&seq, _)| seq)
    }

    /// Messages in `from..until`, and the bytes from the first of them to the last message before
    /// `until`.
    pub(super) fn between(&self, from: u64, until: u64) -> (usize, u64) {
        let passed: Vec<&Message> = self.messages.range(from..until).map(|(_, it)| it).collect();
        let bytes = passed.last().map_or(0, |last| last.offset - passed[0].offset);
        (passed.len(), bytes)
    }

    /// Sequences worth asking about: every edge, its neighbours, and some between.
    pub(super) fn places(&self) -> Vec<u64> {
        let mut places = BTreeSet::from([1, self.first_seq, self.last_seq(), self.last_seq() + 1]);
        let step = self.messages.len() / 10 + 1;
        let deleted = self.deleted.iter().step_by(self.deleted.len() / 10 + 1);
        for &seq in self.messages.keys().step_by(step).chain(deleted) {
            places.extend([seq - 1, seq, seq + 1]);
        }
        places.remove(&0);
        places.insert(u64::MAX);
        places.into_iter().collect()
    }

    /// Subjects worth asking about, those of nobody included.
    pub(super) fn asked_subjects(&self) -> BTreeSet<String> {
        let all: BTreeSet<&str> = self.messages.values().map(|it| it.subject.as_str()).collect();
        let step = all.len() / 12 + 1;
        let mut asked: BTreeSet<String> =
            all.into_iter().step_by(step).map(str::to_owned).collect();
        asked.extend(["", OWN, "a", "a.b", "a.b.nobody", "zzz"].map(str::to_owned));
        asked
    }
}

/// Messages in order.
pub(super) struct Hits(Vec<u64>);

impl Hits {
    pub(super) fn next(&self, from: u64) -> Option<Seq> {
        self.0.get(self.0.partition_point(|&at| at < from)).map(|&at| seq(at))
    }
}

pub(super) fn seq(seq: u64) -> Seq {
    Seq::new(seq).unwrap()
}

pub(super) fn filters() -> Vec<Filter> {
    let filters = [
        ">",
        "*",
        "a.>",
        "a.*",
        "*.b",
        "a.*.b",
        "own.*",
        OWN,
        "a",
        "a.b",
        "a.shared.>",
        "zzz.>",
        "a.shared.prefix.of.some.length.*.1",
    ];
    filters.map(|text| Filter::new(text).unwrap()).into()
}

pub(super) fn drain(cursor: &mut dyn SubjectCursor) -> Result<Vec<(String, Span)>, IndexError> {
    let mut all = Vec::new();
    while cursor.advance()? {
        let (subject, span) = cursor.current().expect("advance said there is one");
        all.push((subject.to_owned(), span));
    }
    assert!(cursor.current().is_none());
    Ok(all)
}

/// Any segment: few or many subjects, lost sequences, times that step back, deletes of every kind.
pub(super) fn models(max_messages: usize) -> impl Strategy<Value = Model> {
    let subjects = prop_oneof![
        1 => Just(vec![String::new()]),
        1 => Just(vec!["a.b".to_owned()]),
        2 => Just(["", "a", "b", "a.b", "a.b.c", "a.c.b", "ä"].map(str::to_owned).to_vec()),
        2 => (2..3000usize).prop_map(|many| (0..many).map(long_subject).collect()),
    ];
    let message = (
        any::<prop::sample::Index>(),
        prop_oneof![20 => Just(1u64), 1 => 2..20u64, 1 => Just(1 << 20)],
        prop_oneof![6 => 0..1000i64, 1 => -5000..0i64, 1 => Just(0)],
        prop_oneof![8 => 33..200u32, 1 => Just(0u32), 1 => 5000..40_000u32],
    );
    let messages = prop::collection::vec(message, 0..max_messages);
    let deletes = prop_oneof![
        Just(Deletes::None),
        (0..100u32).prop_map(Deletes::Percent),
        Just(Deletes::AllButTheLastOfEach),
        any::<prop::sample::Index>().prop_map(Deletes::Front),
    ];
    let dense = prop::bool::weighted(0.5);
    (subjects, 1..1_000_000u64, messages, deletes, dense).prop_map(
        |(subjects, first_seq, steps, deletes, dense)| {
            let mut messages = BTreeMap::new();
            let (mut at, mut time, mut offset) = (first_seq - 1, 1_000_000, 64);
            for (subject, gap, later, len) in steps {
                at += if dense { 1 } else { gap };
                time += later;
                let subject = subject.get(&subjects).clone();
                messages.insert(at, Message { subject, time: Timestamp(time), offset, len });
                offset += u64::from(len);
            }
            let deleted = deletes.pick(&messages);
            Model { first_seq, messages, deleted }
        },
    )
}

#[derive(Clone, Debug)]
enum Deletes {
    None,
    Percent(u32),
    AllButTheLastOfEach,
    Front(prop::sample::Index),
}

impl Deletes {
    fn pick(&self, messages: &BTreeMap<u64, Message>) -> BTreeSet<u64> {
        let seqs = messages.keys().copied();
        match self {
            Self::None => BTreeSet::new(),
            Self::Percent(percent) => {
                let unlucky =
                    |seq: &u64| seq.wrapping_mul(0x9e37_79b9) >> 7 & 127 < u64::from(*percent);
                seqs.filter(unlucky).collect()
            }
            Self::AllButTheLastOfEach => {
                let last: BTreeMap<&str, u64> =
                    messages.iter().map(|(&seq, it)| (it.subject.as_str(), seq)).collect();
                let kept: BTreeSet<u64> = last.into_values().collect();
                seqs.filter(|seq| !kept.contains(seq)).collect()
            }
            Self::Front(share) => seqs.take(share.index(messages.len() + 1)).collect(),
        }
    }
}

fn long_subject(n: usize) -> String {
    match n % 5 {
        0 => format!("a.{n:024x}"),
        1 => format!("a.shared.prefix.of.some.length.{n}.{}", n % 3),
        2 => format!("a.shared.prefix.of.some.length.{}{n}", "x".repeat(n % 300)),
        3 => format!("b.{}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        _ => format!("a.{n}.b"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_active_index_answers_as_the_messages_do(model in models(1500)) {
        let index = model.active();
        let totals = index.totals();
        prop_assert_eq!(totals.messages, model.messages.len() as u64);
        prop_assert_eq!(totals.bytes, model.messages.values().map(|it| u64::from(it.len)).sum::<u64>());
        prop_assert_eq!(totals.first, model.messages.keys().next().map(|&at| seq(at)));
        prop_assert_eq!(totals.last, model.messages.keys().last().map(|&at| seq(at)));
        prop_assert_eq!(index.deletes(), &model.deletes());

        let spans = model.spans();
        for from in model.places() {
            let found = index.locate(seq(from)).map(|it| (it.seq.get(), it.offset));
            prop_assert_eq!(found, model.messages.get(&from).map(|it| (from, it.offset)));
            prop_assert_eq!(index.first_at_or_after(seq(from)), model.first_at_or_after(from));
        }
        for subject in model.asked_subjects() {
            let span = spans.get(subject.as_str()).copied();
            prop_assert_eq!(index.span(&subject), span);
            prop_assert_eq!(index.first(&subject), span.map(|it| it.first));
            prop_assert_eq!(index.last(&subject), span.map(|it| it.last));
            prop_assert_eq!(index.count(&subject), span.map_or(0, |it| it.count));
            let hits = model.of(|it| it == subject);
            for from in model.places() {
                prop_assert_eq!(index.next(&subject, seq(from)), hits.next(from));
            }
        }
        for filter in filters() {
            let wanted = Wanted::new(&filter, OWN);
            let hits = model.of(|it| wanted.matches(it));
            for from in model.places() {
                prop_assert_eq!(index.next_match(wanted, seq(from)), hits.next(from));
            }
            for after in [None, Some(""), Some("a.b"), Some("a.shared.prefix.of"), Some("zzz")] {
                let found = drain(&mut index.subjects(wanted, after)).unwrap();
                prop_assert_eq!(found, model.subjects(wanted, after));
            }
            let mut found = BTreeMap::new();
            index.for_each_match(wanted, |subject, span| { found.insert(subject.to_owned(), span); });
            prop_assert!(found.into_iter().eq(model.subjects(wanted, None)));
        }
    }

    #[test]
    fn a_search_by_time_starts_a_little_before_the_message(model in models(1500)) {
        let index = model.active();
        let times = model.messages.values().step_by(7).map(|it| it.time.0);
        for time in times.chain([i64::MIN, 0, i64::MAX]).flat_map(|it| [it, it.saturating_add(1)]) {
            let found = index.locate_time(Timestamp(time)).map(|it| it.seq.get());
            let exact = model.at_time(Timestamp(time));
            prop_assert_eq!(found.is_some(), exact.is_some());
            if let (Some(found), Some(exact)) = (found, exact) {
                prop_assert!(found <= exact);
                let (messages, bytes) = model.between(found, exact);
                prop_assert!(messages <= 64 + 10 && bytes < 16 << 10 , "{messages} {bytes}");
            }
        }
    }

    #[test]
    fn deletes_in_any_order_leave_the_same_index(model in models(600), order in any::<u64>()) {
        let mut index = Model { deleted: BTreeSet::new(), ..model.clone() }.active();
        let mut deleted: Vec<u64> = model.deleted.iter().copied().collect();
        deleted.sort_by_key(|seq| seq.wrapping_mul(order | 1));
        for at in deleted {
            prop_assert!(index.delete(seq(at)));
            prop_assert!(!index.delete(seq(at)));
        }
        let filter = Filter::all();
        let wanted = Wanted::new(&filter, OWN);
        prop_assert_eq!(drain(&mut index.subjects(wanted, None)).unwrap(), model.subjects(wanted, None));

        let mut at_once = Model { deleted: BTreeSet::new(), ..model.clone() }.active();
        prop_assert_eq!(at_once.delete_slots(&model.deletes()), model.deleted.len() as u64);
        prop_assert_eq!(at_once.deletes(), index.deletes());
        prop_assert_eq!(drain(&mut at_once.subjects(wanted, None)).unwrap(), model.subjects(wanted, None));
    }

    #[test]
    fn messages_pushed_after_deletes_join_their_subjects(model in models(400), seed in any::<u64>()) {
        let mut now = Model { messages: BTreeMap::new(), deleted: BTreeSet::new(), ..model };
        let mut index = ActiveIndex::new(seq(now.first_seq));
        for (&at, message) in &model.messages {
            let Message { subject, time, offset, len } = message;
            index.push(seq(at), *time, *offset, *len, subject).unwrap();
            now.messages.insert(at, message.clone());
            // Mostly the newest or the oldest of some subject.
            let dice = at.wrapping_mul(seed | 1) >> 13;
            let victim = match dice % 4 {
                0 => now.spans().get(subject.as_str()).map(|it| it.first),
                1 => now.spans().get(subject.as_str()).map(|it| it.last),
                2 => now.first_at_or_after(at - at % 16),
                _ => None,
            };
            if let Some(victim) = victim {
                prop_assert!(index.delete(victim));
                now.deleted.insert(victim.get());
            }
        }
        let filter = Filter::all();
        let wanted = Wanted::new(&filter, OWN);
        prop_assert_eq!(drain(&mut index.subjects(wanted, None)).unwrap(), now.subjects(wanted, None));
        for subject in now.asked_subjects() {
            let hits = now.of(|it| it == subject);
            for from in now.places() {
                prop_assert_eq!(index.next(&subject, seq(from)), hits.next(from));
            }
        }
    }
}
