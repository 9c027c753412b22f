//! The node's end of the control socket.
//!
//! Clients are few and local, so each has a task. What a client costs is bounded: one request at a
//! time, frames of bounded size, and while it reads as a subscriber, no more is read from disk than it
//! takes off the socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{self, FrameError, FrameReader};
use super::ops::{self, Ops, Subscription};
use super::protocol::{ErrorCode, Failure, PROTOCOL_VERSION, Request, Response};
use super::socket;
use crate::Node;
use crate::claims::Claimant;

/// Most clients connected at one time; the next ones are told so and turned away.
pub const CLIENTS_MAX: usize = 256;

/// Characters of what a client calls itself that are shown to others.
const CLIENT_NAME_CHARS_MAX: usize = 64;

/// How long clients are given to take their answers when the node stops.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// A listening control socket. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// No further request is taken.
    stop: CancellationToken,
    /// Nothing more is waited for.
    abort: CancellationToken,
    tasks: TaskTracker,
    removed: Mutex<bool>,
}

impl Server {
    /// Listens on the control socket of `node`'s data directory, on the current tokio runtime.
    ///
    /// # Errors
    /// Somebody else listens there, or the socket could not be made.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(node: Arc<Node>) -> io::Result<Self> {
        Self::serve(&Ops::new(node))
    }

    /// As [`Self::start`], sharing `ops` with whoever else does requests on the node.
    ///
    /// # Errors
    /// As for [`Self::start`].
    ///
    /// # Panics
    /// As for [`Self::start`].
    pub fn serve(ops: &Arc<Ops>) -> io::Result<Self> {
        let (listener, path) = socket::bind(ops.node().data_dir())?;
        let listener = UnixListener::from_std(listener)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let abort = CancellationToken::new();
        let accepting = Accepting {
            listener,
            ops: ops.clone(),
            stop: stop.clone(),
            abort: abort.clone(),
            tasks: tasks.clone(),
            room: Arc::new(Semaphore::new(CLIENTS_MAX)),
        };
        tasks.spawn(accepting.run());
        Ok(Self { path, stop, abort, tasks, removed: Mutex::new(false) })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stops listening, answers the requests that were taken, ends every connection, and waits until
    /// their subscribers' positions are written. A client that does not take its answer is left after
    /// two seconds.
    pub async fn stop(&self) {
        self.end();
        if tokio::time::timeout(GRACE, self.tasks.wait()).await.is_err() {
            self.abort.cancel();
            self.tasks.wait().await;
        }
    }

    fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        let mut removed = self.removed.lock();
        // Once only: by the second time, the name may be another node's.
        if !std::mem::replace(&mut *removed, true)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the control socket was not removed");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        self.abort.cancel();
    }
}

struct Accepting {
    listener: UnixListener,
    ops: Arc<Ops>,
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
    room: Arc<Semaphore>,
}

impl Accepting {
    async fn run(self) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a control connection was not accepted");
                    // Out of file descriptors, most likely: without a pause this would spin.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (ops, stop, room) = (self.ops.clone(), self.stop.clone(), self.room.clone());
            let abort = self.abort.clone();
            let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()?.try_into().ok());
            self.tasks.spawn(async move {
                let (from, to) = stream.into_split();
                let from = FrameReader::new(from);
                let client = Claimant::Client { name: "a client".to_owned(), pid };
                let mut connection = Connection { ops, stop, client, from, to };
                let Ok(_permit) = room.try_acquire() else {
                    let full = Failure::new(
                        ErrorCode::Busy,
                        format!("the node has {CLIENTS_MAX} control connections and takes no more"),
                        "close some",
                    );
                    let _told = connection.answer(&Response::Failed(full), &[]).await;
                    return;
                };
                let ended = tokio::select! {
                    () = abort.cancelled() => Ok(()),
                    ended = connection.run() => ended,
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a control connection ended");
                }
            });
        }
    }
}

struct Connection {
    ops: Arc<Ops>,
    stop: CancellationToken,
    /// Who is at the other end, as far as it is known.
    client: Claimant,
    from: FrameReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

impl Connection {
    async fn answer(&mut self, response: &Response, parts: &[&[u8]]) -> Result<(), FrameError> {
        frame::write(&mut self.to, response, parts).await
    }

