//! Runs one link to its end: does what the machine says, and tells it what became of it.
//!
//! ```text
//!   socket ─▶ machine ─▶ actions ─▶ outbox: reads files     ─╮
//!                ▲                  inbox: appends, syncs    ├─▶ news ─╮
//!                ╰──────────────────────────────────────────────────────╯
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use pubsub_audit::Event as AuditEvent;
use pubsub_config::LinkStart;
use pubsub_federation::{
    Action, Batch, CloseCode, Closed, Event, InSub, Link, MissingReason, OutSub, Peer, Phase,
    Position, RefuseCode, Start, Via, matches_any,
};
use pubsub_storage::{ChannelError, PublishError};
use pubsub_types::{ChannelName, Filter, SubscriberId};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_tungstenite::tungstenite;
use uuid::Uuid;

use super::frames::{Frames, Heard};
use super::hub::reject;
use super::inbox::{Inbox, OpenInboxError, Stored};
use super::outbox::{Outbox, log_info, subscriber_id};
use super::settings::DialSettings;
use super::shard::{LinkCounters, LinkEntry, Order, Shard, add, audit_peer};
use super::socket::Socket;
use super::status::{DialPhase, DialState};

/// Time for the last words of a link.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Turns of a link before the others on this thread have theirs.
const TURNS_MAX: u64 = 8;

/// Which end of the link we are.
#[derive(Debug)]
pub(crate) enum Side {
    Hub { addr: SocketAddr },
    Dialer { hub: DialSettings, state: Rc<RefCell<DialState>> },
}

/// How a link ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) closed: Closed,
    /// How long it was established, if it ever was.
    pub(crate) up: Option<Duration>,
}

/// What became of something that took its time.
enum News {
    Ready(OutSub),
    Opened(InSub, ChannelName, Position, Result<Rc<Inbox>, OpenInboxError>),
    Stored(InSub, u64, Result<Stored, PublishError>),
    Safe(InSub, u64),
}

/// A channel that comes in.
struct Incoming {
    inbox: Rc<Inbox>,
    /// Batches on their way into the log, oldest first.
    storing: VecDeque<Storing>,
    /// Batches in the log, not known to be synced yet.
    syncing: VecDeque<(u64, Position)>,
    /// Sequence that is waited for.
    waiting: Option<u64>,
}

struct Storing {
    /// Number of the batch on this link.
    nth: u64,
    position: Position,
    stored: Option<Stored>,
}

/// A channel that the machine was told of.
#[derive(Clone, Copy, Debug)]
struct Told {
    log: Uuid,
    /// What comes after this was published since the link is up.
    live_after: u64,
}

struct Drive<'a> {
    shard: &'a Rc<Shard>,
    entry: Rc<LinkEntry>,
    side: &'a Side,
    counters: Rc<LinkEntry>,
    peer: Option<Peer>,
    audit_peer: pubsub_audit::Peer,
    via: Option<Rc<Via>>,
    /// Channels that the peer receives.
    sends: Vec<Filter>,
    /// Channels that the machine was told of.
    told: BTreeMap<ChannelName, Told>,
    /// Channels that were here when they were last listed; only known for an ephemeral peer.
    there: Option<BTreeSet<ChannelName>>,
    established: Option<Duration>,
    outgoing: BTreeMap<OutSub, Outbox>,
    incoming: BTreeMap<InSub, Incoming>,
    news: FuturesUnordered<LocalBoxFuture<'static, News>>,
    frames: Frames,
    batches: u64,
    rate: Rc<Rate>,
    closed: Option<Closed>,
}

