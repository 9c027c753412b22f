//! A process that a test starts is heard, measured, and never left over.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pubsub_testkit::{Process, ProcessError, Source, Workdir, eventually};

/// Far beyond what anything here takes: only a broken testkit waits that long.
const LONG: Duration = Duration::from_secs(60);
/// How long we wait for what must not happen.
const SHORT: Duration = Duration::from_millis(50);

fn sh(script: &str) -> Process {
    Process::spawn(Command::new("sh").args(["-c", script])).expect("every system has a shell")
}

/// Whether a process with this id exists and is not merely waiting to be reaped.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Waits until a process is gone. The init of a container may take its time to reap.
fn gone(pid: u32) -> bool {
    eventually("the end of a process", LONG, || (!runs(pid)).then_some(())).is_ok()
}

#[test]
fn two_waits_find_two_lines() {
    let mut process = sh("echo ready 1; echo ready 2 >&2; echo ready 3");
    assert_eq!(process.wait_for_line(Source::Stdout, "ready", LONG).unwrap(), "ready 1");
    assert_eq!(process.wait_for_line(Source::Stdout, "ready", LONG).unwrap(), "ready 3");
    assert_eq!(process.wait_for_line(Source::Stderr, "ready", LONG).unwrap(), "ready 2");
}

#[test]
fn line_that_can_no_longer_come_fails_at_once_with_all_that_was_said() {
    let mut process = sh("echo one; echo two >&2");
    let error = process.wait_for_line(Source::Stdout, "three", LONG).unwrap_err();
    assert!(matches!(error, ProcessError::Ended { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("stdout | one") && text.contains("stderr | two"), "{text}");
}

#[test]
fn line_that_does_not_come_fails_at_the_deadline_and_the_process_goes_on() {
    let mut process = sh("cat");
    let error = process.wait_for_line(Source::Stdout, "hello", SHORT).unwrap_err();
    assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    process.write_line("hello").unwrap();
    process.wait_for_line(Source::Stdout, "hello", LONG).unwrap();
}

#[test]
fn output_beyond_what_a_pipe_holds_does_not_block_the_process() {
    let mut process = sh("head -c 1000000 /dev/zero | tr '\\0' '\\n'; echo done");
    assert!(process.wait_for_exit(LONG).unwrap().success());
    assert_eq!(process.output().stdout.len(), 1_000_001);
}

#[test]
fn condition_over_all_that_was_said_is_waited_for() {
    let process = sh("echo a; echo b; echo c; cat");
    process.wait_until("three lines", LONG, |output| output.stdout.len() == 3).unwrap();
    assert!(!process.has_ended());
}

#[test]
fn end_of_input_reaches_the_process() {
    let mut process = sh("cat; exit 7");
    process.write_line("line").unwrap();
    process.close_stdin();
    assert_eq!(process.wait_for_exit(LONG).unwrap().code(), Some(7));
    process.write_line("too late").unwrap_err();
}

#[test]
fn terminated_process_can_say_goodbye_and_a_killed_one_cannot() {
    use std::os::unix::process::ExitStatusExt;

    let script = "trap 'echo bye; exit 0' TERM; echo up; read line";
    let mut process = sh(script);
    process.wait_for_line(Source::Stdout, "up", LONG).unwrap();
    process.terminate().unwrap();
    assert!(process.wait_for_exit(LONG).unwrap().success());
    assert_eq!(process.output().stdout, ["up", "bye"]);

    let mut process = sh(script);
    process.wait_for_line(Source::Stdout, "up", LONG).unwrap();
    assert_eq!(process.kill().unwrap().signal(), Some(9));
    assert_eq!(process.output().stdout, ["up"]);
}

#[test]
fn process_that_ended_takes_no_signals_and_keeps_its_status() {
    let mut process = sh("exit 3");
    assert_eq!(process.wait_for_exit(LONG).unwrap().code(), Some(3));
    process.terminate().unwrap_err();
    assert_eq!(process.kill().unwrap().code(), Some(3));
    assert_eq!(process.wait_for_exit(LONG).unwrap().code(), Some(3));
}

#[test]
fn paused_process_says_nothing_until_it_is_resumed() {
    let mut process = sh("exec cat");
    process.write_line("before").unwrap();
    process.wait_for_line(Source::Stdout, "before", LONG).unwrap();
    process.pause().unwrap();
    process.write_line("after").unwrap();
    process.wait_for_line(Source::Stdout, "after", SHORT).unwrap_err();
    process.resume().unwrap();
    process.wait_for_line(Source::Stdout, "after", LONG).unwrap();
}

#[test]
fn dropped_process_takes_its_children_along_even_orphans() {
    let mut process = sh("sleep 1000 & echo $!; (sleep 1000 & echo $!); cat");
    let said = |process: &mut Process| process.wait_for_line(Source::Stdout, "", LONG).unwrap();
    let child = said(&mut process).parse().unwrap();
    let orphan = said(&mut process).parse().unwrap();
    let parent = process.id();
    assert!(runs(child) && runs(orphan) && runs(parent));
    drop(process);
    assert!(gone(child) && gone(orphan) && gone(parent));
}

#[test]
fn children_of_a_process_that_ended_by_itself_are_ended_too() {
    let mut process = sh("sleep 1000 >/dev/null 2>&1 & echo $!");
    let child = process.wait_for_line(Source::Stdout, "", LONG).unwrap().parse().unwrap();
    assert!(process.wait_for_exit(LONG).unwrap().success());
    assert!(runs(child));
    drop(process);
    assert!(gone(child));
}

#[test]
fn process_that_forgot_its_environment_is_ended_too() {
    let mut process = sh("exec env -i sh -c 'echo up; exec sleep 1000'");
    process.wait_for_line(Source::Stdout, "up", LONG).unwrap();
    let pid = process.id();
    drop(process);
    assert!(gone(pid));
}

#[test]
fn dropping_one_process_leaves_another_alone() {
    let first = sh("cat");
    let mut second = sh("cat");
    drop(first);
    second.write_line("still here").unwrap();
    second.wait_for_line(Source::Stdout, "still here", LONG).unwrap();
}

#[test]
fn panicking_test_leaves_no_process_behind() {
    let (send, receive) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let process = sh("cat");
        send.send(process.id()).unwrap();
        panic!("as a failing test would");
    });
    let pid = receive.recv().unwrap();
    test.join().unwrap_err();
    assert!(gone(pid));
}

