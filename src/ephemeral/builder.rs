//! What a messenger without files is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pubsub_config::{Insecure, TlsConfig, is_loopback};
use pubsub_node::ephemeral::{OnRejected, Reconnect, Rejected, Settings};
use tokio::runtime::Handle;

use super::error::BuildError;
use super::messenger::{EphemeralMessenger, Inner};
use crate::blocking;

/// What a messenger without files is told.
#[derive(Clone, Debug, PartialEq)]
pub struct EphemeralConfig {
    /// Address of the hub: host:port or `[IPv6]:port`. Needed.
    pub hub_addr: String,
    /// Name wanted in the hub's certificate; empty takes any that the authority signed.
    pub hub_name: String,
    /// This instance's name, as in its certificate and in the hub's list of allowed peers. Needed.
    pub name: String,
    /// Channels to ask the hub for, besides those that have handlers when it is connected. Handlers for
    /// them may come later.
    pub subscribe: Vec<String>,
    /// Files of the certificate, its key and the authority. Needed, unless [`Self::insecure`] says
    /// otherwise.
    pub tls: TlsConfig,
    /// Connect without TLS: to a hub on this machine, or anywhere.
    pub insecure: Insecure,
    /// Connect again when the connection is lost, and go on with the first one until it comes about.
    /// Needs [`Builder::on_fatal`]. Off by default.
    pub auto_reconnect: bool,
    /// First wait before connecting again; doubled for each further one. 500 ms by default.
    pub reconnect_base: Duration,
    /// Longest such wait. 60 s by default.
    pub reconnect_max: Duration,
    /// Part of each wait that is random, 0 to 1. 0.2 by default.
    pub reconnect_jitter: f64,
    /// Bytes of messages sent together, about; a longer message goes alone. 1 KiB to 256 KiB (clamped),
    /// 64 KiB by default.
    pub max_batch_bytes: usize,
    /// Largest message taken from the hub, in bytes; a channel with a larger one stops. 8 MiB by
    /// default, as a hub's.
    pub max_message_bytes: usize,
    /// Messages that may wait to be sent; beyond that a publish waits. 256 by default.
    pub write_queue_size: usize,
    /// Bytes that they may have together. 8 MiB by default.
    pub write_queue_bytes: usize,
    /// Stamped on messages whose context has no service name; empty stamps nothing.
    pub service_name: String,
}

impl Default for EphemeralConfig {
    fn default() -> Self {
        Self {
            hub_addr: String::new(),
            hub_name: String::new(),
            name: String::new(),
            subscribe: Vec::new(),
            tls: TlsConfig::default(),
            insecure: Insecure::No,
            auto_reconnect: false,
            reconnect_base: Duration::from_millis(500),
            reconnect_max: Duration::from_secs(60),
            reconnect_jitter: 0.2,
            max_batch_bytes: 64 << 10,
            max_message_bytes: 8 << 20,
            write_queue_size: 256,
            write_queue_bytes: 8 << 20,
            service_name: String::new(),
        }
    }
}

/// What a messenger without files is made of; made by [`EphemeralMessenger::builder`].
#[derive(Clone, Default)]
#[must_use]
pub struct Builder {
    config: EphemeralConfig,
    on_fatal: Option<OnFatal>,
}

type OnFatal = Arc<dyn Fn(Rejected) + Send + Sync>;

impl Builder {
    /// Sets everything that [`EphemeralConfig`] has. What is set before is gone.
    pub fn config(mut self, config: EphemeralConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets [`EphemeralConfig::hub_addr`].
    pub fn hub_addr(mut self, addr: impl Into<String>) -> Self {
        self.config.hub_addr = addr.into();
        self
    }

    /// Sets [`EphemeralConfig::hub_name`].
    pub fn hub_name(mut self, name: impl Into<String>) -> Self {
        self.config.hub_name = name.into();
        self
    }

    /// Sets [`EphemeralConfig::name`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Adds a channel to [`EphemeralConfig::subscribe`].
    pub fn subscribe(mut self, channel: impl Into<String>) -> Self {
        self.config.subscribe.push(channel.into());
        self
    }

    /// Sets the files of the certificate, its key and the authority. [`EphemeralConfig::tls`] has the
    /// rest.
    pub fn tls(
        mut self,
        cert: impl Into<String>,
        key: impl Into<String>,
        ca: impl Into<String>,
    ) -> Self {
        let tls = &mut self.config.tls;
        (tls.cert, tls.key, tls.ca) = (cert.into(), key.into(), ca.into());
        self
    }

    /// Sets [`EphemeralConfig::insecure`].
    pub fn insecure(mut self, insecure: Insecure) -> Self {
        self.config.insecure = insecure;
        self
    }

    /// Sets [`EphemeralConfig::auto_reconnect`].
    pub fn auto_reconnect(mut self, auto_reconnect: bool) -> Self {
        self.config.auto_reconnect = auto_reconnect;
        self
    }

    /// Sets [`EphemeralConfig::reconnect_base`].
    pub fn reconnect_base(mut self, base: Duration) -> Self {
        self.config.reconnect_base = base;
        self
    }

    /// Sets [`EphemeralConfig::reconnect_max`].
    pub fn reconnect_max(mut self, max: Duration) -> Self {
        self.config.reconnect_max = max;
        self
    }

    /// Sets [`EphemeralConfig::reconnect_jitter`].
    pub fn reconnect_jitter(mut self, jitter: f64) -> Self {
        self.config.reconnect_jitter = jitter;
        self
    }

    /// Sets [`EphemeralConfig::max_batch_bytes`].
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.config.max_batch_bytes = bytes;
        self
    }

