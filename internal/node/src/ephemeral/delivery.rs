//! Messages on their way to handlers, and word of when these are done.
//!
//! A batch stays on the hub's account until the last holder of its [`Ticket`] lets go of it, so handlers
//! that are slow slow the hub down, and what waits for them is bounded by the link's window.

use std::collections::BTreeMap;

use pubsub_envelope::Record;
use pubsub_federation::{Batch, Coverage, InSub, Inbound, NodeName, SeenIds, Via};
use pubsub_types::ChannelName;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::{Command, Shared, records_of};

/// Sources of one channel that are told apart. The hub has done this already; here it is a second net.
const SOURCES_MAX: usize = 64;
/// Ids of messages remembered, as the predecessor does.
const SEEN_IDS: usize = 1_024;

/// Messages of one channel, in the order of the hub's log.
#[derive(Debug)]
pub struct Delivery {
    /// The messages; their sequences are those of the hub's log.
    pub records: Vec<Record>,
    /// To be dropped when they are dealt with.
    pub ticket: Ticket,
}

/// Drop it when the messages it came with are dealt with: the hub may then send as many more.
#[derive(Debug)]
pub struct Ticket {
    commands: UnboundedSender<Command>,
    handled: Handled,
}

/// The handlers are done with a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handled {
    /// Number of the link it came over.
    pub(super) link: u64,
    pub(super) sub: InSub,
    /// Position after it.
    pub(super) seq: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // A client that has ended owes nobody.
        let _ended = self.commands.send(Command::Handled(self.handled));
    }
}

/// What comes in over one link.
#[derive(Debug)]
pub(super) struct Intake {
    link: u64,
    me: NodeName,
    log: Uuid,
    commands: UnboundedSender<Command>,
    ids: SeenIds,
    channels: BTreeMap<InSub, Incoming>,
}

#[derive(Debug)]
struct Incoming {
    channel: ChannelName,
    inbound: Inbound,
    sink: UnboundedSender<Delivery>,
}

impl Intake {
    /// Nothing comes in yet over the link of this number. `me` and `log` are this client.
    pub(super) fn new(
        link: u64,
        me: NodeName,
        log: Uuid,
        commands: UnboundedSender<Command>,
    ) -> Self {
        let ids = SeenIds::new(SEEN_IDS);
        Self { link, me, log, commands, ids, channels: BTreeMap::new() }
    }

    /// The hub has a channel; whether anybody wants it.
    pub(super) fn offered(&mut self, sub: InSub, channel: ChannelName, shared: &Shared) -> bool {
        let Some(sink) = shared.declared.lock().sinks.get(&channel).cloned() else { return false };
        let inbound = Inbound::new(self.me.clone(), self.log, Coverage::new(SOURCES_MAX));
        self.channels.insert(sub, Incoming { channel, inbound, sink });
        true
    }

    /// Hands a batch on.
    pub(super) fn receive(&mut self, sub: InSub, batch: &Batch, via: &Via) {
        let Some(incoming) = self.channels.get_mut(&sub) else { return };
        let channel = &incoming.channel;
        let accepted = incoming.inbound.judge(via, batch, &mut self.ids, |message, why| {
            tracing::debug!(%channel, seq = message.seq(), why = why.as_str(), "a message of the hub is dropped");
        });
        let seqs = accepted.iter().map(|message| message.seq());
        let records = records_of(seqs.zip(accepted.records()), |seq, error| {
            tracing::warn!(%channel, seq, %error, "a message of the hub cannot be kept, and is skipped");
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(records) = records;
        let handled = Handled { link: self.link, sub, seq: batch.position().seq };
        let ticket = Ticket { commands: self.commands.clone(), handled };
        // Nobody listens any more: the ticket is dropped with the messages.
        let _nobody = incoming.sink.send(Delivery { records, ticket });
    }

    pub(super) fn ended(&mut self, sub: InSub) {
        self.channels.remove(&sub);
    }
}
