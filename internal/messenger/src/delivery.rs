//! What one subscriber of one channel is owed: every message, until it is dealt with.
//!
//! ```text
//!   the log ──record──▶ window ──Invoke──▶ handler ──result──▶ window ──SavePosition──▶ the offset file
//!                         │  ▲                                    │
//!                         ╰──╯ back-off                           ╰──WriteDeadLetter──▶ {channel}.dead-letter
//! ```
//!
//! At least once: the saved position is below every message that is not done or durably buried, so
//! whatever is interrupted comes again. With room for one message this is a handler's strict order;
//! with room for more it is a stream whose reader acknowledges in any order.

use std::collections::VecDeque;
use std::time::Duration;

use pubsub_types::{Seq, Timestamp};

use crate::action::{Action, Incoming, Missing, Notice, Token};
use crate::saves::Saves;
use crate::slot::{DEAD_LETTER_RETRY, State};
use crate::stats::DeliveryStats;
use crate::window::Window;
use crate::{Now, Outcome, RetryPolicy, SubscribeOptions};

/// Longest time from "retry later" to the next try.
pub const RETRY_LATER_MAX: Duration = Duration::from_secs(1);

/// Shortest time from "retry later" to the next try. A busy channel wakes its subscribers all the
/// time, and a handler that is not ready must not be asked a hundred thousand times a second.
pub const RETRY_LATER_MIN: Duration = Duration::from_millis(10);

/// What becomes of a message that failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetters {
    /// It is written to the channel's dead letters.
    Write,
    /// It is passed over: the channel holds dead letters itself, and there is no second burial.
    Skip,
}

/// Why a subscriber was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something was published.
    Notify,
    /// Some time passed, in case a notification was lost.
    Poll,
}

/// Delivers one channel to one subscriber. See the module.
///
/// `M` is whatever the shell wants to keep with a message until it is dealt with.
#[derive(Debug)]
pub struct Delivery<M> {
    retry: RetryPolicy,
    ack_wait: Option<Duration>,
    room_max: usize,
    dead_letters: DeadLetters,
    stale: Option<Stale>,
    window: Window<M>,
    saves: Saves,
    phase: Phase,
    actions: VecDeque<Action>,
    stats: DeliveryStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Stopping,
    Stopped,
}

/// What is too old at the start.
#[derive(Clone, Copy, Debug)]
struct Stale {
    before: Timestamp,
    /// Last message that was there at the start. Later ones are new, whatever time they carry.
    through: u64,
    messages: u64,
    bytes: u64,
}

impl<M> Delivery<M> {
    /// A subscriber that has dealt with everything up to `position`, on a channel whose last message
    /// is `last` (0: none).
    #[must_use]
    pub fn new(
        options: &SubscribeOptions,
        dead_letters: DeadLetters,
        position: u64,
        last: u64,
        now: Now,
    ) -> Self {
        let stale = options.max_age.map(|age| Stale {
            before: now.wall.minus(age),
            through: last,
            messages: 0,
            bytes: 0,
        });
        Self {
            retry: options.retry,
            ack_wait: options.ack_wait,
            room_max: options.max_in_flight.get(),
            dead_letters,
            stale,
            window: Window::new(position),
            saves: Saves::default(),
            phase: Phase::Open,
            actions: VecDeque::new(),
            stats: DeliveryStats::default(),
        }
    }

