//! What must hold whenever a channel is looked at: one promise a file.

pub(crate) mod acked;
pub(crate) mod deletes;
pub(crate) mod index;
pub(crate) mod invented;
pub(crate) mod order;
pub(crate) mod positions;

use crate::model::{Ending, Model};
use crate::plan::Plan;
use crate::see::Seen;

/// One look at a channel.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) plan: &'a Plan,
    /// What was known before.
    pub(crate) model: &'a Model,
    pub(crate) seen: &'a Seen,
    /// What happened since the last look.
    pub(crate) ending: Ending,
    /// The latest time that limits on age were told, in nanoseconds.
    pub(crate) now: i64,
    /// Every subscriber has handled the messages up to this one; 0 without subscribers.
    pub(crate) consumed: u64,
}

impl Look<'_> {
    pub(crate) fn check(self) {
        invented::check(self);
        acked::check(self);
        deletes::check(self);
        order::check(self);
    }
}
