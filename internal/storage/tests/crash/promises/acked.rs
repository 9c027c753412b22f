//! Nothing acknowledged is lost.
//!
//! `architecture.md` 10: a process killed at any instruction loses nothing under any policy; a power cut
//! loses nothing under `always`, and under `periodic` at most what was acknowledged since the last sync.

use crate::model::{Rec, Verdict};
use crate::promises::{Look, deletes};

pub(crate) fn check(look: Look<'_>) {
    for (nth, rec) in look.model.recs.iter().enumerate() {
        let there = look.seen.records.get(&rec.seq) == Some(&nth);
        if there || !look.model.must_be(rec, look.ending) {
            continue;
        }
        assert!(
            excused(look, rec),
            "acked: message {} was acknowledged ({:?}) and is not there after {:?}; at its place: {}",
            rec.seq,
            rec.firm,
            look.ending,
            at_its_place(look, rec.seq)
        );
    }
}

/// It was deleted, by a command or a limit.
fn excused(look: Look<'_>, rec: &Rec) -> bool {
    !look.seen.gaps.contains(&rec.seq)
        && !look.seen.records.contains_key(&rec.seq)
        && (look.model.deleted(rec, look.ending) != Verdict::No || deletes::displaced(look, rec))
}

fn at_its_place(look: Look<'_>, seq: u64) -> String {
    match look.seen.records.get(&seq) {
        Some(other) => format!("record {other} ({:?})", look.model.recs[*other].state),
        None if look.seen.gaps.contains(&seq) => "a gap".to_owned(),
        None if seq > look.seen.last => format!("nothing; the log ends at {}", look.seen.last),
        None => format!("nothing; the log starts at {}", look.seen.first),
    }
}