    /// How many more messages may be handed in now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.is_held() { 0 } else { self.room_max.saturating_sub(self.window.len()) }
    }

    /// Everything up to here is dealt with.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.window.position()
    }

    /// Everything up to here was handed in; the log is to be read after it.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.window.newest()
    }

    /// What the counters show.
    #[must_use]
    pub const fn stats(&self) -> &DeliveryStats {
        &self.stats
    }

    /// Whether deliveries wait because positions cannot be saved.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.saves.paused()
    }

    /// The message with this sequence, while it is not dealt with. It is there for every action that
    /// names it.
    #[must_use]
    pub fn message(&self, seq: Seq) -> Option<&M> {
        self.window.get(seq.get()).and_then(|slot| slot.message.as_ref())
    }

    /// The oldest message that is not dealt with.
    #[must_use]
    pub fn oldest_pending(&self) -> Option<&M> {
        self.window.iter().find_map(|slot| slot.message.as_ref())
    }

    /// What to do next; ask until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest, on the monotonic clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.phase == Phase::Stopped {
            return None;
        }
        // What is held waits for an event, not for a time.
        let due = if self.is_held() { None } else { self.window.next_due() };
        [due, self.window.next_alarm(), self.saves.retry_at()].into_iter().flatten().min()
    }

    /// Takes in the next message of the log. One that was taken in before is ignored.
    ///
    /// # Panics
    /// Without [`Self::room`] for it: ignoring it would let the position pass it.
    pub fn handle_record(&mut self, record: Incoming<M>, now: Now) {
        let seq = record.seq.get();
        if self.phase != Phase::Open || seq <= self.newest() {
            return;
        }
        assert!(self.window.len() < self.room_max, "there is room for message {seq}");
        let stale = self.is_stale(seq, record.time, record.size_bytes);
        self.window.push(seq, (!stale).then_some(record.message));
        if stale {
            self.settle();
        } else if let Some(error) = record.undecodable {
            self.stats.decode_skipped += 1;
            self.notice(Notice::Undecodable { seq: record.seq, error: error.clone() });
            self.remember_error(seq, error, now);
            self.bury(seq, now);
        } else {
            self.hand_out(seq, now);
        }
    }

    /// Takes in that the log has nothing from `first` to `last`, and passes it.
    pub fn handle_gap(&mut self, first: u64, last: u64, why: Missing) {
        if self.phase != Phase::Open || last <= self.newest() {
            return;
        }
        let first = first.max(self.newest() + 1);
        match why {
            Missing::Damaged => self.stats.damaged_skipped += last - first + 1,
            Missing::Deleted => self.stats.compaction_drops += 1,
        }
        self.notice(Notice::Passed { first, last, why });
        self.window.push(last, None);
        self.settle();
    }

    /// Takes in what became of a message that was handed out.
    ///
    /// "Done" counts from any of its deliveries, for it is done; anything else counts only from the
    /// last one, as an earlier one has failed already by being too slow.
    pub fn handle_result(&mut self, token: Token, outcome: Outcome, now: Now) {
        let seq = token.seq.get();
        let Some(slot) = self.window.get(seq) else { return };
        let counts = match slot.state {
            State::Running { .. } => outcome == Outcome::Done || slot.deliveries == token.delivery,
            State::Due { .. } | State::Dying { .. } => outcome == Outcome::Done,
            // Too late to take a burial back; the message is then both done and a dead letter.
            State::Burying { .. } | State::Done => false,
        };
        if !counts || self.phase == Phase::Stopped {
            return;
        }
        match outcome {
            Outcome::Done => {
                self.stats.succeeded += 1;
                self.finish(seq);
            }
            Outcome::Failed { error, retry_in } => self.fail(seq, error, retry_in, now),
            Outcome::Panicked { message } => {
                self.stats.panics += 1;
                self.fail(seq, format!("handler panic: {message}"), None, now);
            }
            Outcome::RetryLater => self.retry_later(token.seq, now),
        }
        self.finish_stop();
    }

    /// Takes in that a message is still being worked on: its time to be answered begins anew.
    pub fn handle_progress(&mut self, token: Token, now: Now) {
        let Some(slot) = self.window.get(token.seq.get()) else { return };
        if slot.deliveries == token.delivery && matches!(slot.state, State::Running { .. }) {
            self.window.set_state(token.seq.get(), self.running(now));
        }
    }

    /// Takes in whether the dead letter of `seq` is durable. If not, it is written again.
    pub fn handle_dead_letter_written(&mut self, seq: Seq, result: Result<(), String>, now: Now) {
        let Some(slot) = self.window.get_mut(seq.get()) else { return };
        let State::Burying { failures } = slot.state else { return };
        if self.phase == Phase::Stopped {
            return;
        }
        match result {
            Ok(()) => {
                let attempts = slot.failures;
                let error = std::mem::take(&mut slot.last_error);
                self.stats.dead_letters += 1;
                self.notice(Notice::DeadLettered { seq, attempts, error });
                self.finish(seq.get());
            }
            Err(error) => {
                let failures = failures.saturating_add(1);
                let retry_in = DEAD_LETTER_RETRY.pause_after(failures);
                let at = now.since_start.saturating_add(retry_in);
                self.stats.dead_letter_failures += 1;
                self.notice(Notice::DeadLetterNotWritten { seq, error, retry_in });
                self.window.set_state(seq.get(), State::Dying { at, failures });
            }
        }
        self.finish_stop();
    }

    /// Takes in whether the last position could be saved.
    pub fn handle_position_saved(&mut self, result: Result<(), String>, now: Now) {
        if self.phase == Phase::Stopped {
            return;
        }
        match result {
            Ok(()) => {
                if self.saves.succeeded() {
                    self.notice(Notice::Resumed);
                    self.hand_out_due(now);
                }
            }
            Err(error) => {
                let was_paused = self.saves.paused();
                let in_a_row = self.saves.failed(now.since_start);
                self.stats.position_failures += 1;
                self.notice(Notice::PositionNotSaved { error, in_a_row });
                if self.saves.paused() && !was_paused {
                    self.notice(Notice::Paused);
                }
            }
        }
    }

    /// Takes in that there may be something new, which is also the moment to ask a handler again that
    /// wanted to be asked later.
    pub fn handle_wake(&mut self, why: Wake, now: Now) {
        match why {
            Wake::Notify => self.stats.wakes_by_notify += 1,
            Wake::Poll => self.stats.wakes_by_poll += 1,
        }
        let hurried: Vec<(u64, Duration)> = self
            .window
            .iter()
            .filter_map(|slot| match slot.state {
                State::Due { wake_at: Some(at), .. } => Some((slot.seq, at)),
                State::Due { wake_at: None, .. }
                | State::Running { .. }
                | State::Dying { .. }
                | State::Burying { .. }
                | State::Done => None,
            })
            .collect();
        for (seq, wake_at) in hurried {
            let at = wake_at.max(now.since_start);
            self.window.set_state(seq, State::Due { at, wake_at: None });
        }
        self.hand_out_due(now);
    }

    /// Takes in that the time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.phase == Phase::Stopped {
            return;
        }
        if self.saves.take_retry(now.since_start) {
            self.actions.push_back(Action::SavePosition { seq: self.position() });
        }
        while let Some((seq, state)) = self.window.first_alarm(now.since_start) {
            if let State::Dying { failures, .. } = state {
                self.write_dead_letter(seq, failures, now);
            } else {
                self.stats.ack_timeouts += 1;
                let wait = self.ack_wait.unwrap_or_default();
                self.fail(seq, format!("not acknowledged within {wait:?}"), None, now);
            }
        }
        self.hand_out_due(now);
        self.finish_stop();
    }

    /// Stops: nothing more is handed out or buried, what runs may end. A message that is waiting for
    /// its next attempt stays undelivered and comes again after the next start.
    pub fn handle_stop(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Stopping;
        }
        self.finish_stop();
    }

    /// Stops without waiting for what runs; that, too, comes again after the next start.
    pub fn handle_abandon(&mut self) {
        if self.phase != Phase::Stopped {
            let begins = |action: &Action| {
                matches!(action, Action::Invoke { .. } | Action::WriteDeadLetter { .. })
            };
            self.actions.retain(|action| !begins(action));
            self.stop_now();
        }
    }

    /// Whether nothing is handed out for now.
    fn is_held(&self) -> bool {
        self.phase != Phase::Open || self.saves.paused()
    }

    fn is_stale(&mut self, seq: u64, time: Timestamp, bytes: u64) -> bool {
        let Some(stale) = &mut self.stale else { return false };
        if seq <= stale.through && time < stale.before {
            stale.messages += 1;
            stale.bytes += bytes;
            self.stats.startup_skipped += 1;
            self.stats.startup_skipped_bytes += bytes;
            return true;
        }
        let (messages, bytes) = (stale.messages, stale.bytes);
        // The first message that is fresh ends the skipping for good.
        self.stale = None;
        if messages > 0 {
            self.notice(Notice::TooOldSkipped { messages, bytes });
        }
        false
    }

    /// Hands the message out now, or as soon as it may be.
    fn hand_out(&mut self, seq: u64, now: Now) {
        if self.is_held() {
            let due = State::Due { at: now.since_start, wake_at: None };
            return self.window.set_state(seq, due);
        }
        let running = self.running(now);
        self.window.set_state(seq, running);
        let slot = self.window.get_mut(seq).expect("it is in the window");
        slot.deliveries += 1;
        let attempt = slot.failures.saturating_add(1);
        let token = Token { seq: sequence(seq), delivery: slot.deliveries };
        self.stats.process_calls += 1;
        self.stats.dispatched += u64::from(token.delivery == 1);
        self.actions.push_back(Action::Invoke { token, attempt });
    }

    fn running(&self, now: Now) -> State {
        State::Running { until: self.ack_wait.map(|wait| now.since_start.saturating_add(wait)) }
    }

    fn hand_out_due(&mut self, now: Now) {
        while !self.is_held()
            && let Some(seq) = self.window.first_due(now.since_start)
        {
            self.hand_out(seq, now);
        }
    }

    fn retry_later(&mut self, seq: Seq, now: Now) {
        self.stats.retry_later_pauses += 1;
        self.notice(Notice::RetryLater { seq });
        let at = now.since_start.saturating_add(RETRY_LATER_MAX);
        let wake_at = Some(now.since_start.saturating_add(RETRY_LATER_MIN));
        self.window.set_state(seq.get(), State::Due { at, wake_at });
    }

    fn fail(&mut self, seq: u64, error: String, retry_in: Option<Duration>, now: Now) {
        self.stats.failed_attempts += 1;
        let slot = self.window.get_mut(seq).expect("only what is in the window fails");
        slot.failures = slot.failures.saturating_add(1);
        let attempt = slot.failures;
        self.remember_error(seq, error.clone(), now);
        if !self.retry.allows_another(attempt) {
            return self.bury(seq, now);
        }
        let retry_in = retry_in.unwrap_or_else(|| self.retry.pause_after(attempt));
        let at = now.since_start.saturating_add(retry_in);
        self.window.set_state(seq, State::Due { at, wake_at: None });
        self.notice(Notice::AttemptFailed { seq: sequence(seq), attempt, error, retry_in });
    }

    fn remember_error(&mut self, seq: u64, error: String, now: Now) {
        let slot = self.window.get_mut(seq).expect("only what is in the window fails");
        slot.last_error = error;
        slot.failed_at = now.wall;
    }

    fn bury(&mut self, seq: u64, now: Now) {
        if self.dead_letters == DeadLetters::Skip {
            let slot = self.window.get_mut(seq).expect("only what is in the window is buried");
            let (attempts, error) = (slot.failures, std::mem::take(&mut slot.last_error));
            self.stats.dead_letters_skipped += 1;
            self.notice(Notice::DeadLetterSkipped { seq: sequence(seq), attempts, error });
            return self.finish(seq);
        }
        self.write_dead_letter(seq, 0, now);
    }

    fn write_dead_letter(&mut self, seq: u64, failures: u32, now: Now) {
        if self.phase != Phase::Open {
            // Nothing new is begun while stopping; the message comes again after the next start.
            let due = State::Due { at: now.since_start, wake_at: None };
            return self.window.set_state(seq, due);
        }
        self.window.set_state(seq, State::Burying { failures });
        let slot = self.window.get(seq).expect("only what is in the window is buried");
        self.actions.push_back(Action::WriteDeadLetter {
            seq: sequence(seq),
            attempts: slot.failures,
            last_error: slot.last_error.clone(),
            failed_at: slot.failed_at,
        });
    }

    fn finish(&mut self, seq: u64) {
        self.window.set_state(seq, State::Done);
        self.settle();
    }

    fn settle(&mut self) {
        let Some(seq) = self.window.settle() else { return };
        // Of saves that nobody has seen yet the last one is enough.
        if let Some(Action::SavePosition { seq: unseen }) = self.actions.back_mut() {
            *unseen = seq;
        } else {
            self.actions.push_back(Action::SavePosition { seq });
        }
    }

    fn finish_stop(&mut self) {
        if self.phase == Phase::Stopping && !self.window.is_busy() {
            self.stop_now();
        }
    }

    fn stop_now(&mut self) {
        self.phase = Phase::Stopped;
        self.actions.push_back(Action::Stopped { position: self.position() });
    }

    fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }
}

fn sequence(seq: u64) -> Seq {
    Seq::new(seq).expect("messages in the window are beyond a position, so not 0")
}
