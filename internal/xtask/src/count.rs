//! How many tests passed and failed, as the test runners say in their closing lines.

use std::fmt;
use std::ops::AddAssign;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Count {
    /// Whether any test ran at all.
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Whose closing lines to look for. Each prints the other's words for tests that ran inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `test result: ok. 24 passed; 0 failed; 0 ignored`, once for each test binary.
    CargoTest,
    /// `     Summary [   0.707s] 47 tests run: 46 passed (1 slow), 1 failed, 0 skipped`.
    Nextest,
}

/// What a line of a runner's output adds to the count.
pub(crate) fn in_line(runner: Runner, line: &str) -> Count {
    let line = without_colours(line);
    let numbers = match runner {
        Runner::CargoTest => line.strip_prefix("test result: "),
        Runner::Nextest => line
            .trim_start()
            .strip_prefix("Summary [")
            .and_then(|rest| rest.split_once(" run: "))
            .map(|(_, numbers)| numbers),
    };
    let mut count = Count::default();
    for phrase in numbers.unwrap_or_default().split([';', ',', '.', '(']) {
        let Some((number, what)) = phrase.trim().split_once(' ') else { continue };
        let number = number.parse().unwrap_or(0);
        match what.trim() {
            "passed" => count.passed += number,
            "failed" | "exec failed" | "timed out" => count.failed += number,
            _ => (),
        }
    }
    count
}

/// The line without escape sequences: from escape to the letter that ends it.
fn without_colours(line: &str) -> String {
    let mut in_escape = false;
    let mut kept = |letter: &char| match letter {
        '\u{1b}' => {
            in_escape = true;
            false
        }
        letter if in_escape => {
            in_escape = !letter.is_ascii_alphabetic();
            false
        }
        _ => true,
    };
    line.chars().filter(|letter| kept(letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_is_counted_binary_by_binary() {
        let line = "test result: FAILED. 24 passed; 3 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.12s";
        assert_eq!(in_line(Runner::CargoTest, line), Count { passed: 24, failed: 3 });
    }

    #[test]
    fn nextest_is_counted_with_all_ways_to_fail() {
        let line = "     Summary [   0.619s] 31/42 tests run: 26 passed (1 slow, 2 flaky), 1 failed, 3 timed out, 1 exec failed, 4 skipped";
        assert_eq!(in_line(Runner::Nextest, line), Count { passed: 26, failed: 5 });
    }

    #[test]
    fn colours_do_not_hide_the_numbers() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.7s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped";
        assert_eq!(in_line(Runner::Nextest, line), Count { passed: 2, failed: 0 });
    }

    #[test]
    fn tests_inside_another_runner_are_not_counted_twice() {
        let line = "    test result: FAILED. 0 passed; 1 failed; 0 ignored";
        assert_eq!(in_line(Runner::Nextest, line), Count::default());
        assert_eq!(in_line(Runner::CargoTest, line), Count::default());
    }
}
