//! Channels sent in the predecessor's wire: one binary message at a time, then its acknowledgement.
//!
//! The peer keeps no positions, so what it acknowledged is the sender's to remember: the retained
//! position is where a channel resumes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use pubsub_types::{ChannelName, Filter};

use super::envelope;
use crate::action::{Action, Counters, Event, Message, Opened, OutSub, Piece, Sending, Start};
use crate::close::RefuseCode;
use crate::coverage::origin_of;
use crate::log_info::LogInfo;
use crate::policy::matches_any;

/// Longest wait for an acknowledgement. The predecessor writes before it acknowledges, and has no other
/// sign of life.
pub(super) const ACK_TIME: Duration = Duration::from_secs(60);

/// First wait before a channel is asked for again that could not be read; doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Sender {
    pub(super) peer: String,
    /// Where new channels start: an ephemeral peer has no past.
    pub(super) live: bool,
    /// Bytes of a binary message, about.
    batch_bytes: usize,
    pub(super) lists: Vec<Filter>,
    subs: BTreeMap<u32, Sub>,
    next: u32,
    by_channel: BTreeMap<ChannelName, u32>,
    turns: VecDeque<u32>,
    reading: Option<u32>,
    staged: VecDeque<Staged>,
    /// What was sent and not acknowledged, and when.
    in_flight: Option<(Staged, Duration)>,
    /// When channels are asked for again, and the last wait.
    retry: Option<(Duration, Duration)>,
}

#[derive(Debug)]
struct Staged {
    sub: u32,
    frame: Bytes,
    after: u64,
    messages: u64,
}

#[derive(Debug)]
struct Sub {
    channel: ChannelName,
    log: LogInfo,
    flowing: bool,
    queued: bool,
    woken: bool,
    after: u64,
    acked: u64,
}

impl Sender {
    pub(super) fn new(batch_bytes: usize) -> Self {
        Self { batch_bytes: batch_bytes.max(1), ..Self::default() }
    }

    pub(super) fn channel(
        &mut self,
        channel: &ChannelName,
        log: &LogInfo,
        out: &mut VecDeque<Action>,
    ) {
        if !matches_any(&self.lists, channel) {
            return;
        }
        if let Some(&sub) = self.by_channel.get(channel) {
            if self.subs.get(&sub).is_some_and(|known| known.log.log == log.log) {
                return;
            }
            self.remove(sub, out);
        }
        let sub = self.next;
        self.next = self.next.saturating_add(1);
        self.by_channel.insert(channel.clone(), sub);
        let known = Sub {
            channel: channel.clone(),
            log: log.clone(),
            flowing: false,
            queued: false,
            woken: false,
            after: 0,
            acked: 0,
        };
        self.subs.insert(sub, known);
        let start = if self.live { Start::Live } else { Start::New };
        out.push_back(Action::Open { sub: OutSub(sub), channel: channel.clone(), start });
    }

    pub(super) fn set_lists(&mut self, lists: Vec<Filter>, out: &mut VecDeque<Action>) {
        self.lists = lists;
        let lists = &self.lists;
        let gone = self.by_channel.iter().filter(|(channel, _)| !matches_any(lists, channel));
        for sub in gone.map(|(_, sub)| *sub).collect::<Vec<_>>() {
            self.remove(sub, out);
        }
    }

    pub(super) fn channel_removed(&mut self, channel: &ChannelName, out: &mut VecDeque<Action>) {
        if let Some(&sub) = self.by_channel.get(channel) {
            self.remove(sub, out);
        }
    }

    pub(super) fn withdraw(
        &mut self,
        sub: OutSub,
        code: RefuseCode,
        now: Duration,
        out: &mut VecDeque<Action>,
    ) {
        self.remove(sub.0, out);
        if code == RefuseCode::Unavailable {
            let wait = self.retry.map_or(RETRY_MIN, |(_, wait)| (wait * 2).min(RETRY_MAX));
            self.retry = Some((now + wait, wait));
        }
    }

    fn remove(&mut self, sub: u32, out: &mut VecDeque<Action>) {
        let Some(known) = self.subs.remove(&sub) else { return };
        self.by_channel.remove(&known.channel);
        self.turns.retain(|turn| *turn != sub);
        self.staged.retain(|staged| staged.sub != sub);
        if self.reading == Some(sub) {
            self.reading = None;
        }
        out.push_back(Action::Stopped { sub: OutSub(sub), channel: known.channel });
    }

    pub(super) fn opened(&mut self, sub: OutSub, opened: Opened, out: &mut VecDeque<Action>) {
        let Some(known) = self.subs.get_mut(&sub.0) else { return };
        known.flowing = true;
        (known.after, known.acked) = (opened.after, opened.after);
        if let Some(missing) = opened.missing {
            let channel = known.channel.clone();
            out.push_back(Action::Event(Event::ReplayGap { channel, missing }));
        }
        self.ready(sub);
    }

