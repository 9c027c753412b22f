//! Where each subscriber stands, one small file of text per subscriber, kept twice.
//!
//! ```text
//!   subscribers/<channel>/<id>.offset.a   v2 seq=57 epoch=3
//!                                .b       v2 seq=56 epoch=3      the other copy, one change older
//! ```
//!
//! A position is written when it changes, which survives the process, and synced behind the back of the
//! subscriber, which survives the machine. Losing the last change costs a repeated delivery and no
//! message.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pubsub_disk::{Disk, EntryKind};
use pubsub_types::{ChannelName, SubscriberId, Timestamp, name_from_file};

use crate::twin::{self, Twin};

/// Ends the name of a position file, before `.a` and `.b`.
const SUFFIX: &str = ".offset";

/// What a position file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Everything up to this sequence was handled; 0 when nothing was.
    At {
        /// The sequence.
        seq: u64,
        /// Epoch of the channel in which it was written.
        epoch: u64,
    },
    /// The predecessor's: the byte offset of the next message, over all its files.
    LegacyByte(u64),
    /// Both copies are damaged. Nothing may be deleted that this subscriber might still want.
    Damaged,
}

impl Position {
    fn parse(text: &[u8]) -> Self {
        Self::parse_text(text).unwrap_or(Self::Damaged)
    }

    fn parse_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let Some(fields) = text.strip_prefix("v2 ") else {
            return text.parse().ok().map(Self::LegacyByte);
        };
        let field = |key: &str| {
            fields.split(' ').find_map(|field| field.strip_prefix(key)?.parse::<u64>().ok())
        };
        Some(Self::At { seq: field("seq=")?, epoch: field("epoch=")? })
    }
}

/// A subscriber's position file, opened to be changed.
#[derive(Debug)]
pub struct PositionFile {
    channel: ChannelName,
    id: SubscriberId,
    epoch: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    twin: Twin,
    seq: u64,
    written: u64,
    synced: u64,
    /// A sync failed: what was written is to be written again.
    suspect: bool,
    /// When a sync was last asked for.
    sync_asked: Timestamp,
}

impl PositionFile {
    pub(crate) fn open(
        disk: &dyn Disk,
        channel: &ChannelName,
        id: &SubscriberId,
        seq: u64,
        epoch: u64,
    ) -> io::Result<Arc<Self>> {
        let dir = make_dir(disk, channel)?;
        let (twin, _) = Twin::open(disk, &dir, &file_stem(id))?;
        let inner = Inner {
            twin,
            seq,
            written: u64::MAX,
            synced: u64::MAX,
            suspect: false,
            sync_asked: Timestamp(0),
        };
        let file =
            Self { channel: channel.clone(), id: id.clone(), epoch, inner: Mutex::new(inner) };
        file.write()?;
        file.sync()?;
        Ok(Arc::new(file))
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The subscriber.
    #[must_use]
    pub fn id(&self) -> &SubscriberId {
        &self.id
    }

    /// Everything up to this sequence was handled.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.inner.lock().seq
    }

    /// Sequence that the file holds, synced or not.
    #[must_use]
    pub fn written_seq(&self) -> u64 {
        self.inner.lock().written
    }

    /// Moves the position, in memory. [`Self::write`] makes it survive the process.
    pub fn set(&self, seq: u64) {
        self.inner.lock().seq = seq;
    }

    /// Writes the position if it changed. Takes as long as a copy to the page cache.
    ///
    /// # Errors
    /// Whatever the file system says; the position in memory stands, and the other copy still holds
    /// the one before.
    pub fn write(&self) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if inner.written == inner.seq && !inner.suspect {
            return Ok(());
        }
        let text = format!("v2 seq={} epoch={}", inner.seq, self.epoch);
        inner.twin.write(text.as_bytes())?;
        inner.written = inner.seq;
        inner.suspect = false;
        Ok(())
    }

    /// Makes durable what was written. When that fails, it is written again with the next
    /// [`Self::write`]: a second sync would prove nothing.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn sync(&self) -> io::Result<()> {
        let ((file, generation), written) = {
            let inner = self.inner.lock();
            if inner.synced == inner.written {
                return Ok(());
            }
            (inner.twin.newest_file(), inner.written)
        };
        let result = file.sync();
        let mut inner = self.inner.lock();
        match result {
            Ok(()) if inner.suspect => return Err(io::Error::other("an earlier sync failed")),
            Ok(()) => {
                inner.twin.note_synced(generation);
                inner.synced = written;
            }
            Err(error) => {
                inner.suspect = true;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether it is time for a sync at `now`, when there is to be one `every` so often.
    pub(crate) fn sync_is_due(&self, now: Timestamp, every: Duration) -> bool {
        crate::store::due(&mut self.inner.lock().sync_asked, now, every)
    }

    /// Whether something was written and not synced yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        let inner = self.inner.lock();
        inner.synced != inner.written
    }
}

