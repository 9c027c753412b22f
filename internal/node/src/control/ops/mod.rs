//! Every request, done. The server and a command that owns the directory itself call the same code.

mod channels;
mod dead_letters;
mod publish;
mod subscribers;
mod subscription;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use pubsub_storage::{
    AppendError, Channel, ChannelError, CommitError, PositionFile, PublishError, ReadError, Start,
};
use pubsub_types::{ChannelName, SubscriberId};

use super::protocol::{ErrorCode, Failure, NodeReport, Request, Response};
use crate::claims::{Claim, Claimant, Claimed};
use crate::{Node, clock};

pub use subscription::{READ_AHEAD_BYTES, Subscription};
pub(super) use subscription::{from_frame, to_frame};

/// Does requests on a node.
#[derive(Debug)]
pub struct Ops {
    node: Arc<Node>,
}

impl Ops {
    /// Does requests on `node`.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self { node })
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Does a request of `client` that is answered once. Blocks on the disk.
    ///
    /// # Errors
    /// The failure to answer with.
    pub fn handle(
        self: &Arc<Self>,
        request: Request,
        body: &Bytes,
        client: &Claimant,
    ) -> Result<(Response, Bytes), Failure> {
        let response = match request {
            Request::Publish { channel, messages } => self.publish(&channel, &messages, body)?,
            Request::ChannelAdd { channel, chosen } => self.channel_add(&channel, chosen)?,
            Request::ChannelList => self.channel_list()?,
            Request::ChannelInfo { channel } => self.channel_info(&channel)?,
            Request::ChannelCompact { channel, before, dry_run } => {
                self.channel_compact(&channel, before, dry_run)?
            }
            Request::ChannelRemove { channel, dry_run } => {
                self.channel_remove(&channel, dry_run)?
            }
            Request::SubscriberList { channel } => self.subscriber_list(channel.as_ref())?,
            Request::SubscriberInfo { channel, id } => self.subscriber_info(&channel, &id)?,
            Request::SubscriberSeek { channel, id, to, dry_run } => {
                self.subscriber_seek(&channel, &id, to, dry_run, client)?
            }
            Request::SubscriberRemove { channel, id, dry_run } => {
                self.subscriber_remove(&channel, &id, dry_run, client)?
            }
            Request::DlqChannels => self.dlq_channels()?,
            Request::DlqList { channel, limit, after } => self.dlq_list(&channel, limit, after)?,
            Request::DlqShow { channel, seq } => return self.dlq_show(&channel, seq),
            Request::DlqReplay { channel, seqs, dry_run } => {
                self.dlq_replay(&channel, &seqs, dry_run)?
            }
            Request::Links => self.links()?,
            Request::NodeInfo => self.node_info()?,
            Request::Hello { .. }
            | Request::Subscribe { .. }
            | Request::Handled { .. }
            | Request::Stop => {
                return Err(Failure::new(
                    ErrorCode::Invalid,
                    "the request makes no sense at this point of the connection",
                    "",
                ));
            }
        };
        Ok((response, Bytes::new()))
    }

    fn node_info(&self) -> Result<Response, Failure> {
        let store = self.node.store();
        let info = store.node();
        let data_dir = self.node.data_dir();
        let canonical = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
        Ok(Response::Node(Box::new(NodeReport {
            name: self.node.name().to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            id: info.id.to_string(),
            data_dir: canonical.display().to_string(),
            incarnation: info.incarnation,
            channels: self.channel_names()?.len() as u64,
            open_channels: store.open_channels().len() as u64,
        })))
    }

    fn links(&self) -> Result<Response, Failure> {
        let status = self.node.links().and_then(|links| links.status());
        let mut status = status.unwrap_or_default();
        if status.name.is_empty() {
            status.name = self.node.name().to_owned();
        }
        Ok(Response::Links(Box::new(status)))
    }

    fn channel_names(&self) -> Result<Vec<ChannelName>, Failure> {
        self.node.store().channels().map_err(|error| failed("list the channels", &error))
    }

    /// The channel, which must exist.
    fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Failure> {
        self.node.store().channel(name, clock::now()).map_err(|error| self.channel_failure(error))
    }

