//! What a history knows of a channel: what it appended and deleted, what it was told became of that,
//! and what it therefore may demand.

use std::collections::{BTreeMap, BTreeSet};

use pubsub_storage::{CommitError, Ticket};
use pubsub_types::Filter;

use crate::see::Seen;

/// How the time since the last look at a channel ended. Later ones forgive more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// It did not: the same process goes on.
    Running,
    /// The store was closed, and said that all went well.
    Clean,
    /// The process was killed; the kernel kept what it was given.
    Kill,
    /// The power went.
    Cut,
}

/// What the publisher of a record, or the giver of a command, was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Acked,
    /// Told that it failed, or never told.
    Failed,
    /// Not there after an opening: it must never come back.
    Lost,
}

/// What can be said of something acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Firm {
    /// It outlives a power cut.
    pub(crate) durable: bool,
    /// It was read back after a process died that knew of a failed sync: Linux showed it, and nobody
    /// can know whether the platter has it. No later sync changes that.
    pub(crate) tainted: bool,
}

/// A message that was appended.
#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub(crate) seq: u64,
    pub(crate) subject: &'static str,
    pub(crate) time: i64,
    pub(crate) payload: Vec<u8>,
    pub(crate) state: State,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) firm: Firm,
    /// It was deleted, by a command or a limit, and how firmly.
    pub(crate) gone: Option<Firm>,
}

/// A command to delete.
#[derive(Clone, Debug)]
pub(crate) struct Deletion {
    pub(crate) runs: Vec<(u64, u64)>,
    pub(crate) state: State,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) firm: Firm,
}

/// What is demanded of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    No,
    Maybe,
    Yes,
}

/// One incarnation of a channel.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) recs: Vec<Rec>,
    by_payload: BTreeMap<Vec<u8>, usize>,
    pub(crate) deletions: Vec<Deletion>,
    /// Sequences that were found to be unreadable, once.
    pub(crate) voids: BTreeSet<u64>,
    /// There were some, once: since then the engine's counts are estimates.
    pub(crate) estimated: bool,
    /// Sequences that are silently passed, and have been before.
    pub(crate) holes: BTreeSet<u64>,
    /// Of those that were unreadable: named by a deletion since.
    pub(crate) named: BTreeSet<u64>,
    /// Highest sequence ever given out.
    pub(crate) highest: u64,
    /// Records from here on were appended after the last failure that makes files suspect; `None`
    /// when there was none that is not known to be repaired.
    pub(crate) suspect: Option<usize>,
    /// Unresolved: the first that may be.
    open: usize,
    pub(crate) counters: Counters,
    /// Subjects that were published to since the channel was opened: limits hold for them.
    pub(crate) limited: BTreeSet<&'static str>,
}

/// What the channel's counters were at the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) failures: u64,
    pub(crate) rolled: u64,
}

const SOFT: Firm = Firm { durable: false, tainted: false };

impl Model {
    pub(crate) fn append(&mut self, rec: Rec) {
        self.highest = self.highest.max(rec.seq);
        self.by_payload.insert(rec.payload.clone(), self.recs.len());
        self.recs.push(rec);
    }

    pub(crate) fn find(&self, payload: &[u8]) -> Option<usize> {
        self.by_payload.get(payload).copied()
    }

    pub(crate) fn delete(&mut self, runs: Vec<(u64, u64)>, ticket: Ticket) {
        let ticket = Some(ticket);
        let is_named = |seq: &u64| runs.iter().any(|(a, b)| (*a..=*b).contains(seq));
        self.named.extend(self.voids.iter().copied().filter(is_named));
        self.deletions.push(Deletion { runs, state: State::Waiting, ticket, firm: SOFT });
    }

