//! The life of a client: asked to connect, connected, lost, and connected again.
//!
//! ```text
//!   idle ──connect──▶ dialling ──▶ talking ──lost──▶ waiting ──▶ dialling ─▶ …
//!    ▲                   │            │                 only with reconnection
//!    ╰── refused for good, or lost for good ──╯
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use pubsub_federation::{Lists, SessionConfig};
use pubsub_tls::{HandshakeError, Reloading};
use pubsub_types::Filter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::error::{ConnectError, PublishError, Rejected, StartError};
use super::ledger::Ledger;
use super::settings::{Settings, everything};
use super::talk::{Ended, talk};
use super::{Command, OnRejected, Shared};
use crate::link::connect;
use crate::link::settings::DialSettings;
use crate::link::socket::Socket;

/// What the client's thread runs.
pub(super) struct Driver {
    pub(super) settings: Settings,
    pub(super) session: SessionConfig,
    hub: DialSettings,
    pub(super) tls: Option<Reloading>,
    pub(super) shared: Arc<Shared>,
    pub(super) commands: UnboundedReceiver<Command>,
    /// The same, for what comes back from handlers.
    pub(super) to_self: UnboundedSender<Command>,
    pub(super) ledger: Ledger,
    /// Who waits for a connection.
    pub(super) waiters: Vec<oneshot::Sender<Result<(), ConnectError>>>,
    rejected: Option<OnRejected>,
    /// Number of the last link.
    pub(super) links: u64,
    /// Since it was asked to connect, it was.
    pub(super) was_connected: bool,
}

/// Why the driver leaves what it does.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client is closed.
    Closed,
    /// Nobody waits for a first connection any more.
    Abandoned,
}

/// Why there is no link.
struct Failure {
    reason: String,
    /// It will end the same way until somebody changes something.
    for_good: bool,
}

type Channel = (UnboundedSender<Command>, UnboundedReceiver<Command>);

impl Driver {
    pub(super) fn new(
        settings: Settings,
        shared: Arc<Shared>,
        (to_self, commands): Channel,
        rejected: Option<OnRejected>,
    ) -> Result<Self, StartError> {
        let session = settings.session()?;
        let tls = settings.tls().map(Reloading::open).transpose()?;
        Ok(Self {
            session,
            hub: settings.dial(),
            tls,
            shared,
            commands,
            to_self,
            ledger: Ledger::new(Uuid::now_v7()),
            waiters: Vec::new(),
            rejected,
            links: 0,
            was_connected: false,
            settings,
        })
    }

    pub(super) async fn run(mut self) {
        let mut reason = "connect was not called".to_owned();
        while self.until_asked(&reason).await {
            self.was_connected = false;
            reason = match self.stay_connected().await {
                Ok(reason) => reason,
                Err(Stop::Abandoned) => "connecting was given up".to_owned(),
                Err(Stop::Closed) => break,
            };
            self.ledger.give_up(&reason);
        }
        self.ledger.close();
        // Whoever waits for what is still in here is told by its end.
        self.commands.close();
    }

