//! What is read, on its way into batches: what the peer has is left out, our route is put on, and what it
//! cannot take holds the channel.

use std::collections::VecDeque;

use bytes::Bytes;
use pubsub_envelope::{Meta, Record, RouteBuf};

use super::{BATCH_WEIGHT_BYTES, Outbox, Staged, State, Sub};
use crate::action::Event;
use crate::batch::{BatchHead, BatchWriter};
use crate::compress::Compressor;
use crate::coverage::origin_of;
use crate::frame::{BATCH_HEAD_MAX_BYTES, put_batch_head};

/// What is read at once, on its way into batches.
pub(super) struct Reading<'a> {
    pub(super) me: &'a str,
    pub(super) peer: &'a str,
    pub(super) message_max: usize,
    /// Bytes of the records of a batch, unless a single one is longer.
    pub(super) limit: usize,
    pub(super) sub: u32,
    /// The batch, and the epoch of our own messages in it.
    pub(super) writer: Option<(BatchWriter, Option<u64>)>,
    pub(super) staged: &'a mut VecDeque<Staged>,
    pub(super) compressor: &'a mut Option<Compressor>,
}

impl Reading<'_> {
    /// Takes a message; `false` when the channel stops at it.
    pub(super) fn record(&mut self, known: &mut Sub, record: &Record, out: &mut Outbox) -> bool {
        if record.seq <= known.after {
            return true;
        }
        let meta = record.meta();
        let origin = match origin_of(&meta) {
            "" => self.me,
            origin => origin,
        };
        if origin == self.peer || known.came_from(self.peer, record.seq, &meta) {
            out.counters.echoes_dropped += 1;
            known.after = record.seq;
            return true;
        }
        let bytes = record.subject().len() + record.headers().len() + record.payload().len();
        if bytes > self.message_max {
            self.hold(known, record.seq, bytes, out);
            return false;
        }
        let own = meta.source.is_none();
        let epoch = own.then(|| known.log.epochs.of(record.seq));
        let previous = own.then(|| known.floor.pass(origin, record.seq, known.log.epochs.as_ref()));
        let mut route = RouteBuf::new();
        let meta = outgoing(meta, self.me, &mut route);
        let other_epoch =
            matches!(&self.writer, Some((_, Some(of))) if epoch.is_some_and(|e| e != *of));
        if other_epoch {
            self.finish(known);
        }
        if !self.push(known, record, &meta, previous, epoch) {
            // It is too long for its fields: nobody can be sent it.
            self.hold(known, record.seq, bytes, out);
            return false;
        }
        known.after = record.seq;
        true
    }

    /// Appends the message to the batch, or to the next one when this one has no room; `false` when it
    /// fits none.
    fn push(
        &mut self,
        known: &mut Sub,
        record: &Record,
        meta: &Meta<'_>,
        previous: Option<u64>,
        epoch: Option<u64>,
    ) -> bool {
        for _ in 0..2 {
            let capacity = known.batch_hint.min(self.limit);
            let base = known.staged;
            let (writer, of) = self.writer.get_or_insert_with(|| {
                (BatchWriter::new(base, BATCH_HEAD_MAX_BYTES, capacity), None)
            });
            let mark = writer.mark();
            if !writer.push(record, meta, previous) {
                return false;
            }
            if writer.count() == 1 || writer.records_bytes() <= self.limit {
                *of = of.or(epoch);
                return true;
            }
            writer.undo(mark);
            self.finish(known);
        }
        false
    }

    fn hold(&mut self, known: &mut Sub, seq: u64, bytes: usize, out: &mut Outbox) {
        self.finish(known);
        known.state = State::Held;
        let (channel, limit) = (known.channel.clone(), self.message_max);
        out.event(Event::Held { channel, seq, bytes, limit });
    }

    /// Stages the batch, or an empty one where only the position moved.
    pub(super) fn finish(&mut self, known: &mut Sub) {
        let (writer, epoch) = match self.writer.take() {
            Some((writer, epoch)) => (writer, epoch.unwrap_or(0)),
            None if known.after > known.staged => {
                (BatchWriter::new(known.staged, BATCH_HEAD_MAX_BYTES, 0), 0)
            }
            None => return,
        };
        let staged = known.seal(self.sub, writer, epoch, self.compressor.as_mut());
        self.staged.push_back(staged);
    }
}

/// The envelope as it is sent: with a route that ends here, unless it begins here too.
fn outgoing<'a>(mut meta: Meta<'a>, me: &'a str, route: &'a mut RouteBuf) -> Meta<'a> {
    if meta.route.is_empty() {
        if meta.origin.is_empty() {
            meta.origin = me;
        }
        if meta.origin == me {
            return meta;
        }
        // Published here in another's name, or when we had another one.
        if route.push(meta.origin).is_err() {
            return meta;
        }
    } else {
        if meta.route.iter().next_back() == Some(me) {
            return meta;
        }
        *route = RouteBuf::from(meta.route);
    }
    if route.push(me).is_ok() {
        meta.route = route.as_route();
    }
    meta
}

impl Sub {
    /// Makes a frame of a batch that goes up to where was read.
    pub(super) fn seal(
        &mut self,
        sub: u32,
        writer: BatchWriter,
        epoch: u64,
        compressor: Option<&mut Compressor>,
    ) -> Staged {
        let head =
            BatchHead { epoch, base: writer.base(), after: self.after, count: writer.count() };
        let records = writer.records_bytes();
        self.staged = self.after;
        self.batch_hint = records;
        let (mut bytes, start) = writer.into_parts();
        let mut out = Vec::with_capacity(BATCH_HEAD_MAX_BYTES);
        let frame = if let Some(compressor) = compressor
            && records > 0
            && {
                put_batch_head(&mut out, sub, &head, Some(records as u64));
                compressor.compress(&bytes[start..], &mut out)
            } {
            Bytes::from(out)
        } else {
            out.clear();
            put_batch_head(&mut out, sub, &head, None);
            let begin = start - out.len();
            bytes[begin..start].copy_from_slice(&out);
            Bytes::from(bytes).slice(begin..)
        };
        let weight = records as u64 + BATCH_WEIGHT_BYTES;
        Staged { sub, frame, weight, after: self.after, messages: head.count }
    }
}
