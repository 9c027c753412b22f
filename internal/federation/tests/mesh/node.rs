//! A node: logs, positions and the ends of its links, driven as the shell drives them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pubsub_envelope::{MessageId, Meta, NewRecord};
use pubsub_federation::{
    Action, Backoff, Batch, CloseCode, Coverage, Dropped, Event, InSub, Inbound, Link, Lists,
    Message, NodeName, OutSub, PeerPolicy, Piece, Position, RefuseCode, SOURCES_MAX, SeenIds,
    Session, SessionConfig, Start, Taken, Via, resume,
};
use pubsub_sim::Rng;
use pubsub_types::{ChannelName, Filter, Timestamp};
use uuid::Uuid;

use crate::log::{Item, Log};

/// A fault in the shell, put there to see that the checks find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    None,
    /// A position is written down before what it speaks of is synced.
    PositionAheadOfSync,
    /// A position waits for the messages taken only, not for the copies of what was dropped.
    DuplicatesAreNotWaitedFor,
    /// What was taken before a crash is forgotten.
    CoverageIsForgotten,
    /// The coverage says more than the log has after a crash.
    CoverageOutlivesTheLog,
    /// What could not be stored stays taken.
    NothingIsUndone,
    /// What retention may delete is told too early.
    RetentionMovesOnCommitted,
}

pub(crate) struct Channel {
    pub(crate) log: Log,
    inbound: Inbound,
    /// Batches not yet synced, in the order in which they were appended.
    pending: VecDeque<Pending>,
}

/// A batch that was judged, and waits for its sync.
struct Pending {
    conn: u64,
    sub: InSub,
    via: Via,
    batch: Batch,
    taken: Taken,
    /// What the log must have synced.
    needs: u64,
}

/// What survives a crash.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    positions: BTreeMap<(String, ChannelName), Position>,
    /// What peers acknowledged durably.
    retained: BTreeMap<(String, ChannelName), u64>,
    coverage: BTreeMap<ChannelName, (u64, Vec<u8>)>,
}

/// One end of a connection.
struct End {
    session: Box<dyn Link>,
    via: Option<Via>,
    readers: BTreeMap<OutSub, (ChannelName, u64)>,
    subs: BTreeMap<InSub, ChannelName>,
    /// The edge of the topology that is dialled again when this ends.
    edge: Option<usize>,
    established_at: Option<Duration>,
}

pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) up: bool,
    incarnation: u64,
    pub(crate) channels: BTreeMap<ChannelName, Channel>,
    ids: SeenIds,
    ends: BTreeMap<u64, End>,
    pub(crate) disk: Disk,
    /// Written, and not yet safe from a crash.
    cache: Disk,
    /// What is acknowledged as durable once the positions are.
    unflushed: Vec<(u64, InSub, u64)>,
    /// Answers as soon as it wrote, and not only when it synced.
    pub(crate) periodic: bool,
    pub(crate) lz4: bool,
    pub(crate) window: u64,
    sabotage: Sabotage,
    /// Appends, and syncs of what came over links, that fail from now on.
    pub(crate) failing_appends: u32,
    pub(crate) failing_syncs: u32,
    met: BTreeMap<String, u64>,
    pub(crate) backoffs: BTreeMap<usize, Backoff>,
    /// What the world is to do.
    pub(crate) wishes: Vec<Wish>,
    pub(crate) rng: Rng,
}

/// What a node wants of the world.
pub(crate) enum Wish {
    Send { conn: u64, message: Message },
    Read { conn: u64, sub: OutSub, max_bytes: usize },
    Tick { conn: u64, at: Duration },
    Sync,
    Ended { conn: u64, redial: Option<(usize, Duration)> },
}

impl Node {
    pub(crate) fn new(
        name: &str,
        channels: &[ChannelName],
        sabotage: Sabotage,
        mut rng: Rng,
    ) -> Self {
        let name = NodeName::new(name).unwrap();
        let periodic = rng.coin();
        let channels = channels
            .iter()
            .map(|channel| {
                let id = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
                let log = Log::new(Uuid::from_u128(id), periodic);
                let inbound = Inbound::new(name.clone(), log.id, Coverage::default());
                (channel.clone(), Channel { log, inbound, pending: VecDeque::new() })
            })
            .collect();
        Self {
            name,
            up: true,
            incarnation: 1,
            channels,
            ids: SeenIds::new(1000),
            ends: BTreeMap::new(),
            disk: Disk::default(),
            cache: Disk::default(),
            unflushed: Vec::new(),
            periodic,
            lz4: rng.coin(),
            window: if rng.coin() { 64 << 10 } else { 1 << 20 },
            sabotage,
            failing_appends: 0,
            failing_syncs: 0,
            met: BTreeMap::new(),
            backoffs: BTreeMap::new(),
            wishes: Vec::new(),
            rng,
        }
    }

