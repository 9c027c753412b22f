//! The receiving half of a link: what the peer offers, its batches, and what is owed to it for them.
//!
//! ```text
//!   OFFER ──▶ Offered ──▶ subscribe ──▶ SUBSCRIBE
//!   BATCH ──▶ Receive ──▶ committed, synced ──▶ ACK: two positions, and credit for the bytes
//! ```
//!
//! What the peer has in flight is counted from its batches to our acknowledgements, so a peer that sends
//! beyond the window is told apart from one that is merely fast.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use pubsub_types::{ChannelName, Filter};

use super::Fault;
use super::outbox::Outbox;
use super::sender::BATCH_WEIGHT_BYTES;
use crate::action::{Action, Event, InSub, Position, Receiving, Start};
use crate::batch::{Batch, BatchHead};
use crate::close::{CloseCode, RefuseCode};
use crate::compress::inflate;
use crate::config::{FRAME_MAX_BYTES, OFFERS_MAX};
use crate::frame::{Frame, channel_of};
use crate::policy::matches_any;
use crate::wire::BadFrame;

/// Most bytes that the envelopes of a batch of one message take besides the message.
const SINGLE_OVERHEAD_BYTES: usize = (64 << 10) + 256;

#[derive(Debug)]
pub(crate) struct Intake {
    /// Largest message that we take.
    message_max: usize,
    /// Bytes that the peer may have in flight.
    window: u64,
    /// Whether batches may be compressed.
    pub(crate) lz4: bool,
    /// All grow only. Invariant: `credited <= consumed <= received`.
    received: u64,
    consumed: u64,
    credited: u64,
    subs: BTreeMap<u32, Sub>,
    /// Number of the next offer; smaller ones that are not in `subs` are over.
    next: u32,
    by_channel: BTreeMap<ChannelName, u32>,
    /// The subscription that ended last.
    last_over: Option<u32>,
    /// Subscriptions with something to acknowledge.
    dirty: BTreeSet<u32>,
    /// Channels that we receive.
    lists: Vec<Filter>,
}

/// A batch as it came.
pub(crate) struct Incoming<'a> {
    pub(crate) sub: u32,
    pub(crate) head: BatchHead,
    pub(crate) inflated: Option<u64>,
    pub(crate) records: &'a [u8],
}

#[derive(Debug)]
struct Sub {
    channel: ChannelName,
    /// The peer's log, its epoch, and the last sequence when it was offered.
    offered: Position,
    subscribed: bool,
    /// Position after the last batch; `None` before the first. Invariant: `durable <= committed <= received`.
    received: Option<u64>,
    committed: u64,
    durable: u64,
    /// Batches not yet committed: position after, and weight.
    pending: VecDeque<(u64, u64)>,
}

impl Intake {
    pub(crate) fn new(message_max: usize, window: u64) -> Self {
        Self {
            message_max,
            window,
            lz4: false,
            received: 0,
            consumed: 0,
            credited: 0,
            subs: BTreeMap::new(),
            next: 0,
            by_channel: BTreeMap::new(),
            last_over: None,
            dirty: BTreeSet::new(),
            lists: Vec::new(),
        }
    }

    /// Longest frame that may come, fragments put together.
    pub(crate) fn logical_max(&self, frame_max: usize) -> usize {
        self.message_max.saturating_add(SINGLE_OVERHEAD_BYTES).max(frame_max)
    }

    pub(crate) fn lists(&self) -> &[Filter] {
        &self.lists
    }

    /// What we receive from now on.
    pub(crate) fn set_lists(&mut self, lists: Vec<Filter>, out: &mut Outbox) {
        self.lists = lists;
        let lists = &self.lists;
        let gone = self.by_channel.iter().filter(|(channel, _)| !matches_any(lists, channel));
        for sub in gone.map(|(_, sub)| *sub).collect::<Vec<_>>() {
            if let Some(channel) = self.remove(sub) {
                refuse(sub, RefuseCode::NotAllowed, "the allowlist changed", out);
                out.act(Action::Ended { sub: InSub(sub), channel });
            }
        }
    }

    pub(crate) fn offer(
        &mut self,
        sub: u32,
        name: &str,
        end: Position,
        first: u64,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        if sub != self.next {
            return Err(Fault::order("offers are not numbered in order"));
        }
        self.next = sub.checked_add(1).ok_or_else(|| Fault::order("too many offers"))?;
        if self.subs.len() >= OFFERS_MAX {
            let text = format!("more than {OFFERS_MAX} channels are offered");
            return Err(Fault::new(CloseCode::TooMany, text));
        }
        let channel = match channel_of(name) {
            Some(channel) if matches_any(&self.lists, &channel) => channel,
            _ => {
                refuse(sub, RefuseCode::NotAllowed, "nobody may send this channel here", out);
                let channel = name.escape_debug().to_string();
                out.event(Event::PolicyViolation { channel, inbound: true });
                return Ok(());
            }
        };
        if self.by_channel.contains_key(&channel) {
            return Err(Fault::order("a channel is offered twice"));
        }
        self.by_channel.insert(channel.clone(), sub);
        self.subs.insert(sub, Sub::new(channel.clone(), end));
        out.act(Action::Offered { sub: InSub(sub), channel, end, first });
        Ok(())
    }

    pub(crate) fn subscribe(&mut self, sub: InSub, start: Start, out: &mut Outbox) {
        if let Some(known) = self.subs.get_mut(&sub.0)
            && !known.subscribed
        {
            known.subscribed = true;
            out.steer(&Frame::Subscribe { sub: sub.0, start });
        }
    }

