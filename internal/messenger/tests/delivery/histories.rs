//! Random histories: whatever happens in whatever order, no message is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use pubsub_messenger::{
    Action, DeadLetters, Delivery, Incoming, Missing, Now, Outcome, SubscribeOptions, Token, Wake,
};
use pubsub_types::Seq;

use crate::shell::{MORNING, failed, seq};

#[derive(Clone, Copy, Debug)]
enum Entry {
    Good,
    Undecodable,
    Damaged,
}

#[derive(Clone, Debug)]
enum Step {
    Feed,
    Answer { which: usize, how: u8 },
    AnswerOld { which: usize, how: u8 },
    Letter { which: usize, written: bool },
    Save { saved: bool },
    Advance { millis: u64 },
    Wake,
    Stop,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Feed),
        8 => (any::<usize>(), 0_u8..6).prop_map(|(which, how)| Step::Answer { which, how }),
        2 => (any::<usize>(), 0_u8..6).prop_map(|(which, how)| Step::AnswerOld { which, how }),
        3 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, written)| Step::Letter { which, written }),
        4 => prop::bool::weighted(0.7).prop_map(|saved| Step::Save { saved }),
        6 => (0_u64..3_000).prop_map(|millis| Step::Advance { millis }),
        1 => Just(Step::Wake),
        1 => Just(Step::Stop),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 0..200)
}

fn log() -> impl Strategy<Value = Vec<Entry>> {
    let entry = prop_oneof![
        6 => Just(Entry::Good),
        1 => Just(Entry::Undecodable),
        1 => Just(Entry::Damaged),
    ];
    prop::collection::vec(entry, 1..12)
}

/// The world around one subscriber. `durable` and `finished` outlive its crashes.
struct World {
    log: Vec<Entry>,
    options: SubscribeOptions,
    now: Now,
    /// The position in the offset file.
    durable: u64,
    /// Handled successfully, buried durably, or missing from the log.
    finished: BTreeSet<u64>,
    delivery: Delivery<u64>,
    running: Vec<Token>,
    answered: Vec<Token>,
    burying: Vec<Seq>,
    to_save: Option<u64>,
    /// Attempts of this life that count, by message.
    attempts: BTreeMap<u64, u32>,
    stopping: bool,
    stopped: bool,
}

impl World {
    fn new(log: Vec<Entry>, options: SubscribeOptions) -> Self {
        let now = Now { since_start: Duration::ZERO, wall: MORNING };
        let delivery = Delivery::new(&options, DeadLetters::Write, 0, 0, now);
        Self {
            log,
            options,
            now,
            durable: 0,
            finished: BTreeSet::new(),
            delivery,
            running: Vec::new(),
            answered: Vec::new(),
            burying: Vec::new(),
            to_save: None,
            attempts: BTreeMap::new(),
            stopping: false,
            stopped: false,
        }
    }

