//! One connection of a client: from its first byte to the reason it ends.
//!
//! ```text
//!                     ╭──────────── CONNECT again ────────────╮
//!                     ▼                                       │
//!   New ──CONNECT──▶ Authorizing ──authorized──▶ Open ──subscriptions dropped
//!    ╰──anything, where nobody must say who he is──▶ Authorizing
//!
//!   input ──▶ poll ──▶ Publish · Subscribe · Unsubscribe · Authorize · Close
//!               ╰────▶ outbox: INFO, +OK, PONG, -ERR, and the messages that deliver() writes
//! ```
//!
//! The session knows the protocol and nothing else: who may do what is asked ([`Permissions`]), who
//! gets a message is the shell's affair, time is an argument. Everything for the client goes into one
//! outbox, so the order in which things happen is the order in which they arrive.

use std::sync::Arc;
use std::time::Duration;

use crate::action::{Action, Delivered, Permissions};
use crate::pings::{Due, Pings};
use crate::settings::{Expires, Identity, Peer, Settings};
use crate::subscriptions::{SubId, Subscription, Subscriptions};
use crate::{
    ClientDecoder, ClientOp, Close, Complaint, Info, Limits, Outbox, Outgoing, encode, headers,
};

mod ops;
mod options;
mod state;

use options::Options;
pub use options::Traffic;
use state::State;

/// The session of one connection. See the module.
///
/// `now` is time since some fixed instant, the same for all calls, and never runs backwards.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    info: Arc<Info>,
    peer: Peer,
    decoder: ClientDecoder,
    options: Options,
    state: State,
    identity: Identity,
    subscriptions: Subscriptions,
    pings: Pings,
    /// When the client must have said who it is.
    connect_by: Option<Duration>,
    /// Whether a `CONNECT` came.
    is_connected: bool,
    /// Whether the first `PING` behind that was answered: from then on an `INFO` may come any time.
    takes_infos: bool,
    traffic: Traffic,
}

impl Session {
    /// A connection that was just accepted. `info` is what all connections of the listener are told.
    #[must_use]
    pub fn new(settings: Arc<Settings>, info: Arc<Info>, peer: Peer, now: Duration) -> Self {
        let decoder = ClientDecoder::new(Limits {
            control_line_max: settings.control_line_max,
            payload_max: settings.payload_max,
            headers: false,
        });
        let pings =
            Pings::new(settings.ping_interval, settings.first_ping, settings.pings_max, now);
        Self {
            decoder,
            options: Options::unsaid(),
            state: State::New,
            identity: Identity::default(),
            subscriptions: Subscriptions::new(peer.seed),
            pings,
            connect_by: Some(now + settings.connect_timeout),
            is_connected: false,
            takes_infos: false,
            traffic: Traffic::default(),
            settings,
            info,
            peer,
        }
    }

    /// Says who the server is; the first thing on a connection.
    pub fn greet(&mut self, out: &mut Outbox) {
        let mut info = self.own_info();
        info.nonce = self.peer.nonce.as_deref().map(Into::into);
        // Who is nobody in particular is not asked; that there are users is told later.
        info.auth_required &= !self.settings.has_default_user;
        write_info(&info, out);
    }

