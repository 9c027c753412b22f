//! Where to start reading: one mark every so many messages or bytes.

use pubsub_types::Timestamp;

use super::chunked::Chunked;

/// Most messages from one [`Point`] to the next, as long as each message has an offset of its own.
pub(super) const POINT_MESSAGES: u32 = 64;

/// A point is at most one message further than this from the one before, in bytes of the segment.
pub(super) const POINT_BYTES: u32 = 16 << 10;

/// A message that can be found without reading what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    /// The message.
    pub(super) slot: u32,
    /// Where in the segment it starts, or the batch that it is in.
    pub(super) offset: u32,
    /// The greatest time of all messages before it; `Timestamp(i64::MIN)` for the first.
    pub(super) before: Timestamp,
}

/// The points of a segment. All fields of a point only grow from one to the next, and the slot grows
/// strictly.
#[derive(Clone, Debug)]
pub(super) struct Points {
    list: Chunked<Point>,
    /// Messages since the last point, it included.
    since: u32,
}

impl Points {
    pub(super) const fn new() -> Self {
        Self { list: Chunked::new(), since: 0 }
    }

    /// Makes a point of the next message if it is time for one.
    pub(super) fn offer(&mut self, point: Point) {
        let due = |last: Point| {
            let far = self.since >= POINT_MESSAGES || point.offset - last.offset >= POINT_BYTES;
            // Two points at one offset would start the same read.
            far && point.offset > last.offset
        };
        if self.list.last().is_none_or(due) {
            self.list.push(point);
            self.since = 0;
        }
        self.since += 1;
    }

    /// The last point before which every message is older than `time`.
    pub(super) fn at_time(&self, time: Timestamp) -> Option<Point> {
        let after = self.list.partition_point(|point| point.before < time);
        self.list.get(after.saturating_sub(1))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Point> {
        self.list.iter()
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.list.memory_bytes()
    }
}
