//! A command's end: asks the node of a data directory, or is its node for as long as it takes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pubsub_disk::FileDisk;
use pubsub_storage::{ChannelConfig, OpenError, Resolver, StoreOptions, recorded_config};
use pubsub_types::{ChannelName, SubscriberId, SyncPolicy};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::frame::{self, FrameError, FrameReader};
use super::ops::{self, Ops, Subscription};
use super::protocol::{
    ErrorCode, Failure, MessageHead, PROTOCOL_VERSION, Request, Response, StartFrom,
};
use super::server::{Server, blocking};
use super::socket;
use crate::claims::Claimant;
use crate::{Node, StartError};

/// How to open a data directory.
#[derive(Clone, Debug)]
pub struct OpenMode {
    /// Makes the directory when there is none.
    pub create: bool,
    /// Name of the node, should we become it.
    pub name: String,
    /// How long to wait for another command that has the directory open and does not listen.
    pub patience: Duration,
    /// Listens on the control socket while we are the node, so that others can talk to us.
    pub serve: bool,
}

impl Default for OpenMode {
    fn default() -> Self {
        Self {
            create: false,
            name: "local".to_owned(),
            patience: Duration::from_secs(5),
            serve: false,
        }
    }
}

/// A data directory could not be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no such directory.
    #[error("there is no data directory {}", .0.display())]
    NoDataDir(PathBuf),
    /// A process has the directory open and does not answer.
    #[error(
        "data directory {} is in use by {}, which does not answer on {}", path.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")), socket.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Where it should answer.
        socket: PathBuf,
        /// The process, when it said so.
        pid: Option<u32>,
    },
    /// The socket is there and could not be connected to.
    #[error("connect to {}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory could not be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The directory could not be reached, or its control socket could not be made.
    #[error("{what} {}", path.display())]
    Io {
        /// What was done.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The node hung up.
    #[error("the node ended the connection")]
    HungUp,
    /// The request failed.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The node answered something else than was asked.
    #[error("the node gave an answer that does not fit the question")]
    Unexpected,
}

/// A way to make requests of the node of a data directory.
#[derive(Debug)]
pub enum Client {
    /// A node runs, and answers.
    Remote(Box<Remote>),
    /// We are the node.
    Local(Local),
}

/// A connection to a node.
#[derive(Debug)]
pub struct Remote {
    from: FrameReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    node: String,
    pid: u32,
    /// To find the next node when this one stops.
    data_dir: PathBuf,
    mode: OpenMode,
}

/// A node of our own.
#[derive(Debug)]
pub struct Local {
    ops: Arc<Ops>,
    server: Option<Server>,
}

impl Client {
    /// Connects to the node of `data_dir`, or opens the directory when no node runs.
    ///
    /// # Errors
    /// [`ClientError`]; nothing was changed.
    pub async fn connect_or_open(data_dir: &Path, mode: &OpenMode) -> Result<Self, ClientError> {
        let exists = data_dir.is_dir();
        if !exists && !mode.create {
            return Err(ClientError::NoDataDir(data_dir.to_owned()));
        }
        let pause = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        loop {
            if data_dir.is_dir()
                && let Some(remote) = Remote::connect(data_dir, mode).await?
            {
                return Ok(Self::Remote(Box::new(remote)));
            }
            let started = {
                let (dir, mode) = (data_dir.to_owned(), mode.clone());
                tokio::task::spawn_blocking(move || start(&dir, &mode)).await
            };
            let error = match started.map_err(|_| ClientError::Unexpected)? {
                Ok(node) => return Local::new(node, mode.serve).map(Self::Local),
                Err(error) => error,
            };
            let StartError::Open { source: OpenError::Locked { pid }, .. } = &error else {
                return Err(error.into());
            };
            if waited >= mode.patience {
                let path = data_dir.to_owned();
                let socket = socket::socket_path(data_dir).unwrap_or_default();
                return Err(ClientError::InUse { path, socket, pid: *pid });
            }
            // Its owner is a command that is done soon, or a node that will listen soon.
            tokio::time::sleep(pause).await;
            waited += pause;
        }
    }

    /// Whether a node runs besides us.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// The node's name and process.
    #[must_use]
    pub fn node(&self) -> (&str, u32) {
        match self {
            Self::Remote(remote) => (&remote.node, remote.pid),
            Self::Local(local) => (local.ops.node().name(), std::process::id()),
        }
    }

