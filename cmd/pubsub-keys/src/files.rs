//! Files: written whole, synced, in place at once, and never over another by accident.
//!
//! ```text
//!   temporary file, 0600 ──write──sync──▶ rename over the old, or link where there is none ──▶ sync of the directory
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::NamedTempFile;

use crate::error::KeysError;

/// Whether a file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It may not.
    No,
    /// It may.
    Yes,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner: a private key.
    Owner,
    /// Everybody: a certificate, or a list.
    All,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Files {
    /// `NAME.crt` and `NAME.key`, in a directory.
    #[must_use]
    pub fn of(dir: &Path, name: &str) -> Self {
        let file = |ending| dir.join(format!("{name}.{ending}"));
        Self { cert: file("crt"), key: file("key") }
    }

    /// Refuses when either is there and may not be replaced.
    pub(crate) fn check(&self, overwrite: Overwrite) -> Result<(), KeysError> {
        for file in [&self.cert, &self.key] {
            check(file, overwrite)?;
        }
        Ok(())
    }
}

/// Refuses when a file is there and may not be replaced.
pub(crate) fn check(file: &Path, overwrite: Overwrite) -> Result<(), KeysError> {
    match file.symlink_metadata() {
        Ok(_) if overwrite == Overwrite::No => Err(KeysError::Exists(file.to_owned())),
        _ => Ok(()),
    }
}

/// Writes a file: whoever reads it finds the old or the new, also after a crash.
pub(crate) fn write(
    file: &Path,
    bytes: &[u8],
    readers: Readers,
    overwrite: Overwrite,
) -> Result<(), KeysError> {
    let failed = |source| KeysError::io("write", file, source);
    let dir = directory_of(file);
    let mut temporary = NamedTempFile::new_in(dir).map_err(failed)?;
    if readers == Readers::All {
        let mode = Permissions::from_mode(0o644);
        temporary.as_file().set_permissions(mode).map_err(failed)?;
    }
    temporary.write_all(bytes).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    let placed = match overwrite {
        Overwrite::Yes => temporary.persist(file),
        Overwrite::No => temporary.persist_noclobber(file),
    };
    placed.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => KeysError::Exists(file.to_owned()),
        _ => failed(error.error),
    })?;
    let opened = OpenOptions::new().read(true).open(dir);
    opened.and_then(|dir| dir.sync_all()).map_err(|error| KeysError::io("sync", dir, error))
}

/// Makes a directory that its owner alone can enter, with those above it. One that is there stays as
/// it is.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), KeysError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| KeysError::io("make the directory", dir, error))
}

/// Waits until nobody else works with a lock file, and keeps it until dropped.
pub(crate) fn lock(file: &Path) -> Result<File, KeysError> {
    let failed = |source| KeysError::io("lock", file, source);
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).create(true).truncate(false).open(file);
    let opened = opened.map_err(failed)?;
    let locked = rustix::fs::flock(&opened, rustix::fs::FlockOperation::LockExclusive);
    locked.map_err(|error| failed(error.into()))?;
    Ok(opened)
}

/// The directory that a file is in.
pub(crate) fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// The way from a directory to a file: as it is when they share nothing.
pub(crate) fn seen_from(dir: &Path, file: &Path) -> Result<PathBuf, KeysError> {
    let real =
        |path: &Path| fs::canonicalize(path).map_err(|error| KeysError::io("find", path, error));
    let (dir, parent) = (real(dir)?, real(directory_of(file))?);
    let name = file.file_name().unwrap_or_default();
    let shared = dir.components().zip(parent.components()).take_while(|(a, b)| a == b).count();
    let up = dir.components().count() - shared;
    // Only the root is shared: they have nothing to do with each other, and will not move together.
    if shared <= 1 && up > 0 {
        return Ok(parent.join(name));
    }
    let up = (0..up).map(|_| "..".as_ref());
    let down = parent.components().skip(shared).map(|part| part.as_os_str());
    Ok(up.chain(down).chain([name]).collect())
}

/// Whether two paths lead to the same place.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        let dir = fs::canonicalize(directory_of(path)).ok()?;
        Some(dir.join(path.file_name()?))
    };
    one == other || (real(one).is_some() && real(one) == real(other))
}

/// Reads a file whole.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, KeysError> {
    fs::read(file).map_err(|error| KeysError::io("read", file, error))
}

/// The certificates in a file of PEM, the first of which is what the file is about.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, KeysError> {
    let bytes = fs::read(file).map_err(|error| KeysError::io("read cert file", file, error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(KeysError::malformed(file, "no PEM block of a certificate")),
        Err(error) => Err(KeysError::malformed(file, error.to_string())),
    }
}

/// The private key in a file of PEM.
pub(crate) fn read_key(file: &Path) -> Result<rcgen::KeyPair, KeysError> {
    let bytes = fs::read(file).map_err(|error| KeysError::io("read key file", file, error))?;
    let der = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| KeysError::malformed(file, "no PEM block of a private key"))?;
    rcgen::KeyPair::try_from(&der).map_err(|error| KeysError::malformed(file, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_came_in_between_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.key");
        write(&file, b"first", Readers::Owner, Overwrite::No).unwrap();
        let error = write(&file, b"second", Readers::Owner, Overwrite::No).unwrap_err();
        assert!(matches!(error, KeysError::Exists(_)), "{error}");
        assert_eq!(read(&file).unwrap(), b"first");
        write(&file, b"third", Readers::Owner, Overwrite::Yes).unwrap();
        assert_eq!(read(&file).unwrap(), b"third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary is left");
    }
}
