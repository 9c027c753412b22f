//! Judging what comes in: each message of a peer is taken once, or dropped with a reason.
//!
//! ```text
//!   names that cannot be ─▶ our own, back again ─▶ route that is not the peer's ─▶ not its right
//!        ─▶ here already (source) ─▶ here already (id) ─▶ taken: covered, and our name put on its route
//! ```
//!
//! A message of another node that has our name on its route is here already, too, unless we passed it on
//! and then died before it was synced. Its source tells: what is not covered is taken back.
//!
//! Taking a message marks it as taken at once, so that another link's copy is dropped while the first is
//! being written. Who then cannot write it says so with [`Inbound::undo`]. Copies judged in the
//! meantime were dropped because of it; so whatever was judged since, over any link, is to be undone and
//! asked for again too, in the reverse order.

use pubsub_envelope::{Meta, NewRecord, RouteBuf};
use uuid::Uuid;

use crate::batch::{Batch, Received};
use crate::coverage::{Coverage, origin_of};
use crate::name::{self, NodeName};
use crate::policy::Origins;
use crate::seen::SeenIds;

/// Most nodes that a message goes through.
pub const HOPS_MAX: usize = 64;

/// Longest subject, in bytes.
const SUBJECT_MAX_BYTES: usize = pubsub_types::SUBJECT_MAX_BYTES;

/// Bytes that all fields of an envelope may take together.
const META_MAX_BYTES: usize = 65_535;

/// Most bytes that taking a message adds to its envelope: a source, an origin, a route of two names.
const META_ADDED_BYTES: usize = (3 + 40) + (3 + NAME_BYTES) + (3 + 2 * (NAME_BYTES + 1));
const NAME_BYTES: usize = name::NODE_NAME_MAX_BYTES;

/// Why a message was not taken. The position moves on over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// It was here before, and its route has our name. `loop_dropped` in the audit.
    Loop,
    /// It says it comes from our own log, and its route does not say so. `policy_violation`.
    OwnLog,
    /// It comes from another node than the peer, who may send its own only. `policy_violation`.
    ForeignOrigin,
    /// Its route does not end at the peer, or says that the peer published what the peer's log does not
    /// have. `policy_violation`.
    BadRoute,
    /// A name, subject or route in it cannot be, or there is no room for a longer route.
    /// `policy_violation`.
    BadName,
    /// It is here already, by its source.
    Duplicate,
    /// It is here already, by its id.
    DuplicateId,
}

impl Dropped {
    /// The reason, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loop => "it was here before",
            Self::OwnLog => "it claims to come from this node's own log",
            Self::ForeignOrigin => "its origin is another than the peer",
            Self::BadRoute => "its route is not the peer's",
            Self::BadName => "a name, subject or route in it is not valid",
            Self::Duplicate => "it is here already",
            Self::DuplicateId => "its id is here already",
        }
    }
}

/// The peer that messages come from.
#[derive(Clone, Debug)]
pub struct Via {
    /// Its name.
    pub peer: NodeName,
    /// Whose messages it may send.
    pub origins: Origins,
}

/// The judge of one channel's incoming messages.
#[derive(Debug)]
pub struct Inbound {
    me: NodeName,
    log: Uuid,
    coverage: Coverage,
}

/// The messages of a batch that were taken, and their routes.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// Which of the batch, the message, and its route.
    messages: Vec<(usize, Received<'a>, usize)>,
    /// With our name at the end. Neighbours mostly share one.
    routes: Vec<RouteBuf>,
}

/// Which messages of a batch were taken: what is kept until they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken(Box<[usize]>);

impl Inbound {
    /// The judge of the channel whose log here is `log`, on the node named `me`.
    #[must_use]
    pub const fn new(me: NodeName, log: Uuid, coverage: Coverage) -> Self {
        Self { me, log, coverage }
    }

