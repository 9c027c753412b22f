//! A data directory: its identity, its lock, its channels and its subscribers' positions.
//!
//! ```text
//!   data/  LOCK  NODE.{a,b}  channels/<name>/…  subscribers/<name>/<id>.offset.{a,b}  trash/
//! ```
//!
//! Channels open when they are first asked for, so ten thousand of them cost a start nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pubsub_disk::{Disk, Entry, EntryKind, Lock, LockError};
use pubsub_types::{
    ChannelName, FILE_NAME_MAX_BYTES, SubscriberId, SyncPolicy, Timestamp, file_name_for,
    name_from_file,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::channel::Channel;
use crate::config::{Chosen, StoreOptions};
use crate::error::{ChannelError, OpenError};
use crate::job::{Executor, Job, Task};
use crate::manifest::{self, Read};
use crate::notes::{NOTE_DIRECTORIES, Notes};
use crate::positions::{self, Position, PositionFile};
use crate::recovery::{Place, recover};
use crate::twin::Twin;

/// Version of the layout of a data directory.
pub const LAYOUT_VERSION: u32 = 1;

/// Name of the file whose lock says who owns a data directory, and whose content is the owner's pid.
pub const LOCK_FILE: &str = "LOCK";

const NODE: &str = "NODE";
const CHANNELS: &str = "channels";
const SUBSCRIBERS: &str = "subscribers";
const TRASH: &str = "trash";

/// Without a write for this long, a channel notes in its manifest what is durable.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// Time between two looks at limits on age.
const AGE_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks at what has expired.
const EXPIRY_EVERY: Duration = Duration::from_millis(250);
/// Time between two looks at what every subscriber has consumed, as in the predecessor.
const CONSUMED_EVERY: Duration = Duration::from_secs(30);

/// Who a data directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Version of the layout.
    pub version: u32,
    /// Identity, from its making on.
    pub id: Uuid,
    /// How often it was opened.
    pub incarnation: u64,
    /// Whether it was closed in order the last time.
    pub clean: bool,
}

/// Where a subscriber begins that has no position yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the end: only messages published from now on.
    #[default]
    New,
    /// At the oldest message there is.
    FromStart,
    /// At the newest message there is.
    Last,
    /// After this sequence.
    After(u64),
    /// At the first message of this time or later.
    Since(Timestamp),
}

/// An open data directory.
pub struct Store {
    disk: Arc<dyn Disk>,
    executor: Arc<dyn Executor>,
    options: StoreOptions,
    node: Mutex<(Twin, NodeInfo)>,
    channels: Mutex<BTreeMap<ChannelName, Arc<Channel>>>,
    positions: Mutex<BTreeMap<(ChannelName, SubscriberId), Arc<PositionFile>>>,
    pub(crate) notes: Notes,
    closed: AtomicBool,
    made: AtomicU64,
    /// Channels made and removed since the opening.
    channels_version: AtomicU64,
    ticked: Mutex<Ticked>,
    /// Released when the store is closed or dropped.
    lock: Mutex<Option<Box<dyn Lock>>>,
}

#[derive(Debug, Default)]
struct Ticked {
    age: Timestamp,
    expiry: Timestamp,
    consumed: Timestamp,
    offsets: Timestamp,
}

