//! What a delivery has to say, as lines in the log.

use pubsub_messenger::{Missing, Notice};
use pubsub_types::{ChannelName, SubscriberId};

/// Writes `notice` to the log.
pub(super) fn log(channel: &ChannelName, id: &SubscriberId, notice: &Notice) {
    match notice {
        Notice::AttemptFailed { seq, attempt, error, retry_in } => {
            let retry_ms = retry_in.as_millis();
            tracing::warn!(%channel, subscriber = %id, %seq, attempt, error, retry_ms, "handler failed; it is tried again");
        }
        Notice::RetryLater { seq } => {
            tracing::debug!(%channel, subscriber = %id, %seq, "handler asked to be called later");
        }
        Notice::Undecodable { seq, error } => {
            tracing::warn!(%channel, subscriber = %id, %seq, error, "payload cannot be decoded");
        }
        Notice::DeadLettered { seq, attempts, error } => {
            tracing::warn!(%channel, subscriber = %id, %seq, attempts, error, "message went to the dead letters");
        }
        Notice::DeadLetterNotWritten { seq, error, retry_in } => {
            let retry_ms = retry_in.as_millis();
            tracing::error!(%channel, subscriber = %id, %seq, error, retry_ms, "dead letter was not written; the message stays and it is tried again");
        }
        Notice::DeadLetterSkipped { seq, attempts, error } => {
            tracing::error!(%channel, subscriber = %id, %seq, attempts, error, "handler of dead letters failed; the message is passed over");
        }
        Notice::Passed { first, last, why: Missing::Damaged } => {
            tracing::error!(%channel, subscriber = %id, first, last, "messages are damaged on disk and were passed over");
        }
        Notice::Passed { first, last, why: Missing::Deleted } => {
            tracing::warn!(%channel, subscriber = %id, first, last, "messages were deleted or had expired before they were read");
        }
        Notice::TooOldSkipped { messages, bytes } => {
            tracing::info!(%channel, subscriber = %id, messages, bytes, "messages older than max_age were skipped");
        }
        Notice::PositionNotSaved { error, in_a_row } => {
            tracing::error!(%channel, subscriber = %id, error, in_a_row, "position was not saved");
        }
        Notice::Paused => {
            tracing::error!(%channel, subscriber = %id, "position writes still fail; delivery pauses until one succeeds");
        }
        Notice::Resumed => {
            tracing::info!(%channel, subscriber = %id, "position was saved again; delivery goes on");
        }
    }
}
