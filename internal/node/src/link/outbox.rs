//! A channel that is sent over a link: its reader, and the position that is kept for the peer.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pubsub_audit::{Direction, Event, Ids, Messages};
use pubsub_envelope::{MessageId, Record};
use pubsub_federation::{
    Epochs, LogInfo, Missing, MissingReason, Opened, Piece, Start, origin_of, resume,
};
use pubsub_storage::{Channel, ChannelError, Item, PositionFile, ReadError, Reader};
use pubsub_types::{Seq, SubscriberId};

use super::shard::Shard;

/// Messages read at once.
const RECORDS_MAX: usize = 4_096;
/// Messages whose ids are kept for the audit until they are acknowledged. Beyond that, the oldest are
/// logged without the time they took.
const UNACKED_MAX: usize = 1 << 20;

/// One channel on its way to one peer.
#[derive(Debug)]
pub(crate) struct Outbox {
    channel: Arc<Channel>,
    reader: Reader,
    /// `None` for a peer that keeps nothing itself.
    position: Option<Arc<PositionFile>>,
    peer: pubsub_audit::Peer,
    name: Arc<str>,
    /// Sent and not acknowledged: the sequence of the last, when, and their ids.
    unacked: VecDeque<Unacked>,
    unacked_messages: usize,
    audit_forwards: bool,
}

#[derive(Debug)]
struct Unacked {
    last: u64,
    count: usize,
    sent: Duration,
    ids: Ids,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct ReadOut {
    pub(crate) items: Vec<Piece_>,
    pub(crate) after: u64,
    pub(crate) at_end: bool,
}

/// A message, or messages that are gone.
#[derive(Debug)]
pub(crate) enum Piece_ {
    Record(Record),
    Missing(Missing),
}

impl Piece_ {
    pub(crate) fn as_piece(&self) -> Piece<'_> {
        match self {
            Self::Record(record) => Piece::Record(record),
            Self::Missing(missing) => Piece::Missing(*missing),
        }
    }
}

/// The epochs of a channel's log.
#[derive(Debug)]
struct ChannelEpochs(Arc<Channel>);

impl Epochs for ChannelEpochs {
    fn current(&self) -> u64 {
        self.0.epoch()
    }

    fn of(&self, seq: u64) -> u64 {
        Seq::new(seq).map_or(0, |seq| self.0.epoch_of(seq))
    }

    fn clamp(&self, seq: u64, epoch: u64) -> u64 {
        self.0.clamp(seq, epoch)
    }
}

/// A channel as it is offered.
pub(crate) fn log_info(channel: &Arc<Channel>) -> LogInfo {
    LogInfo {
        log: channel.log_id(),
        epochs: Arc::new(ChannelEpochs(channel.clone())),
        first: channel.first_seq(),
        last: channel.last_seq(),
    }
}

/// The subscriber that stands for a peer: what it has not acknowledged is kept for it.
pub(crate) fn subscriber_id(peer: &str) -> Option<SubscriberId> {
    SubscriberId::new(&format!("link:{peer}")).ok()
}

impl Outbox {
    /// Opens the channel for a subscription that starts at `start`. Blocks for as long as it takes to
    /// read one small file.
    pub(crate) fn open(
        shard: &Shard,
        channel: Arc<Channel>,
        start: Start,
        kept_as: Option<&SubscriberId>,
        peer: pubsub_audit::Peer,
    ) -> Result<(Self, Opened), ChannelError> {
        let info = log_info(&channel);
        let retained = match kept_as {
            Some(id) => shard.retained(&channel, id)?,
            None => None,
        };
        let opened = resume(start, &info, retained);
        let position = match kept_as {
            // The peer knows best what it has: behind that, nothing need be kept for it.
            Some(id) => {
                let at = retained.map_or(opened.after, |seq| match start {
                    Start::After(_) => seq.min(opened.after),
                    Start::New | Start::All | Start::Live => seq,
                });
                Some(shard.keep(&channel, id, at)?)
            }
            None => None,
        };
        let reader = channel.reader(opened.after);
        let name: Arc<str> = channel.name().as_str().into();
        let unacked = VecDeque::new();
        let audit_forwards = shard.settings.audit_forwards;
        Ok((
            Self {
                channel,
                reader,
                position,
                peer,
                name,
                unacked,
                unacked_messages: 0,
                audit_forwards,
            },
            opened,
        ))
    }

    /// Reads on, and says what there is.
    pub(crate) fn read(&mut self, max_bytes: usize, now: Duration) -> Result<ReadOut, ReadError> {
        let mut items = Vec::new();
        let oldest = self.channel.first_seq().saturating_sub(1);
        if self.reader.position() < oldest {
            let (first, last) = (self.reader.position() + 1, oldest);
            items.push(Piece_::Missing(Missing { first, last, why: MissingReason::Retention }));
            self.reader.seek(oldest);
        }
        let read = self.reader.read(RECORDS_MAX, max_bytes)?;
        let mut ids = Ids::with_capacity(read.len());
        let mut count = 0;
        items.reserve(read.len());
        for item in read {
            items.push(match item {
                Item::Gap { first, last } => {
                    Piece_::Missing(Missing { first, last, why: MissingReason::Damage })
                }
                Item::Record(record) => {
                    let meta = record.meta();
                    // The link does not send what the peer has been through.
                    if self.audit_forwards
                        && origin_of(&meta) != &*self.peer.name
                        && !meta.route.contains(&self.peer.name)
                    {
                        push_id(&mut ids, meta.id);
                        count += 1;
                    }
                    Piece_::Record(record)
                }
            });
        }
        let after = self.reader.position();
        if count > 0 {
            self.unacked.push_back(Unacked { last: after, count, sent: now, ids });
            self.unacked_messages += count;
        }
        let at_end = after >= self.channel.last_seq();
        Ok(ReadOut { items, after, at_end })
    }

    /// Resolves when there is more to read.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + use<> {
        self.reader.ready()
    }

    /// The peer stored everything up to `committed`; what is up to `durable` need not be kept for it
    /// any more. Gives back what to log.
    pub(crate) fn acked(
        &mut self,
        committed: u64,
        durable: u64,
        now: Duration,
    ) -> (Vec<Event>, io::Result<()>) {
        let mut events = Vec::new();
        while let Some(front) = self.unacked.front() {
            let overdue = self.unacked_messages > UNACKED_MAX;
            if front.last > committed && !overdue {
                break;
            }
            let Some(front) = self.unacked.pop_front() else { break };
            self.unacked_messages -= front.count;
            events.push(Event::Forward {
                messages: Messages {
                    peer: self.peer.clone(),
                    channel: self.name.clone(),
                    direction: Direction::Outbound,
                    ids: front.ids,
                },
                send_duration: Some(now.saturating_sub(front.sent)),
            });
        }
        let mut written = Ok(());
        if let Some(position) = &self.position
            && position.seq() < durable
        {
            position.set(durable);
            written = position.write();
        }
        (events, written)
    }
}

pub(crate) fn push_id(ids: &mut Ids, id: MessageId<'_>) {
    match id {
        MessageId::None => ids.push_text(""),
        MessageId::Uuid(uuid) => ids.push_uuid(uuid),
        MessageId::Text(text) => ids.push_text(text),
    }
}
