//! What a channel receives over links: judged, appended, and remembered across restarts.
//!
//! ```text
//!   batch ─▶ judge ─▶ append ─▶ committed ─▶ synced ─▶ position written: the peer may forget it
//!              │                                           ╰▶ now and then: what was received, too
//!              ╰─ here already, or not allowed: dropped, and the position moves on
//! ```
//!
//! What was received is a fold over the channel's own log, so data and memory of it cannot disagree. The
//! file is a checkpoint of that fold: without it, the log is read once more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pubsub_audit::{Direction, Event, Ids, Messages};
use pubsub_envelope::NewRecord;
use pubsub_federation::{
    Batch, Coverage, Dropped, Inbound, NodeName, Position, SOURCES_MAX, SeenIds, Via,
};
use pubsub_storage::{AppendError, Channel, ChannelError, Item, Note, Noted, PublishError};
use pubsub_types::{ChannelName, SyncPolicy};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::outbox::push_id;
use super::shard::{LinkCounters, Shard, add};
use crate::{Node, clock};

/// Messages received between two checkpoints of what was received, at most.
const CHECKPOINT_MESSAGES: u64 = 100_000;
/// Time between two checkpoints, where anything was received.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// Content read at once when the log is folded, in bytes.
const FOLD_BYTES: usize = 1 << 20;

/// The channels that received something since the start.
#[derive(Debug)]
pub(crate) struct Inboxes {
    me: NodeName,
    /// Of all channels together.
    ids: RefCell<SeenIds>,
    open: RefCell<BTreeMap<ChannelName, Rc<Inbox>>>,
    /// Held while one is opened, so that two links do not open the same twice.
    opening: Mutex<()>,
}

/// One channel that receives.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) channel: Arc<Channel>,
    inbound: RefCell<Inbound>,
    /// Batches are judged and appended one after the other.
    turn: Mutex<()>,
    checkpoint: Checkpoint,
    /// By the sender's log.
    positions: RefCell<BTreeMap<Uuid, Kept>>,
}

/// How far a sender's log was received.
#[derive(Debug)]
struct Kept {
    position: Option<Position>,
    note: Arc<Note>,
}

#[derive(Debug)]
struct Checkpoint {
    note: Arc<Note>,
    /// Messages received since the last one.
    since: Cell<u64>,
    at: Cell<Duration>,
    /// Sequence of the last message appended, committed or not.
    appended: Cell<u64>,
    /// Appends that failed.
    failures: Cell<u64>,
    pending: RefCell<Option<Pending>>,
}

/// A checkpoint that holds once everything in it is known to be stored.
#[derive(Debug)]
struct Pending {
    /// Sequence that must be synced.
    upto: u64,
    /// Appends that had failed when it was taken: one more, and it speaks of what is not there.
    failures: u64,
    bytes: Vec<u8>,
}

/// A batch that was appended.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Sequence of this channel that must be synced before the position is durable.
    pub(crate) need: u64,
}

impl Inboxes {
    pub(crate) fn new(me: NodeName, seen_ids: usize) -> Self {
        Self {
            me,
            ids: RefCell::new(SeenIds::new(seen_ids)),
            open: RefCell::default(),
            opening: Mutex::default(),
        }
    }

    /// The inbox of a channel, which is made when there is none. The log behind the last checkpoint is
    /// read on a thread for blocking work.
    pub(crate) async fn open(
        &self,
        node: &Arc<Node>,
        name: &ChannelName,
    ) -> Result<Rc<Inbox>, OpenInboxError> {
        let _alone = self.opening.lock().await;
        let known = self.open.borrow().get(name).cloned();
        let node = node.clone();
        let wanted = name.clone();
        let known_log = known.as_ref().map(|inbox| inbox.channel.log_id());
        let opening = tokio::task::spawn_blocking(move || load(&node, &wanted, known_log));
        let loaded = opening.await.map_err(|_panic| OpenInboxError::Panicked)??;
        let (channel, coverage, note) = match (loaded, known) {
            (Loaded::Same, Some(known)) => return Ok(known),
            (Loaded::Same, None) => return Err(OpenInboxError::Panicked),
            (Loaded::Fresh { channel, coverage, note }, _) => (channel, coverage, note),
        };
        let inbox = Rc::new(Inbox {
            inbound: RefCell::new(Inbound::new(self.me.clone(), channel.log_id(), coverage)),
            channel,
            turn: Mutex::default(),
            checkpoint: Checkpoint {
                note,
                since: Cell::new(0),
                at: Cell::new(clock::since_start()),
                appended: Cell::new(0),
                failures: Cell::new(0),
                pending: RefCell::default(),
            },
            positions: RefCell::default(),
        });
        self.open.borrow_mut().insert(name.clone(), inbox.clone());
        Ok(inbox)
    }

