//! What is kept for those we send to, from the moment they are known, connected or not.
//!
//! ```text
//!   known now, channel was here before    its end, or its beginning where the configuration says so
//!   channel made later                    its beginning: everything in it is for them
//! ```
//!
//! A hub is known from the start at which it is configured, a peer from its first connection. What they
//! wanted then is noted, so that a channel made later, or shortly before a crash, is not taken for an old one.

use std::io;

use pubsub_config::LinkStart;
use pubsub_federation::matches_any;
use pubsub_storage::{ChannelError, Noted, Start};
use pubsub_types::{ChannelName, Filter};

use super::outbox::subscriber_id;
use super::settings::DialSettings;
use crate::{Node, clock};

/// Somebody we send to.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// Name of a peer, or address of a hub.
    pub(crate) name: String,
    /// Whether it dials us.
    pub(crate) is_peer: bool,
    /// The channels it gets.
    pub(crate) filters: Vec<Filter>,
    /// Where it starts in channels that are older than our knowing it.
    pub(crate) start: LinkStart,
}

impl Follower {
    /// A hub that we dial.
    pub(crate) fn hub(hub: &DialSettings) -> Self {
        let (name, filters) = (hub.addr.clone(), hub.lists.publish.clone());
        Self { name, is_peer: false, filters, start: hub.start }
    }

    /// Begins to keep messages for it, and goes on where something is kept already. Blocks.
    pub(crate) fn follow(&self, node: &Node) {
        let before = match self.noted(node) {
            Ok(before) => before,
            Err(error) => {
                // Too much is sent rather than too little.
                tracing::warn!(to = self.name, %error, "it is not known what was kept for a node; all of its channels are");
                self.filters.clone()
            }
        };
        for name in list(node).iter().filter(|name| matches_any(&self.filters, name)) {
            let is_old = self.start == LinkStart::New && !matches_any(&before, name);
            self.keep(node, name, is_old);
        }
        if before != self.filters
            && let Err(error) = self.note(node)
        {
            tracing::warn!(to = self.name, %error, "it was not noted what a node is sent");
        }
    }

    /// Keeps what comes after the end of the channel, or all of it; what is kept already stays.
    pub(crate) fn keep(&self, node: &Node, name: &ChannelName, from_end: bool) {
        let Some(id) = subscriber_id(&self.name) else { return };
        let kept = node.store().channel(name, clock::now()).and_then(|channel| {
            let at = if from_end { channel.last_seq() } else { 0 };
            node.store().subscriber(&channel, &id, Start::After(at))
        });
        match kept {
            Ok(_) | Err(ChannelError::NotFound(_)) => (),
            Err(error) => {
                tracing::error!(channel = %name, to = self.name, %error, "messages cannot be kept for a node");
            }
        }
    }

    /// The channels that it was known to get.
    fn noted(&self, node: &Node) -> io::Result<Vec<Filter>> {
        let names = self.note_names();
        match node.store().note(&names.each_ref().map(String::as_str))?.load()? {
            Noted::Nothing => Ok(Vec::new()),
            Noted::Content(bytes) => Ok(parse(&bytes)),
            Noted::Damaged => Err(io::Error::other("the note is damaged")),
        }
    }

    fn note(&self, node: &Node) -> io::Result<()> {
        let names = self.note_names();
        let note = node.store().note(&names.each_ref().map(String::as_str))?;
        let lines: Vec<&str> = self.filters.iter().map(Filter::as_str).collect();
        note.store(lines.join("\n").as_bytes())?;
        note.sync()
    }

    /// Forgets that a peer was ever known.
    pub(crate) fn forget_peer(node: &Node, peer: &str) -> io::Result<()> {
        forget(node, PEERS, peer)
    }

    /// Forgets that a hub was ever known.
    pub(crate) fn forget_hub(node: &Node, addr: &str) -> io::Result<()> {
        forget(node, HUBS, addr)
    }

    /// No channel has such a name, whose notes go with it.
    fn note_names(&self) -> [String; 3] {
        note_names(if self.is_peer { PEERS } else { HUBS }, &self.name)
    }
}

fn note_names(kind: &str, name: &str) -> [String; 3] {
    ["links".to_owned(), kind.to_owned(), format!("{MARK}{name}")]
}

fn forget(node: &Node, kind: &str, name: &str) -> io::Result<()> {
    let names = note_names(kind, name);
    node.store().note(&names.each_ref().map(String::as_str))?.remove().map(|_| ())
}

const HUBS: &str = "hubs";
const PEERS: &str = "peers";
/// What makes a name that no channel can have.
const MARK: &str = "node:";

/// The peers that were here before.
pub(crate) fn known_peers(node: &Node) -> Vec<Follower> {
    let peer = |name| {
        let mut peer = Follower { name, is_peer: true, filters: Vec::new(), start: LinkStart::New };
        peer.filters = peer.noted(node).ok()?;
        Some(peer)
    };
    known(node, PEERS).into_iter().filter_map(peer).collect()
}

/// Whether a peer of this name was here before.
pub(crate) fn is_known_peer(node: &Node, name: &str) -> bool {
    let names = note_names(PEERS, name);
    let note = node.store().note(&names.each_ref().map(String::as_str)).and_then(|it| it.load());
    // Where nobody can tell, nothing is dropped.
    !matches!(note, Ok(Noted::Nothing))
}

/// The addresses of the hubs that were configured before.
pub(crate) fn known_hubs(node: &Node) -> Vec<String> {
    known(node, HUBS)
}

fn known(node: &Node, kind: &str) -> Vec<String> {
    let notes = match node.store().notes(&["links", kind]) {
        Ok(notes) => notes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "it is not known which nodes were linked; channels made before they come back are sent from their end");
            return Vec::new();
        }
    };
    let name = |names: Vec<String>| Some(names.last()?.strip_prefix(MARK)?.to_owned());
    notes.into_iter().filter_map(name).collect()
}

/// Keeps everything in channels that were made, for those who get them.
pub(crate) fn new_channels(node: &Node, followers: &[Follower]) {
    if followers.is_empty() {
        return;
    }
    let names = list(node);
    for follower in followers {
        for name in names.iter().filter(|name| matches_any(&follower.filters, name)) {
            follower.keep(node, name, false);
        }
    }
}

fn list(node: &Node) -> Vec<ChannelName> {
    node.store().channels().unwrap_or_else(|error| {
        tracing::error!(%error, "channels could not be listed; nothing new is kept for other nodes");
        Vec::new()
    })
}

fn parse(bytes: &[u8]) -> Vec<Filter> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter_map(|line| Filter::new(line).ok()).collect()
}
