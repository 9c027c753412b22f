//! Who does not get in, with the reason that each side is given.

use pubsub_testkit::certs::{Authority, Spec};
use pubsub_tls::{HandshakeError, Refusal, Tls};

use crate::meeting::{Met, judged_by_dialer, judged_by_listener, meet, meet_wanting};
use crate::rogue;
use crate::world::{World, settings};

/// What a listener and a dialer of ours say to a peer with such a certificate: the same.
#[track_caller]
fn refused(world: &World, spec: &Spec) -> (Refusal, String) {
    let (hub, bad) = (world.tls("our-own"), world.issue(spec));
    let by_listener = judged_by_listener(&hub, rogue::dialer(&[&bad]));
    let by_dialer = judged_by_dialer(&hub, rogue::listener(&[&bad]));
    match (by_listener, by_dialer) {
        (HandshakeError::Refused(one), HandshakeError::Refused(other)) if one == other => {
            (one.kind, one.to_string())
        }
        other => panic!("{other:?}"),
    }
}

/// The words that both ends have for a meeting that failed.
fn codes(met: &Met) -> (&str, &str) {
    let code =
        |end: &Result<_, HandshakeError>| end.as_ref().map_or_else(HandshakeError::code, |_| "");
    (code(&met.listener), code(&met.dialer))
}

#[test]
fn expired_certificate_is_refused_with_its_end() {
    let (kind, text) = refused(&World::new(), &Spec::expired("edge"));
    assert_eq!(kind, Refusal::Expired);
    assert!(
        text.starts_with("certificate of edge: ended 2021-01-01T00:00:00Z, and it is "),
        "{text}"
    );
}

#[test]
fn certificate_that_has_not_begun_is_refused_with_its_beginning() {
    let (kind, text) = refused(&World::new(), &Spec::not_yet_valid("edge"));
    assert_eq!(kind, Refusal::NotYetValid);
    assert!(text.starts_with("certificate of edge: begins 2119-01-01T00:00:00Z"), "{text}");
}

#[test]
fn certificate_for_something_else_is_refused_with_what_it_is_for() {
    let world = World::new();
    let (kind, text) = refused(&world, &Spec::wrong_usage("edge"));
    assert_eq!(kind, Refusal::WrongUsage);
    assert_eq!(text, "certificate of edge: is for codeSigning, wanted serverAuth or clientAuth");
    let (kind, text) = refused(&world, &Spec { usages: vec![], ..Spec::new("edge") });
    assert_eq!(kind, Refusal::WrongUsage);
    assert!(text.contains("wanted the extended key usage serverAuth or clientAuth"), "{text}");
}

#[test]
fn certificate_of_an_authority_is_refused_as_a_peer() {
    let (kind, text) = refused(&World::new(), &Spec::authority("edge"));
    assert_eq!(kind, Refusal::CaAsLeaf);
    assert_eq!(text, "certificate of edge: is a CA certificate, wanted the one of an instance");
}

#[test]
fn names_that_no_instance_has_are_refused() {
    let world = World::new();
    let long = "x".repeat(256);
    for name in ["", ".", "..", "a b", "a\0b", "a\n", "\u{1b}[2J", "a/b", "*.example", &long] {
        let spec = Spec { file: "bad".to_owned(), ..Spec::new(name) };
        let by_common_name = Spec { dns_names: vec![], ..spec.clone() };
        for spec in [spec, by_common_name] {
            let (kind, text) = refused(&world, &spec);
            assert_eq!(kind, Refusal::BadName, "{name:?}");
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
            assert!(text.len() < 500, "{text:?}");
        }
    }
}

#[test]
fn only_the_first_dns_name_counts() {
    let world = World::new();
    let dns_names = vec!["..".to_owned(), "edge".to_owned()];
    let (kind, _) = refused(&world, &Spec { dns_names, ..Spec::new("edge") });
    assert_eq!(kind, Refusal::BadName);
}

#[test]
fn certificate_of_another_authority_is_refused_with_both_authorities() {
    let (ours, theirs) = (World::new(), tempfile::tempdir().unwrap());
    let stranger = Authority::new(theirs.path(), "their-ca").unwrap();
    let stranger = stranger.issue(&Spec::new("edge")).unwrap();
    let edge = Tls::load(&settings(&stranger)).unwrap();
    let met = meet(&ours.tls("hub"), &edge);
    assert_eq!(codes(&met), ("peer_says_other_authority", "other_authority"));
    let met = meet(&edge, &ours.tls("hub"));
    // The dialer looks first, and the listener hears of it.
    assert_eq!(codes(&met), ("peer_says_other_authority", "other_authority"));
    let error = judged_by_listener(&ours.tls("hub"), rogue::dialer(&[&stranger]));
    let HandshakeError::Refused(refused) = &error else { panic!("{error:?}") };
    assert_eq!(refused.kind, Refusal::OtherAuthority);
    assert!(refused.text.contains("CN=their-ca") && refused.text.contains("CN=our-ca"), "{error}");
}

#[test]
fn authority_of_the_same_name_is_another_one() {
    let (world, theirs) = (World::new(), tempfile::tempdir().unwrap());
    let stranger = Authority::new(theirs.path(), "our-ca").unwrap();
    let stranger = stranger.issue(&Spec::new("edge")).unwrap();
    let error = judged_by_listener(&world.tls("hub"), rogue::dialer(&[&stranger]));
    assert_eq!(error.code(), "other_authority", "{error}");
    assert!(error.to_string().contains("another signed it"), "{error}");
}

