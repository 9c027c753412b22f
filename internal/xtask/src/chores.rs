//! The chores that are one or two commands: `ci`, `bench`, `golden`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use pubsub_testkit::GOLDEN_VARIABLE;

use crate::command::{cargo, run};

/// Does what CI does, where nothing helps that was not committed.
pub(crate) fn ci(root: &Path) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("make a directory for the clone")?;
    let clone = dir.path().join("clone");
    run(Command::new("git").args(["clone", "--quiet"]).arg(root).arg(&clone))?;
    run(Command::new("bash")
        .arg(".ci/run")
        .current_dir(&clone)
        .env("CI", "true")
        // A target directory named by the environment would hold what this tree has built.
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null()))
}

/// Runs the benchmarks.
pub(crate) fn bench(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    // Without the pattern the unit tests would be benchmarks too, and choke on the arguments.
    run(cargo(root, &["bench", "--workspace", "--bench", "*", "--"]).args(arguments))
}

/// Writes the golden files anew, by running the tests that compare with them.
pub(crate) fn golden(root: &Path, filter: Option<&str>) -> anyhow::Result<()> {
    let mut tests = cargo(root, &["test", "--workspace", "--all-targets"]);
    run(tests.args(filter).env(GOLDEN_VARIABLE, "write"))?;
    run(Command::new("git").args(["diff", "--stat", "--", "*testdata*"]).current_dir(root))
}
