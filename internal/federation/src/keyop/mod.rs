//! The predecessor's WebSocket wire, as a link like any other.
//!
//! ```text
//!   client ── {"instance_name":"alice","role":"client",…} ──▶ hub      text, first of all
//!          ◀─ {"instance_name":"hub","role":"hub",…} ────────
//!   then either way:
//!          ── binary: envelopes, each behind its length ────▶
//!          ◀─ {"last_id":"…"} ──────────────────────────────           text, one for each binary message
//! ```
//!
//! Its peers have no sub-protocol, no sources, no positions and no signs of life. What they send is known
//! by its id alone, what they are sent resumes at what they acknowledged, and a dead connection is
//! found by the socket, or by an acknowledgement that does not come.

mod envelope;
mod receiving;
mod sending;
mod text;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use pubsub_types::{ChannelName, Filter};
use uuid::Uuid;

use self::receiving::{Fault, Receiver};
use self::sending::Sender;
use self::text::{Ack, Handshake, TEXT_MAX_BYTES};
use crate::action::{
    Action, Counters, Event, InSub, LinkStatus, Message, Opened, OutSub, Peer, Phase, Piece, Start,
};
use crate::close::{CloseCode, Closed, RefuseCode};
use crate::config::{GREETING_TIME, SessionConfig};
use crate::link::Link;
use crate::log_info::LogInfo;
use crate::name::NodeName;
use crate::policy::{Lists, PeerPolicy};

/// A link in the predecessor's wire. See [`Link`] for how it is driven.
pub struct Session {
    config: SessionConfig,
    stage: Stage,
    began: Duration,
    now: Duration,
    peer: Option<Peer>,
    asks: Lists,
    out: VecDeque<Action>,
    /// The last action was given.
    said_all: bool,
    counters: Counters,
    sender: Sender,
    receiver: Receiver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// We listen, and wait for the client's handshake.
    Accepted,
    /// We listen, and wait for the shell's word on it.
    Admitting,
    /// We dialled, and wait for the hub's handshake.
    Dialed,
    Established {
        listener: bool,
    },
    Over,
}

impl Session {
    /// The client's end of a new connection. Its wire knows channels by their names only: a wildcard in
    /// `asks.subscribe` ends it at once, with a text that says so.
    #[must_use]
    pub fn dial(config: SessionConfig, asks: Lists, now: Duration) -> Self {
        let mut session = Self::new(config, Stage::Dialed, now);
        if let Some(wildcard) = asks.subscribe.iter().find(|filter| !filter.is_literal()) {
            let text =
                format!("the keyop wire has no wildcards; list channels instead of {wildcard}");
            session.end(CloseCode::Version, text, false);
            return session;
        }
        let channels: Vec<String> = asks.subscribe.iter().map(Filter::to_string).collect();
        let name = session.config.name.as_str();
        let handshake = Handshake::client(name, &channels, session.config.ephemeral).to_text();
        session.out.push_back(Action::Send(Message::Text(handshake)));
        session.asks = asks;
        session
    }

    /// The hub's end of a new connection.
    #[must_use]
    pub fn accept(config: SessionConfig, now: Duration) -> Self {
        Self::new(config, Stage::Accepted, now)
    }

    fn new(config: SessionConfig, stage: Stage, now: Duration) -> Self {
        let sender = Sender::new(config.batch_bytes);
        let receiver = Receiver::new(config.message_max_bytes, config.window_bytes);
        Self {
            config,
            stage,
            began: now,
            now,
            peer: None,
            asks: Lists::default(),
            out: VecDeque::new(),
            said_all: false,
            counters: Counters::default(),
            sender,
            receiver,
        }
    }

    fn end(&mut self, code: CloseCode, text: String, by_peer: bool) {
        self.finish(Closed { code, text, by_peer });
    }

    fn finish(&mut self, closed: Closed) {
        if self.stage != Stage::Over {
            self.stage = Stage::Over;
            self.out.retain(|action| !matches!(action, Action::Send(_) | Action::Read { .. }));
            self.out.push_back(Action::Close(closed));
        }
    }

