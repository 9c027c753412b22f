//! Reading the file: the one place here that touches the world.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::{Config, LoadError, TEXT_MAX_BYTES};

impl Config {
    /// Reads the configuration in the file at `path`; see [`Config::from_yaml`].
    ///
    /// No more than the longest allowed text is read, whatever the file's size.
    ///
    /// # Errors
    /// The file cannot be read, or says something that is not allowed.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, LoadError> {
        let bytes = read(path).map_err(|source| LoadError::Read { path: path.into(), source })?;
        Ok(Self::from_slice(&bytes, &path.display().to_string(), env)?)
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell's part: nothing is decided here")]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let longest = u64::try_from(TEXT_MAX_BYTES).unwrap_or(u64::MAX);
    // One byte more than allowed, so that what is too long is seen to be.
    File::open(path)?.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
