//! A directory with an authority, and the TLS of instances that it issued certificates to.

use std::path::Path;
use std::time::Duration;

use pubsub_testkit::certs::{Authority, Issued, Spec};
use pubsub_tls::{MinVersion, Settings, Tls, UnixTime};
use tempfile::TempDir;

/// An authority, and a directory for all that is written.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) authority: Authority,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "our-ca").unwrap();
        Self { dir, authority }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn issue(&self, spec: &Spec) -> Issued {
        self.authority.issue(spec).unwrap()
    }

    /// The TLS of an instance with a good certificate.
    pub(crate) fn tls(&self, name: &str) -> Tls {
        self.tls_of(&Spec::new(name))
    }

    pub(crate) fn tls_of(&self, spec: &Spec) -> Tls {
        Tls::load(&settings(&self.issue(spec))).unwrap()
    }
}

/// What a node says of a certificate and its authority.
pub(crate) fn settings(issued: &Issued) -> Settings {
    Settings {
        cert: issued.cert.clone(),
        key: issued.key.clone(),
        ca: issued.ca.clone(),
        crl: Some(issued.crl.clone()),
        name: None,
        min_version: MinVersion::V1_3,
        expiry_warn_days: 30,
    }
}

/// Noon of a day in 2026.
pub(crate) fn in_2026(day: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600 + day * 86_400 + 43_200))
}
