//! Where to start reading: one mark every so many messages or bytes.
//!
//! ```text
//!   segment   m m m m m M M m m m m m m m m m
//!   points    ▲           ▲ ▲               ▲      slot · offset · greatest time of all before
//! ```
//!
//! Clocks step back, so the greatest time before a point is what is searched: it only grows, and the
//! first message that is young enough is never in front of the last point that has none.

use pubsub_types::Timestamp;

use super::chunked::Chunked;

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

/// Messages from one point to the next, at most, as long as each has an offset of its own.
const APART_MESSAGES: u32 = 64;

/// A message this far behind the last point is a point itself, in bytes of the segment.
const APART_BYTES: u32 = 16 << 10;

impl Points {
    pub(super) const fn new() -> Self {
        Self { list: Chunked::new(), since: 0 }
    }

    /// Makes a point of the next message if it is time for one.
    pub(super) fn offer(&mut self, point: Point) {
        let due = |last: Point| {
            let far = self.since >= APART_MESSAGES || point.offset - last.offset >= APART_BYTES;
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

const ENCODED_BYTES: usize = 16;

/// Bytes of points in a full page of an index file.
pub(super) const PAGE_BYTES: usize = 255 * ENCODED_BYTES;

impl Point {
    /// Appends the point as it is in an index file.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.before.0.to_le_bytes());
    }

    fn from_bytes(bytes: &[u8; ENCODED_BYTES]) -> Self {
        let (words, halves) = (bytes.as_chunks().0, bytes.as_chunks().0);
        Self {
            slot: u32::from_le_bytes(words[0]),
            offset: u32::from_le_bytes(words[1]),
            before: Timestamp(i64::from_le_bytes(halves[1])),
        }
    }
}

/// Looks in encoded points for the last that is `early`, or the first when none is, and tells which
/// it is. `None` when these are no points.
pub(super) fn search(bytes: &[u8], early: impl Fn(Point) -> bool) -> Option<(usize, Point)> {
    let (points, rest) = bytes.as_chunks();
    let after = points.partition_point(|point| early(Point::from_bytes(point)));
    let at = after.saturating_sub(1);
    let point = points.get(at).filter(|_| rest.is_empty())?;
    Some((at, Point::from_bytes(point)))
}
