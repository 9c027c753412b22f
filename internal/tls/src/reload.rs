//! The files again: taken whole when they fit together, and not at all otherwise.
//!
//! ```text
//!   stamps as before, twice? ─yes─▶ nothing        read ─▶ digests as before? ─yes─▶ nothing
//!            ╰─no──────────────────────────────────▶╯             ╰─no─▶ load ─▶ swap, or keep and say why
//! ```
//!
//! Stamps alone could miss a write in the same tick of the file system's clock, so a file is read
//! once more after it seemed to have settled. What was refused is said once, not at every look.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::error::TlsError;
use crate::files::{self, Contents, Digests, Stamp};
use crate::material::{Settings, Tls};

/// The current [`Tls`], replaced when its files change.
pub struct Reloading {
    settings: Settings,
    current: ArcSwap<Tls>,
    watch: Mutex<Watch>,
}

/// What is new after a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Our certificate or key: new connections show it.
    pub certificate: bool,
    /// The authorities: peers of living links may be trusted no longer.
    pub authorities: bool,
    /// The lists of revoked certificates: the same.
    pub revocations: bool,
}

struct Watch {
    stamps: Vec<Option<Stamp>>,
    /// The stamps were the same at the last look, too.
    settled: bool,
    /// What the current material was made of.
    taken: Digests,
    /// What was looked at last, and what came of it.
    last: Look,
}

#[derive(PartialEq, Eq)]
enum Look {
    Taken,
    Refused(Digests),
    /// It could not be read, for this reason.
    Unread(String),
}

impl Changes {
    /// Whether anything is new.
    #[must_use]
    pub const fn any(self) -> bool {
        self.certificate || self.authorities || self.revocations
    }

    /// Whether living links have to be judged again, each with [`Tls::is_still_trusted`].
    #[must_use]
    pub const fn trust(self) -> bool {
        self.authorities || self.revocations
    }
}

impl Reloading {
    /// Loads the files for the first time.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn open(settings: Settings) -> Result<Self, TlsError> {
        let stamps = files::stamps(&settings);
        let contents = Contents::read(&settings)?;
        let tls = Tls::from_contents(&settings, &contents)?;
        let taken = contents.digests();
        let watch = Watch { stamps, settled: false, taken, last: Look::Taken };
        Ok(Self { settings, current: ArcSwap::from_pointee(tls), watch: watch.into() })
    }

    /// What new connections use.
    #[must_use]
    pub fn current(&self) -> Arc<Tls> {
        self.current.load_full()
    }

    /// Looks at the files, and takes them when they changed and fit together. Call it every few
    /// seconds; it reads files, and blocks as long as that takes.
    ///
    /// # Errors
    /// They changed, and do not fit together: the old material stays. A writer may be half-way, so
    /// the next look may find them whole. The same contents are complained of once.
    pub fn reload_if_changed(&self) -> Result<Changes, TlsError> {
        // A panic leaves nothing half done that the next look would not see.
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = files::stamps(&self.settings);
        if !watch.is_worth_reading(stamps) {
            return Ok(Changes::default());
        }
        let contents = match Contents::read(&self.settings) {
            Ok(contents) => contents,
            Err(error) => return watch.complain(Look::Unread(error.to_string()), error),
        };
        let digests = contents.digests();
        if digests == watch.taken {
            watch.last = Look::Taken;
            return Ok(Changes::default());
        }
        if watch.last == Look::Refused(digests.clone()) {
            return Ok(Changes::default());
        }
        match Tls::from_contents(&self.settings, &contents) {
            Ok(tls) => {
                self.current.store(Arc::new(tls));
                Ok(watch.take(digests))
            }
            Err(error) => watch.complain(Look::Refused(digests), error),
        }
    }
}

impl Watch {
    /// Whether the contents may be new, by these stamps and those before.
    fn is_worth_reading(&mut self, stamps: Vec<Option<Stamp>>) -> bool {
        let same = stamps == self.stamps;
        let worth = !(same && self.settled);
        self.settled = same;
        self.stamps = stamps;
        worth
    }

    fn take(&mut self, digests: Digests) -> Changes {
        let changes = Changes {
            certificate: digests.cert != self.taken.cert || digests.key != self.taken.key,
            authorities: digests.ca != self.taken.ca,
            revocations: digests.crl != self.taken.crl,
        };
        self.taken = digests;
        self.last = Look::Taken;
        changes
    }

    fn complain(&mut self, look: Look, error: TlsError) -> Result<Changes, TlsError> {
        let known = self.last == look;
        self.last = look;
        if known { Ok(Changes::default()) } else { Err(error) }
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("current", &self.current.load()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_more_after_they_seemed_to_have_settled() {
        let taken =
            Digests { cert: [0; 32], key: [0; 32], ca: [0; 32], crl: None, key_is_open: false };
        let (old, new) = (vec![None], vec![Some(Stamp::default())]);
        let mut watch = Watch { stamps: old.clone(), settled: false, taken, last: Look::Taken };
        let seen = [&old, &old, &new, &new, &new, &old, &new, &new, &new];
        let read = [true, false, true, true, false, true, true, true, false];
        assert_eq!(seen.map(|stamps| watch.is_worth_reading(stamps.clone())), read);
    }
}
