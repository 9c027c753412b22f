//! Who waits for which message: from the queue over the link to the hub's acknowledgement.
//!
//! ```text
//!   add ─▶ queued ──read──▶ flying ──acked──▶ Ok
//!            │                ╰── the link or the subscription ends ──▶ nobody knows
//!            ╰── waits for the next link, or fails: it was never sent
//! ```
//!
//! A message gets its number when it is read, and is then sent or lost, never read again. Numbers are
//! given out once in the life of a client, over all links and channels, so what the hub has of a channel
//! is said by the numbers alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use pubsub_envelope::Record;
use pubsub_federation::{EpochList, LogInfo, Opened, OutSub, RefuseCode, matches_any};
use pubsub_types::{ChannelName, Filter};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::error::PublishError;
use super::room::Room;

/// Channels known at a time. One with nothing to send makes room for another.
const LANES_MAX: usize = 1_024;

/// Who waits to hear of a message.
pub(super) type Answer = oneshot::Sender<Result<(), PublishError>>;

/// A message to be sent.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) channel: ChannelName,
    pub(super) record: Record,
    /// Given back when it is sent.
    pub(super) room: Room,
    pub(super) answer: Answer,
}

/// What the link is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Offer(ChannelName),
    Wake(OutSub),
    Forget(ChannelName),
}

/// What was read of a channel.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) records: Vec<Record>,
    pub(super) after: u64,
    pub(super) at_end: bool,
}

/// The messages of a client that were neither acknowledged nor given up.
#[derive(Debug)]
pub(super) struct Ledger {
    log: Uuid,
    /// The last number given out.
    given: u64,
    lanes: BTreeMap<ChannelName, Lane>,
    /// What the hub takes from us; `None` while it is not connected.
    sends: Option<Vec<Filter>>,
    subs: BTreeMap<OutSub, ChannelName>,
    orders: VecDeque<Order>,
    /// Channels whose subscription ended with messages under way.
    stranded: Vec<ChannelName>,
}

/// The messages of one channel.
#[derive(Debug, Default)]
struct Lane {
    queued: VecDeque<Parcel>,
    flying: VecDeque<(u64, Answer)>,
    /// Were flying when their subscription ended.
    stranded: Vec<Answer>,
    /// The last number given out here.
    last: u64,
    /// The rest is of this link only: the hub was offered the channel;
    offered: bool,
    /// it subscribed;
    sub: Option<OutSub>,
    /// it waits for more;
    at_end: bool,
    /// it does not want it.
    refused: Option<String>,
}

impl Ledger {
    pub(super) fn new(log: Uuid) -> Self {
        Self {
            log,
            given: 0,
            lanes: BTreeMap::new(),
            sends: None,
            subs: BTreeMap::new(),
            orders: VecDeque::new(),
            stranded: Vec::new(),
        }
    }

    /// What identifies this client's messages.
    pub(super) const fn log(&self) -> Uuid {
        self.log
    }

    /// What to tell the link next.
    pub(super) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// A message is to be sent.
    pub(super) fn add(&mut self, parcel: Parcel) {
        let channel = &parcel.channel;
        if let Some(sends) = &self.sends
            && !matches_any(sends, channel)
        {
            let error = not_listed(channel);
            return answer(parcel.answer, Err(error));
        }
        if !self.lanes.contains_key(channel) {
            self.make_room();
        }
        let lane = self.lanes.entry(channel.clone()).or_default();
        if let Some(reason) = &lane.refused {
            let error =
                PublishError::NotAllowed { channel: channel.clone(), reason: reason.clone() };
            return answer(parcel.answer, Err(error));
        }
        if self.sends.is_some() {
            self.orders.extend(lane.next_order(channel));
        }
        lane.queued.push_back(parcel);
    }

    /// Some of those who waited for messages of the channel do so no longer.
    pub(super) fn prune(&mut self, channel: &ChannelName) {
        if let Some(lane) = self.lanes.get_mut(channel) {
            lane.queued.retain(|parcel| !parcel.answer.is_closed());
        }
    }

    /// The hub is connected, or changed its mind on what it takes.
    pub(super) fn allow(&mut self, sends: Vec<Filter>) {
        for (channel, lane) in &mut self.lanes {
            if lane.refused.take().is_some() {
                lane.offered = false;
            }
            if !matches_any(&sends, channel) {
                lane.offered = false;
                for parcel in lane.queued.drain(..) {
                    answer(parcel.answer, Err(not_listed(channel)));
                }
            }
        }
        self.sends = Some(sends);
    }