    /// Notes what was received, where it is time.
    pub(crate) fn tick(&self) {
        let now = clock::since_start();
        for inbox in self.open.borrow().values() {
            inbox.tick(now);
        }
    }

    /// Writes checkpoints of everything that was received, where that is synced.
    pub(crate) fn close(&self) {
        for inbox in self.open.borrow().values() {
            inbox.begin_checkpoint();
            inbox.finish_checkpoint();
        }
    }
}

/// An inbox could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenInboxError {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("read what was received before")]
    Io(#[from] io::Error),
    #[error("read what was received before")]
    Read(#[from] pubsub_storage::ReadError),
    #[error("a panic while it was opened")]
    Panicked,
}

enum Loaded {
    /// What is open is still the channel of that name.
    Same,
    Fresh {
        channel: Arc<Channel>,
        coverage: Coverage,
        note: Arc<Note>,
    },
}

/// Opens the channel, and folds what it received. Blocks.
fn load(node: &Node, name: &ChannelName, known: Option<Uuid>) -> Result<Loaded, OpenInboxError> {
    let channel = node.channel(name)?;
    if known == Some(channel.log_id()) {
        return Ok(Loaded::Same);
    }
    let note = node.store().note(&["coverage", name.as_str()])?;
    let noted = match note.load()? {
        Noted::Content(bytes) => decode(channel.log_id(), &bytes),
        Noted::Nothing => None,
        Noted::Damaged => {
            tracing::warn!(channel = %name, "what links received was noted, and the note is damaged; the log is read instead");
            None
        }
    };
    let (mut coverage, upto) = noted.unwrap_or_else(|| (Coverage::new(SOURCES_MAX), 0));
    let mut reader = channel.reader(upto);
    loop {
        let items = reader.read(usize::MAX, FOLD_BYTES)?;
        if items.is_empty() {
            break;
        }
        for item in items {
            if let Item::Record(record) = item {
                coverage.fold(&record.meta());
            }
        }
    }
    Ok(Loaded::Fresh { channel, coverage, note })
}

/// A checkpoint: whose log, the sequence it covers, and what was received up to there.
fn encode(log: Uuid, upto: u64, coverage: &Coverage) -> Vec<u8> {
    let mut bytes = log.as_bytes().to_vec();
    bytes.extend_from_slice(&upto.to_le_bytes());
    coverage.encode(&mut bytes);
    bytes
}

/// `None` when it is of another log, or not ours at all: then the log is read.
fn decode(log: Uuid, bytes: &[u8]) -> Option<(Coverage, u64)> {
    let (of, rest) = bytes.split_first_chunk::<16>()?;
    let (upto, rest) = rest.split_first_chunk()?;
    let coverage = Coverage::decode(rest, SOURCES_MAX).ok()?;
    (log.as_bytes() == of).then_some((coverage, u64::from_le_bytes(*upto)))
}

impl Inbox {
    /// Judges a batch and appends what is new; comes back when that is committed.
    ///
    /// The first poll takes the batch's turn, so batches polled once in the order in which they came are
    /// appended in that order.
    pub(crate) async fn receive(
        &self,
        shard: &Shard,
        counters: &LinkCounters,
        via: &Via,
        peer: &pubsub_audit::Peer,
        batch: &Batch,
    ) -> Result<Stored, PublishError> {
        let turn = self.turn.lock().await;
        let mut lost = DroppedIds::default();
        let accepted = {
            let ids = &mut *shard.inboxes.ids.borrow_mut();
            let mut inbound = self.inbound.borrow_mut();
            inbound.judge(via, batch, ids, |message, why| {
                let (cell, kept) = match why {
                    Dropped::Duplicate | Dropped::DuplicateId => {
                        return add(&counters.duplicates, 1);
                    }
                    Dropped::Loop => (&counters.looped, &mut lost.looped),
                    why => {
                        lost.reason = why.as_str();
                        (&counters.refused, &mut lost.refused)
                    }
                };
                add(cell, 1);
                push_id(kept, message.meta().id);
            })
        };
        let messages = |ids: Ids| Messages {
            peer: peer.clone(),
            channel: self.channel.name().as_str().into(),
            direction: Direction::Inbound,
            ids,
        };
        lost.log(shard, &messages);
        if accepted.is_empty() {
            // What it repeats may have come over another link a moment ago.
            return Ok(Stored { need: self.channel.last_seq() });
        }
        let taken = accepted.taken();
        let count = accepted.len() as u64;
        let mut forwarded = Ids::with_capacity(accepted.len());
        if shard.settings.audit_forwards {
            for message in accepted.iter() {
                push_id(&mut forwarded, message.meta().id);
            }
        }
        let appended = {
            let records: Vec<NewRecord<'_>> = accepted.records().collect();
            loop {
                match self.channel.append(&records) {
                    Err(AppendError::Backlogged { .. }) => self.channel.room().await,
                    appended => break appended,
                }
            }
        };
        if let Ok(appended) = &appended {
            self.checkpoint.appended.set(appended.last.get());
        }
        drop((turn, accepted));
        let committed = match appended {
            Ok(appended) => {
                let last = appended.last.get();
                appended.ticket.await.map(|()| last).map_err(PublishError::from)
            }
            Err(error) => Err(error.into()),
        };
        match committed {
            Ok(last) => {
                add(&counters.stored, count);
                self.checkpoint.since.set(self.checkpoint.since.get() + count);
                if shard.settings.audit_forwards {
                    let messages = messages(forwarded);
                    shard.audit.log(Event::Forward { messages, send_duration: None });
                }
                Ok(Stored { need: last })
            }
            Err(error) => {
                self.checkpoint.failures.set(self.checkpoint.failures.get() + 1);
                let ids = &mut *shard.inboxes.ids.borrow_mut();
                self.inbound.borrow_mut().undo(via, batch, &taken, ids);
                Err(error)
            }
        }
    }

    /// Resolves when `need` is as safe as this channel makes it: synced, where the policy syncs at all.
    pub(crate) async fn safe(self: Rc<Self>, need: u64) {
        if let Some(before) = need.checked_sub(1)
            && self.channel.config().sync != SyncPolicy::None
        {
            self.channel.synced_after(before).await;
        }
    }

    /// How far the log `log` of the peer was received, if it was.
    pub(crate) fn position(&self, shard: &Shard, log: Uuid) -> io::Result<Option<Position>> {
        if let Some(kept) = self.positions.borrow().get(&log) {
            return Ok(kept.position);
        }
        let from = log.to_string();
        let note = shard.node.store().note(&["links", &from, self.channel.name().as_str()])?;
        let position = match note.load()? {
            Noted::Content(bytes) => parse_position(self.channel.log_id(), log, &bytes),
            Noted::Nothing | Noted::Damaged => None,
        };
        self.positions.borrow_mut().insert(log, Kept { position, note });
        Ok(position)
    }

    /// Everything up to `position` of the peer's log is safe here. A position lost to a crash is only an
    /// older one: what is repeated is known.
    pub(crate) fn note_position(&self, position: Position) -> io::Result<()> {
        let mut positions = self.positions.borrow_mut();
        let Some(kept) = positions.get_mut(&position.log) else { return Ok(()) };
        let behind = |known: Position| (known.epoch, known.seq) >= (position.epoch, position.seq);
        if kept.position.is_some_and(behind) {
            return Ok(());
        }
        kept.position = Some(position);
        let (own, Position { epoch, seq, .. }) = (self.channel.log_id(), position);
        kept.note.store(format!("v1 log={own} epoch={epoch} seq={seq}").as_bytes())
    }

    /// Notes what was received, when it is time.
    fn tick(&self, now: Duration) {
        self.finish_checkpoint();
        let since = self.checkpoint.since.get();
        let waited = now.saturating_sub(self.checkpoint.at.get());
        if since >= CHECKPOINT_MESSAGES || (since > 0 && waited >= CHECKPOINT_EVERY) {
            self.begin_checkpoint();
            self.finish_checkpoint();
        }
    }

    fn begin_checkpoint(&self) {
        let checkpoint = &self.checkpoint;
        if checkpoint.since.get() == 0 {
            return;
        }
        // A batch that is judged and waits for room is in the coverage, and has no sequence yet.
        let Ok(_between_batches) = self.turn.try_lock() else { return };
        let upto = checkpoint.appended.get();
        let bytes = encode(self.channel.log_id(), upto, self.inbound.borrow().coverage());
        let failures = checkpoint.failures.get();
        *checkpoint.pending.borrow_mut() = Some(Pending { upto, failures, bytes });
        checkpoint.since.set(0);
        checkpoint.at.set(clock::since_start());
    }

    fn finish_checkpoint(&self) {
        let checkpoint = &self.checkpoint;
        let safe = self.channel.synced_seq();
        let Some(pending) = checkpoint.pending.borrow_mut().take_if(|it| it.upto <= safe) else {
            return;
        };
        if pending.failures != checkpoint.failures.get() {
            return;
        }
        let noted = checkpoint.note.store(&pending.bytes).and_then(|()| checkpoint.note.sync());
        if let Err(error) = noted {
            let channel = self.channel.name();
            tracing::warn!(%channel, %error, "what links received was not noted; the next start reads more of the log");
        }
    }
}

/// Ids of messages that were not taken, to be logged.
#[derive(Default)]
struct DroppedIds {
    looped: Ids,
    refused: Ids,
    reason: &'static str,
}

impl DroppedIds {
    fn log(self, shard: &Shard, messages: &dyn Fn(Ids) -> Messages) {
        if self.looped != Ids::default() {
            shard.audit.log(Event::LoopDropped(messages(self.looped)));
        }
        if self.refused != Ids::default() {
            shard.audit.log(Event::PolicyViolation {
                messages: messages(self.refused),
                reason: self.reason.to_owned(),
            });
        }
    }
}

/// `v1 log=… epoch=3 seq=57`: a position in the log `log`, if it speaks of our log `own`.
fn parse_position(own: Uuid, log: Uuid, bytes: &[u8]) -> Option<Position> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.strip_prefix("v1 ")?.split(' ');
    let mut word = |key| words.next()?.strip_prefix(key);
    if word("log=")? != own.to_string() {
        return None;
    }
    Some(Position { log, epoch: word("epoch=")?.parse().ok()?, seq: word("seq=")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_another_log_or_of_rubbish_is_none() {
        let (own, from) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let text = format!("v1 log={own} epoch=3 seq=57");
        let position = Position { log: from, epoch: 3, seq: 57 };
        assert_eq!(parse_position(own, from, text.as_bytes()), Some(position));
        assert_eq!(parse_position(from, from, text.as_bytes()), None);
        for rubbish in ["", "v1 ", "v2 seq=1", "v1 epoch=3 seq=57", &text[..text.len() - 3]] {
            assert_eq!(parse_position(own, from, rubbish.as_bytes()), None, "{rubbish}");
        }
    }

    #[test]
    fn a_checkpoint_of_another_log_is_not_believed() {
        let log = Uuid::from_u128(1);
        let bytes = encode(log, 9, &Coverage::new(SOURCES_MAX));
        assert_eq!(decode(log, &bytes).map(|(_, upto)| upto), Some(9));
        assert!(decode(Uuid::from_u128(2), &bytes).is_none());
        assert!(decode(log, &bytes[..20]).is_none());
    }
}