    /// Reads on in `input`, and says what to do next; `None` when there is nothing to do. What was read
    /// is gone from the front of `input`; the rest is to be shown again, with more behind it.
    ///
    /// `permissions` are those of the user that `authorized` was told of.
    #[inline]
    pub fn poll<'i>(
        &mut self,
        input: &mut &'i [u8],
        permissions: &mut (impl Permissions + ?Sized),
        out: &mut Outbox,
        now: Duration,
    ) -> Option<Action<'i>> {
        loop {
            match self.state {
                State::Open => (),
                State::New => {
                    if self.must_begin_with_connect()
                        && !matches!(input.first(), None | Some(b'c' | b'C'))
                    {
                        return Some(self.end(Close::AuthenticationFailure, out));
                    }
                }
                State::Dropping => match self.subscriptions.pop() {
                    Some(subscription) => return Some(Action::Unsubscribe(subscription)),
                    None => self.state = State::Dropped,
                },
                State::Dropped => (),
                State::Authorizing | State::Closed => return None,
            }
            // A client that asks and does not read the answers must not fill the memory with them.
            if let Err(close) = self.check_pending(out) {
                return Some(self.end(close, out));
            }
            let (op, len) = match self.decoder.decode(input) {
                Ok(Some(found)) => found,
                Ok(None) => return None,
                Err(close) => return Some(self.end(close, out)),
            };
            let is_connect = matches!(op, ClientOp::Connect(_));
            if self.state == State::New && !is_connect {
                // Read again once it is known who this is.
                self.state = State::Authorizing;
                return Some(Action::Authorize(None));
            }
            if is_connect && self.state == State::Open && self.drops_subscriptions() {
                self.state = State::Dropping;
                continue;
            }
            *input = &input[len..];
            if let Some(action) = self.handle(op, permissions, out, now) {
                return Some(action);
            }
        }
    }

    /// How long the input must get before reading on is worth it, in bytes; 0: any byte may do.
    #[must_use]
    pub const fn needed(&self) -> usize {
        self.decoder.needed()
    }

    /// The client is this one. Answers [`Action::Authorize`]; the close to be done comes back if what
    /// it wants does not go together.
    #[must_use = "the connection may have to be closed"]
    pub fn authorized(&mut self, identity: Identity, out: &mut Outbox) -> Option<Close> {
        if self.state != State::Authorizing {
            return None;
        }
        if let Err(close) = self.options.check() {
            self.close(close, out);
            return Some(close);
        }
        self.decoder.set_limits(Limits {
            payload_max: identity.payload_max.unwrap_or(self.settings.payload_max),
            headers: self.options.headers,
            ..self.decoder.limits()
        });
        self.identity = identity;
        self.connect_by = None;
        self.state = State::Open;
        if self.options.connected {
            self.options.connected = false;
            self.is_connected = true;
            self.ok(out);
        }
        None
    }

    /// Ends the session, for a reason that is not the client's input.
    pub fn close(&mut self, close: Close, out: &mut Outbox) {
        if self.state != State::Closed {
            self.state = State::Closed;
            if let Some(text) = close.error_text() {
                out.write(text.len() + 16, |out| encode::error(out, text));
            }
        }
    }

    /// When [`Session::handle_timeout`] is to be called, unless something else changes it before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.state == State::Closed {
            return None;
        }
        let expires = self.identity.expires.map(|expiry| expiry.at);
        [self.connect_by, expires].into_iter().flatten().chain([self.pings.due()]).min()
    }

    /// Time has passed. The close to be done comes back, if it is time for one.
    #[must_use = "the connection may have to be closed"]
    pub fn handle_timeout(&mut self, now: Duration, out: &mut Outbox) -> Option<Close> {
        if self.state == State::Closed {
            return None;
        }
        let close = if self.connect_by.is_some_and(|by| by <= now) {
            Close::AuthenticationTimeout
        } else if let Some(expiry) = self.identity.expires.filter(|expiry| expiry.at <= now) {
            match expiry.of {
                Expires::User => Close::UserExpired,
                Expires::Account => Close::AccountExpired,
            }
        } else {
            match self.pings.poll(now) {
                Due::Nothing => return None,
                Due::Ask => {
                    out.copy(encode::PING);
                    return None;
                }
                Due::Stale => Close::Stale,
            }
        };
        self.close(close, out);
        Some(close)
    }

    /// Writes a message for a subscription. The shell has checked that the user may have it.
    #[inline]
    #[must_use = "the subscription or the connection may have ended"]
    pub fn deliver(&mut self, id: SubId, message: &Outgoing<'_>, out: &mut Outbox) -> Delivered {
        if self.state == State::Closed {
            return Delivered::Gone;
        }
        let Some(subscription) = self.subscriptions.get_mut(id) else { return Delivered::Gone };
        subscription.delivered += 1;
        let is_last =
            subscription.max != 0 && subscription.delivered >= u64::from(subscription.max);
        message.write(subscription.sid_bytes(), self.options.headers, out);
        self.traffic.out_messages += 1;
        self.traffic.out_bytes += message.size() as u64;
        if let Err(close) = self.check_pending(out) {
            self.close(close, out);
            return Delivered::Close(close);
        }
        if !is_last {
            return Delivered::Sent;
        }
        self.subscriptions.remove(id).map_or(Delivered::Gone, Delivered::Last)
    }

    /// Tells a requestor that nobody listens to `subject`. `id` is its own subscription, in no queue
    /// group, that matches `reply`; without one there is nobody to tell.
    ///
    /// Does nothing for a client that did not ask for it: see [`Session::wants_no_responders`].
    pub fn no_responders(&mut self, id: SubId, reply: &str, subject: &str, out: &mut Outbox) {
        if self.state == State::Closed || !self.options.no_responders {
            return;
        }
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let mut block = Vec::with_capacity(subject.len() + 40);
        headers::write_no_responders(&mut block, subject);
        // It is not counted as one of the messages that the subscription may have.
        Outgoing::new(reply, None, &block, block.len()).write(subscription.sid_bytes(), true, out);
    }

    /// Something about the server changed, or it is about to go (`ldm`). The close to be done comes
    /// back, if the client is too slow for that.
    #[must_use = "the connection may have to be closed"]
    pub fn announce(&mut self, info: Arc<Info>, out: &mut Outbox) -> Option<Close> {
        self.info = info;
        if self.state != State::Open || !self.takes_infos || self.options.protocol < 1 {
            return None;
        }
        write_info(&self.own_info(), out);
        let close = self.check_pending(out).err()?;
        self.close(close, out);
        Some(close)
    }

    /// Ends the subscriptions that the user may no longer have, and tells the client so.
    pub fn review(
        &mut self,
        permissions: &mut (impl Permissions + ?Sized),
        out: &mut Outbox,
    ) -> Vec<Subscription> {
        let lost: Vec<SubId> = self
            .subscriptions
            .iter()
            .filter(|it| !permissions.may_subscribe(it.subject(), it.queue()))
            .map(Subscription::id)
            .collect();
        let lost: Vec<_> =
            lost.into_iter().filter_map(|id| self.subscriptions.remove(id)).collect();
        for it in &lost {
            let (subject, queue, sid) = (it.subject(), it.queue(), Some(it.sid()));
            complain(&Complaint::SubscribeDenied { subject, queue, sid }, out);
        }
        lost
    }

    /// The subscriptions.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter()
    }

    /// Number of subscriptions.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether the client gets what it publishes itself.
    #[must_use]
    pub const fn echo(&self) -> bool {
        self.options.echo
    }

    /// Whether the client speaks headers.
    #[must_use]
    pub const fn headers(&self) -> bool {
        self.options.headers
    }

    /// Whether the client wants to be told that nobody listens to a request.
    #[must_use]
    pub const fn wants_no_responders(&self) -> bool {
        self.options.no_responders
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether [`Action::Authorize`] waits for its answer.
    #[must_use]
    pub fn is_authorizing(&self) -> bool {
        self.state == State::Authorizing
    }

    /// The time of the last round trip to the client and back.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.pings.round_trip()
    }

    /// When the client last asked for something.
    #[must_use]
    pub const fn heard_at(&self) -> Duration {
        self.pings.heard_at()
    }

    /// Messages and bytes, both ways.
    #[must_use]
    pub const fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bytes of memory held, beyond the session itself.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.subscriptions.memory_bytes()
    }
}