    /// Offers what waits and is not offered yet.
    pub(super) fn list(&mut self) {
        for (channel, lane) in &mut self.lanes {
            if !lane.offered && !lane.queued.is_empty() {
                self.orders.extend(lane.next_order(channel));
            }
        }
    }

    /// The client as the log that it offers: what is in it will be read.
    pub(super) fn log_info(&self) -> LogInfo {
        LogInfo {
            log: self.log,
            epochs: Arc::new(EpochList::default()),
            first: self.given + 1,
            last: self.given,
        }
    }

    /// The hub subscribed. Wherever it wants to start, there is nothing but what waits.
    pub(super) fn opened(&mut self, sub: OutSub, channel: ChannelName) -> Opened {
        if let Some(lane) = self.lanes.get_mut(&channel) {
            lane.sub = Some(sub);
            lane.at_end = false;
            self.subs.insert(sub, channel);
        }
        Opened { after: self.given, missing: None }
    }

    /// Reads on for the hub, which takes messages of up to `limit` bytes: one at least where there is
    /// one, and no more than about `max_bytes`.
    pub(super) fn read(&mut self, sub: OutSub, max_bytes: usize, limit: usize) -> Read {
        let mut read = Read { records: Vec::new(), after: 0, at_end: true };
        let lane = self.subs.get(&sub).and_then(|channel| self.lanes.get_mut(channel));
        let Some(lane) = lane else { return read };
        let mut bytes = 0;
        while let Some(parcel) = lane.queued.front() {
            let len = size(&parcel.record);
            if !read.records.is_empty() && bytes + len > max_bytes {
                break;
            }
            let Some(Parcel { mut record, answer: waits, room, .. }) = lane.queued.pop_front()
            else {
                break;
            };
            drop(room);
            if waits.is_closed() {
                continue;
            }
            if len > limit {
                answer(waits, Err(PublishError::TooLarge { len, limit }));
                continue;
            }
            bytes += len;
            self.given += 1;
            record.seq = self.given;
            lane.last = self.given;
            lane.flying.push_back((self.given, waits));
            read.records.push(record);
        }
        lane.at_end = lane.queued.is_empty();
        (read.after, read.at_end) = (lane.last, lane.at_end);
        read
    }

    /// The hub committed everything up to `seq`.
    pub(super) fn acked(&mut self, sub: OutSub, seq: u64) {
        let lane = self.subs.get(&sub).and_then(|channel| self.lanes.get_mut(channel));
        let Some(lane) = lane else { return };
        while lane.flying.front().is_some_and(|(last, _)| *last <= seq) {
            if let Some((_, waits)) = lane.flying.pop_front() {
                answer(waits, Ok(()));
            }
        }
    }

    /// A subscription is over. Why may follow with [`Self::refused`]; when not, [`Self::settle`].
    pub(super) fn stopped(&mut self, sub: OutSub) {
        let Some(channel) = self.subs.remove(&sub) else { return };
        let Some(lane) = self.lanes.get_mut(&channel) else { return };
        (lane.sub, lane.at_end) = (None, false);
        lane.stranded.extend(lane.flying.drain(..).map(|(_, waits)| waits));
        self.stranded.push(channel);
    }

    /// The hub does not take the channel, or not now.
    pub(super) fn refused(&mut self, channel: &ChannelName, code: RefuseCode, text: &str) {
        let Some(lane) = self.lanes.get_mut(channel) else { return };
        let reason = if text.is_empty() { code.to_string() } else { text.to_owned() };
        let not_stored =
            PublishError::NotStored { channel: channel.clone(), reason: reason.clone() };
        for waits in lane.stranded.drain(..) {
            answer(waits, Err(not_stored.clone()));
        }
        let error = if code == RefuseCode::Unavailable {
            // The link offers it again by itself after a while.
            not_stored
        } else {
            lane.refused = Some(reason.clone());
            PublishError::NotAllowed { channel: channel.clone(), reason }
        };
        for parcel in lane.queued.drain(..) {
            answer(parcel.answer, Err(error.clone()));
        }
    }

    /// Tells those whose subscription ended without a word.
    pub(super) fn settle(&mut self) {
        for channel in std::mem::take(&mut self.stranded) {
            let Some(lane) = self.lanes.get_mut(&channel) else { continue };
            let reason = "its subscription ended before it was acknowledged".to_owned();
            let error = PublishError::NotStored { channel, reason };
            for waits in lane.stranded.drain(..) {
                answer(waits, Err(error.clone()));
            }
        }
    }

