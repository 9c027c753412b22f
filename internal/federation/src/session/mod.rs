//! One link in our own protocol: a dialer and a listener, and after the greeting two equals.
//!
//! ```text
//!            ╭─ greeting ─╮        ╭──────────── established ────────────╮
//!   dialer   HELLO, then waits     Sender  offers, batches, window
//!   listener waits, then Admit     Intake  subscriptions, acknowledgements
//!            within 5 s            Pulse   signs of life                       ──▶ Close, once
//! ```
//!
//! Whatever the peer does that it may not ends the link with a code that names it, and the peer is told.
//! Nothing else ends it: a channel that cannot flow is refused by itself.

mod assembler;
mod floor;
mod greeting;
mod intake;
mod outbox;
mod pulse;
mod sender;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use pubsub_types::ChannelName;

use self::assembler::Assembler;
use self::greeting::Stage;
use self::intake::{Incoming, Intake};
use self::outbox::Outbox;
use self::pulse::{HEARTBEAT_MAX, HEARTBEAT_MIN, Pulse, SILENT_BEATS};
use self::sender::Sender;
use crate::action::{
    Action, InSub, LinkStatus, Message, Opened, OutSub, Peer, Phase, Piece, Start,
};
use crate::close::{CloseCode, Closed, RefuseCode};
use crate::config::{
    FRAME_MAX_BYTES, FRAME_MIN_BYTES, GREETING_MAX_BYTES, GREETING_TIME, SessionConfig,
};
use crate::frame::Frame;
use crate::link::Link;
use crate::log_info::LogInfo;
use crate::policy::{Lists, PeerPolicy};

/// Smallest window that we give, in bytes.
const WINDOW_MIN_BYTES: u64 = 64 << 10;

/// Smallest batch that we aim at, in bytes.
const BATCH_MIN_BYTES: usize = 1 << 10;

/// A link in our own protocol. See [`Link`] for how it is driven.
pub struct Session {
    config: SessionConfig,
    stage: Stage,
    began: Duration,
    peer: Option<Peer>,
    /// What the dialer asked for.
    asks: Lists,
    out: Outbox,
    sender: Sender,
    intake: Intake,
    assembler: Assembler,
    pulse: Pulse,
}

/// What the peer did that it may not.
#[derive(Debug)]
struct Fault {
    code: CloseCode,
    text: String,
}

impl Fault {
    const fn new(code: CloseCode, text: String) -> Self {
        Self { code, text }
    }

    fn order(text: &str) -> Self {
        Self::new(CloseCode::OutOfOrder, text.to_owned())
    }

    fn acked_unsent(sub: u32, acked: u64, sent: u64) -> Self {
        let text = format!("subscription {sub} acknowledged up to {acked}, sent up to {sent}");
        Self::new(CloseCode::AckedUnsent, text)
    }
}

impl Session {
    /// The dialer's end of a new connection: asks the hub for `asks`.
    #[must_use]
    pub fn dial(config: SessionConfig, asks: Lists, now: Duration) -> Self {
        let mut session = Self::new(config, Stage::Dialed, now);
        session.asks = asks;
        session.hello();
        session
    }

    /// The listener's end of a new connection.
    #[must_use]
    pub fn accept(config: SessionConfig, now: Duration) -> Self {
        Self::new(config, Stage::Accepted, now)
    }

    fn new(config: SessionConfig, stage: Stage, now: Duration) -> Self {
        let mut config = config;
        config.batch_bytes = config.batch_bytes.clamp(BATCH_MIN_BYTES, FRAME_MAX_BYTES);
        config.window_bytes = config.window_bytes.max(WINDOW_MIN_BYTES);
        config.heartbeat = config.heartbeat.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        let mut sender = Sender::new(config.name.as_str());
        sender.batch_bytes = config.batch_bytes;
        Self {
            stage,
            began: now,
            peer: None,
            asks: Lists::default(),
            out: Outbox::new(FRAME_MIN_BYTES),
            sender,
            intake: Intake::new(config.message_max_bytes, config.window_bytes),
            assembler: Assembler::default(),
            pulse: Pulse::new(config.heartbeat, now),
            config,
        }
    }