    /// Makes one request, and gives back its answer.
    ///
    /// # Errors
    /// The request was refused or the connection failed.
    pub async fn request(
        &mut self,
        request: Request,
        body: Bytes,
    ) -> Result<(Response, Bytes), ClientError> {
        loop {
            match self {
                Self::Remote(remote) => match remote.request(&request, &body).await {
                    Err(error) if error.code() == Some(ErrorCode::Stopping) => {
                        self.find_next_node().await?;
                    }
                    answer => return answer,
                },
                Self::Local(local) => {
                    let ops = local.ops.clone();
                    let handle = move || ops.handle(request, &body, &Claimant::embedded());
                    return Ok(blocking(handle).await?);
                }
            }
        }
    }

    /// Connects to the node after the one that stopped, or is it.
    async fn find_next_node(&mut self) -> Result<(), ClientError> {
        if let Self::Remote(remote) = self {
            let (data_dir, mode) = (remote.data_dir.clone(), remote.mode.clone());
            *self = Self::connect_or_open(&data_dir, &mode).await?;
        }
        Ok(())
    }

    /// Starts to read a channel. Nothing else can be asked until the subscription is stopped.
    ///
    /// # Errors
    /// The request was refused or the connection failed.
    pub async fn subscribe(
        &mut self,
        channel: ChannelName,
        id: Option<SubscriberId>,
        start: StartFrom,
    ) -> Result<Subscribed<'_>, ClientError> {
        let request = Request::Subscribe { channel: channel.clone(), id: id.clone(), start };
        let mut begun = None;
        while let Self::Remote(remote) = self
            && begun.is_none()
        {
            match remote.request(&request, &[]).await {
                Ok((Response::Subscribed { after, made }, _)) => begun = Some((after, made)),
                Ok(_) => return Err(ClientError::Unexpected),
                Err(error) if error.code() == Some(ErrorCode::Stopping) => {
                    self.find_next_node().await?;
                }
                Err(error) => return Err(error),
            }
        }
        match self {
            Self::Remote(remote) => {
                let (after, made) = begun.ok_or(ClientError::Unexpected)?;
                Ok(Subscribed { source: From::Remote(remote), after, made })
            }
            Self::Local(local) => {
                let ops = local.ops.clone();
                let subscribe =
                    move || ops.subscribe(&channel, id.as_ref(), start, &Claimant::embedded());
                let subscription = blocking(subscribe).await?;
                let (after, made) = (subscription.after(), subscription.made());
                Ok(Subscribed { source: From::Local(Box::new(subscription)), after, made })
            }
        }
    }

    /// Ends it: a node of our own is closed in order.
    ///
    /// # Errors
    /// Something could not be written.
    pub async fn close(self) -> Result<(), ClientError> {
        let Self::Local(Local { ops, server }) = self else { return Ok(()) };
        if let Some(server) = server {
            server.stop().await;
        }
        let node = ops.node().clone();
        drop(ops);
        let path = node.data_dir().to_owned();
        let closed = tokio::task::spawn_blocking(move || node.close()).await;
        let closed = closed.map_err(|_| ClientError::Unexpected)?;
        closed.map_err(|source| ClientError::Io { what: "close", path, source })
    }
}

impl Local {
    fn new(node: Arc<Node>, serve: bool) -> Result<Self, ClientError> {
        let ops = Ops::new(node);
        let path = || ops.node().data_dir().to_owned();
        let server = if serve {
            let served = Server::serve(&ops);
            let listening = served.map_err(|source| ClientError::Io {
                what: "listen on the control socket of",
                path: path(),
                source,
            });
            Some(listening?)
        } else {
            None
        };
        Ok(Self { ops, server })
    }
}

/// Becomes the node of `dir`. What its channels were configured to do, they go on doing.
fn start(dir: &Path, mode: &OpenMode) -> Result<Arc<Node>, StartError> {
    let data_dir = dir.to_owned();
    let resolver = Resolver::new(move |channel, chosen| {
        let recorded =
            FileDisk::open(&data_dir).ok().and_then(|disk| recorded_config(&disk, channel));
        recorded.unwrap_or_else(|| {
            // The position of a failed message moves on as soon as its letter is committed.
            let letters = channel.is_dead_letter().then_some(SyncPolicy::Always);
            let defaults = ChannelConfig::default();
            let sync = letters.unwrap_or(defaults.sync);
            chosen.over(ChannelConfig { sync, ..defaults })
        })
    });
    let options = StoreOptions { resolver: Some(resolver), ..StoreOptions::default() };
    Node::start(&mode.name, dir, options)
}

