//! The sending half of a link: offers, and batches within the peer's window.
//!
//! ```text
//!   channel ──▶ OFFER ──SUBSCRIBE──▶ Open ──▶ opened ─╮
//!                                                     ▼
//!        ready ──▶ turn ▶ turn ▶ turn ──▶ Read ──▶ read ──▶ staged ──▶ sent      one at a time each
//!                  ▲                                  │
//!                  ╰───────── more to read ◀──────────╯     credit of the peer lets the next turn come
//! ```
//!
//! A channel takes its turn for one batch, then goes to the end of the row. Nothing is read for a peer
//! that has no room for it.

mod reading;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use pubsub_envelope::Meta;
use pubsub_types::{ChannelName, Filter};

use self::reading::Reading;
use super::Fault;
use super::floor::Floor;
use super::outbox::{AHEAD_BYTES, Outbox};
use crate::action::{Action, Event, Opened, OutSub, Piece, Position, Sending, Start};
use crate::batch::BatchWriter;
use crate::close::{CloseCode, RefuseCode};
use crate::compress::Compressor;
use crate::config::OFFERS_MAX;
use crate::frame::{BATCH_HEAD_MAX_BYTES, Frame};
use crate::log_info::LogInfo;
use crate::policy::matches_any;

/// What flow control counts for a batch besides its records, in bytes.
pub(crate) const BATCH_WEIGHT_BYTES: u64 = 64;

/// First wait before a channel is offered again that could not be stored or read; doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Sender {
    /// Our name and the peer's.
    pub(crate) me: String,
    pub(crate) peer: String,
    /// Bytes of a batch, about.
    pub(crate) batch_bytes: usize,
    /// Largest message that the peer takes.
    pub(crate) message_max: usize,
    /// Bytes that the peer takes without consuming any.
    pub(crate) window: u64,
    /// Both grow only. Invariant: `credited <= sent`.
    sent: u64,
    credited: u64,
    /// Bytes of reads under way.
    reserved: usize,
    /// Read, and waiting for the window.
    staged: VecDeque<Staged>,
    subs: BTreeMap<u32, Sub>,
    /// Number of the next offer; smaller ones that are not in `subs` are over.
    next: u32,
    /// Channels of `subs`.
    by_channel: BTreeMap<ChannelName, u32>,
    /// Subscriptions with something to read, the next one first.
    turns: VecDeque<u32>,
    /// Channels that the peer does not want.
    declined: BTreeSet<ChannelName>,
    /// Channels to be offered again.
    retries: BTreeMap<ChannelName, Retry>,
    /// Channels that the peer receives.
    lists: Vec<Filter>,
    compressor: Option<Compressor>,
}

#[derive(Debug)]
struct Staged {
    sub: u32,
    frame: Bytes,
    weight: u64,
    after: u64,
    messages: u64,
}

#[derive(Debug)]
struct Retry {
    /// `None` while the channel flows again and has not proven itself.
    due: Option<(Duration, LogInfo)>,
    wait: Duration,
}

#[derive(Debug)]
struct Sub {
    channel: ChannelName,
    log: LogInfo,
    state: State,
    /// Whether it stands in `turns`.
    queued: bool,
    /// Bytes reserved by a read under way.
    reading: Option<usize>,
    /// `ready` was called while reading.
    woken: bool,
    /// Sequence up to which was read.
    after: u64,
    floor: Floor,
    /// Position after the last batch staged, and after the last one sent.
    /// Invariant: `durable <= committed <= sent <= staged <= after`.
    staged: u64,
    sent: u64,
    committed: u64,
    durable: u64,
    /// Bytes that the last batch had, as a hint for the next.
    batch_hint: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offered,
    Opening,
    Flowing,
    /// Waits at a message that is too large for the peer.
    Held,
}

impl Sender {
    pub(crate) fn new(me: &str) -> Self {
        Self {
            me: me.to_owned(),
            peer: String::new(),
            batch_bytes: 0,
            message_max: 0,
            window: 0,
            sent: 0,
            credited: 0,
            reserved: 0,
            staged: VecDeque::new(),
            subs: BTreeMap::new(),
            next: 0,
            by_channel: BTreeMap::new(),
            turns: VecDeque::new(),
            declined: BTreeSet::new(),
            retries: BTreeMap::new(),
            lists: Vec::new(),
            compressor: None,
        }
    }

