//! Nodes, connections between them, and everything that goes wrong with either.
//!
//! One seed, one history: events in order of time, and every choice from one generator.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pubsub_federation::{Message, OutSub, PeerPolicy};
use pubsub_sim::Rng;
use pubsub_types::{ChannelName, Filter};
use uuid::Uuid;

use crate::node::{Node, Sabotage, Wish};
use crate::topology::Topology;

const MS: Duration = Duration::from_millis(1);

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) cuts: bool,
    pub(crate) crashes: bool,
    pub(crate) failures: bool,
    /// Records of one node that can no longer be read.
    pub(crate) damage: bool,
}

impl Faults {
    pub(crate) const ALL: Self = Self { cuts: true, crashes: true, failures: true, damage: false };
    pub(crate) const NONE: Self =
        Self { cuts: false, crashes: false, failures: false, damage: false };
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    topology: Topology,
    conns: BTreeMap<u64, Conn>,
    events: BTreeMap<(Duration, u64), Event>,
    pub(crate) now: Duration,
    counter: u64,
    rng: Rng,
    faults: Faults,
    /// Ids of what was published, and by whom.
    pub(crate) published: Vec<(Uuid, usize, ChannelName)>,
    syncing: BTreeSet<usize>,
    pub(crate) steps: u64,
    /// A digest of all that happened.
    pub(crate) trace: u64,
    damaged_node: Option<usize>,
}

struct Conn {
    nodes: [usize; 2],
    ways: [Way; 2],
}

/// One direction of a connection: what was sent first comes first.
struct Way {
    delay: Duration,
    bytes_per_ms: u64,
    /// When the last message arrives.
    busy_until: Duration,
    /// Nothing arrives any more, and nobody is told.
    stalled: bool,
}

enum Event {
    Deliver {
        conn: u64,
        to: usize,
        message: Message,
    },
    Hangup {
        conn: u64,
        to: usize,
    },
    Tick {
        conn: u64,
        node: usize,
    },
    Read {
        conn: u64,
        node: usize,
        sub: OutSub,
        max_bytes: usize,
    },
    Sync {
        node: usize,
    },
    Flush {
        node: usize,
    },
    Publish {
        node: usize,
    },
    Dial {
        edge: usize,
    },
    Restart {
        node: usize,
    },
    Fault,
    /// The allowlist is as before.
    Allow {
        node: usize,
    },
}

impl World {
    pub(crate) fn new(topology: Topology, seed: u64, faults: Faults, sabotage: Sabotage) -> Self {
        let mut rng = Rng::new(seed);
        let channels: Vec<ChannelName> =
            ["orders", "metrics"].map(|name| ChannelName::new(name).unwrap()).into();
        let nodes: Vec<Node> = topology
            .names
            .iter()
            .map(|name| Node::new(name, &channels, sabotage, rng.fork()))
            .collect();
        let mut world = Self {
            nodes,
            topology,
            conns: BTreeMap::new(),
            events: BTreeMap::new(),
            now: Duration::ZERO,
            counter: 0,
            rng,
            faults,
            published: Vec::new(),
            syncing: BTreeSet::new(),
            steps: 0,
            trace: 0,
            damaged_node: None,
        };
        for edge in 0..world.topology.edges.len() {
            world.at(MS * 10, Event::Dial { edge });
        }
        for node in 0..world.nodes.len() {
            world.at(MS * 500, Event::Flush { node });
        }
        world
    }

    fn at(&mut self, delay: Duration, event: Event) {
        self.counter += 1;
        self.events.insert((self.now + delay, self.counter), event);
    }

    fn random(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        let micros = self.rng.below((most_ms - least_ms) * 1000);
        MS * u32::try_from(least_ms).unwrap() + Duration::from_micros(micros)
    }

    /// Publishes `messages` over `time`, with faults in between; then everything heals.
    pub(crate) fn disturb(&mut self, messages: u32, time: Duration) {
        let most = u64::try_from(time.as_millis()).unwrap();
        for _ in 0..messages {
            let node = self.rng.index(self.nodes.len());
            let delay = self.random(0, most);
            self.at(delay, Event::Publish { node });
        }
        let faults = if self.faults.cuts || self.faults.crashes { messages / 6 + 2 } else { 0 };
        for _ in 0..faults {
            let delay = self.random(0, most);
            self.at(delay, Event::Fault);
        }
        if self.faults.damage {
            self.damaged_node = Some(self.rng.index(self.nodes.len()));
        }
        self.run_until(self.now + time);
        self.heal();
    }