impl Store {
    /// Opens the data directory that `disk` stands for, making it when the directory is empty.
    ///
    /// `new_id` becomes its identity if it is new.
    ///
    /// # Errors
    /// It is in use, not ours, of a later version, or cannot be read or written. Nothing was changed.
    pub fn open(
        disk: Arc<dyn Disk>,
        executor: Arc<dyn Executor>,
        options: StoreOptions,
        new_id: Uuid,
    ) -> Result<Arc<Self>, OpenError> {
        let io = |what, path: &str| {
            let path = PathBuf::from(path);
            move |source| OpenError::Io { what, path, source }
        };
        refuse_foreign(&*disk)?;
        let lock = disk.lock(Path::new(LOCK_FILE)).map_err(|error| match error {
            LockError::Held { pid, .. } => OpenError::Locked { pid },
            LockError::Io { source, .. } | LockError::Denied { source, .. } => {
                OpenError::Io { what: "lock", path: LOCK_FILE.into(), source }
            }
        })?;
        let (mut twin, loaded) =
            Twin::open(&*disk, Path::new(""), NODE).map_err(io("open", NODE))?;
        let new = NodeInfo { version: LAYOUT_VERSION, id: new_id, incarnation: 0, clean: true };
        let mut node = match &loaded.content {
            Some(content) => parse_node(content)?,
            None if loaded.damaged == 0 => new,
            // Its making was interrupted. Without a channel nothing knows it yet.
            None if list_channels(&*disk).map_err(io("list", CHANNELS))?.is_empty() => new,
            None => return Err(OpenError::NodeDamaged),
        };
        let mut made = false;
        for dir in [CHANNELS, SUBSCRIBERS, TRASH] {
            match disk.create_dir(Path::new(dir)) {
                Ok(()) => made = true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                Err(error) => return Err(io("make", dir)(error)),
            }
        }
        if made {
            disk.sync_dir(Path::new("")).map_err(io("sync", ""))?;
        }
        // Who made what is in them may have been killed before it was durable.
        for dir in [CHANNELS, SUBSCRIBERS] {
            disk.sync_dir(Path::new(dir)).map_err(io("sync", dir))?;
        }
        node.incarnation += 1;
        node.clean = false;
        store_node(&mut twin, &node).map_err(io("write", NODE))?;
        let store = Arc::new(Self {
            disk,
            executor,
            options,
            node: Mutex::new((twin, node)),
            channels: Mutex::default(),
            positions: Mutex::default(),
            notes: Notes::default(),
            closed: AtomicBool::new(false),
            made: AtomicU64::new(0),
            channels_version: AtomicU64::new(0),
            ticked: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        });
        store.empty_trash();
        Ok(store)
    }

    /// Who the data directory is.
    #[must_use]
    pub fn node(&self) -> NodeInfo {
        self.node.lock().1
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The configuration.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// The names of all channels, sorted.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn channels(&self) -> io::Result<Vec<ChannelName>> {
        list_channels(&*self.disk)
    }

    /// Changes when a channel is made or removed. Costs nothing to ask.
    #[must_use]
    pub fn channels_version(&self) -> u64 {
        self.channels_version.load(Ordering::Acquire)
    }

