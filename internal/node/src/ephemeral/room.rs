//! Room for messages that wait to be sent: so many, and of so many bytes together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for messages that wait to be sent.
#[derive(Debug)]
pub(super) struct Rooms {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

/// Room that a message has taken; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Rooms {
    /// Room for `messages` messages of `bytes` bytes together; for one at least, however long.
    pub(super) fn new(messages: usize, bytes: usize) -> Self {
        let bytes_max = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        Self {
            messages: Arc::new(Semaphore::new(messages.clamp(1, Semaphore::MAX_PERMITS))),
            bytes: Arc::new(Semaphore::new(usize::try_from(bytes_max).unwrap_or(usize::MAX))),
            bytes_max,
        }
    }

    /// Waits for room for a message of `bytes` bytes, first come first served. `None` once it is closed.
    pub(super) async fn take(&self, bytes: usize) -> Option<Room> {
        // A message that is longer than the whole room goes when it has it for itself.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let message = self.messages.clone().acquire_owned().await.ok()?;
        let bytes = self.bytes.clone().acquire_many_owned(bytes).await.ok()?;
        Some(Room { _message: message, _bytes: bytes })
    }

    /// Lets nobody in any more, those who wait included.
    pub(super) fn close(&self) {
        self.messages.close();
        self.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_finds_no_room_waits_until_somebody_leaves() {
        let rooms = Rooms::new(2, 100);
        let first = rooms.take(10).now_or_never().flatten().unwrap();
        let second = rooms.take(10).now_or_never().flatten().unwrap();
        let mut third = Box::pin(rooms.take(10));
        assert!(third.as_mut().now_or_never().is_none(), "two messages are the limit");
        drop(first);
        assert!(third.now_or_never().flatten().is_some());
        drop(second);
    }

    #[test]
    fn few_long_messages_fill_the_room_and_the_longest_goes_alone() {
        let rooms = Rooms::new(100, 100);
        let first = rooms.take(60).now_or_never().flatten().unwrap();
        assert!(rooms.take(60).now_or_never().is_none());
        let second = rooms.take(40).now_or_never().flatten().unwrap();
        let mut longest = Box::pin(rooms.take(1 << 30));
        assert!(longest.as_mut().now_or_never().is_none());
        drop((first, second));
        assert!(longest.now_or_never().flatten().is_some());
    }

    #[test]
    fn closing_sends_those_who_wait_away() {
        let rooms = Rooms::new(1, 100);
        let _first = rooms.take(1).now_or_never().flatten().unwrap();
        let mut second = Box::pin(rooms.take(1));
        assert!(second.as_mut().now_or_never().is_none());
        rooms.close();
        assert!(second.now_or_never().unwrap().is_none());
    }
}