/// Runs a link until it is over.
pub(crate) async fn drive(
    shard: &Rc<Shard>,
    machine: Box<dyn Link>,
    socket: Socket,
    side: Side,
    certified: Option<pubsub_tls::Peer>,
) -> Ended {
    let (orders, mut ordered) = unbounded_channel();
    let (inbound, hub, addr) = match &side {
        Side::Hub { addr } => (true, None, addr.to_string()),
        Side::Dialer { hub, .. } => (false, Some(hub.addr.clone()), hub.addr.clone()),
    };
    let entry = Rc::new(LinkEntry {
        id: shard.next_link_id(),
        machine: RefCell::new(machine),
        inbound,
        hub,
        addr: addr.clone(),
        peer: RefCell::default(),
        ephemeral: Cell::default(),
        certified,
        since: Shard::now(),
        counters: LinkCounters::default(),
        orders,
    });
    shard.links.borrow_mut().insert(entry.id, entry.clone());
    let mut drive = Drive {
        shard,
        counters: entry.clone(),
        entry: entry.clone(),
        side: &side,
        peer: None,
        audit_peer: audit_peer("", &addr),
        via: None,
        sends: Vec::new(),
        told: BTreeMap::new(),
        there: None,
        established: None,
        outgoing: BTreeMap::new(),
        incoming: BTreeMap::new(),
        news: FuturesUnordered::new(),
        frames: Frames::default(),
        batches: 0,
        rate: Rc::default(),
        closed: None,
    };
    let closed = drive.run(socket, &mut ordered).await;
    shard.links.borrow_mut().remove(&entry.id);
    let up = drive.established.map(|since| Shard::now().saturating_sub(since));
    drive.say_goodbye(&closed, up);
    Ended { closed, up }
}

