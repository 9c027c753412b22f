//! The greeting: who is there, what each takes, and what may flow.
//!
//! Names are checked against certificates, limits against each other, lists against the allowlist. Until
//! that is done nobody may send more than 16 KiB, nor anything else.

use std::time::Duration;

use super::pulse::{HEARTBEAT_MAX, HEARTBEAT_MIN, Pulse};
use super::{Fault, Session};
use crate::action::{Action, Event, Peer};
use crate::close::{CloseCode, Closed};
use crate::config::{FRAME_MAX_BYTES, FRAME_MIN_BYTES, GREETING_MAX_BYTES};
use crate::frame::{Frame, Greeting, VERSION, WireLists};
use crate::name::NodeName;
use crate::policy::{Lists, PeerPolicy, intersection};

/// Where a session is in its life.
#[derive(Debug)]
pub(super) enum Stage {
    /// We listen, and wait for HELLO.
    Accepted,
    /// We listen, and wait for the shell's word on this one.
    Admitting(Box<Greeting>),
    /// We dialled, and wait for WELCOME.
    Dialed,
    /// Channels flow.
    Established {
        /// Whether we listen, and so decide what flows.
        listener: bool,
    },
    /// The last action is given, or waits.
    Over,
}

impl Session {
    /// The dialer's first word.
    pub(super) fn hello(&mut self) {
        let lists = WireLists::from(&self.asks);
        let fits = lists.fit();
        let mut bytes = Vec::new();
        Frame::Hello(self.our_greeting(lists)).encode(&mut bytes);
        if fits && bytes.len() <= GREETING_MAX_BYTES {
            self.out.steer_encoded(bytes);
            return;
        }
        let text = format!(
            "the lists of channels make a greeting of {} bytes, {GREETING_MAX_BYTES} are allowed; \
             use wildcards",
            bytes.len()
        );
        self.end(Closed { code: CloseCode::TooLarge, text, by_peer: false }, false);
    }

    pub(super) fn greeting(&mut self, frame: Frame<'_>, now: Duration) -> Result<(), Fault> {
        match (&self.stage, frame) {
            (Stage::Accepted, Frame::Hello(hello)) => {
                let peer = self.check(&hello)?;
                self.peer = Some(peer.clone());
                self.stage = Stage::Admitting(Box::new(hello));
                self.out.act(Action::Admit { peer });
                Ok(())
            }
            (Stage::Dialed, Frame::Welcome(welcome)) => {
                let peer = self.check(&welcome)?;
                self.peer = Some(peer);
                // Whatever the hub says, no more than we asked.
                let effective = self.asks.both(&welcome.lists);
                self.establish(&welcome, effective.publish, effective.subscribe, false, now);
                Ok(())
            }
            (Stage::Admitting(_), _) => Err(Fault::order("a frame before WELCOME")),
            (_, Frame::Hello(_) | Frame::Welcome(_)) => Err(Fault::order("the wrong greeting")),
            _ => Err(Fault::order("a frame before the greeting")),
        }
    }

