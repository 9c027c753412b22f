//! A lock keeps other processes out for as long as its owner lives, and says who that is.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};

use pubsub_disk::{Disk, FileDisk, LockError, Open};

/// Set in the process that [`other_process`] starts: the directory it locks.
const DIR: &str = "PUBSUB_TEST_LOCK_DIR";

/// Another process that has taken the lock.
fn other_process(dir: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "lock_is_held_until_its_process_dies", "--nocapture"])
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"));
    child
}

/// What the other process does.
fn lock_and_wait(dir: &str) {
    let _lock = FileDisk::open(dir).unwrap().lock(Path::new("LOCK")).unwrap();
    let mut out = std::io::stdout();
    out.write_all(b"\nlocked\n").unwrap();
    out.flush().unwrap();
    // Until it is killed, or whoever started it is gone.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn lock_is_held_until_its_process_dies() {
    if let Ok(dir) = env::var(DIR) {
        return lock_and_wait(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let mut child = other_process(dir.path());
    let error = disk.lock(Path::new("LOCK")).unwrap_err();
    let LockError::Held { path, pid } = &error else { unreachable!("{error:?}") };
    assert_eq!(*pid, Some(child.id()));
    assert_eq!(*path, dir.path().join("LOCK"));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(disk.lock(Path::new("LOCK")).unwrap());
}

#[test]
fn lock_file_names_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let _lock = disk.lock(Path::new("LOCK")).unwrap();
    let file = disk.open(Path::new("LOCK"), Open::Read).unwrap();
    let mut buf = [0; 32];
    let len = file.read_at(&mut buf, 0).unwrap();
    assert_eq!(buf[..len], *format!("{}\n", process::id()).as_bytes());
}

#[test]
fn second_lock_in_one_process_fails_through_another_disk_too() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (FileDisk::open(dir.path()).unwrap(), FileDisk::open(dir.path()).unwrap());
    let lock = one.lock(Path::new("LOCK")).unwrap();
    let error = two.lock(Path::new("LOCK")).unwrap_err();
    assert!(matches!(error, LockError::Held { pid, .. } if pid == Some(process::id())));
    drop(lock);
    drop(two.lock(Path::new("LOCK")).unwrap());
}

#[test]
fn lock_is_released_when_dropped_though_a_child_runs_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let lock = disk.lock(Path::new("LOCK")).unwrap();
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    drop(lock);
    drop(disk.lock(Path::new("LOCK")).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn directory_that_may_not_be_written_is_said_to_be_so() {
    // Not even the superuser makes files there.
    let disk = FileDisk::open("/sys").unwrap();
    let error = disk.lock(Path::new("LOCK")).unwrap_err();
    assert!(matches!(error, LockError::Denied { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("lock /sys/LOCK: ") && text.contains("writable"), "{text}");
}
