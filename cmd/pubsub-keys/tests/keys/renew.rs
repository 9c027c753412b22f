//! `renew`: the same name and key for another span, at once or when it is due.

use pubsub_testkit::Source;
use pubsub_tls::{Tls, days_between};

use crate::world::{SOON, World, write};

#[test]
fn renewed_certificate_has_the_same_names_key_and_span() {
    let world = World::with_authority();
    world.ok("issue hub --san hub.example.com --san 10.0.0.7 --days 20");
    let (old, key) = (world.facts("keys/hub.crt"), world.read("keys/hub.key"));
    let made = world.json("renew hub");
    let new = world.facts("keys/hub.crt");
    assert_eq!((&new.dns_names, &new.ip_addresses), (&old.dns_names, &old.ip_addresses));
    assert_ne!(new.serial, old.serial);
    assert_eq!(made["serial"], new.serial);
    assert_eq!(days_between(new.not_before, new.not_after), 20);
    assert_eq!(world.read("keys/hub.key"), key);
    assert_eq!(world.json("ls").as_array().unwrap().len(), 2);
    Tls::load(&world.settings("keys", "hub")).unwrap();
}

#[test]
fn span_and_key_change_when_asked() {
    let world = World::with_authority();
    world.ok("issue hub");
    let key = world.read("keys/hub.key");
    world.ok("renew hub --days 3 --new-key ed25519");
    let new = world.facts("keys/hub.crt");
    assert_eq!((days_between(new.not_before, new.not_after), new.key.as_str()), (3, "Ed25519"));
    assert_ne!(world.read("keys/hub.key"), key);
    assert_eq!(world.mode("keys/hub.key"), 0o600);
    Tls::load(&world.settings("keys", "hub")).unwrap();
}

#[test]
fn certificate_that_is_not_due_stays() {
    let world = World::with_authority();
    world.ok("issue hub --days 20");
    let before = world.read("keys/hub.crt");
    let ran = world.run("renew hub --before 19");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.ends_with(" days left; nothing was done.\n"), "{ran:?}");
    assert_eq!(world.json("renew hub --before 19")["renewed"], false);
    assert_eq!(world.read("keys/hub.crt"), before);
    world.ok("renew hub --before 21");
    assert_ne!(world.read("keys/hub.crt"), before);
}

#[test]
fn certificate_is_renewed_where_it_is() {
    let world = World::with_authority();
    world.ok("issue hub --out elsewhere/deep");
    let before = world.read("elsewhere/deep/hub.crt");
    world.ok("renew hub");
    assert_ne!(world.read("elsewhere/deep/hub.crt"), before);
    // The whole may move.
    std::fs::create_dir(world.path("moved")).unwrap();
    for dir in ["keys", "elsewhere"] {
        std::fs::rename(world.path(dir), world.path("moved").join(dir)).unwrap();
    }
    let before = world.read("moved/elsewhere/deep/hub.crt");
    world.ok("renew hub --ca moved/keys");
    assert_ne!(world.read("moved/elsewhere/deep/hub.crt"), before);
}

#[test]
fn revoked_certificate_is_not_renewed() {
    let world = World::with_authority();
    world.ok("issue hub");
    world.ok("revoke hub");
    let said = world.fails(4, "renew hub");
    assert!(said.contains("the certificate of hub is revoked (serial "), "{said}");
    assert!(said.contains("try: pubsub-keys issue hub --force"), "{said}");
    world.ok("issue hub --force");
    world.ok("renew hub");
    world.ok("verify keys/hub.crt");
}

#[test]
fn unknown_name_is_not_renewed() {
    let world = World::with_authority();
    let said = world.fails(3, "renew hub");
    assert!(said.contains("no certificate of hub is in keys/ca.index"), "{said}");
    world.ok("issue hub");
    world.ok("issue edge");
    std::fs::copy(world.path("keys/edge.crt"), world.path("keys/hub.crt")).unwrap();
    assert!(world.fails(1, "renew hub").contains("it is for edge, wanted hub"));
}

#[test]
fn watch_renews_what_is_due_and_then_waits() {
    let world = World::with_authority();
    world.ok("issue hub --days 1");
    let first = world.facts("keys/hub.crt").serial;
    let watch = "renew hub --watch --before 5 --days 90 --every 20ms -o jsonl";
    let mut watching = world.spawn(watch);
    let line = watching.wait_for_line(Source::Stdout, "serial", SOON).unwrap();
    let second = world.facts("keys/hub.crt").serial;
    assert!(first != second && line.contains(&second), "{line}");

    // It is not due again until somebody makes it so.
    let third = world.json("issue hub --days 1 --force")["serial"].as_str().unwrap().to_owned();
    let line = watching.wait_for_line(Source::Stdout, "serial", SOON).unwrap();
    let fourth = world.facts("keys/hub.crt").serial;
    assert!(line.contains(&fourth) && fourth != third, "{line}");
    assert_eq!(watching.output().stdout.len(), 2, "{}", watching.output());
}

#[test]
fn watch_outlives_trouble_and_ends_with_a_revocation() {
    let world = World::with_authority();
    world.ok("issue hub --days 90");
    let mut watching = world.spawn("renew hub --watch --every 20ms");
    watching.wait_for_line(Source::Stderr, "Watching hub, every 20ms", SOON).unwrap();
    let good = world.read("keys/hub.crt");
    write(&world.path("keys/hub.crt"), "half");
    watching.wait_for_line(Source::Stderr, "the next look is in", SOON).unwrap();
    write(&world.path("keys/hub.crt"), &good);
    world.ok("revoke hub");
    let status = watching.wait_for_exit(SOON).unwrap();
    assert_eq!(status.code(), Some(4));
    assert_eq!(world.read("keys/hub.crt"), good);
}

#[test]
fn watch_does_not_renew_what_ends_with_its_authority_again_and_again() {
    let world = World::new();
    world.ok("ca init --days 2");
    world.ok("issue hub --days 90");
    let first = world.facts("keys/hub.crt").serial;
    let mut watching = world.spawn("renew hub --watch --before 30 --days 90 --every 20ms");
    for _ in 0..3 {
        let wanted = "hub ends with its authority";
        watching.wait_for_line(Source::Stderr, wanted, SOON).unwrap();
    }
    assert_eq!(world.facts("keys/hub.crt").serial, first);
    assert_eq!(world.json("ls").as_array().unwrap().len(), 1);
}

#[test]
fn watch_that_would_never_rest_is_refused() {
    let world = World::with_authority();
    world.ok("issue hub --days 10");
    let said = world.fails(2, "renew hub --watch --before 10");
    assert!(said.contains("would be due again at once"), "{said}");
    world.fails(2, "renew hub --watch --before 9 --days 5");
    world.fails(2, "renew hub --watch --every 0s");
}
