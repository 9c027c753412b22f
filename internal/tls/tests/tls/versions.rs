//! Which versions of TLS are spoken.

use pubsub_testkit::certs::Spec;
use pubsub_tls::{MinVersion, Settings, Tls};
use rustls::ProtocolVersion;

use crate::meeting::{judged_by_dialer, judged_by_listener, meet, meet_rogue};
use crate::rogue;
use crate::world::{World, settings};

#[test]
fn tls_1_2_is_refused_unless_it_is_asked_for() {
    let world = World::new();
    let (hub, peer) = (world.tls("hub"), world.issue(&Spec::new("peer")));
    let dialer = || rogue::dialer_of(&[&peer], &[&rustls::version::TLS12]);
    let error = judged_by_listener(&hub, dialer());
    assert_eq!(error.code(), "tls_version", "{error}");
    assert!(error.advice().contains("tls.min_version"), "{}", error.advice());
    let error = judged_by_dialer(&hub, rogue::listener_of(&[&peer], &[&rustls::version::TLS12]));
    assert_eq!(error.code(), "tls_version", "{error}");
}

#[test]
fn tls_1_2_works_when_it_is_asked_for_and_judges_alike() {
    let world = World::new();
    let issued = world.issue(&Spec::new("hub"));
    let old = Settings { min_version: MinVersion::V1_2, ..settings(&issued) };
    let hub = Tls::load(&old).unwrap();
    let met = meet(&world.tls("edge"), &hub);
    met.both();
    assert_eq!(met.ends[0].protocol_version(), Some(ProtocolVersion::TLSv1_3));

    let good = world.issue(&Spec::new("edge"));
    let dialer = rogue::dialer_of(&[&good], &[&rustls::version::TLS12]);
    let peer = meet_rogue(&hub, dialer).unwrap();
    assert_eq!(peer.name, "edge");
    let bad = world.issue(&Spec::wrong_usage("edge"));
    let dialer = rogue::dialer_of(&[&bad], &[&rustls::version::TLS12]);
    assert_eq!(judged_by_listener(&hub, dialer).code(), "wrong_usage");
}