    pub(crate) fn refuse(&mut self, sub: InSub, code: RefuseCode, text: &str, out: &mut Outbox) {
        if self.remove(sub.0).is_some() {
            refuse(sub.0, code, text, out);
        }
    }

    pub(crate) fn withdrawn(
        &mut self,
        sub: u32,
        code: RefuseCode,
        text: &str,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Some(channel) = self.remove(sub) else {
            let over = sub < self.next;
            let fault = Fault::order("what was not offered is taken back");
            return if over { Ok(()) } else { Err(fault) };
        };
        out.event(Event::Refused { channel: channel.clone(), code, text: text.to_owned() });
        out.act(Action::Ended { sub: InSub(sub), channel });
        Ok(())
    }

    /// Takes a batch that came in `frame`, of which its records are a part.
    pub(crate) fn batch(
        &mut self,
        incoming: &Incoming<'_>,
        frame: &Bytes,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let records = match incoming.inflated {
            None => frame.slice_ref(incoming.records),
            Some(_) if !self.lz4 => {
                return Err(Fault::new(CloseCode::Malformed, "lz4 was not agreed on".to_owned()));
            }
            Some(len) => inflate(incoming.records, len, self.logical_max(FRAME_MAX_BYTES))?,
        };
        let weight = records.len() as u64 + BATCH_WEIGHT_BYTES;
        let outstanding = self.received - self.credited;
        if outstanding > 0 && outstanding + weight > self.window {
            let text = format!("{} bytes in flight, {} allowed", outstanding + weight, self.window);
            return Err(Fault::new(CloseCode::WindowExceeded, text));
        }
        self.received += weight;
        let sub = incoming.sub;
        let Some(known) = self.subs.get_mut(&sub) else {
            if sub >= self.next {
                return Err(Fault::order("a batch of what was not offered"));
            }
            // Sent before the peer knew that it is over: nobody wants it, and its bytes are free again.
            self.consumed += weight;
            return Ok(());
        };
        if !known.subscribed {
            return Err(Fault::order("a batch of what was not subscribed"));
        }
        let head = incoming.head;
        if known.received.is_some_and(|received| received != head.base) {
            return Err(Fault::order("a batch does not begin where the last one ended"));
        }
        let position = Position { seq: head.after, ..known.offered };
        let batch = Batch::decode(head, position, records, self.message_max)?;
        known.received = Some(head.after);
        known.pending.push_back((head.after, weight));
        out.counters.batches_received += 1;
        out.counters.messages_received += head.count;
        let channel = known.channel.clone();
        out.act(Action::Receive { sub: InSub(sub), channel, batch });
        Ok(())
    }

    pub(crate) fn committed(&mut self, sub: InSub, seq: u64) {
        let Some(known) = self.subs.get_mut(&sub.0) else { return };
        let Some(received) = known.received else { return };
        let seq = seq.min(received);
        known.committed = known.committed.max(seq);
        while let Some(&(after, weight)) = known.pending.front()
            && after <= seq
        {
            known.pending.pop_front();
            self.consumed += weight;
        }
        self.dirty.insert(sub.0);
    }

    pub(crate) fn synced(&mut self, sub: InSub, seq: u64) {
        self.committed(sub, seq);
        if let Some(known) = self.subs.get_mut(&sub.0)
            && let Some(received) = known.received
        {
            known.durable = known.durable.max(seq.min(received));
        }
    }

    /// Writes the acknowledgements that are due.
    pub(crate) fn acknowledge(&mut self, out: &mut Outbox) {
        let credit = self.consumed;
        for sub in std::mem::take(&mut self.dirty) {
            if let Some(known) = self.subs.get(&sub) {
                let (committed, durable) = (known.committed, known.durable);
                out.steer(&Frame::Ack { sub, committed, durable, credit });
                self.credited = credit;
            }
        }
        // Bytes of a subscription that is over, and no other has anything to say.
        if self.credited < credit
            && let Some(sub) = self.last_over
        {
            out.steer(&Frame::Ack { sub, committed: 0, durable: 0, credit });
            self.credited = credit;
        }
    }

    fn remove(&mut self, sub: u32) -> Option<ChannelName> {
        let known = self.subs.remove(&sub)?;
        self.by_channel.remove(&known.channel);
        self.dirty.remove(&sub);
        self.last_over = Some(sub);
        self.consumed += known.pending.iter().map(|(_, weight)| weight).sum::<u64>();
        Some(known.channel)
    }

    pub(crate) fn status(&self) -> Vec<Receiving> {
        let one = |(sub, known): (&u32, &Sub)| Receiving {
            sub: InSub(*sub),
            channel: known.channel.clone(),
            subscribed: known.subscribed,
            received: known.received.unwrap_or(0),
            committed: known.committed,
            durable: known.durable,
        };
        self.subs.iter().map(one).collect()
    }
}

impl Sub {
    fn new(channel: ChannelName, offered: Position) -> Self {
        Self {
            channel,
            offered,
            subscribed: false,
            received: None,
            committed: 0,
            durable: 0,
            pending: VecDeque::new(),
        }
    }
}

fn refuse(sub: u32, code: RefuseCode, text: &str, out: &mut Outbox) {
    out.steer(&Frame::Refuse { sub, code: code.to_u8(), text });
}

impl From<BadFrame> for Fault {
    fn from(bad: BadFrame) -> Self {
        let code = match bad {
            BadFrame::Limit { .. } => CloseCode::TooLarge,
            _ => CloseCode::Malformed,
        };
        Self::new(code, bad.to_string())
    }
}
