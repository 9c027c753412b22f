//! The authority: what signs certificates, remembers them, and takes them back.

use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use pubsub_tls::{Certificate, UnixTime, check_name};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::KeysError;
use crate::files::{self, Files, Overwrite, Readers, read_certificates, read_key};
use crate::index::{Entry, Index};
use crate::instant::{after_days, before, offset};

/// How far back validity begins, for machines whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Kinds of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// ECDSA on the curve P-256: fast, and known everywhere.
    #[default]
    P256,
    /// ECDSA on the curve P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    fn generate(self) -> Result<KeyPair, KeysError> {
        Ok(KeyPair::generate_for(match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        })?)
    }
}

/// The files of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// Certificate and private key.
    pub own: Files,
    /// What it has issued.
    pub index: PathBuf,
    /// The list of what it has revoked.
    pub crl: PathBuf,
}

impl AuthorityFiles {
    /// `ca.crt`, `ca.key`, `ca.index` and `ca.crl` in a directory.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self::of(Files::of(dir, "ca"))
    }

    /// Those of an authority whose certificate and key are somewhere else: the rest is beside the
    /// certificate.
    #[must_use]
    pub fn of(own: Files) -> Self {
        let beside = |ending| own.cert.with_extension(ending);
        Self { index: beside("index"), crl: beside("crl"), own }
    }

    /// The directory of the certificate.
    #[must_use]
    pub fn dir(&self) -> &Path {
        files::directory_of(&self.own.cert)
    }
}

/// An authority to be made.
#[derive(Clone, Debug)]
pub struct NewAuthority {
    /// Its common name.
    pub name: String,
    /// Days that it lives.
    pub days: u32,
    /// Its kind of key.
    pub algorithm: Algorithm,
}

/// A certificate to be issued.
#[derive(Clone, Debug)]
pub struct Order {
    /// Name of the instance.
    pub name: String,
    /// Further DNS names and addresses.
    pub alternative_names: Vec<String>,
    /// Days that it lives, unless the authority ends before.
    pub days: u32,
    /// Its kind of key.
    pub algorithm: Algorithm,
}

/// How a certificate is made new.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// Days that it lives; as long as it did when `None`.
    pub days: Option<u32>,
    /// The kind of a new key; the key stays when `None`.
    pub new_key: Option<Algorithm>,
}

/// What was issued, and where it is.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What it says.
    pub facts: Certificate,
    /// Its files.
    pub files: Files,
}

/// An authority, open for work; nobody else can open it meanwhile.
pub struct Authority {
    files: AuthorityFiles,
    facts: Certificate,
    issuer: Issuer<'static, KeyPair>,
    index: Index,
    _lock: File,
}

impl Authority {
    /// Makes an authority that signs instances and nothing else, with an empty list.
    ///
    /// # Errors
    /// Files are there that may not be replaced, or cannot be written.
    pub fn init(
        files: AuthorityFiles,
        new: &NewAuthority,
        overwrite: Overwrite,
        now: UnixTime,
    ) -> Result<Self, KeysError> {
        files::make_private_dir(files.dir())?;
        let lock = lock(&files)?;
        files.own.check(overwrite)?;
        // What was revoked is known nowhere else.
        files::check(&files.index, overwrite)?;
        files::check(&files.crl, overwrite)?;
        let mut params = params(&new.name, before(now, BACKDATED), after_days(now, new.days))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = new.algorithm.generate()?;
        let cert = params.self_signed(&key)?;
        let facts = facts(&files.own.cert, cert.der())?;
        // The rest first: an authority that can be opened is whole.
        let index = Index::empty(&files.index);
        index.write()?;
        let secret = key.serialize_pem();
        let made = Self { issuer: Issuer::new(params, key), index, files, facts, _lock: lock };
        made.write_list(now)?;
        files::write(&made.files.own.key, secret.as_bytes(), Readers::Owner, overwrite)?;
        files::write(&made.files.own.cert, cert.pem().as_bytes(), Readers::All, overwrite)?;
        Ok(made)
    }

    /// Opens an authority, whoever made it.
    ///
    /// # Errors
    /// It is not there, or not whole.
    pub fn open(files: AuthorityFiles) -> Result<Self, KeysError> {
        if !files.own.cert.exists() {
            return Err(KeysError::NoAuthority(files.dir().to_owned()));
        }
        let lock = lock(&files)?;
        let cert = read_certificates(&files.own.cert)?.remove(0);
        let facts = facts(&files.own.cert, &cert)?;
        if !facts.is_ca || !facts.may_sign_certificates {
            let reason = "it is not the certificate of an authority (a CA certificate)";
            return Err(KeysError::malformed(&files.own.cert, reason));
        }
        let key = read_key(&files.own.key)?;
        if !is_key_of(&key, &cert) {
            let Files { cert, key } = files.own;
            return Err(KeysError::WrongKey { cert, key });
        }
        let issuer = Issuer::from_ca_cert_der(&cert, key)?;
        let index = Index::read(&files.index)?;
        Ok(Self { files, facts, issuer, index, _lock: lock })
    }