    async fn run(&mut self) -> Result<(), FrameError> {
        if !self.greet().await? {
            return Ok(());
        }
        loop {
            let next = tokio::select! {
                biased;
                next = self.from.next::<Request>() => next?,
                () = self.stop.cancelled() => return self.turn_away().await,
            };
            let Some((request, body)) = next else { return Ok(()) };
            let (ops, by) = (self.ops.clone(), self.client.clone());
            if let Request::Subscribe { channel, id, start } = request {
                let subscribe = move || ops.subscribe(&channel, id.as_ref(), start, &by);
                match blocking(subscribe).await {
                    Ok(subscription) => self.deliver(subscription).await?,
                    Err(failure) => self.answer(&Response::Failed(failure), &[]).await?,
                }
                continue;
            }
            let handle = move || ops.handle(request, &body, &by);
            let (response, body) = match blocking(handle).await {
                Ok(answer) => answer,
                Err(failure) => (Response::Failed(failure), Bytes::new()),
            };
            self.answer(&response, &[&body]).await?;
        }
    }

    /// Says that no request is taken any more: what was not answered was not done, and may be asked
    /// again of whoever is the node next.
    async fn turn_away(&mut self) -> Result<(), FrameError> {
        let stopping = Failure::new(ErrorCode::Stopping, "the node is stopping", "try again");
        self.answer(&Response::Failed(stopping), &[]).await
    }

    /// Whether the client speaks our version.
    async fn greet(&mut self) -> Result<bool, FrameError> {
        let next = tokio::select! {
            biased;
            next = self.from.next::<Request>() => next?,
            () = self.stop.cancelled() => {
                self.turn_away().await?;
                None
            }
        };
        let Some((request, _)) = next else { return Ok(false) };
        let Request::Hello { version, client } = request else {
            let rude = Failure::new(ErrorCode::Invalid, "a connection begins with hello", "");
            self.answer(&Response::Failed(rude), &[]).await?;
            return Ok(false);
        };
        if version != PROTOCOL_VERSION {
            let text = format!(
                "{client} speaks version {version} of the control protocol, and this node speaks {PROTOCOL_VERSION}"
            );
            let other = Failure::new(ErrorCode::Invalid, text, "use programs of the same version");
            self.answer(&Response::Failed(other), &[]).await?;
            return Ok(false);
        }
        if let Claimant::Client { name, .. } = &mut self.client {
            // Others are shown it.
            let printable = client.chars().filter(|letter| !letter.is_control());
            *name = printable.take(CLIENT_NAME_CHARS_MAX).collect();
        }
        let hello = Response::Hello {
            version: PROTOCOL_VERSION,
            node: self.ops.node().name().to_owned(),
            pid: std::process::id(),
        };
        self.answer(&hello, &[]).await?;
        Ok(true)
    }

    /// Sends messages until the client has enough.
    async fn deliver(&mut self, mut subscription: Subscription) -> Result<(), FrameError> {
        let begun = Response::Subscribed { after: subscription.after(), made: subscription.made() };
        self.answer(&begun, &[]).await?;
        loop {
            // What the client has dealt with is taken in first, so that an end finds it written.
            let items = tokio::select! {
                biased;
                said = self.from.next::<Request>() => match said? {
                    Some((Request::Handled { seq }, _)) => {
                        subscription.handled(seq);
                        continue;
                    }
                    Some((Request::Stop, _)) => break,
                    Some(_) => {
                        let odd = Failure::new(ErrorCode::Invalid, "a subscription is under way", "");
                        return self.answer(&Response::Failed(odd), &[]).await;
                    }
                    None => return blocking(move || subscription.finish()).await.or(Ok(())),
                },
                items = subscription.next() => items,
                () = self.stop.cancelled() => {
                    let finished = blocking(move || subscription.finish()).await;
                    return match finished {
                        Ok(()) => self.turn_away().await,
                        Err(failure) => self.answer(&Response::Failed(failure), &[]).await,
                    };
                }
            };
            match items {
                Ok(items) => {
                    let (messages, parts) = ops::to_frame(&items);
                    let response = Response::Messages { messages };
                    // Waits for the client. Meanwhile it may say that it has dealt with some: that
                    // is read afterwards, and until then costs it a place in the socket's buffer.
                    frame::write(&mut self.to, &response, &parts).await?;
                }
                Err(failure) => return self.answer(&Response::Failed(failure), &[]).await,
            }
        }
        let response = match blocking(move || subscription.finish()).await {
            Ok(()) => Response::Done { what: "stopped".to_owned() },
            Err(failure) => Response::Failed(failure),
        };
        self.answer(&response, &[]).await
    }
}

/// Runs what may block on the disk where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let text = format!("the request could not be finished: {error}");
            Err(Failure::new(ErrorCode::Failed, text, "the node's log says more"))
        }
    }
}
