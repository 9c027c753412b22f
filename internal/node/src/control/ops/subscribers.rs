//! Subscribers: listed, shown, moved, forgotten.

use std::sync::Arc;

use pubsub_storage::{Channel, Item, Position, Start};
use pubsub_types::{ChannelName, SubscriberId};

use super::super::protocol::{ErrorCode, Failure, Response, SeekTo, SubscriberInfo, SubscriberRow};
use super::{Claimant, Ops, failed, nearest};

impl Ops {
    pub(super) fn subscriber_list(
        &self,
        channel: Option<&ChannelName>,
    ) -> Result<Response, Failure> {
        let names = match channel {
            Some(name) => vec![name.clone()],
            None => self.channel_names()?,
        };
        let mut subscribers = Vec::new();
        for name in names {
            subscribers.extend(self.subscriber_rows(&self.channel(&name)?)?);
        }
        Ok(Response::Subscribers { subscribers })
    }

    pub(super) fn subscriber_rows(
        &self,
        channel: &Arc<Channel>,
    ) -> Result<Vec<SubscriberRow>, Failure> {
        let ids = self.ids(channel.name())?;
        ids.into_iter().map(|id| self.row(channel, id)).collect()
    }

    fn ids(&self, channel: &ChannelName) -> Result<Vec<SubscriberId>, Failure> {
        let ids = self.node.store().subscribers(channel);
        ids.map_err(|error| failed("list the subscribers", &error))
    }

    fn row(&self, channel: &Arc<Channel>, id: SubscriberId) -> Result<SubscriberRow, Failure> {
        let name = channel.name();
        let written = self.node.store().position(name, &id);
        let written = written.map_err(|error| failed("read a position", &error))?;
        let last = channel.last_seq();
        let position = match written {
            Some(Position::At { seq, .. }) => Some(seq.min(last)),
            Some(Position::LegacyByte(_) | Position::Damaged) | None => None,
        };
        let from = position.unwrap_or(0).max(channel.first_seq().saturating_sub(1));
        let connected = self.node.claims().holder(name, &id).is_some();
        let pending = last.saturating_sub(from);
        Ok(SubscriberRow { channel: name.clone(), id, position, pending, connected })
    }

    fn known(&self, channel: &ChannelName, id: &SubscriberId) -> Result<(), Failure> {
        let ids = self.ids(channel)?;
        if ids.contains(id) {
            return Ok(());
        }
        let near = nearest(id.as_str(), ids.iter().map(SubscriberId::as_str));
        let advice = match near {
            Some(near) => format!("did you mean {near}?"),
            None => format!("`pubsub subscriber ls {channel}` lists all"),
        };
        let message = format!("channel {channel} has no subscriber {id}");
        Err(Failure::new(ErrorCode::NotFound, message, advice))
    }

    pub(super) fn subscriber_info(
        &self,
        name: &ChannelName,
        id: &SubscriberId,
    ) -> Result<Response, Failure> {
        let channel = self.channel(name)?;
        self.known(name, id)?;
        let row = self.row(&channel, id.clone())?;
        let next = channel.reader(row.position.unwrap_or(0)).read(1, usize::MAX)?;
        let next_time = next.iter().find_map(|item| match item {
            Item::Record(record) => Some(record.time),
            Item::Gap { .. } => None,
        });
        Ok(Response::Subscriber(SubscriberInfo { row, last_seq: channel.last_seq(), next_time }))
    }

    pub(super) fn subscriber_seek(
        self: &Arc<Self>,
        name: &ChannelName,
        id: &SubscriberId,
        to: SeekTo,
        dry_run: bool,
        client: &Claimant,
    ) -> Result<Response, Failure> {
        let channel = self.channel(name)?;
        self.known(name, id)?;
        let _claim = self.claim(name, id, client)?;
        let last = channel.last_seq();
        let seq = match to {
            SeekTo::Start => channel.first_seq().saturating_sub(1),
            SeekTo::End => last,
            SeekTo::After(seq) if seq > last => {
                return Err(Failure::new(
                    ErrorCode::Invalid,
                    format!("channel {name} has no message {seq} yet; its last is {last}"),
                    "use --end for its end",
                ));
            }
            SeekTo::After(seq) => seq,
            SeekTo::Time(time) => channel.before_time(time)?,
        };
        let behind = last - seq;
        let place = format!("subscriber {id} of channel {name} to {seq}, {behind} messages behind");
        if dry_run {
            return Ok(Response::Done { what: format!("would move {place}") });
        }
        let file = self.position(&channel, id, Start::FromStart)?;
        file.set(seq);
        let released = self.node.store().release(&file);
        released.map_err(|error| failed("write the position", &error))?;
        Ok(Response::Done { what: format!("moved {place}") })
    }

    pub(super) fn subscriber_remove(
        self: &Arc<Self>,
        name: &ChannelName,
        id: &SubscriberId,
        dry_run: bool,
        client: &Claimant,
    ) -> Result<Response, Failure> {
        let channel = self.channel(name)?;
        self.known(name, id)?;
        let _claim = self.claim(name, id, client)?;
        let whom = format!("subscriber {id} of channel {name}");
        if dry_run {
            return Ok(Response::Done { what: format!("would forget {whom}") });
        }
        drop(self.position(&channel, id, Start::FromStart)?);
        let forgotten = self.node.store().forget(name, id);
        forgotten.map_err(|error| failed("remove the position", &error))?;
        Ok(Response::Done { what: format!("forgot {whom}") })
    }
}