pub(crate) fn dir_of(channel: &ChannelName) -> PathBuf {
    Path::new("subscribers").join(crate::store::dir_name(channel.as_str()))
}

fn file_stem(id: &SubscriberId) -> String {
    // Beyond what a file system takes, the readable part is kept and the rest told apart by its hash.
    crate::store::short_name(id.as_str(), 200) + SUFFIX
}

fn make_dir(disk: &dyn Disk, channel: &ChannelName) -> io::Result<PathBuf> {
    let dir = dir_of(channel);
    match disk.create_dir(&dir) {
        // An earlier attempt may have made it and failed to make it durable.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => disk.sync_dir(Path::new("subscribers"))?,
    }
    Ok(dir)
}

/// What is written down for a subscriber, or `None` when nothing is.
pub(crate) fn load(
    disk: &dyn Disk,
    channel: &ChannelName,
    id: &SubscriberId,
) -> io::Result<Option<Position>> {
    let dir = dir_of(channel);
    let stem = file_stem(id);
    let loaded = match twin::load(disk, &dir, &stem) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if let Some(content) = loaded.content {
        return Ok(Some(Position::parse(&content)));
    }
    if loaded.damaged > 0 {
        return Ok(Some(Position::Damaged));
    }
    load_legacy(disk, &dir, id)
}

/// The file in which the predecessor kept a position.
fn legacy_name(id: &SubscriberId) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let letters = id.as_str().bytes();
    let sanitized: String =
        letters.map(|byte| if plain(byte) { char::from(byte) } else { '_' }).collect();
    sanitized + SUFFIX
}

/// The predecessor's `<id>.offset`: a bare number and a line break.
fn load_legacy(disk: &dyn Disk, dir: &Path, id: &SubscriberId) -> io::Result<Option<Position>> {
    let file = match disk.open(&dir.join(legacy_name(id)), pubsub_disk::Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = [0; 64];
    let got = file.read_at(&mut bytes, 0)?;
    Ok(Some(Position::parse(&bytes[..got])))
}

/// Subscribers that have a position on `channel`, sorted. Ids whose file name had to be shortened come
/// as that name.
pub(crate) fn list(disk: &dyn Disk, channel: &ChannelName) -> io::Result<Vec<SubscriberId>> {
    let entries = match disk.list(&dir_of(channel)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let id = |name: &str| {
        let stem = name.strip_suffix(SUFFIX)?;
        let text = name_from_file(stem).unwrap_or_else(|| stem.to_owned());
        SubscriberId::new(&text).ok()
    };
    let names = || {
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        files.map(|entry| entry.name.as_str())
    };
    let copy = |name: &'_ str| [".a", ".b"].iter().any(|end| name.ends_with(end));
    let mut ids: Vec<SubscriberId> =
        names().filter(|name| copy(name)).filter_map(|name| id(&name[..name.len() - 2])).collect();
    // A position of the predecessor's that was converted is nobody's any more, under whatever name.
    let converted: Vec<String> = ids.iter().map(legacy_name).collect();
    ids.extend(names().filter(|name| !converted.iter().any(|it| it == name)).filter_map(id));
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Forgets a subscriber's position; whether there was one.
pub(crate) fn forget(
    disk: &dyn Disk,
    channel: &ChannelName,
    id: &SubscriberId,
) -> io::Result<bool> {
    let dir = dir_of(channel);
    let stem = file_stem(id);
    let mut found = false;
    for path in [
        twin::path_of(&dir, &stem, "a"),
        twin::path_of(&dir, &stem, "b"),
        dir.join(legacy_name(id)),
    ] {
        match disk.remove_file(&path) {
            Ok(()) => found = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
    }
    if found {
        disk.sync_dir(&dir)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_the_predecessors_byte_offset() {
        assert_eq!(Position::parse(b"194\n"), Position::LegacyByte(194));
        assert_eq!(Position::parse(b"v2 seq=57 epoch=3"), Position::At { seq: 57, epoch: 3 });
        for damaged in [b"".as_slice(), b"v2 seq=5", b"v2 seq=x epoch=1", b"rubbish"] {
            assert_eq!(Position::parse(damaged), Position::Damaged);
        }
    }
}
