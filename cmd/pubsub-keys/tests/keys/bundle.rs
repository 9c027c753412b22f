//! `bundle`: one file or one directory with which a node can start.

use pubsub_tls::{Settings, Tls};

use crate::world::World;

#[test]
fn one_file_is_all_that_a_node_needs() {
    let world = World::with_authority();
    world.ok("issue edge");
    assert_eq!(world.ok("bundle edge -o edge.pem"), "edge.pem\n");
    assert_eq!(world.mode("edge.pem"), 0o600);
    let one = world.path("edge.pem");
    let settings =
        Settings { cert: one.clone(), key: one.clone(), ca: one, ..world.settings("keys", "edge") };
    assert_eq!(Tls::load(&settings).unwrap().identity().name, "edge");
}

#[test]
fn directory_is_all_that_a_node_needs() {
    let world = World::with_authority();
    world.ok("issue edge");
    assert_eq!(
        world.ok("bundle edge -o out/"),
        "out/edge.key\nout/edge.crt\nout/ca.crt\nout/ca.crl\n"
    );
    assert_eq!((world.mode("out"), world.mode("out/edge.key")), (0o700, 0o600));
    Tls::load(&world.settings("out", "edge")).unwrap();
    // A directory that is there needs no slash.
    world.fails(6, "bundle edge -o out");
    world.ok("bundle edge -o out --force");
}

#[test]
fn nothing_is_replaced_without_force_and_nothing_is_printed() {
    let world = World::with_authority();
    world.ok("issue edge");
    world.ok("bundle edge -o edge.pem");
    let said = world.fails(6, "bundle edge -o edge.pem");
    assert!(said.contains("file \"edge.pem\" already exists; use --force to overwrite"), "{said}");
    let found = world.ok("bundle edge -o edge.pem --force --output jsonl");
    assert_eq!(found, "{\"name\":\"edge\",\"files\":[\"edge.pem\"]}\n");
    assert!(world.fails(2, "bundle edge -o -").contains("never printed"));
    assert!(!world.path("-").exists());
    world.fails(3, "bundle nobody -o nobody.pem");
}

#[test]
fn what_was_revoked_is_not_bundled() {
    let world = World::with_authority();
    world.ok("issue edge");
    world.ok("revoke edge");
    assert!(world.fails(4, "bundle edge -o edge.pem").contains("is revoked (serial "));
}

#[test]
fn authority_without_a_list_makes_bundles_too() {
    let world = World::with_authority();
    world.ok("issue edge");
    std::fs::remove_file(world.path("keys/ca.crl")).unwrap();
    assert_eq!(world.ok("bundle edge -o out/"), "out/edge.key\nout/edge.crt\nout/ca.crt\n");
}