    /// The channels that are open, sorted by name.
    #[must_use]
    pub fn open_channels(&self) -> Vec<Arc<Channel>> {
        self.channels.lock().values().cloned().collect()
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// There is none, or it could not be opened.
    pub fn channel(
        &self,
        name: &ChannelName,
        now: Timestamp,
    ) -> Result<Arc<Channel>, ChannelError> {
        self.get(name, Wanted::There, now)
    }

    /// The channel of this name, made when there is none.
    ///
    /// # Errors
    /// It could not be opened or made.
    pub fn open_or_create(
        &self,
        name: &ChannelName,
        now: Timestamp,
    ) -> Result<Arc<Channel>, ChannelError> {
        self.get(name, Wanted::Any, now)
    }

    /// Makes a channel, for which this is chosen: it stays so whatever the configuration says of channels
    /// in general, and is overruled only by what it says of this very channel.
    ///
    /// # Errors
    /// There is one of this name, or it could not be made.
    pub fn create_channel(
        &self,
        name: &ChannelName,
        chosen: Chosen,
        now: Timestamp,
    ) -> Result<Arc<Channel>, ChannelError> {
        self.get(name, Wanted::New(chosen), now)
    }

    fn get(
        &self,
        name: &ChannelName,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Arc<Channel>, ChannelError> {
        let mut channels = self.channels.lock();
        if self.closed.load(Ordering::Acquire) {
            return Err(ChannelError::Closed);
        }
        if let Some(channel) = channels.get(name) {
            return match wanted {
                Wanted::New(_) => Err(ChannelError::Exists(name.clone())),
                Wanted::Any | Wanted::There => Ok(channel.clone()),
            };
        }
        let io = |what| move |source| ChannelError::Io { channel: name.clone(), what, source };
        let dir = channel_dir(name);
        let mut made = false;
        match self.disk.list(&dir) {
            // An earlier attempt may have made it and failed to make it durable.
            Ok(entries) if entries.is_empty() => {
                self.disk.sync_dir(Path::new(CHANNELS)).map_err(io("open the directory"))?;
                made = true;
            }
            Ok(entries)
                if matches!(wanted, Wanted::New(_))
                    && is_made(&*self.disk, &dir, &entries).map_err(io("open the manifest"))? =>
            {
                return Err(ChannelError::Exists(name.clone()));
            }
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::NotFound && wanted != Wanted::There => {
                self.disk.create_dir(&dir).map_err(io("make the directory"))?;
                self.disk.sync_dir(Path::new(CHANNELS)).map_err(io("make the directory"))?;
                made = true;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ChannelError::NotFound(name.clone()));
            }
            Err(error) => return Err(io("open the directory")(error)),
        }
        let place = Place { disk: &*self.disk, dir: &dir, name };
        let chosen = match wanted {
            Wanted::New(chosen) => chosen,
            Wanted::Any | Wanted::There => Chosen::default(),
        };
        let recovered = recover(place, &self.options, chosen, self.new_log_id(name), now)?;
        for finding in &recovered.findings {
            tracing::warn!(channel = %name, %finding, "channel files needed attention");
        }
        let channel = Channel::new(
            name.clone(),
            dir,
            self.disk.clone(),
            self.executor.clone(),
            &self.options,
            recovered,
        );
        channels.insert(name.clone(), channel.clone());
        if made {
            self.channels_version.fetch_add(1, Ordering::Release);
        }
        Ok(channel)
    }

    /// An identity that no other log has: of this node, this opening, this channel and this making.
    fn new_log_id(&self, name: &ChannelName) -> Uuid {
        let node = self.node();
        let nth = self.made.fetch_add(1, Ordering::Relaxed);
        let text = format!("{} {} {nth} {name}", node.id, node.incarnation);
        let hash = xxhash_rust::xxh3::xxh3_128(text.as_bytes());
        uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
    }

    /// Removes a channel with all its messages and all its subscribers' positions.
    ///
    /// # Errors
    /// There is none, or its files could not be moved away; then it is still there.
    pub fn remove_channel(&self, name: &ChannelName, now: Timestamp) -> Result<(), ChannelError> {
        let channel = self.channel(name, now)?;
        let io = |what| move |source| ChannelError::Io { channel: name.clone(), what, source };
        channel.close().map_err(io("close"))?;
        self.channels.lock().remove(name);
        self.channels_version.fetch_add(1, Ordering::Release);
        self.positions.lock().retain(|(channel, _), _| channel != name);
        let aside = |kind: &str| {
            let name = dir_name(&format!("{kind}-{name}"));
            Path::new(TRASH).join(format!("{:x}-{name}", now.as_nanos()))
        };
        // Positions and notes first: left behind, they would make subscribers of the next channel of this
        // name, and links to it, skip its first messages.
        self.remove_notes_of(name).map_err(io("remove the notes"))?;
        match self.disk.rename(&positions::dir_of(name), &aside("s")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(io("remove the subscribers")(error)),
            Ok(()) => self.sync_move(SUBSCRIBERS).map_err(io("remove the subscribers"))?,
        }
        self.disk.rename(&channel_dir(name), &aside("c")).map_err(io("remove"))?;
        self.sync_move(CHANNELS).map_err(io("remove"))?;
        self.empty_trash();
        Ok(())
    }

    /// Makes durable that something is in the trash and no longer in `from`. Before that, nothing of it
    /// may be deleted: it could come back in part.
    fn sync_move(&self, from: &str) -> io::Result<()> {
        self.disk.sync_dir(Path::new(TRASH))?;
        self.disk.sync_dir(Path::new(from))
    }

    fn empty_trash(&self) {
        if let Err(error) = remove_all(&*self.disk, Path::new(TRASH)) {
            tracing::warn!(%error, "trash was not emptied; it is tried again at the next start");
        }
    }

    /// Subscribers that have a position on a channel, sorted.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn subscribers(&self, channel: &ChannelName) -> io::Result<Vec<SubscriberId>> {
        positions::list(&*self.disk, channel)
    }

