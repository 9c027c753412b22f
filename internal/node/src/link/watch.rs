//! What changes while links are up: certificates, revocations, the list of allowed peers, time.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use pubsub_audit::Event;
use pubsub_config::Config;
use pubsub_federation::CloseCode;
use pubsub_tls::UnixTime;

use super::settings::Peers;
use super::shard::{Order, Shard, audit_peer};
use crate::clock;

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks between two at certificates that may have ended, and at warnings.
const EXPIRY_EVERY: u32 = 30;

/// The wall clock, as TLS counts it.
pub(crate) fn unix_now() -> UnixTime {
    let nanos = u64::try_from(clock::now().as_nanos()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_nanos(nanos))
}

/// Looks until the shard ends.
pub(crate) async fn watch(shard: Rc<Shard>) {
    let mut file = shard.settings.file.clone().map(PolicyFile::new);
    let mut looks: u32 = 0;
    loop {
        tokio::select! {
            () = shard.ending.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => (),
        }
        looks = looks.wrapping_add(1);
        let time_to_judge = looks.is_multiple_of(EXPIRY_EVERY);
        certificates(&shard, time_to_judge);
        if let Some(file) = &mut file {
            file.look(&shard);
        }
    }
}

/// Says what should be seen to about certificates.
pub(crate) fn warn_of_ends(shard: &Shard) {
    let Some(tls) = &shard.tls else { return };
    for warning in tls.current().warnings(unix_now()) {
        tracing::warn!(%warning, "a certificate needs attention");
    }
}

fn certificates(shard: &Shard, time_to_judge: bool) {
    let Some(tls) = &shard.tls else { return };
    let mut judge = time_to_judge;
    match tls.reload_if_changed() {
        Ok(changes) if changes.any() => {
            tracing::info!(?changes, "certificates were read again");
            judge |= changes.trust();
            warn_of_ends(shard);
        }
        Ok(_) => (),
        Err(error) => {
            tracing::error!(%error, "changed certificates are not used; the ones before stay");
        }
    }
    if judge {
        judge_links(shard, &tls.current());
    }
}

/// Cuts links whose peer is trusted no longer.
fn judge_links(shard: &Shard, tls: &pubsub_tls::Tls) {
    let now = unix_now();
    for entry in shard.entries() {
        let Some(peer) = &entry.certified else { continue };
        let Err(refused) = tls.is_still_trusted(peer, now) else { continue };
        let reason = refused.to_string();
        tracing::warn!(peer = %peer.name, reason, "a link is cut");
        shard.audit.log(Event::PeerRevoked {
            peer: audit_peer(&peer.name, &entry.addr),
            reason: reason.clone(),
        });
        let _ended = entry.orders.send(Order::Close(CloseCode::NotAllowed, reason));
    }
}

/// The file with the list of allowed peers.
struct PolicyFile {
    path: PathBuf,
    /// Content that was looked at last.
    seen: Option<u64>,
}

impl PolicyFile {
    fn new(path: PathBuf) -> Self {
        let seen = read(&path).map(|text| hash(&text));
        Self { path, seen }
    }

    /// Reads the file again when it changed, and puts its list in force.
    fn look(&mut self, shard: &Shard) {
        let Some(text) = read(&self.path) else { return };
        let now = hash(&text);
        if self.seen == Some(now) {
            return;
        }
        self.seen = Some(now);
        let loaded = Config::load(&self.path, &|name| std::env::var(name).ok())
            .map_err(|error| error.to_string())
            .and_then(|config| Peers::from_config(&config).map_err(|error| error.to_string()));
        match loaded {
            Ok(peers) => {
                tracing::info!(path = %self.path.display(), "the list of allowed peers was read again");
                shard.set_peers(peers);
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), error, "the changed list of allowed peers is not used; the one before stays");
                shard.audit.log(Event::PolicyReloadFailed { error });
            }
        }
    }
}

fn read(path: &std::path::Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn hash(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}