    /// What its certificate says.
    #[must_use]
    pub const fn facts(&self) -> &Certificate {
        &self.facts
    }

    /// Where its files are.
    #[must_use]
    pub const fn files(&self) -> &AuthorityFiles {
        &self.files
    }

    /// What it has issued.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// A name is none, files are there that may not be replaced, or the authority has ended. When
    /// writing fails half-way, the index knows of a certificate that is nowhere.
    pub fn issue(
        &mut self,
        order: &Order,
        to: Files,
        overwrite: Overwrite,
        now: UnixTime,
    ) -> Result<Issued, KeysError> {
        check_name(&order.name)?;
        let names = alternative_names(&order.name, &order.alternative_names)?;
        self.refuse_own_files(&order.name, &to)?;
        files::make_private_dir(files::directory_of(&to.cert))?;
        files::make_private_dir(files::directory_of(&to.key))?;
        to.check(overwrite)?;
        let key = order.algorithm.generate()?;
        let der = self.sign(&order.name, names, order.days, &key, &to, now)?;
        files::write(&to.key, key.serialize_pem().as_bytes(), Readers::Owner, overwrite)?;
        files::write(&to.cert, der.pem().as_bytes(), Readers::All, overwrite)?;
        Ok(Issued { facts: facts(&to.cert, der.der())?, files: to })
    }

    /// Makes the newest certificate of a name new: the same names, and unless it is said otherwise
    /// the same key and the same span. The certificate is replaced at once; the old one stays valid.
    ///
    /// # Errors
    /// There is none, it was revoked, or the authority has ended.
    pub fn renew(
        &mut self,
        name: &str,
        renewal: Renewal,
        now: UnixTime,
    ) -> Result<Issued, KeysError> {
        let (to, old) = self.renewable(name)?;
        let addresses = old.ip_addresses.iter().map(IpAddr::to_string);
        let others: Vec<_> = old.dns_names.iter().skip(1).cloned().chain(addresses).collect();
        let names = alternative_names(name, &others)?;
        let days = renewal.days.unwrap_or_else(|| lifetime_days(&old));
        let (key, is_new) = match renewal.new_key {
            Some(algorithm) => (algorithm.generate()?, true),
            None => (read_key(&to.key)?, false),
        };
        let der = self.sign(name, names, days, &key, &to, now)?;
        if is_new {
            let pem = key.serialize_pem();
            files::write(&to.key, pem.as_bytes(), Readers::Owner, Overwrite::Yes)?;
        }
        files::write(&to.cert, der.pem().as_bytes(), Readers::All, Overwrite::Yes)?;
        Ok(Issued { facts: facts(&to.cert, der.der())?, files: to })
    }

    /// The newest certificate of a name: where it is, and what it says.
    ///
    /// # Errors
    /// There is none, or its file cannot be read.
    pub fn newest(&self, name: &str) -> Result<(Files, Certificate), KeysError> {
        let entry = self.index.newest(name)?;
        let files = Files { cert: self.index.path(&entry.cert), key: self.index.path(&entry.key) };
        let old = facts(&files.cert, &read_certificates(&files.cert)?[0])?;
        Ok((files, old))
    }

    /// The newest certificate of a name, when nothing speaks against making it new.
    ///
    /// # Errors
    /// There is none, it was revoked, or its file holds another's.
    pub fn renewable(&self, name: &str) -> Result<(Files, Certificate), KeysError> {
        let (files, old) = self.newest(name)?;
        let known = self.index.by_serial(&old.serial);
        if known.is_some_and(|entry| entry.revoked.is_some()) {
            return Err(KeysError::Revoked { name: name.to_owned(), serial: old.serial });
        }
        if old.name().ok() != Some(name) {
            let reason = format!("it is for {}, wanted {name}", old.shown_name());
            return Err(KeysError::malformed(files.cert, reason));
        }
        Ok((files, old))
    }

    /// Takes certificates back: all of a name, or the one of a serial number. Gives those that were
    /// not revoked before. Nobody knows of it before [`Authority::write_lists`].
    ///
    /// # Errors
    /// There is none, or the index cannot be written.
    pub fn revoke(&mut self, name_or_serial: &str, now: UnixTime) -> Result<Vec<Entry>, KeysError> {
        let revoked = self.index.revoke(name_or_serial, now)?;
        self.index.write()?;
        Ok(revoked)
    }

    /// What [`Authority::revoke`] would take back, and does not.
    ///
    /// # Errors
    /// There is none.
    pub fn would_revoke(
        &self,
        name_or_serial: &str,
        now: UnixTime,
    ) -> Result<Vec<Entry>, KeysError> {
        self.index.clone().revoke(name_or_serial, now)
    }