    /// What is written down for a subscriber, or `None` when nothing is.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn position(
        &self,
        channel: &ChannelName,
        id: &SubscriberId,
    ) -> io::Result<Option<Position>> {
        positions::load(&*self.disk, channel, id)
    }

    /// The position of a subscriber, opened to be changed; `start` decides where one begins that has
    /// none. A position written before an unclean end is moved back to what survived it.
    ///
    /// # Errors
    /// The channel or the file could not be opened.
    pub fn subscriber(
        &self,
        channel: &Arc<Channel>,
        id: &SubscriberId,
        start: Start,
    ) -> Result<Arc<PositionFile>, ChannelError> {
        let name = channel.name();
        let key = (name.clone(), id.clone());
        if let Some(file) = self.positions.lock().get(&key) {
            return Ok(file.clone());
        }
        let io = |what| move |source| ChannelError::Io { channel: name.clone(), what, source };
        let written = positions::load(&*self.disk, name, id).map_err(io("read a position"))?;
        let (epoch, clamped) = channel.resolve(written);
        let seq = match clamped {
            Some(seq) => seq,
            None => channel.start(start).map_err(io("find where to start"))?,
        };
        let file =
            PositionFile::open(&*self.disk, name, id, seq, epoch).map_err(io("open a position"))?;
        self.positions.lock().insert(key, file.clone());
        Ok(file)
    }

    /// Forgets a subscriber's position; whether there was one.
    ///
    /// # Errors
    /// The file could not be removed.
    pub fn forget(&self, channel: &ChannelName, id: &SubscriberId) -> io::Result<bool> {
        self.positions.lock().remove(&(channel.clone(), id.clone()));
        positions::forget(&*self.disk, channel, id)
    }

    /// Lets go of a position that nobody uses any more, after writing it.
    ///
    /// # Errors
    /// It could not be written or synced.
    pub fn release(&self, file: &PositionFile) -> io::Result<()> {
        let key = (file.channel().clone(), file.id().clone());
        self.positions.lock().remove(&key);
        file.write()?;
        file.sync()
    }

    /// Does what is due at `now`: syncs, limits on age, positions, marks. To be called every 20 to 100
    /// milliseconds; it starts jobs and does not block on the disk but for positions' writes.
    pub fn tick(&self, now: Timestamp) {
        let (age, expiry, consumed, offsets) = {
            let mut ticked = self.ticked.lock();
            (
                due(&mut ticked.age, now, AGE_EVERY),
                due(&mut ticked.expiry, now, EXPIRY_EVERY),
                due(&mut ticked.consumed, now, CONSUMED_EVERY),
                due(&mut ticked.offsets, now, self.options.offset_flush_interval),
            )
        };
        for channel in self.open_channels() {
            channel.tick(now);
            if age {
                channel.apply_age(now);
                if channel.has_sparse() {
                    channel.submit(Task::Housekeep);
                }
            }
            if expiry && channel.has_expired(now) {
                channel.submit(Task::Expire(now));
            }
            if consumed {
                self.compact(&channel, now);
            }
        }
        if offsets {
            self.flush_positions(now);
        }
    }

    /// Writes changed positions, and has them synced together.
    fn flush_positions(&self, now: Timestamp) {
        let files: Vec<Arc<PositionFile>> = self.positions.lock().values().cloned().collect();
        let mut dirty = Vec::new();
        for file in files {
            if let Err(error) = file.write() {
                tracing::warn!(channel = %file.channel(), subscriber = %file.id(), %error, "position was not written; it is tried again");
            }
            let channel = self.channels.lock().get(file.channel()).cloned();
            let Some(channel) = channel else { continue };
            let config = channel.config();
            // A position that is lost with the power costs repeated deliveries only; it need not be
            // safer than the messages themselves.
            let due = match config.sync {
                SyncPolicy::None => false,
                SyncPolicy::Periodic => file.sync_is_due(now, config.sync_interval),
                SyncPolicy::Always => true,
            };
            if due && file.is_dirty() {
                dirty.push(file);
            }
        }
        if !dirty.is_empty() {
            self.executor.submit(Job::positions(dirty));
        }
    }

    /// Deletes what every subscriber of `channel` has consumed, if there is any subscriber.
    fn compact(&self, channel: &Arc<Channel>, now: Timestamp) {
        let name = channel.name();
        let ids = match self.subscribers(name) {
            Ok(ids) if !ids.is_empty() => ids,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(channel = %name, %error, "subscribers could not be listed; nothing is deleted");
                return;
            }
        };
        let mut consumed = u64::MAX;
        for id in ids {
            let position = match self.position(name, &id) {
                Ok(Some(position)) => position,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(channel = %name, subscriber = %id, %error, "position could not be read; nothing is deleted");
                    return;
                }
            };
            match channel.resolve(Some(position)).1 {
                Some(seq) if position != Position::Damaged => consumed = consumed.min(seq),
                _ => {
                    tracing::warn!(channel = %name, subscriber = %id, "position is damaged; nothing is deleted");
                    return;
                }
            }
        }
        if consumed < u64::MAX {
            channel.compact_consumed(consumed, now);
        }
    }

    /// Closes every channel and the directory: all is written, synced and marked.
    ///
    /// # Errors
    /// Something could not be written. Everything else was closed.
    pub fn close(&self) -> io::Result<()> {
        let channels = {
            let channels = self.channels.lock();
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            channels.values().cloned().collect::<Vec<_>>()
        };
        let mut result = Ok(());
        let files: Vec<Arc<PositionFile>> = self.positions.lock().values().cloned().collect();
        for file in files {
            result = file.write().and_then(|()| file.sync()).and(result);
        }
        result = self.notes.sync().and(result);
        for channel in channels {
            result = channel.close().and(result);
        }
        if result.is_ok() {
            let mut node = self.node.lock();
            node.1.clean = true;
            let (twin, info) = &mut *node;
            result = store_node(twin, info);
        }
        // Now another process, or this one again, may open it.
        drop(self.lock.lock().take());
        result
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("node", &self.node()).finish_non_exhaustive()
    }
}

