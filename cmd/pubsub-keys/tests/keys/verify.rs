//! `verify`: what a node would say.

use pubsub_testkit::certs::{Authority, Spec};

use crate::world::World;

#[test]
fn good_certificate_is_good() {
    let world = World::with_authority();
    world.ok("issue a --days 9");
    // It may be a second later than it was when it was issued.
    let good = ["ok: a, 8 days left\n", "ok: a, 9 days left\n"];
    for line in ["--ca keys", "--ca keys/ca.crt --key keys/a.key --name a", "--crl keys/ca.crl"] {
        let said = world.ok(&format!("verify keys/a.crt {line}"));
        assert!(good.contains(&said.as_str()), "{said}");
    }
    let found = world.json("verify keys/a.crt");
    assert_eq!(found["name"], "a");
    assert!([8, 9].contains(&found["days_left"].as_i64().unwrap()), "{found}");
}

#[test]
fn bad_certificates_are_refused_with_the_reason() {
    let world = World::new();
    let ca = Authority::new(&world.path(""), "our-ca").unwrap();
    let bad = [
        (Spec::expired("a"), "certificate of a: ended 2021-01-01T00:00:00Z, and it is 20"),
        (Spec::not_yet_valid("a"), "begins 2119-01-01T00:00:00Z"),
        (Spec::wrong_usage("a"), "is for codeSigning, wanted serverAuth or clientAuth"),
        (Spec::authority("a"), "is a CA certificate, wanted the one of an instance"),
        (Spec { file: "a".to_owned(), ..Spec::new("a b") }, "names no instance"),
    ];
    for (spec, wanted) in bad {
        ca.issue(&spec).unwrap();
        let said = world.fails(1, "verify a.crt --ca our-ca.crt");
        assert!(said.contains(wanted), "{said}");
        assert!(said.contains("try: "), "{said}");
    }
    let revoked = ca.issue(&Spec::new("a")).unwrap();
    ca.revoke(&revoked).unwrap();
    world.ok("verify a.crt --ca our-ca.crt");
    assert!(
        world.fails(1, "verify a.crt --ca our-ca.crt --crl our-ca.pem").contains("was revoked")
    );
    Authority::new(&world.path(""), "their-ca").unwrap();
    let said = world.fails(1, "verify a.crt --ca their-ca.crt");
    assert!(said.contains("is from CN=our-ca, wanted CN=their-ca"), "{said}");
}

#[test]
fn key_and_name_are_checked_when_asked() {
    let world = World::with_authority();
    world.ok("issue a");
    world.ok("issue b");
    let said = world.fails(1, "verify keys/a.crt --key keys/b.key");
    assert!(said.contains("keys/b.key is not the one of the certificate in keys/a.crt"), "{said}");
    let said = world.fails(1, "verify keys/a.crt --name b");
    assert!(said.contains("is for `a`, but this instance is `b`"), "{said}");
}

#[test]
fn files_that_are_not_there_have_a_code_of_their_own() {
    let world = World::with_authority();
    world.ok("issue a");
    assert!(world.fails(3, "verify no.crt").contains("read cert file no.crt"));
    assert!(world.fails(3, "verify keys/a.crt --ca no.crt").contains("no.crt"));
    assert!(world.fails(1, "verify keys/a.key").contains("no PEM block of a certificate"));
}
