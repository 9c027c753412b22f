//! `ca init`, `issue` and `ls`: what is made, where, for whom, and what is never replaced.

use std::process::Stdio;

use pubsub_tls::{Tls, days_between};
use serde_json::json;

use crate::world::{World, write};

#[test]
fn authority_signs_certificates_and_lists_and_nothing_below_it() {
    let world = World::new();
    let made = world.json("ca init --name our-ca --days 100");
    assert_eq!(made["subject"], "CN=our-ca");
    assert_eq!(world.names("keys"), ["ca.crl", "ca.crt", "ca.index", "ca.key", "ca.lock"]);
    let facts = world.facts("keys/ca.crt");
    assert!(facts.is_ca && facts.may_sign_certificates && !facts.may_sign);
    assert_eq!(facts.path_len, Some(0));
    assert_eq!(facts.key, "ECDSA P-256");
    assert_eq!(days_between(facts.not_before, facts.not_after), 100);
    let text = openssl(&world, "x509 -in keys/ca.crt -noout -text");
    assert!(text.contains("Certificate Sign, CRL Sign"), "{text}");
    assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
}

#[test]
fn certificate_of_an_instance_has_its_names_and_serves_both_sides() {
    let world = World::with_authority();
    let made = world.json("issue hub --san hub.example.com --san 10.0.0.7 --san ::1 --san hub");
    assert_eq!(made["dns_names"], json!(["hub", "hub.example.com"]));
    assert_eq!(made["ip_addresses"], json!(["10.0.0.7", "::1"]));
    assert_eq!((&made["cert"], &made["key"]), (&json!("keys/hub.crt"), &json!("keys/hub.key")));
    let facts = world.facts("keys/hub.crt");
    assert_eq!(facts.name(), Ok("hub"));
    assert_eq!(facts.common_names, ["hub"]);
    assert_eq!(facts.usages, ["serverAuth", "clientAuth"]);
    assert_eq!(days_between(facts.not_before, facts.not_after), 90);
    assert!(!facts.is_ca && facts.may_sign && facts.issuer == "CN=pubsub-ca");
    assert_eq!(made["fingerprint"], facts.fingerprint);
    Tls::load(&world.settings("keys", "hub")).unwrap();
}

#[test]
fn serial_numbers_are_128_bits_and_never_the_same() {
    let world = World::with_authority();
    let mut serials = vec![world.facts("keys/ca.crt").serial];
    for _ in 0..8 {
        world.ok("issue a --force");
        serials.push(world.facts("keys/a.crt").serial);
    }
    assert!(serials.iter().all(|serial| serial.len() == 32), "{serials:?}");
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 9);
}

#[test]
fn every_kind_of_key_makes_certificates_that_nodes_take() {
    let world = World::new();
    for (ca, instance, key) in [
        ("p256", "p384", "ECDSA P-384"),
        ("p384", "ed25519", "Ed25519"),
        ("ed25519", "p256", "ECDSA P-256"),
    ] {
        world.ok(&format!("ca init --ca {ca} --algorithm {ca}"));
        world.ok(&format!("issue a --ca {ca} --algorithm {instance}"));
        assert_eq!(world.facts(&format!("{ca}/a.crt")).key, key);
        Tls::load(&world.settings(ca, "a")).unwrap();
        world.ok(&format!("revoke a --ca {ca}"));
        assert!(world.fails(1, &format!("verify {ca}/a.crt --ca {ca}")).contains("revoked"));
    }
}

#[test]
fn private_keys_are_for_their_owner_and_nobody_else_sees_them() {
    let world = World::new();
    let mut said = String::new();
    for line in ["ca init", "issue a", "inspect keys/a.key", "renew a", "ls", "ca init --force"] {
        let ran = world.run(line);
        said.push_str(&ran.stdout);
        said.push_str(&ran.stderr);
    }
    for file in ["keys/ca.key", "keys/a.key"] {
        assert_eq!(world.mode(file), 0o600, "{file}");
        let secret = world.read(file).lines().nth(1).unwrap().to_owned();
        assert!(!said.contains(&secret), "{said}");
    }
    assert!(!said.contains("PRIVATE KEY--"), "{said}");
    assert_eq!((world.mode("keys"), world.mode("keys/ca.crt")), (0o700, 0o644));
    assert_eq!((world.mode("keys/a.crt"), world.mode("keys/ca.crl")), (0o644, 0o644));
}

#[test]
fn nothing_is_replaced_without_force() {
    let world = World::with_authority();
    world.ok("issue a");
    let before = world.everything("keys");
    let said = world.fails(6, "ca init");
    assert!(
        said.contains("file \"keys/ca.crt\" already exists; use --force to overwrite"),
        "{said}"
    );
    let said = world.fails(6, "issue a");
    assert!(
        said.contains("file \"keys/a.crt\" already exists; use --force to overwrite"),
        "{said}"
    );
    assert_eq!(world.everything("keys"), before);

    // One of the two is enough.
    std::fs::remove_file(world.path("keys/a.crt")).unwrap();
    assert!(world.fails(6, "issue a").contains("keys/a.key"));
    world.ok("issue a --force");
    // What was revoked is nowhere else.
    for file in ["keys/ca.crt", "keys/ca.key"] {
        std::fs::remove_file(world.path(file)).unwrap();
    }
    assert!(world.fails(6, "ca init").contains("keys/ca.index"));
    world.ok("ca init --force");
    assert_eq!(world.read("keys/ca.index"), "");
}

