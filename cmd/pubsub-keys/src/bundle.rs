//! All that one instance needs, in one file or one directory.

use std::path::{Path, PathBuf};

use crate::authority::Authority;
use crate::error::KeysError;
use crate::files::{self, Files, Overwrite, Readers};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The files, the private key's among them.
    pub files: Vec<PathBuf>,
}

/// Writes certificate, key and authority of an instance to one file of PEM, or to a directory, with
/// the revocation list beside them.
///
/// # Errors
/// There is no certificate, it was revoked, or a file is there that may not be replaced.
pub fn write_bundle(
    authority: &Authority,
    name: &str,
    to: &Path,
    overwrite: Overwrite,
) -> Result<Bundle, KeysError> {
    let (found, _) = authority.renewable(name)?;
    let (cert, key) = (files::read(&found.cert)?, files::read(&found.key)?);
    let ca = files::read(&authority.files().own.cert)?;
    if !to.is_dir() && !ends_with_slash(to) {
        files::check(to, overwrite)?;
        let all = [cert, key, ca].concat();
        files::write(to, &all, Readers::Owner, overwrite)?;
        return Ok(Bundle { files: vec![to.to_owned()] });
    }
    files::make_private_dir(to)?;
    let own = Files::of(to, name);
    let mut parts = vec![
        (own.key, key, Readers::Owner),
        (own.cert, cert, Readers::All),
        (to.join("ca.crt"), ca, Readers::All),
    ];
    // An authority that others made may have no list yet.
    let crl = &authority.files().crl;
    if crl.exists() {
        parts.push((to.join("ca.crl"), files::read(crl)?, Readers::All));
    }
    for (file, _, _) in &parts {
        files::check(file, overwrite)?;
    }
    let mut written = Vec::new();
    for (file, bytes, readers) in parts {
        files::write(&file, &bytes, readers, overwrite)?;
        written.push(file);
    }
    Ok(Bundle { files: written })
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}