    /// Sets [`EphemeralConfig::max_message_bytes`].
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.config.max_message_bytes = bytes;
        self
    }

    /// Sets [`EphemeralConfig::write_queue_size`].
    pub fn write_queue_size(mut self, messages: usize) -> Self {
        self.config.write_queue_size = messages;
        self
    }

    /// Sets [`EphemeralConfig::write_queue_bytes`].
    pub fn write_queue_bytes(mut self, bytes: usize) -> Self {
        self.config.write_queue_bytes = bytes;
        self
    }

    /// Sets [`EphemeralConfig::service_name`].
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.config.service_name = name.into();
        self
    }

    /// Calls `on_fatal` when the hub refuses this instance: its name, its certificate, or its place in
    /// the list of allowed peers. That is once for each [`EphemeralMessenger::connect`], and nothing is
    /// tried after it until connect is called again.
    ///
    /// It is called on the messenger's own thread, which does nothing else meanwhile.
    pub fn on_fatal(mut self, on_fatal: impl Fn(Rejected) + Send + Sync + 'static) -> Self {
        self.on_fatal = Some(Arc::new(on_fatal));
        self
    }

    /// Builds the messenger, whose handlers run on the tokio runtime that this is called in. Reads the
    /// certificates; dials nothing.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(self) -> Result<EphemeralMessenger, BuildError> {
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        EphemeralMessenger::start(self.start()?, runtime)
    }

    /// Builds a messenger for code without async.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build_blocking(self) -> Result<blocking::EphemeralMessenger, BuildError> {
        blocking::EphemeralMessenger::start(self.start()?)
    }

    fn start(self) -> Result<Inner, BuildError> {
        let Self { config, on_fatal } = self;
        check(&config, on_fatal.is_some())?;
        let reconnect = Reconnect {
            base: config.reconnect_base,
            max: config.reconnect_max,
            jitter: config.reconnect_jitter,
        };
        let settings = Settings {
            hub: config.hub_addr.clone(),
            hub_name: Some(config.hub_name.clone()).filter(|name| !name.is_empty()),
            name: config.name.clone(),
            tls: (config.insecure == Insecure::No).then(|| config.tls.clone()),
            reconnect: config.auto_reconnect.then_some(reconnect),
            batch_bytes: config.max_batch_bytes,
            message_max_bytes: config.max_message_bytes,
            queue_messages: config.write_queue_size,
            queue_bytes: config.write_queue_bytes,
        };
        let rejected =
            on_fatal.map(|on_fatal| Box::new(move |rejected| on_fatal(rejected)) as OnRejected);
        Inner::start(config, settings, rejected)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

fn check(config: &EphemeralConfig, has_on_fatal: bool) -> Result<(), BuildError> {
    let addr = &config.hub_addr;
    let dialled = addr.rsplit_once(':').is_some_and(|(host, port)| {
        !matches!(host, "" | "[]") && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if !dialled {
        return Err(BuildError::HubAddr { addr: addr.clone() });
    }
    let tls = &config.tls;
    match config.insecure {
        Insecure::No if [&tls.cert, &tls.key, &tls.ca].iter().any(|path| path.is_empty()) => {
            return Err(BuildError::NoTls);
        }
        Insecure::Loopback if !is_loopback(addr) => {
            return Err(BuildError::Insecure { addr: addr.clone() });
        }
        Insecure::No | Insecure::Loopback | Insecure::Anywhere => (),
    }
    if config.auto_reconnect && !has_on_fatal {
        return Err(BuildError::NoOnFatal);
    }
    if config.reconnect_base > config.reconnect_max {
        return Err(BuildError::Reconnect { reason: "the base is more than the maximum" });
    }
    if !(0.0..=1.0).contains(&config.reconnect_jitter) {
        return Err(BuildError::Reconnect { reason: "the jitter is not within 0 to 1" });
    }
    let limits = [
        ("max_batch_bytes", config.max_batch_bytes),
        ("max_message_bytes", config.max_message_bytes),
        ("write_queue_size", config.write_queue_size),
        ("write_queue_bytes", config.write_queue_bytes),
    ];
    match limits.iter().find(|(_, limit)| *limit == 0) {
        Some((key, _)) => Err(BuildError::Zero { key }),
        None => Ok(()),
    }
}
