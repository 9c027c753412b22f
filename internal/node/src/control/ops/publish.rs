//! Publishing.

use std::sync::Arc;

use bytes::Bytes;
use pubsub_envelope::{MessageId, Meta, NewRecord};
use pubsub_storage::{AppendError, Appended, Channel, PublishError};
use pubsub_types::ChannelName;

use super::super::protocol::{ErrorCode, Failure, NewMessage, Published, Response};
use super::Ops;
use crate::clock;

impl Ops {
    pub(super) fn publish(
        &self,
        name: &ChannelName,
        messages: &[NewMessage],
        body: &Bytes,
    ) -> Result<Response, Failure> {
        if name.is_dead_letter() {
            return Err(Failure::new(
                ErrorCode::Denied,
                format!("{name} takes dead letters only"),
                "publish to another channel",
            ));
        }
        let invalid = |message: &str| Failure::new(ErrorCode::Invalid, message, "");
        if messages.is_empty() {
            return Err(invalid("there is no message to publish"));
        }
        let ids: Vec<String> = messages
            .iter()
            .map(|message| match message.id.as_str() {
                "" => uuid::Uuid::now_v7().to_string(),
                id => id.to_owned(),
            })
            .collect();
        let now = clock::now();
        let mut rest: &[u8] = body;
        let mut take = |len: u32| {
            let (part, behind) = rest.split_at_checked(len as usize)?;
            rest = behind;
            Some(part)
        };
        let mut records = Vec::with_capacity(messages.len());
        for (message, id) in messages.iter().zip(&ids) {
            let parts = take(message.headers_len).zip(take(message.payload_len));
            let (headers, payload) =
                parts.ok_or_else(|| invalid("the body is shorter than its messages"))?;
            records.push(NewRecord {
                time: now,
                subject: &message.subject,
                headers,
                payload,
                meta: Meta {
                    id: MessageId::parse(id),
                    origin: self.node.name(),
                    payload_type: &message.payload_type,
                    correlation_id: &message.correlation_id,
                    service_name: &message.service_name,
                    expires: message.expires_in.map(|within| now.plus(within)),
                    ..Meta::default()
                },
            });
        }
        let (channel, made) = self.open_or_create(name)?;
        let appended = append(&channel, &records)?;
        let file = channel.directory().join(channel.stats().active_file);
        Ok(Response::Published(Published {
            first: appended.first.get(),
            last: appended.last.get(),
            id: ids.into_iter().next_back().unwrap_or_default(),
            file: file.display().to_string(),
            made,
        }))
    }
}

/// Appends and waits until it is stored; waits for room first, when others have taken it all.
pub(super) fn append(
    channel: &Arc<Channel>,
    records: &[NewRecord<'_>],
) -> Result<Appended, Failure> {
    loop {
        match channel.append_blocking(records) {
            Err(PublishError::Append(AppendError::Backlogged { .. })) => {
                tokio::runtime::Handle::current().block_on(channel.room());
            }
            other => return other.map_err(Failure::from),
        }
    }
}
