//! What a machine lacks is said aloud, and is a failure where nothing may be lacking.
//!
//! ```text
//!   PUBSUB_REQUIRE   (unset)   a skip is printed, and is all right
//!                    all       a skip is a failure
//!                    all,-x    a skip is a failure, but for x
//!                    x,y       a skip of x or y is a failure
//! ```
//!
//! A test that finds something missing calls [`skipped`] and returns. Test runners swallow what a
//! passing test prints, so the line also goes to the file that `PUBSUB_SKIPS` names, from which
//! `cargo xtask test` prints it again.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

/// The environment variable that says which skips are failures.
pub const REQUIRE_VARIABLE: &str = "PUBSUB_REQUIRE";

/// The environment variable that names the file to which skips are appended, one `name: why` a line.
pub const SKIPS_VARIABLE: &str = "PUBSUB_SKIPS";

/// Which skips are failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    all: bool,
    named: BTreeSet<String>,
    excused: BTreeSet<String>,
}

impl Require {
    /// Reads `PUBSUB_REQUIRE`; nothing is required where it is unset.
    #[must_use]
    pub fn from_env() -> Self {
        Self::parse(&std::env::var(REQUIRE_VARIABLE).unwrap_or_default())
    }

    /// Reads a list of `all`, names, and names with a `-` before them, separated by commas.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut require = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.strip_prefix('-') {
                Some(name) => _ = require.excused.insert(name.to_owned()),
                None if word == "all" => require.all = true,
                None => _ = require.named.insert(word.to_owned()),
            }
        }
        require
    }

    /// Whether it is a failure to skip `name`.
    #[must_use]
    pub fn insists_on(&self, name: &str) -> bool {
        (self.all || self.named.contains(name)) && !self.excused.contains(name)
    }

    /// Whether `name` was excused by name, so that nobody need try.
    #[must_use]
    pub fn excuses(&self, name: &str) -> bool {
        self.excused.contains(name)
    }
}

/// Says that this machine lacks `name`, so that a test can return without having tested.
///
/// # Panics
/// When `PUBSUB_REQUIRE` insists on `name`, which fails the test; and when the file that
/// `PUBSUB_SKIPS` names cannot be written, as the skip would then go unseen.
pub fn skipped(name: &str, why: &str) {
    record(&Require::from_env(), std::env::var_os(SKIPS_VARIABLE).map(PathBuf::from), name, why);
}

fn record(require: &Require, skips: Option<PathBuf>, name: &str, why: &str) {
    assert!(!require.insists_on(name), "{name} is required by {REQUIRE_VARIABLE}, but: {why}");
    // A closed standard error takes nothing from the file, which is what counts.
    drop(writeln!(io::stderr(), "SKIPPED {name}: {why}"));
    if let Some(path) = skips {
        let line = format!("{name}: {}\n", why.replace('\n', " "));
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            // One write of one short line: tests that run side by side do not mix theirs.
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("a skip that cannot be recorded must not pass for a success");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_required_unless_it_is_said() {
        assert!(!Require::parse("").insists_on("deny"));
        assert!(!Require::parse(" , ").insists_on("deny"));
    }

    #[test]
    fn all_requires_everything_but_what_is_excused() {
        let require = Require::parse("all,-advisories");
        assert!(require.insists_on("deny"));
        assert!(!require.insists_on("advisories"));
        assert!(require.excuses("advisories"));
        assert!(!require.excuses("deny"));
    }

    #[test]
    fn an_excuse_holds_wherever_it_stands() {
        assert!(!Require::parse("-deny, all").insists_on("deny"));
        assert!(!Require::parse("deny,-deny").insists_on("deny"));
    }

    #[test]
    fn a_name_requires_only_itself() {
        let require = Require::parse("small-disk");
        assert!(require.insists_on("small-disk"));
        assert!(!require.insists_on("deny"));
    }

    #[test]
    fn skips_are_recorded_one_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("skips");
        let require = Require::parse("all,-a,-b");
        record(&require, Some(file.clone()), "a", "no\nsuch thing");
        record(&require, Some(file.clone()), "b", "none");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "a: no such thing\nb: none\n");
    }

    #[test]
    #[should_panic(expected = "a is required by PUBSUB_REQUIRE, but: none here")]
    fn skipping_what_is_required_fails_the_test() {
        record(&Require::parse("all"), None, "a", "none here");
    }
}
