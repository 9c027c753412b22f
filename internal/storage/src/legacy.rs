//! What the predecessor left behind: positions that are byte offsets over all its files.

use crate::channel::Channel;
use crate::manifest::Written;
use crate::scan::{Found, SEQUENTIAL_BLOCK_BYTES, Scan};

impl Channel {
    /// Sequence of the last message that lies wholly before byte `byte` of the predecessor's files.
    ///
    /// Its files were taken over with the byte offset of their first byte, plus one, as log index.
    pub(crate) fn legacy_seq(&self, byte: u64) -> Option<u64> {
        let contents = self.contents.read();
        let nth = contents.sealed.partition_point(|sealed| sealed.info.next_index - 1 < byte);
        let Some(sealed) = contents.sealed.get(nth) else { return Some(contents.next_seq - 1) };
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
