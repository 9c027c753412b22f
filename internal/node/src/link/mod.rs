//! The links of a node: its listener for peers, its connections to hubs, and what flows over them.
//!
//! ```text
//!   edge                                  hub
//!   publish ─▶ log ─▶ outbox ═══ link ═══▶ inbox ─▶ log ─▶ subscribers, and outboxes of other links
//! ```
//!
//! A link reads what it sends from the channels' files and writes what it receives to them, so a
//! disconnection of any length is a position that waits, and nothing is buffered for it. What the machines
//! decide is in `pubsub-federation`; sockets, files and time are here.

pub(crate) mod connect;
mod dial;
mod drive;
pub(crate) mod frames;
mod hub;
mod inbox;
mod kept;
mod outbox;
pub(crate) mod settings;
mod shard;
pub(crate) mod socket;
mod status;
mod sweep;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use pubsub_audit::AuditLog;
use pubsub_disk::FileDisk;
use pubsub_federation::CloseCode;
use pubsub_tls::{Reloading, TlsError};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use settings::{LinkSettings, Peers, SettingsError};
pub use status::{
    CertificateStatus, ChannelFlow, HubStatus, LinkReport, LinkState, LinksStatus, Traffic,
};

use self::kept::Follower;
use self::shard::{Order, Shard};
use crate::Node;

/// Time between two looks for channels that were made.
const CHANNELS_EVERY: Duration = Duration::from_millis(250);
/// Time that links get to say goodbye.
const ENDING_TIME: Duration = Duration::from_secs(5);

/// The running links of a node.
#[derive(Debug)]
pub struct Links {
    commands: UnboundedSender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
    listening: Option<SocketAddr>,
    audit: AuditLog,
}

#[derive(Debug)]
enum Command {
    Status(SyncSender<LinksStatus>),
    Peers(Peers),
    Stop,
}

/// The links of a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinksError {
    /// The configuration has something that no link can be made of.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The certificates are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The hub's address cannot be listened on.
    #[error("hub.listen_addr: listen on {addr}")]
    Listen {
        /// The address.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system gives no more threads or files.
    #[error("start the links")]
    Start(#[source] io::Error),
}

impl Links {
    /// Starts the links of `node`. Blocks for as long as it takes to read the certificates and to bind
    /// the hub's address; hubs are dialled afterwards, and need not be there.
    ///
    /// Stop them before the node is closed.
    ///
    /// # Errors
    /// See [`LinksError`].
    pub fn start(node: &Arc<Node>, settings: LinkSettings) -> Result<Arc<Self>, LinksError> {
        let tls = settings.tls.clone().map(Reloading::open).transpose()?;
        let listener = match &settings.hub {
            Some(hub) => {
                let addr = hub.bind_addr();
                let listen = |source| LinksError::Listen { addr: addr.clone(), source };
                let listener = StdListener::bind(&addr).map_err(listen)?;
                listener.set_nonblocking(true).map_err(listen)?;
                Some(listener)
            }
            None => None,
        };
        let listening = listener
            .as_ref()
            .map(StdListener::local_addr)
            .transpose()
            .map_err(LinksError::Start)?;
        let disk = FileDisk::create(node.data_dir()).map_err(LinksError::Start)?;
        let audit = AuditLog::open(Arc::new(disk), settings.audit).map_err(LinksError::Start)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LinksError::Start)?;
        let hubs = settings.hubs.iter().map(|hub| hub.addr.as_str()).collect();
        sweep::drop_hubs_of_the_past(node, &hubs);
        // Before anybody publishes: what comes from now on is for the hubs, too.
        let made = node.store().channels_version();
        let mut followers: Vec<Follower> = settings.hubs.iter().map(Follower::hub).collect();
        followers.iter().for_each(|hub| hub.follow(node));
        followers.extend(kept::known_peers(node).into_iter().filter(|_| settings.hub.is_some()));
        kept::new_channels(node, &followers);
        let (commands, received) = unbounded_channel();
        let (known, node, log) = (node, node.clone(), audit.clone());
        let thread = Builder::new()
            .name("pubsub-links".into())
            .spawn(move || {
                let shard = Shard::new(node, settings, tls, log, followers);
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, serve(shard, listener, received, made));
            })
            .map_err(LinksError::Start)?;
        let links = Arc::new(Self { commands, thread: Mutex::new(Some(thread)), listening, audit });
        known.note_links(&links);
        Ok(links)
    }

    /// The address that the hub listens on; `None` when there is no hub.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listening
    }

    /// How the links are doing; `None` when they were stopped. Blocks until their thread answers.
    #[must_use]
    pub fn status(&self) -> Option<LinksStatus> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        self.commands.send(Command::Status(answer)).ok()?;
        answered.recv().ok()
    }

    /// Puts another list of allowed peers in force. Links are re-checked at once: a peer that is no
    /// longer in it is cut.
    pub fn set_peers(&self, peers: Peers) {
        // Stopped links have no peers.
        let _stopped = self.commands.send(Command::Peers(peers));
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Ends all links in good order. Blocks, for five seconds and what the disk takes at most; later
    /// calls do nothing.
    pub fn stop(&self) {
        let _stopped = self.commands.send(Command::Stop);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            if thread.join().is_err() {
                tracing::error!("the thread of the links ended with a panic");
            }
            if let Err(error) = self.audit.close() {
                tracing::warn!(%error, "the audit log is not complete");
            }
        }
    }
}

/// Drops what is kept for hubs, on a node that dials none. [`Links::start`] does so by itself for those
/// that are no longer configured. Blocks.
pub fn forget_hubs(node: &Node) {
    sweep::drop_hubs_of_the_past(node, &BTreeSet::new());
}

impl Drop for Links {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The life of the shard.
async fn serve(
    shard: Rc<Shard>,
    listener: Option<StdListener>,
    mut commands: UnboundedReceiver<Command>,
    mut made: u64,
) {
    watch::warn_of_ends(&shard);
    if let Some(listener) = listener {
        match TcpListener::from_std(listener) {
            Ok(listener) => drop(shard.tasks.spawn_local(hub::serve(shard.clone(), listener))),
            Err(error) => tracing::error!(%error, "the hub does not listen"),
        }
    }
    for hub in shard.settings.hubs.clone() {
        drop(shard.tasks.spawn_local(dial::keep_dialling(shard.clone(), hub)));
    }
    drop(shard.tasks.spawn_local(watch::watch(shard.clone())));
    drop(shard.tasks.spawn_local(sweep::sweep(shard.clone())));
    let mut channels = tokio::time::interval(CHANNELS_EVERY);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Status(answer)) => drop(answer.send(shard.status())),
                Some(Command::Peers(peers)) => shard.set_peers(peers),
                Some(Command::Stop) | None => break,
            },
            _ = channels.tick() => {
                let now = shard.node.store().channels_version();
                if now != made {
                    made = now;
                    kept::new_channels(&shard.node, &shard.followers.borrow());
                    shard.channels_changed();
                }
                shard.inboxes.tick();
            }
        }
    }
    end(&shard).await;
}

/// Ends every link, and waits for them.
async fn end(shard: &Shard) {
    shard.ending.cancel();
    for entry in shard.entries() {
        let text = "the node shuts down".to_owned();
        let _ended = entry.orders.send(Order::Close(CloseCode::GoingAway, text));
    }
    shard.tasks.close();
    if tokio::time::timeout(ENDING_TIME, shard.tasks.wait()).await.is_err() {
        tracing::warn!("links took too long to say goodbye, and were cut");
    }
    shard.inboxes.close();
}
