//! What a history does to a channel besides appending: deletes, reads, subscribers.

use super::*;

impl History {
    pub(super) fn some_runs(&mut self, last: u64) -> Vec<(u64, u64)> {
        let mut at = 1 + self.rng.below(last);
        let mut runs = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            let to = (at + self.rng.below(4)).min(last);
            runs.push((at, to));
            at = to + 2 + self.rng.below(5);
            if at > last {
                break;
            }
        }
        runs
    }

    pub(super) fn delete(&mut self, nth: usize) {
        let channel = self.lines[nth].handle.clone().expect("checked");
        if channel.last_seq() == 0 {
            return;
        }
        let runs = self.some_runs(channel.last_seq());
        self.say(format_args!("{}: delete {runs:?}", channel.name()));
        let seq = |number| Seq::new(number).unwrap();
        let named: Vec<_> = runs.iter().map(|(a, b)| (seq(*a), seq(*b))).collect();
        let ticket = channel.delete(&named, Timestamp(self.now));
        self.lines[nth].model.delete(runs, ticket);
    }

    pub(super) fn trim(&mut self, nth: usize) {
        let channel = self.lines[nth].handle.clone().expect("checked");
        let last = channel.last_seq();
        let first = match self.rng.below(4) {
            0 => last + 1,
            _ => channel.first_seq() + self.rng.below(last + 2 - channel.first_seq().min(last + 1)),
        };
        let first = first.clamp(1, last + 1);
        self.say(format_args!("{}: trim before {first}", channel.name()));
        let ticket = channel.trim(Seq::new(first).unwrap(), "test", Timestamp(self.now));
        self.lines[nth].model.delete(vec![(1, first - 1)], ticket);
    }

    pub(super) fn purge(&mut self, nth: usize) {
        self.look_when_calm(nth);
        if self.faulty || self.disk.is_crashed() {
            return;
        }
        let channel = self.lines[nth].handle.clone().expect("checked");
        let filter = ["a", "b.*", "c.>", ">", "orders"][self.rng.index(5)];
        let filter = Filter::new(filter).unwrap();
        let before = 1 + self.rng.below(channel.last_seq() + 2);
        let keep = self.rng.below(3) * self.rng.below(4);
        let named = self.lines[nth].model.purged(&filter, channel.name().as_str(), before, keep);
        self.say(format_args!("{}: purge {filter} before {before}, keep {keep}", channel.name()));
        let (count, ticket) = channel
            .purge(&filter, Seq::new(before).unwrap(), keep, Timestamp(self.now))
            .expect("nothing fails now");
        assert_eq!(count, named.len() as u64, "index: a purge names {named:?}");
        let runs = named.iter().map(|seq| (*seq, *seq)).collect();
        if let Some(ticket) = ticket {
            self.lines[nth].model.delete(runs, ticket);
        }
    }

    /// Reads from anywhere, whatever fails.
    pub(super) fn read_somewhere(&mut self, nth: usize) {
        let channel = self.lines[nth].handle.clone().expect("checked");
        let after = self.rng.below(channel.last_seq() + 1);
        let (step, bytes) = (1 + self.rng.index(20), 1 + self.rng.index(4096));
        let model = &self.lines[nth].model;
        let excused = self.faulty || self.disk.is_crashed();
        match channel.reader(after).read(step, bytes) {
            Ok(items) => {
                for item in items {
                    if let Item::Record(record) = item {
                        assert!(record.seq > after, "order: {} is read after {after}", record.seq);
                        let rec = &model.recs[identify(model, channel.name().as_str(), &record)];
                        assert!(rec.state != State::Lost, "invented: {} is back", record.seq);
                    }
                }
            }
            Err(error) => assert!(excused, "acked: reading fails without a fault: {error}"),
        }
        let Some(seq) = Seq::new(after) else { return };
        match channel.get(seq) {
            Ok(record) => drop(identify(model, channel.name().as_str(), &record)),
            Err(pubsub_storage::ReadError::Io { source, .. }) => {
                assert!(excused, "acked: reading fails without a fault: {source}");
            }
            Err(pubsub_storage::ReadError::Deleted { .. }) => {
                let live = model.live();
                let named = live.iter().any(|rec| rec.seq == seq.get());
                // A limit may have displaced it since the last look.
                let limits = self.plan.config.limits != pubsub_storage::Limits::default()
                    || self.plan.config.compaction_threshold_bytes > 0;
                assert!(!named || limits, "acked: {seq} is said to be deleted");
            }
            Err(error) => {
                let void = model.voids.contains(&seq.get());
                assert!(void || excused, "acked: message {seq} is not served: {error}");
            }
        }
    }

    /// Goes on with the reader that was there before all that happened since the channel was opened.
    pub(super) fn read_on(&mut self, nth: usize) {
        let (step, bytes) = (1 + self.rng.index(30), 1 + self.rng.index(4096));
        let excused = self.faulty || self.disk.is_crashed();
        let line = &mut self.lines[nth];
        line.model.resolve(self.plan.always());
        let (Some(reader), model) = (&mut line.reader, &line.model) else { return };
        let before = reader.position();
        let items = reader.read(step, bytes).unwrap_or_else(|error| {
            assert!(excused, "acked: reading fails without a fault: {error}");
            Vec::new()
        });
        let (plan, seen) = (&self.plan, &Seen::default());
        let (now, consumed) = (self.ticked, line.consumed);
        let look = Look { plan, model, seen, ending: Ending::Running, now, consumed };
        // All before it was deleted together.
        let mut after = before.max(reader.channel().first_seq() - 1);
        for item in &items {
            let (first, last) = match item {
                Item::Record(record) => {
                    let rec = &model.recs[identify(model, line.name.as_str(), record)];
                    let live = rec.state == State::Acked && rec.gone.is_none();
                    assert!(live, "deletes: {} is read on: {rec:?}", rec.seq);
                    (record.seq, record.seq)
                }
                Item::Gap { first, last } => {
                    let void = |seq: &u64| model.voids.contains(seq) || excused;
                    let known = (*first..=*last).all(|seq| void(&seq));
                    assert!(known, "order: {first} to {last} are said to be gone, reading on");
                    (*first, *last)
                }
            };
            assert!(after < first && first <= last, "order: {first} is read after {after}");
            (after + 1..first).for_each(|seq| order::silence_is_due(look, seq));
            after = last;
        }
        let end = reader.position();
        (after + 1..=end).for_each(|seq| order::silence_is_due(look, seq));
        self.say(format_args!("read on from {before} to {end}: {} items", items.len()));
    }

    /// Looks at everything while nothing fails.
    pub(super) fn look_when_calm(&mut self, nth: usize) {
        if self.faulty || self.disk.is_crashed() {
            return;
        }
        self.say(format_args!("{}: look", self.lines[nth].name.clone()));
        self.look(nth, false).unwrap_or_else(|error| panic!("acked: reading fails: {error}"));
    }

    // Subscribers.

    pub(super) fn subscriber(&mut self, nth: usize) {
        let id = ["s1", "s2"][self.rng.index(2)];
        let is_open = self.lines[nth]
            .standings
            .iter()
            .any(|(it, standing)| it.as_str() == id && standing.file.is_some());
        match is_open {
            true => self.move_subscriber(id, nth),
            false => self.open_subscriber_named(id, nth),
        }
    }

    pub(super) fn open_subscriber_named(&mut self, id: &str, nth: usize) {
        let id = SubscriberId::new(id).unwrap();
        self.lines[nth].standings.entry(id.clone()).or_default();
        self.open_subscriber(nth, &id);
    }

    pub(super) fn move_subscriber(&mut self, id: &str, nth: usize) {
        let id = SubscriberId::new(id).unwrap();
        let standing = self.lines[nth].standings.entry(id.clone()).or_default();
        let Some(file) = standing.file.clone() else { return };
        let last = self.lines[nth].handle.as_ref().expect("checked").last_seq();
        let what = self.rng.below(4);
        let seq = match self.rng.chance(1, 6) {
            true => self.rng.below(last + 1),
            false => (file.seq() + self.rng.below(5)).min(last),
        };
        self.say(format_args!("{} {id}: step {what} with {seq}", file.channel()));
        file.set(seq);
        let result = match what {
            0 => Ok(()),
            1 => file.write(),
            _ => file.write().and_then(|()| {
                let standing = self.lines[nth].standings.get_mut(&id).expect("it is open");
                standing.note(false);
                file.sync()
            }),
        };
        let standing = self.lines[nth].standings.get_mut(&id).expect("it is open");
        standing.note(self.disk.is_crashed());
        if result.is_err() && !self.disk.is_crashed() {
            assert!(self.faulty, "positions: a write fails without a fault");
            if file.seq() != file.written_seq() {
                standing.failed();
            }
        }
    }

    pub(super) fn open_subscriber(&mut self, nth: usize, id: &SubscriberId) {
        let (store, line) = (self.store.clone().expect("open"), &mut self.lines[nth]);
        let channel = line.handle.clone().expect("checked");
        let last = channel.last_seq();
        let (start, expected) = match self.rng.below(4) {
            0 => (Start::New, last),
            1 => (Start::Last, last.saturating_sub(1)),
            2 => (Start::After(3), last.min(3)),
            _ => (Start::FromStart, 0),
        };
        let opened = store.subscriber(&channel, id, start);
        let standing = line.standings.get_mut(id).expect("made by the caller");
        match opened {
            Ok(file) => {
                let seq = file.seq();
                standing.opened(file, expected, channel.first_seq() - 1);
                self.say(format_args!("{} {id}: opened at {seq}", channel.name()));
            }
            Err(error) => {
                standing.attempted(expected);
                let excused = self.faulty || self.disk.is_crashed();
                assert!(excused, "positions: opening fails without a fault: {error}");
            }
        }
    }

    // Stopping.
}
