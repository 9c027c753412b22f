//! What the predecessor left behind: positions that are byte offsets over all its files.

use std::sync::Arc;

use crate::channel::Channel;
use crate::manifest::Written;
use crate::scan::{Found, SEQUENTIAL_BLOCK_BYTES, Scan};
use crate::sealed::Sealed;

impl Channel {
    /// Sequence of the last message that lies wholly before byte `byte` of the predecessor's files.
    ///
    /// Its files were taken over with the byte offset of their first byte, plus one, as log index.
    pub(crate) fn legacy_seq(&self, byte: u64) -> Option<u64> {
        let contents = self.contents.read();
        let taken_over = |sealed: &&Arc<Sealed>| sealed.info.written == Written::Legacy;
        let end = contents.sealed.iter().rfind(taken_over).map_or(0, |last| last.info.next_index);
        // Log indexes of segments of ours, which follow, are no byte offsets. And a byte beyond the
        // last file, whose torn end was cut, is before the first message of ours.
        let before = |sealed: &&Arc<Sealed>| {
            sealed.info.next_index <= end && sealed.info.next_index - 1 < byte
        };
        let nth = contents.sealed.iter().take_while(before).count();
        let Some(sealed) = contents.sealed.get(nth) else {
            return Some(contents.active.info.first_seq - 1);
        };
        let sealed = sealed.clone();
        let log_id = contents.log_id;
        drop(contents);
        let info = &sealed.info;
        if info.written != Written::Legacy {
            return Some(info.first_seq - 1);
        }
        let file = sealed.file(self.place()).ok()?;
        let mut scan =
            Scan::new(file, info.encoding(log_id), 0, info.bytes, SEQUENTIAL_BLOCK_BYTES);
        let inside = byte.saturating_sub(info.first_index - 1);
        let mut last = info.first_seq - 1;
        while let Some(found) = scan.next().ok()? {
            if let Found::Record { at, record, .. } = found {
                if at >= inside {
                    break;
                }
                last = record.seq;
            }
        }
        Some(last)
    }
}
