//! Files that do not make a whole are refused, with the file, what was wanted, and what to do.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pubsub_testkit::certs::{Authority, Spec};
use pubsub_tls::{Settings, Tls, TlsError, Trust, Warning};

use crate::accepted::join;
use crate::world::{World, in_2026, settings};

/// Replaces what is in a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// What is said of an instance with some settings changed.
fn refused(world: &World, change: impl FnOnce(&mut Settings)) -> TlsError {
    let mut settings = settings(&world.issue(&Spec::new("edge")));
    change(&mut settings);
    let error = Tls::load(&settings).unwrap_err();
    assert!(!error.advice().is_empty());
    error
}

#[test]
fn good_files_say_who_we_are() {
    let world = World::new();
    let spec = Spec { until: (2026, 3, 1), ..Spec::new("edge") };
    let tls = world.tls_of(&spec);
    let own = tls.identity();
    assert_eq!(own.name, "edge");
    assert_eq!(pubsub_tls::date(own.not_after), "2026-03-01T00:00:00Z");
    assert_eq!(pubsub_tls::date(own.ca_not_after), "2120-01-01T00:00:00Z");
    assert_eq!((own.serial.as_str(), own.fingerprint.len()), ("01", 64));
    assert_eq!(own.days_left(in_2026(0)), 58);
    assert_eq!(own.days_left(in_2026(60)), -2);
}

#[test]
fn file_that_is_not_there_is_named() {
    let world = World::new();
    type Change = fn(&mut Settings);
    let changes: [(Change, &str); 4] = [
        (|settings| settings.cert = "/no/cert".into(), "read the certificate /no/cert: "),
        (|settings| settings.key = "/no/key".into(), "read the private key /no/key: "),
        (|settings| settings.ca = "/no/ca".into(), "read the certificate authority /no/ca: "),
        (|settings| settings.crl = Some("/no/crl".into()), "read the revocation list /no/crl: "),
    ];
    for (change, wanted) in changes {
        let text = refused(&world, change).to_string();
        assert!(text.starts_with(wanted), "{text}");
    }
}

#[test]
fn directory_or_device_is_no_file() {
    let world = World::new();
    for path in ["/", "/dev/zero"] {
        let text = refused(&world, |settings| settings.key = path.into()).to_string();
        assert!(text.ends_with("it is not a file"), "{text}");
    }
}

#[test]
fn file_with_something_else_in_it_is_named_with_what_was_found() {
    let world = World::new();
    let text = refused(&world, |settings| settings.key.clone_from(&settings.cert)).to_string();
    assert!(text.contains("edge.crt holds no private key"), "{text}");
    assert!(text.ends_with("found CERTIFICATE"), "{text}");
    let text = refused(&world, |settings| settings.cert.clone_from(&settings.key)).to_string();
    assert!(
        text.ends_with(
            "edge.key holds no certificate: wanted PEM with \
                            `-----BEGIN CERTIFICATE-----`, found PRIVATE KEY"
        ),
        "{text}"
    );
    let text = refused(&world, |settings| settings.crl = Some(settings.ca.clone())).to_string();
    assert!(text.contains("holds no revocation list"), "{text}");
    for (bytes, found) in [(&b""[..], "an empty file"), (b"\xff\xfe garbage", "no PEM at all")] {
        let text = refused(&world, |settings| write(&settings.cert, bytes)).to_string();
        assert!(text.ends_with(found), "{text}");
    }
}

#[test]
fn damaged_files_are_refused_wherever_the_damage_is() {
    let world = World::new();
    let issued = world.issue(&Spec::new("edge"));
    for path in [&issued.cert, &issued.key, &issued.ca, &issued.crl] {
        let whole = std::fs::read(path).unwrap();
        for at in (40..whole.len() - 40).step_by(23) {
            let mut bytes = whole.clone();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            write(path, &bytes);
            // A flipped bit is found, or is in something that nobody reads; nothing panics.
            let _loaded = Tls::load(&settings(&issued));
            write(path, &whole[..at]);
            Tls::load(&settings(&issued)).unwrap_err();
        }
        write(path, &whole);
    }
    Tls::load(&settings(&issued)).unwrap();
}

#[test]
fn key_of_another_certificate_is_refused_with_both_files() {
    let world = World::new();
    let other = world.issue(&Spec::new("other"));
    let error = refused(&world, |settings| settings.key = other.key);
    assert!(matches!(error, TlsError::KeyMismatch { .. }));
    let text = error.to_string();
    assert!(text.contains("other.key is not the one of the certificate in"), "{text}");
}

#[test]
fn certificate_for_another_name_is_refused_with_both_names() {
    let world = World::new();
    let error = refused(&world, |settings| settings.name = Some("hub".to_owned()));
    assert!(error.to_string().ends_with("is for `edge`, but this instance is `hub`"), "{error}");
    assert!(error.advice().contains("pubsub-keys issue"));
    let issued = world.issue(&Spec::new("edge"));
    Tls::load(&Settings { name: Some("edge".to_owned()), ..settings(&issued) }).unwrap();
}