    /// Writes the list of what was revoked: beside the authority, and wherever a copy of it is beside
    /// a certificate that was issued. Gives where.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_lists(&self, now: UnixTime) -> Result<Vec<PathBuf>, KeysError> {
        let list = self.write_list(now)?;
        let mut written = vec![self.files.crl.clone()];
        let name = self.files.crl.file_name().unwrap_or_default();
        for entry in self.index.entries() {
            let copy = self.index.path(&entry.cert).with_file_name(name);
            let is_new = !written.iter().any(|file| files::is_same_file(file, &copy));
            if is_new && copy.is_file() {
                files::write(&copy, list.as_bytes(), Readers::All, Overwrite::Yes)?;
                written.push(copy);
            }
        }
        Ok(written)
    }

    fn write_list(&self, now: UnixTime) -> Result<String, KeysError> {
        let mut revoked_certs = Vec::new();
        for entry in self.index.entries() {
            let Some(revoked) = entry.revoked else { continue };
            revoked_certs.push(RevokedCertParams {
                serial_number: serial_from(&self.files.index, &entry.serial)?,
                revocation_time: offset!(revoked),
                reason_code: None,
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: offset!(before(now, BACKDATED)),
            // Nobody fetches lists: the one that is there holds until there is another.
            next_update: offset!(self.facts.not_after.max(after_days(now, 1))),
            crl_number: SerialNumber::from(now.as_secs()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.issuer)?.pem()?;
        files::write(&self.files.crl, pem.as_bytes(), Readers::All, Overwrite::Yes)?;
        Ok(pem)
    }

    /// Signs a certificate, and remembers it before anybody else can have it.
    fn sign(
        &mut self,
        name: &str,
        names: Vec<SanType>,
        days: u32,
        key: &KeyPair,
        to: &Files,
        now: UnixTime,
    ) -> Result<rcgen::Certificate, KeysError> {
        if self.facts.not_after <= now {
            let (file, not_after) = (self.files.own.cert.clone(), self.facts.not_after);
            return Err(KeysError::AuthorityEnded { file, not_after });
        }
        let not_before = before(now, BACKDATED).max(self.facts.not_before);
        let not_after = after_days(now, days).min(self.facts.not_after);
        let mut params = params(name, not_before, not_after)?;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let cert = params.signed_by(key, &self.issuer)?;
        let facts = facts(&to.cert, cert.der())?;
        let dir = self.files.dir();
        self.index.add(Entry {
            serial: facts.serial,
            name: name.to_owned(),
            issued: now,
            not_after: facts.not_after,
            revoked: None,
            cert: files::seen_from(dir, &to.cert)?,
            key: files::seen_from(dir, &to.key)?,
        });
        self.index.write()?;
        Ok(cert)
    }

    /// An instance must not be written over the authority.
    fn refuse_own_files(&self, name: &str, to: &Files) -> Result<(), KeysError> {
        let own = [&self.files.own.cert, &self.files.own.key, &self.files.index, &self.files.crl];
        let hit = |file: &PathBuf| own.iter().any(|own| files::is_same_file(own, file));
        if hit(&to.cert) || hit(&to.key) {
            let file = self.files.own.cert.clone();
            return Err(KeysError::Reserved { name: name.to_owned(), file });
        }
        Ok(())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("files", &self.files).finish_non_exhaustive()
    }
}

fn lock(files: &AuthorityFiles) -> Result<File, KeysError> {
    files::lock(&files.own.cert.with_extension("lock"))
}

/// What every certificate has in common.
fn params(
    name: &str,
    not_before: UnixTime,
    not_after: UnixTime,
) -> Result<CertificateParams, KeysError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(random_serial()?);
    params.not_before = offset!(not_before);
    params.not_after = offset!(not_after);
    Ok(params)
}

/// 128 random bits.
fn random_serial() -> Result<SerialNumber, KeysError> {
    let mut bytes = [0; 16];
    // A first byte of zero would be cut off, and shorten the number as it is shown.
    while bytes[0] == 0 {
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| KeysError::Make(rcgen::Error::RingUnspecified))?;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn serial_from(index: &Path, hex: &str) -> Result<SerialNumber, KeysError> {
    let digits = |at| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digits).collect();
    let bytes = bytes.filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| {
        let reason = format!("`{}` is no serial number", pubsub_tls::printable(hex));
        KeysError::malformed(index, reason)
    })?;
    Ok(SerialNumber::from(bytes))
}

/// The name and the others, each once: addresses as such, the rest as DNS names.
fn alternative_names(name: &str, others: &[String]) -> Result<Vec<SanType>, KeysError> {
    let mut names = vec![SanType::DnsName(name.try_into()?)];
    for other in others {
        let name = match other.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) if is_dns_name(other) => SanType::DnsName(other.as_str().try_into()?),
            Err(_) => return Err(KeysError::AlternativeName(other.clone())),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_dns_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*:".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(allowed)
}

fn facts(file: &Path, der: &CertificateDer<'_>) -> Result<Certificate, KeysError> {
    Certificate::read(der).map_err(|reason| KeysError::malformed(file, reason))
}

fn is_key_of(key: &KeyPair, cert: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else { return false };
    parsed.public_key().raw == key.subject_public_key_info()
}

/// The days that a certificate was given, without the hour that it begins earlier.
#[must_use]
pub fn lifetime_days(facts: &Certificate) -> u32 {
    let seconds = facts.not_after.as_secs().saturating_sub(facts.not_before.as_secs());
    u32::try_from(seconds / 86_400).unwrap_or(u32::MAX).max(1)
}