impl Session {
    /// Whether a first operation other than `CONNECT` is an affront.
    fn must_begin_with_connect(&self) -> bool {
        self.settings.auth_required && !self.settings.has_default_user
    }

    /// Whether a `CONNECT` makes another user of the client. The first one does not, where nobody has
    /// to say who he is.
    fn drops_subscriptions(&self) -> bool {
        self.is_connected || self.settings.auth_required
    }

    fn subscriptions_max(&self) -> usize {
        self.identity.subscriptions_max.unwrap_or(self.settings.subscriptions_max)
    }

    fn own_info(&self) -> Info {
        let mut info = (*self.info).clone();
        info.client_id = self.peer.id;
        info.client_ip = self.peer.ip.as_ref().into();
        if let Some(max) = self.identity.payload_max {
            info.max_payload = i64::try_from(max).unwrap_or(i64::MAX);
        }
        info
    }

    #[inline]
    fn ok(&self, out: &mut Outbox) {
        if self.options.verbose {
            out.copy(encode::OK);
        }
    }

    #[inline]
    fn check_pending(&self, out: &Outbox) -> Result<(), Close> {
        let (pending, limit) = (out.pending(), self.settings.pending_max);
        if pending > limit { Err(Close::SlowConsumerPending { pending, limit }) } else { Ok(()) }
    }

    #[cold]
    fn end<'i>(&mut self, close: Close, out: &mut Outbox) -> Action<'i> {
        self.close(close, out);
        Action::Close(close)
    }
}

fn write_info(info: &Info, out: &mut Outbox) {
    let json = info.to_json();
    out.write(json.len() + 16, |out| encode::info(out, &json));
}

/// Tells the client; there is nothing else to do.
#[cold]
fn complain<'i>(complaint: &Complaint<'_>, out: &mut Outbox) -> Option<Action<'i>> {
    out.write(128, |out| complaint.write(out));
    None
}