    pub(crate) fn compress(&mut self) {
        self.compressor = Some(Compressor::default());
    }

    pub(crate) fn lists(&self) -> &[Filter] {
        &self.lists
    }

    pub(crate) const fn in_flight(&self) -> u64 {
        self.sent - self.credited
    }

    /// What the peer receives from now on. The shell then lists the channels again.
    pub(crate) fn set_lists(&mut self, lists: Vec<Filter>, out: &mut Outbox) {
        self.lists = lists;
        self.declined.clear();
        let lists = &self.lists;
        self.retries.retain(|channel, _| matches_any(lists, channel));
        let gone = self.by_channel.iter().filter(|(channel, _)| !matches_any(lists, channel));
        for sub in gone.map(|(_, sub)| *sub).collect::<Vec<_>>() {
            self.withdraw(sub, RefuseCode::NotAllowed, "the allowlist changed", out);
        }
    }

    pub(crate) fn channel(&mut self, channel: &ChannelName, log: &LogInfo, out: &mut Outbox) {
        if !matches_any(&self.lists, channel) || self.declined.contains(channel) {
            return;
        }
        if let Some(sub) = self.by_channel.get(channel) {
            if self.subs.get(sub).is_some_and(|known| known.log.log == log.log) {
                return;
            }
            self.withdraw(*sub, RefuseCode::Gone, "the channel was made anew", out);
        }
        if let Some(Retry { due: Some((_, known)), .. }) = self.retries.get_mut(channel) {
            *known = log.clone();
            return;
        }
        self.offer(channel, log.clone(), out);
    }

    fn offer(&mut self, channel: &ChannelName, log: LogInfo, out: &mut Outbox) {
        if self.subs.len() >= OFFERS_MAX {
            let text = format!("more than {OFFERS_MAX} channels on one link");
            let (channel, code) = (channel.clone(), RefuseCode::NotWanted);
            out.event(Event::Refused { channel, code, text });
            return;
        }
        let sub = self.next;
        // A link does not live through four billion offers.
        self.next = self.next.saturating_add(1);
        let end = Position { log: log.log, epoch: log.epochs.current(), seq: log.last };
        // Behind what may have been taken back under the same name.
        let mut bytes = Vec::new();
        Frame::Offer { sub, channel: channel.as_str(), end, first: log.first }.encode(&mut bytes);
        out.carry(bytes.into());
        self.by_channel.insert(channel.clone(), sub);
        self.subs.insert(sub, Sub::new(channel.clone(), log));
    }