    /// Largest message that the peer takes, in bytes, with subject and headers; 0 before it is
    /// established. A larger one would hold up its channel.
    #[must_use]
    pub const fn message_max_bytes(&self) -> usize {
        self.sender.message_max
    }

    fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Established { .. })
    }

    fn end(&mut self, closed: Closed, last_word: bool) {
        if !matches!(self.stage, Stage::Over) {
            self.stage = Stage::Over;
            self.out.end(closed, last_word);
        }
    }

    fn frame(&mut self, bytes: &Bytes, now: Duration) -> Result<(), Fault> {
        let limit = match self.stage {
            Stage::Accepted | Stage::Admitting(_) => GREETING_MAX_BYTES,
            Stage::Dialed | Stage::Established { .. } | Stage::Over => FRAME_MAX_BYTES,
        };
        if bytes.len() > limit {
            let text = format!("a frame of {} bytes, {limit} allowed", bytes.len());
            return Err(Fault::new(CloseCode::TooLarge, text));
        }
        let frame = Frame::decode(bytes)?;
        if let Frame::Close { code, text } = frame {
            self.end(Closed::by_peer(code, text), false);
            return Ok(());
        }
        if self.is_established() {
            if let Frame::Fragment { more, bytes } = frame {
                let max = self.intake.logical_max(FRAME_MAX_BYTES);
                return match self.assembler.push(bytes, more, max)? {
                    None => Ok(()),
                    Some(whole) => self.assembled(&whole, now),
                };
            }
            self.established(frame, bytes, now)
        } else {
            self.greeting(frame, now)
        }
    }

    /// Takes a frame that came in fragments.
    fn assembled(&mut self, bytes: &Bytes, now: Duration) -> Result<(), Fault> {
        match Frame::decode(bytes)? {
            frame @ (Frame::Batch { .. } | Frame::Lists(_)) => self.established(frame, bytes, now),
            _ => Err(Fault::order("a frame that is never long came in fragments")),
        }
    }

    fn established(&mut self, frame: Frame<'_>, bytes: &Bytes, now: Duration) -> Result<(), Fault> {
        let out = &mut self.out;
        match frame {
            Frame::Offer { sub, channel, end, first } => {
                self.intake.offer(sub, channel, end, first, out)
            }
            Frame::Subscribe { sub, start } => self.sender.subscribe(sub, start, out),
            Frame::Refuse { sub, code, text } => {
                self.sender.refused(sub, RefuseCode::from_u8(code), text, now, out)
            }
            Frame::Withdraw { sub, code, text } => {
                self.intake.withdrawn(sub, RefuseCode::from_u8(code), text, out)
            }
            Frame::Batch { sub, head, inflated, records } => {
                let incoming = Incoming { sub, head, inflated, records };
                self.intake.batch(&incoming, bytes, out)
            }
            Frame::Ack { sub, committed, durable, credit } => {
                self.sender.acked(sub, committed, durable, credit, out)
            }
            Frame::Ping(nonce) => {
                out.pong(nonce);
                Ok(())
            }
            Frame::Pong(nonce) => {
                self.pulse.answered(nonce, now);
                Ok(())
            }
            Frame::Lists(lists) => self.new_lists(lists),
            Frame::Hello(_) | Frame::Welcome(_) => Err(Fault::order("a second greeting")),
            // Taken before.
            Frame::Fragment { .. } | Frame::Close { .. } => Ok(()),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what waits to be sent: it has payloads in it.
        f.debug_struct("Session").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Link for Session {
    fn handle_message(&mut self, message: Message, now: Duration) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.pulse.heard(now);
        self.out.counters.frames_received += 1;
        self.out.counters.bytes_received += message.len() as u64;
        let taken = match message {
            Message::Binary(bytes) => self.frame(&bytes, now),
            Message::Text(_) => Err(Fault::new(CloseCode::Malformed, "a text message".to_owned())),
        };
        let taken = taken.and_then(|()| match self.out.is_flooded() {
            true => Err(Fault::new(CloseCode::TooMany, "too many answers wait".to_owned())),
            false => Ok(()),
        });
        if let Err(Fault { code, text }) = taken {
            self.end(Closed { code, text, by_peer: false }, true);
        }
    }

    fn handle_close(&mut self, code: u16, text: &str, _: Duration) {
        self.end(Closed::by_peer(code, text), false);
    }

    fn handle_hangup(&mut self, text: &str, _: Duration) {
        let closed = Closed { code: CloseCode::Lost, text: text.to_owned(), by_peer: true };
        self.end(closed, false);
    }

    fn admit(&mut self, policy: &PeerPolicy, now: Duration) {
        self.welcome(policy, now);
    }

    fn reject(&mut self, code: CloseCode, text: &str, now: Duration) {
        self.close(code, text, now);
    }

    fn set_policy(&mut self, policy: &PeerPolicy, _: Duration) {
        self.change_policy(policy);
    }

    fn close(&mut self, code: CloseCode, text: &str, _: Duration) {
        self.end(Closed { code, text: text.to_owned(), by_peer: false }, true);
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
        _: Duration,
    ) {
        if self.is_established() {
            self.sender.read(sub, pieces, after, at_end, &mut self.out);
        }
    }

    fn ready(&mut self, sub: OutSub, _: Duration) {
        self.sender.ready(sub);
    }

    fn withdraw(&mut self, sub: OutSub, code: RefuseCode, text: &str, now: Duration) {
        if self.is_established() {
            self.sender.give_up(sub, code, text, now, &mut self.out);
        }
    }

    fn subscribe(&mut self, sub: InSub, start: Start, _: Duration) {
        if self.is_established() {
            self.intake.subscribe(sub, start, &mut self.out);
        }
    }

    fn refuse(&mut self, sub: InSub, code: RefuseCode, text: &str, _: Duration) {
        if self.is_established() {
            self.intake.refuse(sub, code, text, &mut self.out);
        }
    }

    fn committed(&mut self, sub: InSub, seq: u64, _: Duration) {
        self.intake.committed(sub, seq);
    }

    fn synced(&mut self, sub: InSub, seq: u64, _: Duration) {
        self.intake.synced(sub, seq);
    }

    fn failed(&mut self, sub: InSub, text: &str, now: Duration) {
        self.refuse(sub, RefuseCode::Unavailable, text, now);
    }

    fn tick(&mut self, now: Duration) {
        match self.stage {
            Stage::Over => (),
            Stage::Established { .. } => {
                if self.pulse.is_silent(now) {
                    let silence = self.pulse.heartbeat() * SILENT_BEATS;
                    let text = format!("nothing was heard for {silence:?}");
                    self.close(CloseCode::Silent, &text, now);
                    return;
                }
                if let Some(nonce) = self.pulse.beat(now) {
                    self.out.steer(&Frame::Ping(nonce));
                }
                self.sender.tick(now, &mut self.out);
            }
            Stage::Accepted | Stage::Admitting(_) | Stage::Dialed => {
                if now >= self.began + GREETING_TIME {
                    let text = format!("the handshake took longer than {GREETING_TIME:?}");
                    self.close(CloseCode::HandshakeTimeout, &text, now);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self.stage {
            Stage::Over => None,
            Stage::Established { .. } => {
                let pulse = self.pulse.deadline();
                Some(self.sender.deadline().map_or(pulse, |retry| retry.min(pulse)))
            }
            Stage::Accepted | Stage::Admitting(_) | Stage::Dialed => {
                Some(self.began + GREETING_TIME)
            }
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.out.poll_steering() {
            return Some(action);
        }
        if self.is_established() {
            self.intake.acknowledge(&mut self.out);
            self.sender.pump(&mut self.out);
        }
        self.out.poll_steering().or_else(|| self.out.poll_carrying())
    }

    fn status(&self) -> LinkStatus {
        LinkStatus {
            phase: match self.stage {
                Stage::Over => Phase::Closed,
                Stage::Established { .. } => Phase::Established,
                Stage::Accepted | Stage::Admitting(_) | Stage::Dialed => Phase::Greeting,
            },
            peer: self.peer.clone(),
            round_trip: self.pulse.round_trip(),
            in_flight_bytes: self.sender.in_flight(),
            window_bytes: self.sender.window,
            counters: self.out.counters,
            sending: self.sender.status(),
            receiving: self.intake.status(),
        }
    }
}

#[cfg(test)]
mod tests;