/// What is wanted of a channel's name.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// The channel that is there.
    There,
    /// The channel, made when there is none.
    Any,
    /// A channel that is made.
    New(Chosen),
}

/// Whether there is a channel in a directory with these `entries`. Its making may have been interrupted
/// before it was one.
fn is_made(disk: &dyn Disk, dir: &Path, entries: &[Entry]) -> io::Result<bool> {
    let is_manifest = |entry: &Entry| entry.name.starts_with(manifest::NAME);
    Ok(!entries.iter().all(is_manifest) || !matches!(manifest::load(disk, dir)?, Read::Absent))
}

/// Whether `every` has passed since `last`, which is then `now`. A clock that stepped back starts the
/// wait anew.
pub(crate) fn due(last: &mut Timestamp, now: Timestamp, every: Duration) -> bool {
    let due = now < *last || now.since(*last) >= every;
    if due {
        *last = now;
    }
    due
}

impl Channel {
    /// Starts what is due at `now`.
    fn tick(self: &Arc<Self>, now: Timestamp) {
        let (end, durable) = self.marks();
        let mut state = self.state.lock();
        let idle = now.since(state.touched) >= IDLE_AFTER && !state.busy;
        let dirty = durable != end;
        let sync = dirty
            && self.config.sync == SyncPolicy::Periodic
            && due(&mut state.synced_at, now, self.config.sync_interval);
        let suspect = state.suspect && !state.busy;
        state.busy |= suspect;
        drop(state);
        if suspect {
            self.submit(Task::Commit);
        }
        if sync {
            self.submit(Task::Sync);
        }
        if idle && self.mark_is_due(end.next_index - 1) {
            self.contents.write().tail.clear();
            self.submit(Task::Mark);
        }
        if !self.contents.read().doomed.is_empty() {
            self.submit(Task::Housekeep);
        }
    }

    fn mark_is_due(&self, last_index: u64) -> bool {
        self.manifest.try_lock().is_some_and(|state| state.manifest.durable_index < last_index)
    }

    /// Where a written position stands now, with the epoch that it gets; `None` when there is none.
    fn resolve(&self, written: Option<Position>) -> (u64, Option<u64>) {
        let last = self.last_seq();
        let seq = match written {
            None => None,
            Some(Position::At { seq, epoch }) => Some(self.epochs.clamp(seq, epoch).min(last)),
            Some(Position::LegacyByte(byte)) => Some(self.legacy_seq(byte).unwrap_or(0)),
            // Delivered again rather than not at all.
            Some(Position::Damaged) => Some(0),
        };
        (self.epoch(), seq)
    }

