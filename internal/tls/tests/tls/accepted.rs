//! Who gets in: whoever an authority of ours vouches for, by the name in the certificate.

use pubsub_testkit::certs::{Authority, Issued, Spec, Usage};
use pubsub_tls::Tls;

use crate::meeting::{meet, meet_wanting, meet_with};
use crate::world::{World, in_2026, settings};

#[test]
fn both_sides_learn_the_name_in_the_others_certificate() {
    let world = World::new();
    let (hub, edge) = (world.tls("hub"), world.tls("edge-7"));
    let met = meet(&edge, &hub);
    let (dialer, listener) = met.both();
    assert_eq!((dialer.name.as_str(), listener.name.as_str()), ("edge-7", "hub"));
    assert_eq!(dialer.serial, edge.identity().serial);
    assert_eq!(dialer.fingerprint, edge.identity().fingerprint);
    assert_eq!(dialer.not_after, edge.identity().not_after);
}

#[test]
fn host_that_was_dialled_says_nothing_of_the_peer() {
    let world = World::new();
    let (hub, edge) = (world.tls("hub"), world.tls("edge"));
    for host in
        ["hub.example.com", "10.0.0.1", "::1", "under_score", "no host", "", &"x".repeat(999)]
    {
        let met = meet_with(&edge.dial(host, None), &hub.accept());
        assert_eq!(met.both().1.name, "hub", "{host}");
    }
}

#[test]
fn wanted_name_is_that_of_the_certificate() {
    let world = World::new();
    let (hub, edge) = (world.tls("hub"), world.tls("edge"));
    assert_eq!(meet_wanting(&edge, "hub", &hub).both().1.name, "hub");
}

#[test]
fn one_usage_is_enough_on_either_side() {
    let world = World::new();
    for usage in [Usage::ServerAuth, Usage::ClientAuth] {
        let spec = |name| Spec { usages: vec![usage.clone()], ..Spec::new(name) };
        let (hub, edge) = (world.tls_of(&spec("hub")), world.tls_of(&spec("edge")));
        meet(&edge, &hub).both();
    }
    let spec = Spec { usages: vec![Usage::CodeSigning, Usage::ClientAuth], ..Spec::new("edge") };
    meet(&world.tls_of(&spec), &world.tls("hub")).both();
}

#[test]
fn common_name_counts_only_without_alternative_names() {
    let world = World::new();
    let hub = world.tls("hub");
    let without = Spec { dns_names: vec![], ..Spec::new("by-cn") };
    assert_eq!(meet(&world.tls_of(&without), &hub).both().0.name, "by-cn");
    let both = Spec { dns_names: vec!["by-san".into(), "other".into()], ..Spec::new("by-cn") };
    assert_eq!(meet(&world.tls_of(&both), &hub).both().0.name, "by-san");
}

#[test]
fn name_may_hold_a_port() {
    let world = World::new();
    assert_eq!(meet(&world.tls("host:7740"), &world.tls("hub")).both().0.name, "host:7740");
}

#[test]
fn two_authorities_are_both_believed_while_one_takes_over() {
    let world = World::new();
    let old = world.issue(&Spec::new("edge"));
    // The same name, as an authority that is made anew has it.
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "our-ca").unwrap();
    let new = authority.issue(&Spec::new("hub")).unwrap();
    let gone = authority.issue(&Spec::new("gone")).unwrap();
    authority.revoke(&gone).unwrap();
    let lost = world.issue(&Spec::new("lost"));
    world.authority.revoke(&lost).unwrap();

    let both = world.path().join("both.crt");
    let lists = world.path().join("both.pem");
    join(&both, &[&new.ca, &old.ca]);
    join(&lists, &[&new.crl, &old.crl]);
    let tls = |issued: &Issued| {
        let settings = settings(issued);
        Tls::load(&pubsub_tls::Settings { ca: both.clone(), crl: Some(lists.clone()), ..settings })
            .unwrap()
    };
    meet(&tls(&old), &tls(&new)).both();
    for bad in [gone, lost] {
        let met = meet(&tls(&bad), &tls(&old));
        assert_eq!(met.listener.unwrap_err().code(), "revoked", "{bad:?}");
    }
}

#[test]
fn everything_may_be_in_one_file() {
    let world = World::new();
    let issued = world.issue(&Spec::new("edge"));
    let one = world.path().join("one.pem");
    join(&one, &[&issued.cert, &issued.key, &issued.ca]);
    let settings =
        pubsub_tls::Settings { cert: one.clone(), key: one.clone(), ca: one, ..settings(&issued) };
    let edge = Tls::load(&settings).unwrap();
    assert_eq!(edge.identity().name, "edge");
    let met = meet(&edge, &world.tls("hub"));
    assert_eq!(met.both().0.chain().len(), 1, "the authority is not shown to who has it");
}

#[test]
fn no_session_outlives_its_connection() {
    let world = World::new();
    let (hub, edge) = (world.tls("hub"), world.tls("edge"));
    // The same configurations twice, which is what resumption would need.
    let (dial, accept) = (edge.dial("hub", None), hub.accept());
    for _ in 0..2 {
        let met = meet_with(&dial, &accept);
        let kind = met.ends[0].handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn peer_that_was_believed_is_judged_again_at_any_time() {
    let world = World::new();
    let spec = Spec { until: (2027, 1, 1), ..Spec::new("edge") };
    let (hub, edge) = (world.tls("hub"), world.tls_of(&spec));
    let (met, now) = (meet(&edge, &hub), in_2026(0));
    let peer = met.both().0;
    assert_eq!(hub.is_still_trusted(peer, now), Ok(()));
    let refused = hub.is_still_trusted(peer, in_2026(400)).unwrap_err();
    assert_eq!(refused.kind.as_str(), "expired");
}

pub(crate) fn join(to: &std::path::Path, from: &[&std::path::Path]) {
    let bytes: Vec<_> = from.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    crate::files::write(to, &bytes);
}
