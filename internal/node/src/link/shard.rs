//! All links of a node, on one thread of their own.
//!
//! ```text
//!   anybody ── Command ──▶ shard ──▶ hub: accepts    dial: one task for each hub    watch: files, time
//!                            │            ╰────────────┴──▶ drive: one task for each link
//!                            ╰──▶ inboxes: what each channel received, shared by all links
//! ```
//!
//! Links are plain values here, and nothing is locked. Whoever publishes never waits for this thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pubsub_audit::AuditLog;
use pubsub_federation::{CloseCode, Link, NodeName, PeerPolicy, SessionConfig};
use pubsub_storage::{Channel, ChannelError, PositionFile, Start};
use pubsub_tls::Reloading;
use pubsub_types::{ChannelName, Filter, SubscriberId};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::inbox::Inboxes;
use super::kept::Follower;
use super::settings::{LinkSettings, Peers};
use super::status::DialState;
use crate::{Node, clock};

/// What every task of the shard shares.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) node: Arc<Node>,
    pub(crate) settings: LinkSettings,
    pub(crate) tls: Option<Reloading>,
    pub(crate) audit: AuditLog,
    pub(crate) peers: RefCell<Rc<Peers>>,
    pub(crate) inboxes: Inboxes,
    pub(crate) links: RefCell<BTreeMap<LinkId, Rc<LinkEntry>>>,
    pub(crate) dials: RefCell<Vec<Rc<RefCell<DialState>>>>,
    /// Those that we send to: all hubs, and the peers that were ever here.
    pub(crate) followers: RefCell<Vec<Follower>>,
    pub(crate) counters: HubCounters,
    /// Ends the listener and the dialers.
    pub(crate) ending: CancellationToken,
    /// Tasks of links, and those that may start one.
    pub(crate) tasks: TaskTracker,
    next_link: Cell<u64>,
}

/// A link, as long as this node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u64);

/// Counts of the listener since the start.
#[derive(Debug, Default)]
pub(crate) struct HubCounters {
    pub(crate) accepted: Cell<u64>,
    pub(crate) rejected: Cell<u64>,
    /// Connections that are not links yet.
    pub(crate) greeting: Cell<usize>,
}

/// A link that is up or shaking hands.
#[derive(Debug)]
pub(crate) struct LinkEntry {
    pub(crate) id: LinkId,
    pub(crate) machine: RefCell<Box<dyn Link>>,
    /// Whether the peer dialled us.
    pub(crate) inbound: bool,
    /// The hub that we dialled, as configured.
    pub(crate) hub: Option<String>,
    pub(crate) addr: String,
    pub(crate) peer: RefCell<Option<NodeName>>,
    /// The peer keeps no files, and nothing is kept for it.
    pub(crate) ephemeral: Cell<bool>,
    /// Who the peer is by its certificate.
    pub(crate) certified: Option<pubsub_tls::Peer>,
    /// Since the start of the process.
    pub(crate) since: Duration,
    pub(crate) counters: LinkCounters,
    pub(crate) orders: UnboundedSender<Order>,
}

/// Counts of a link since it began.
#[derive(Debug, Default)]
pub(crate) struct LinkCounters {
    pub(crate) stored: Cell<u64>,
    pub(crate) duplicates: Cell<u64>,
    pub(crate) looped: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) gaps: Cell<u64>,
}

pub(crate) fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get().saturating_add(count));
}

/// What a link is told from outside.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Channels were made or removed.
    Channels,
    /// The allowlist says something else of the peer.
    Policy(PeerPolicy),
    /// End it.
    Close(CloseCode, String),
}

impl Shard {
    pub(crate) fn new(
        node: Arc<Node>,
        settings: LinkSettings,
        tls: Option<Reloading>,
        audit: AuditLog,
        followers: Vec<Follower>,
    ) -> Rc<Self> {
        let peers = settings.hub.as_ref().map(|hub| hub.peers.clone()).unwrap_or_default();
        let inboxes = Inboxes::new(settings.session.name.clone(), settings.seen_ids);
        Rc::new(Self {
            node,
            settings,
            tls,
            audit,
            peers: RefCell::new(Rc::new(peers)),
            inboxes,
            links: RefCell::default(),
            dials: RefCell::default(),
            followers: RefCell::new(followers),
            counters: HubCounters::default(),
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
            next_link: Cell::new(1),
        })
    }

    pub(crate) fn next_link_id(&self) -> LinkId {
        let id = self.next_link.get();
        self.next_link.set(id + 1);
        LinkId(id)
    }

    /// Time since the process started, which never runs backwards.
    pub(crate) fn now() -> Duration {
        clock::since_start()
    }

    /// The links that are there, in the order in which they began.
    pub(crate) fn entries(&self) -> Vec<Rc<LinkEntry>> {
        self.links.borrow().values().cloned().collect()
    }

