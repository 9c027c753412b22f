//! A sealed index gives the answers of the messages themselves, at the price it promises.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;
use pubsub_disk::File;
use pubsub_types::{Filter, LogIndex, Timestamp};

use super::model::{Message, Model, OWN, drain, filters, models, seq};
use super::{
    ActiveIndex, IndexError, SealedIndex, SealedIndexBuilder, SegmentDigest, SegmentId, SlotSet,
    Wanted,
};

/// A file in memory that remembers what was read of it.
#[derive(Debug, Default)]
pub(super) struct MemFile {
    bytes: Mutex<Vec<u8>>,
    reads: Mutex<Vec<(u64, usize)>>,
}

impl MemFile {
    pub(super) fn of(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::new(bytes.to_vec()), reads: Mutex::default() })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }

    /// What was read since this was last asked.
    fn take_reads(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut *self.reads.lock())
    }
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.reads.lock().push((at, buf.len()));
        let bytes = self.bytes.lock();
        let from = bytes.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<()> {
        let (mut bytes, at) = (self.bytes.lock(), usize::try_from(at).unwrap());
        let part: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let end = bytes.len().max(at + part.len());
        bytes.resize(end, 0);
        bytes[at..at + part.len()].copy_from_slice(&part);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }
}

pub(super) fn id(first_seq: u64) -> SegmentId {
    SegmentId {
        log_id: 0x0123_4567_89ab_cdef << 60,
        first_index: LogIndex(77),
        first_seq: seq(first_seq),
    }
}

pub(super) const DIGEST: SegmentDigest = SegmentDigest { len_bytes: 4711, hash: 12 };

pub(super) fn seal(active: &ActiveIndex) -> Vec<u8> {
    let file = MemFile::default();
    let id = id(active.first_seq().get());
    let len = SealedIndexBuilder::new(active, id, DIGEST).write(&file).unwrap();
    assert_eq!(len, file.len().unwrap());
    file.bytes()
}

pub(super) fn open(
    bytes: &[u8],
    first_seq: u64,
) -> (Arc<MemFile>, Result<SealedIndex, IndexError>) {
    let file = MemFile::of(bytes);
    (file.clone(), SealedIndex::open(file, id(first_seq)))
}

/// A segment of `messages` with one message each of `subject(n)`.
pub(super) fn segment(messages: u64, subject: impl Fn(u64) -> String) -> Model {
    let message = |n: u64| Message {
        subject: subject(n),
        time: Timestamp(i64::try_from(n).unwrap() * 1000),
        offset: n * 160,
        len: 160,
    };
    let messages = (0..messages).map(|n| (n + 1, message(n))).collect();
    Model { first_seq: 1, messages, deleted: [].into() }
}

pub(super) type Answer = Result<String, IndexError>;

