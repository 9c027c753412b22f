//! Channels: made, listed, shown, compacted, removed.

use std::sync::Arc;

use pubsub_storage::{Channel, ChannelConfig, ChannelError, ChannelStats, Chosen, Position};
use pubsub_types::{ChannelName, Seq};

use super::super::protocol::{ChannelInfo, ChannelRow, ErrorCode, Failure, Response};
use super::{Ops, failed};
use crate::clock;

impl Ops {
    pub(super) fn channel_add(
        &self,
        name: &ChannelName,
        chosen: Chosen,
    ) -> Result<Response, Failure> {
        if self.channel_names()?.contains(name) {
            return Err(ChannelError::Exists(name.clone()).into());
        }
        let store = self.node.store();
        // Made all the same, it would not do what was asked for.
        if !chosen.holds_in(&store.options().for_channel(name, &chosen)) {
            return Err(Failure::new(
                ErrorCode::Conflict,
                format!("the node's configuration says otherwise of channel {name}"),
                format!("change storage.channels.{name} in it, and restart the node"),
            ));
        }
        store.create_channel(name, chosen, clock::now())?;
        Ok(Response::Done { what: format!("made channel {name}") })
    }

    pub(super) fn channel_list(&self) -> Result<Response, Failure> {
        let channels = self.channel_names()?.iter().map(|name| self.channel_row(name)).collect();
        Ok(Response::Channels { channels })
    }

    fn channel_row(&self, name: &ChannelName) -> ChannelRow {
        let subscribers = self.node.store().subscribers(name).map_or(0, |ids| ids.len() as u64);
        let opened = self.channel(name);
        // A list that fails as a whole because of one bad channel would hide the good ones.
        let error = opened.as_ref().err().map(|failure| failure.message.clone());
        let (config, stats, findings) = match &opened {
            Ok(channel) => {
                (channel.config().clone(), channel.stats(), channel.findings().len() as u64)
            }
            Err(_) => (ChannelConfig::default(), ChannelStats::default(), 0),
        };
        ChannelRow {
            channel: name.clone(),
            format: config.format.to_string(),
            sync: config.sync.to_string(),
            messages: stats.messages,
            bytes: stats.bytes,
            first_seq: stats.first_seq,
            last_seq: stats.last_seq,
            last_time: stats.last_time,
            subscribers,
            findings,
            error,
        }
    }

    pub(super) fn channel_info(&self, name: &ChannelName) -> Result<Response, Failure> {
        let channel = self.channel(name)?;
        let dead_letters = match name.dead_letter() {
            Some(letters) if self.channel_names()?.contains(&letters) => {
                self.channel(&letters)?.stats().messages
            }
            _ => 0,
        };
        Ok(Response::Channel(Box::new(ChannelInfo {
            channel: name.clone(),
            directory: channel.directory().display().to_string(),
            config: channel.config().clone(),
            stats: channel.stats(),
            findings: channel.findings().iter().map(ToString::to_string).collect(),
            subscribers: self.subscriber_rows(&channel)?,
            dead_letters,
        })))
    }

    pub(super) fn channel_compact(
        &self,
        name: &ChannelName,
        before: Option<u64>,
        dry_run: bool,
    ) -> Result<Response, Failure> {
        let channel = self.channel(name)?;
        let (before, why) = match before {
            Some(before) => (before.min(channel.last_seq() + 1), "command"),
            None => (self.consumed(&channel)? + 1, "consumed"),
        };
        let first = channel.first_seq();
        let Some(seq) = Seq::new(before).filter(|_| before > first) else {
            return Ok(Response::Done { what: format!("nothing to delete from channel {name}") });
        };
        let deleted = format!("{first} to {}", before - 1);
        if dry_run {
            let what = format!("would delete messages {deleted} of channel {name}");
            return Ok(Response::Done { what });
        }
        let ticket = channel.trim(seq, why, clock::now());
        ticket.wait().map_err(|error| Failure::from(pubsub_storage::PublishError::from(error)))?;
        Ok(Response::Done { what: format!("deleted messages {deleted} of channel {name}") })
    }

    /// Sequence up to which every subscriber of `channel` has consumed.
    fn consumed(&self, channel: &Arc<Channel>) -> Result<u64, Failure> {
        let name = channel.name();
        let store = self.node.store();
        let ids =
            store.subscribers(name).map_err(|error| failed("list the subscribers", &error))?;
        if ids.is_empty() {
            return Err(Failure::new(
                ErrorCode::Conflict,
                format!("channel {name} has no subscriber, so nothing of it counts as consumed"),
                format!("`pubsub channel compact {name} --before SEQ` deletes all the same"),
            ));
        }
        let mut consumed = channel.last_seq();
        for id in ids {
            let position =
                store.position(name, &id).map_err(|error| failed("read a position", &error))?;
            match position {
                Some(Position::At { seq, .. }) => consumed = consumed.min(seq),
                None => (),
                Some(Position::LegacyByte(_) | Position::Damaged) => {
                    return Err(Failure::new(
                        ErrorCode::Conflict,
                        format!("the position of subscriber {id} of channel {name} is not known"),
                        format!("`pubsub subscriber seek {name} {id} ...` gives it one"),
                    ));
                }
            }
        }
        Ok(consumed)
    }

    pub(super) fn channel_remove(
        &self,
        name: &ChannelName,
        dry_run: bool,
    ) -> Result<Response, Failure> {
        let channel = self.channel(name)?;
        let messages = channel.stats().messages;
        if let Some(claimed) = self.node.claims().any_of(name) {
            let advice = "stop that first";
            return Err(Failure::new(ErrorCode::Conflict, claimed.to_string(), advice));
        }
        if dry_run {
            let what = format!("would remove channel {name} with {messages} messages");
            return Ok(Response::Done { what });
        }
        drop(channel);
        self.node
            .store()
            .remove_channel(name, clock::now())
            .map_err(|error| self.channel_failure(error))?;
        Ok(Response::Done { what: format!("removed channel {name} with {messages} messages") })
    }
}