    /// Waits until somebody wants a connection; `false` when the client is closed.
    async fn until_asked(&mut self, reason: &str) -> bool {
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Connect(waiter) => {
                    self.waiters.push(waiter);
                    return true;
                }
                Command::Publish(parcel) => {
                    let reason = reason.to_owned();
                    let error = PublishError::ConnectionLost { sent: false, reason };
                    let _gone = parcel.answer.send(Err(error));
                }
                Command::Withdraw(_) | Command::Handled(_) => (),
                Command::Close => return false,
            }
        }
        false
    }

    /// Connects, and as often again as it may. Gives back why it stays lost.
    async fn stay_connected(&mut self) -> Result<String, Stop> {
        let lists = self.declare();
        let result = self.connect_and_again(lists).await;
        self.shared.declared.lock().told = false;
        result
    }

    async fn connect_and_again(&mut self, lists: Lists) -> Result<String, Stop> {
        let mut backoff = self.settings.backoff();
        loop {
            let failure = match self.dial().await? {
                Ok((socket, peer)) => {
                    let Ended { closed, up } = talk(self, lists.clone(), socket, peer).await?;
                    if let Some(up) = up {
                        backoff.ended_after(up);
                    }
                    Failure { for_good: closed.code.is_fatal(), reason: closed.to_string() }
                }
                Err(failure) => failure,
            };
            let hub = self.hub.addr.as_str();
            if failure.for_good {
                tracing::error!(hub, reason = failure.reason, "the hub refuses this client");
                return Ok(self.reject(failure.reason));
            }
            if self.settings.reconnect.is_none() {
                tracing::warn!(hub, reason = failure.reason, "the hub is not connected");
                let (hub, reason) = (hub.to_owned(), failure.reason.clone());
                self.tell(&Err(ConnectError::Unreachable { hub, reason }));
                return Ok(failure.reason);
            }
            let wait = backoff.wait(rand::random());
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let failures = backoff.failures();
            tracing::warn!(
                hub,
                reason = failure.reason,
                wait_ms,
                failures,
                "the hub is not connected"
            );
            self.meanwhile(tokio::time::sleep(wait)).await?;
        }
    }

    /// The channels that the hub is asked for. Until the connection is given up they stay the same.
    fn declare(&self) -> Lists {
        let mut declared = self.shared.declared.lock();
        declared.told = true;
        let subscribe = declared.sinks.keys().filter_map(|name| Filter::new(name.as_str()).ok());
        Lists { subscribe: subscribe.collect(), publish: everything() }
    }

    async fn dial(&mut self) -> Result<Result<(Socket, Option<pubsub_tls::Peer>), Failure>, Stop> {
        if let Some(tls) = &self.tls
            && let Err(error) = tls.reload_if_changed()
        {
            tracing::error!(%error, "changed certificates are not used; the ones before stay");
        }
        let tls = self.tls.as_ref().map(Reloading::current);
        let hub = self.hub.clone();
        let connected = async move { connect::connect(tls.as_deref(), &hub).await };
        let connected = self.meanwhile(connected).await?;
        Ok(connected.map_err(|error| Failure {
            reason: error.to_string(),
            for_good: matches!(
                error,
                connect::ConnectError::Tls(HandshakeError::RefusedByPeer { .. })
            ),
        }))
    }

    /// Does what is told while `work` is under way and the hub is not connected.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let mut work = pin!(work);
        loop {
            let waiting = !self.was_connected;
            let command = tokio::select! {
                output = &mut work => return Ok(output),
                () = abandoned(&mut self.waiters), if waiting => return Err(Stop::Abandoned),
                command = self.commands.recv() => command,
            };
            match command {
                Some(Command::Connect(waiter)) => self.waiters.push(waiter),
                Some(Command::Publish(parcel)) => self.ledger.add(parcel),
                Some(Command::Withdraw(channel)) => self.ledger.prune(&channel),
                Some(Command::Handled(_)) => (),
                Some(Command::Close) | None => return Err(Stop::Closed),
            }
        }
    }

    /// Tells everybody that the hub does not want us.
    fn reject(&mut self, reason: String) -> String {
        let rejected = Rejected { hub: self.hub.addr.clone(), reason: reason.clone() };
        self.ledger.give_up(&reason);
        self.shared.declared.lock().told = false;
        self.tell(&Err(rejected.clone().into()));
        if let Some(callback) = &self.rejected {
            let called = std::panic::AssertUnwindSafe(|| callback(rejected));
            if std::panic::catch_unwind(called).is_err() {
                tracing::error!("the callback for a fatal error panicked");
            }
        }
        reason
    }

    /// Tells those who wait for a connection.
    pub(super) fn tell(&mut self, result: &Result<(), ConnectError>) {
        for waiter in self.waiters.drain(..) {
            let _gone = waiter.send(result.clone());
        }
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.shared.connected.store(connected, Ordering::Release);
    }
}

/// Resolves when nobody waits any more.
pub(super) async fn abandoned(waiters: &mut Vec<oneshot::Sender<Result<(), ConnectError>>>) {
    std::future::poll_fn(|context| {
        waiters.retain_mut(|waiter| waiter.poll_closed(context).is_pending());
        if waiters.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
