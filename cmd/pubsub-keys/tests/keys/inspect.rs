//! `inspect`: what is in a file, in lines that do not change and cannot do harm.

use pubsub_testkit::certs::{Authority, Spec};
use serde_json::json;

use crate::world::{World, write};

#[test]
fn certificate_is_shown_line_by_line() {
    let world = World::with_authority();
    world.ok("issue hub --san hub.example.com --san 10.0.0.7 --days 30");
    let facts = world.facts("keys/hub.crt");
    let text = world.ok("inspect keys/hub.crt");
    let (from, until) = (pubsub_tls::date(facts.not_before), pubsub_tls::date(facts.not_after));
    // It may be a second later than it was when it was issued.
    let days = if text.contains("in 30 day(s)") { 30 } else { 29 };
    let wanted = format!(
        "Subject CN:    hub\nSubject:       CN=hub\nIssuer CN:     pubsub-ca\n\
         DNS SANs:      hub, hub.example.com\nIP SANs:       10.0.0.7\n\
         Valid from:    {from}\nValid until:   {until} (expires in {days} day(s))\n\
         Is CA:         false\nExt key usage: serverAuth, clientAuth\nKey:           ECDSA P-256\n\
         Serial:        {}\nFingerprint:   SHA-256:{}\n",
        facts.serial, facts.fingerprint
    );
    assert_eq!(text, wanted);
}

#[test]
fn authority_has_no_lines_that_do_not_apply() {
    let world = World::with_authority();
    let text = world.ok("inspect keys/ca.crt");
    assert!(text.contains("Is CA:         true\n"), "{text}");
    assert!(!text.contains("SANs") && !text.contains("Ext key usage"), "{text}");
}

#[test]
fn expired_certificate_says_for_how_long() {
    let world = World::new();
    let ca = Authority::new(&world.path(""), "ca").unwrap();
    ca.issue(&Spec::expired("a")).unwrap();
    let text = world.ok("inspect a.crt");
    let line = text.lines().find(|line| line.starts_with("Valid until:")).unwrap();
    assert!(line.starts_with("Valid until:   2021-01-01T00:00:00Z (EXPIRED "), "{line}");
    assert!(line.ends_with(" day(s) ago)"), "{line}");
    assert!(world.json("inspect a.crt")[0]["days_left"].as_i64().unwrap() < -1000);
}

#[test]
fn lists_and_keys_are_told_apart_and_keys_are_not_shown() {
    let world = World::with_authority();
    world.ok("issue a");
    world.ok("bundle a --out a.pem");
    world.ok("revoke a");
    let serial = world.facts("keys/a.crt").serial;
    let found = world.json("inspect keys/ca.crl");
    assert_eq!(
        (&found[0]["kind"], &found[0]["revoked"]),
        (&json!("revocation_list"), &json!([serial]))
    );
    assert!(world.ok("inspect keys/ca.crl").contains(&format!("Revoked:       {serial}")));
    let found = world.json("inspect a.pem");
    let kinds: Vec<_> = found.as_array().unwrap().iter().map(|thing| &thing["kind"]).collect();
    assert_eq!(kinds, ["certificate", "private_key", "certificate"]);
    assert_eq!(world.ok("inspect keys/a.key"), "Private key:   yes (not shown)\n");
}

#[test]
fn hostile_names_reach_no_terminal() {
    let world = World::new();
    let ca = Authority::new(&world.path(""), "ca").unwrap();
    let name = "a\u{1b}[2J\nb";
    ca.issue(&Spec { file: "bad".to_owned(), ..Spec::new(name) }).unwrap();
    let text = world.ok("inspect bad.crt") + &world.ok("inspect bad.crt -o json");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("DNS SANs:      a\\u{1b}[2J\\nb\n"), "{text}");
    assert_eq!(world.json("inspect bad.crt")[0]["name"], json!(null));
}

#[test]
fn files_that_hold_nothing_are_named() {
    let world = World::new();
    assert!(world.fails(3, "inspect no.crt").contains("read cert file no.crt"));
    write(&world.path("text"), "not PEM");
    assert!(world.fails(1, "inspect text").contains("text: no PEM block"));
    write(&world.path("bad"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(world.fails(1, "inspect bad").contains("bad: no X.509"));
}
