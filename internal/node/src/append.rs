//! Publishing from async code: waits for room, appends, waits for the commit.

use std::sync::Arc;
use std::task::Poll;

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
        match channel.append_later(records) {
            Ok((appended, turn)) => {
                if let Some(turn) = turn {
                    // Tasks that are ready to publish too come first, and are written with this one.
                    // Alone, it costs one more poll; measured with 256 publishers, it saves 9 of 10
                    // writes.
                    once_more().await;
                    turn.take();
                }
                appended.ticket.clone().await?;
                return Ok(appended);
            }
            Err(AppendError::Backlogged { .. }) => channel.room().await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lets the tasks that are ready run once. Unlike the runtime's own yield, it does not make the runtime
/// look for events of the operating system in between.
async fn once_more() {
    let mut polled = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
