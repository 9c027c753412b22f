//! What a session wants done, and whom it asks before.

use std::borrow::Cow;

use pubsub_types::Filter;

use crate::{Close, Connect, SubId, Subscription};

/// What the shell is to do.
///
/// What the client is told is not among it: that is written to the outbox, in the order in which it
/// must arrive.
#[derive(Debug)]
pub enum Action<'i> {
    /// Find out who this is, then tell [`Session::authorized`](crate::Session::authorized) or
    /// [`Session::close`](crate::Session::close). Until then nothing more is read.
    ///
    /// `None`: the client began without `CONNECT`. It is nobody in particular, or the default user.
    Authorize(Option<Box<Connect>>),
    /// Deliver this.
    Publish(Publish<'i>),
    /// From now on messages of this subject are wanted.
    Subscribe {
        /// The subscription.
        id: SubId,
        /// What it is about.
        filter: Filter,
        /// The queue group.
        queue: Option<&'i str>,
    },
    /// No longer. What is still on its way is dropped.
    Unsubscribe(Subscription),
    /// Send what is in the outbox if [`Close::lets_send`] says so, and close the connection.
    Close(Close),
}

/// A message that a client published and was allowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'i> {
    /// The subject, without spaces and control characters. It may have wildcards, which match only
    /// their own spelling and what matches everything, or empty tokens, which match nothing.
    pub subject: &'i str,
    /// Where answers go.
    pub reply: Option<&'i str>,
    /// The header block, if any, and the payload behind it. Borrowed from the input, unless headers
    /// had to be taken out.
    pub body: Cow<'i, [u8]>,
    /// Bytes of `body` that are the header block.
    pub headers_len: usize,
}

impl Publish<'_> {
    /// The header block; empty when there is none.
    #[must_use]
    pub fn headers(&self) -> &[u8] {
        &self.body[..self.headers_len]
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.body[self.headers_len..]
    }
}

/// What became of a message for a subscription.
#[derive(Debug)]
pub enum Delivered {
    /// It is in the outbox.
    Sent,
    /// It is in the outbox, and was the last one: the subscription has ended.
    Last(Subscription),
    /// The subscription has ended before.
    Gone,
    /// The client is too slow; the connection is to be closed.
    Close(Close),
}

/// What the user of a connection may do. Asked for every message and subscription, so it must answer
/// at once.
///
/// What only servers may do is not asked; nobody may.
pub trait Permissions {
    /// Whether it may publish to `subject`.
    fn may_publish(&mut self, subject: &str) -> bool;

    /// Whether it may subscribe to `subject`, in that queue group.
    fn may_subscribe(&mut self, subject: &str, queue: Option<&str>) -> bool;
}

/// May do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unrestricted;

impl Permissions for Unrestricted {
    fn may_publish(&mut self, _: &str) -> bool {
        true
    }

    fn may_subscribe(&mut self, _: &str, _: Option<&str>) -> bool {
        true
    }
}
