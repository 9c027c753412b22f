//! Deletes, trims and limits that were acknowledged stay so, and nothing else is deleted.

use crate::model::{Ending, Model, Rec, State, Verdict};
use crate::promises::Look;

pub(crate) fn check(look: Look<'_>) {
    let Look { model, seen, ending, plan, .. } = look;
    for (seq, nth) in &seen.records {
        let rec = &model.recs[*nth];
        assert!(
            model.deleted(rec, ending) != Verdict::Yes,
            "deletes: message {seq} was deleted ({:?}) and is there after {ending:?}",
            rec.gone
        );
    }
    // What is beyond a limit is displaced by the very batch that exceeds it.
    if ending != Ending::Running
        || model.limited.is_empty()
        || model.waiting() > 0
        || model.estimated
    {
        return;
    }
    let limits = plan.config.limits;
    let count = seen.records.len() as u64;
    let max = limits.max_messages;
    assert!(max == 0 || count <= max, "deletes: {count} messages exceed the limit of {max}");
    let max = limits.max_messages_per_subject;
    for subject in model.limited.iter().copied() {
        let of_subject = |nth: &&usize| model.recs[**nth].subject == subject;
        let count = seen.records.values().filter(of_subject).count() as u64;
        assert!(max == 0 || count <= max, "deletes: {count} messages of {subject:?} exceed {max}");
    }
}

/// Whether a limit may have deleted this: enough came after it.
pub(crate) fn displaced(look: Look<'_>, rec: &Rec) -> bool {
    let Look { plan, model, .. } = look;
    let limits = plan.config.limits;
    if limits.max_messages > 0 && model.highest - rec.seq >= limits.max_messages {
        return true;
    }
    let later = || model.recs.iter().filter(|later| later.seq > rec.seq);
    if limits.max_messages_per_subject > 0 {
        let mut seqs: Vec<u64> =
            later().filter(|later| later.subject == rec.subject).map(|later| later.seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        if seqs.len() as u64 >= limits.max_messages_per_subject {
            return true;
        }
    }
    if limits.max_bytes > 0 {
        // What a record takes on disk beside its payload, generously; encoded twice as long.
        let bytes: usize = later().map(|later| 2 * later.payload.len() + 400).sum();
        if bytes as u64 >= limits.max_bytes / 2 {
            return true;
        }
    }
    let age = i64::try_from(limits.max_age.as_nanos()).unwrap();
    if age > 0 && rec.time < look.now - age {
        return true;
    }
    plan.config.compaction_threshold_bytes > 0
        && rec.state == State::Acked
        && rec.seq <= look.consumed
}

/// What `max_bytes` counts is near what there is; where some of a segment are deleted, it is estimated.
pub(crate) fn bytes_are_about_right(model: &Model, bytes: u64) {
    let live = model.live();
    let payloads: u64 = live.iter().map(|rec| rec.payload.len() as u64).sum();
    let most = 2 * payloads + 1000 * live.len() as u64 + 2000;
    assert!(bytes <= most, "deletes: {} messages of {payloads} bytes count {bytes}", live.len());
}