#[test]
fn revoked_certificate_is_refused_by_either_side_and_told_so() {
    let world = World::new();
    let bad = world.issue(&Spec::new("edge"));
    // It has not heard of the list.
    let unaware = pubsub_tls::Settings { crl: None, ..settings(&bad) };
    let edge = Tls::load(&unaware).unwrap();
    meet(&edge, &world.tls("hub")).both();
    world.authority.revoke(&bad).unwrap();
    let hub = world.tls("hub");
    assert_eq!(codes(&meet(&edge, &hub)), ("revoked", "peer_says_revoked"));
    assert_eq!(codes(&meet(&hub, &edge)), ("peer_says_revoked", "revoked"));
    let error = meet(&edge, &hub).listener.unwrap_err();
    let wanted = format!("serial {} was revoked by CN=our-ca", edge.identity().serial);
    assert!(error.to_string().ends_with(&wanted), "{error}");
    meet(&world.tls("other"), &hub).both();
}

#[test]
fn certificates_of_an_authority_that_has_ended_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::with(dir.path(), &Spec::expired("old-ca")).unwrap();
    let tls = |name| Tls::load(&settings(&authority.issue(&Spec::new(name)).unwrap())).unwrap();
    let error = meet(&tls("edge"), &tls("hub")).dialer.unwrap_err();
    assert_eq!(error.code(), "authority_expired");
    assert!(error.to_string().contains("CN=old-ca is valid from 2020-01-01"), "{error}");
}

#[test]
fn another_peer_than_the_wanted_one_is_refused_with_both_names() {
    let world = World::new();
    let met = meet_wanting(&world.tls("edge"), "alpha", &world.tls("beta"));
    assert_eq!(codes(&met), ("peer_says_wrong_name", "wrong_peer"));
    let text = met.dialer.unwrap_err().to_string();
    assert!(text.contains("wanted the instance alpha, found beta"), "{text}");
}

#[test]
fn wanted_name_is_no_pattern_and_letters_count() {
    let world = World::new();
    let (edge, hub) = (world.tls("edge"), world.tls("hub"));
    for wanted in ["*", "HUB", "hub.", "CN=hub", "hu", ""] {
        let met = meet_wanting(&edge, wanted, &hub);
        assert_eq!(met.dialer.unwrap_err().code(), "wrong_peer", "{wanted}");
    }
}

#[test]
fn peer_without_a_certificate_is_refused() {
    let world = World::new();
    let error = judged_by_listener(&world.tls("hub"), rogue::dialer_without_certificate());
    assert_eq!(error.code(), "no_certificate", "{error}");
}

#[test]
fn chains_that_nobody_needs_are_not_looked_into() {
    let world = World::new();
    let edge = world.issue(&Spec::new("edge"));
    let hub = world.tls("hub");
    let error = judged_by_listener(&hub, rogue::dialer(&[&edge; 6]));
    assert_eq!(error.code(), "unreadable");
    assert!(error.to_string().contains("6 certificates, of 5 at most"), "{error}");

    let dns_names = (0..2_000).map(|nth| format!("name-{nth}")).collect();
    let large = world.issue(&Spec { dns_names, ..Spec::new("edge") });
    let error = judged_by_listener(&hub, rogue::dialer(&[&large]));
    assert_eq!(error.code(), "unreadable");
    assert!(error.to_string().contains("of 16384 at most"), "{error}");
}

#[test]
fn instance_cannot_vouch_for_another() {
    let world = World::new();
    // Signed by an authority that ours signed, though ours says that there is none below it.
    let middle = world.issue(&Spec::authority("middle"));
    let below = Authority::beneath(&middle).unwrap();
    let edge = below.issue(&Spec::new("edge")).unwrap();
    let error = judged_by_listener(&world.tls("hub"), rogue::dialer(&[&edge, &middle]));
    assert_eq!(error.code(), "other_authority", "{error}");
    assert!(error.to_string().contains("1 authorities stand between"), "{error}");
}

#[test]
fn certificate_without_its_key_is_refused() {
    let world = World::new();
    let (hub, mut thief) = (world.tls("hub"), world.issue(&Spec::new("edge")));
    thief.key = world.issue(&Spec::new("thief")).key;
    for error in [
        judged_by_listener(&hub, rogue::dialer(&[&thief])),
        judged_by_dialer(&hub, rogue::listener(&[&thief])),
    ] {
        assert_eq!(error.code(), "wrong_key", "{error}");
        assert!(error.to_string().contains("certificate of edge"), "{error}");
    }
}

#[test]
fn peer_is_nobody_before_the_handshake_is_done() {
    let hub = World::new().tls("hub");
    let accept = hub.accept();
    let end = crate::meeting::listening(&accept);
    assert_eq!(accept.peer(&end).unwrap_err().code(), "tls");
}

#[test]
fn garbage_is_no_handshake() {
    let hub = World::new().tls("hub");
    let accept = hub.accept();
    let mut end = crate::meeting::listening(&accept);
    end.read_tls(&mut b"GET / HTTP/1.1\r\n\r\n".as_slice()).unwrap();
    let error = accept.explain_tls(&end.process_new_packets().unwrap_err());
    assert_eq!(error.code(), "not_tls", "{error}");
}

#[test]
fn errors_of_a_stream_are_explained_too() {
    let world = World::new();
    let dial = world.tls("edge").dial("hub", None);
    // What a stream says after the handshake, when the listener has looked at our certificate.
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRevoked);
    let error = dial.explain(std::io::Error::new(std::io::ErrorKind::InvalidData, alert));
    assert_eq!(error.code(), "peer_says_revoked");
    assert!(error.advice().contains("pubsub-keys issue"), "{}", error.advice());
    let error = dial.explain(std::io::ErrorKind::ConnectionReset.into());
    assert_eq!(error.code(), "connection");
}
