//! The server says what it does, does what it is told, and its exit code says how it ended.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use pubsub_testkit::{Process, Source, Workdir};

const SERVER: &str = env!("CARGO_BIN_EXE_pubsub-server");
const SOON: Duration = Duration::from_secs(20);

fn write(path: &Path, text: &str) {
    let mut file = OpenOptions::new();
    file.create(true)
        .write(true)
        .truncate(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// Runs the server to its end; gives its exit code, stdout and stderr.
fn run(work: &Workdir, args: &[&str]) -> (Option<i32>, String, String) {
    let mut process = work.spawn(SERVER, args).unwrap();
    let code = process.wait_for_exit(SOON).unwrap().code();
    let output = process.output();
    (code, output.lines(Source::Stdout).join("\n"), output.lines(Source::Stderr).join("\n"))
}

#[test]
fn without_any_configuration_it_keeps_data_in_data_and_says_what_holds_and_what_to_try() {
    let work = Workdir::new().unwrap();
    let mut server = work.spawn(SERVER, ["--log-format", "text"]).unwrap();
    server.wait_for_line(Source::Stderr, "ready", SOON).unwrap();
    let said = server.output().to_string();
    let data = work.path().join("data");
    for part in [
        data.to_str().unwrap(),
        "sync_policy=periodic",
        "storage.sync_policy: always",
        "control.sock",
        "pubsub pub orders hello",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(data.join("control.sock").exists());
    server.terminate().unwrap();
    assert_eq!(server.wait_for_exit(SOON).unwrap().code(), Some(0));
    assert!(!data.join("control.sock").exists());
}

#[test]
fn both_signals_end_it_in_order() {
    for signal in ["TERM", "INT"] {
        let work = Workdir::new().unwrap();
        let mut server = work.spawn(SERVER, [] as [&str; 0]).unwrap();
        server.wait_for_line(Source::Stderr, "ready", SOON).unwrap();
        let mut kill = work.spawn("kill", ["-s", signal, &server.id().to_string()]).unwrap();
        assert!(kill.wait_for_exit(SOON).unwrap().success());
        assert_eq!(server.wait_for_exit(SOON).unwrap().code(), Some(0), "{signal}");
        let said = server.output().to_string();
        assert!(said.contains(&format!("SIG{signal}")), "{said}");
    }
}

#[test]
fn log_lines_are_json_where_no_person_reads_them() {
    let work = Workdir::new().unwrap();
    let mut server = work.spawn(SERVER, [] as [&str; 0]).unwrap();
    let line = server.wait_for_line(Source::Stderr, "ready", SOON).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["message"], &line["level"]), (&"ready".into(), &"INFO".into()));
}

#[test]
fn a_configuration_is_obeyed_and_a_flag_is_stronger() {
    let work = Workdir::new().unwrap();
    write(
        &work.path().join("pubsub.yaml"),
        "name: bob\nstorage: {data_dir: ./there, sync_policy: always}\nlog: {format: text}\n",
    );
    let mut server = work.spawn(SERVER, ["-c", "pubsub.yaml"]).unwrap();
    server.wait_for_line(Source::Stderr, "ready", SOON).unwrap();
    let said = server.output().to_string();
    assert!(said.contains("name=\"bob\"") && said.contains("sync_policy=always"), "{said}");
    assert!(work.path().join("there/channels").is_dir());
    server.terminate().unwrap();
    server.wait_for_exit(SOON).unwrap();

    let mut server = work.spawn(SERVER, ["-c", "pubsub.yaml", "--data-dir", "here"]).unwrap();
    server.wait_for_line(Source::Stderr, "ready", SOON).unwrap();
    assert!(work.path().join("here/channels").is_dir());
}

#[test]
fn all_that_is_wrong_with_a_configuration_is_told_at_once_and_nothing_is_opened() {
    let work = Workdir::new().unwrap();
    write(
        &work.path().join("pubsub.yaml"),
        "storage:\n  sync_polcy: always\n  segment_mb: many\nsubscribers: {max_retries: -1}\n",
    );
    for args in [&["-c", "pubsub.yaml"][..], &["check", "-c", "pubsub.yaml"]] {
        let (code, stdout, stderr) = run(&work, args);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        for place in ["pubsub.yaml:2:", "pubsub.yaml:3:", "pubsub.yaml:4:"] {
            assert!(stderr.contains(place), "{place}: {stderr}");
        }
    }
    assert!(!work.path().join("data").exists());
}

#[test]
fn wrong_command_lines_and_missing_files_are_usage_errors() {
    let work = Workdir::new().unwrap();
    for args in [&["--nope"][..], &["-c", "none.yaml"], &["--data-dir", ""], &["nope"]] {
        let (code, _, stderr) = run(&work, args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(!stderr.is_empty());
    }
    let (code, stdout, _) = run(&work, &["--help"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("--data-dir"), "{stdout}");
    assert_eq!(run(&work, &["--version"]).0, Some(0));
}

#[test]
fn check_prints_what_holds_with_who_said_so_and_opens_nothing() {
    let work = Workdir::new().unwrap();
    write(&work.path().join("pubsub.yaml"), "storage:\n  sync_policy: always\n");
    let (code, stdout, stderr) = run(&work, &["check", "-c", "pubsub.yaml", "--data-dir", "here"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let row = |key: &str| {
        let line = stdout.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("storage.sync_policy "), ["always", "pubsub.yaml:2"]);
    assert_eq!(row("storage.data_dir "), ["here", "flag"]);
    assert_eq!(row("subscribers.max_retries "), ["5", "default"]);
    assert!(!work.path().join("here").exists());
}

#[test]
fn nobody_reading_what_it_says_is_no_failure() {
    let work = Workdir::new().unwrap();
    // The reader's end is closed before the first line is written.
    let script = format!("'{SERVER}' check | true; '{SERVER}' check 2>&1 >&- | cat >&2");
    let mut shell = Process::spawn(work.command("sh").args(["-c", &script])).unwrap();
    shell.wait_for_exit(SOON).unwrap();
    let said = shell.output().to_string();
    assert!(!said.contains("panicked"), "{said}");
}