    /// The channel, made when there is none; and whether it was.
    fn open_or_create(&self, name: &ChannelName) -> Result<(Arc<Channel>, bool), Failure> {
        let store = self.node.store();
        match store.channel(name, clock::now()) {
            Ok(channel) => Ok((channel, false)),
            Err(ChannelError::NotFound(_)) => {
                let made = store.open_or_create(name, clock::now());
                made.map(|channel| (channel, true)).map_err(|error| self.channel_failure(error))
            }
            Err(error) => Err(self.channel_failure(error)),
        }
    }

    fn channel_failure(&self, error: ChannelError) -> Failure {
        let ChannelError::NotFound(name) = &error else { return error.into() };
        let names = self.channel_names().unwrap_or_default();
        let near = nearest(name.as_str(), names.iter().map(ChannelName::as_str));
        let advice = match near {
            Some(near) => format!("did you mean {near}? `pubsub channel ls` lists all"),
            None => "`pubsub channel ls` lists all; `pubsub channel add` makes one".to_owned(),
        };
        Failure::new(ErrorCode::NotFound, error.to_string(), advice)
    }

    fn claim(
        &self,
        channel: &ChannelName,
        id: &SubscriberId,
        client: &Claimant,
    ) -> Result<Claim, Failure> {
        Ok(self.node.claims().take(channel, id, client.clone())?)
    }

    /// The position of a subscriber whose claim is held.
    fn position(
        &self,
        channel: &Arc<Channel>,
        id: &SubscriberId,
        start: Start,
    ) -> Result<Arc<PositionFile>, Failure> {
        Ok(self.node.store().subscriber(channel, id, start)?)
    }
}

impl From<Claimed> for Failure {
    fn from(error: Claimed) -> Self {
        Self::new(ErrorCode::Conflict, error.to_string(), "stop that first, or use another --id")
    }
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        let message = pubsub_messenger::error_text(&error);
        match error {
            ChannelError::NotFound(_) => Self::new(ErrorCode::NotFound, message, ""),
            ChannelError::Exists(name) => {
                let advice = format!("`pubsub channel info {name}` shows it");
                Self::new(ErrorCode::Conflict, message, advice)
            }
            ChannelError::Io { source, .. } => io_failure(message, &source),
            _ => Self::new(ErrorCode::Failed, message, ""),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let message = pubsub_messenger::error_text(&error);
        match error {
            ReadError::Beyond { .. } | ReadError::Deleted { .. } => {
                Self::new(ErrorCode::NotFound, message, "")
            }
            ReadError::Io { source, .. } => io_failure(message, &source),
            _ => Self::new(ErrorCode::Failed, message, ""),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let message = pubsub_messenger::error_text(&error);
        let code = match &error {
            PublishError::Append(
                AppendError::MessageTooLarge { .. } | AppendError::Envelope(_),
            ) => ErrorCode::Invalid,
            PublishError::Commit(error) if error.is_full() => ErrorCode::NoRoom,
            PublishError::Append(AppendError::Closed(_))
            | PublishError::Commit(CommitError::Closed(_)) => ErrorCode::NotFound,
            _ => ErrorCode::Failed,
        };
        Self::new(code, message, "")
    }
}

/// A failure of the file system while doing `what`.
fn failed(what: &str, error: &io::Error) -> Failure {
    io_failure(format!("{what}: {}", pubsub_messenger::error_text(error)), error)
}

fn io_failure(message: String, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Failure::new(
            ErrorCode::Denied,
            message,
            "the data directory must be writable by the user that owns it",
        ),
        _ if pubsub_disk::is_full(error) => {
            Failure::new(ErrorCode::NoRoom, message, "free space or raise the quota")
        }
        _ => Failure::new(ErrorCode::Failed, message, "`pubsub doctor` looks at the files"),
    }
}

/// The known name that `name` most likely was meant to be.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Names looked at: comparing costs the product of the lengths.
    const KNOWN_MAX: usize = 10_000;
    let limit = (name.len() / 3).max(1);
    known
        .take(KNOWN_MAX)
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, candidate)| *distance <= limit || candidate.starts_with(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many bytes must be added, dropped or changed.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let changed = last[j] + usize::from(letter != other);
            row.push(changed.min(last[j + 1] + 1).min(row[j] + 1));
        }
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let known = ["orders", "orders.eu", "payments"];
        assert_eq!(nearest("ordres", known.into_iter()), Some("orders"));
        assert_eq!(nearest("pay", known.into_iter()), Some("payments"));
        assert_eq!(nearest("zebra", known.into_iter()), None);
    }
}
