//! A hub with certificates, its clients, and what tests wait for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pubsub::config::{AllowedPeer, Config};
use pubsub::ephemeral::{Builder, Rejected};
use pubsub::{EphemeralMessenger, Messenger};
use pubsub_testkit::certs::{Authority, Issued, Spec};
use tempfile::TempDir;

use crate::common::{Seen, inbox, soon};
use crate::wire::Wire;

/// A hub named `hub`, a client's certificate for `edge`, and a wire between them.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) edge: Issued,
    pub(crate) hub: Messenger,
    pub(crate) wire: Wire,
    dir: TempDir,
}

impl World {
    /// Everybody named `edge` may do anything.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// The same, with a hub that is configured further.
    pub(crate) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "ca").unwrap();
        let edge = authority.issue(&Spec::new("edge")).unwrap();
        let certificate = authority.issue(&Spec::new("hub")).unwrap();
        let mut config = hub_config(&certificate);
        configure(&mut config);
        let hub = open_hub(&dir.path().join("hub"), config).await;
        let wire = Wire::to(hub.hub_addr().unwrap());
        Self { authority, edge, hub, wire, dir }
    }

    /// The hub ends, and starts again with another list of allowed peers.
    pub(crate) async fn restart_hub(&mut self, allowed_peers: Vec<AllowedPeer>) {
        soon(self.hub.shutdown()).await.unwrap();
        let mut config = self.hub.config().clone();
        config.hub.allowed_peers = allowed_peers;
        self.hub = open_hub(&self.data_dir(), config).await;
        self.wire.lead_to(self.hub.hub_addr().unwrap());
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("hub")
    }

    /// A client named `edge`, over the wire.
    pub(crate) fn client(&self) -> Builder {
        self.client_with(&self.edge)
    }

    /// A client with another certificate.
    pub(crate) fn client_with(&self, issued: &Issued) -> Builder {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        EphemeralMessenger::builder().hub_addr(self.wire.addr.to_string()).name("edge").tls(
            path(&issued.cert),
            path(&issued.key),
            path(self.authority.ca()),
        )
    }

    /// A client that connects again, and soon; and what it hears of being refused.
    pub(crate) fn lasting_client(&self) -> (Builder, Fatal) {
        lasting(self.client())
    }

    /// A connected client.
    pub(crate) async fn connected(&self) -> EphemeralMessenger {
        let client = self.client().build().unwrap();
        soon(client.connect()).await.unwrap();
        client
    }

    /// What is published to `channel` at the hub from now on.
    pub(crate) async fn hear(&self, channel: &str) -> Seen {
        let (inbox, seen) = inbox();
        self.hub.subscribe(channel, "test", inbox.ok()).await.unwrap();
        seen
    }
}

pub(crate) fn lasting(builder: Builder) -> (Builder, Fatal) {
    let fatal = Fatal::default();
    let told = fatal.clone();
    let builder = builder
        .auto_reconnect(true)
        .reconnect_base(Duration::from_millis(5))
        .reconnect_max(Duration::from_millis(20))
        .on_fatal(move |rejected| {
            *told.last.lock() = Some(rejected);
            told.calls.fetch_add(1, Ordering::SeqCst);
        });
    (builder, fatal)
}

/// How often a client was refused, and how last.
#[derive(Clone, Default)]
pub(crate) struct Fatal {
    calls: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Rejected>>>,
}

impl Fatal {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn reason(&self) -> String {
        self.last.lock().clone().expect("it was refused").reason
    }
}

fn hub_config(certificate: &Issued) -> Config {
    let mut config = Config::default();
    config.name = "hub".to_owned();
    config.hub.enabled = true;
    config.hub.listen_addr = "127.0.0.1:0".to_owned();
    config.hub.allowed_peers = vec![allowed("edge", &[], &[])];
    config.tls.cert = certificate.cert.to_str().unwrap().to_owned();
    config.tls.key = certificate.key.to_str().unwrap().to_owned();
    config.tls.ca = certificate.ca.to_str().unwrap().to_owned();
    config.tls.crl = certificate.crl.to_str().unwrap().to_owned();
    config
}

async fn open_hub(data_dir: &Path, config: Config) -> Messenger {
    Messenger::builder().config(config).data_dir(data_dir).open().await.unwrap()
}

pub(crate) fn allowed(name: &str, subscribe: &[&str], publish: &[&str]) -> AllowedPeer {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut peer = AllowedPeer::default();
    peer.name = name.to_owned();
    peer.subscribe = list(subscribe);
    peer.publish = list(publish);
    peer
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    soon(async move {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
}
