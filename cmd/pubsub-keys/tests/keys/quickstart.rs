//! `quickstart`: a federation that starts as it is.

use pubsub_config::Config;
use pubsub_tls::{Tls, Trust};

use crate::world::World;

fn config(world: &World, node: &str) -> Config {
    let text = world.read(&format!("federation/{node}/pubsub.yaml"));
    Config::from_yaml(&text, "pubsub.yaml", &|_| None)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn hub_and_edges_get_certificates_and_configurations_that_agree() {
    let world = World::new();
    let out = world.ok("quickstart hub edge-1 edge-2 --addr hub.example.com:7741");
    assert_eq!(
        out,
        "cd federation/hub && pubsub-server -c pubsub.yaml\n\
         cd federation/edge-1 && pubsub-server -c pubsub.yaml\n\
         cd federation/edge-2 && pubsub-server -c pubsub.yaml\n"
    );
    let hub = config(&world, "hub");
    assert!(hub.hub.enabled && !hub.client.enabled);
    assert_eq!((hub.name.as_str(), hub.hub.listen_addr.as_str()), ("hub", ":7741"));
    let peers: Vec<_> = hub.hub.allowed_peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(peers, ["edge-1", "edge-2"]);
    for name in ["edge-1", "edge-2"] {
        let edge = config(&world, name);
        assert!(edge.client.enabled && !edge.hub.enabled);
        let [to] = edge.client.hubs.as_slice() else { panic!("{:?}", edge.client.hubs) };
        assert_eq!((to.addr.as_str(), to.name.as_str()), ("hub.example.com:7741", "hub"));
        assert_eq!(
            (&to.subscribe[..], &to.publish[..]),
            (&[">".to_owned()][..], &[">".to_owned()][..])
        );
    }
    assert_eq!(world.facts("federation/hub/hub.crt").dns_names, ["hub", "hub.example.com"]);
    for name in ["hub", "edge-1", "edge-2"] {
        let dir = format!("federation/{name}");
        let tls = &config(&world, name).tls;
        let named = [&tls.cert, &tls.key, &tls.ca, &tls.crl].map(String::as_str);
        assert_eq!(named, [&format!("{name}.crt"), &format!("{name}.key"), "ca.crt", "ca.crl"]);
        Tls::load(&world.settings(&dir, name)).unwrap();
        assert_eq!(world.mode(&format!("{dir}/{name}.key")), 0o600);
        assert_eq!(world.mode(&dir), 0o700);
    }
    assert!(!world.names("federation/edge-1").iter().any(|name| name == "ca.key"));
}

#[test]
fn revocation_reaches_every_directory() {
    let world = World::new();
    world.ok("quickstart hub edge-1 edge-2");
    world.ok("revoke edge-1 --ca federation/ca");
    let bad = pubsub_keys::read_certificates(&world.path("federation/edge-1/edge-1.crt")).unwrap();
    for name in ["hub", "edge-1", "edge-2"] {
        let settings = world.settings(&format!("federation/{name}"), name);
        let trust = Trust::load(&settings.ca, settings.crl.as_deref()).unwrap();
        assert_eq!(trust.check(&bad, pubsub_keys::now()).unwrap_err().kind.as_str(), "revoked");
    }
}

#[test]
fn renewal_finds_the_certificate_in_its_directory() {
    let world = World::new();
    world.ok("quickstart hub edge");
    let before = world.facts("federation/edge/edge.crt").serial;
    world.ok("renew edge --ca federation/ca");
    assert_ne!(world.facts("federation/edge/edge.crt").serial, before);
    Tls::load(&world.settings("federation/edge", "edge")).unwrap();
}

#[test]
fn nothing_is_replaced_without_force() {
    let world = World::new();
    world.ok("quickstart hub edge");
    let before = world.everything("federation/hub");
    let said = world.fails(6, "quickstart hub edge");
    assert!(said.contains("federation/hub/pubsub.yaml\" already exists; use --force"), "{said}");
    world.fails(6, "quickstart other third");
    assert_eq!(world.everything("federation/hub"), before);
    world.ok("quickstart hub edge --force");
    Tls::load(&world.settings("federation/edge", "edge")).unwrap();
}

#[test]
fn names_must_differ_and_be_names() {
    let world = World::new();
    assert!(world.fails(2, "quickstart hub hub").contains("`hub` is named twice"));
    assert!(world.fails(2, "quickstart hub ..").contains("`..` is no name"));
    assert!(world.fails(2, "quickstart ca edge").contains("`ca` would overwrite"));
    world.fails(2, "quickstart hub");
    world.fails(2, "quickstart hub edge --addr nonsense");
    assert_eq!(world.names("."), Vec::<String>::new());
}

#[test]
fn programs_get_the_same_as_json() {
    let world = World::new();
    let made = world.json("quickstart hub edge --addr [::1]:7740");
    assert_eq!(made[1]["name"], "edge");
    assert_eq!(made[1]["start"], "cd federation/edge && pubsub-server -c pubsub.yaml");
    assert_eq!(config(&world, "edge").client.hubs[0].addr, "[::1]:7740");
}

#[test]
fn commands_can_be_pasted_whatever_the_directory_is_called() {
    let world = World::new();
    let ran = world.run_words(&["quickstart", "hub", "edge", "--dir", "it's my mesh"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = ran.stdout.lines().next().unwrap().replace("pubsub-server", "test -f");
    let line = line.replace(" -c", "");
    let status = std::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(world.path(""))
        .status()
        .unwrap();
    assert!(status.success(), "{line}");
}
