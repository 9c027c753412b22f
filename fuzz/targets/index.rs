//! Index files: any bytes are an error or a right answer. The input makes a segment's index, asks it,
//! and then damages its file and asks again.
#![no_main]

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pubsub_disk::{Disk, File, Open};
use pubsub_fuzz::Input;
use pubsub_sim::SimDisk;
use pubsub_storage::index::{
    ActiveIndex, SealedIndex, SealedIndexBuilder, SegmentDigest, SegmentId, SlotSet, SubjectCursor,
    Wanted,
};
use pubsub_types::{Filter, LogIndex, Seq, Timestamp};

const FIRST: u64 = 5;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(set) = SlotSet::decode(bytes) {
        assert_eq!(set.encode(), bytes);
    }
    let file = file();
    file.write_at(&[IoSlice::new(bytes)], 0).expect("the disk is well");
    if let Ok(index) = SealedIndex::open(file.clone(), id()) {
        let _answers = ask(&index, &["a", "b.c"], &SlotSet::new());
    }
    made(bytes).expect("the disk is well");
});

fn made(bytes: &[u8]) -> io::Result<()> {
    let mut input = Input(bytes);
    let cuts = [input.byte(), input.byte()];
    let (at, xor) = (input.number(), input.byte());
    let mut active = ActiveIndex::new(seq(FIRST));
    let (mut number, mut offset) = (FIRST, 64);
    let mut subjects: Vec<String> = Vec::new();
    while !input.is_empty() && subjects.len() < 2000 {
        let how = input.byte();
        let subject = match how & 3 {
            0 => String::new(),
            1 => subjects.get(input.number() % subjects.len().max(1)).cloned().unwrap_or_default(),
            _ => String::from_utf8_lossy(input.some()).into_owned(),
        };
        number += u64::from(how >> 6);
        let len = 32 + u32::from(how);
        let time = Timestamp(i64::from(how) << 20);
        if active.push(seq(number), time, offset, len, &subject).is_err() {
            break;
        }
        offset += u64::from(len);
        number += 1;
        subjects.push(subject);
    }
    let mut deletes = SlotSet::new();
    deletes.insert_range(u32::from(cuts[0])..=u32::from(cuts[0]) + u32::from(cuts[1] & 7));
    active.delete_slots(&deletes);
    let file = file();
    let digest = SegmentDigest { len_bytes: offset, hash: 1 };
    let written = SealedIndexBuilder::new(&active, id(), digest).write(&*file)?;
    let asked: Vec<&str> = subjects.iter().map(String::as_str).take(20).chain(["no"]).collect();
    let sealed = SealedIndex::open(file.clone(), id()).expect("it was just written");
    sealed.verify().expect("it was just written");
    let right = ask(&sealed, &asked, &deletes).expect("it was just written");

    // One flipped byte, or a file cut short: a wrong answer is worse than none.
    let mut byte = [0];
    let at = at as u64 % written;
    file.read_at(&mut byte, at)?;
    if xor == 0 {
        file.set_len(at)?;
    } else {
        file.write_at(&[IoSlice::new(&[byte[0] ^ xor])], at)?;
    }
    if let Ok(damaged) = SealedIndex::open(file, id()) {
        if let Some(found) = ask(&damaged, &asked, &deletes) {
            assert_eq!(found, right);
        }
    }
    Ok(())
}

/// Every question, and its answers; `None` when one of them is an error.
fn ask(index: &SealedIndex, subjects: &[&str], deletes: &SlotSet) -> Option<Vec<String>> {
    let mut answers = Vec::new();
    let mut failed = false;
    let mut note = |answer: Result<String, ()>| match answer {
        Ok(answer) => answers.push(answer),
        Err(()) => failed = true,
    };
    fn said<T: std::fmt::Debug, E>(answer: Result<T, E>) -> Result<String, ()> {
        answer.map(|answer| format!("{answer:?}")).map_err(|_| ())
    }
    note(Ok(format!("{:?} {}", index.totals(), index.subject_count())));
    note(said(index.deletes().map(|set| set.encode())));
    for number in [1, FIRST, FIRST + 3, FIRST + 1000, u64::MAX] {
        note(said(index.locate_block(seq(number))));
        note(said(index.first_at_or_after(seq(number), deletes)));
        let time = Timestamp((number << 18).cast_signed());
        note(said(index.locate_time(time)));
    }
    for subject in subjects {
        note(said(index.span(subject, deletes)));
        note(said(index.first(subject, deletes)));
        note(said(index.last(subject, deletes)));
        note(said(index.count(subject, deletes)));
        note(said(index.next(subject, seq(FIRST + 2), deletes)));
    }
    for filter in [">", "a.>", "*", "a"] {
        let filter = Filter::new(filter).expect("a plain filter");
        let wanted = Wanted::new(&filter, "orders");
        note(said(index.next_match(wanted, seq(FIRST + 1), deletes)));
        note(said(index.matches(wanted).map(|found| found.count())));
        note(said(names(index, wanted, deletes)));
    }
    (!failed).then_some(answers)
}

fn names(index: &SealedIndex, wanted: Wanted<'_>, deletes: &SlotSet) -> Result<Vec<String>, ()> {
    let mut cursor = index.subjects(wanted, None, deletes).map_err(|_| ())?;
    let mut names = Vec::new();
    while cursor.advance().map_err(|_| ())? {
        names.extend(cursor.current().map(|(name, span)| format!("{name} {span:?}")));
    }
    Ok(names)
}

fn file() -> Arc<dyn File> {
    SimDisk::new(1).open(Path::new("x.idx"), Open::Create).expect("the disk is empty")
}

fn id() -> SegmentId {
    SegmentId { log_id: 7, first_index: LogIndex(FIRST), first_seq: seq(FIRST) }
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap_or(Seq::FIRST)
}
