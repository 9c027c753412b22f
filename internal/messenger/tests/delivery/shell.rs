//! A shell that does nothing by itself: it keeps what the machine asks for until the test answers.

use std::time::Duration;

use pubsub_messenger::{
    Action, DeadLetters, Delivery, Incoming, Missing, Notice, Now, Outcome, SubscribeOptions, Token,
};
use pubsub_types::{Seq, Timestamp};

/// The time of day when tests begin. Far from zero, so that ages can be subtracted.
pub(crate) const MORNING: Timestamp = Timestamp(1_795_267_712_000_000_000);

pub(crate) struct Shell {
    pub(crate) delivery: Delivery<u64>,
    pub(crate) now: Now,
    /// Handed out, in order, as (sequence, attempt).
    pub(crate) invoked: Vec<(u64, u32)>,
    pub(crate) tokens: Vec<Token>,
    /// Dead letters asked for, as (sequence, attempts, error).
    pub(crate) letters: Vec<(u64, u32, String)>,
    pub(crate) failed_at: Vec<Timestamp>,
    pub(crate) saves: Vec<u64>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) stopped: Option<u64>,
}

pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number).expect("messages count from 1")
}

pub(crate) fn failed(error: &str) -> Outcome {
    Outcome::Failed { error: error.into(), retry_in: None }
}

impl Shell {
    pub(crate) fn new(options: &SubscribeOptions) -> Self {
        Self::at(options, DeadLetters::Write, 0, 0)
    }

    pub(crate) fn at(
        options: &SubscribeOptions,
        dead_letters: DeadLetters,
        position: u64,
        last: u64,
    ) -> Self {
        let now = Now { since_start: Duration::from_secs(5), wall: MORNING };
        Self {
            delivery: Delivery::new(options, dead_letters, position, last, now),
            now,
            invoked: Vec::new(),
            tokens: Vec::new(),
            letters: Vec::new(),
            failed_at: Vec::new(),
            saves: Vec::new(),
            notices: Vec::new(),
            stopped: None,
        }
    }

    pub(crate) fn feed(&mut self, number: u64) {
        self.feed_aged(number, Duration::ZERO);
    }

    pub(crate) fn feed_aged(&mut self, number: u64, age: Duration) {
        let time = MORNING.minus(age);
        self.take_in(Incoming {
            seq: seq(number),
            time,
            size_bytes: 10,
            undecodable: None,
            message: number,
        });
    }

    pub(crate) fn feed_undecodable(&mut self, number: u64) {
        self.take_in(Incoming {
            seq: seq(number),
            time: MORNING,
            size_bytes: 10,
            undecodable: Some("decode payload".into()),
            message: number,
        });
    }

    fn take_in(&mut self, incoming: Incoming<u64>) {
        self.delivery.handle_record(incoming, self.now);
        self.pump();
    }

    pub(crate) fn gap(&mut self, first: u64, last: u64, why: Missing) {
        self.delivery.handle_gap(first, last, why);
        self.pump();
    }

    /// Answers the newest handing-out.
    pub(crate) fn answer(&mut self, outcome: Outcome) {
        let token = *self.tokens.last().expect("something was handed out");
        self.answer_to(token, outcome);
    }

    pub(crate) fn answer_to(&mut self, token: Token, outcome: Outcome) {
        self.delivery.handle_result(token, outcome, self.now);
        self.pump();
    }

    pub(crate) fn letter_written(&mut self, number: u64, result: Result<(), &str>) {
        let result = result.map_err(String::from);
        self.delivery.handle_dead_letter_written(seq(number), result, self.now);
        self.pump();
    }

    pub(crate) fn saved(&mut self, result: Result<(), &str>) {
        self.delivery.handle_position_saved(result.map_err(String::from), self.now);
        self.pump();
    }

    pub(crate) fn stop(&mut self) {
        self.delivery.handle_stop();
        self.pump();
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now.since_start += by;
        self.now.wall = self.now.wall.plus(by);
        self.delivery.handle_timeout(self.now);
        self.pump();
    }

    /// Lets the time come that the machine waits for; says how long that took.
    pub(crate) fn advance_to_timeout(&mut self) -> Duration {
        let at = self.delivery.poll_timeout().expect("it waits for a time");
        let by = at.saturating_sub(self.now.since_start);
        self.advance(by);
        by
    }

    pub(crate) fn pump(&mut self) {
        while let Some(action) = self.delivery.poll_action() {
            assert!(self.stopped.is_none(), "nothing follows a stop: {action:?}");
            match action {
                Action::Invoke { token, attempt } => {
                    assert_eq!(self.delivery.message(token.seq), Some(&token.seq.get()));
                    self.invoked.push((token.seq.get(), attempt));
                    self.tokens.push(token);
                }
                Action::WriteDeadLetter { seq, attempts, last_error, failed_at } => {
                    assert_eq!(self.delivery.message(seq), Some(&seq.get()));
                    self.failed_at.push(failed_at);
                    self.letters.push((seq.get(), attempts, last_error));
                }
                Action::SavePosition { seq } => self.saves.push(seq),
                Action::Notice(notice) => self.notices.push(notice),
                Action::Stopped { position } => self.stopped = Some(position),
            }
        }
    }
}
