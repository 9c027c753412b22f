//! No record is invented, and none comes back from the dead.
//!
//! What a failed publish left behind may be found after a crash, whole; while the process lives nobody
//! sees it. What an opening did not find is never found again.

use crate::model::{Ending, State};
use crate::promises::Look;

pub(crate) fn check(look: Look<'_>) {
    for (seq, nth) in &look.seen.records {
        let rec = &look.model.recs[*nth];
        assert!(rec.state != State::Lost, "invented: message {seq} was gone, and is back");
        if look.ending == Ending::Running {
            assert!(
                rec.state == State::Acked,
                "invented: message {seq} is read, but its publisher was told {:?}",
                rec.state
            );
        }
    }
}
