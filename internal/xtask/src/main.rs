//! Chores: the one test command, tidy checks, benchmarks. In Rust, so that they can be tested.
//!
//! ```text
//!   cargo xtask test ──▶ steps, one after the other ──▶ table of what passed, failed, was skipped
//! ```

mod args;
mod chores;
mod command;
mod count;
mod fuzz;
mod steps;
mod test;
mod tidy;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::{Chore, USAGE};

fn main() -> ExitCode {
    let mut out = io::stdout();
    let result = match args::parse(std::env::args().skip(1)) {
        Ok(chore) => run(chore, &mut out),
        Err(wrong) => Err(anyhow::anyhow!("{wrong}\n\n{USAGE}")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            drop(writeln!(io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Does the chore; false when what it checked is not in order.
fn run(chore: Chore, out: &mut dyn Write) -> anyhow::Result<bool> {
    let root = command::workspace_root()?;
    match chore {
        Chore::Help => writeln!(out, "{USAGE}").map(|()| true).map_err(Into::into),
        Chore::Test { keep_going } => test::run(&root, keep_going, out),
        Chore::Tidy => tidy::run(&root, out),
        Chore::Ci => chores::ci(&root).map(|()| true),
        Chore::Bench { arguments } => chores::bench(&root, &arguments).map(|()| true),
        Chore::Fuzz { target, seconds } => {
            fuzz::run(&root, target.as_deref(), seconds, out).map(|()| true)
        }
        Chore::Golden { filter } => chores::golden(&root, filter.as_deref()).map(|()| true),
    }
}
