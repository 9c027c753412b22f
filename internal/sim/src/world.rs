//! The state behind a simulated disk, and the one gate that every operation passes.
//!
//! ```text
//!   operation ──▶ stopped? ──▶ count the step ──▶ crash here? ──▶ fault here? ──▶ effect
//! ```

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use pubsub_disk::{DiskError, Operation};

use crate::fate::Fates;
use crate::trace::{Event, Outcome, Trace, digest};
use crate::tree::{Ino, Tree};
use crate::{Crashed, Directories, Fault, InFlight, Loss, Op, Rng, Survival};

/// Everything there is to a disk.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) tree: Tree,
    pub(crate) rng: Rng,
    pub(crate) directories: Directories,
    pub(crate) garbage: bool,
    pub(crate) reads_are_steps: bool,
    pub(crate) quota: Option<u64>,
    pub(crate) now_nanos: i64,
    /// How often the process was started. What was opened in another life is dead.
    pub(crate) life: u64,
    pub(crate) stopped: bool,
    pub(crate) locks: BTreeSet<Ino>,
    pub(crate) steps: u64,
    pub(crate) crash_plan: Option<CrashPlan>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) counts: [u64; Op::ALL.len()],
    pub(crate) bytes_written: u64,
    pub(crate) trace: Trace,
}

/// Where the machine stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrashPlan {
    pub(crate) step: u64,
    /// What becomes of that step; unsaid, the seed decides.
    pub(crate) in_flight: Option<InFlight>,
}