    /// Takes note of what tickets say by now. `always`: what is acknowledged is durable.
    pub(crate) fn resolve(&mut self, always: bool) {
        let firm = Firm { durable: always, tainted: false };
        let mut still_open = self.recs.len();
        for (nth, rec) in self.recs.iter_mut().enumerate().skip(self.open) {
            let Some(result) = rec.ticket.as_ref().map(Ticket::result) else { continue };
            match result {
                None => still_open = still_open.min(nth),
                Some(result) => {
                    rec.state = told(&result);
                    rec.ticket = None;
                    rec.firm = firm;
                    if result.is_ok() {
                        self.limited.insert(rec.subject);
                        // A fresh segment was begun before this could be stored.
                        self.suspect = self.suspect.filter(|since| nth < *since);
                    }
                }
            }
        }
        self.open = still_open;
        for deletion in &mut self.deletions {
            let Some(result) = deletion.ticket.as_ref().and_then(Ticket::result) else { continue };
            deletion.state = told(&result);
            deletion.ticket = None;
            deletion.firm = firm;
            if result.is_ok() {
                for rec in &mut self.recs {
                    let named = deletion.runs.iter().any(|(a, b)| (*a..=*b).contains(&rec.seq));
                    if named && rec.state == State::Acked && rec.gone.is_none() {
                        rec.gone = Some(firm);
                    }
                }
            }
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        let recs = self.recs[self.open..].iter().filter(|rec| rec.state == State::Waiting);
        recs.count()
            + self.deletions.iter().filter(|deletion| deletion.state == State::Waiting).count()
    }

    /// The process is gone: whoever was not told will not be.
    pub(crate) fn give_up(&mut self) {
        for rec in &mut self.recs[self.open..] {
            if rec.state == State::Waiting {
                rec.state = State::Failed;
            }
            rec.ticket = None;
        }
        self.open = self.recs.len();
        for deletion in &mut self.deletions {
            if deletion.state == State::Waiting {
                deletion.state = State::Failed;
            }
            deletion.ticket = None;
        }
    }

    /// What is acknowledged now, to be made firm once a sync is known to have succeeded.
    pub(crate) fn acked(&self) -> (Vec<usize>, Vec<usize>) {
        let recs = |(nth, rec): (usize, &Rec)| (rec.state == State::Acked).then_some(nth);
        let deletions = |(nth, it): (usize, &Deletion)| (it.state == State::Acked).then_some(nth);
        (
            self.recs.iter().enumerate().filter_map(recs).collect(),
            self.deletions.iter().enumerate().filter_map(deletions).collect(),
        )
    }

    pub(crate) fn firm_up(&mut self, (recs, deletions): &(Vec<usize>, Vec<usize>)) {
        let firm_up = |firm: &mut Firm| firm.durable |= !firm.tainted;
        for nth in recs {
            let rec = &mut self.recs[*nth];
            firm_up(&mut rec.firm);
            rec.gone.as_mut().map(firm_up);
        }
        for nth in deletions {
            if let Some(deletion) = self.deletions.get_mut(*nth) {
                firm_up(&mut deletion.firm);
            }
        }
    }

    /// Whether this must be found.
    pub(crate) fn must_be(&self, rec: &Rec, ending: Ending) -> bool {
        let survives = match ending {
            Ending::Running | Ending::Clean | Ending::Kill => true,
            Ending::Cut => rec.firm.durable,
        };
        rec.state == State::Acked && survives && !self.voids.contains(&rec.seq)
    }

    /// Whether this was deleted.
    pub(crate) fn deleted(&self, rec: &Rec, ending: Ending) -> Verdict {
        let mut verdict = match rec.gone {
            None => Verdict::No,
            Some(firm) if ending == Ending::Cut && !firm.durable => Verdict::Maybe,
            Some(_) => Verdict::Yes,
        };
        for deletion in &self.deletions {
            if verdict == Verdict::No
                && ending > Ending::Running
                && deletion.runs.iter().any(|(a, b)| (*a..=*b).contains(&rec.seq))
            {
                verdict = Verdict::Maybe;
            }
        }
        verdict
    }

    /// The messages that can be read now, if nothing was displaced since the last look, ascending.
    pub(crate) fn live(&self) -> Vec<&Rec> {
        let mut live: Vec<&Rec> = self
            .recs
            .iter()
            .filter(|rec| rec.state == State::Acked && rec.gone.is_none())
            .filter(|rec| !self.voids.contains(&rec.seq))
            .collect();
        live.sort_by_key(|rec| rec.seq);
        live
    }

    /// What a purge of this would name.
    pub(crate) fn purged(&self, filter: &Filter, own: &str, before: u64, keep: u64) -> Vec<u64> {
        let subject = |rec: &Rec| if rec.subject.is_empty() { own } else { rec.subject };
        let live = self.live();
        let matching: Vec<u64> =
            live.iter().filter(|rec| filter.matches(subject(rec))).map(|rec| rec.seq).collect();
        let kept = usize::try_from(keep).unwrap();
        let named = &matching[..matching.len().saturating_sub(kept)];
        named.iter().copied().filter(|seq| *seq < before).collect()
    }

    /// What was seen has been judged: from now on that holds.
    pub(crate) fn settle(&mut self, seen: &Seen, ending: Ending, tainted: bool, always: bool) {
        let firm = |old: Firm| match ending {
            Ending::Running => old,
            Ending::Clean => Firm { durable: !old.tainted, ..old },
            Ending::Kill if tainted || old.tainted => {
                Firm { durable: old.durable, tainted: !old.durable }
            }
            // Opening made durable all that it found.
            Ending::Kill | Ending::Cut => Firm { durable: true, tainted: false },
        };
        for (nth, rec) in self.recs.iter_mut().enumerate() {
            let there = seen.records.get(&rec.seq) == Some(&nth);
            let soft = Firm { durable: always && ending == Ending::Running, tainted: false };
            match (there, rec.state) {
                (true, State::Acked) => (rec.firm, rec.gone) = (firm(rec.firm), None),
                (true, _) => (rec.state, rec.firm) = (State::Acked, firm(SOFT)),
                (false, State::Acked) if seen.gaps.contains(&rec.seq) => rec.state = State::Lost,
                (false, State::Acked) if ending == Ending::Cut => rec.state = State::Lost,
                (false, State::Acked) => {
                    rec.gone = Some(firm(rec.gone.unwrap_or(soft)));
                    rec.firm = firm(rec.firm);
                }
                (false, State::Failed) if ending > Ending::Running && !tainted => {
                    rec.state = State::Lost;
                }
                (false, State::Waiting | State::Failed | State::Lost) => (),
            }
        }
        self.holes = (seen.first..=seen.last).filter(|seq| seen.misses(*seq)).collect();
        self.voids.extend(&seen.gaps);
        self.estimated |= !seen.gaps.is_empty();
        if ending > Ending::Running {
            self.deletions.clear();
            self.suspect = None;
            self.counters = Counters::default();
            self.limited.clear();
        }
    }
}

fn told(result: &Result<(), CommitError>) -> State {
    if result.is_ok() { State::Acked } else { State::Failed }
}
