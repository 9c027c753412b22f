//! Changes of names that are not durable yet, and which of them become so together.
//!
//! A name is a cell with a history of its own, and a power cut ends each history somewhere. Changes to
//! different names are independent; a rename is one change to two cells, so that it happens in both
//! or in neither. A journal is simpler: there is one history, of everything.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use crate::fate::Fates;
use crate::tree::Ino;
use crate::{Directories, Rng};

/// A place for a name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) dir: Ino,
    pub(crate) name: Arc<str>,
}

/// One change of names.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Link { cell: Cell, ino: Ino },
    Unlink { cell: Cell },
    Move { from: Cell, to: Cell, ino: Ino },
}

/// Changes in the order they were made. All that is taken from it comes in that order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending(Vec<Change>);

impl Pending {
    pub(crate) fn push(&mut self, change: Change) {
        self.0.push(change);
    }

    /// Everything that a change needs to be applied.
    pub(crate) fn inos(&self) -> impl Iterator<Item = Ino> {
        self.0.iter().flat_map(|change| change.cells().map(|cell| cell.dir).chain(change.ino()))
    }

    /// What a sync of a directory makes durable.
    pub(crate) fn take_dir(&mut self, dir: Ino, model: Directories) -> Vec<Change> {
        let chosen = self.of_dir(dir, model);
        self.take(&chosen)
    }

    /// The first few of what a sync of a directory makes durable.
    pub(crate) fn take_some_of_dir(
        &mut self,
        dir: Ino,
        model: Directories,
        rng: &mut Rng,
    ) -> Vec<Change> {
        let mut chosen = self.of_dir(dir, model);
        let total = chosen.iter().filter(|&&chosen| chosen).count();
        let mut left = rng.index(total + 1);
        for chosen in &mut chosen {
            *chosen &= left > 0;
            left -= usize::from(*chosen);
        }
        self.take(&chosen)
    }

    /// What a sync of a file makes durable: nothing, but where the journal holds the file's naming
    /// and so writes all that is before it.
    pub(crate) fn take_file(&mut self, ino: Ino, model: Directories) -> Vec<Change> {
        match model {
            Directories::Strict => Vec::new(),
            Directories::Ext4Like => {
                let chosen = self.up_to(|change| change.ino() == Some(ino));
                self.take(&chosen)
            }
        }
    }

    /// The last change and all that happened to the same name.
    pub(crate) fn take_last(&mut self) -> Vec<Change> {
        let last = self.0.last().and_then(|change| change.cells().next()).cloned();
        let chosen = self.with_histories(|change| change.cells().next() == last.as_ref());
        self.take(&chosen)
    }

    /// What survives a power cut. The rest is gone.
    pub(crate) fn take_survivors(&mut self, model: Directories, fates: &mut Fates) -> Vec<Change> {
        let chosen = match model {
            Directories::Strict => self.with_histories(|_| fates.kept()),
            Directories::Ext4Like if fates.is_mixed() => {
                self.first(fates.rng.index(self.0.len() + 1))
            }
            Directories::Ext4Like => vec![fates.kept(); self.0.len()],
        };
        let survivors = self.take(&chosen);
        self.0.clear();
        survivors
    }

    fn of_dir(&self, dir: Ino, model: Directories) -> Vec<bool> {
        match model {
            Directories::Strict => self.with_histories(|change| change.home() == dir),
            Directories::Ext4Like => {
                self.up_to(|change| change.cells().any(|cell| cell.dir == dir))
            }
        }
    }

    /// The changes that are wanted, and what happened to the same names before.
    fn with_histories(&self, mut wanted: impl FnMut(&Change) -> bool) -> Vec<bool> {
        let mut cells = BTreeSet::new();
        let mut chosen = vec![false; self.0.len()];
        for (change, chosen) in self.0.iter().zip(&mut chosen).rev() {
            // Always asked, so that a generator behind it is asked equally often.
            let wanted = wanted(change);
            *chosen = wanted || change.cells().any(|cell| cells.contains(cell));
            if *chosen {
                cells.extend(change.cells());
            }
        }
        chosen
    }

    /// All changes up to the last that is wanted.
    fn up_to(&self, wanted: impl Fn(&Change) -> bool) -> Vec<bool> {
        self.first(self.0.iter().rposition(wanted).map_or(0, |last| last + 1))
    }

    fn first(&self, count: usize) -> Vec<bool> {
        (0..self.0.len()).map(|index| index < count).collect()
    }

    fn take(&mut self, chosen: &[bool]) -> Vec<Change> {
        let mut taken = Vec::new();
        for (change, &chosen) in mem::take(&mut self.0).into_iter().zip(chosen) {
            if chosen { taken.push(change) } else { self.0.push(change) }
        }
        taken
    }
}

impl Change {
    /// The places it changes; first the one that names it.
    fn cells(&self) -> impl Iterator<Item = &Cell> {
        let (first, second) = match self {
            Self::Link { cell, .. } | Self::Unlink { cell } => (cell, None),
            Self::Move { from, to, .. } => (to, Some(from)),
        };
        [Some(first), second].into_iter().flatten()
    }

    /// The directory whose sync it waits for: for a rename, the one that has the new name.
    fn home(&self) -> Ino {
        match self {
            Self::Link { cell, .. } | Self::Unlink { cell } => cell.dir,
            Self::Move { to, .. } => to.dir,
        }
    }

    /// What got a name.
    fn ino(&self) -> Option<Ino> {
        match self {
            Self::Link { ino, .. } | Self::Move { ino, .. } => Some(*ino),
            Self::Unlink { .. } => None,
        }
    }
}
