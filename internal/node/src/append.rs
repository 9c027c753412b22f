//! Publishing from async code: waits for room, appends, waits for the commit.

use std::sync::Arc;

use pubsub_envelope::NewRecord;
use pubsub_storage::{AppendError, Appended, Channel, PublishError};

/// Appends `records`, after waiting for room when too much waits to be written, and waits until they
/// are committed as the channel's policy says.
///
/// Dropping the future while it waits for room publishes nothing. Later, the records are in the log
/// and are committed, or not, whether or not anybody waits.
///
/// # Errors
/// The records were not taken, or not committed.
pub async fn append(
    channel: &Arc<Channel>,
    records: &[NewRecord<'_>],
) -> Result<Appended, PublishError> {
    loop {
        match channel.append(records) {
            Ok(appended) => {
                appended.ticket.clone().await?;
                return Ok(appended);
            }
            Err(AppendError::Backlogged { .. }) => channel.room().await,
            Err(error) => return Err(error.into()),
        }
    }
}