#[test]
fn program_that_does_not_exist_is_named() {
    let error = Process::spawn(&mut Command::new("no-such-program-anywhere")).unwrap_err();
    assert!(error.to_string().contains("no-such-program-anywhere"), "{error}");
}

#[test]
fn usage_shows_memory_files_and_threads() {
    let mut process = sh("exec 7</dev/null; echo up; cat");
    process.wait_for_line(Source::Stdout, "up", LONG).unwrap();
    let usage = process.usage().unwrap();
    assert!(usage.memory_bytes > 0);
    assert!(usage.memory_bytes <= usage.memory_peak_bytes);
    assert!(usage.open_files >= 4, "{usage:?}");
    assert_eq!(usage.threads, 1);
}

#[test]
fn usage_shows_time_spent_on_the_processor() {
    let process = sh("while :; do :; done");
    let worked = || process.usage().unwrap().cpu >= Duration::from_millis(30);
    eventually("some work", LONG, || worked().then_some(())).unwrap();
}

#[test]
fn usage_of_a_process_that_ended_is_an_error() {
    let mut process = sh("exit 0");
    process.wait_for_exit(LONG).unwrap();
    process.usage().unwrap_err();
}

#[test]
fn process_in_a_workdir_has_it_as_its_home_and_is_removed_with_it() {
    let workdir = Workdir::new().unwrap();
    let path = workdir.path().canonicalize().unwrap();
    let mut process = workdir.spawn("sh", ["-c", "pwd; echo $HOME; echo x > file"]).unwrap();
    process.wait_for_exit(LONG).unwrap();
    let said: Vec<PathBuf> = process.output().stdout.iter().map(PathBuf::from).collect();
    assert_eq!(said[0], path);
    assert_eq!(said[1], workdir.path());
    assert!(path.join("file").exists());
    drop(workdir);
    assert!(!path.exists());
}