    const fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Established { .. })
    }

    fn take(&mut self, message: &Message) -> Result<(), Fault> {
        let out_of_order = |text: &str| Err((CloseCode::OutOfOrder, text.to_owned()));
        match (self.stage, message) {
            (Stage::Over, _) => Ok(()),
            (_, Message::Text(text)) if text.len() > TEXT_MAX_BYTES => {
                let text = format!("a text of {} bytes, {TEXT_MAX_BYTES} allowed", text.len());
                Err((CloseCode::TooLarge, text))
            }
            (Stage::Accepted | Stage::Dialed, Message::Text(text)) => self.handshake(text),
            (Stage::Accepted | Stage::Dialed, Message::Binary(_)) => {
                out_of_order("a message before the handshake")
            }
            (Stage::Admitting, _) => out_of_order("a message before the hub's handshake"),
            (Stage::Established { .. }, Message::Text(text)) => {
                if !Ack::is(text) {
                    return Err((CloseCode::Malformed, "a text that is no ack".to_owned()));
                }
                if !self.sender.acked(&mut self.out) {
                    return Err((CloseCode::AckedUnsent, "nothing was sent".to_owned()));
                }
                Ok(())
            }
            (Stage::Established { .. }, Message::Binary(bytes)) => {
                self.receiver.frame(bytes, &mut self.counters, &mut self.out)
            }
        }
    }

    fn handshake(&mut self, text: &str) -> Result<(), Fault> {
        let Some(handshake) = Handshake::parse(text) else {
            return Err((CloseCode::Malformed, "the first text is no handshake".to_owned()));
        };
        // As the predecessor does: the certificate's name, whatever the handshake says.
        let name = match &self.config.certified {
            Some(certified) => certified.clone(),
            None => NodeName::new(&handshake.instance_name)
                .map_err(|bad| (CloseCode::Malformed, bad.to_string()))?,
        };
        if name == self.config.name {
            let text = format!("the peer is named {name}, as we are; names must differ");
            return Err((CloseCode::NameMismatch, text));
        }
        name.as_str().clone_into(&mut self.sender.peer);
        name.as_str().clone_into(&mut self.receiver.peer);
        let peer = Peer {
            name,
            node: Uuid::nil(),
            incarnation: 0,
            agent: "keyop".to_owned(),
            ephemeral: handshake.ephemeral,
        };
        self.peer = Some(peer.clone());
        if self.stage == Stage::Accepted {
            self.sender.live = handshake.ephemeral;
            let channels = handshake.subscribe.iter();
            // What cannot be a channel's name cannot be had.
            self.asks.subscribe = channels
                .filter_map(|name| ChannelName::new(name).ok())
                .filter_map(|name| Filter::new(name.as_str()).ok())
                .collect();
            self.stage = Stage::Admitting;
            self.out.push_back(Action::Admit { peer });
        } else {
            let Lists { subscribe, publish } = self.asks.clone();
            self.establish(publish, subscribe, false);
        }
        Ok(())
    }

    fn establish(&mut self, sends: Vec<Filter>, receives: Vec<Filter>, listener: bool) {
        let Some(peer) = self.peer.clone() else { return };
        self.stage = Stage::Established { listener };
        self.sender.set_lists(sends.clone(), &mut self.out);
        self.receiver.set_lists(receives.clone(), &mut self.out);
        self.out.push_back(Action::Established { peer, sends, receives, lz4: false });
        self.out.push_back(Action::ListChannels);
    }

    /// What the client receives and what it may send: it does not say what it wants to.
    fn effective(&self, policy: &PeerPolicy) -> (Vec<Filter>, Vec<Filter>) {
        let anything =
            Lists { subscribe: self.asks.subscribe.clone(), publish: vec![Filter::all()] };
        let effective = policy.effective(&anything);
        (effective.subscribe, effective.publish)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what waits to be sent: it has payloads in it.
        f.debug_struct("keyop::Session").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Link for Session {
    fn handle_message(&mut self, message: Message, now: Duration) {
        self.now = now;
        self.counters.frames_received += 1;
        self.counters.bytes_received += message.len() as u64;
        if let Err((code, text)) = self.take(&message) {
            self.end(code, text, false);
        }
    }

    fn handle_close(&mut self, code: u16, text: &str, _: Duration) {
        self.finish(Closed::by_peer(code, text));
    }

    fn handle_hangup(&mut self, text: &str, _: Duration) {
        self.end(CloseCode::Lost, text.to_owned(), true);
    }

    fn admit(&mut self, policy: &PeerPolicy, now: Duration) {
        self.now = now;
        if self.stage == Stage::Admitting {
            let handshake = Handshake::hub(self.config.name.as_str()).to_text();
            self.out.push_back(Action::Send(Message::Text(handshake)));
            let (sends, receives) = self.effective(policy);
            self.establish(sends, receives, true);
        }
    }

    fn reject(&mut self, code: CloseCode, text: &str, _: Duration) {
        self.end(code, text.to_owned(), false);
    }

    fn set_policy(&mut self, policy: &PeerPolicy, now: Duration) {
        self.now = now;
        if self.stage != (Stage::Established { listener: true }) {
            return;
        }
        let (sends, receives) = self.effective(policy);
        if sends != self.sender.lists || receives != self.receiver.lists {
            self.sender.set_lists(sends.clone(), &mut self.out);
            self.receiver.set_lists(receives.clone(), &mut self.out);
            self.out.push_back(Action::Event(Event::ListsChanged { sends, receives }));
            self.out.push_back(Action::ListChannels);
        }
    }

    fn close(&mut self, code: CloseCode, text: &str, _: Duration) {
        self.end(code, text.to_owned(), false);
    }

    fn channel(&mut self, channel: &ChannelName, log: &LogInfo, _: Duration) {
        if self.is_established() {
            self.sender.channel(channel, log, &mut self.out);
        }
    }

    fn channel_removed(&mut self, channel: &ChannelName, _: Duration) {
        self.sender.channel_removed(channel, &mut self.out);
    }

    fn opened(&mut self, sub: OutSub, opened: Opened, _: Duration) {
        self.sender.opened(sub, opened, &mut self.out);
    }

    fn read(
        &mut self,
        sub: OutSub,
        pieces: &mut dyn Iterator<Item = Piece<'_>>,
        after: u64,
        at_end: bool,
        now: Duration,
    ) {
        self.now = now;
        self.sender.read(sub, pieces, after, at_end, &mut self.counters, &mut self.out);
    }

    fn ready(&mut self, sub: OutSub, now: Duration) {
        self.now = now;
        self.sender.ready(sub);
    }

    fn withdraw(&mut self, sub: OutSub, code: RefuseCode, _: &str, now: Duration) {
        self.sender.withdraw(sub, code, now, &mut self.out);
    }

    fn subscribe(&mut self, sub: InSub, _: Start, _: Duration) {
        self.receiver.subscribe(sub, &mut self.out);
    }

    fn refuse(&mut self, sub: InSub, _: RefuseCode, _: &str, _: Duration) {
        self.receiver.refuse(sub, &mut self.out);
    }

    fn committed(&mut self, sub: InSub, seq: u64, _: Duration) {
        self.receiver.committed(sub, seq, &mut self.out);
    }

    fn synced(&mut self, sub: InSub, seq: u64, now: Duration) {
        self.committed(sub, seq, now);
    }

    fn failed(&mut self, _: InSub, text: &str, _: Duration) {
        // Without an acknowledgement the peer sends it again, on its next connection.
        self.end(CloseCode::Unavailable, text.to_owned(), false);
    }

    fn tick(&mut self, now: Duration) {
        self.now = now;
        match self.stage {
            Stage::Over => (),
            Stage::Established { .. } => {
                if self.sender.is_overdue(now) {
                    let text = format!("no acknowledgement for {:?}", sending::ACK_TIME);
                    self.end(CloseCode::Silent, text, false);
                } else if self.sender.retry_is_due(now) {
                    self.out.push_back(Action::ListChannels);
                }
            }
            Stage::Accepted | Stage::Admitting | Stage::Dialed => {
                if now >= self.began + GREETING_TIME {
                    let text = format!("the handshake took longer than {GREETING_TIME:?}");
                    self.end(CloseCode::HandshakeTimeout, text, false);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self.stage {
            Stage::Over => None,
            Stage::Established { .. } => self.sender.deadline(),
            Stage::Accepted | Stage::Admitting | Stage::Dialed => Some(self.began + GREETING_TIME),
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        if self.said_all {
            return None;
        }
        if self.out.is_empty() && self.is_established() {
            self.sender.pump(self.now, &mut self.counters, &mut self.out);
        }
        let action = self.out.pop_front()?;
        match &action {
            Action::Send(message) => {
                self.counters.frames_sent += 1;
                self.counters.bytes_sent += message.len() as u64;
            }
            Action::Close(_) => self.said_all = true,
            _ => (),
        }
        Some(action)
    }

    fn status(&self) -> LinkStatus {
        LinkStatus {
            phase: match self.stage {
                Stage::Over => Phase::Closed,
                Stage::Established { .. } => Phase::Established,
                Stage::Accepted | Stage::Admitting | Stage::Dialed => Phase::Greeting,
            },
            peer: self.peer.clone(),
            round_trip: None,
            in_flight_bytes: 0,
            window_bytes: self.config.window_bytes,
            counters: self.counters,
            sending: self.sender.status(),
            receiving: self.receiver.status(),
        }
    }
}
