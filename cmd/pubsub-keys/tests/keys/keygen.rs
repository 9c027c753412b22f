//! `keygen`: the commands of keyop-messenger.

use pubsub_tls::{Tls, days_between};

use crate::world::World;

const INSTANCE: &str = "keygen instance --ca ca.crt --ca-key ca.key --name edge";

#[test]
fn authority_and_instance_go_where_they_always_went() {
    let world = World::new();
    let text = world.ok("keygen ca");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("Subject:     CN="), "{text}");
    assert!(lines[1].starts_with("Valid from:  20") && lines[1].ends_with('Z'), "{text}");
    assert!(lines[2].starts_with("Valid until: 20") && lines[2].ends_with('Z'), "{text}");
    assert!(lines[3].starts_with("Fingerprint: SHA-256:") && lines.len() == 4, "{text}");
    let text = world.ok(INSTANCE);
    assert!(text.starts_with("Subject:     CN=edge\n"), "{text}");
    for file in ["ca.crt", "edge.crt"] {
        let facts = world.facts(file);
        assert_eq!(days_between(facts.not_before, facts.not_after), 730, "{file}");
    }
    assert_eq!((world.mode("ca.key"), world.mode("edge.key")), (0o600, 0o600));
    Tls::load(&world.settings(".", "edge")).unwrap();
    assert_eq!(world.ok("keygen inspect edge.crt"), world.ok("inspect edge.crt"));
}

#[test]
fn files_may_be_called_otherwise() {
    let world = World::new();
    world.ok("keygen ca --out-cert my.crt --out-key my.key --days 10");
    let line = "keygen instance --ca my.crt --ca-key my.key --name edge --days 5";
    world.ok(&format!("{line} --out-cert e.crt --out-key e.key"));
    assert!(world.ok("verify e.crt --ca my.crt --key e.key").starts_with("ok: edge, "));
    assert_eq!(
        world.names("."),
        ["e.crt", "e.key", "my.crl", "my.crt", "my.index", "my.key", "my.lock"]
    );
}

#[test]
fn files_that_are_there_stay_without_force() {
    let world = World::new();
    world.ok("keygen ca");
    world.ok(INSTANCE);
    let before = world.everything(".");
    let said = world.fails(6, "keygen ca");
    assert!(said.contains("file \"ca.crt\" already exists; use --force to overwrite"), "{said}");
    assert!(world.fails(6, INSTANCE).contains("file \"edge.crt\" already exists; use --force"));
    assert_eq!(world.everything("."), before);
    world.ok(&format!("{INSTANCE} --force"));
    world.ok("keygen ca --force");
}

#[test]
fn missing_flags_are_all_named() {
    let world = World::new();
    let said = world.fails(2, "keygen instance");
    for flag in ["--ca <FILE>", "--ca-key <FILE>", "--name <NAME>"] {
        assert!(said.contains(flag), "{said}");
    }
    world.fails(3, INSTANCE);
}
