//! What waits for the shell: frames that steer, before frames that carry.
//!
//! Acknowledgements and signs of life are sent ahead of batches, and between the fragments of a long
//! one. What a sender takes back is sent behind the batches it sent before.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::action::{Action, Counters, Event, Message};
use crate::close::Closed;
use crate::config::OFFERS_MAX;
use crate::frame::Frame;

/// Bytes of batches encoded ahead of the socket.
pub(crate) const AHEAD_BYTES: usize = 512 << 10;

/// Actions that may wait for the shell: each offer may make two.
const STEERING_MAX: usize = 2 * OFFERS_MAX;

/// Type and flag of a fragment, in bytes.
const FRAGMENT_HEAD_BYTES: usize = 2;

#[derive(Debug)]
pub(crate) struct Outbox {
    steering: VecDeque<Action>,
    carrying: VecDeque<Bytes>,
    carrying_bytes: usize,
    /// The ping to answer.
    pong: Option<u64>,
    /// Nothing comes after the end.
    over: bool,
    /// Longest frame that the peer takes.
    pub(crate) frame_max: usize,
    pub(crate) counters: Counters,
}

impl Outbox {
    pub(crate) fn new(frame_max: usize) -> Self {
        Self {
            steering: VecDeque::new(),
            carrying: VecDeque::new(),
            carrying_bytes: 0,
            pong: None,
            over: false,
            frame_max,
            counters: Counters::default(),
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        if !self.over {
            self.steering.push_back(action);
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.act(Action::Event(event));
    }

    /// Sends a frame ahead of the batches. It must not be longer than a frame.
    pub(crate) fn steer(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.steer_encoded(bytes);
    }

    pub(crate) fn steer_encoded(&mut self, bytes: Vec<u8>) {
        self.act(Action::Send(Message::Binary(bytes.into())));
    }

    /// Answers a ping. Of many that wait for the socket, the last is answered.
    pub(crate) const fn pong(&mut self, nonce: u64) {
        self.pong = Some(nonce);
    }

    /// Whether the peer makes us answer faster than it reads.
    pub(crate) fn is_flooded(&self) -> bool {
        self.steering.len() > STEERING_MAX
    }

    /// Sends an encoded frame behind the batches that wait, in fragments when it is too long.
    pub(crate) fn carry(&mut self, frame: Bytes) {
        if frame.len() <= self.frame_max {
            self.push(frame);
            return;
        }
        let part = self.frame_max - FRAGMENT_HEAD_BYTES;
        let mut parts = frame.chunks(part).peekable();
        while let Some(bytes) = parts.next() {
            let mut out = Vec::with_capacity(bytes.len() + FRAGMENT_HEAD_BYTES);
            Frame::Fragment { more: parts.peek().is_some(), bytes }.encode(&mut out);
            self.push(out.into());
        }
    }

    fn push(&mut self, bytes: Bytes) {
        if self.over {
            return;
        }
        self.carrying_bytes += bytes.len();
        self.carrying.push_back(bytes);
    }

    /// Bytes of batches that wait for the socket.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.carrying_bytes
    }

    /// The next action that steers.
    pub(crate) fn poll_steering(&mut self) -> Option<Action> {
        if self.steering.is_empty()
            && let Some(nonce) = self.pong.take()
        {
            self.steer(&Frame::Pong(nonce));
        }
        let action = self.steering.pop_front()?;
        if let Action::Send(message) = &action {
            self.count(message.len());
        }
        Some(action)
    }

    /// The next frame that carries.
    pub(crate) fn poll_carrying(&mut self) -> Option<Action> {
        let bytes = self.carrying.pop_front()?;
        self.carrying_bytes -= bytes.len();
        self.count(bytes.len());
        Some(Action::Send(Message::Binary(bytes)))
    }

    fn count(&mut self, bytes: usize) {
        self.counters.frames_sent += 1;
        self.counters.bytes_sent += bytes as u64;
    }

    /// Ends it all: what was received is still handed out, what waits to be sent is not; but for a last
    /// word, when the peer can still hear it.
    pub(crate) fn end(&mut self, closed: Closed, last_word: bool) {
        self.carrying.clear();
        self.carrying_bytes = 0;
        self.pong = None;
        self.steering.retain(|action| !matches!(action, Action::Send(_) | Action::Read { .. }));
        if last_word {
            self.steer(&Frame::Close { code: closed.code.to_u16(), text: &closed.text });
        }
        self.act(Action::Close(closed));
        self.over = true;
    }
}
