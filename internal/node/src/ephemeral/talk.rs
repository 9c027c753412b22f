//! One link of a client, from the greeting to its end.

use std::time::Duration;

use futures_util::StreamExt;
use pubsub_federation::{
    Action, CloseCode, Closed, Event, Link, Lists, NodeName, Origins, Phase, Piece, Session,
    SessionConfig, Start, Via,
};
use tokio::time::{MissedTickBehavior, interval};

use super::Command;
use super::delivery::{Handled, Intake};
use super::driver::{Driver, Stop, abandoned};
use super::ledger::Order;
use crate::clock;
use crate::link::frames::{Frames, Heard};
use crate::link::socket::Socket;
use crate::link::watch::unix_now;

/// Time for the last words of a link.
const CLOSE_TIME: Duration = Duration::from_millis(200);
/// Time between two looks at the files of the certificates.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Commands taken in at once.
const TOGETHER_MAX: usize = 512;

/// How a link ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) closed: Closed,
    /// How long it was established, if it ever was.
    pub(super) up: Option<Duration>,
}

struct Talk<'a> {
    driver: &'a mut Driver,
    machine: Session,
    certified: Option<pubsub_tls::Peer>,
    frames: Frames,
    intake: Intake,
    /// Number of this link.
    link: u64,
    via: Option<Via>,
    established: Option<Duration>,
    closed: Option<Closed>,
    stopping: bool,
}

/// Runs a link until it is over.
pub(super) async fn talk(
    driver: &mut Driver,
    lists: Lists,
    socket: Socket,
    certified: Option<pubsub_tls::Peer>,
) -> Result<Ended, Stop> {
    driver.links += 1;
    let name = certified.as_ref().and_then(|peer| NodeName::new(&peer.name).ok());
    let config = SessionConfig { certified: name, ..driver.session.clone() };
    let me = config.name.clone();
    let mut talk = Talk {
        machine: Session::dial(config, lists, clock::since_start()),
        certified,
        frames: Frames::default(),
        intake: Intake::new(driver.links, me, driver.ledger.log(), driver.to_self.clone()),
        link: driver.links,
        via: None,
        established: None,
        closed: None,
        stopping: false,
        driver,
    };
    talk.run(socket).await
}