impl Drive<'_> {
    async fn run(&mut self, socket: Socket, ordered: &mut UnboundedReceiver<Order>) -> Closed {
        let (mut sink, mut stream) = socket.split();
        let mut turns: u64 = 0;
        loop {
            self.act().await;
            turns += 1;
            if turns.is_multiple_of(TURNS_MAX) {
                // A peer that always has more to say would keep timers, certificates and questions
                // about the links waiting: the runtime looks after them when nobody is ready.
                tokio::task::yield_now().await;
            }
            if let Some(closed) = self.closed.take() {
                self.frames.say_goodbye(&mut sink, &mut stream, &closed, CLOSE_TIME).await;
                return closed;
            }
            let deadline = self.entry.machine.borrow().deadline();
            let wait = deadline.map(|at| at.saturating_sub(Shard::now()));
            tokio::select! {
                message = stream.next() => self.received(message),
                news = self.news.next(), if !self.news.is_empty() => {
                    if let Some(news) = news {
                        self.learn(news);
                    }
                }
                sent = self.frames.flush(&mut sink), if !self.frames.is_flushed() => {
                    if let Err(error) = sent {
                        self.hangup(&error.to_string());
                    }
                }
                order = ordered.recv() => {
                    if let Some(order) = order {
                        self.obey(order);
                    }
                }
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {
                    self.with(|machine, now| machine.tick(now));
                }
            }
        }
    }

    fn with<R>(&self, tell: impl FnOnce(&mut dyn Link, Duration) -> R) -> R {
        tell(&mut **self.entry.machine.borrow_mut(), Shard::now())
    }

    fn received(&mut self, frame: Option<Result<tungstenite::Message, tungstenite::Error>>) {
        match self.frames.hear(frame) {
            Heard::Message(message) => {
                self.with(|machine, now| machine.handle_message(message, now));
            }
            Heard::Control => (),
            Heard::End(text) => self.hangup(&text),
        }
    }

    fn hangup(&mut self, text: &str) {
        self.with(|machine, now| machine.handle_hangup(text, now));
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Channels => self.list_channels(),
            Order::Policy(policy) => self.with(|machine, now| machine.set_policy(&policy, now)),
            Order::Close(code, text) => self.with(|machine, now| machine.close(code, &text, now)),
        }
    }

    /// Does what the machine says, until it says nothing more or the socket is busy.
    async fn act(&mut self) {
        while self.closed.is_none() {
            let machine = &self.entry.machine;
            let is_over = || machine.borrow().status().phase == Phase::Closed;
            if !self.frames.make_room(is_over) {
                return;
            }
            let Some(action) = self.with(|machine, _| machine.poll_action()) else { return };
            match action {
                Action::Send(message) => self.frames.push(message),
                Action::Admit { peer } => self.admit(&peer),
                Action::Established { peer, sends, receives, lz4 } => {
                    self.established(peer, sends, &receives, lz4);
                }
                Action::ListChannels => self.list_channels(),
                Action::Open { sub, channel, start } => self.open(sub, &channel, start),
                Action::Read { sub, max_bytes } => self.read(sub, max_bytes),
                Action::Acked { sub, committed, durable, .. } => {
                    self.acked(sub, committed, durable);
                }
                Action::Stopped { sub, .. } => drop(self.outgoing.remove(&sub)),
                Action::Offered { sub, channel, end, .. } => self.offered(sub, channel, end),
                Action::Receive { sub, batch, .. } => self.receive(sub, batch).await,
                Action::Ended { sub, .. } => drop(self.incoming.remove(&sub)),
                Action::Event(event) => self.event(event),
                Action::Close(closed) => self.closed = Some(closed),
            }
        }
    }

    fn admit(&self, peer: &Peer) {
        let Side::Hub { addr } = self.side else { return };
        let peers = self.shard.peers.borrow().clone();
        let verdict = match peers.policy.peer(peer.name.as_str()) {
            None => Err((CloseCode::NotAllowed, "not in allowlist".to_owned())),
            Some(policy) => {
                let most = peers.share(&peer.name).max_connections;
                let has = self.shard.connections_of(&peer.name);
                if has >= most {
                    let text = format!("{has} connections of this peer are open; allowed: {most}");
                    Err((CloseCode::RateLimited, text))
                } else {
                    Ok(policy)
                }
            }
        };
        match verdict {
            Ok(policy) => self.with(|machine, now| machine.admit(policy, now)),
            Err((code, text)) => {
                reject(self.shard, peer.name.as_str(), *addr, &text);
                self.with(|machine, now| machine.reject(code, &text, now));
            }
        }
    }

    fn established(&mut self, peer: Peer, sends: Vec<Filter>, receives: &[Filter], lz4: bool) {
        let texts = |filters: &[Filter]| -> Vec<String> {
            filters.iter().map(ToString::to_string).collect()
        };
        let (sending, receiving) = (texts(&sends), texts(receives));
        tracing::info!(peer = %peer.name, addr = self.entry.addr, ?sending, ?receiving, lz4, agent = peer.agent, "a link is up");
        self.audit_peer = audit_peer(peer.name.as_str(), &self.entry.addr);
        self.established = Some(Shard::now());
        *self.entry.peer.borrow_mut() = Some(peer.name.clone());
        self.entry.ephemeral.set(peer.ephemeral);
        let origins = {
            let peers = self.shard.peers.borrow();
            self.rate.set(peers.share(&peer.name).rate.filter(|_| self.entry.inbound));
            peers.policy.peer(peer.name.as_str()).map(|policy| policy.origins)
        };
        self.via = Some(Rc::new(Via {
            peer: peer.name.clone(),
            origins: origins.filter(|_| self.entry.inbound).unwrap_or_default(),
        }));
        self.replace_older(&peer);
        if self.entry.inbound && !peer.ephemeral {
            self.shard.follow(&peer.name, &sends);
        }
        self.peer = Some(peer);
        self.sends = sends;
        let event = match self.side {
            Side::Hub { .. } => AuditEvent::ClientConnected {
                peer: self.audit_peer.clone(),
                subscribe: sending,
                publish: receiving,
            },
            Side::Dialer { state, .. } => {
                let mut state = state.borrow_mut();
                state.phase = DialPhase::Connected;
                state.failures = 0;
                AuditEvent::PeerConnected { peer: self.audit_peer.clone(), failed: None }
            }
        };
        self.shard.audit.log(event);
    }

    /// Ends links of an earlier life of the peer: a batch that is late on one of them could be taken for
    /// one of this life.
    fn replace_older(&self, peer: &Peer) {
        let others = self.shard.entries().into_iter().filter(|it| it.id != self.entry.id);
        for other in others {
            let Some(old) = other.machine.borrow().status().peer else { continue };
            let is_older = old.name == peer.name
                && old.node == peer.node
                && old.incarnation < peer.incarnation;
            if is_older {
                let text = "the node was started again".to_owned();
                let _ended = other.orders.send(Order::Close(CloseCode::Replaced, text));
            }
        }
    }

    /// Tells the machine of every channel that the peer receives.
    fn list_channels(&mut self) {
        let names = match self.shard.node.store().channels() {
            Ok(names) => names,
            Err(error) => {
                tracing::error!(%error, "channels could not be listed for a link");
                return;
            }
        };
        let mut gone = std::mem::take(&mut self.told);
        for name in names.iter().filter(|name| matches_any(&self.sends, name)) {
            let channel = match self.shard.existing(name) {
                Ok(channel) => channel,
                Err(ChannelError::NotFound(_)) => continue,
                Err(error) => {
                    tracing::error!(channel = %name, %error, "a channel cannot be sent");
                    continue;
                }
            };
            let info = log_info(&channel);
            if gone.get(name).is_none_or(|told| told.log != info.log) {
                self.keep(name);
            }
            let told = match gone.remove(name) {
                Some(told) if told.log == info.log => told,
                Some(_) => {
                    self.with(|machine, now| machine.channel_removed(name, now));
                    Told { log: info.log, live_after: 0 }
                }
                None => {
                    let made_since = self.there.as_ref().is_some_and(|there| !there.contains(name));
                    Told { log: info.log, live_after: if made_since { 0 } else { info.last } }
                }
            };
            self.told.insert(name.clone(), told);
            self.with(|machine, now| machine.channel(name, &info, now));
        }
        for name in gone.keys() {
            self.with(|machine, now| machine.channel_removed(name, now));
        }
        if self.is_ephemeral() {
            self.there = Some(names.into_iter().collect());
        }
    }

    /// Keeps all of a channel that was made since anybody looked, before its end can be taken for where
    /// the peer starts.
    fn keep(&self, name: &ChannelName) {
        let Some(peer) = self.peer.as_ref().filter(|peer| !peer.ephemeral) else { return };
        let (is_peer, of) = match self.side {
            Side::Hub { .. } => (true, peer.name.as_str()),
            Side::Dialer { hub, .. } => (false, hub.addr.as_str()),
        };
        let followers = self.shard.followers.borrow();
        if let Some(it) = followers.iter().find(|it| it.is_peer == is_peer && it.name == of) {
            it.keep(&self.shard.node, name, false);
        }
    }

    /// Whether the peer keeps no files, so that nothing is remembered of it here either.
    fn is_ephemeral(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.ephemeral)
    }

    /// Where a peer starts that wants only what is published while it is connected: at what was said
    /// before it learnt that it is, so that nothing it may count on is missed.
    fn live_start(&self, name: &ChannelName) -> Start {
        match self.told.get(name) {
            Some(Told { log, live_after }) => {
                // An epoch ends with the process, and a link before that.
                let epoch = self.shard.existing(name).map_or(0, |channel| channel.epoch());
                Start::After(Position { log: *log, epoch, seq: *live_after })
            }
            None => Start::Live,
        }
    }

    /// Under which subscriber what the peer has not acknowledged is kept.
    fn kept_as(&self) -> Option<SubscriberId> {
        let peer = self.peer.as_ref().filter(|peer| !peer.ephemeral)?;
        match self.side {
            Side::Hub { .. } => subscriber_id(peer.name.as_str()),
            Side::Dialer { hub, .. } => subscriber_id(&hub.addr),
        }
    }

    fn open(&mut self, sub: OutSub, name: &ChannelName, start: Start) {
        let start = match start {
            Start::Live if self.is_ephemeral() => self.live_start(name),
            start => start,
        };
        let kept_as = self.kept_as();
        let opened =
            self.shard.existing(name).map_err(|error| error.to_string()).and_then(|channel| {
                let peer = self.audit_peer.clone();
                Outbox::open(self.shard, channel, start, kept_as.as_ref(), peer)
                    .map_err(|error| error.to_string())
            });
        match opened {
            Ok((outbox, opened)) => {
                self.outgoing.insert(sub, outbox);
                self.with(|machine, now| machine.opened(sub, opened, now));
            }
            Err(error) => {
                tracing::error!(channel = %name, error, "a channel cannot be sent");
                self.with(|machine, now| {
                    machine.withdraw(sub, RefuseCode::Unavailable, &error, now);
                });
            }
        }
    }

    fn read(&mut self, sub: OutSub, max_bytes: usize) {
        let now = Shard::now();
        let Some(outbox) = self.outgoing.get_mut(&sub) else { return };
        match outbox.read(max_bytes, now) {
            Ok(read) => {
                if read.at_end {
                    let ready = outbox.ready();
                    self.news.push(ready.map(move |()| News::Ready(sub)).boxed_local());
                }
                let mut pieces = read.items.iter().map(|item| item.as_piece());
                self.with(|machine, now| {
                    machine.read(sub, &mut pieces, read.after, read.at_end, now);
                });
            }
            Err(error) => {
                tracing::error!(peer = &*self.audit_peer.name, %error, "a channel cannot be read for a link");
                let text = error.to_string();
                self.with(|machine, now| {
                    machine.withdraw(sub, RefuseCode::Unavailable, &text, now);
                });
            }
        }
    }

    fn acked(&mut self, sub: OutSub, committed: u64, durable: u64) {
        let now = Shard::now();
        let Some(outbox) = self.outgoing.get_mut(&sub) else { return };
        let (events, written) = outbox.acked(committed, durable, now);
        for event in events {
            self.shard.audit.log(event);
        }
        if let Err(error) = written {
            tracing::warn!(peer = &*self.audit_peer.name, %error, "how far a peer is was not written; more is kept for it");
        }
    }

    fn offered(&mut self, sub: InSub, channel: ChannelName, end: Position) {
        let shard = self.shard.clone();
        let opening = async move {
            let opened = shard.inboxes.open(&shard.node, &channel).await;
            News::Opened(sub, channel, end, opened)
        };
        self.news.push(opening.boxed_local());
    }

    fn subscribe(
        &mut self,
        sub: InSub,
        channel: &ChannelName,
        end: Position,
        opened: Result<Rc<Inbox>, OpenInboxError>,
    ) {
        let known = opened.map_err(|error| error.to_string()).and_then(|inbox| {
            if self.is_ephemeral() {
                // It never sends again what it sent. Of what was not read, no position is written.
                return Ok((inbox, None));
            }
            match inbox.position(self.shard, end.log) {
                Ok(position) => Ok((inbox, position)),
                Err(error) => Err(error.to_string()),
            }
        });
        match known {
            Ok((inbox, position)) => {
                let start = match (position, self.side) {
                    (Some(position), _) => Start::After(position),
                    (None, Side::Dialer { hub, .. }) if hub.start == LinkStart::All => Start::All,
                    // A peer that dials us decides itself where it starts to send: with what it
                    // held back for us.
                    (None, Side::Dialer { .. } | Side::Hub { .. }) => Start::New,
                };
                let incoming = Incoming {
                    inbox,
                    storing: VecDeque::new(),
                    syncing: VecDeque::new(),
                    waiting: None,
                };
                self.incoming.insert(sub, incoming);
                self.with(|machine, now| machine.subscribe(sub, start, now));
            }
            Err(error) => {
                tracing::error!(%channel, error, "a channel cannot be received");
                self.with(|machine, now| {
                    machine.refuse(sub, RefuseCode::Unavailable, &error, now);
                });
            }
        }
    }

    async fn receive(&mut self, sub: InSub, batch: Batch) {
        let (Some(incoming), Some(via)) = (self.incoming.get_mut(&sub), &self.via) else { return };
        self.batches += 1;
        let nth = self.batches;
        incoming.storing.push_back(Storing { nth, position: batch.position(), stored: None });
        let (inbox, via, peer) = (incoming.inbox.clone(), via.clone(), self.audit_peer.clone());
        let (shard, entry, rate) = (self.shard.clone(), self.counters.clone(), self.rate.clone());
        let mut storing = async move {
            if let Some(pause) = rate.take(batch.len(), Shard::now()) {
                tokio::time::sleep(pause).await;
            }
            let stored = inbox.receive(&shard, &entry.counters, &via, &peer, &batch).await;
            News::Stored(sub, nth, stored)
        }
        .boxed_local();
        // The first poll takes its turn: see `Inbox::receive`.
        match futures_util::poll!(&mut storing) {
            Poll::Ready(news) => self.learn(news),
            Poll::Pending => self.news.push(storing),
        }
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Ready(sub) => self.with(|machine, now| machine.ready(sub, now)),
            News::Opened(sub, channel, end, opened) => self.subscribe(sub, &channel, end, opened),
            News::Stored(sub, nth, Ok(stored)) => self.stored(sub, nth, stored),
            News::Stored(sub, _, Err(error)) => {
                tracing::error!(peer = &*self.audit_peer.name, %error, "what a peer sent was not stored; it will send it again");
                if self.incoming.remove(&sub).is_some() {
                    let text = error.to_string();
                    self.with(|machine, now| machine.failed(sub, &text, now));
                }
            }
            News::Safe(sub, need) => self.safe(sub, need),
        }
    }

    /// A batch is in the log.
    fn stored(&mut self, sub: InSub, nth: u64, stored: Stored) {
        let Some(incoming) = self.incoming.get_mut(&sub) else { return };
        if let Some(storing) = incoming.storing.iter_mut().find(|storing| storing.nth == nth) {
            storing.stored = Some(stored);
        }
        let mut committed = None;
        while let Some(front) = incoming.storing.front() {
            let Some(stored) = &front.stored else { break };
            committed = Some(front.position.seq);
            incoming.syncing.push_back((stored.need, front.position));
            incoming.storing.pop_front();
        }
        let Some(seq) = committed else { return };
        self.with(|machine, now| machine.committed(sub, seq, now));
        self.await_safety(sub);
    }

    /// Waits for the newest of what is in the log to be synced: one wait at a time, however many
    /// batches it is for.
    fn await_safety(&mut self, sub: InSub) {
        let Some(incoming) = self.incoming.get_mut(&sub) else { return };
        if incoming.waiting.is_some() {
            return;
        }
        let Some((need, _)) = incoming.syncing.back() else { return };
        let need = *need;
        incoming.waiting = Some(need);
        let safe = incoming.inbox.clone().safe(need);
        self.news.push(safe.map(move |()| News::Safe(sub, need)).boxed_local());
    }

    fn safe(&mut self, sub: InSub, need: u64) {
        let Some(incoming) = self.incoming.get_mut(&sub) else { return };
        incoming.waiting = None;
        let mut position = None;
        while let Some((_, at)) = incoming.syncing.front().filter(|(it, _)| *it <= need) {
            position = Some(*at);
            incoming.syncing.pop_front();
        }
        let inbox = incoming.inbox.clone();
        if let Some(position) = position {
            if let Err(error) = inbox.note_position(position) {
                tracing::warn!(%error, "how far a peer was received was not written; it will repeat some");
            }
            self.with(|machine, now| machine.synced(sub, position.seq, now));
        }
        self.await_safety(sub);
    }

    fn event(&mut self, event: Event) {
        let peer = self.audit_peer.clone();
        match event {
            Event::PolicyViolation { channel, inbound } => {
                add(&self.entry.counters.refused, 1);
                let verb = if inbound { "send" } else { "receive" };
                let reason = format!("it may not {verb} this channel");
                tracing::warn!(peer = &*peer.name, channel, reason, "a peer asked for too much");
                let direction = match inbound {
                    true => pubsub_audit::Direction::Inbound,
                    false => pubsub_audit::Direction::Outbound,
                };
                let mut ids = pubsub_audit::Ids::default();
                ids.push_text("");
                let channel = channel.into();
                let messages = pubsub_audit::Messages { peer, channel, direction, ids };
                self.shard.audit.log(AuditEvent::PolicyViolation { messages, reason });
            }
            Event::Refused { channel, code, text } => {
                tracing::warn!(peer = &*peer.name, %channel, %code, text, "the peer does not take a channel");
            }
            Event::ReplayGap { channel, missing } => {
                add(&self.entry.counters.gaps, missing.last - missing.first + 1);
                let reason = match missing.why {
                    MissingReason::Retention => "retention removed them before they were sent",
                    MissingReason::Damage => "their records are damaged",
                };
                let (first, last) = (missing.first, missing.last);
                tracing::error!(peer = &*peer.name, %channel, first, last, reason, "messages cannot be sent");
                self.shard.audit.log(AuditEvent::ReplayGap {
                    peer,
                    channel: channel.as_str().into(),
                    direction: pubsub_audit::Direction::Outbound,
                    first,
                    last,
                    reason: reason.to_owned(),
                });
            }
            Event::Held { channel, seq, bytes, limit } => {
                tracing::error!(peer = &*peer.name, %channel, seq, bytes, limit, "a message is larger than the peer takes; its channel waits until the peer's limit is raised");
            }
            Event::ListsChanged { sends, receives } => {
                tracing::info!(
                    peer = &*peer.name,
                    ?sends,
                    ?receives,
                    "what flows over a link changed"
                );
                if let Some(peer) =
                    self.peer.as_ref().filter(|it| self.entry.inbound && !it.ephemeral)
                {
                    self.shard.follow(&peer.name, &sends);
                }
                self.sends = sends;
            }
            event => tracing::info!(peer = &*peer.name, ?event, "link"),
        }
    }

    fn say_goodbye(&self, closed: &Closed, up: Option<Duration>) {
        let Some(up) = up else { return };
        let unacked = self.entry.machine.borrow().status().in_flight_bytes;
        tracing::info!(peer = &*self.audit_peer.name, addr = self.entry.addr, up_seconds = up.as_secs(), %closed, "a link ended");
        self.shard.audit.log(AuditEvent::PeerDisconnected {
            peer: self.audit_peer.clone(),
            up,
            unacked_bytes: (!self.entry.inbound).then_some(unacked),
            reason: closed.to_string(),
        });
    }
}

/// A peer's share of messages a second.
#[derive(Debug, Default)]
struct Rate {
    limit: Cell<Option<u64>>,
    /// Until when the share is used up.
    used_until: Cell<Duration>,
}

impl Rate {
    fn set(&self, limit: Option<u64>) {
        self.limit.set(limit);
    }

    /// Takes the share of `messages`; how long to wait before they are taken in.
    fn take(&self, messages: usize, now: Duration) -> Option<Duration> {
        let limit = self.limit.get()?;
        let begin = self.used_until.get().max(now);
        let nanos = (messages as u128 * 1_000_000_000) / u128::from(limit);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.used_until.set(begin.saturating_add(cost));
        let wait = begin - now;
        (!wait.is_zero()).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_used_its_share_waits_for_as_long_as_the_rest_takes() {
        let rate = Rate::default();
        let at = Duration::from_secs;
        assert_eq!(rate.take(1_000_000, at(1)), None, "no limit");
        rate.set(Some(100));
        assert_eq!(rate.take(50, at(1)), None);
        assert_eq!(rate.take(50, at(1)), Some(Duration::from_millis(500)));
        assert_eq!(rate.take(1, at(1)), Some(at(1)));
        assert_eq!(rate.take(1, at(60)), None);
    }
}
