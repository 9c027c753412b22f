//! `revoke` and `crl`: what is taken back is refused by nodes, and nothing else is.

use pubsub_tls::{Reloading, Tls, UnixTime};

use crate::authority::openssl;
use crate::world::World;

#[test]
fn nodes_refuse_what_was_revoked_and_take_the_rest() {
    let world = World::with_authority();
    for name in ["hub", "good", "bad"] {
        world.ok(&format!("issue {name}"));
    }
    let hub = Reloading::open(world.settings("keys", "hub")).unwrap();
    let judge = |name: &str| {
        let chain = pubsub_keys::read_certificates(&world.path(&format!("keys/{name}.crt")));
        hub.current().trust().check(&chain.unwrap(), pubsub_keys::now())
    };
    assert!(judge("bad").is_ok());
    let serial = world.facts("keys/bad.crt").serial;
    let made = world.json("revoke bad");
    assert_eq!(made["revoked"][0]["serial"], serial);
    assert_eq!(made["lists"][0], "keys/ca.crl");
    assert!(hub.reload_if_changed().unwrap().revocations);
    let refused = judge("bad").unwrap_err();
    assert_eq!(refused.kind.as_str(), "revoked");
    assert!(refused.text.contains(&serial), "{refused}");
    assert_eq!(judge("good").unwrap().name, "good");
    assert_eq!(Tls::load(&world.settings("keys", "bad")).unwrap().warnings(now()).len(), 1);
}

fn now() -> UnixTime {
    pubsub_keys::now()
}

#[test]
fn list_is_one_that_other_programs_read() {
    let world = World::with_authority();
    world.ok("issue a");
    world.ok("revoke a");
    let serial = world.facts("keys/a.crt").serial.to_uppercase();
    let text = openssl(&world, "crl -in keys/ca.crl -CAfile keys/ca.crt -noout -text");
    assert!(text.contains("Version 2") && text.contains(&serial), "{text}");
}

#[test]
fn one_serial_number_is_one_certificate() {
    let world = World::with_authority();
    world.ok("issue a");
    let first = world.facts("keys/a.crt").serial;
    world.ok("renew a");
    let pairs: Vec<_> = first.as_bytes().chunks(2).collect();
    let spelled = pairs.join(&b':').to_ascii_uppercase();
    let out = world.ok(&format!("revoke {}", String::from_utf8(spelled).unwrap()));
    assert!(out.starts_with(&format!("a {first} 20")), "{out}");
    world.ok("verify keys/a.crt");
    world.ok("revoke a");
    world.fails(1, "verify keys/a.crt");
}

#[test]
fn name_means_all_its_certificates() {
    let world = World::with_authority();
    world.ok("issue a");
    world.ok("renew a");
    world.ok("issue b");
    assert_eq!(world.json("revoke a")["revoked"].as_array().unwrap().len(), 2);
    world.ok("verify keys/b.crt");
}

#[test]
fn revoking_again_writes_the_list_again() {
    let world = World::with_authority();
    world.ok("issue a");
    world.ok("revoke a");
    std::fs::remove_file(world.path("keys/ca.crl")).unwrap();
    let ran = world.run("revoke a");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("It was revoked already."), "{ran:?}");
    assert!(world.fails(1, "verify keys/a.crt").contains("was revoked by CN=pubsub-ca"));
    std::fs::remove_file(world.path("keys/ca.crl")).unwrap();
    assert_eq!(world.ok("crl"), "keys/ca.crl\n");
    world.fails(1, "verify keys/a.crt");
}

#[test]
fn dry_run_revokes_nothing() {
    let world = World::with_authority();
    world.ok("issue a");
    let before = world.everything("keys");
    let ran = world.run("revoke a --dry-run");
    assert!(ran.stdout.starts_with("a ") && ran.stderr.contains("this was a dry run"), "{ran:?}");
    assert_eq!(world.everything("keys"), before);
}

#[test]
fn what_was_never_issued_is_not_revoked() {
    let world = World::with_authority();
    for wanted in ["nobody", "0123abcd", "ff:ff"] {
        let said = world.fails(3, &format!("revoke {wanted}"));
        assert!(
            said.contains(&format!("no certificate of {wanted} is in keys/ca.index")),
            "{said}"
        );
        assert!(said.contains("try: pubsub-keys ls"), "{said}");
    }
}

#[test]
fn copies_of_the_list_beside_certificates_are_replaced_too() {
    let world = World::with_authority();
    world.ok("issue hub --out hub");
    world.ok("issue edge --out edge");
    std::fs::copy(world.path("keys/ca.crl"), world.path("hub/ca.crl")).unwrap();
    let ran = world.run("revoke edge");
    assert!(ran.stderr.contains("hub/ca.crl, too."), "{ran:?}");
    assert_eq!(world.read("hub/ca.crl"), world.read("keys/ca.crl"));
    assert!(!world.path("edge/ca.crl").exists());
}

#[test]
fn certificate_is_in_the_index_before_it_is_anywhere() {
    let world = World::with_authority();
    // The key cannot be written: a directory is in its place.
    std::fs::create_dir_all(world.path("keys/a.key/x")).unwrap();
    world.fails(1, "issue a --force");
    assert!(!world.path("keys/a.crt").exists());
    assert_eq!(world.json("ls").as_array().unwrap().len(), 1);
    world.ok("revoke a");
}