impl Remote {
    /// Connects, or gives `None` when nobody listens.
    async fn connect(data_dir: &Path, mode: &OpenMode) -> Result<Option<Self>, ClientError> {
        let path = socket::socket_path(data_dir).map_err(|source| ClientError::Io {
            what: "reach",
            path: data_dir.to_owned(),
            source,
        })?;
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(source) => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Ok(None),
                _ => return Err(ClientError::Connect { socket: path, source }),
            },
        };
        let (from, to) = stream.into_split();
        let mut remote = Self {
            from: FrameReader::new(from),
            to,
            node: String::new(),
            pid: 0,
            data_dir: data_dir.to_owned(),
            mode: mode.clone(),
        };
        let client = concat!("pubsub ", env!("CARGO_PKG_VERSION")).to_owned();
        let hello = Request::Hello { version: PROTOCOL_VERSION, client };
        match remote.request(&hello, &[]).await {
            Ok((Response::Hello { node, pid, .. }, _)) => Ok(Some(Self { node, pid, ..remote })),
            Ok(_) => Err(ClientError::Unexpected),
            // It stopped while we came.
            Err(ClientError::HungUp | ClientError::Frame(FrameError::Io(_))) => Ok(None),
            Err(error) if error.code() == Some(ErrorCode::Stopping) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn request(
        &mut self,
        request: &Request,
        body: &[u8],
    ) -> Result<(Response, Bytes), ClientError> {
        // One that was turned away is told why before its request is read.
        let written = frame::write(&mut self.to, request, &[body]).await;
        match self.read().await {
            Err(ClientError::HungUp) => {
                written?;
                Err(ClientError::HungUp)
            }
            answer => answer,
        }
    }

    async fn read(&mut self) -> Result<(Response, Bytes), ClientError> {
        match self.from.next::<Response>().await? {
            Some((Response::Failed(failure), _)) => Err(failure.into()),
            Some(answer) => Ok(answer),
            None => Err(ClientError::HungUp),
        }
    }
}

/// A reading of one channel.
#[derive(Debug)]
pub struct Subscribed<'a> {
    source: From<'a>,
    after: u64,
    made: bool,
}

#[derive(Debug)]
enum From<'a> {
    Remote(&'a mut Remote),
    Local(Box<Subscription>),
}

impl Subscribed<'_> {
    /// Sequence after which it started.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after
    }

    /// Whether the channel was made for it.
    #[must_use]
    pub fn made(&self) -> bool {
        self.made
    }

    /// The next messages and gaps, each with its headers and payload; waits until there are any.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The channel was removed, or the connection failed.
    pub async fn next(&mut self) -> Result<Vec<(MessageHead, Bytes, Bytes)>, ClientError> {
        match &mut self.source {
            From::Remote(remote) => match remote.read().await? {
                (Response::Messages { messages }, body) => Ok(ops::from_frame(messages, body)),
                _ => Err(ClientError::Unexpected),
            },
            From::Local(subscription) => {
                let items = subscription.next().await?;
                let (heads, parts) = ops::to_frame(&items);
                Ok(ops::from_frame(heads, parts.concat().into()))
            }
        }
    }

    /// Says that everything up to `seq` is dealt with.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn handled(&mut self, seq: u64) -> Result<(), ClientError> {
        match &mut self.source {
            From::Remote(remote) => {
                Ok(frame::write(&mut remote.to, &Request::Handled { seq }, &[]).await?)
            }
            From::Local(subscription) => {
                subscription.handled(seq);
                Ok(())
            }
        }
    }

    /// Ends the reading; the position is then written.
    ///
    /// # Errors
    /// The position could not be written, or the connection failed.
    pub async fn stop(self) -> Result<(), ClientError> {
        match self.source {
            From::Remote(remote) => {
                frame::write(&mut remote.to, &Request::Stop, &[]).await?;
                // Messages that were on their way come first.
                loop {
                    match remote.read().await? {
                        (Response::Messages { .. }, _) => (),
                        (Response::Done { .. }, _) => return Ok(()),
                        _ => return Err(ClientError::Unexpected),
                    }
                }
            }
            From::Local(subscription) => Ok(blocking(move || subscription.finish()).await?),
        }
    }
}

impl ClientError {
    /// What kind of failure it is, where that is known.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(failure) => Some(failure.code),
            Self::NoDataDir(_) => Some(ErrorCode::NotFound),
            Self::InUse { .. } => Some(ErrorCode::Conflict),
            Self::Connect { source, .. } | Self::Io { source, .. } => of_kind(source),
            Self::Start(StartError::DataDir { source, .. }) => of_kind(source),
            Self::Start(StartError::Open { source: OpenError::Io { source, .. }, .. }) => {
                of_kind(source)
            }
            _ => None,
        }
    }
}

fn of_kind(error: &io::Error) -> Option<ErrorCode> {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some(ErrorCode::Denied)
        }
        io::ErrorKind::NotFound => Some(ErrorCode::NotFound),
        _ => None,
    }
}
