//! What an authority has issued: a line of JSON for each certificate, beside the authority.
//!
//! ```text
//!   {"serial":"5f..","name":"edge","issued":"..","not_after":"..","revoked":null,"cert":"edge.crt","key":"edge.key"}
//! ```
//!
//! A line that cannot be read is an error and never passed over: it might be a revocation.

use std::io;
use std::path::{Path, PathBuf};

use pubsub_tls::UnixTime;
use serde::{Deserialize, Serialize};

use crate::error::KeysError;
use crate::files::{self, Overwrite, Readers};
use crate::instant;

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Serial number, in lower-case hexadecimal.
    pub serial: String,
    /// Whom it is for.
    pub name: String,
    /// When it was issued.
    #[serde(serialize_with = "instant::write", deserialize_with = "instant::read")]
    pub issued: UnixTime,
    /// When it ends.
    #[serde(serialize_with = "instant::write", deserialize_with = "instant::read")]
    pub not_after: UnixTime,
    /// When it was taken back.
    #[serde(serialize_with = "instant::maybe::write", deserialize_with = "instant::maybe::read")]
    pub revoked: Option<UnixTime>,
    /// Where it was written, from the directory of the index.
    pub cert: PathBuf,
    /// Where its key was written, from the directory of the index.
    pub key: PathBuf,
}

/// All certificates, the oldest first.
#[derive(Clone, Debug)]
pub struct Index {
    file: PathBuf,
    entries: Vec<Entry>,
}

impl Index {
    /// One with nothing in it, not written yet.
    pub(crate) fn empty(file: &Path) -> Self {
        Self { file: file.to_owned(), entries: Vec::new() }
    }

    /// Reads an index. One that is not there is empty: an authority may come without.
    ///
    /// # Errors
    /// It cannot be read, or a line of it.
    pub fn read(file: &Path) -> Result<Self, KeysError> {
        let bytes = match files::read(file) {
            Err(KeysError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::empty(file));
            }
            bytes => bytes?,
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| KeysError::malformed(file, "it holds bytes that are not text"))?;
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let entry = serde_json::from_str(line)
                .map_err(|error| KeysError::malformed(file, format!("line {number}: {error}")))?;
            entries.push(entry);
        }
        Ok(Self { file: file.to_owned(), entries })
    }

    /// Every certificate, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The newest certificate of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn newest(&self, name: &str) -> Result<&Entry, KeysError> {
        let newest = self.entries.iter().rev().find(|entry| entry.name == name);
        newest.ok_or_else(|| self.unknown(name))
    }

    /// The certificate of a serial number.
    #[must_use]
    pub fn by_serial(&self, serial: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.serial == serial)
    }

    /// Where a file of an entry is, seen from the current directory.
    #[must_use]
    pub fn path(&self, of_entry: &Path) -> PathBuf {
        files::directory_of(&self.file).join(of_entry)
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Takes back what this name or serial number means: of a name, all that have not ended. Gives
    /// those that were not revoked before.
    pub(crate) fn revoke(
        &mut self,
        name_or_serial: &str,
        now: UnixTime,
    ) -> Result<Vec<Entry>, KeysError> {
        let serial = name_or_serial.replace(':', "").to_ascii_lowercase();
        let is_name = self.entries.iter().any(|entry| entry.name == name_or_serial);
        let mut known = false;
        let mut revoked = Vec::new();
        for entry in &mut self.entries {
            let meant = if is_name { entry.name == name_or_serial } else { entry.serial == serial };
            known |= meant;
            if meant && entry.revoked.is_none() && (!is_name || entry.not_after > now) {
                entry.revoked = Some(now);
                revoked.push(entry.clone());
            }
        }
        if known { Ok(revoked) } else { Err(self.unknown(name_or_serial)) }
    }

    pub(crate) fn write(&self) -> Result<(), KeysError> {
        let mut text = String::new();
        for entry in &self.entries {
            let line = serde_json::to_string(entry)
                .map_err(|error| KeysError::malformed(&self.file, error.to_string()))?;
            text.push_str(&line);
            text.push('\n');
        }
        files::write(&self.file, text.as_bytes(), Readers::Owner, Overwrite::Yes)
    }

    fn unknown(&self, wanted: &str) -> KeysError {
        KeysError::Unknown { wanted: pubsub_tls::printable(wanted), index: self.file.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn entry(serial: &str, name: &str, not_after: u64) -> Entry {
        Entry {
            serial: serial.to_owned(),
            name: name.to_owned(),
            issued: at(0),
            not_after: at(not_after),
            revoked: None,
            cert: format!("{name}.crt").into(),
            key: format!("{name}.key").into(),
        }
    }

    fn index(entries: Vec<Entry>) -> Index {
        Index { file: "ca.index".into(), entries }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.index");
        assert_eq!(Index::read(&file).unwrap().entries(), []);
        let mut written = Index::empty(&file);
        written.add(entry("01", "a", 10));
        written.add(Entry { revoked: Some(at(5)), ..entry("02", "b", 20) });
        written.write().unwrap();
        assert_eq!(Index::read(&file).unwrap().entries(), written.entries());
    }

    #[test]
    fn line_that_cannot_be_read_is_named_and_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.index");
        let good = serde_json::to_string(&entry("01", "a", 10)).unwrap();
        for bad in ["{\"serial\":\"02\"}", "rubbish", "", &good.replace("1970", "never")] {
            let text = format!("{good}\n{bad}\n{good}\n");
            files::write(&file, text.as_bytes(), Readers::All, Overwrite::Yes).unwrap();
            let error = Index::read(&file).unwrap_err().to_string();
            assert!(error.contains("ca.index: line 2: "), "{error}");
        }
    }

    #[test]
    fn name_means_all_its_certificates_that_have_not_ended() {
        let all = [entry("01", "a", 10), entry("02", "a", 99), entry("03", "b", 99)];
        let mut index = index([&all[..], &[entry("04", "a", 99)]].concat());
        let revoked = index.revoke("a", at(50)).unwrap();
        let serials: Vec<_> = revoked.iter().map(|entry| entry.serial.as_str()).collect();
        assert_eq!(serials, ["02", "04"]);
        assert_eq!(index.revoke("a", at(51)).unwrap(), []);
        assert_eq!(index.by_serial("02").unwrap().revoked, Some(at(50)));
        assert_eq!(index.by_serial("03").unwrap().revoked, None);
    }

    #[test]
    fn serial_may_be_written_as_other_programs_write_it() {
        let mut index = index(vec![entry("0aff", "a", 10)]);
        assert_eq!(index.revoke("0A:FF", at(50)).unwrap().len(), 1);
        assert!(matches!(index.revoke("0b", at(50)), Err(KeysError::Unknown { .. })));
    }
}
