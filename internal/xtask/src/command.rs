//! Running other programs, in sight of whoever runs us.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail, ensure};

use crate::count::{self, Count, Runner};

/// The cargo that runs us, working in the workspace.
pub(crate) fn cargo(root: &Path, subcommand: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(subcommand);
    command
}

/// Whether a cargo subcommand such as `nextest` is installed.
pub(crate) fn has_cargo(root: &Path, subcommand: &str) -> bool {
    let mut command = cargo(root, &[subcommand, "--version"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Where the workspace is whose chores these are.
pub(crate) fn workspace_root() -> anyhow::Result<PathBuf> {
    let args = ["locate-project", "--workspace", "--message-format", "plain"];
    let manifest = output_of(&mut cargo(Path::new("."), &args))?;
    let root = Path::new(manifest.trim()).parent().context("the workspace is nowhere")?;
    Ok(root.to_owned())
}

/// Runs a command to its end, all streams ours. An error when it cannot be run, or fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("run {}", typed(command)))?;
    ensure!(status.success(), "{} ended with {status}", typed(command));
    Ok(())
}

/// Runs a command to its end and returns what it wrote to standard output.
pub(crate) fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {}", typed(command)))?;
    ensure!(output.status.success(), "{} ended with {}", typed(command), output.status);
    String::from_utf8(output.stdout).with_context(|| format!("read what {} said", typed(command)))
}

/// Runs a command that runs tests, shows what it says, and counts. The count is there also when it
/// failed.
pub(crate) fn run_tests(command: &mut Command, runner: Runner) -> (Count, anyhow::Result<()>) {
    // Behind a pipe it would not know that somebody watches.
    let colour = if io::stderr().is_terminal() { "always" } else { "auto" };
    command.env("CARGO_TERM_COLOR", colour);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn().with_context(|| format!("run {}", typed(command))) {
        Ok(child) => child,
        Err(error) => return (Count::default(), Err(error)),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut count = Count::default();
    thread::scope(|scope| {
        let out = scope.spawn(|| stdout.map(|pipe| show(pipe, io::stdout(), runner)));
        let err = scope.spawn(|| stderr.map(|pipe| show(pipe, io::stderr(), runner)));
        for shown in [out, err] {
            count += shown.join().ok().flatten().unwrap_or_default();
        }
    });
    let ended = child.wait().with_context(|| format!("wait for {}", typed(command)));
    let result = ended.and_then(|status| match status.success() {
        true => Ok(()),
        false => bail!("{} ended with {status}", typed(command)),
    });
    (count, result)
}

/// Passes a pipe on line by line, and counts.
fn show(pipe: impl Read, mut to: impl Write, runner: Runner) -> Count {
    let mut pipe = BufReader::new(pipe);
    let (mut line, mut count) = (Vec::new(), Count::default());
    while pipe.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
        count += count::in_line(runner, String::from_utf8_lossy(&line).trim_end());
        // When nobody reads us any more the tests are still to be run to their end.
        drop(to.write_all(&line).and_then(|()| to.flush()));
        line.clear();
    }
    count
}

/// A command as it would be typed.
fn typed(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_else(|| command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn command_that_fails_is_named_as_typed() {
        let error = run(&mut sh("exit 3")).unwrap_err().to_string();
        assert!(error.contains("`sh -c exit 3`") && error.contains('3'), "{error}");
    }

    #[test]
    fn command_that_does_not_exist_is_an_error() {
        let error = run(&mut Command::new("no-such-program-anywhere")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-anywhere"), "{error:#}");
    }

    #[test]
    fn tests_are_counted_on_both_streams_also_when_some_failed() {
        let script = "echo 'test result: ok. 2 passed; 0 failed'; \
                      echo 'test result: FAILED. 1 passed; 1 failed' >&2; exit 1";
        let (count, result) = run_tests(&mut sh(script), Runner::CargoTest);
        assert_eq!(count, Count { passed: 3, failed: 1 });
        result.unwrap_err();
    }

    #[test]
    fn output_of_a_failing_command_is_no_answer() {
        assert_eq!(output_of(&mut sh("echo yes")).unwrap(), "yes\n");
        output_of(&mut sh("echo yes; exit 1")).unwrap_err();
    }
}