    /// The link is over. What was sent and not acknowledged is lost or not; what was not sent waits.
    pub(super) fn hung_up(&mut self, reason: &str) {
        let error = PublishError::ConnectionLost { sent: true, reason: reason.to_owned() };
        for lane in self.lanes.values_mut() {
            let flying = lane.flying.drain(..).map(|(_, waits)| waits);
            for waits in flying.chain(lane.stranded.drain(..)) {
                answer(waits, Err(error.clone()));
            }
            (lane.offered, lane.sub, lane.at_end, lane.refused) = (false, None, false, None);
        }
        self.lanes.retain(|_, lane| !lane.queued.is_empty());
        self.subs.clear();
        self.orders.clear();
        self.stranded.clear();
        self.sends = None;
    }

    /// There will be no link: what waits for one fails.
    pub(super) fn give_up(&mut self, reason: &str) {
        let error = PublishError::ConnectionLost { sent: false, reason: reason.to_owned() };
        for lane in self.lanes.values_mut() {
            for parcel in lane.queued.drain(..) {
                answer(parcel.answer, Err(error.clone()));
            }
        }
    }

    /// The client is closed.
    pub(super) fn close(&mut self) {
        for lane in std::mem::take(&mut self.lanes).into_values() {
            let queued = lane.queued.into_iter().map(|parcel| parcel.answer);
            let flying = lane.flying.into_iter().map(|(_, waits)| waits);
            for waits in queued.chain(flying).chain(lane.stranded) {
                answer(waits, Err(PublishError::Closed));
            }
        }
    }

    /// Lets a channel go that has nothing to send, when there are many.
    fn make_room(&mut self) {
        if self.lanes.len() < LANES_MAX {
            return;
        }
        let idle = self.lanes.iter().filter(|(_, lane)| lane.is_idle());
        let Some(channel) =
            idle.min_by_key(|(_, lane)| lane.last).map(|(channel, _)| channel.clone())
        else {
            return;
        };
        if self.lanes.remove(&channel).is_some_and(|lane| lane.offered) {
            self.subs.retain(|_, of| *of != channel);
            self.orders.push_back(Order::Forget(channel));
        }
    }
}

impl Lane {
    /// What the link is to be told so that it reads this channel, if it does not by itself.
    fn next_order(&mut self, channel: &ChannelName) -> Option<Order> {
        if !self.offered {
            self.offered = true;
            return Some(Order::Offer(channel.clone()));
        }
        let sub = self.sub.filter(|_| self.at_end)?;
        self.at_end = false;
        Some(Order::Wake(sub))
    }

    fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.flying.is_empty() && self.stranded.is_empty()
    }
}

/// Bytes of a message that count towards the hub's limit.
fn size(record: &Record) -> usize {
    record.subject().len() + record.headers().len() + record.payload().len()
}

fn not_listed(channel: &ChannelName) -> PublishError {
    let reason = "its list of allowed peers does not have the channel".to_owned();
    PublishError::NotAllowed { channel: channel.clone(), reason }
}