    fn restart(&mut self) {
        let mut next = Self::new(self.log.clone(), self.options);
        next.delivery = Delivery::new(&self.options, DeadLetters::Write, self.durable, 0, self.now);
        next.durable = self.durable;
        next.finished = std::mem::take(&mut self.finished);
        next.now = self.now;
        *self = next;
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Feed => self.feed(),
            Step::Answer { which, how } => {
                if let Some(token) = take(&mut self.running, which) {
                    self.answered.push(token);
                    self.answer(token, how);
                }
            }
            Step::AnswerOld { which, how } => {
                if !self.answered.is_empty() {
                    self.answer(self.answered[which % self.answered.len()], how);
                }
            }
            Step::Letter { which, written } => {
                if let Some(seq) = take(&mut self.burying, which) {
                    self.letter(seq, written);
                }
            }
            Step::Save { saved } => self.save(saved),
            Step::Advance { millis } => {
                self.now.since_start += Duration::from_millis(millis);
                self.delivery.handle_timeout(self.now);
            }
            Step::Wake => self.delivery.handle_wake(Wake::Notify, self.now),
            Step::Stop => {
                self.stopping = true;
                self.delivery.handle_stop();
            }
            Step::Crash => self.restart(),
        }
        self.pump();
        self.check();
    }

    fn feed(&mut self) {
        let number = self.delivery.newest() + 1;
        let at = usize::try_from(number - 1).expect("logs here are short");
        let Some(entry) = self.log.get(at).filter(|_| self.delivery.room() > 0) else { return };
        let undecodable = match entry {
            Entry::Good => None,
            Entry::Undecodable => Some("decode payload".into()),
            Entry::Damaged => {
                self.finished.insert(number);
                return self.delivery.handle_gap(number, number, Missing::Damaged);
            }
        };
        let (seq, time) = (seq(number), self.now.wall);
        let incoming = Incoming { seq, time, size_bytes: 1, undecodable, message: number };
        self.delivery.handle_record(incoming, self.now);
    }

    fn answer(&mut self, token: Token, how: u8) {
        let outcome = match how {
            0 | 1 => {
                self.finished.insert(token.seq.get());
                Outcome::Done
            }
            2 | 3 => failed("boom"),
            4 => Outcome::Panicked { message: "boom".into() },
            _ => Outcome::RetryLater,
        };
        self.delivery.handle_result(token, outcome, self.now);
    }

    fn letter(&mut self, seq: Seq, written: bool) {
        if written {
            self.finished.insert(seq.get());
        }
        let result = if written { Ok(()) } else { Err("disk full".into()) };
        self.delivery.handle_dead_letter_written(seq, result, self.now);
    }

    fn save(&mut self, saved: bool) {
        let Some(position) = self.to_save.take() else { return };
        if saved {
            self.durable = position;
        }
        let result = if saved { Ok(()) } else { Err("disk full".into()) };
        self.delivery.handle_position_saved(result, self.now);
    }

    fn pump(&mut self) {
        while let Some(action) = self.delivery.poll_action() {
            assert!(!self.stopped, "nothing follows a stop: {action:?}");
            match action {
                Action::Invoke { token, attempt } => {
                    assert!(!self.stopping, "nothing is handed out while stopping");
                    assert!(!self.delivery.is_paused());
                    assert!(self.delivery.position() < token.seq.get());
                    assert!(attempt <= self.options.retry.max_retries + 1);
                    let before = self.attempts.insert(token.seq.get(), attempt).unwrap_or(1);
                    assert!(before <= attempt && attempt <= before + 1);
                    self.running.push(token);
                }
                Action::WriteDeadLetter { seq, .. } => {
                    assert!(!self.stopping, "no burial is begun while stopping");
                    assert!(!self.burying.contains(&seq));
                    self.burying.push(seq);
                }
                Action::SavePosition { seq } => {
                    for number in 1..=seq {
                        assert!(
                            self.finished.contains(&number),
                            "{seq} saved, {number} is not done"
                        );
                    }
                    assert!(self.durable <= seq);
                    self.to_save = Some(seq);
                }
                Action::Notice(_) => (),
                Action::Stopped { position } => {
                    assert_eq!(position, self.delivery.position());
                    self.stopped = true;
                }
            }
        }
    }

    fn check(&self) {
        let in_flight = self.delivery.newest() - self.delivery.position();
        assert!(in_flight <= self.options.max_in_flight.get() as u64);
        if self.stopping && self.running.is_empty() && self.burying.is_empty() {
            assert!(self.stopped, "a stop ends when nothing is owed");
        }
    }

    /// From now on everything works: the log is read to its end.
    fn heal(&mut self) {
        self.restart();
        for _ in 0..1_000 {
            self.step(&Step::Feed);
            self.step(&Step::Answer { which: 0, how: 0 });
            self.step(&Step::Letter { which: 0, written: true });
            self.step(&Step::Save { saved: true });
            if self.durable == self.log.len() as u64 {
                return;
            }
        }
        assert_eq!(self.durable, self.log.len() as u64, "it is stuck");
    }
}

fn take<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(which % list.len()))
}

fn options() -> impl Strategy<Value = SubscribeOptions> {
    (0_u32..4, 1_usize..5, any::<bool>()).prop_map(|(retries, in_flight, wait)| {
        let options = SubscribeOptions::default().max_retries(retries).max_in_flight(in_flight);
        if wait { options.ack_wait(Duration::from_secs(2)) } else { options }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_history_loses_a_message_or_saves_a_position_beyond_an_unfinished_one(
        log in log(), options in options(), steps in steps(),
    ) {
        let mut world = World::new(log, options);
        for step in &steps {
            world.step(step);
        }
        world.heal();
        prop_assert_eq!(world.finished.len(), world.log.len());
    }

    #[test]
    fn equal_histories_end_equally(log in log(), options in options(), steps in steps()) {
        let run = || {
            let mut world = World::new(log.clone(), options);
            steps.iter().for_each(|step| world.step(step));
            format!("{:?}", world.delivery)
        };
        prop_assert_eq!(run(), run());
    }
}
