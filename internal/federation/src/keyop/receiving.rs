//! What a predecessor's peer sends: each binary message is taken whole, written, and acknowledged.
//!
//! Its peers offer nothing and resume nothing: the first message of a channel is the offer. They send
//! one binary message at a time; who sends more has them wait, up to the window.

use std::collections::{BTreeMap, VecDeque};

use pubsub_envelope::RouteBuf;
use pubsub_types::{ChannelName, Filter};
use uuid::Uuid;

use super::envelope::{self, Foreign, Truncated};
use super::text::Ack;
use crate::action::{Action, Counters, Event, InSub, Message, Position, Receiving};
use crate::batch::{Batch, BatchHead, BatchWriter};
use crate::close::CloseCode;
use crate::config::OFFERS_MAX;
use crate::policy::matches_any;

/// Room for an envelope besides its message, in bytes.
const ENVELOPE_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Receiver {
    pub(super) peer: String,
    pub(super) lists: Vec<Filter>,
    /// Largest message that is taken.
    message_max: usize,
    /// Bytes that may wait.
    window: u64,
    waiting_bytes: u64,
    frames: VecDeque<Incoming>,
    subs: BTreeMap<u32, Sub>,
    by_channel: BTreeMap<ChannelName, u32>,
    next: u32,
}

/// A binary message, until all of it is written.
#[derive(Debug)]
struct Incoming {
    bytes: u64,
    last_id: String,
    groups: Vec<(u32, Batch)>,
    /// Handed out: subscriptions and positions not yet committed.
    pending: Option<Vec<(u32, u64)>>,
}

#[derive(Debug)]
struct Sub {
    channel: ChannelName,
    state: State,
    /// Messages taken so far, which number them.
    seq: u64,
    committed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offered,
    Subscribed,
    Refused,
}

/// Why the link cannot go on.
pub(super) type Fault = (CloseCode, String);

impl Receiver {
    pub(super) fn new(message_max: usize, window: u64) -> Self {
        Self { message_max, window, ..Self::default() }
    }

