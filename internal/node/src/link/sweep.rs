//! What was kept for peers that never come back.
//!
//! ```text
//!   link:berlin of orders   last seen 9 days ago, allowed 7: forgotten, and what it held back may go
//!   link:hub.example:7740   no longer configured: dropped at the start
//! ```

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use pubsub_storage::Noted;
use pubsub_types::{ChannelName, SubscriberId, Timestamp};

use super::kept::{self, Follower};
use super::shard::Shard;
use crate::{Node, clock};

/// What the ids of peers' positions begin with.
pub(crate) const LINK_PREFIX: &str = "link:";

/// Time between two sweeps; half of the time allowed where that is less, and a minute at least.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
const SWEEP_EVERY_MIN: Duration = Duration::from_secs(60);

/// Sweeps until the shard ends.
pub(crate) async fn sweep(shard: Rc<Shard>) {
    let Some(ttl) = shard.settings.hub.as_ref().and_then(|hub| hub.forget_after) else { return };
    let every = (ttl / 2).clamp(SWEEP_EVERY_MIN, SWEEP_EVERY);
    loop {
        note_seen(&shard);
        tokio::select! {
            () = shard.ending.cancelled() => return,
            () = tokio::time::sleep(every) => (),
        }
        note_seen(&shard);
        forget_absent(&shard, ttl);
    }
}

/// The positions of peers: channel, id and the peer's name.
fn positions(node: &Node) -> Vec<(ChannelName, SubscriberId, String)> {
    let store = node.store();
    let channels = match store.channels() {
        Ok(channels) => channels,
        Err(error) => {
            tracing::warn!(%error, "channels could not be listed; positions of absent peers stay");
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for channel in channels {
        let ids = match store.subscribers(&channel) {
            Ok(ids) => ids,
            Err(error) => {
                tracing::warn!(%channel, %error, "positions could not be listed; those of absent peers stay");
                continue;
            }
        };
        for id in ids {
            if let Some(peer) = id.as_str().strip_prefix(LINK_PREFIX) {
                let peer = peer.to_owned();
                found.push((channel.clone(), id, peer));
            }
        }
    }
    found
}

/// Peers that are connected and keep positions.
fn connected(shard: &Shard) -> BTreeSet<String> {
    let name =
        |entry: &Rc<super::shard::LinkEntry>| entry.peer.borrow().as_ref().map(ToString::to_string);
    let keeps = |entry: &&Rc<super::shard::LinkEntry>| entry.inbound && !entry.ephemeral.get();
    shard.entries().iter().filter(keeps).filter_map(name).collect()
}

/// Notes that the peers that are connected were seen now.
fn note_seen(shard: &Shard) {
    for peer in connected(shard) {
        seen_now(shard, &peer);
    }
}

/// Notes that a peer was seen now.
pub(crate) fn seen_now(shard: &Shard, peer: &str) {
    let noted = shard
        .node
        .store()
        .note(&seen_names(peer).each_ref().map(String::as_str))
        .and_then(|note| note.store(clock::now().as_nanos().to_string().as_bytes()));
    if let Err(error) = noted {
        tracing::warn!(peer, %error, "it was not noted that a peer was here");
    }
}

fn last_seen(shard: &Shard, peer: &str) -> Option<Timestamp> {
    let note = shard.node.store().note(&seen_names(peer).each_ref().map(String::as_str)).ok()?;
    match note.load().ok()? {
        Noted::Content(bytes) => std::str::from_utf8(&bytes).ok()?.parse().ok().map(Timestamp),
        Noted::Nothing | Noted::Damaged => None,
    }
}

/// Where it is noted when a peer was seen. No channel has such a name, whose notes go with it.
fn seen_names(peer: &str) -> [String; 3] {
    ["links".to_owned(), "seen".to_owned(), format!("peer:{peer}")]
}

/// Forgets the positions of peers that were away for longer than `ttl`. Never of a connected one.
fn forget_absent(shard: &Shard, ttl: Duration) {
    let connected = connected(shard);
    let hubs: BTreeSet<&str> = shard.settings.hubs.iter().map(|hub| hub.addr.as_str()).collect();
    let now = clock::now();
    for (channel, id, peer) in positions(&shard.node) {
        if connected.contains(&peer) || hubs.contains(peer.as_str()) {
            continue;
        }
        let Some(seen) = last_seen(shard, &peer) else {
            // From before this was noted: its time runs from now on.
            seen_now(shard, &peer);
            continue;
        };
        if now.since(seen) < ttl {
            continue;
        }
        shard.followers.borrow_mut().retain(|known| !known.is_peer || known.name != peer);
        if let Err(error) = Follower::forget_peer(&shard.node, &peer) {
            tracing::warn!(peer, %error, "it was not noted that a peer is forgotten");
        }
        match shard.node.store().forget(&channel, &id) {
            Ok(_) => {
                tracing::warn!(%channel, peer, "a peer stayed away for too long; what was kept for it is kept no longer");
            }
            Err(error) => tracing::warn!(%channel, peer, %error, "a position could not be removed"),
        }
    }
}

/// Drops what was kept for hubs that are no longer configured, and would be kept for ever. Blocks.
///
/// What is known of them goes, too: a hub that is configured again is a new one.
pub(crate) fn drop_hubs_of_the_past(node: &Node, hubs: &BTreeSet<&str>) {
    for hub in kept::known_hubs(node) {
        if hubs.contains(hub.as_str()) {
            continue;
        }
        if let Err(error) = Follower::forget_hub(node, &hub) {
            tracing::warn!(hub, %error, "it was not noted that a hub is no longer configured");
        }
    }
    for (channel, id, peer) in positions(node) {
        // Names of peers have no port, addresses of hubs do.
        let is_hub = peer.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !is_hub || kept::is_known_peer(node, &peer) || hubs.contains(peer.as_str()) {
            continue;
        }
        match node.store().forget(&channel, &id) {
            Ok(_) => {
                tracing::info!(%channel, hub = peer, "the position of a hub that is no longer configured was dropped");
            }
            Err(error) => {
                tracing::warn!(%channel, hub = peer, %error, "a position could not be removed");
            }
        }
    }
}