    pub(crate) fn channel_removed(&mut self, channel: &ChannelName, out: &mut Outbox) {
        self.declined.remove(channel);
        self.retries.remove(channel);
        if let Some(&sub) = self.by_channel.get(channel) {
            self.withdraw(sub, RefuseCode::Gone, "the channel was removed", out);
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        sub: u32,
        start: Start,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        match self.subs.get_mut(&sub) {
            Some(known) if known.state == State::Offered => {
                known.state = State::Opening;
                let channel = known.channel.clone();
                out.act(Action::Open { sub: OutSub(sub), channel, start });
                Ok(())
            }
            // We took the offer back while the answer was on its way.
            None if sub < self.next => Ok(()),
            Some(_) => Err(Fault::order("a channel is subscribed twice")),
            None => Err(Fault::order("a subscription to what was not offered")),
        }
    }

    pub(crate) fn opened(&mut self, sub: OutSub, opened: Opened, out: &mut Outbox) {
        let Some(known) = self.subs.get_mut(&sub.0) else { return };
        if known.state != State::Opening {
            return;
        }
        let after = opened.after;
        known.state = State::Flowing;
        known.floor = Floor::new(after);
        (known.after, known.staged, known.sent) = (after, after, after);
        if let Some(missing) = opened.missing {
            out.event(Event::ReplayGap { channel: known.channel.clone(), missing });
        }
        // An empty batch tells the peer where it starts.
        let frame = known.seal(sub.0, BatchWriter::new(after, BATCH_HEAD_MAX_BYTES, 0), 0, None);
        self.staged.push_back(frame);
        self.queue(sub.0);
    }

    pub(crate) fn ready(&mut self, sub: OutSub) {
        if let Some(known) = self.subs.get_mut(&sub.0) {
            known.woken = known.reading.is_some();
        }
        self.queue(sub.0);
    }

    fn queue(&mut self, sub: u32) {
        if let Some(known) = self.subs.get_mut(&sub)
            && known.state == State::Flowing
            && !known.queued
            && known.reading.is_none()
        {
            known.queued = true;
            self.turns.push_back(sub);
        }
    }

    pub(crate) fn read(
        &mut self,
        sub: OutSub,
        pieces: &mut dyn Iterator<Item = Piece<'_>>,
        after: u64,
        at_end: bool,
        out: &mut Outbox,
    ) {
        let Some(known) = self.subs.get_mut(&sub.0) else { return };
        let Some(reserved) = known.reading.take() else { return };
        self.reserved -= reserved;
        let limit = self.batch_bytes.min(out.frame_max - BATCH_HEAD_MAX_BYTES);
        let mut reading = Reading {
            me: &self.me,
            peer: &self.peer,
            message_max: self.message_max,
            limit,
            sub: sub.0,
            writer: None,
            staged: &mut self.staged,
            compressor: &mut self.compressor,
        };
        for piece in pieces {
            let go_on = match piece {
                Piece::Record(record) => reading.record(known, record, out),
                Piece::Missing(missing) => {
                    known.floor.raise(missing.last);
                    known.after = known.after.max(missing.last);
                    let channel = known.channel.clone();
                    out.event(Event::ReplayGap { channel, missing });
                    true
                }
            };
            if !go_on {
                break;
            }
        }
        if known.state == State::Flowing {
            known.after = known.after.max(after);
        }
        reading.finish(known);
        if !at_end || std::mem::take(&mut known.woken) {
            self.queue(sub.0);
        }
    }

    pub(crate) fn withdraw(&mut self, sub: u32, code: RefuseCode, text: &str, out: &mut Outbox) {
        if self.remove(sub, out).is_some() {
            // Behind the batches that were sent before it.
            let mut bytes = Vec::new();
            Frame::Withdraw { sub, code: code.to_u8(), text }.encode(&mut bytes);
            out.carry(bytes.into());
        }
    }

    /// The same, and offers it again after a while when it may get better.
    pub(crate) fn give_up(
        &mut self,
        sub: OutSub,
        code: RefuseCode,
        text: &str,
        now: Duration,
        out: &mut Outbox,
    ) {
        let Some(known) = self.subs.get(&sub.0) else { return };
        let (channel, log) = (known.channel.clone(), known.log.clone());
        self.withdraw(sub.0, code, text, out);
        self.after_refusal(channel, log, code, now);
    }

    pub(crate) fn refused(
        &mut self,
        sub: u32,
        code: RefuseCode,
        text: &str,
        now: Duration,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Some(known) = self.remove(sub, out) else {
            let over = sub < self.next;
            return if over {
                Ok(())
            } else {
                Err(Fault::order("a refusal of what was not offered"))
            };
        };
        let channel = known.channel.clone();
        out.event(Event::Refused { channel, code, text: text.to_owned() });
        self.after_refusal(known.channel, known.log, code, now);
        Ok(())
    }

    fn after_refusal(
        &mut self,
        channel: ChannelName,
        log: LogInfo,
        code: RefuseCode,
        now: Duration,
    ) {
        if code != RefuseCode::Unavailable {
            self.declined.insert(channel);
            return;
        }
        let retry = self.retries.entry(channel).or_insert(Retry { due: None, wait: RETRY_MIN });
        retry.due = Some((now + retry.wait, log));
        retry.wait = (retry.wait * 2).min(RETRY_MAX);
    }

    fn remove(&mut self, sub: u32, out: &mut Outbox) -> Option<Sub> {
        let known = self.subs.remove(&sub)?;
        self.by_channel.remove(&known.channel);
        self.reserved -= known.reading.unwrap_or(0);
        self.staged.retain(|staged| staged.sub != sub);
        self.turns.retain(|turn| *turn != sub);
        if known.state != State::Offered {
            out.act(Action::Stopped { sub: OutSub(sub), channel: known.channel.clone() });
        }
        Some(known)
    }

    pub(crate) fn acked(
        &mut self,
        sub: u32,
        committed: u64,
        durable: u64,
        credit: u64,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        if credit > self.sent {
            let text = format!("credit for {credit} bytes of {} sent", self.sent);
            return Err(Fault::new(CloseCode::AckedUnsent, text));
        }
        // Cumulative: an older one says nothing new.
        self.credited = self.credited.max(credit);
        let Some(known) = self.subs.get_mut(&sub) else {
            let over = sub < self.next;
            return if over { Ok(()) } else { Err(Fault::acked_unsent(sub, committed, 0)) };
        };
        let nothing_sent = matches!(known.state, State::Offered | State::Opening);
        if nothing_sent || committed > known.sent {
            return Err(Fault::acked_unsent(sub, committed, known.sent));
        }
        if committed > known.committed || durable > known.durable {
            known.committed = known.committed.max(committed);
            known.durable = known.durable.max(durable);
            self.retries.remove(&known.channel);
            out.act(Action::Acked {
                sub: OutSub(sub),
                channel: known.channel.clone(),
                committed: known.committed,
                durable: known.durable,
            });
        }
        Ok(())
    }

    /// Sends and reads what there is room for.
    pub(crate) fn pump(&mut self, out: &mut Outbox) {
        while let Some(staged) = self.staged.front() {
            let in_flight = self.sent - self.credited;
            // A batch that is larger than the window goes alone.
            let fits = in_flight == 0 || in_flight + staged.weight <= self.window;
            if !fits || out.waiting_bytes() >= AHEAD_BYTES {
                return;
            }
            let Some(staged) = self.staged.pop_front() else { return };
            self.sent += staged.weight;
            out.counters.batches_sent += 1;
            out.counters.messages_sent += staged.messages;
            if let Some(known) = self.subs.get_mut(&staged.sub) {
                known.sent = staged.after;
            }
            out.carry(staged.frame);
        }
        let quarter = usize::try_from(self.window / 4).unwrap_or(usize::MAX);
        let bytes = self.batch_bytes.min(quarter).max(1024);
        while let Some(&sub) = self.turns.front() {
            let in_flight = self.sent - self.credited + self.reserved as u64;
            let fits = in_flight == 0 || in_flight + bytes as u64 <= self.window;
            if !fits || out.waiting_bytes() + self.reserved >= AHEAD_BYTES {
                return;
            }
            self.turns.pop_front();
            if let Some(known) = self.subs.get_mut(&sub) {
                known.queued = false;
                known.reading = Some(bytes);
                self.reserved += bytes;
                out.act(Action::Read { sub: OutSub(sub), max_bytes: bytes });
            }
        }
    }

    pub(crate) fn tick(&mut self, now: Duration, out: &mut Outbox) {
        let mut due = Vec::new();
        for (channel, retry) in &mut self.retries {
            if retry.due.as_ref().is_some_and(|(at, _)| *at <= now)
                && let Some((_, log)) = retry.due.take()
            {
                due.push((channel.clone(), log));
            }
        }
        for (channel, log) in due {
            self.offer(&channel, log, out);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.retries.values().filter_map(|retry| retry.due.as_ref()).map(|(at, _)| *at).min()
    }

    pub(crate) fn status(&self) -> Vec<Sending> {
        let one = |(sub, known): (&u32, &Sub)| Sending {
            sub: OutSub(*sub),
            channel: known.channel.clone(),
            subscribed: known.state != State::Offered,
            held: known.state == State::Held,
            sent: known.sent,
            committed: known.committed,
            durable: known.durable,
        };
        self.subs.iter().map(one).collect()
    }
}

impl Sub {
    fn new(channel: ChannelName, log: LogInfo) -> Self {
        Self {
            channel,
            log,
            state: State::Offered,
            queued: false,
            reading: None,
            woken: false,
            after: 0,
            floor: Floor::new(0),
            staged: 0,
            sent: 0,
            committed: 0,
            durable: 0,
            batch_hint: 0,
        }
    }

    /// Whether the peer has this message for certain: it gave it to us in its present life. What it
    /// passed on before may have died with it unsynced, and is sent back; it knows what it has.
    fn came_from(&self, peer: &str, seq: u64, meta: &Meta<'_>) -> bool {
        seq > self.log.last && meta.route.iter().rev().nth(1) == Some(peer)
    }
}