    /// Links that the peer of this name dialled.
    pub(crate) fn connections_of(&self, name: &NodeName) -> usize {
        let links = self.links.borrow();
        links.values().filter(|it| it.inbound && it.peer.borrow().as_ref() == Some(name)).count()
    }

    /// The channel of this name, if there is one.
    pub(crate) fn existing(&self, name: &ChannelName) -> Result<Arc<Channel>, ChannelError> {
        self.node.store().channel(name, clock::now())
    }

    /// The position kept under `id`, if there is one.
    pub(crate) fn retained(
        &self,
        channel: &Arc<Channel>,
        id: &SubscriberId,
    ) -> Result<Option<u64>, ChannelError> {
        let store = self.node.store();
        let name = channel.name();
        let known = store.position(name, id).map_err(|source| ChannelError::Io {
            channel: name.clone(),
            what: "read a position",
            source,
        })?;
        // Opened, it is moved back to what survived an unclean end.
        known
            .map(|_| store.subscriber(channel, id, Start::FromStart).map(|it| it.seq()))
            .transpose()
    }

    /// Keeps what comes after `seq` for the peer that `id` stands for, unless more is kept already.
    pub(crate) fn keep(
        &self,
        channel: &Arc<Channel>,
        id: &SubscriberId,
        seq: u64,
    ) -> Result<Arc<PositionFile>, ChannelError> {
        self.node.store().subscriber(channel, id, Start::After(seq))
    }

    /// What a new link is told of this node.
    pub(crate) fn session_config(&self) -> SessionConfig {
        let node = self.node.store().node();
        SessionConfig {
            node: node.id,
            incarnation: node.incarnation,
            ..self.settings.session.clone()
        }
    }

    /// Keeps for a peer that is here what it gets, from now on and whether it is connected or not.
    pub(crate) fn follow(&self, peer: &NodeName, filters: &[Filter]) {
        let start = self.peers.borrow().share(peer).start;
        let (name, filters) = (peer.to_string(), filters.to_vec());
        let follower = Follower { name, is_peer: true, filters, start };
        follower.follow(&self.node);
        let mut followers = self.followers.borrow_mut();
        followers.retain(|known| !known.is_peer || known.name != follower.name);
        followers.push(follower);
    }

    /// Tells every link that channels were made or removed.
    pub(crate) fn channels_changed(&self) {
        for entry in self.entries() {
            // A link that just ended takes no orders.
            let _ended = entry.orders.send(Order::Channels);
        }
    }

    /// Puts another allowlist in force: links are re-checked at once.
    pub(crate) fn set_peers(&self, peers: Peers) {
        let peers = Rc::new(peers);
        let old = self.peers.replace(peers.clone());
        if *old == *peers {
            return;
        }
        for entry in self.entries().into_iter().filter(|entry| entry.inbound) {
            let Some(name) = entry.peer.borrow().clone() else { continue };
            let order = match peers.policy.peer(name.as_str()) {
                Some(policy) => Order::Policy(policy.clone()),
                None => {
                    let text = "the hub's list of allowed peers no longer has it".to_owned();
                    self.audit.log(pubsub_audit::Event::PeerRevoked {
                        peer: audit_peer(name.as_str(), &entry.addr),
                        reason: text.clone(),
                    });
                    Order::Close(CloseCode::NotAllowed, text)
                }
            };
            let _ended = entry.orders.send(order);
        }
        self.audit
            .log(pubsub_audit::Event::PolicyReloaded { detail: describe_change(&old, &peers) });
    }
}

pub(crate) fn audit_peer(name: &str, addr: &str) -> pubsub_audit::Peer {
    pubsub_audit::Peer { name: name.into(), addr: addr.into() }
}

/// What is new in an allowlist, in a line.
fn describe_change(old: &Peers, new: &Peers) -> String {
    let names = |peers: &Peers| -> Vec<NodeName> {
        peers.policy.peers().map(|(name, _)| name.clone()).collect()
    };
    let (before, after) = (names(old), names(new));
    let mut parts = Vec::new();
    let mut part = |what: &str, names: Vec<&NodeName>| {
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().map(NodeName::as_str).collect();
            parts.push(format!("{what} {}", names.join(", ")));
        }
    };
    part("added", after.iter().filter(|name| !before.contains(name)).collect());
    part("removed", before.iter().filter(|name| !after.contains(name)).collect());
    let changed = |name: &&NodeName| {
        let policy = |peers: &Peers| peers.policy.peer(name.as_str()).cloned();
        before.contains(name) && (policy(old) != policy(new) || old.share(name) != new.share(name))
    };
    part("changed", after.iter().filter(changed).collect());
    parts.join("; ")
}
