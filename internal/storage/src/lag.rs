//! How many bytes lie behind a position, and on disk.

use std::sync::atomic::Ordering;

use crate::channel::Channel;
use crate::contents::Contents;

impl Channel {
    /// Bytes of records after the message `seq`, in the files. Exact in the active segment, the
    /// segment's average elsewhere; damaged and deleted records count.
    #[must_use]
    pub fn bytes_after(&self, seq: u64) -> u64 {
        let contents = self.contents.read();
        if seq + 1 >= contents.next_seq {
            return 0;
        }
        let sealed: u64 = contents
            .sealed
            .iter()
            .rev()
            .take_while(|sealed| sealed.info.next_seq > seq + 1)
            .map(|sealed| match sealed.info.first_seq > seq {
                true => sealed.info.bytes,
                false => sealed.info.bytes_of(sealed.info.next_seq - (seq + 1)),
            })
            .sum();
        sealed + active_bytes_after(&contents, seq)
    }

    /// Bytes of all segment files since the channel was opened, those removed since included. Never
    /// shrinks while the channel is open.
    #[must_use]
    pub fn stream_bytes(&self) -> u64 {
        let contents = self.contents.read();
        disk_bytes(&contents) + self.counters.removed_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all segment files, those not yet removed included.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.contents.read())
    }
}

fn disk_bytes(contents: &Contents) -> u64 {
    let files = contents.sealed.iter().chain(&contents.doomed);
    files.map(|sealed| sealed.info.bytes).sum::<u64>() + contents.active.end
}

fn active_bytes_after(contents: &Contents, seq: u64) -> u64 {
    let active = &contents.active;
    let next = crate::contents::seq(seq + 1);
    let located = active.index.first_at_or_after(next).and_then(|first| active.index.locate(first));
    located.map_or(0, |location| active.end.saturating_sub(location.offset))
}