#[test]
fn no_instance_is_written_over_the_authority() {
    let world = World::with_authority();
    let before = world.everything("keys");
    for line in ["issue ca --force", "issue ca --out keys/../keys --force", "issue ca"] {
        let said = world.fails(2, line);
        assert!(said.contains("`ca` would overwrite the files of the authority"), "{said}");
    }
    let line = "keygen instance --ca keys/ca.crt --ca-key keys/ca.key --name a --force";
    world.fails(2, &format!("{line} --out-key keys/ca.key"));
    world.fails(2, &format!("{line} --out-cert keys/ca.crl"));
    assert_eq!(world.everything("keys"), before);
    world.ok("issue ca --out elsewhere");
}

#[test]
fn names_that_nobody_can_have_are_refused() {
    let world = World::with_authority();
    for name in ["..", "a/b", "a b", "ä", "a\u{1b}[2J", &"x".repeat(256)] {
        let ran = world.run_words(&["issue", name]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    }
    assert_eq!(world.run_words(&["issue", ""]).code, 2);
    assert!(world.fails(2, "issue a --san a_b/c").contains("`a_b/c` is neither"));
    assert_eq!(world.read("keys/ca.index"), "");
    world.ok("issue host:7740");
}

#[test]
fn without_an_authority_it_is_said_how_to_make_one() {
    let world = World::new();
    for line in ["issue a", "renew a", "revoke a", "ls", "crl", "bundle a --out b"] {
        let said = world.fails(3, &format!("{line} --ca nowhere"));
        assert!(said.contains("no certificate authority in nowhere"), "{said}");
        assert!(said.contains("try: pubsub-keys ca init --ca nowhere"), "{said}");
    }
    assert!(!world.path("nowhere").exists());
}

#[test]
fn key_of_another_authority_signs_nothing() {
    let world = World::with_authority();
    world.ok("ca init --ca other");
    std::fs::copy(world.path("other/ca.key"), world.path("keys/ca.key")).unwrap();
    let said = world.fails(1, "issue a");
    assert!(
        said.contains("the private key in keys/ca.key is not the one of the authority"),
        "{said}"
    );
}

#[test]
fn instance_is_no_authority() {
    let world = World::with_authority();
    world.ok("issue a");
    let line = "keygen instance --ca keys/a.crt --ca-key keys/a.key --name b";
    assert!(
        world.fails(1, line).contains("not the certificate of an authority (a CA certificate)")
    );
}

#[test]
fn certificate_ends_with_its_authority_at_the_latest() {
    let world = World::new();
    world.ok("ca init --days 10");
    let ran = world.run("issue a --days 20");
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("warning: it ends with its authority, "), "{ran:?}");
    assert_eq!(world.facts("keys/a.crt").not_after, world.facts("keys/ca.crt").not_after);
    assert_eq!(world.run("issue b --days 9").stderr, "");
}

#[test]
fn what_was_issued_is_listed_with_its_state() {
    let world = World::with_authority();
    world.ok("issue a");
    world.ok("issue long-name --days 7");
    world.ok("revoke a");
    let listed = world.json("ls");
    assert_eq!(listed[0]["name"], "a");
    assert!(listed[0]["revoked"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        (&listed[1]["revoked"], &listed[1]["cert"]),
        (&json!(null), &json!("long-name.crt"))
    );
    let table = world.ok("ls");
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("NAME       SERIAL"), "{table}");
    assert!(lines[1].starts_with("a          ") && lines[1].contains("revoked 20"), "{table}");
    assert!(lines[2].ends_with(" days left"), "{table}");
    assert_eq!(world.ok("ls -o jsonl").lines().count(), 2);
    assert_eq!(world.mode("keys/ca.index"), 0o600);
}

#[test]
fn damaged_index_stops_everything_that_relies_on_it() {
    let world = World::with_authority();
    world.ok("issue a");
    let index = world.read("keys/ca.index");
    write(&world.path("keys/ca.index"), &format!("rubbish\n{index}"));
    for line in ["issue b", "revoke a", "renew a", "ls"] {
        assert!(world.fails(1, line).contains("keys/ca.index: line 1: "), "{line}");
    }
}

#[test]
fn many_at_once_forget_nothing() {
    let world = World::with_authority();
    let names: Vec<_> = (0..8).map(|nth| format!("edge-{nth}")).collect();
    let mut running: Vec<_> = names
        .iter()
        .map(|name| world.command().args(["issue", name]).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    for process in &mut running {
        assert!(process.wait().unwrap().success());
    }
    let listed = world.json("ls");
    let mut found: Vec<_> =
        listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn directory_that_cannot_be_written_is_named() {
    let world = World::new();
    write(&world.path("file"), "");
    let said = world.fails(1, "ca init --ca file/keys");
    assert!(said.contains("make the directory file/keys: "), "{said}");
}

#[test]
fn authority_made_by_others_is_as_good() {
    let world = World::new();
    std::fs::create_dir(world.path("keys")).unwrap();
    // As keyop-messenger makes it: P-384, and the key in a section of its own kind.
    openssl(&world, "ecparam -name secp384r1 -genkey -noout -out keys/ca.key");
    openssl(
        &world,
        "req -x509 -new -key keys/ca.key -sha384 -days 30 -subj /O=Acme/CN=keyop-ca -out keys/ca.crt \
         -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    assert!(world.read("keys/ca.key").contains("BEGIN EC PRIVATE KEY"));
    world.ok("issue edge --days 5");
    world.ok("crl");
    Tls::load(&world.settings("keys", "edge")).unwrap();
    let text = openssl(&world, "verify -CAfile keys/ca.crt keys/edge.crt");
    assert!(text.contains("keys/edge.crt: OK"), "{text}");
}

/// Runs somebody else's program on our files.
pub(crate) fn openssl(world: &World, line: &str) -> String {
    let ran = std::process::Command::new("openssl")
        .args(line.split_whitespace())
        .current_dir(world.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&ran.stderr));
    text
}
