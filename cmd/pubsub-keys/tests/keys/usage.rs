//! The manners of the command: codes, streams, and what it never does.

use crate::world::World;

#[test]
fn what_is_not_understood_is_usage() {
    let world = World::new();
    for line in
        ["", "nonsense", "issue", "issue a --days 0", "issue a --days x", "ca", "issue a -o xml"]
    {
        let ran = world.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line}: {ran:?}");
    }
    assert!(world.run("isue a").stderr.contains("issue"));
}

#[test]
fn help_and_version_are_data() {
    let world = World::new();
    assert!(world.ok("version").starts_with("pubsub-keys "));
    assert_eq!(world.ok("version"), world.ok("--version"));
    assert!(world.ok("--help").contains("Exit codes: 0 done"));
    assert!(world.ok("issue --help").contains("pubsub-keys issue hub --san hub.example.com"));
}

#[test]
fn quiet_says_nothing_but_data_and_errors() {
    let world = World::new();
    let ran = world.run("ca init -q");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(!ran.stdout.is_empty());
    assert!(!world.run("ca init -q").stderr.is_empty());
}

#[test]
fn directory_of_the_authority_may_come_from_the_environment() {
    let world = World::new();
    let ran = world.command().args(["ca", "init"]).env("PUBSUB_KEYS_CA", "mine").output().unwrap();
    assert!(ran.status.success());
    assert!(world.path("mine/ca.crt").exists());
}

#[test]
fn reader_that_has_enough_is_no_failure() {
    let world = World::with_authority();
    let shell = format!("{} inspect keys/ca.crt | true", env!("CARGO_BIN_EXE_pubsub-keys"));
    for _ in 0..5 {
        let script = format!("set -o pipefail; {shell}");
        let status = std::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(world.path(""))
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
    }
}
