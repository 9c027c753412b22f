//! Steps, one after the other, and the table of what came of them.
//!
//! The rule: what could not be done is not passed over. A skip is printed with its reason, and is a
//! failure where `PUBSUB_REQUIRE` insists on it.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use pubsub_testkit::Require;

use crate::count::Count;

/// One thing to do.
pub(crate) struct Step<'a> {
    /// A word for the header and the table.
    pub(crate) name: &'static str,
    /// Does it.
    pub(crate) run: Box<Run<'a>>,
}

type Run<'a> = dyn FnOnce(&mut dyn Write) -> Done + 'a;

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) result: anyhow::Result<()>,
    pub(crate) skips: Vec<Skip>,
    pub(crate) count: Count,
}

/// What this machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    /// The name by which `PUBSUB_REQUIRE` knows it.
    pub(crate) name: String,
    pub(crate) why: String,
}

impl Done {
    /// It was skipped as a whole.
    pub(crate) fn skipped(name: &str, why: &str) -> Self {
        let skip = Skip { name: name.to_owned(), why: why.to_owned() };
        Self { result: Ok(()), skips: vec![skip], count: Count::default() }
    }
}

impl From<anyhow::Result<()>> for Done {
    fn from(result: anyhow::Result<()>) -> Self {
        Self { result, skips: Vec::new(), count: Count::default() }
    }
}

/// What the table says of a step.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
    NotRun,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::NotRun => "not run",
        })
    }
}

/// Runs the steps until one fails, or all of them with `keep_going`; then prints the table. True
/// when none failed.
pub(crate) fn run_all(
    steps: Vec<Step<'_>>,
    keep_going: bool,
    require: &Require,
    out: &mut dyn Write,
) -> anyhow::Result<bool> {
    let mut rows: Vec<(&str, Outcome, Duration)> = Vec::new();
    let mut count = Count::default();
    let mut all_well = true;
    let started = now();
    for Step { name, run } in steps {
        if !all_well && !keep_going {
            rows.push((name, Outcome::NotRun, Duration::ZERO));
            continue;
        }
        writeln!(out, "\n== {name}")?;
        out.flush()?;
        let began = now();
        let done = run(out);
        let outcome = judge(&done, require, out)?;
        let took = now().duration_since(began);
        writeln!(out, "== {name}: {outcome} in {:.1} s", took.as_secs_f64())?;
        all_well &= outcome != Outcome::Failed;
        count += done.count;
        rows.push((name, outcome, took));
    }

    writeln!(out)?;
    for (name, outcome, took) in rows {
        writeln!(out, "  {name:<12} {outcome:<8} {:>7.1} s", took.as_secs_f64())?;
    }
    writeln!(
        out,
        "  {:<12} {:<8} {:>7.1} s",
        "in all",
        "",
        now().duration_since(started).as_secs_f64()
    )?;
    if count.any() {
        // Last and alone on its line: whoever looks for whether tests ran looks here.
        writeln!(out, "\n{count}")?;
    }
    out.flush()?;
    Ok(all_well)
}

/// Says what went wrong and what was skipped.
fn judge(done: &Done, require: &Require, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut outcome = match (&done.result, done.skips.is_empty()) {
        (Ok(()), true) => Outcome::Passed,
        (Ok(()), false) => Outcome::Skipped,
        (Err(error), _) => {
            writeln!(out, "error: {error:#}")?;
            Outcome::Failed
        }
    };
    for Skip { name, why } in &done.skips {
        writeln!(out, "SKIPPED {name}: {why}")?;
        if require.insists_on(name) {
            writeln!(out, "error: {name} is required by PUBSUB_REQUIRE")?;
            outcome = Outcome::Failed;
        }
    }
    Ok(outcome)
}

#[expect(clippy::disallowed_methods, reason = "whoever waits for a step wants to know how long")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn step<'a>(name: &'static str, run: impl FnOnce() -> Done + 'a) -> Step<'a> {
        Step { name, run: Box::new(|_| run()) }
    }

    fn passing() -> Done {
        Ok(()).into()
    }

    fn run(steps: Vec<Step<'_>>, keep_going: bool, require: &str) -> (bool, String) {
        let mut out = Vec::new();
        let well = run_all(steps, keep_going, &Require::parse(require), &mut out).unwrap();
        (well, String::from_utf8(out).unwrap())
    }

    #[test]
    fn first_failure_is_the_last_step() {
        let steps = vec![
            step("one", || Err(anyhow!("it broke")).into()),
            step("two", || panic!("ran after a failure")),
        ];
        let (well, said) = run(steps, false, "");
        assert!(!well);
        assert!(said.contains("error: it broke"), "{said}");
        assert!(said.contains("two          not run"), "{said}");
    }

    #[test]
    fn keep_going_goes_on_and_still_fails() {
        let mut ran = false;
        let steps = vec![
            step("one", || Err(anyhow!("it broke")).into()),
            step("two", || {
                ran = true;
                passing()
            }),
        ];
        let (well, said) = run(steps, true, "");
        assert!(!well);
        assert!(ran, "{said}");
    }

    #[test]
    fn skip_is_told_and_passes_unless_it_is_required() {
        let skipping = || vec![step("deny", || Done::skipped("deny", "not installed"))];
        let (well, said) = run(skipping(), false, "");
        assert!(well);
        assert!(said.contains("SKIPPED deny: not installed"), "{said}");
        assert!(run(skipping(), false, "all,-deny").0);
        assert!(!run(skipping(), false, "all").0);
    }

    #[test]
    fn last_line_counts_the_tests_of_all_steps() {
        let counting = |passed, failed| Done { count: Count { passed, failed }, ..passing() };
        let steps = vec![step("a", || counting(3, 0)), step("b", || counting(4, 1))];
        let (_, said) = run(steps, true, "");
        assert_eq!(said.lines().last(), Some("7 passed, 1 failed"));
    }

    #[test]
    fn run_without_tests_claims_none() {
        let (_, said) = run(vec![step("a", passing)], false, "");
        assert!(!said.contains("0 passed"), "{said}");
    }
}
