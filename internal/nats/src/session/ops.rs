//! What becomes of each operation.

use std::time::Duration;

use pubsub_types::{Filter, Subject};

use super::options::Options;
use super::state::State;
use super::{Session, complain, write_info};
use crate::action::{Action, Permissions, Publish};
use crate::{ClientOp, Close, Complaint, Outbox, RawPublish, Verb, encode, headers, subject};

impl Session {
    #[inline]
    pub(super) fn handle<'i>(
        &mut self,
        op: ClientOp<'i>,
        permissions: &mut (impl Permissions + ?Sized),
        out: &mut Outbox,
        now: Duration,
    ) -> Option<Action<'i>> {
        if matches!(op, ClientOp::Pong) {
            self.pings.answered(now);
            return None;
        }
        self.pings.heard(now);
        match op {
            ClientOp::Publish(message) => self.publish(message, permissions, out),
            ClientOp::Subscribe { subject, queue, sid } => {
                self.subscribe(subject, queue, sid, permissions, out)
            }
            ClientOp::Unsubscribe { sid, max } => self.unsubscribe(sid, max, out),
            ClientOp::Connect(json) => Some(self.connect(json, out)),
            ClientOp::Ping => {
                self.ping(out);
                None
            }
            // Servers say these to servers.
            ClientOp::Info(json)
                if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_err() =>
            {
                Some(self.end(Close::BadArguments(Verb::Info), out))
            }
            ClientOp::Info(_) | ClientOp::Ok | ClientOp::Pong => None,
        }
    }

    #[inline]
    fn publish<'i>(
        &mut self,
        message: RawPublish<'i>,
        permissions: &mut (impl Permissions + ?Sized),
        out: &mut Outbox,
    ) -> Option<Action<'i>> {
        self.traffic.in_messages += 1;
        self.traffic.in_bytes += message.body.len() as u64;
        let subject = subject::clean(message.subject);
        let reply = match message.reply {
            None => Some(None),
            Some(reply) => subject::clean(reply).map(Some),
        };
        let (Some(subject), Some(reply)) = (subject, reply) else {
            return complain(&Complaint::InvalidPublishSubject, out);
        };
        if self.options.pedantic && Subject::new(subject).is_err() {
            // And it is published nevertheless.
            complain(&Complaint::InvalidPublishSubject, out);
        }
        if subject::is_of_servers(subject, self.identity.is_system)
            || !permissions.may_publish(subject)
        {
            return complain(&Complaint::PublishDenied { subject }, out);
        }
        if let Some(reply) = reply.filter(|reply| subject::is_reply_of_servers(reply)) {
            return complain(&Complaint::ReplyDenied { reply }, out);
        }
        self.ok(out);
        let RawPublish { body, headers_len, .. } = message;
        if headers_len != 0
            && let Some((body, headers_len)) = headers::without_servers(body, headers_len)
        {
            return Some(Action::Publish(Publish {
                subject,
                reply,
                body: body.into(),
                headers_len,
            }));
        }
        Some(Action::Publish(Publish { subject, reply, body: body.into(), headers_len }))
    }

    fn subscribe<'i>(
        &mut self,
        subject: &'i [u8],
        queue: Option<&'i [u8]>,
        sid: &'i [u8],
        permissions: &mut (impl Permissions + ?Sized),
        out: &mut Outbox,
    ) -> Option<Action<'i>> {
        let names = (subject::clean(subject), queue.map(subject::clean), subject::clean(sid));
        let (subject, queue, sid) = match names {
            (Some(subject), None, Some(sid)) => (subject, None, sid),
            (Some(subject), Some(Some(queue)), Some(sid)) => (subject, Some(queue), sid),
            _ => return complain(&Complaint::InvalidSubject, out),
        };
        let limits = (self.settings.subscription_tokens_max, self.subscriptions_max());
        if queue == Some(subject::QUEUE_OF_SERVERS) || !permissions.may_subscribe(subject, queue) {
            return complain(&Complaint::SubscribeDenied { subject, queue, sid: None }, out);
        }
        if limits.0 != 0 && subject::token_count(subject) > limits.0 {
            return complain(&Complaint::TooManyTokens { subject }, out);
        }
        if limits.1 != 0 && self.subscriptions.len() >= limits.1 {
            return complain(&Complaint::SubscriptionsExceeded, out);
        }
        if self.subscriptions.contains(sid) {
            // The first one stays.
            self.ok(out);
            return None;
        }
        let Ok(filter) = Filter::new(subject) else {
            return complain(&Complaint::InvalidSubject, out);
        };
        let id = self.subscriptions.add(sid, &filter, queue)?;
        self.ok(out);
        Some(Action::Subscribe { id, filter, queue })
    }

    fn unsubscribe<'i>(&mut self, sid: &[u8], max: usize, out: &mut Outbox) -> Option<Action<'i>> {
        self.ok(out);
        let subscription = self.subscriptions.by_sid_mut(std::str::from_utf8(sid).ok()?)?;
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        if u64::from(max) > subscription.delivered {
            subscription.max = max;
            return None;
        }
        let id = subscription.id();
        self.subscriptions.remove(id).map(Action::Unsubscribe)
    }

    fn connect<'i>(&mut self, json: &[u8], out: &mut Outbox) -> Action<'i> {
        let Ok(connect) = self.options.as_connect().updated(json) else {
            return self.end(Close::BadArguments(Verb::Connect), out);
        };
        self.options = Options::of(&connect, self.settings.headers);
        self.state = State::Authorizing;
        Action::Authorize(Some(Box::new(connect)))
    }

    fn ping(&mut self, out: &mut Outbox) {
        out.copy(encode::PONG);
        if self.is_connected && !self.takes_infos {
            self.takes_infos = true;
            if self.options.protocol >= 1 {
                let mut info = self.own_info();
                info.connect_info = true;
                info.remote_account = self.identity.account.as_ref().into();
                info.acc_is_sys = self.identity.is_system;
                write_info(&info, out);
            }
        }
    }
}
