//! Writes dead letters.

use std::sync::Arc;

use pubsub_envelope::{MessageId, Meta, NewRecord};
use pubsub_messenger::{DEAD_LETTER_PAYLOAD_TYPE, DeadLetter, error_text};
use pubsub_storage::Channel;
use pubsub_types::ChannelName;
use tokio::task::spawn_blocking;

use crate::{Node, append, clock};

/// Longest error text in a letter, in bytes. Some errors quote what they were given.
const ERROR_TEXT_MAX_BYTES: usize = 16 << 10;

/// Writes `letter`, and comes back when it is as durable as its channel's policy says.
///
/// # Errors
/// Why it was not written.
pub(super) async fn bury(
    node: Arc<Node>,
    channel: ChannelName,
    mut letter: DeadLetter,
) -> Result<(), String> {
    shorten(&mut letter.last_error);
    let letters = open(node, channel).await?;
    let payload = letter.encode();
    let meta = Meta {
        id: MessageId::Uuid(uuid::Uuid::now_v7()),
        origin: letter.original.meta().origin,
        payload_type: DEAD_LETTER_PAYLOAD_TYPE,
        ..Meta::default()
    };
    let record = NewRecord { time: clock::now(), payload: &payload, meta, ..NewRecord::default() };
    append(&letters, &[record]).await.map_err(|error| error_text(&error))?;
    Ok(())
}

async fn open(node: Arc<Node>, name: ChannelName) -> Result<Arc<Channel>, String> {
    let opened = spawn_blocking(move || node.channel(&name)).await;
    match opened {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(error_text(&error)),
        Err(error) => Err(error_text(&error)),
    }
}

fn shorten(text: &mut String) {
    if text.len() > ERROR_TEXT_MAX_BYTES {
        text.truncate(text.floor_char_boundary(ERROR_TEXT_MAX_BYTES));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::{ERROR_TEXT_MAX_BYTES, shorten};

    #[test]
    fn an_error_that_quotes_a_whole_message_is_cut_between_two_characters() {
        let mut text = "é".repeat(ERROR_TEXT_MAX_BYTES);
        shorten(&mut text);
        assert!(text.len() <= ERROR_TEXT_MAX_BYTES + '…'.len_utf8());
        assert!(text.ends_with("é…"));
    }
}