    /// All there is, for people who hunt a failing seed.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{} periodic={}\n", self.name, self.periodic);
        for (name, channel) in &self.channels {
            let log = &channel.log;
            text += &format!(
                "  {name} {} first={} synced={} {:?}\n",
                log.id,
                log.first,
                log.synced,
                log.info().epochs
            );
            for record in log.iter() {
                let meta = record.meta();
                text += &format!(
                    "    {} {} {:?} {:?}\n",
                    record.seq,
                    meta.id,
                    meta.source,
                    meta.route.as_str()
                );
            }
        }
        text += &format!(
            "  positions {:#?}\n  retained {:#?}\n",
            self.cache.positions, self.disk.retained
        );
        for (conn, end) in &self.ends {
            text += &format!("  {conn} {:#?}\n", end.session.status());
        }
        text
    }

    fn config(&self) -> SessionConfig {
        SessionConfig {
            incarnation: self.incarnation,
            window_bytes: self.window,
            batch_bytes: 4096,
            heartbeat: Duration::from_secs(1),
            lz4: self.lz4,
            message_max_bytes: 400_000,
            ..SessionConfig::new(self.name.clone())
        }
    }

    pub(crate) fn dial(&mut self, conn: u64, edge: usize, now: Duration) {
        let asks = Lists { subscribe: vec![Filter::all()], publish: vec![Filter::all()] };
        let session = Session::dial(self.config(), asks, now);
        self.adopt(conn, session, Some(edge), now);
    }

    pub(crate) fn accept(&mut self, conn: u64, now: Duration) {
        let session = Session::accept(self.config(), now);
        self.adopt(conn, session, None, now);
    }

    fn adopt(&mut self, conn: u64, session: Session, edge: Option<usize>, now: Duration) {
        let end = End {
            session: Box::new(session),
            via: None,
            readers: BTreeMap::new(),
            subs: BTreeMap::new(),
            edge,
            established_at: None,
        };
        self.ends.insert(conn, end);
        self.run(conn, now);
    }

    pub(crate) fn hear(&mut self, conn: u64, message: Message, now: Duration) {
        self.with(conn, now, |end| end.session.handle_message(message, now));
    }

    pub(crate) fn hangup(&mut self, conn: u64, now: Duration) {
        self.with(conn, now, |end| end.session.handle_hangup("cut", now));
    }

    pub(crate) fn tick(&mut self, conn: u64, now: Duration) {
        self.with(conn, now, |end| end.session.tick(now));
    }

    /// The operator changes what a peer may do, on all its links.
    pub(crate) fn set_policy(&mut self, policy: &PeerPolicy, now: Duration) {
        for conn in self.conns() {
            self.with(conn, now, |end| end.session.set_policy(policy, now));
        }
    }

    pub(crate) fn conns(&self) -> Vec<u64> {
        self.ends.keys().copied().collect()
    }

    fn with(&mut self, conn: u64, now: Duration, what: impl FnOnce(&mut End)) {
        if let Some(end) = self.ends.get_mut(&conn) {
            what(end);
            self.run(conn, now);
        }
    }

    /// Does what the link wants until it wants nothing.
    fn run(&mut self, conn: u64, now: Duration) {
        while let Some(action) = self.ends.get_mut(&conn).and_then(|end| end.session.poll_action())
        {
            self.act(conn, action, now);
        }
        if let Some(at) = self.ends.get(&conn).and_then(|end| end.session.deadline()) {
            self.wishes.push(Wish::Tick { conn, at });
        }
    }

    fn act(&mut self, conn: u64, action: Action, now: Duration) {
        let Some(end) = self.ends.get_mut(&conn) else { return };
        match action {
            Action::Send(message) => self.wishes.push(Wish::Send { conn, message }),
            Action::Admit { .. } => end.session.admit(&PeerPolicy::default(), now),
            Action::Established { peer, .. } => {
                end.via = Some(Via { peer: peer.name, origins: Default::default() });
                end.established_at = Some(now);
            }
            Action::ListChannels => {
                for (name, channel) in &self.channels {
                    end.session.channel(name, &channel.log.info(), now);
                }
            }
            Action::Open { sub, channel, start } => {
                let peer = end.via.as_ref().unwrap().peer.to_string();
                let log = self.channels[&channel].log.info();
                let key = (peer, channel.clone());
                let opened = resume(start, &log, self.disk.retained.get(&key).copied());
                // From now on, what comes after is held back for the peer.
                self.disk.retained.entry(key).or_insert(opened.after);
                if opened.missing.is_some() {
                    *self.met.entry("gap at the start".to_owned()).or_insert(0) += 1;
                }
                end.readers.insert(sub, (channel, opened.after));
                end.session.opened(sub, opened, now);
            }
            Action::Read { sub, max_bytes } => {
                self.wishes.push(Wish::Read { conn, sub, max_bytes });
            }
            Action::Acked { channel, committed, durable, .. } => {
                let peer = end.via.as_ref().unwrap().peer.to_string();
                let may_go = if self.sabotage == Sabotage::RetentionMovesOnCommitted {
                    committed
                } else {
                    durable
                };
                if let Some(retained) = self.disk.retained.get_mut(&(peer, channel)) {
                    *retained = (*retained).max(may_go);
                }
            }
            Action::Stopped { sub, .. } => {
                end.readers.remove(&sub);
            }
            Action::Offered { sub, channel, .. } => {
                let peer = end.via.as_ref().unwrap().peer.to_string();
                let start = match self.cache.positions.get(&(peer, channel.clone())) {
                    Some(position) => Start::After(*position),
                    None => Start::All,
                };
                end.subs.insert(sub, channel);
                end.session.subscribe(sub, start, now);
            }
            Action::Receive { sub, channel, batch } => {
                self.receive(conn, sub, &channel, batch, now);
            }
            Action::Ended { sub, .. } => {
                end.subs.remove(&sub);
            }
            Action::Event(event) => {
                let what = match event {
                    Event::Refused { .. } => "refused",
                    Event::ListsChanged { .. } => "lists changed",
                    Event::ReplayGap { .. } => "gap",
                    _ => "other",
                };
                self.meet(what, 1);
            }
            Action::Close(closed) => {
                let what = match closed.code {
                    CloseCode::Silent => "silent",
                    CloseCode::Lost => "lost",
                    // The mesh is honest, so nobody may be called a liar.
                    code => panic!("{}: {code:?}: {closed}", self.name),
                };
                self.meet(what, 1);
                self.ended(conn, now);
            }
        }
    }

    fn meet(&mut self, what: &str, times: u64) {
        *self.met.entry(what.to_owned()).or_insert(0) += times;
    }

    /// What came up in its life, and how often.
    pub(crate) fn met(&self) -> impl Iterator<Item = (&str, u64)> {
        self.met.iter().map(|(what, times)| (what.as_str(), *times))
    }

    fn ended(&mut self, conn: u64, now: Duration) {
        let Some(end) = self.ends.remove(&conn) else { return };
        let redial = end.edge.map(|edge| {
            let new = || Backoff::new(Duration::from_millis(200), Duration::from_secs(3), 0.5);
            let backoff = self.backoffs.entry(edge).or_insert_with(new);
            let up = end.established_at.map_or(Duration::ZERO, |at| now - at);
            backoff.ended_after(up);
            (edge, backoff.wait(self.rng.next_u64()))
        });
        self.wishes.push(Wish::Ended { conn, redial });
    }

    pub(crate) fn read(&mut self, conn: u64, sub: OutSub, max_bytes: usize, now: Duration) {
        let Some(end) = self.ends.get_mut(&conn) else { return };
        let Some((name, after)) = end.readers.get_mut(&sub) else { return };
        if self.rng.chance(1, 200) {
            end.readers.remove(&sub);
            end.session.withdraw(sub, RefuseCode::Unavailable, "the disk is slow", now);
        } else {
            let read = self.channels[name].log.read(*after, max_bytes);
            *after = read.after;
            let mut pieces = read.items.iter().map(|item| match item {
                Item::Record(record) => Piece::Record(record),
                Item::Missing(missing) => Piece::Missing(*missing),
            });
            end.session.read(sub, &mut pieces, read.after, read.at_end, now);
        }
        self.run(conn, now);
    }

    fn receive(&mut self, conn: u64, sub: InSub, name: &ChannelName, batch: Batch, now: Duration) {
        let Some(end) = self.ends.get_mut(&conn) else { return };
        if !end.subs.contains_key(&sub) {
            return;
        }
        let via = end.via.clone().unwrap();
        let channel = self.channels.get_mut(name).unwrap();
        let before = channel.log.last();
        let met = &mut self.met;
        let accepted = channel.inbound.judge(&via, &batch, &mut self.ids, |_, why: Dropped| {
            *met.entry(format!("{why:?}")).or_insert(0) += 1;
        });
        if self.failing_appends > 0 && !accepted.is_empty() {
            self.failing_appends -= 1;
            *met.entry("failed appends".to_owned()).or_insert(0) += 1;
            let taken = accepted.taken();
            if self.sabotage != Sabotage::NothingIsUndone {
                channel.inbound.undo(&via, &batch, &taken, &mut self.ids);
            }
            end.subs.remove(&sub);
            end.session.failed(sub, "no space left", now);
            return;
        }
        for record in accepted.records() {
            channel.log.append(&record);
        }
        let taken = accepted.taken();
        let took = !accepted.is_empty();
        drop(accepted);
        let needs = channel.log.last();
        if self.periodic {
            end.session.committed(sub, batch.position().seq, now);
        }
        let early = match self.sabotage {
            Sabotage::PositionAheadOfSync => true,
            Sabotage::DuplicatesAreNotWaitedFor => !took,
            _ => false,
        };
        if early {
            let key = (via.peer.to_string(), name.clone());
            remember(&mut self.cache.positions, key, batch.position());
        }
        channel.pending.push_back(Pending { conn, sub, via, batch, taken, needs });
        if channel.log.last() > before {
            self.woken(name, now);
        }
        self.wishes.push(Wish::Sync);
    }

    /// There is something new in the channel.
    fn woken(&mut self, name: &ChannelName, now: Duration) {
        for end in self.ends.values_mut() {
            for (sub, (channel, _)) in &end.readers {
                if channel == name {
                    end.session.ready(*sub, now);
                }
            }
        }
    }

    pub(crate) fn publish(&mut self, name: &ChannelName, payload: &[u8], now: Duration) -> Uuid {
        let id = u128::from(self.rng.next_u64()) << 64 | u128::from(self.rng.next_u64());
        let id = Uuid::from_u128(id);
        let origin = self.name.to_string();
        let meta = Meta { id: MessageId::Uuid(id), origin: &origin, ..Meta::default() };
        let time = Timestamp(i64::try_from(now.as_nanos()).unwrap());
        let new = NewRecord { time, subject: "", headers: b"", payload, meta };
        self.channels.get_mut(name).unwrap().log.append(&new);
        self.ids.insert(meta.id, true);
        self.woken(name, now);
        for conn in self.conns() {
            self.run(conn, now);
        }
        self.wishes.push(Wish::Sync);
        id
    }

    /// The disk is asked to keep what was written.
    pub(crate) fn sync(&mut self, now: Duration) {
        for name in self.channels.keys().cloned().collect::<Vec<_>>() {
            if self.failing_syncs > 0 && self.may_lose(&name) {
                self.failing_syncs -= 1;
                self.meet("failed syncs", 1);
                self.lose_unsynced(&name, now);
            } else {
                self.sync_channel(&name, now);
            }
        }
        for conn in self.conns() {
            self.run(conn, now);
        }
    }

    fn sync_channel(&mut self, name: &ChannelName, now: Duration) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        let news = channel.log.visible() < channel.log.last();
        channel.log.synced = channel.log.last();
        for pending in std::mem::take(&mut channel.pending) {
            assert!(pending.needs <= channel.log.synced);
            let position = pending.batch.position();
            let key = (pending.via.peer.to_string(), name.clone());
            remember(&mut self.cache.positions, key, position);
            if let Some(end) = self.ends.get_mut(&pending.conn)
                && end.subs.contains_key(&pending.sub)
            {
                end.session.committed(pending.sub, position.seq, now);
                self.unflushed.push((pending.conn, pending.sub, position.seq));
            }
        }
        if news {
            self.woken(name, now);
        }
    }

    /// Whether a failed sync may take what was not synced: nobody saw it yet, and no publisher was told
    /// that it is kept.
    fn may_lose(&self, name: &ChannelName) -> bool {
        let channel = &self.channels[name];
        let unsynced = usize::try_from(channel.log.synced).unwrap();
        let mut theirs = channel.log.iter().skip(unsynced).map(|record| record.meta().source);
        !self.periodic && !channel.pending.is_empty() && theirs.all(|source| source.is_some())
    }

    /// A sync fails: what was not synced is lost while the node lives.
    fn lose_unsynced(&mut self, name: &ChannelName, now: Duration) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        channel.log.truncate(channel.log.synced);
        while let Some(pending) = channel.pending.pop_back() {
            let Pending { via, batch, taken, .. } = &pending;
            if self.sabotage != Sabotage::NothingIsUndone {
                channel.inbound.undo(via, batch, taken, &mut self.ids);
            }
            if let Some(end) = self.ends.get_mut(&pending.conn) {
                end.subs.remove(&pending.sub);
                end.session.failed(pending.sub, "the sync failed", now);
            }
        }
    }

    /// Positions and checkpoints reach the disk some time after they were written. Only then is the peer
    /// told that it need not hold anything back: what it then drops must not be asked for again.
    pub(crate) fn flush(&mut self, now: Duration) {
        for (name, channel) in &self.channels {
            let whole = channel.log.last() == channel.log.synced;
            if whole || self.sabotage == Sabotage::CoverageOutlivesTheLog {
                let mut bytes = Vec::new();
                channel.inbound.coverage().encode(&mut bytes);
                self.cache.coverage.insert(name.clone(), (channel.log.last(), bytes));
            }
        }
        self.disk.positions = self.cache.positions.clone();
        self.disk.coverage = self.cache.coverage.clone();
        for (conn, sub, seq) in std::mem::take(&mut self.unflushed) {
            if let Some(end) = self.ends.get_mut(&conn)
                && end.subs.contains_key(&sub)
            {
                end.session.synced(sub, seq, now);
            }
        }
        for conn in self.conns() {
            self.run(conn, now);
        }
    }

    /// Retention takes what every neighbour has.
    pub(crate) fn trim(&mut self, neighbours: &[String]) {
        for (name, channel) in &mut self.channels {
            let held = neighbours
                .iter()
                .map(|peer| self.disk.retained.get(&(peer.clone(), name.clone())).copied())
                .collect::<Option<Vec<u64>>>();
            let folded = self.disk.coverage.get(name).map_or(0, |checkpoint| checkpoint.0);
            if let Some(least) = held.and_then(|held| held.into_iter().min()) {
                let may_go = least.min(channel.log.synced).min(folded);
                channel.log.first = channel.log.first.max(may_go + 1);
            }
        }
    }

    /// The node dies: connections, memory and what was not synced are gone.
    pub(crate) fn crash(&mut self) -> Vec<u64> {
        self.up = false;
        for channel in self.channels.values_mut() {
            let before = channel.log.last();
            channel.log.crash(&mut self.rng);
            let lost = before - channel.log.last();
            *self.met.entry("lost in a crash".to_owned()).or_insert(0) += lost;
            channel.pending.clear();
        }
        self.meet("epochs", 1);
        self.wishes.clear();
        self.unflushed.clear();
        let conns = self.conns();
        self.ends.clear();
        conns
    }

    /// And lives again.
    pub(crate) fn restart(&mut self) {
        self.up = true;
        self.incarnation += 1;
        self.ids = SeenIds::new(1000);
        self.backoffs.clear();
        // What was acknowledged of what is lost is nothing to go by.
        for ((_, channel), retained) in &mut self.disk.retained {
            *retained = (*retained).min(self.channels[channel].log.last());
        }
        self.cache = self.disk.clone();
        for (name, channel) in &mut self.channels {
            let (mut coverage, upto) = match self.disk.coverage.get(name) {
                Some((upto, bytes)) => (Coverage::decode(bytes, SOURCES_MAX).unwrap(), *upto),
                None => (Coverage::default(), 0),
            };
            if self.sabotage == Sabotage::CoverageIsForgotten {
                coverage = Coverage::default();
            } else {
                let later = channel.log.iter().filter(|record| record.seq > upto);
                later.for_each(|record| coverage.fold(&record.meta()));
            }
            channel.inbound = Inbound::new(self.name.clone(), channel.log.id, coverage);
        }
    }
}

/// Positions only move on, but for another log or a later epoch of the same.
fn remember(
    positions: &mut BTreeMap<(String, ChannelName), Position>,
    key: (String, ChannelName),
    new: Position,
) {
    let known = positions.entry(key).or_insert(new);
    let later = (new.epoch, new.seq) > (known.epoch, known.seq);
    if known.log != new.log || later {
        *known = new;
    }
}
