//! A compressed message on its way in.
//!
//! It is gathered first, as long as it is short: an inflater is large, and who sends half a message
//! must not hold one.

use bytes::{Buf, BytesMut};

use crate::ws::deflate::{Inflater, Pool, Stop, Tail};
use crate::ws::{Fault, WsLimits};

/// What an inflater holds, as it was measured: a window of 32 KiB, and its tables.
const INFLATER_BYTES: usize = 48 << 10;

/// A compressed message, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Compressed {
    /// What came and is not inflated.
    pub(crate) gathered: BytesMut,
    inflater: Option<Inflater>,
    tail: Tail,
    /// Bytes inflated.
    len: u64,
    /// The compressed data ended before the message did; what follows in it means nothing.
    has_ended: bool,
}

impl Compressed {
    /// Whether more may be gathered.
    pub(crate) fn takes_more(&self) -> bool {
        self.inflater.is_none() || self.gathered.is_empty()
    }

    /// Whether what was gathered must be inflated before the message ends.
    pub(crate) fn is_due(&self, limits: &WsLimits) -> Result<bool, Fault> {
        if self.inflater.is_some() {
            return Ok(true);
        }
        let is_long = self.gathered.len() > limits.gathered_max;
        if is_long && !limits.streams {
            return Err(Fault::TooLarge { limit: limits.gathered_max as u64 });
        }
        Ok(is_long)
    }

    /// Inflates what was gathered to the end of `data`, which gets no longer than `data_max`. True:
    /// there may be more than has room.
    pub(crate) fn inflate(
        &mut self,
        is_last: bool,
        data: &mut BytesMut,
        data_max: usize,
        limits: &WsLimits,
        pool: &mut Pool,
    ) -> Result<bool, Fault> {
        if self.has_ended {
            self.gathered.clear();
            return Ok(false);
        }
        let start = data.len();
        // One byte beyond the limit tells that it was passed.
        let allowed = limits.inflated_max.saturating_sub(self.len).saturating_add(1);
        let room =
            data_max.saturating_sub(start).min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let inflater = self.inflater.get_or_insert_with(|| pool.inflater());
        let mut rest = &self.gathered[..];
        let mut stop = inflater.inflate(&mut rest, data, room)?;
        let used = self.gathered.len() - rest.len();
        self.gathered.advance(used);
        if stop == Stop::Hungry && is_last {
            let room = room - (data.len() - start);
            stop = inflater.finish(&mut self.tail, data, room)?;
        }
        self.len += (data.len() - start) as u64;
        if self.len > limits.inflated_max {
            return Err(Fault::TooLarge { limit: limits.inflated_max });
        }
        if stop == Stop::Ended {
            self.has_ended = true;
            self.gathered.clear();
        }
        Ok(stop == Stop::Full)
    }

    /// Bytes of memory held, beyond the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        let inflater = if self.inflater.is_some() { INFLATER_BYTES } else { 0 };
        self.gathered.capacity() + inflater
    }

    /// The message has ended.
    pub(crate) fn finish(self, pool: &mut Pool) {
        if let Some(inflater) = self.inflater {
            pool.put_back(inflater);
        }
    }
}