impl Talk<'_> {
    async fn run(&mut self, socket: Socket) -> Result<Ended, Stop> {
        let (mut sink, mut stream) = socket.split();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = loop {
            self.act();
            if let Some(closed) = self.closed.take() {
                break closed;
            }
            let deadline = self.machine.deadline();
            let wait = deadline.map(|at| at.saturating_sub(clock::since_start()));
            let waiting = !self.driver.was_connected;
            tokio::select! {
                frame = stream.next() => match self.frames.hear(frame) {
                    Heard::Message(message) => {
                        self.machine.handle_message(message, clock::since_start());
                    }
                    Heard::Control => (),
                    Heard::End(text) => self.machine.handle_hangup(&text, clock::since_start()),
                },
                sent = self.frames.flush(&mut sink), if !self.frames.is_flushed() => {
                    if let Err(error) = sent {
                        self.machine.handle_hangup(&error.to_string(), clock::since_start());
                    }
                }
                command = self.driver.commands.recv() => {
                    self.obey(command);
                    // What came together is read together.
                    for _ in 0..TOGETHER_MAX {
                        let Ok(command) = self.driver.commands.try_recv() else { break };
                        self.obey(Some(command));
                    }
                }
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {
                    self.machine.tick(clock::since_start());
                }
                () = abandoned(&mut self.driver.waiters), if waiting => return Err(Stop::Abandoned),
                _ = look.tick() => self.look_at_certificates(),
            }
        };
        self.driver.set_connected(false);
        let up = self.established.map(|since| clock::since_start().saturating_sub(since));
        if self.stopping {
            self.driver.ledger.close();
        } else {
            self.driver.ledger.hung_up(&closed.to_string());
        }
        self.frames.say_goodbye(&mut sink, &mut stream, &closed, CLOSE_TIME).await;
        if self.stopping { Err(Stop::Closed) } else { Ok(Ended { closed, up }) }
    }

    fn obey(&mut self, command: Option<Command>) {
        let now = clock::since_start();
        match command {
            Some(Command::Connect(waiter)) if self.established.is_some() => {
                let _gone = waiter.send(Ok(()));
            }
            Some(Command::Connect(waiter)) => self.driver.waiters.push(waiter),
            Some(Command::Publish(parcel)) => self.driver.ledger.add(parcel),
            Some(Command::Withdraw(channel)) => self.driver.ledger.prune(&channel),
            Some(Command::Handled(Handled { link, sub, seq })) if link == self.link => {
                // Nothing is synced here; it is as safe as it will be.
                self.machine.synced(sub, seq, now);
            }
            Some(Command::Handled(_)) => (),
            Some(Command::Close) | None => {
                self.stopping = true;
                self.machine.close(CloseCode::GoingAway, "the client closes", now);
            }
        }
    }

    /// Does what machine and ledger say, until they say nothing more or the socket is busy.
    fn act(&mut self) {
        while self.closed.is_none() {
            let machine = &self.machine;
            if !self.frames.make_room(|| machine.status().phase == Phase::Closed) {
                return;
            }
            let now = clock::since_start();
            if let Some(order) = self.driver.ledger.poll_order() {
                self.carry_out(order, now);
            } else if let Some(action) = self.machine.poll_action() {
                self.take(action, now);
            } else {
                break;
            }
        }
        self.driver.ledger.settle();
    }

    fn carry_out(&mut self, order: Order, now: Duration) {
        match order {
            Order::Offer(channel) => {
                self.machine.channel(&channel, &self.driver.ledger.log_info(), now);
            }
            Order::Wake(sub) => self.machine.ready(sub, now),
            Order::Forget(channel) => self.machine.channel_removed(&channel, now),
        }
    }

    fn take(&mut self, action: Action, now: Duration) {
        let ledger = &mut self.driver.ledger;
        match action {
            Action::Send(message) => self.frames.push(message),
            // Only listeners are asked.
            Action::Admit { .. } => (),
            Action::Established { peer, sends, receives, lz4 } => {
                let hub = self.driver.settings.hub.as_str();
                tracing::info!(hub, peer = %peer.name, lz4, ?receives, "the hub is connected");
                ledger.allow(sends);
                self.via = Some(Via { peer: peer.name, origins: Origins::Any });
                self.established = Some(now);
                self.driver.was_connected = true;
                self.driver.set_connected(true);
                self.driver.tell(&Ok(()));
            }
            Action::ListChannels => ledger.list(),
            Action::Open { sub, channel, .. } => {
                let opened = ledger.opened(sub, channel);
                self.machine.opened(sub, opened, now);
            }
            Action::Read { sub, max_bytes } => {
                let read = ledger.read(sub, max_bytes, self.machine.message_max_bytes());
                let mut pieces = read.records.iter().map(Piece::Record);
                self.machine.read(sub, &mut pieces, read.after, read.at_end, now);
            }
            Action::Acked { sub, committed, .. } => ledger.acked(sub, committed),
            Action::Stopped { sub, .. } => ledger.stopped(sub),
            Action::Offered { sub, channel, .. } => {
                if self.intake.offered(sub, channel, &self.driver.shared) {
                    self.machine.subscribe(sub, Start::Live, now);
                } else {
                    let code = pubsub_federation::RefuseCode::NotWanted;
                    self.machine.refuse(sub, code, "nobody subscribed to it", now);
                }
            }
            Action::Receive { sub, batch, .. } => {
                if let Some(via) = &self.via {
                    self.intake.receive(sub, &batch, via);
                }
            }
            Action::Ended { sub, .. } => self.intake.ended(sub),
            Action::Event(event) => self.note(event, now),
            Action::Close(closed) => self.closed = Some(closed),
        }
    }

    fn note(&mut self, event: Event, now: Duration) {
        let hub = self.driver.settings.hub.as_str();
        match event {
            Event::Refused { channel, code, text } => {
                // It may also take back an offer of its own, which is no matter of what we publish.
                let offered = self.machine.status().sending;
                if !offered.iter().any(|sending| sending.channel == channel) {
                    tracing::warn!(hub, %channel, %code, text, "the hub does not take a channel");
                    self.driver.ledger.refused(&channel, code, &text);
                }
            }
            Event::ListsChanged { sends, receives } => {
                tracing::info!(hub, ?sends, ?receives, "what the hub allows changed");
                self.driver.ledger.allow(sends);
            }
            Event::Held { channel, seq, bytes, limit } => {
                // It is checked before it is sent; a channel that waits for ever would be worse.
                let text = format!("message {seq} of {channel} has {bytes} bytes of {limit}");
                tracing::error!(hub, text, "a message was held back, and the link is ended");
                self.machine.close(CloseCode::Unavailable, &text, now);
            }
            event => tracing::warn!(hub, ?event, "link"),
        }
    }

    /// Reads certificates again that changed, and ends a link to a hub that is trusted no longer.
    fn look_at_certificates(&mut self) {
        let Some(tls) = &self.driver.tls else { return };
        let changes = match tls.reload_if_changed() {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(%error, "changed certificates are not used; the ones before stay");
                return;
            }
        };
        let Some(peer) = self.certified.as_ref().filter(|_| changes.trust()) else { return };
        if let Err(refused) = tls.current().is_still_trusted(peer, unix_now()) {
            let text = refused.to_string();
            self.machine.close(CloseCode::Unavailable, &text, clock::since_start());
        }
    }
}