#[test]
fn certificate_that_no_peer_could_accept_is_refused_at_once() {
    let world = World::new();
    let specs = [
        (Spec::wrong_usage("edge"), "is for codeSigning, wanted serverAuth or clientAuth"),
        (Spec::authority("edge"), "is a CA certificate, wanted the one of an instance"),
        (Spec { file: "bad".into(), ..Spec::new("a b") }, "names no instance"),
    ];
    for (spec, wanted) in specs {
        let error = Tls::load(&settings(&world.issue(&spec))).unwrap_err();
        assert!(matches!(error, TlsError::Unfit { .. }));
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let other = Authority::new(dir.path(), "their-ca").unwrap();
    let error = refused(&world, |settings| {
        settings.ca = other.ca().to_owned();
        settings.crl = None;
    });
    assert!(error.to_string().contains("is from CN=our-ca, wanted CN=their-ca"), "{error}");
}

#[test]
fn instance_is_no_authority() {
    let world = World::new();
    let error = refused(&world, |settings| {
        settings.ca.clone_from(&settings.cert);
        settings.crl = None;
    });
    assert!(error.to_string().ends_with("(a CA certificate), only that of edge"), "{error}");
}

#[test]
fn revocation_list_of_another_authority_is_refused() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    // Under the same name: the signature decides.
    for name in ["their-ca", "our-ca"] {
        let other = Authority::new(dir.path(), name).unwrap();
        let error = refused(&world, |settings| settings.crl = Some(other.crl().to_owned()));
        assert!(matches!(error, TlsError::ForeignList { .. }), "{error}");
        assert!(error.to_string().contains(&format!("is from CN={name}")), "{error}");
        let crl = error.file();
        assert!(Trust::load(other.ca(), Some(crl)).is_ok());
        assert!(Trust::load(world.authority.ca(), Some(crl)).is_err());
    }
}

#[test]
fn certificate_that_cannot_be_used_now_is_taken_with_a_warning() {
    let world = World::new();
    let warnings = |spec: &Spec| world.tls_of(spec).warnings(in_2026(0));
    assert_eq!(warnings(&Spec::new("edge")), []);
    let found = warnings(&Spec::expired("edge"));
    assert!(matches!(&found[..], [Warning::Certificate { days_left: ..0, .. }]), "{found:?}");
    assert!(found[0].is_grave());
    assert!(found[0].to_string().ends_with("expired 2021-01-01T00:00:00Z"), "{}", found[0]);
    let found = warnings(&Spec::not_yet_valid("edge"));
    assert!(matches!(&found[..], [Warning::NotYetValid { .. }]), "{found:?}");

    let issued = world.issue(&Spec::new("edge"));
    world.authority.revoke(&issued).unwrap();
    let found = Tls::load(&settings(&issued)).unwrap().warnings(in_2026(0));
    assert!(matches!(&found[..], [Warning::Revoked { .. }]), "{found:?}");
    assert_eq!(found[0].advice(), "pubsub-keys issue edge --force");
}

#[test]
fn end_that_is_near_is_warned_of_in_time() {
    let world = World::new();
    let tls = world.tls_of(&Spec { until: (2026, 3, 1), ..Spec::new("edge") });
    // 59 days after New Year; the clock says noon.
    assert_eq!(tls.warnings(in_2026(28)), []);
    let found = tls.warnings(in_2026(29));
    let [Warning::Certificate { days_left: 29, .. }] = &found[..] else { panic!("{found:?}") };
    let text = found[0].to_string();
    assert!(text.ends_with("is expiring: 29 days left, until 2026-03-01T00:00:00Z"), "{text}");
    assert!(!found[0].is_grave());
    assert_eq!(found[0].advice(), "pubsub-keys renew edge");
}

#[test]
fn end_of_the_authority_is_warned_of_too() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec { until: (2026, 1, 11), ..Spec::new("ca") };
    let authority = Authority::with(dir.path(), &spec).unwrap();
    let issued = authority.issue(&Spec::new("edge")).unwrap();
    let tls = Tls::load(&settings(&issued)).unwrap();
    let found = tls.warnings(in_2026(0));
    assert!(matches!(&found[..], [Warning::Authority { days_left: 9, .. }]), "{found:?}");
    assert_eq!(tls.identity().days_left(in_2026(0)), 9);
}

#[test]
fn key_that_anybody_can_read_is_warned_of() {
    let world = World::new();
    let issued = world.issue(&Spec::new("edge"));
    std::fs::set_permissions(&issued.key, Permissions::from_mode(0o644)).unwrap();
    let found = Tls::load(&settings(&issued)).unwrap().warnings(in_2026(0));
    assert!(matches!(&found[..], [Warning::OpenKey { .. }]), "{found:?}");
    assert_eq!(found[0].advice(), format!("chmod 600 {}", issued.key.display()));
}

#[test]
fn nothing_that_is_shown_holds_the_key() {
    let world = World::new();
    let issued = world.issue(&Spec::new("edge"));
    let key = std::fs::read_to_string(&issued.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let tls = Tls::load(&settings(&issued)).unwrap();
    let reloading = pubsub_tls::Reloading::open(settings(&issued)).unwrap();
    let shown = format!("{tls:?} {reloading:?} {:?} {:?}", tls.accept(), tls.dial("x", None));
    assert!(!shown.contains(secret) && !shown.contains("PRIVATE"), "{shown}");

    let one = world.path().join("one.pem");
    join(&one, &[&issued.key]);
    let error = Tls::load(&Settings { cert: one, ..settings(&issued) }).unwrap_err();
    assert!(!format!("{error:?} {error}").contains(secret), "{error:?}");
}