    /// Takes a binary message.
    pub(super) fn frame(
        &mut self,
        mut left: &[u8],
        counters: &mut Counters,
        out: &mut VecDeque<Action>,
    ) -> Result<(), Fault> {
        let bytes = left.len() as u64;
        self.waiting_bytes += bytes;
        if !self.frames.is_empty() && self.waiting_bytes > self.window {
            let text = format!("{} bytes wait, {} allowed", self.waiting_bytes, self.window);
            return Err((CloseCode::WindowExceeded, text));
        }
        let mut incoming =
            Incoming { bytes, last_id: String::new(), groups: Vec::new(), pending: None };
        let mut run: Vec<Foreign> = Vec::new();
        loop {
            let record = match envelope::take(&mut left) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(Truncated) => {
                    let text = "a binary message ends inside a record".to_owned();
                    return Err((CloseCode::Malformed, text));
                }
            };
            counters.messages_received += 1;
            let Some(foreign) = self.read(record, out) else { continue };
            incoming.last_id.clone_from(&foreign.id);
            if run.last().is_some_and(|last| last.channel != foreign.channel) {
                self.group(&mut run, &mut incoming, out)?;
            }
            run.push(foreign);
        }
        self.group(&mut run, &mut incoming, out)?;
        counters.batches_received += 1;
        self.frames.push_back(incoming);
        self.advance(out);
        Ok(())
    }

    /// The message in a record; what is none is passed over, as the predecessor does.
    fn read(&self, record: &[u8], out: &mut VecDeque<Action>) -> Option<Foreign> {
        let mut skip = |reason| {
            out.push_back(Action::Event(Event::Skipped { bytes: record.len(), reason }));
            None
        };
        if record.len() > self.message_max.saturating_add(ENVELOPE_BYTES) {
            return skip("it is too large");
        }
        match envelope::read(record) {
            Some(foreign) if foreign.bytes() > self.message_max => skip("it is too large"),
            Some(foreign) => Some(foreign),
            None => skip("it is no envelope"),
        }
    }

    /// Makes a batch of messages of one channel.
    fn group(
        &mut self,
        run: &mut Vec<Foreign>,
        frame: &mut Incoming,
        out: &mut VecDeque<Action>,
    ) -> Result<(), Fault> {
        let run = std::mem::take(run);
        let Some(first) = run.first() else { return Ok(()) };
        let channel = match ChannelName::new(&first.channel) {
            Ok(channel) if matches_any(&self.lists, &channel) => channel,
            _ => {
                let channel = first.channel.escape_debug().to_string();
                out.push_back(Action::Event(Event::PolicyViolation { channel, inbound: true }));
                return Ok(());
            }
        };
        let sub = self.sub(channel, out)?;
        let Some(known) = self.subs.get_mut(&sub) else { return Ok(()) };
        let base = known.seq;
        let mut writer = BatchWriter::new(base, 0, 0);
        for Foreign { mut record, .. } in run {
            record.seq = known.seq + 1;
            let mut route = RouteBuf::new();
            let meta = envelope::incoming(&record, &self.peer, &mut route);
            if writer.push(&record, &meta, None) {
                known.seq += 1;
            }
        }
        let position = Position { log: Uuid::nil(), epoch: 0, seq: known.seq };
        let head = BatchHead { epoch: 0, base, after: known.seq, count: writer.count() };
        let records = writer.into_parts().0.into();
        let batch = Batch::decode(head, position, records, self.message_max)
            .map_err(|bad| (CloseCode::Malformed, bad.to_string()))?;
        frame.groups.push((sub, batch));
        Ok(())
    }

    fn sub(&mut self, channel: ChannelName, out: &mut VecDeque<Action>) -> Result<u32, Fault> {
        if let Some(&sub) = self.by_channel.get(&channel) {
            return Ok(sub);
        }
        if self.subs.len() >= OFFERS_MAX {
            let text = format!("more than {OFFERS_MAX} channels are sent");
            return Err((CloseCode::TooMany, text));
        }
        let sub = self.next;
        self.next = self.next.saturating_add(1);
        let end = Position { log: Uuid::nil(), epoch: 0, seq: 0 };
        out.push_back(Action::Offered { sub: InSub(sub), channel: channel.clone(), end, first: 1 });
        self.by_channel.insert(channel.clone(), sub);
        self.subs.insert(sub, Sub { channel, state: State::Offered, seq: 0, committed: 0 });
        Ok(sub)
    }

    pub(super) fn subscribe(&mut self, sub: InSub, out: &mut VecDeque<Action>) {
        self.answer(sub, State::Subscribed, out);
    }

    /// Messages of this channel are passed over from now on.
    pub(super) fn refuse(&mut self, sub: InSub, out: &mut VecDeque<Action>) {
        self.answer(sub, State::Refused, out);
    }

    fn answer(&mut self, sub: InSub, state: State, out: &mut VecDeque<Action>) {
        if let Some(known) = self.subs.get_mut(&sub.0) {
            known.state = state;
            if state == State::Refused {
                self.commit(sub.0, u64::MAX);
            }
            self.advance(out);
        }
    }

    pub(super) fn committed(&mut self, sub: InSub, seq: u64, out: &mut VecDeque<Action>) {
        if let Some(known) = self.subs.get_mut(&sub.0) {
            known.committed = known.committed.max(seq.min(known.seq));
        }
        self.commit(sub.0, seq);
        self.advance(out);
    }

    fn commit(&mut self, sub: u32, seq: u64) {
        if let Some(Incoming { pending: Some(pending), .. }) = self.frames.front_mut() {
            pending.retain(|(of, until)| *of != sub || *until > seq);
        }
    }

    /// Hands out the next binary message, and acknowledges it once all of it is written.
    fn advance(&mut self, out: &mut VecDeque<Action>) {
        while let Some(frame) = self.frames.front_mut() {
            let state = |sub: u32| self.subs.get(&sub).map_or(State::Refused, |known| known.state);
            if frame.pending.is_none() {
                if frame.groups.iter().any(|(sub, _)| state(*sub) == State::Offered) {
                    return;
                }
                let mut pending = Vec::new();
                for (sub, batch) in frame.groups.drain(..) {
                    if state(sub) == State::Subscribed {
                        pending.push((sub, batch.position().seq));
                        let channel = self.subs[&sub].channel.clone();
                        out.push_back(Action::Receive { sub: InSub(sub), channel, batch });
                    }
                }
                frame.pending = Some(pending);
            }
            if frame.pending.as_ref().is_some_and(|pending| !pending.is_empty()) {
                return;
            }
            self.waiting_bytes -= frame.bytes;
            out.push_back(Action::Send(Message::Text(Ack::text(&frame.last_id))));
            self.frames.pop_front();
        }
    }

    pub(super) fn set_lists(&mut self, lists: Vec<Filter>, out: &mut VecDeque<Action>) {
        self.lists = lists;
        let lists = &self.lists;
        let gone = self.by_channel.iter().filter(|(channel, _)| !matches_any(lists, channel));
        for sub in gone.map(|(_, sub)| *sub).collect::<Vec<_>>() {
            if let Some(known) = self.subs.remove(&sub) {
                self.by_channel.remove(&known.channel);
                out.push_back(Action::Ended { sub: InSub(sub), channel: known.channel });
                self.commit(sub, u64::MAX);
            }
        }
        self.advance(out);
    }

    pub(super) fn status(&self) -> Vec<Receiving> {
        let one = |(sub, known): (&u32, &Sub)| Receiving {
            sub: InSub(*sub),
            channel: known.channel.clone(),
            subscribed: known.state == State::Subscribed,
            received: known.seq,
            committed: known.committed,
            durable: known.committed,
        };
        self.subs.iter().map(one).collect()
    }
}
