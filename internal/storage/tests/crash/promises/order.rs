//! Order and density: sequences are dense, and what is missing is told of.
//!
//! A gap appears only where something was lost: never over what must be there, and without damage only
//! over what a power cut took from `periodic` and `none`, or what was in flight when it came.

use crate::model::{Ending, Rec, State, Verdict};
use crate::promises::{Look, deletes};

pub(crate) fn check(look: Look<'_>) {
    let Look { model, seen, ending, .. } = look;
    for seq in &seen.gaps {
        let lost = |rec: &&Rec| rec.seq == *seq && may_be_lost(rec, ending);
        assert!(
            model.voids.contains(seq) || model.recs.iter().any(|rec| lost(&rec)),
            "order: a gap at {seq} after {ending:?}, where nothing can have been lost"
        );
    }
    for seq in seen.first..=seen.last {
        if seen.misses(seq) {
            silence_is_due(look, seq);
        }
    }
    for rec in &model.recs {
        if model.must_be(rec, ending) {
            assert!(
                rec.seq <= seen.last,
                "order: {} was acknowledged and can be given out again: the log ends at {}",
                rec.seq,
                seen.last
            );
        }
    }
}

/// What is neither given nor told of was deleted.
pub(crate) fn silence_is_due(look: Look<'_>, seq: u64) {
    let Look { model, ending, .. } = look;
    if model.holes.contains(&seq) || model.named.contains(&seq) {
        return;
    }
    let mut recs = model.recs.iter().filter(|rec| rec.seq == seq);
    assert!(
        recs.any(|rec| model.deleted(rec, ending) != Verdict::No || deletes::displaced(look, rec)),
        "order: {seq} is passed silently after {ending:?}, and was not deleted"
    );
}

fn may_be_lost(rec: &Rec, ending: Ending) -> bool {
    match (ending, rec.state) {
        (Ending::Cut, State::Waiting | State::Failed) => true,
        (Ending::Cut, State::Acked) => !rec.firm.durable,
        _ => false,
    }
}