    /// What the channel has of each source.
    #[must_use]
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Judges the messages of `batch`, in order, and takes what is new. What is not is handed to
    /// `dropped`.
    pub fn judge<'a>(
        &mut self,
        via: &Via,
        batch: &'a Batch,
        ids: &mut SeenIds,
        mut dropped: impl FnMut(Received<'a>, Dropped),
    ) -> Accepted<'a> {
        let messages = Vec::with_capacity(batch.len());
        let mut accepted = Accepted { messages, routes: Vec::new() };
        for (nth, message) in batch.iter().enumerate() {
            let meta = message.meta();
            match self.refusal(via, &message, &meta, ids) {
                Some(reason) => dropped(message, reason),
                None => match accepted.route(&self.me, via, &meta) {
                    Some(route) => {
                        self.take(&meta, via, ids);
                        accepted.messages.push((nth, message, route));
                    }
                    None => dropped(message, Dropped::BadName),
                },
            }
        }
        accepted
    }

    /// Takes messages back that could not be stored: those of `batch` that were `taken`.
    pub fn undo(&mut self, via: &Via, batch: &Batch, taken: &Taken, ids: &mut SeenIds) {
        for message in taken.0.iter().filter_map(|nth| batch.nth(*nth)) {
            let meta = message.meta();
            if let Some(source) = &meta.source {
                self.coverage.remove(origin_or(&meta, via), source);
            }
            ids.remove(meta.id);
        }
    }

    fn take(&mut self, meta: &Meta<'_>, via: &Via, ids: &mut SeenIds) {
        if let Some(source) = &meta.source {
            self.coverage.insert(origin_or(meta, via), source);
        }
        ids.insert(meta.id, meta.source.is_some());
    }

    fn refusal(
        &self,
        via: &Via,
        message: &Received<'_>,
        meta: &Meta<'_>,
        ids: &SeenIds,
    ) -> Option<Dropped> {
        let peer = via.peer.as_str();
        if !names_are_valid(message, meta) {
            return Some(Dropped::BadName);
        }
        let origin = origin_or(meta, via);
        // Without a route, it is the origin alone.
        let last = meta.route.iter().next_back().unwrap_or(origin);
        if origin == self.me.as_str() {
            return Some(Dropped::Loop);
        }
        if last != peer {
            return Some(Dropped::BadRoute);
        }
        if let Some(source) = &meta.source {
            if source.log == self.log {
                return Some(Dropped::OwnLog);
            }
            // What the peer published has its place in the peer's log.
            if origin == peer && meta.route.iter().nth(1).is_none() && !message.is_peers_own() {
                return Some(Dropped::BadRoute);
            }
        }
        if via.origins == Origins::Own && (origin != peer || meta.route.iter().nth(1).is_some()) {
            return Some(Dropped::ForeignOrigin);
        }
        let was_here = meta.route.contains(self.me.as_str());
        match &meta.source {
            None if was_here => Some(Dropped::Loop),
            Some(source) if self.coverage.contains(origin, source) => {
                Some(if was_here { Dropped::Loop } else { Dropped::Duplicate })
            }
            source if ids.knows(meta.id, source.is_some()) => Some(Dropped::DuplicateId),
            _ => None,
        }
    }
}

impl<'a> Accepted<'a> {
    /// Number of messages taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Which they are, for [`Inbound::undo`].
    #[must_use]
    pub fn taken(&self) -> Taken {
        Taken(self.messages.iter().map(|(nth, ..)| *nth).collect())
    }

    /// The messages taken.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Received<'a>> {
        self.messages.iter().map(|(_, message, _)| *message)
    }

    /// The messages as they are to be appended, with their source and with our name on their route.
    pub fn records(&self) -> impl ExactSizeIterator<Item = NewRecord<'_>> {
        self.messages.iter().map(|(_, message, route)| {
            let route = self.routes[*route].as_route();
            let mut meta = message.meta();
            if meta.origin.is_empty() {
                meta.origin = route.iter().next().unwrap_or_default();
            }
            if message.meta_bytes() + META_ADDED_BYTES > META_MAX_BYTES {
                // What nobody here understands gives way to where it came from.
                meta.members = "";
            }
            message.to_new(meta, route)
        })
    }

    /// The number of the route of a message with this envelope; `None` when it is too long.
    fn route(&mut self, me: &NodeName, via: &Via, meta: &Meta<'_>) -> Option<usize> {
        let origin = origin_or(meta, via);
        let came = |route: &RouteBuf| {
            let text = route.as_route().as_str();
            let before = text.len().saturating_sub(me.as_str().len() + 1);
            text.get(..before)
                == Some(if meta.route.is_empty() { origin } else { meta.route.as_str() })
        };
        if !self.routes.last().is_some_and(came) {
            let mut route = RouteBuf::from(meta.route);
            if meta.route.is_empty() {
                route.push(origin).ok()?;
            }
            route.push(me.as_str()).ok()?;
            self.routes.push(route);
        }
        Some(self.routes.len() - 1)
    }
}

/// The node that published the message first: the peer, when it says nothing.
fn origin_or<'a>(meta: &Meta<'a>, via: &'a Via) -> &'a str {
    match origin_of(meta) {
        "" => via.peer.as_str(),
        origin => origin,
    }
}

fn names_are_valid(message: &Received<'_>, meta: &Meta<'_>) -> bool {
    let subject = message.subject();
    let origin_fits = meta.origin.is_empty() || name::fault(meta.origin).is_none();
    let mut hops = 0;
    let names_fit = meta.route.iter().all(|name| {
        hops += 1;
        hops < HOPS_MAX && name::fault(name).is_none()
    });
    let understood = message.meta_bytes().saturating_sub(meta.members.len());
    let envelope_fits = understood + META_ADDED_BYTES <= META_MAX_BYTES;
    origin_fits && names_fit && envelope_fits && subject_is_valid(subject)
}

/// Whether the subject is empty, or literal: tokens joined by dots, without control bytes.
fn subject_is_valid(subject: &str) -> bool {
    subject.is_empty()
        || (subject.len() <= SUBJECT_MAX_BYTES
            && subject.bytes().all(|byte| byte > 0x20 && byte != 0x7f)
            && subject.split('.').all(|token| !matches!(token, "" | "*" | ">")))
}

#[cfg(test)]
mod tests;
