//! New files are taken whole, while links live; bad ones change nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use pubsub_testkit::certs::{Authority, Issued, Spec};
use pubsub_tls::{Changes, Reloading, Settings, Warning};

use crate::files::write;
use crate::meeting::meet;
use crate::world::{World, in_2026, settings};

fn open(issued: &Issued) -> Reloading {
    Reloading::open(settings(issued)).unwrap()
}

/// Looks until there is something new, or the files have settled.
fn look(reloading: &Reloading) -> Changes {
    for _ in 0..3 {
        let changes = reloading.reload_if_changed().unwrap();
        if changes.any() {
            return changes;
        }
    }
    Changes::default()
}

#[test]
fn files_that_did_not_change_change_nothing() {
    let world = World::new();
    let hub = open(&world.issue(&Spec::new("hub")));
    let before = hub.current();
    assert_eq!(look(&hub), Changes::default());
    assert!(std::sync::Arc::ptr_eq(&before, &hub.current()));
}

#[test]
fn renewed_certificate_is_shown_to_the_next_peer() {
    let world = World::new();
    let hub = open(&world.issue(&Spec::new("hub")));
    let edge = world.tls("edge");
    let before = meet(&edge, &hub.current()).both().1.serial.clone();
    world.issue(&Spec::new("hub"));
    let changes = look(&hub);
    assert!(changes.certificate && !changes.trust(), "{changes:?}");
    let after = meet(&edge, &hub.current()).both().1.serial.clone();
    assert_ne!(before, after);
}

#[test]
fn revocation_reaches_living_links_and_new_ones() {
    let world = World::new();
    let (hub, bad) = (open(&world.issue(&Spec::new("hub"))), world.issue(&Spec::new("edge")));
    let edge = pubsub_tls::Tls::load(&settings(&bad)).unwrap();
    let met = meet(&edge, &hub.current());
    let peer = met.both().0;
    world.authority.revoke(&bad).unwrap();
    let changes = look(&hub);
    assert!(changes.revocations && changes.trust() && !changes.certificate, "{changes:?}");
    let refused = hub.current().is_still_trusted(peer, in_2026(0)).unwrap_err();
    assert_eq!(refused.kind.as_str(), "revoked");
    assert_eq!(meet(&edge, &hub.current()).listener.unwrap_err().code(), "revoked");
}

#[test]
fn list_that_revokes_ourselves_is_believed_all_the_same() {
    let world = World::new();
    let (own, other) = (world.issue(&Spec::new("hub")), world.issue(&Spec::new("edge")));
    let hub = open(&own);
    let unaware = Settings { crl: None, ..settings(&other) };
    let edge = pubsub_tls::Tls::load(&unaware).unwrap();
    world.authority.revoke(&own).unwrap();
    world.authority.revoke(&other).unwrap();
    assert!(look(&hub).revocations);
    assert_eq!(meet(&edge, &hub.current()).listener.unwrap_err().code(), "revoked");
    let found = hub.current().warnings(in_2026(0));
    assert!(matches!(&found[..], [Warning::Revoked { .. }]), "{found:?}");
}

#[test]
fn new_authority_reaches_living_links_and_new_ones() {
    let world = World::new();
    let hub = open(&world.issue(&Spec::new("hub")));
    let met = meet(&world.tls("edge"), &hub.current());
    let peer = met.both().0;
    // Another authority under the same name and in the same files, and our certificate from it.
    let authority = Authority::new(world.path(), "our-ca").unwrap();
    authority.issue(&Spec::new("hub")).unwrap();
    let changes = look(&hub);
    assert!(changes.authorities && changes.certificate && changes.revocations, "{changes:?}");
    let refused = hub.current().is_still_trusted(peer, in_2026(0)).unwrap_err();
    assert_eq!(refused.kind.as_str(), "other_authority");
}

#[test]
fn half_of_a_renewal_changes_nothing_and_is_complained_of_once() {
    let world = World::new();
    let issued = world.issue(&Spec::new("hub"));
    let hub = open(&issued);
    let serial = hub.current().identity().serial.clone();
    let renewed = world.issue(&Spec { file: "new".to_owned(), ..Spec::new("hub") });

    write(&issued.cert, &std::fs::read(&renewed.cert).unwrap());
    let error = hub.reload_if_changed().unwrap_err();
    assert!(error.to_string().contains("is not the one of the certificate"), "{error}");
    assert_eq!(look(&hub), Changes::default());
    assert_eq!(hub.current().identity().serial, serial);

    write(&issued.key, &std::fs::read(&renewed.key).unwrap());
    assert!(look(&hub).certificate);
    assert_ne!(hub.current().identity().serial, serial);
}

#[test]
fn bad_files_change_nothing_until_they_are_good_again() {
    let world = World::new();
    let issued = world.issue(&Spec::new("hub"));
    let hub = open(&issued);
    let before = hub.current();
    let edge = world.tls("edge");
    for path in [&issued.cert, &issued.key, &issued.ca, &issued.crl] {
        let whole = std::fs::read(path).unwrap();
        write(path, b"-----BEGIN NONSENSE-----");
        hub.reload_if_changed().unwrap_err();
        std::fs::remove_file(path).unwrap();
        let error = hub.reload_if_changed().unwrap_err();
        assert_eq!(error.file(), path);
        assert_eq!(look(&hub), Changes::default());
        write(path, &whole);
        assert_eq!(look(&hub), Changes::default());
    }
    assert!(std::sync::Arc::ptr_eq(&before, &hub.current()));
    meet(&edge, &hub.current()).both();
}

#[test]
fn same_complaint_is_made_again_after_good_files_in_between() {
    let world = World::new();
    let issued = world.issue(&Spec::new("hub"));
    let hub = open(&issued);
    let whole = std::fs::read(&issued.cert).unwrap();
    for _ in 0..2 {
        write(&issued.cert, b"bad");
        hub.reload_if_changed().unwrap_err();
        write(&issued.cert, &whole);
        hub.reload_if_changed().unwrap();
    }
}

#[test]
fn certificate_for_another_name_is_not_taken() {
    let world = World::new();
    let issued = world.issue(&Spec::new("hub"));
    let named = Settings { name: Some("hub".to_owned()), ..settings(&issued) };
    let hub = Reloading::open(named).unwrap();
    world.issue(&Spec { file: "hub".to_owned(), ..Spec::new("other") });
    let error = hub.reload_if_changed().unwrap_err();
    assert!(error.to_string().ends_with("is for `other`, but this instance is `hub`"), "{error}");
}

#[test]
fn warning_of_an_open_key_ends_when_it_is_closed() {
    let world = World::new();
    let issued = world.issue(&Spec::new("hub"));
    let mode = |mode| {
        std::fs::set_permissions(&issued.key, Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    let hub = open(&issued);
    assert_eq!(hub.current().warnings(in_2026(0)).len(), 1);
    mode(0o600);
    assert_eq!(look(&hub), Changes::default());
    assert_eq!(hub.current().warnings(in_2026(0)), []);
}
