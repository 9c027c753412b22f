//! What a messenger without files is made of, and what cannot be one.

use std::time::Duration;

use pubsub::config::Insecure;
use pubsub::ephemeral::{BuildError, Builder};
use pubsub::{EphemeralConfig, EphemeralMessenger, ErrorKind};

use crate::world::World;

fn plain() -> Builder {
    EphemeralMessenger::builder()
        .hub_addr("localhost:7740")
        .name("edge")
        .insecure(Insecure::Loopback)
}

#[tokio::test]
async fn what_is_missing_or_makes_no_sense_is_named() {
    let table: Vec<(Builder, &str)> = vec![
        (plain().hub_addr(""), "hub_addr"),
        (plain().hub_addr("hub"), "hub_addr"),
        (plain().hub_addr("hub:0"), "hub_addr"),
        (plain().hub_addr(":7740"), "hub_addr"),
        (plain().name(""), "name"),
        (plain().name("a\nb"), "name"),
        (plain().insecure(Insecure::No), "tls"),
        (plain().insecure(Insecure::No).tls("a.crt", "", "ca.crt"), "tls"),
        (plain().hub_addr("hub.example:7740"), "insecure"),
        (plain().auto_reconnect(true), "on_fatal"),
        (plain().reconnect_base(Duration::from_secs(61)), "reconnect"),
        (plain().reconnect_jitter(1.5), "reconnect"),
        (plain().reconnect_jitter(f64::NAN), "reconnect"),
        (plain().write_queue_size(0), "write_queue_size"),
        (plain().write_queue_bytes(0), "write_queue_bytes"),
        (plain().max_batch_bytes(0), "max_batch_bytes"),
        (plain().subscribe("a b"), "a b"),
        (plain().subscribe("a.dead-letter"), "dead"),
        (plain().insecure(Insecure::No).tls("none.crt", "none.key", "none.ca"), "none."),
    ];
    for (builder, named) in table {
        let shown = format!("{builder:?}");
        let error = builder.build().expect_err(&shown);
        assert!(error.to_string().contains(named), "{named}: {error}");
    }
    plain().build().unwrap();
    plain().hub_addr("[::1]:7740").build().unwrap();
    plain().hub_addr("hub.example:7740").insecure(Insecure::Anywhere).build().unwrap();
}

#[test]
fn without_a_runtime_there_is_the_blocking_one() {
    let error = plain().build().unwrap_err();
    assert!(matches!(error, BuildError::NoRuntime), "{error}");
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    plain().build_blocking().unwrap();
}

#[tokio::test]
async fn the_certificate_must_be_this_instances() {
    let world = World::new().await;
    let error = world.client().name("somebody").build().unwrap_err();
    assert!(error.to_string().contains("somebody"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Links);
}

#[tokio::test]
async fn the_documented_defaults_hold() {
    let client = plain().build().unwrap();
    assert_eq!((client.name(), client.is_connected()), ("edge", false));
    let config = client.config();
    assert_eq!(config.reconnect_base, Duration::from_millis(500));
    assert_eq!(config.reconnect_max, Duration::from_secs(60));
    assert!((config.reconnect_jitter - 0.2).abs() < f64::EPSILON);
    assert_eq!((config.max_batch_bytes, config.write_queue_size), (65_536, 256));
    assert!(!config.auto_reconnect);
}

#[tokio::test]
async fn a_configuration_made_in_code_is_what_the_builder_sets() {
    let config = EphemeralConfig {
        hub_addr: "localhost:7740".into(),
        name: "edge".into(),
        insecure: Insecure::Loopback,
        ..EphemeralConfig::default()
    };
    let client = EphemeralMessenger::builder().config(config.clone()).build().unwrap();
    assert_eq!(client.config(), &config);
    assert_eq!(plain().build().unwrap().config(), &config);
}