    /// The listener lets the peer in.
    pub(super) fn welcome(&mut self, policy: &PeerPolicy, now: Duration) {
        let hello = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Admitting(hello) => hello,
            other => {
                self.stage = other;
                return;
            }
        };
        self.asks = Lists::from(&hello.lists);
        let effective = policy.effective(&self.asks);
        let mut lists = WireLists::from(&effective);
        let mut bytes = Vec::new();
        for _ in 0..2 {
            bytes.clear();
            Frame::Welcome(self.our_greeting(lists.clone())).encode(&mut bytes);
            if lists.fit() && bytes.len() <= FRAME_MAX_BYTES {
                break;
            }
            // Too long to be said; what is not allowed is refused one by one.
            lists = hello.lists.clone();
        }
        self.out.steer_encoded(bytes);
        self.establish(&hello, effective.subscribe, effective.publish, true, now);
    }

    /// The listener's allowlist changed.
    pub(super) fn change_policy(&mut self, policy: &PeerPolicy) {
        if !matches!(self.stage, Stage::Established { listener: true }) {
            return;
        }
        let effective = policy.effective(&self.asks);
        let unchanged =
            effective.subscribe == self.sender.lists() && effective.publish == self.intake.lists();
        if unchanged {
            return;
        }
        self.change_lists(effective.subscribe.clone(), effective.publish.clone(), |session| {
            let lists = WireLists::from(&effective);
            let mut bytes = Vec::new();
            Frame::Lists(lists.clone()).encode(&mut bytes);
            if lists.fit() && bytes.len() <= session.out.frame_max {
                session.out.steer_encoded(bytes);
            } else {
                let asks = WireLists::from(&session.asks);
                session.out.steer(&Frame::Lists(asks));
            }
        });
    }

    /// The listener says that its allowlist changed.
    pub(super) fn new_lists(&mut self, lists: WireLists) -> Result<(), Fault> {
        if !matches!(self.stage, Stage::Established { listener: false }) {
            return Err(Fault::order("only a listener has lists to change"));
        }
        let effective = self.asks.both(&lists);
        self.change_lists(effective.publish, effective.subscribe, |_| ());
        Ok(())
    }

    /// Stops what may no longer flow, tells the peer, and has the channels listed that now may.
    fn change_lists(
        &mut self,
        sends: Vec<pubsub_types::Filter>,
        receives: Vec<pubsub_types::Filter>,
        tell: impl FnOnce(&mut Self),
    ) {
        self.sender.set_lists(sends.clone(), &mut self.out);
        self.intake.set_lists(receives.clone(), &mut self.out);
        tell(self);
        self.out.event(Event::ListsChanged { sends, receives });
        self.out.act(Action::ListChannels);
    }

    fn establish(
        &mut self,
        greeting: &Greeting,
        sends: Vec<pubsub_types::Filter>,
        receives: Vec<pubsub_types::Filter>,
        listener: bool,
        now: Duration,
    ) {
        let Some(peer) = self.peer.clone() else { return };
        let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let lz4 = greeting.lz4 && self.config.lz4;
        self.out.frame_max = bytes(greeting.frame_max).min(FRAME_MAX_BYTES);
        self.sender.peer = peer.name.to_string();
        self.sender.message_max = bytes(greeting.message_max);
        self.sender.window = greeting.window;
        self.sender.set_lists(sends.clone(), &mut self.out);
        self.intake.set_lists(receives.clone(), &mut self.out);
        self.intake.lz4 = lz4;
        if lz4 {
            self.sender.compress();
        }
        let theirs = Duration::from_millis(greeting.heartbeat_ms);
        let heartbeat = self.config.heartbeat.min(theirs.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX));
        self.pulse = Pulse::new(heartbeat, now);
        self.stage = Stage::Established { listener };
        self.out.act(Action::Established { peer, sends, receives, lz4 });
        self.out.act(Action::ListChannels);
    }

    fn our_greeting(&self, lists: WireLists) -> Greeting {
        let config = &self.config;
        let heartbeat = config.heartbeat.as_millis();
        Greeting {
            version: VERSION,
            name: config.name.as_str().to_owned(),
            node: config.node,
            incarnation: config.incarnation,
            agent: config.agent.clone(),
            lz4: config.lz4,
            ephemeral: config.ephemeral,
            frame_max: FRAME_MAX_BYTES as u64,
            message_max: config.message_max_bytes as u64,
            window: config.window_bytes,
            heartbeat_ms: u64::try_from(heartbeat).unwrap_or(u64::MAX),
            lists,
        }
    }

    /// Who the peer is, if it is who it says and speaks as we do.
    fn check(&self, greeting: &Greeting) -> Result<Peer, Fault> {
        if greeting.version == 0 {
            return Err(Fault::new(CloseCode::Version, "version 0 is none".to_owned()));
        }
        if greeting.version > VERSION && matches!(self.stage, Stage::Dialed) {
            let text = format!("the hub chose version {}, we speak {VERSION}", greeting.version);
            return Err(Fault::new(CloseCode::Version, text));
        }
        let name = NodeName::new(&greeting.name)
            .map_err(|bad| Fault::new(CloseCode::Malformed, bad.to_string()))?;
        if let Some(certified) = &self.config.certified
            && *certified != name
        {
            let text = format!("the certificate is for {certified}, the peer says {name}");
            return Err(Fault::new(CloseCode::NameMismatch, text));
        }
        if name == self.config.name {
            let text = format!("the peer is named {name}, as we are; names must differ");
            return Err(Fault::new(CloseCode::NameMismatch, text));
        }
        let least = FRAME_MIN_BYTES as u64;
        if greeting.frame_max < least {
            let text = format!("frames of {} bytes; {least} at least", greeting.frame_max);
            return Err(Fault::new(CloseCode::Malformed, text));
        }
        Ok(Peer {
            name,
            node: greeting.node,
            incarnation: greeting.incarnation,
            agent: greeting.agent.clone(),
            ephemeral: greeting.ephemeral,
        })
    }
}

impl Lists {
    /// What is in both; unlike in an allowlist, nothing listed is nothing.
    fn both(&self, other: &WireLists) -> Self {
        Self {
            subscribe: intersection(&self.subscribe, &other.subscribe),
            publish: intersection(&self.publish, &other.publish),
        }
    }
}

impl From<&Lists> for WireLists {
    fn from(lists: &Lists) -> Self {
        Self { subscribe: lists.subscribe.clone(), publish: lists.publish.clone() }
    }
}

impl From<&WireLists> for Lists {
    fn from(lists: &WireLists) -> Self {
        Self { subscribe: lists.subscribe.clone(), publish: lists.publish.clone() }
    }
}