    pub(super) fn ready(&mut self, sub: OutSub) {
        let Some(known) = self.subs.get_mut(&sub.0) else { return };
        if self.reading == Some(sub.0) {
            known.woken = true;
        } else if known.flowing && !known.queued {
            known.queued = true;
            self.turns.push_back(sub.0);
        }
    }

    pub(super) fn read(
        &mut self,
        sub: OutSub,
        pieces: &mut dyn Iterator<Item = Piece<'_>>,
        after: u64,
        at_end: bool,
        counters: &mut Counters,
        out: &mut VecDeque<Action>,
    ) {
        if self.reading != Some(sub.0) {
            return;
        }
        self.reading = None;
        let Some(known) = self.subs.get_mut(&sub.0) else { return };
        let staged_before = self.staged.len();
        let mut staged =
            Staged { sub: sub.0, frame: Bytes::new(), after: known.after, messages: 0 };
        let mut frame = Vec::new();
        for piece in pieces {
            let record = match piece {
                Piece::Record(record) if record.seq > known.after => record,
                Piece::Record(_) => continue,
                Piece::Missing(missing) => {
                    let channel = known.channel.clone();
                    out.push_back(Action::Event(Event::ReplayGap { channel, missing }));
                    continue;
                }
            };
            known.after = record.seq;
            let meta = record.meta();
            // The peer cannot tell what it had but by the id, and that it forgets.
            if origin_of(&meta) == self.peer || meta.route.contains(&self.peer) {
                counters.echoes_dropped += 1;
                continue;
            }
            let mark = frame.len();
            let epoch = known.log.epochs.of(record.seq);
            envelope::put(&mut frame, &known.channel, known.log.log, epoch, record);
            if staged.messages > 0 && frame.len() > self.batch_bytes {
                let next = frame.split_off(mark);
                staged.frame = std::mem::replace(&mut frame, next).into();
                let following = Staged { sub: sub.0, frame: Bytes::new(), after: 0, messages: 0 };
                self.staged.push_back(std::mem::replace(&mut staged, following));
            }
            staged.after = record.seq;
            staged.messages += 1;
        }
        known.after = known.after.max(after);
        if staged.messages > 0 {
            staged.frame = frame.into();
            staged.after = known.after;
            self.staged.push_back(staged);
        } else if self.staged.len() == staged_before && known.after > known.acked {
            // Nothing of it is for the peer, so nothing of it will be acknowledged.
            known.acked = known.after;
            let (channel, acked) = (known.channel.clone(), known.acked);
            out.push_back(Action::Acked { sub, channel, committed: acked, durable: acked });
        }
        if !at_end || std::mem::take(&mut known.woken) {
            self.ready(sub);
        }
    }

    /// The peer handled the message in flight; `false` when there is none.
    pub(super) fn acked(&mut self, out: &mut VecDeque<Action>) -> bool {
        let Some((staged, _)) = self.in_flight.take() else { return false };
        self.retry = None;
        if let Some(known) = self.subs.get_mut(&staged.sub) {
            known.acked = staged.after;
            let (sub, channel) = (OutSub(staged.sub), known.channel.clone());
            let (committed, durable) = (staged.after, staged.after);
            out.push_back(Action::Acked { sub, channel, committed, durable });
        }
        true
    }

    /// Sends the next message, or has one read.
    pub(super) fn pump(
        &mut self,
        now: Duration,
        counters: &mut Counters,
        out: &mut VecDeque<Action>,
    ) {
        if self.in_flight.is_some() {
            return;
        }
        if let Some(staged) = self.staged.pop_front() {
            counters.batches_sent += 1;
            counters.messages_sent += staged.messages;
            out.push_back(Action::Send(Message::Binary(staged.frame.clone())));
            self.in_flight = Some((Staged { frame: Bytes::new(), ..staged }, now));
        } else if self.reading.is_none()
            && let Some(sub) = self.turns.pop_front()
        {
            if let Some(known) = self.subs.get_mut(&sub) {
                known.queued = false;
            }
            self.reading = Some(sub);
            out.push_back(Action::Read { sub: OutSub(sub), max_bytes: self.batch_bytes });
        }
    }

    /// Whether channels are due to be asked for again.
    pub(super) fn retry_is_due(&mut self, now: Duration) -> bool {
        match &mut self.retry {
            Some((at, _)) if *at <= now => {
                // Kept for its wait; it is due again when a channel fails again.
                *at = Duration::MAX;
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.in_flight.as_ref().is_some_and(|(_, at)| now >= *at + ACK_TIME)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let ack = self.in_flight.as_ref().map(|(_, at)| *at + ACK_TIME);
        let retry = self.retry.map(|(at, _)| at).filter(|at| *at < Duration::MAX);
        ack.into_iter().chain(retry).min()
    }

    pub(super) fn status(&self) -> Vec<Sending> {
        let one = |(sub, known): (&u32, &Sub)| Sending {
            sub: OutSub(*sub),
            channel: known.channel.clone(),
            subscribed: known.flowing,
            held: false,
            sent: known.after,
            committed: known.acked,
            durable: known.acked,
        };
        self.subs.iter().map(one).collect()
    }
}