    fn start(self: &Arc<Self>, start: Start) -> io::Result<u64> {
        Ok(match start {
            Start::New => self.last_seq(),
            Start::FromStart => 0,
            Start::Last => self.last_seq().saturating_sub(1),
            Start::After(seq) => seq.min(self.last_seq()),
            Start::Since(time) => self.before_time(time).map_err(io::Error::other)?,
        })
    }

    /// Refuses further appends, writes and syncs what waits, and marks the channel as closed. Nothing is
    /// written any more once this returns, whatever jobs still wait.
    pub(crate) fn close(self: &Arc<Self>) -> io::Result<()> {
        {
            let mut state = self.state.lock();
            state.closed = true;
            while state.busy {
                self.idle.wait(&mut state);
            }
            state.busy = true;
        }
        self.drive_to_idle();
        self.sync_written();
        if self.begin_repair() {
            self.drive_to_idle();
        }
        // Whoever tidies files is done with it, or will find that there is nothing to do.
        let _alone = self.housekeeping.lock();
        let (end, durable) = self.marks();
        let mut result = self.store_manifest(end == durable);
        if end != durable {
            let why = "the end of the log could not be synced; it is read again at the next start";
            result = Err(io::Error::other(why)).or(result);
        }
        self.state.lock().retired = true;
        self.wake_watchers();
        result
    }
}

/// The directory of a channel.
pub(crate) fn channel_dir(name: &ChannelName) -> PathBuf {
    Path::new(CHANNELS).join(dir_name(name.as_str()))
}

/// The file name for `name`; hashed when it would be too long for a file system.
pub(crate) fn dir_name(name: &str) -> String {
    short_name(name, FILE_NAME_MAX_BYTES)
}

/// The file name for `name`; hashed when it would be longer than `limit` bytes, 193 or more.
pub(crate) fn short_name(name: &str, limit: usize) -> String {
    let plain = file_name_for(name);
    if plain.len() <= limit {
        return plain;
    }
    let hash = xxhash_rust::xxh3::xxh3_128(name.as_bytes());
    format!("{}~{hash:032x}", &plain[..160])
}

/// The channels in a data directory, sorted.
pub(crate) fn list_channels(disk: &dyn Disk) -> io::Result<Vec<ChannelName>> {
    let entries = match disk.list(Path::new(CHANNELS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Dir) {
        let named = name_from_file(&entry.name).and_then(|name| ChannelName::new(&name).ok());
        match named {
            Some(name) => names.push(name),
            // Its name was too long to be a file name: the manifest has it.
            None => {
                let dir = Path::new(CHANNELS).join(&entry.name);
                if let Read::Whole(manifest) = manifest::load(disk, &dir)? {
                    names.push(manifest.channel);
                }
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Refuses a directory that holds something and is not ours.
fn refuse_foreign(disk: &dyn Disk) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { what: "list", path: PathBuf::new(), source };
    let entries = disk.list(Path::new("")).map_err(io)?;
    let ours = |name: &str| {
        name.starts_with("NODE.")
            || [CHANNELS, SUBSCRIBERS, TRASH, LOCK_FILE, "audit", "control.sock", "lost+found"]
                .contains(&name)
            || NOTE_DIRECTORIES.contains(&name)
    };
    match entries.iter().find(|entry| !ours(&entry.name)) {
        Some(entry) if !entries.iter().any(|entry| entry.name.starts_with("NODE.")) => {
            Err(OpenError::NotOurs { found: entry.name.clone() })
        }
        _ => Ok(()),
    }
}

fn parse_node(content: &[u8]) -> Result<NodeInfo, OpenError> {
    let node: NodeInfo = serde_json::from_slice(content).map_err(|_| OpenError::NodeDamaged)?;
    if node.version > LAYOUT_VERSION {
        return Err(OpenError::Version { found: node.version, known: LAYOUT_VERSION });
    }
    Ok(node)
}

fn store_node(twin: &mut Twin, node: &NodeInfo) -> io::Result<()> {
    twin.store(&serde_json::to_vec(node).map_err(io::Error::other)?)
}

fn remove_all(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let entries = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let path = dir.join(&entry.name);
        if entry.kind == EntryKind::Dir {
            remove_all(disk, &path)?;
            disk.remove_dir(&path)?;
        } else {
            disk.remove_file(&path)?;
        }
    }
    Ok(())
}
