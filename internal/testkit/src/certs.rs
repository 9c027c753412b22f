//! Certificates for tests: an authority in a directory, and what it issues, good or bad in one way.
//!
//! ```text
//!   Authority::new(dir, "ca") ──▶ dir/ca.crt  dir/ca.pem (the revocation list, empty)
//!        ╰─ issue(&Spec::new("edge")) ──▶ dir/edge.crt  dir/edge.key
//! ```
//!
//! Times are dates that have long passed or are far away, so no clock is asked.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use tempfile::NamedTempFile;
use thiserror::Error;

pub use rcgen::ExtendedKeyUsagePurpose as Usage;

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum CertsError {
    /// What was asked for is none.
    #[error("make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// It cannot be written.
    #[error("write a certificate: {0}")]
    Write(#[from] io::Error),
}

/// A certificate authority with a directory.
pub struct Authority {
    dir: PathBuf,
    ca: PathBuf,
    crl: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    issued: u64,
    lists: u64,
    revoked: Vec<u64>,
}

/// A date: year, month, day.
pub type Date = (i32, u8, u8);

/// What is to be issued. Public fields: a test changes the one that it is about.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Common name.
    pub name: String,
    /// DNS names; none at all leaves the alternative names out.
    pub dns_names: Vec<String>,
    /// First day.
    pub from: Date,
    /// Last day.
    pub until: Date,
    /// Extended key usages.
    pub usages: Vec<Usage>,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// Name of the files, without ending.
    pub file: String,
}

/// What was issued, and where it is.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The key's file.
    pub key: PathBuf,
    /// The authority's file.
    pub ca: PathBuf,
    /// The authority's revocation list.
    pub crl: PathBuf,
    /// The certificate as it goes over the wire.
    pub der: Vec<u8>,
    serial: u64,
}

impl Spec {
    /// What a node needs: both usages, valid from 2020 to 2120.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            dns_names: vec![name.to_owned()],
            from: (2020, 1, 1),
            until: (2120, 1, 1),
            usages: vec![Usage::ServerAuth, Usage::ClientAuth],
            is_ca: false,
            file: name.to_owned(),
        }
    }

    /// One that ended long ago.
    #[must_use]
    pub fn expired(name: &str) -> Self {
        Self { until: (2021, 1, 1), ..Self::new(name) }
    }

    /// One that begins far from now.
    #[must_use]
    pub fn not_yet_valid(name: &str) -> Self {
        Self { from: (2119, 1, 1), ..Self::new(name) }
    }

    /// One for something else than connections.
    #[must_use]
    pub fn wrong_usage(name: &str) -> Self {
        Self { usages: vec![Usage::CodeSigning], ..Self::new(name) }
    }

    /// One of an authority, for an instance.
    #[must_use]
    pub fn authority(name: &str) -> Self {
        Self { is_ca: true, ..Self::new(name) }
    }
}

impl Authority {
    /// Makes an authority that is called `name`, with an empty revocation list, in a directory that
    /// exists: `NAME.crt` and `NAME.pem`.
    ///
    /// # Errors
    /// The name is none, or the files cannot be written.
    pub fn new(dir: &Path, name: &str) -> Result<Self, CertsError> {
        Self::with(dir, &Spec::authority(name))
    }

    /// Makes an authority of which name, file and days are chosen.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn with(dir: &Path, spec: &Spec) -> Result<Self, CertsError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, spec.name.as_str());
        set_days(&mut params, spec);
        let key = KeyPair::generate()?;
        let ca = dir.join(format!("{}.crt", spec.file));
        write(&ca, params.self_signed(&key)?.pem().as_bytes())?;
        let issuer = Issuer::new(params, key);
        let crl = dir.join(format!("{}.pem", spec.file));
        let made = Self { dir: dir.to_owned(), ca, crl, issuer, state: Mutex::default() };
        made.write_list(&mut made.state())?;
        Ok(made)
    }

    /// Lets something that was issued with [`Spec::is_ca`] issue more, beside its own files, and
    /// without a revocation list.
    ///
    /// # Errors
    /// It was not issued here.
    pub fn beneath(issued: &Issued) -> Result<Self, CertsError> {
        let key = KeyPair::from_pem(&fs::read_to_string(&issued.key)?)?;
        let issuer = Issuer::from_ca_cert_der(&issued.der.as_slice().into(), key)?;
        let dir = issued.cert.parent().unwrap_or_else(|| Path::new("")).to_owned();
        let (ca, crl) = (issued.ca.clone(), issued.crl.clone());
        Ok(Self { dir, ca, crl, issuer, state: Mutex::default() })
    }

    /// The authority's file.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// The authority's revocation list.
    #[must_use]
    pub fn crl(&self) -> &Path {
        &self.crl
    }

    /// Issues a certificate: `FILE.crt` and `FILE.key`, both replaced when they are there.
    ///
    /// # Errors
    /// A name is none, or the files cannot be written.
    pub fn issue(&self, spec: &Spec) -> Result<Issued, CertsError> {
        let serial = {
            let mut state = self.state();
            state.issued += 1;
            state.issued
        };
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, spec.name.as_str());
        for name in &spec.dns_names {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        if spec.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.clone_from(&spec.usages);
        set_days(&mut params, spec);
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        let issued = Issued {
            cert: self.dir.join(format!("{}.crt", spec.file)),
            key: self.dir.join(format!("{}.key", spec.file)),
            ca: self.ca.clone(),
            crl: self.crl.clone(),
            der: cert.der().to_vec(),
            serial,
        };
        write(&issued.key, key.serialize_pem().as_bytes())?;
        write(&issued.cert, cert.pem().as_bytes())?;
        Ok(issued)
    }

    /// Takes a certificate back, and writes the list anew.
    ///
    /// # Errors
    /// The list cannot be written.
    pub fn revoke(&self, issued: &Issued) -> Result<(), CertsError> {
        let mut state = self.state();
        state.revoked.push(issued.serial);
        self.write_list(&mut state)
    }

    fn write_list(&self, state: &mut State) -> Result<(), CertsError> {
        state.lists += 1;
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(state.lists),
            issuing_distribution_point: None,
            revoked_certs: state.revoked.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        write(&self.crl, params.signed_by(&self.issuer)?.pem()?.as_bytes())?;
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("ca", &self.ca).finish_non_exhaustive()
    }
}

fn set_days(params: &mut CertificateParams, spec: &Spec) {
    let instant = |(year, month, day)| date_time_ymd(year, month, day);
    (params.not_before, params.not_after) = (instant(spec.from), instant(spec.until));
}

/// Writes a file so that whoever reads it finds the old or the new; its owner alone may.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or_else(|| Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
