//! The examples do what they say.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::time::Duration;

use pubsub_testkit::{Source, Workdir, binary};

const SOON: Duration = Duration::from_secs(20);

fn said_by(example: &str) -> Vec<String> {
    let work = Workdir::new().unwrap();
    let program = binary(&format!("examples/{example}")).unwrap();
    let mut process = work.spawn(program, [] as [&str; 0]).unwrap();
    let status = process.wait_for_exit(SOON).unwrap();
    assert!(status.success(), "{}", process.output());
    process.output().lines(Source::Stdout).to_vec()
}

#[test]
fn an_order_is_published_and_billed() {
    assert_eq!(said_by("publish_subscribe"), ["billed order 7"]);
}

#[test]
fn orders_are_read_as_a_stream() {
    assert_eq!(said_by("stream"), ["order 1 is 1", "order 2 is 2", "order 3 is 3"]);
}

#[test]
fn an_order_is_published_and_handled_without_async() {
    assert_eq!(said_by("blocking"), ["order 7"]);
}
