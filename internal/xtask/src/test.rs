//! `cargo xtask test`: all that must pass, the cheap before the dear.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pubsub_testkit::{Require, SKIPS_VARIABLE};

use crate::command::{cargo, has_cargo, run_tests};
use crate::count::Runner;
use crate::steps::{Done, Skip, Step, run_all};
use crate::{command, tidy};

/// Runs all steps; false when one failed.
pub(crate) fn run(root: &Path, keep_going: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    let require = Require::from_env();
    let steps = vec![
        simple("fmt", root, &["fmt", "--all", "--check"]),
        Step { name: "tidy", run: Box::new(|out| tidied(root, out).into()) },
        simple("clippy", root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        // Tests of one package run the programs of another, which no test run builds by itself.
        simple("programs", root, &["build", "--workspace", "--bins"]),
        Step { name: "tests", run: Box::new(|_| tests(root)) },
        Step { name: "doc tests", run: Box::new(|_| doc_tests(root)) },
        Step { name: "doc", run: Box::new(|_| doc(root).into()) },
        Step { name: "deny", run: Box::new(|_| deny(root)) },
        Step { name: "advisories", run: Box::new(|_| advisories(root)) },
    ];
    run_all(steps, keep_going, &require, out)
}

/// A step that is one cargo command.
fn simple<'a>(name: &'static str, root: &'a Path, subcommand: &'a [&'a str]) -> Step<'a> {
    Step { name, run: Box::new(|_| command::run(&mut cargo(root, subcommand)).into()) }
}

fn tidied(root: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let in_order = tidy::run(root, out)?;
    anyhow::ensure!(in_order, "the tree is not tidy");
    Ok(())
}

fn tests(root: &Path) -> Done {
    if has_cargo(root, "nextest") {
        let subcommand = ["nextest", "run", "--workspace", "--no-fail-fast"];
        counted(root, &subcommand, Runner::Nextest)
    } else {
        let subcommand = ["test", "--workspace", "--all-targets", "--no-fail-fast"];
        counted(root, &subcommand, Runner::CargoTest)
    }
}

fn doc_tests(root: &Path) -> Done {
    counted(root, &["test", "--workspace", "--doc", "--no-fail-fast"], Runner::CargoTest)
}

/// Runs tests, counts them, and collects what they skipped.
fn counted(root: &Path, subcommand: &[&str], runner: Runner) -> Done {
    let dir = match tempfile::tempdir().context("make a directory for the list of skips") {
        Ok(dir) => dir,
        Err(error) => return Err(error).into(),
    };
    let list = dir.path().join("skips");
    let mut command = cargo(root, subcommand);
    let (count, result) = run_tests(command.env(SKIPS_VARIABLE, &list), runner);
    // No file, no skips.
    let skips = skips_in(&fs::read_to_string(list).unwrap_or_default());
    Done { result, skips, count }
}

/// The skips in lines of `name: why`. Many tests lack the same thing for the same reason.
fn skips_in(list: &str) -> Vec<Skip> {
    let mut skips: Vec<Skip> = Vec::new();
    for (name, why) in list.lines().filter_map(|line| line.split_once(": ")) {
        let skip = Skip { name: name.to_owned(), why: why.to_owned() };
        if !skips.contains(&skip) {
            skips.push(skip);
        }
    }
    skips
}

fn doc(root: &Path) -> anyhow::Result<()> {
    let mut command = cargo(root, &["doc", "--workspace", "--no-deps"]);
    command::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny(root: &Path) -> Done {
    if !has_cargo(root, "deny") {
        return no_deny("deny");
    }
    let checks = ["deny", "--workspace", "check", "licenses", "bans", "sources"];
    command::run(&mut cargo(root, &checks)).into()
}

/// Known flaws in what we depend on. Their database is fetched by hand, with `cargo deny fetch`, so
/// that a test run needs no network; one that is too old is an error of `cargo deny`.
fn advisories(root: &Path) -> Done {
    let databases = cargo_home().map(|home| home.join("advisory-dbs"));
    let entries = databases.into_iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    if !has_cargo(root, "deny") {
        no_deny("advisories")
    } else if entries.count() == 0 {
        Done::skipped("advisories", "there is no advisory database; `cargo deny fetch` gets it")
    } else {
        let check = ["deny", "--workspace", "check", "--disable-fetch", "advisories"];
        command::run(&mut cargo(root, &check)).into()
    }
}

fn no_deny(name: &str) -> Done {
    Done::skipped(name, "cargo-deny is not installed; `cargo install cargo-deny --locked` gets it")
}

fn cargo_home() -> Option<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_skip_of_many_tests_is_told_once() {
        let skips = skips_in(
            "small-disk: not permitted: sandbox\nsmall-disk: not permitted: sandbox\nb: c\n",
        );
        let told: Vec<_> =
            skips.iter().map(|skip| (skip.name.as_str(), skip.why.as_str())).collect();
        assert_eq!(told, [("small-disk", "not permitted: sandbox"), ("b", "c")]);
    }
}
