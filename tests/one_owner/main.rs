//! A data directory belongs to one process at a time, and to nobody whose files it would be among.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::path::Path;

use common::{SOON, open};
use pubsub::{ErrorKind, Messenger};
use pubsub_testkit::{Source, Workdir};
use tempfile::tempdir;

const SERVER: &str = env!("CARGO_BIN_EXE_pubsub-server");

/// An error with all its causes, as a program would print it.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Names and contents of all files below.
fn listing(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.metadata().unwrap();
        found.push((path.display().to_string(), if meta.is_file() { meta.len() } else { 0 }));
        if meta.is_dir() {
            found.extend(listing(&path));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_who_has_the_directory() {
    let work = Workdir::new().unwrap();
    let mut server = work.spawn(SERVER, ["--data-dir", "data"]).unwrap();
    server.wait_for_line(Source::Stderr, "ready", SOON).unwrap();
    let refused = Messenger::open(work.path().join("data")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DataDirInUse);
    let text = told(&refused);
    assert!(text.contains(&format!("process {}", server.id())), "{text}");

    let mut second = work.spawn(SERVER, ["--data-dir", "data"]).unwrap();
    assert_eq!(second.wait_for_exit(SOON).unwrap().code(), Some(1));
    let text = second.output().to_string();
    assert!(text.contains(&format!("in use by process {}", server.id())), "{text}");

    server.kill().unwrap();
    let messenger = Messenger::open(work.path().join("data")).await.unwrap();
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_same_process_is_refused_too_until_it_has_shut_down() {
    let dir = tempdir().unwrap();
    let first = open(dir.path()).await;
    let refused = Messenger::open(dir.path()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DataDirInUse);
    first.shutdown().await.unwrap();
    Messenger::open(dir.path()).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_holds_something_else_is_left_as_it_is() {
    let dir = tempdir().unwrap();
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::OpenOptions::new().create_new(true).write(true).open(photos.join("a.jpg")).unwrap();
    let before = listing(dir.path());
    let refused = Messenger::open(dir.path()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DataDir);
    assert!(told(&refused).contains("photos"), "{}", told(&refused));
    assert_eq!(listing(dir.path()), before);

    let file = photos.join("a.jpg");
    let refused = Messenger::open(&file).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DataDir);
    assert_eq!(listing(dir.path()), before);
}
