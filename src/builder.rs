//! What a messenger is opened with.

use std::path::PathBuf;
use std::time::Duration;

use pubsub_config::Config;
use pubsub_types::SyncPolicy;

use crate::{Messenger, OpenError, blocking};

/// Time that handlers get to finish at a shutdown when nothing else is said.
const GRACE_DEFAULT: Duration = Duration::from_secs(10);

/// What a messenger is opened with; made by [`Messenger::builder`].
///
/// What is set here wins over the configuration, in whatever order it is set.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    config: Config,
    data_dir: Option<PathBuf>,
    name: Option<String>,
    sync_policy: Option<SyncPolicy>,
    service_name: Option<String>,
    ignore_unbuilt: bool,
    grace: Duration,
    control: bool,
}

/// The same, decided.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) ignore_unbuilt: bool,
    pub(crate) service_name: Option<String>,
    pub(crate) grace: Duration,
    pub(crate) control: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            data_dir: None,
            name: None,
            sync_policy: None,
            service_name: None,
            ignore_unbuilt: false,
            grace: GRACE_DEFAULT,
            control: true,
        }
    }
}

impl Builder {
    /// Sets the configuration, as [`load_config`](crate::load_config) reads it or as built in code.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the data directory; `./data` when neither this nor the configuration says.
    pub fn data_dir(mut self, data_dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(data_dir.into());
        self
    }

    /// Sets the instance's name, the origin of its messages; the host's name when nobody says.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets what an acknowledged publish survives, for channels of which the configuration says nothing.
    pub fn sync_policy(mut self, policy: SyncPolicy) -> Self {
        self.sync_policy = Some(policy);
        self
    }

    /// Stamps this service name on messages whose context has none.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// Starts without those parts of the configuration that this version does not have, in place of an
    /// error.
    pub fn ignore_unbuilt(mut self) -> Self {
        self.ignore_unbuilt = true;
        self
    }

    /// Sets the time that running handlers get to finish when their subscriber is stopped; 10 s when
    /// nobody says. What is not done by then comes again after the next start.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets whether the `pubsub` command may talk to this messenger while it is open, through a socket
    /// in the data directory that only this user may use. On when nobody says.
    pub fn control(mut self, control: bool) -> Self {
        self.control = control;
        self
    }

    /// Opens the messenger on the tokio runtime that this is called in.
    ///
    /// # Errors
    /// See [`OpenError`]; the data directory is as it was.
    pub async fn open(self) -> Result<Messenger, OpenError> {
        Messenger::start(self.settings()).await
    }

    /// Opens a messenger for code without async.
    ///
    /// # Errors
    /// See [`OpenError`]; the data directory is as it was.
    pub fn open_blocking(self) -> Result<blocking::Messenger, OpenError> {
        blocking::Messenger::start(self.settings())
    }

    fn settings(self) -> Settings {
        let mut config = self.config;
        if let Some(data_dir) = self.data_dir {
            config.storage.data_dir = data_dir;
        }
        if let Some(name) = self.name {
            config.name = name;
        }
        if let Some(policy) = self.sync_policy {
            config.storage.sync_policy = policy;
        }
        Settings {
            config,
            ignore_unbuilt: self.ignore_unbuilt,
            service_name: self.service_name,
            grace: self.grace,
            control: self.control,
        }
    }
}
