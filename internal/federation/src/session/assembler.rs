//! Fragments put together again: one frame at a time, and no longer than a frame may be.

use bytes::Bytes;

use crate::wire::BadFrame;

#[derive(Debug, Default)]
pub(crate) struct Assembler {
    parts: Vec<u8>,
}

impl Assembler {
    /// Takes the next fragment; gives back the frame when it was the last.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        more: bool,
        max: usize,
    ) -> Result<Option<Bytes>, BadFrame> {
        if bytes.is_empty() {
            // Nothing, for ever, would be a frame without end.
            return Err(BadFrame::Invalid("empty fragment"));
        }
        let found = self.parts.len() + bytes.len();
        if found > max {
            self.parts = Vec::new();
            let (found, limit) = (found as u64, max as u64);
            return Err(BadFrame::Limit { field: "fragments", found, limit });
        }
        self.parts.extend_from_slice(bytes);
        Ok((!more).then(|| std::mem::take(&mut self.parts).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_become_the_frame_they_were() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(b"one ", true, 100), Ok(None));
        assert_eq!(assembler.push(b"two", false, 100), Ok(Some("one two".into())));
        assert_eq!(assembler.push(b"three", false, 100), Ok(Some("three".into())));
    }

    #[test]
    fn fragments_without_end_are_refused_at_the_limit() {
        let mut assembler = Assembler::default();
        for _ in 0..10 {
            assert_eq!(assembler.push(&[0; 10], true, 100), Ok(None));
        }
        let refused = assembler.push(&[0], true, 100);
        assert_eq!(refused, Err(BadFrame::Limit { field: "fragments", found: 101, limit: 100 }));
        assert_eq!(assembler.push(b"", true, 100), Err(BadFrame::Invalid("empty fragment")));
    }
}