/// How much of an operation takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// Only of writes and syncs.
    Part,
    /// Of a sync that fails.
    Broken(Loss),
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            tree: Tree::new(),
            rng: Rng::new(seed),
            directories: Directories::Strict,
            garbage: false,
            reads_are_steps: false,
            quota: None,
            now_nanos: 0,
            life: 1,
            stopped: false,
            locks: BTreeSet::new(),
            steps: 0,
            crash_plan: None,
            faults: Vec::new(),
            counts: [0; Op::ALL.len()],
            bytes_written: 0,
            trace: Trace::default(),
        }
    }

    /// Passes one operation through the gate.
    pub(crate) fn act<T>(
        &mut self,
        operation: Operation,
        path: &Arc<str>,
        bytes: &[u8],
        effect: impl FnOnce(&mut Self, Extent) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.stopped {
            return Err(wrap(operation, path, Crashed.into()));
        }
        let op = Op::of(&operation);
        self.counts[op as usize] += 1;
        let is_step = self.reads_are_steps || !op.is_read();
        self.steps += u64::from(is_step);
        let step = is_step.then_some(self.steps);

        let (result, outcome) = if let Some(in_flight) = self.crash_due(is_step) {
            if let Some(extent) = self.extent_in_flight(op, in_flight) {
                // Nobody is there to hear how it ended.
                drop(effect(self, extent));
            }
            self.stopped = true;
            (Err(Crashed.into()), Outcome::Stopped(in_flight))
        } else if let Some(fault) = self.fault_due(op, path) {
            if let Some(extent) = self.extent_failing(op, &fault) {
                // What it would have answered, the fault's error replaces.
                drop(effect(self, extent));
            }
            let error = fault.error();
            let outcome = Outcome::Failed(error.kind());
            (Err(error), outcome)
        } else {
            let result = effect(self, Extent::Whole);
            let outcome =
                result.as_ref().map_or_else(|e| Outcome::Refused(e.kind()), |_| Outcome::Ok);
            (result, outcome)
        };

        let digest = if op == Op::Write { digest(bytes) } else { 0 };
        match result {
            Ok(value) => {
                let path = Arc::clone(path);
                self.trace.push(Event::Done { step, operation, path, digest, outcome });
                Ok(value)
            }
            Err(error) => {
                let event = Event::Done {
                    step,
                    operation: operation.clone(),
                    path: Arc::clone(path),
                    digest,
                    outcome,
                };
                self.trace.push(event);
                Err(wrap(operation, path, error))
            }
        }
    }

    fn crash_due(&mut self, is_step: bool) -> Option<InFlight> {
        let plan = self.crash_plan.filter(|plan| is_step && plan.step == self.steps)?;
        self.crash_plan = None;
        let any = [InFlight::Nothing, InFlight::Part, InFlight::Whole];
        Some(plan.in_flight.unwrap_or_else(|| any[self.rng.index(any.len())]))
    }

    fn fault_due(&mut self, op: Op, path: &str) -> Option<Fault> {
        let mut due = None;
        for fault in &mut self.faults {
            // Each is asked, because each counts what passes it.
            if fault.comes_up(op, path) && due.is_none() {
                fault.strike();
                due = Some(fault.clone());
            }
        }
        self.faults.retain(|fault| !fault.is_spent());
        due
    }

    fn extent_in_flight(&mut self, op: Op, in_flight: InFlight) -> Option<Extent> {
        match in_flight {
            InFlight::Nothing => None,
            InFlight::Part => self.extent_of_part(op),
            InFlight::Whole => Some(Extent::Whole),
        }
    }

    fn extent_failing(&mut self, op: Op, fault: &Fault) -> Option<Extent> {
        match op {
            Op::Sync => Some(Extent::Broken(fault.loss())),
            Op::SyncDir => Some(Extent::Part),
            op if fault.is_half_way() => self.extent_of_part(op),
            _ => None,
        }
    }

    /// What has no parts happens or does not.
    fn extent_of_part(&mut self, op: Op) -> Option<Extent> {
        match op {
            Op::Write | Op::Sync | Op::SyncDir => Some(Extent::Part),
            _ => self.rng.coin().then_some(Extent::Whole),
        }
    }

    /// Bytes that can still be written.
    pub(crate) fn room_left(&self) -> u64 {
        self.quota.map_or(u64::MAX, |quota| quota.saturating_sub(self.tree.room_used()))
    }

    pub(crate) fn count(&self, op: Op) -> u64 {
        self.counts[op as usize]
    }

    /// The power goes and comes back.
    pub(crate) fn reboot(&mut self, survival: Survival) {
        let mut fates = Fates::new(survival);
        self.trace.push(Event::Note(format!("reboot, surviving: {survival:?}")));
        self.tree.settle(&mut fates, self.directories, self.garbage);
        if matches!(survival, Survival::Chance(_)) {
            self.rng = fates.rng;
        }
        for (path, file) in self.tree.walk(true) {
            self.trace.push(Event::Left { path, content: file.content.durable().clone() });
        }
        self.begin_life();
    }

    /// The process goes and is started again; what the kernel holds stays.
    pub(crate) fn restart(&mut self) {
        self.trace.push(Event::Note("restart".to_owned()));
        self.tree.close_all();
        self.begin_life();
    }

    fn begin_life(&mut self) {
        self.life += 1;
        self.stopped = false;
        self.crash_plan = None;
        self.locks.clear();
    }

    /// As a copy begins: the same disk, in a process of its own, with nothing planned or counted.
    pub(crate) fn branch(&self, seed: u64) -> Self {
        let mut copy = Self {
            rng: Rng::new(seed),
            steps: 0,
            crash_plan: None,
            faults: Vec::new(),
            counts: [0; Op::ALL.len()],
            bytes_written: 0,
            trace: Trace::default(),
            tree: self.tree.clone(),
            locks: BTreeSet::new(),
            ..*self
        };
        let stopped = mem::replace(&mut copy.stopped, false);
        copy.tree.close_all();
        copy.begin_life();
        copy.stopped = stopped;
        copy
    }
}

pub(crate) fn wrap(operation: Operation, path: &str, error: io::Error) -> io::Error {
    DiskError::wrap(operation, Path::new(path), error)
}