/// Whoever dropped the other end does not want to know.
fn answer(waits: Answer, result: Result<(), PublishError>) {
    let _gone = waits.send(result);
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use pubsub_envelope::NewRecord;

    use super::super::record_of;
    use super::super::room::Rooms;
    use super::*;

    type Answered = oneshot::Receiver<Result<(), PublishError>>;

    const SUB: OutSub = OutSub(0);
    const ALL: usize = usize::MAX;

    fn name(text: &str) -> ChannelName {
        ChannelName::new(text).unwrap()
    }

    fn filters(text: &str) -> Vec<Filter> {
        vec![Filter::new(text).unwrap()]
    }

    fn parcel(channel: &str, payload: &[u8]) -> (Parcel, Answered) {
        let (answer, answered) = oneshot::channel();
        let record = record_of(&NewRecord { payload, ..NewRecord::default() }).unwrap();
        let room = Rooms::new(1, 1).take(1).now_or_never().flatten().unwrap();
        (Parcel { channel: name(channel), record, room, answer }, answered)
    }

    fn add(ledger: &mut Ledger, payload: &[u8]) -> Answered {
        let (parcel, answered) = parcel("orders", payload);
        ledger.add(parcel);
        answered
    }

    /// A ledger whose hub takes everything and has subscribed to `orders`.
    fn flowing() -> Ledger {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        ledger.allow(filters(">"));
        ledger.opened(SUB, name("orders"));
        ledger
    }

    fn open(ledger: &mut Ledger) {
        ledger.allow(filters(">"));
        ledger.list();
        assert_eq!(ledger.poll_order(), Some(Order::Offer(name("orders"))));
        ledger.opened(SUB, name("orders"));
    }

    fn seqs(read: &Read) -> Vec<u64> {
        read.records.iter().map(|record| record.seq).collect()
    }

    fn lost(sent: bool) -> Result<(), PublishError> {
        Err(PublishError::ConnectionLost { sent, reason: "cut".to_owned() })
    }

    #[test]
    fn a_publisher_hears_of_its_message_when_it_is_committed_and_no_sooner() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let (mut one, mut two) = (add(&mut ledger, b"1"), add(&mut ledger, b"2"));
        open(&mut ledger);
        let read = ledger.read(SUB, ALL, ALL);
        assert_eq!((seqs(&read), read.after, read.at_end), (vec![1, 2], 2, true));
        one.try_recv().unwrap_err();
        ledger.acked(SUB, 1);
        assert_eq!(one.try_recv(), Ok(Ok(())));
        two.try_recv().unwrap_err();
        ledger.acked(SUB, 2);
        assert_eq!(two.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn what_was_read_is_never_read_again_and_what_was_not_waits_for_the_next_link() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let (mut sent, mut waiting) = (add(&mut ledger, b"1"), add(&mut ledger, b"2"));
        open(&mut ledger);
        assert_eq!(seqs(&ledger.read(SUB, 1, ALL)), [1]);
        ledger.hung_up("cut");
        assert_eq!(sent.try_recv(), Ok(lost(true)));
        waiting.try_recv().unwrap_err();
        open(&mut ledger);
        assert_eq!(seqs(&ledger.read(SUB, ALL, ALL)), [2], "a number is given out once");
        ledger.acked(SUB, 2);
        assert_eq!(waiting.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn a_new_link_begins_behind_everything_that_was_sent() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let _one = add(&mut ledger, b"1");
        open(&mut ledger);
        ledger.read(SUB, ALL, ALL);
        ledger.hung_up("cut");
        assert_eq!((ledger.log_info().first, ledger.log_info().last), (2, 1));
        assert_eq!(ledger.opened(OutSub(7), name("orders")).after, 1);
    }

    #[test]
    fn without_a_next_link_what_waits_was_surely_not_sent() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let mut one = add(&mut ledger, b"1");
        ledger.give_up("cut");
        assert_eq!(one.try_recv(), Ok(lost(false)));
    }

    #[test]
    fn a_message_that_nobody_waits_for_any_more_is_not_sent() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        drop(add(&mut ledger, b"1"));
        let _two = add(&mut ledger, b"2");
        drop(add(&mut ledger, b"3"));
        ledger.prune(&name("orders"));
        assert_eq!(ledger.lanes[&name("orders")].queued.len(), 1);
        drop(add(&mut ledger, b"4"));
        open(&mut ledger);
        let read = ledger.read(SUB, ALL, ALL);
        assert_eq!(read.records[0].payload(), b"2");
        assert_eq!((read.records.len(), read.at_end), (1, true));
    }

    #[test]
    fn a_read_stops_at_its_bytes_and_takes_one_message_at_least() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let _waiting: Vec<Answered> = (0..5).map(|_| add(&mut ledger, &[0; 10])).collect();
        open(&mut ledger);
        let counts: Vec<(usize, bool)> = [5, 25, 1000]
            .map(|bytes| ledger.read(SUB, bytes, ALL))
            .map(|read| (read.records.len(), read.at_end))
            .into();
        assert_eq!(counts, [(1, false), (2, false), (2, true)]);
    }

    #[test]
    fn a_message_that_is_too_long_for_the_hub_is_told_so_and_holds_up_nobody() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let (mut long, _short) = (add(&mut ledger, &[0; 11]), add(&mut ledger, &[0; 10]));
        open(&mut ledger);
        assert_eq!(ledger.read(SUB, ALL, 10).records.len(), 1);
        assert_eq!(long.try_recv(), Ok(Err(PublishError::TooLarge { len: 11, limit: 10 })));
    }

    #[test]
    fn a_link_that_read_to_the_end_is_woken_once() {
        let mut ledger = flowing();
        let _one = add(&mut ledger, b"1");
        assert_eq!(ledger.poll_order(), Some(Order::Offer(name("orders"))));
        ledger.opened(SUB, name("orders"));
        assert_eq!(ledger.poll_order(), None, "it reads by itself first");
        ledger.read(SUB, ALL, ALL);
        let _more = [add(&mut ledger, b"2"), add(&mut ledger, b"3")];
        assert_eq!(ledger.poll_order(), Some(Order::Wake(SUB)));
        assert_eq!(ledger.poll_order(), None);
    }

    #[test]
    fn what_the_hub_does_not_allow_fails_at_once_and_flows_when_it_does() {
        let mut ledger = flowing();
        ledger.allow(filters("metrics"));
        let not_allowed = |answer| matches!(answer, Ok(Err(PublishError::NotAllowed { .. })));
        assert!(not_allowed(add(&mut ledger, b"1").try_recv()));
        ledger.allow(filters(">"));
        let mut two = add(&mut ledger, b"2");
        assert_eq!(ledger.poll_order(), Some(Order::Offer(name("orders"))));
        ledger.refused(&name("orders"), RefuseCode::NotAllowed, "no");
        assert!(not_allowed(two.try_recv()));
        assert!(not_allowed(add(&mut ledger, b"3").try_recv()));
        ledger.allow(filters(">"));
        let mut four = add(&mut ledger, b"4");
        assert_eq!(ledger.poll_order(), Some(Order::Offer(name("orders"))));
        four.try_recv().unwrap_err();
    }

    #[test]
    fn a_hub_that_cannot_store_says_why_to_all_who_wait_and_is_asked_again_later() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let (mut sent, mut queued) = (add(&mut ledger, b"1"), add(&mut ledger, b"2"));
        open(&mut ledger);
        ledger.read(SUB, 1, ALL);
        ledger.stopped(SUB);
        ledger.refused(&name("orders"), RefuseCode::Unavailable, "no room");
        let (channel, reason) = (name("orders"), "no room".to_owned());
        let error = PublishError::NotStored { channel, reason };
        assert_eq!(sent.try_recv(), Ok(Err(error.clone())));
        assert_eq!(queued.try_recv(), Ok(Err(error)));
        let mut later = add(&mut ledger, b"3");
        ledger.opened(OutSub(1), name("orders"));
        assert_eq!(seqs(&ledger.read(OutSub(1), ALL, ALL)), [2]);
        ledger.acked(OutSub(1), 2);
        assert_eq!(later.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn nobody_waits_for_ever_for_a_subscription_that_ended_without_a_word() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let mut one = add(&mut ledger, b"1");
        open(&mut ledger);
        ledger.read(SUB, ALL, ALL);
        ledger.stopped(SUB);
        one.try_recv().unwrap_err();
        ledger.settle();
        assert!(matches!(one.try_recv(), Ok(Err(PublishError::NotStored { .. }))));
    }

    #[test]
    fn channels_without_traffic_make_room_for_others() {
        let mut ledger = flowing();
        for nth in 0..2 * LANES_MAX {
            let channel = name(&format!("c{nth}"));
            let (parcel, mut answered) = parcel(channel.as_str(), b"1");
            ledger.add(parcel);
            let sub = OutSub(u32::try_from(nth).unwrap() + 1);
            ledger.opened(sub, channel);
            let read = ledger.read(sub, ALL, ALL);
            ledger.acked(sub, read.after);
            assert_eq!(answered.try_recv(), Ok(Ok(())));
        }
        assert!(ledger.lanes.len() <= LANES_MAX && ledger.subs.len() <= LANES_MAX);
        let forgotten =
            ledger.orders.iter().filter(|order| matches!(order, Order::Forget(_))).count();
        assert_eq!(forgotten, LANES_MAX);
    }

    #[test]
    fn closing_tells_everybody() {
        let mut ledger = Ledger::new(Uuid::from_u128(1));
        let (mut sent, mut queued) = (add(&mut ledger, b"1"), add(&mut ledger, b"2"));
        open(&mut ledger);
        ledger.read(SUB, 1, ALL);
        ledger.close();
        assert_eq!(sent.try_recv(), Ok(Err(PublishError::Closed)));
        assert_eq!(queued.try_recv(), Ok(Err(PublishError::Closed)));
    }
}
