//! A node: one data directory, the threads that serve it, and everything that is open in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use pubsub_disk::FileDisk;
use pubsub_storage::{Channel, ChannelError, OpenError, Store, StoreOptions};
use pubsub_types::ChannelName;

use crate::claims::Claims;
use crate::clock;
use crate::link::Links;
use crate::pool::Pool;

/// Time between two looks at what is due: an eighth of the default sync interval, so that the promise
/// of that interval is kept to within an eighth.
const TICK_EVERY: Duration = Duration::from_millis(25);

/// Threads for blocking I/O. Syncs of different channels run in parallel; more than these only queue
/// in the device.
const IO_THREADS: usize = 4;

/// A running node.
#[derive(Debug)]
pub struct Node {
    name: String,
    data_dir: PathBuf,
    store: Arc<Store>,
    claims: Arc<Claims>,
    pool: Arc<Pool>,
    ticker: Mutex<Option<Ticker>>,
    links: Mutex<Weak<Links>>,
}

#[derive(Debug)]
struct Ticker {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// A node could not be started. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory could not be made or reached.
    #[error("make or reach data directory {path:?}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The data directory could not be opened.
    #[error("open data directory {path:?}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The operating system gives no more threads.
    #[error("start a thread")]
    Thread(#[source] io::Error),
}

impl Node {
    /// Opens or makes the data directory and starts the threads that serve it.
    ///
    /// # Errors
    /// The directory cannot be used, or there are no threads to be had.
    pub fn start(
        name: &str,
        data_dir: &Path,
        options: StoreOptions,
    ) -> Result<Arc<Self>, StartError> {
        let path = data_dir.to_owned();
        let disk = FileDisk::create(data_dir)
            .map_err(|source| StartError::DataDir { path: path.clone(), source })?;
        let pool = Pool::start(IO_THREADS).map_err(StartError::Thread)?;
        let store = Store::open(Arc::new(disk), pool.clone(), options, uuid::Uuid::now_v7())
            .map_err(|source| StartError::Open { path: path.clone(), source })?;
        let ticker = Ticker::start(store.clone()).map_err(StartError::Thread)?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            data_dir: path,
            store,
            claims: Arc::default(),
            pool,
            ticker: Mutex::new(Some(ticker)),
            links: Mutex::default(),
        }))
    }

    /// The instance's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The links to other nodes, while there are any.
    #[must_use]
    pub fn links(&self) -> Option<Arc<Links>> {
        self.links.lock().upgrade()
    }

    /// Makes the links known to whoever asks this node.
    pub(crate) fn note_links(&self, links: &Arc<Links>) {
        *self.links.lock() = Arc::downgrade(links);
    }

    /// Who reads as which subscriber.
    #[must_use]
    pub fn claims(&self) -> &Arc<Claims> {
        &self.claims
    }

    /// The channel of this name, made when there is none.
    ///
    /// # Errors
    /// It could not be opened or made.
    pub fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, ChannelError> {
        self.store.open_or_create(name, clock::now())
    }

    /// Writes, syncs and closes everything. Blocks. Later calls do nothing.
    ///
    /// # Errors
    /// Something could not be written; everything else was closed.
    pub fn close(&self) -> io::Result<()> {
        let ticker = self.ticker.lock().take();
        if let Some(Ticker { stop, thread }) = ticker {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the ticking thread ended with a panic");
            }
        }
        let result = self.store.close();
        self.pool.stop();
        result
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the data directory was not closed in order");
        }
    }
}

impl Ticker {
    fn start(store: Arc<Store>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = Builder::new().name("pubsub-tick".into()).spawn(move || {
            while stopped.recv_timeout(TICK_EVERY) == Err(RecvTimeoutError::Timeout) {
                store.tick(clock::now());
            }
        })?;
        Ok(Self { stop, thread })
    }
}
