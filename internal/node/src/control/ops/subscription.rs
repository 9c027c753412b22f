//! Reading as a subscriber: batches out, and how far they were dealt with back in.
//!
//! What was read is kept in memory once, until the client has taken it: a client that does not read
//! costs [`READ_AHEAD_BYTES`] and one message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pubsub_storage::{Item, PositionFile, ReadError, Reader};
use pubsub_types::{ChannelName, SubscriberId};
use tokio::task::JoinHandle;

use super::super::protocol::{Failure, MessageHead, StartFrom};
use super::{Claim, Claimant, ErrorCode, Ops, failed};

/// Bytes read ahead of a client; the last message may exceed them.
pub const READ_AHEAD_BYTES: usize = 256 << 10;

/// Messages read ahead of a client.
const READ_AHEAD_MESSAGES: usize = 1024;

/// Time between two looks when nobody says that there is something new.
const POLL_EVERY: Duration = Duration::from_secs(1);

type Reading = JoinHandle<(Reader, Result<Vec<Item>, ReadError>)>;

/// One client's reading of one channel.
#[derive(Debug)]
pub struct Subscription {
    ops: Arc<Ops>,
    channel: ChannelName,
    after: u64,
    made: bool,
    /// At rest; while a read is under way, the reader is with it.
    reader: Option<Reader>,
    reading: Option<Reading>,
    position: Option<Arc<PositionFile>>,
    _claim: Option<Claim>,
}

impl Ops {
    /// Starts reading `channel` for `client`; it is made when there is none. Blocks on the disk.
    ///
    /// # Errors
    /// The failure to answer with.
    pub fn subscribe(
        self: &Arc<Self>,
        name: &ChannelName,
        id: Option<&SubscriberId>,
        start: StartFrom,
        client: &Claimant,
    ) -> Result<Subscription, Failure> {
        let claim = id.map(|id| self.claim(name, id, client)).transpose()?;
        let (channel, made) = self.open_or_create(name)?;
        let position = match id {
            Some(id) => Some(self.position(&channel, id, start.into())?),
            None => None,
        };
        let after = match (&position, start) {
            (Some(position), _) => position.seq(),
            (None, StartFrom::New) => channel.last_seq(),
            (None, StartFrom::FromStart) => 0,
            (None, StartFrom::Last) => channel.last_seq().saturating_sub(1),
            (None, StartFrom::After(seq)) => seq.min(channel.last_seq()),
            (None, StartFrom::Since(time)) => channel.before_time(time)?,
        };
        let reader = Some(channel.reader(after));
        Ok(Subscription {
            ops: self.clone(),
            channel: name.clone(),
            after,
            made,
            reader,
            reading: None,
            position,
            _claim: claim,
        })
    }
}

impl Subscription {
    /// Sequence after which it started.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after
    }

    /// Whether the channel was made for it.
    #[must_use]
    pub fn made(&self) -> bool {
        self.made
    }

    /// The next messages and gaps, at least one; waits until there are any. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// The channel could not be read, or was removed.
    pub async fn next(&mut self) -> Result<Vec<Item>, Failure> {
        loop {
            if let Some(reading) = &mut self.reading {
                let joined = reading.await;
                self.reading = None;
                let (reader, items) = joined.map_err(|error| {
                    Failure::new(ErrorCode::Failed, format!("reading panicked: {error}"), "")
                })?;
                self.reader = Some(reader);
                let items = items?;
                if !items.is_empty() {
                    return Ok(items);
                }
            }
            let Some(reader) = &self.reader else {
                return Err(Failure::new(ErrorCode::Failed, "an earlier read panicked", ""));
            };
            if reader.position() >= reader.channel().last_seq() {
                if reader.channel().is_closed() {
                    let message = format!("channel {} was closed or removed", self.channel);
                    return Err(Failure::new(ErrorCode::NotFound, message, ""));
                }
                // Nothing is lost when a wake-up is: a second later we look anyway.
                let _timed_out = tokio::time::timeout(POLL_EVERY, reader.ready()).await;
            }
            if let Some(mut reader) = self.reader.take() {
                self.reading = Some(tokio::task::spawn_blocking(move || {
                    let items = reader.read(READ_AHEAD_MESSAGES, READ_AHEAD_BYTES);
                    (reader, items)
                }));
            }
        }
    }

    /// Takes in that everything up to `seq` is dealt with. It is written down behind the back of the
    /// caller; a crash before that repeats messages.
    pub fn handled(&self, seq: u64) {
        if let Some(position) = &self.position
            && seq > position.seq()
        {
            position.set(seq);
        }
    }

    /// Writes and syncs the position. Blocks on the disk.
    ///
    /// # Errors
    /// The position could not be written.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.release()
    }

    fn release(&mut self) -> Result<(), Failure> {
        let Some(position) = self.position.take() else { return Ok(()) };
        let released = self.ops.node.store().release(&position);
        released.map_err(|error| failed("write the position", &error))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!(channel = %self.channel, %error, "position was not written; messages are repeated");
        }
    }
}

/// What `items` are in a frame: their heads and the parts of its body.
pub(crate) fn to_frame(items: &[Item]) -> (Vec<MessageHead>, Vec<&[u8]>) {
    let mut parts = Vec::with_capacity(items.len() * 2);
    let heads = items
        .iter()
        .map(|item| match item {
            Item::Gap { first, last } => {
                MessageHead { seq: *first, gap_to: Some(*last), ..MessageHead::default() }
            }
            Item::Record(record) => {
                let meta = record.meta();
                parts.extend([record.headers(), record.payload()]);
                MessageHead {
                    seq: record.seq,
                    gap_to: None,
                    time: record.time,
                    id: meta.id.to_string(),
                    origin: meta.origin.to_owned(),
                    subject: record.subject().to_owned(),
                    payload_type: meta.payload_type.to_owned(),
                    correlation_id: meta.correlation_id.to_owned(),
                    service_name: meta.service_name.to_owned(),
                    expires: meta.expires,
                    route: meta.route.iter().map(str::to_owned).collect(),
                    source: meta.source.map(Into::into),
                    members: meta.members.to_owned(),
                    headers_len: len(record.headers()),
                    payload_len: len(record.payload()),
                }
            }
        })
        .collect();
    (heads, parts)
}

/// A frame's messages with their parts: head, headers, payload.
pub(crate) fn from_frame(
    heads: Vec<MessageHead>,
    mut body: Bytes,
) -> Vec<(MessageHead, Bytes, Bytes)> {
    let mut take = |len: u32| body.split_to(body.len().min(len as usize));
    heads
        .into_iter()
        .map(|head| {
            let headers = take(head.headers_len);
            let payload = take(head.payload_len);
            (head, headers, payload)
        })
        .collect()
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a record's parts end within 32 bits")
}