/// Every kind of question, all over the segment.
pub(super) fn ask_all(index: &SealedIndex, model: &Model, deletes: &SlotSet) -> Vec<Answer> {
    fn say<T: Debug>(answer: Result<T, IndexError>) -> Answer {
        answer.map(|answer| format!("{answer:?}"))
    }
    let mut answers = vec![say(index.deletes()), say(Ok(index.totals()))];
    let places: Vec<u64> = model.places().into_iter().step_by(5).collect();
    for &from in &places {
        answers.push(say(index.locate_block(seq(from))));
        answers.push(say(index.first_at_or_after(seq(from), deletes)));
    }
    for message in model.messages.values().step_by(31) {
        answers.push(say(index.locate_time(message.time)));
    }
    for subject in model.asked_subjects() {
        answers.push(say(index.span(&subject, deletes)));
        answers.push(say(index.last(&subject, deletes)));
        answers.extend(places.iter().map(|&from| say(index.next(&subject, seq(from), deletes))));
    }
    for filter in filters() {
        let wanted = Wanted::new(&filter, OWN);
        answers.push(say(index.matches(wanted)));
        answers
            .extend(places.iter().map(|&from| say(index.next_match(wanted, seq(from), deletes))));
        for after in [None, Some("a.shared.prefix.of")] {
            answers.push(say(index
                .subjects(wanted, after, deletes)
                .and_then(|mut cursor| drain(&mut cursor))));
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_sealed_index_answers_as_the_messages_do(model in models(1500), later in 0..40u64) {
        let active = model.active();
        let index = open(&seal(&active), model.first_seq).1.unwrap();
        prop_assert_eq!(index.deletes().unwrap(), model.deletes());
        prop_assert_eq!(index.totals(), active.totals());
        prop_assert_eq!(index.digest(), DIGEST);
        prop_assert_eq!(index.subject_count(), model.spans().len().max(usize::from(
            active.chains().is_none() && !model.messages.is_empty())) as u64);

        // Messages go on being deleted behind a sealed index.
        let mut model = model;
        let more = model.messages.keys().filter(|&seq| seq.wrapping_mul(0x9e37_79b9) >> 5 & 63 < later);
        model.deleted.extend(more.copied().collect::<Vec<_>>());
        // What was deleted may have been lost as well; it is not to be counted off twice.
        let mut deletes = model.deletes();
        let lost = model.places().into_iter().filter(|at| !model.messages.contains_key(at));
        let slots = lost.filter_map(|at| u32::try_from(at.checked_sub(model.first_seq)?).ok());
        slots.for_each(|slot| { deletes.insert(slot); });
        let (model, deletes) = (&model, &deletes);

        let spans = model.spans();
        for from in model.places() {
            prop_assert_eq!(
                index.first_at_or_after(seq(from), deletes).unwrap(),
                model.first_at_or_after(from)
            );
            let found = index.locate_block(seq(from)).unwrap();
            prop_assert_eq!(found.is_some(), !model.messages.is_empty() && from <= model.last_seq());
            if let Some(found) = found {
                prop_assert_eq!(model.messages[&found.seq.get()].offset, found.offset);
                prop_assert!(found.seq.get() <= from || model.messages.keys().next() == Some(&found.seq.get()));
                let (messages, bytes) = model.between(found.seq.get(), from.max(found.seq.get()));
                prop_assert!(messages <= 64 + 10 && bytes < 16 << 10, "{messages} {bytes}");
            }
        }
        for time in model.messages.values().step_by(7).map(|it| it.time.0).chain([i64::MIN, i64::MAX]) {
            for time in [time, time.saturating_add(1)].map(Timestamp) {
                prop_assert_eq!(index.locate_time(time).unwrap(), active.locate_time(time));
            }
        }
        for subject in model.asked_subjects() {
            let span = spans.get(subject.as_str()).copied();
            prop_assert_eq!(index.span(&subject, deletes).unwrap(), span);
            prop_assert_eq!(index.first(&subject, deletes).unwrap(), span.map(|it| it.first));
            prop_assert_eq!(index.last(&subject, deletes).unwrap(), span.map(|it| it.last));
            prop_assert_eq!(index.count(&subject, deletes).unwrap(), span.map_or(0, |it| it.count));
            let hits = model.of(|it| it == subject);
            for from in model.places() {
                let found = index.next(&subject, seq(from), deletes).unwrap();
                prop_assert_eq!(found, hits.next(from));
            }
        }
        for filter in filters() {
            let wanted = Wanted::new(&filter, OWN);
            let matches = index.matches(wanted).unwrap();
            let hits = model.of(|it| wanted.matches(it));
            for from in model.places() {
                let next = hits.next(from);
                prop_assert_eq!(index.next_match(wanted, seq(from), deletes).unwrap(), next);
                prop_assert_eq!(matches.next(seq(from), deletes), next);
            }
            for after in [None, Some(""), Some("a.b"), Some("a.shared.prefix.of"), Some("zzz")] {
                let found = drain(&mut index.subjects(wanted, after, deletes).unwrap()).unwrap();
                prop_assert_eq!(found, model.subjects(wanted, after));
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_index_built_again_is_the_same_file(model in models(800)) {
        let first = seal(&model.active());
        let mut again = Model { deleted: [].into(), ..model.clone() }.active();
        again.delete_slots(&open(&first, model.first_seq).1.unwrap().deletes().unwrap());
        prop_assert_eq!(seal(&again), first);
    }
}

#[test]
fn opening_reads_the_header_and_an_absent_subject_nothing_more_than_the_filter() {
    let model = segment(20_000, |n| format!("orders.{n}"));
    let (file, index) = open(&seal(&model.active()), 1);
    let index = index.unwrap();
    assert_eq!(file.take_reads(), [(0, 256)]);

    let none = SlotSet::new();
    assert_eq!(index.last("orders.77", &none).unwrap(), Some(seq(78)));
    assert_eq!(file.take_reads().len(), 3, "filter, directory, one block");
    assert_eq!(index.last("orders.78", &none).unwrap(), Some(seq(79)));
    let [(_, len)] = file.take_reads()[..] else { panic!("one block") };
    assert!(len <= 4096, "{len}");

    for n in 20_000..30_000 {
        assert_eq!(index.last(&format!("orders.{n}"), &none).unwrap(), None);
    }
    let wrong = file.take_reads().len();
    assert!(wrong < 200, "{wrong} of 10000 absent subjects were read for");
}

#[test]
fn memory_is_two_bytes_a_subject_and_can_be_given_back() {
    let model = segment(20_000, |n| format!("{:024x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let index = open(&seal(&model.active()), 1).1.unwrap();
    let empty = index.memory_bytes();
    assert!(empty < 512, "{empty}");
    let _span = index.span("x", &SlotSet::new()).unwrap();
    let full = index.memory_bytes();
    assert!(full > 25_000 && full < 40_000, "{full}");
    index.evict();
    assert_eq!(index.memory_bytes(), empty);
    assert_eq!(index.matches(Wanted::new(&Filter::all(), OWN)).unwrap().count(), 20_000);
}

#[test]
fn a_channel_with_its_own_subject_only_says_nothing_about_subjects() {
    let model = segment(100_000, |_| String::new());
    let active = model.active();
    // Four bytes a message for where it is, and a quarter for the points.
    assert!(active.memory_bytes() < 450_000, "{}", active.memory_bytes());
    let bytes = seal(&active);
    assert!(bytes.len() < 27_000, "{}", bytes.len());
    let index = open(&bytes, 1).1.unwrap();
    let mut deletes = SlotSet::new();
    deletes.insert_range(0..=9);
    let span = index.span("", &deletes).unwrap().unwrap();
    assert_eq!((span.first, span.last, span.count), (seq(11), seq(100_000), 99_990));
    assert_eq!(index.subject_count(), 1);
}

#[test]
fn the_next_message_of_a_busy_subject_is_found_without_reading_all_of_them() {
    let model =
        segment(300_000, |n| if n % 3 == 0 { "busy".into() } else { format!("s.{}", n % 2) });
    let (file, index) = open(&seal(&model.active()), 1);
    let (index, none) = (index.unwrap(), SlotSet::new());
    let busy = model.of(|it| it == "busy");
    let _warm = index.first("busy", &none).unwrap();
    for from in [2, 100_000, 299_990] {
        file.take_reads();
        assert_eq!(index.next("busy", seq(from), &none).unwrap(), busy.next(from));
        let reads = file.take_reads().len();
        // A block of subjects, and a search among 25 pages.
        assert!(reads <= 8, "{reads}");
    }
}

#[test]
fn a_search_in_a_long_list_may_start_anywhere() {
    let model =
        segment(30_000, |n| if n % 3 == 0 { "busy".into() } else { format!("s.{}", n % 2) });
    let bytes = seal(&model.active());
    let (index, none) = (open(&bytes, 1).1.unwrap(), SlotSet::new());
    let busy = model.of(|it| it == "busy");
    // A page has the gaps of about 4085 messages, and every third is in the list.
    for from in (12_000..12_600).chain(24_300..24_900).chain((1..30_000).step_by(97)) {
        assert_eq!(index.next("busy", seq(from), &none).unwrap(), busy.next(from));
    }
}

#[test]
fn messages_deleted_before_the_seal_are_left_out() {
    let mut model = segment(30_000, |n| format!("s.{}", n % 2));
    model.deleted = (1..=30_000).filter(|at| at % 10 != 0 && at % 13 != 0).collect();
    let index = open(&seal(&model.active()), 1).1.unwrap();
    let filter = Filter::new("s.*").unwrap();
    let kept = 30_000 - model.deleted.len() as u64;
    assert_eq!(index.matches(Wanted::new(&filter, OWN)).unwrap().count(), kept);
}

#[test]
fn a_device_that_refuses_is_not_taken_for_damage() {
    #[derive(Debug)]
    struct Broken(Arc<MemFile>);
    impl File for Broken {
        fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
            if at == 0 { self.0.read_at(buf, at) } else { Err(io::Error::other("worn out")) }
        }
        fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<()> {
            Err(io::Error::other("worn out"))
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
    }
    let active = segment(3, |n| n.to_string()).active();
    let broken = Broken(MemFile::of(&seal(&active)));
    assert!(SealedIndexBuilder::new(&active, id(1), DIGEST).write(&broken).is_err());
    let index = SealedIndex::open(Arc::new(broken), id(1)).unwrap();
    let error = index.last("1", &SlotSet::new()).unwrap_err();
    assert!(matches!(error, IndexError::Io { .. }), "{error:?}");
    assert!(!error.wants_rebuild());
}
