//! The four files: read whole, within bounds, and noticed when they change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::certificate::digest;
use crate::error::TlsError;
use crate::material::Settings;
use crate::text::printable;

/// Longest file that is read. A list of revoked certificates has some 40 bytes for each.
const FILE_MAX_BYTES: u64 = 16 << 20;

/// What a file should hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Certificate,
    Key,
    Authority,
    Revocations,
}

impl Part {
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
            Self::Authority => "certificate authority",
            Self::Revocations => "revocation list",
        }
    }

    const fn begins(self) -> &'static str {
        match self {
            Self::Certificate | Self::Authority => "-----BEGIN CERTIFICATE-----",
            Self::Key => "-----BEGIN PRIVATE KEY-----",
            Self::Revocations => "-----BEGIN X509 CRL-----",
        }
    }
}

/// What was in the files. It holds the private key, so it is never shown.
pub(crate) struct Contents {
    pub(crate) cert: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) ca: Vec<u8>,
    pub(crate) crl: Option<Vec<u8>>,
    /// Whether anybody on this machine may read the key.
    pub(crate) key_is_open: bool,
}

impl Contents {
    pub(crate) fn read(settings: &Settings) -> Result<Self, TlsError> {
        let crl = settings.crl.as_deref().map(|path| read(Part::Revocations, path));
        Ok(Self {
            cert: read(Part::Certificate, &settings.cert)?,
            key: read(Part::Key, &settings.key)?,
            ca: read(Part::Authority, &settings.ca)?,
            crl: crl.transpose()?,
            key_is_open: fs::metadata(&settings.key).is_ok_and(|found| found.mode() & 0o007 != 0),
        })
    }

    pub(crate) fn digests(&self) -> Digests {
        let of = |bytes: &[u8]| {
            let mut sum = [0; 32];
            sum.copy_from_slice(digest(bytes).as_ref());
            sum
        };
        Digests {
            cert: of(&self.cert),
            key: of(&self.key),
            ca: of(&self.ca),
            crl: self.crl.as_deref().map(of),
            key_is_open: self.key_is_open,
        }
    }
}

/// What tells the contents of the files from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) cert: [u8; 32],
    pub(crate) key: [u8; 32],
    pub(crate) ca: [u8; 32],
    pub(crate) crl: Option<[u8; 32]>,
    /// No content, but a warning that ends when it is mended.
    pub(crate) key_is_open: bool,
}

/// What the system says of a file, from which a change can be guessed without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The stamps of all files; `None` for one that is not there.
pub(crate) fn stamps(settings: &Settings) -> Vec<Option<Stamp>> {
    let paths = [&settings.cert, &settings.key, &settings.ca].into_iter().chain(&settings.crl);
    let stamp = |path| {
        let found = fs::metadata(path).ok()?;
        Some(Stamp {
            len: found.len(),
            inode: (found.dev(), found.ino()),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    };
    paths.map(stamp).collect()
}

/// Reads a file whole.
pub(crate) fn read(part: Part, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source: io::Error| TlsError::Read {
        what: part.what(),
        file: path.to_owned(),
        source: Arc::new(source),
    };
    let found = fs::metadata(path).map_err(failed)?;
    // A pipe would block the reader, and a device would fill the memory.
    if !found.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")));
    }
    if found.len() > FILE_MAX_BYTES {
        let text = format!("it has {} bytes, of {FILE_MAX_BYTES} at most", found.len());
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, text)));
    }
    fs::read(path).map_err(failed)
}

/// The certificates in a file: at least one.
pub(crate) fn certificates(
    part: Part,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    at_least_one(part, path, bytes, CertificateDer::pem_slice_iter(bytes).collect())
}

/// The revocation lists in a file: at least one.
pub(crate) fn revocation_lists(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let found = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    at_least_one(Part::Revocations, path, bytes, found)
}

/// The first private key in a file.
pub(crate) fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let found = PrivateKeyDer::pem_slice_iter(bytes).next().map(|found| found.map(|key| vec![key]));
    let keys =
        at_least_one(Part::Key, path, bytes, found.transpose().map(Option::unwrap_or_default));
    keys.map(|mut keys| keys.remove(0))
}

fn at_least_one<T>(
    part: Part,
    path: &Path,
    bytes: &[u8],
    found: Result<Vec<T>, rustls_pki_types::pem::Error>,
) -> Result<Vec<T>, TlsError> {
    match found {
        Ok(items) if !items.is_empty() => Ok(items),
        Ok(_) => Err(TlsError::NotThere {
            what: part.what(),
            file: path.to_owned(),
            wanted: part.begins(),
            found: sections(bytes),
        }),
        Err(error) => Err(TlsError::Malformed {
            what: part.what(),
            file: path.to_owned(),
            reason: printable(&error.to_string()),
        }),
    }
}

/// What a file holds, by the lines that begin things in it.
fn sections(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let begins = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN "));
    let names: Vec<_> = begins.map(|rest| printable(rest.trim_end_matches('-'))).take(4).collect();
    match names.as_slice() {
        [] if bytes.is_empty() => "an empty file".to_owned(),
        [] => "no PEM at all".to_owned(),
        names => names.join(", "),
    }
}