    fn heal(&mut self) {
        self.faults = Faults::NONE;
        for node in &mut self.nodes {
            (node.failing_appends, node.failing_syncs) = (0, 0);
        }
        let stalled = self.conns.values_mut().flat_map(|conn| &mut conn.ways);
        stalled.for_each(|way| (way.delay, way.bytes_per_ms) = (MS, 10_000));
        // What is stalled stays so: heartbeats find it.
    }

    pub(crate) fn run_until(&mut self, until: Duration) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.steps += 1;
            self.step(event);
        }
        self.now = until;
    }

    fn note(&mut self, what: u64) {
        let mixed = self.trace ^ what ^ u64::try_from(self.now.as_nanos()).unwrap();
        self.trace = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    }

    fn step(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Deliver { conn, to, message } => {
                self.note(conn << 8 | to as u64);
                self.note(message.len() as u64);
                self.nodes[to].hear(conn, message, now);
                self.fulfil(to);
            }
            Event::Hangup { conn, to } => {
                self.nodes[to].hangup(conn, now);
                self.fulfil(to);
            }
            Event::Tick { conn, node } => {
                self.nodes[node].tick(conn, now);
                self.fulfil(node);
            }
            Event::Read { conn, node, sub, max_bytes } => {
                self.nodes[node].read(conn, sub, max_bytes, now);
                self.fulfil(node);
            }
            Event::Sync { node } => {
                self.syncing.remove(&node);
                if self.nodes[node].up {
                    self.nodes[node].sync(now);
                    self.fulfil(node);
                }
            }
            Event::Flush { node } => {
                if self.nodes[node].up {
                    self.nodes[node].flush(now);
                    self.fulfil(node);
                    let neighbours = self.topology.neighbours(node);
                    self.nodes[node].trim(&neighbours);
                }
                let delay = self.random(200, 800);
                self.at(delay, Event::Flush { node });
            }
            Event::Publish { node } => self.publish(node),
            Event::Dial { edge } => self.dial(edge, true),
            Event::Restart { node } => self.restart(node),
            Event::Fault => self.fault(),
            Event::Allow { node } => {
                self.nodes[node].set_policy(&PeerPolicy::default(), now);
                self.fulfil(node);
            }
        }
    }

    fn publish(&mut self, node: usize) {
        if !self.nodes[node].up {
            return;
        }
        let name = if self.rng.chance(1, 4) { "metrics" } else { "orders" };
        let channel = ChannelName::new(name).unwrap();
        let size = match self.rng.below(60) {
            // Longer than a frame.
            0 => 300_000,
            1..=3 => self.rng.index(100_000),
            4..=15 => self.rng.index(3_000),
            _ => self.rng.index(40),
        };
        let payload = vec![b'x'; size];
        let now = self.now;
        for _ in 0..=self.rng.below(4) {
            let id = self.nodes[node].publish(&channel, &payload, now);
            self.published.push((id, node, channel.clone()));
        }
        self.fulfil(node);
    }

    /// Does what a node wants.
    fn fulfil(&mut self, node: usize) {
        for wish in std::mem::take(&mut self.nodes[node].wishes) {
            match wish {
                Wish::Send { conn, message } => self.send(conn, node, message),
                Wish::Read { conn, sub, max_bytes } => {
                    let delay = if self.rng.coin() { Duration::ZERO } else { self.random(0, 5) };
                    self.at(delay, Event::Read { conn, node, sub, max_bytes });
                }
                Wish::Tick { conn, at } => {
                    let delay = at.saturating_sub(self.now);
                    if !self.events.range((at, 0)..=(at, u64::MAX)).any(|(_, event)| {
                        matches!(event, Event::Tick { conn: same, node: here }
                            if *same == conn && *here == node)
                    }) {
                        self.at(delay, Event::Tick { conn, node });
                    }
                }
                Wish::Sync => {
                    if self.syncing.insert(node) {
                        let most = if self.nodes[node].periodic { 1000 } else { 20 };
                        let delay = self.random(0, most);
                        self.at(delay, Event::Sync { node });
                    }
                }
                Wish::Ended { conn, redial } => {
                    if let Some(it) = self.conns.get(&conn) {
                        // The other end hears of it behind what was sent.
                        let side = usize::from(it.nodes[0] == node);
                        let (to, at) = (it.nodes[side], it.ways[side].busy_until);
                        let delay = at.saturating_sub(self.now) + MS;
                        self.at(delay, Event::Hangup { conn, to });
                    }
                    if let Some((edge, wait)) = redial {
                        self.at(wait, Event::Dial { edge });
                    }
                }
            }
        }
    }

    fn send(&mut self, conn: u64, from: usize, message: Message) {
        let Some(it) = self.conns.get_mut(&conn) else { return };
        let side = usize::from(it.nodes[0] == from);
        let (to, way) = (it.nodes[side], &mut it.ways[side]);
        if way.stalled {
            return;
        }
        let takes = MS * u32::try_from(message.len() as u64 / way.bytes_per_ms).unwrap();
        let jitter = Duration::from_micros(self.rng.below(2_000));
        let at = (self.now + way.delay + jitter).max(way.busy_until) + takes;
        way.busy_until = at;
        let delay = at - self.now;
        self.at(delay, Event::Deliver { conn, to, message });
    }

    fn dial(&mut self, edge: usize, again: bool) {
        let (from, to) = self.topology.edges[edge];
        if !self.nodes[from].up {
            // Dialled when it is back.
            return;
        }
        if !self.nodes[to].up {
            if again {
                let delay = self.random(100, 1000);
                self.at(delay, Event::Dial { edge });
            }
            return;
        }
        self.counter += 1;
        let conn = self.counter;
        let way = |world: &mut Self| Way {
            delay: if world.rng.chance(1, 5) { world.random(50, 400) } else { world.random(0, 10) },
            bytes_per_ms: if world.rng.chance(1, 5) { 100 } else { 10_000 },
            busy_until: Duration::ZERO,
            stalled: false,
        };
        let ways = [way(self), way(self)];
        self.conns.insert(conn, Conn { nodes: [from, to], ways });
        let now = self.now;
        self.nodes[to].accept(conn, now);
        self.fulfil(to);
        self.nodes[from].dial(conn, edge, now);
        self.fulfil(from);
    }

    fn restart(&mut self, node: usize) {
        if self.nodes[node].up {
            return;
        }
        self.nodes[node].restart();
        let edges = self.topology.edges.clone();
        for (edge, _) in edges.iter().enumerate().filter(|(_, edge)| edge.0 == node) {
            let delay = self.random(0, 100);
            self.at(delay, Event::Dial { edge });
        }
    }

    fn fault(&mut self) {
        let node = self.rng.index(self.nodes.len());
        self.note(node as u64);
        let now = self.now;
        match self.rng.below(12) {
            0..=2 if self.faults.crashes && self.nodes[node].up => {
                if self.damaged_node == Some(node) {
                    return;
                }
                for conn in self.nodes[node].crash() {
                    self.cut(conn);
                }
                let delay = self.random(50, 4000);
                self.at(delay, Event::Restart { node });
            }
            3..=5 if self.faults.cuts => {
                if let Some(conn) = self.any_conn() {
                    self.cut(conn);
                }
            }
            6 if self.faults.cuts => {
                let side = self.rng.index(2);
                if let Some(conn) = self.any_conn()
                    && let Some(conn) = self.conns.get_mut(&conn)
                {
                    conn.ways[side].stalled = true;
                }
            }
            7 if self.faults.cuts => {
                // A second connection beside the first, as after a reconnection that overtook its end.
                let edge = self.rng.index(self.topology.edges.len());
                self.dial(edge, false);
            }
            8 if self.faults.failures => self.nodes[node].failing_appends += 1,
            9 if self.faults.failures => self.nodes[node].failing_syncs += 1,
            10 if self.faults.failures && self.nodes[node].up => {
                let only = vec![Filter::new("metrics").unwrap()];
                let policy =
                    PeerPolicy { subscribe: only.clone(), publish: only, ..Default::default() };
                self.nodes[node].set_policy(&policy, now);
                self.fulfil(node);
                let delay = self.random(100, 3000);
                self.at(delay, Event::Allow { node });
            }
            _ => self.damage(),
        }
    }

    /// One more record of the one damaged node that can no longer be read.
    fn damage(&mut self) {
        let Some(node) = self.damaged_node else { return };
        let pick = self.rng.next_u64();
        for channel in self.nodes[node].channels.values_mut() {
            let last = channel.log.last();
            if last > 0 {
                channel.log.damaged.push(last - pick % last.min(4));
            }
        }
    }

    fn any_conn(&mut self) -> Option<u64> {
        let all: Vec<u64> = self.conns.keys().copied().collect();
        self.rng.pick(&all).copied()
    }

    /// What is on the way is lost, and both ends hear of it, each in its time.
    fn cut(&mut self, conn: u64) {
        let Some(gone) = self.conns.remove(&conn) else { return };
        self.events
            .retain(|_, event| !matches!(event, Event::Deliver { conn: of, .. } if *of == conn));
        for to in gone.nodes {
            let delay = self.random(0, 1500);
            self.at(delay, Event::Hangup { conn, to });
        }
    }

    /// Names of nodes and channels, for the checks.
    pub(crate) fn channels(&self) -> Vec<ChannelName> {
        self.nodes[0].channels.keys().cloned().collect()
    }
}
