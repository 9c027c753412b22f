//! The task of one subscriber: feeds its delivery, does what it says, and sleeps until something happens.
//!
//! ```text
//!   loop:  actions ──▶ do them      until there are none
//!          feed ──▶ delivery        while there is room
//!          wait: stop · an answer · a publish · the time
//! ```

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use pubsub_messenger::{
    Action, DeadLetter, DeadLetters, Delivery, Incoming, Message, Outcome, Token, Wake, error_text,
};
use pubsub_types::{Seq, Timestamp};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, Sleep};

use super::burial::bury;
use super::feed::{Feed, Next};
use super::notices;
use super::queue::Verdict;
use super::set::{Place, Prepared, Shared};
use super::sink::{Kind, Sink};
use crate::clock;

/// Longest time without a look at the log, in case that a wake-up was lost; and time until a file that
/// could not be read is read again.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// What a future of this task came to.
enum Answer {
    Handled {
        token: Token,
        outcome: Outcome,
        took: Duration,
    },
    /// A newer handing-out replaced this one.
    Replaced,
    Buried(Seq, Result<(), String>),
}

/// Why the task woke up.
enum Event {
    Stop,
    Abandon,
    Answer(Answer),
    Verdict(Option<Verdict>),
    Published,
    Time,
}

/// One subscriber.
pub(super) struct Task {
    place: Place,
    shared: Arc<Shared>,
    delivery: Delivery<Message>,
    feed: Feed,
    sink: Kind,
    strict: bool,
    /// Handlers and burials at work.
    work: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// The handlers among them, to drop those that are too slow.
    handlers: BTreeMap<u64, (Token, AbortHandle)>,
    /// Last sequence of the log at the last wake-up.
    seen: u64,
    /// The log was read to its end.
    at_end: bool,
    next_poll: Duration,
    saved_at: Duration,
    lag: Lag,
    stopping: bool,
    stopped: bool,
}

/// Whether the lag is worth a warning, asked now and then.
#[derive(Default)]
struct Lag {
    asked_at: Duration,
    warned: bool,
}

impl Task {
    pub(super) fn new(prepared: Prepared, sink: Sink, shared: Arc<Shared>) -> Self {
        let Prepared { place, log, position, options } = prepared;
        let dead_letters =
            if log.name().is_dead_letter() { DeadLetters::Skip } else { DeadLetters::Write };
        let now = clock::both();
        let (seq, last) = (position.seq(), log.last_seq());
        Self {
            place,
            shared,
            delivery: Delivery::new(&options, dead_letters, seq, last, now),
            feed: Feed::new(log.reader(seq)),
            sink: sink.0,
            strict: options.strict,
            work: FuturesUnordered::new(),
            handlers: BTreeMap::new(),
            seen: 0,
            at_end: false,
            next_poll: now.since_start + POLL_EVERY,
            saved_at: Duration::ZERO,
            lag: Lag::default(),
            stopping: false,
            stopped: false,
        }
    }

    pub(super) async fn run(mut self) {
        let shared = self.shared.clone();
        let mut stop = pin!(shared.stop.cancelled());
        let mut abandon = pin!(shared.abandon.cancelled());
        let mut sleep = pin!(tokio::time::sleep(POLL_EVERY));
        loop {
            self.advance();
            if self.stopped {
                break;
            }
            self.arm(sleep.as_mut());
            let wants_more = self.at_end && self.delivery.room() > 0 || self.work.is_empty();
            let watch = shared.log.reader(self.seen);
            // Without this, a subscriber with a quick handler and much to read would starve the others
            // of its thread.
            tokio::task::consume_budget().await;
            let event = tokio::select! {
                biased;
                () = abandon.as_mut() => Event::Abandon,
                () = stop.as_mut(), if !self.stopping => Event::Stop,
                Some(answer) = self.work.next(), if !self.work.is_empty() => Event::Answer(answer),
                verdict = verdict(&mut self.sink) => Event::Verdict(verdict),
                () = watch.ready(), if wants_more && !self.stopping => Event::Published,
                () = sleep.as_mut() => Event::Time,
            };
            self.take(event);
        }
        self.finish().await;
    }

    /// Does all that can be done without waiting.
    fn advance(&mut self) {
        // Before the next message is begun: a handler that never waits would keep the word from us.
        if self.shared.stop.is_cancelled() && !self.stopping {
            self.take(Event::Stop);
        }
        loop {
            while let Some(action) = self.delivery.poll_action() {
                self.perform(action);
            }
            if self.stopped || self.delivery.room() == 0 || !self.feed_one() {
                break;
            }
        }
        let mut figures = self.shared.figures.lock();
        figures.delivery = *self.delivery.stats();
        figures.oldest_pending = self.delivery.oldest_pending().map(Message::timestamp);
    }

    /// Hands the next thing of the log to the delivery; whether there was any.
    fn feed_one(&mut self) -> bool {
        if self.at_end && self.shared.log.last_seq() == self.feed.given() {
            return false;
        }
        let now = clock::both();
        if self.feed.is_drained() {
            self.seen = self.shared.log.last_seq();
            self.warn_of_lag(now.since_start);
        }
        let next = self.feed.next(now.wall);
        self.at_end = !matches!(next, Ok(Next::Record(_) | Next::Gap(..)));
        match next {
            Ok(Next::End) => false,
            Ok(Next::Gap(first, last, why)) => {
                self.delivery.handle_gap(first, last, why);
                true
            }
            Ok(Next::Record(record)) => {
                let (time, size) = (record.time, record.content_bytes() as u64);
                let seq = Seq::new(record.seq).unwrap_or(Seq::FIRST);
                let types = self.place.types().current();
                let (message, decoded) =
                    Message::receive(self.shared.log.name(), record, &types, self.strict);
                let undecodable = decoded.err().map(|error| error_text(&error));
                self.delivery.handle_record(
                    Incoming { seq, time, size_bytes: size, undecodable, message },
                    now,
                );
                true
            }
            Err(error) => {
                let (channel, id) = (self.shared.log.name(), self.shared.position.id());
                let error = error_text(&error);
                tracing::error!(%channel, subscriber = %id, error, "channel could not be read; it is tried again");
                // Not at once: the log has more, and that would only spin.
                self.seen = u64::MAX;
                false
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Invoke { token, attempt } => self.invoke(token, attempt),
            Action::WriteDeadLetter { seq, attempts, last_error, failed_at } => {
                self.bury(seq, attempts, last_error, failed_at);
            }
            Action::SavePosition { seq } => self.save(seq),
            Action::Notice(notice) => {
                notices::log(self.shared.log.name(), self.shared.position.id(), &notice);
            }
            Action::Stopped { position } => {
                self.shared.position.set(position);
                self.stopped = true;
            }
        }
    }

    fn invoke(&mut self, token: Token, attempt: u32) {
        let message =
            self.delivery.message(token.seq).expect("what is handed out is in the window");
        let message = message.clone().with_attempt(attempt);
        let started = clock::both();
        if token.delivery == 1 {
            let waited = started.wall.since(message.timestamp());
            self.shared.figures.lock().consume.observe(waited, started.since_start);
        }
        match &self.sink {
            Kind::Queue(queue, _) => queue.push(token, message),
            Kind::Handler(handler) => {
                let handler = handler.clone();
                let (abort, registration) = AbortHandle::new_pair();
                // Called inside, so that a panic before its first await is caught too.
                let attempt = async move { handler(message).await };
                let caught = AssertUnwindSafe(attempt).catch_unwind();
                self.work.push(Box::pin(async move {
                    let Ok(result) = Abortable::new(caught, registration).await else {
                        return Answer::Replaced;
                    };
                    let outcome = result
                        .unwrap_or_else(|panic| Outcome::Panicked { message: panic_text(&*panic) });
                    let took = clock::since_start().saturating_sub(started.since_start);
                    Answer::Handled { token, outcome, took }
                }));
                if let Some((_, slow)) = self.handlers.insert(token.seq.get(), (token, abort)) {
                    slow.abort();
                }
            }
        }
    }

    fn bury(&mut self, seq: Seq, attempts: u32, last_error: String, failed_at: Timestamp) {
        let log = &self.shared.log;
        let message = self.delivery.message(seq).expect("what is buried is in the window");
        let original = message.record().clone();
        let letter = DeadLetter::new(log.name().clone(), original, attempts, last_error, failed_at);
        let Some(letters) = log.name().dead_letter() else { return };
        let node = self.place.node().clone();
        self.work.push(Box::pin(async move {
            let written = AssertUnwindSafe(bury(node, letters, letter)).catch_unwind().await;
            let panicked = |panic: Box<dyn std::any::Any + Send>| Err(panic_text(&*panic));
            Answer::Buried(seq, written.unwrap_or_else(panicked))
        }));
    }

    fn save(&mut self, seq: u64) {
        let position = &self.shared.position;
        position.set(seq);
        let now = clock::both();
        let interval = self.place.settings().offset_flush_interval;
        // What is not written here is written by the store's clock.
        let is_due = now.since_start.saturating_sub(self.saved_at) >= interval;
        let result = if is_due { position.write() } else { Ok(()) };
        if is_due {
            self.saved_at = now.since_start;
        }
        self.delivery.handle_position_saved(result.map_err(|error| error_text(&error)), now);
    }

    /// Sets the alarm to when something is due, unless it rings early enough already.
    fn arm(&self, mut sleep: Pin<&mut Sleep>) {
        let due = self.delivery.poll_timeout().map_or(self.next_poll, |at| at.min(self.next_poll));
        let wait = due.saturating_sub(clock::since_start());
        let at = Instant::now() + wait;
        if sleep.is_elapsed() || at < sleep.deadline() {
            sleep.as_mut().reset(at);
        }
    }

    fn take(&mut self, event: Event) {
        let now = clock::both();
        match event {
            Event::Answer(Answer::Handled { token, outcome, took }) => {
                let seq = token.seq.get();
                if self.handlers.get(&seq).is_some_and(|(latest, _)| *latest == token) {
                    self.handlers.remove(&seq);
                }
                self.shared.figures.lock().handler.observe(took, now.since_start);
                self.delivery.handle_result(token, outcome, now);
            }
            Event::Answer(Answer::Replaced) => (),
            Event::Answer(Answer::Buried(seq, result)) => {
                self.delivery.handle_dead_letter_written(seq, result, now);
            }
            Event::Verdict(Some(Verdict::Outcome(token, outcome))) => {
                self.delivery.handle_result(token, outcome, now);
            }
            Event::Verdict(Some(Verdict::Taken(token) | Verdict::Progress(token))) => {
                self.delivery.handle_progress(token, now);
            }
            Event::Verdict(None) => {
                self.stopping = true;
                self.delivery.handle_abandon();
            }
            Event::Published => {
                self.seen = self.shared.log.last_seq();
                self.delivery.handle_wake(Wake::Notify, now);
            }
            Event::Time => self.take_time(),
            // Messages that were taken may still be acknowledged.
            Event::Stop | Event::Verdict(Some(Verdict::Gone)) => {
                self.stopping = true;
                self.stop();
            }
            Event::Abandon => self.delivery.handle_abandon(),
        }
    }

    fn take_time(&mut self) {
        let now = clock::both();
        if let Kind::Queue(queue, _) = &self.sink {
            // What nobody has taken yet, nobody is slow with.
            for token in queue.tokens() {
                self.delivery.handle_progress(token, now);
            }
        }
        self.delivery.handle_timeout(now);
        if now.since_start >= self.next_poll {
            self.next_poll = now.since_start + POLL_EVERY;
            self.at_end = false;
            self.warn_of_lag(now.since_start);
            self.delivery.handle_wake(Wake::Poll, now);
        }
    }

    fn stop(&mut self) {
        self.delivery.handle_stop();
        if let Kind::Queue(queue, _) = &self.sink {
            // What nobody has taken yet is not worth waiting for; what somebody holds is.
            let untaken = queue.tokens();
            queue.end();
            for token in untaken {
                self.delivery.handle_result(token, Outcome::RetryLater, clock::both());
            }
        }
    }

    fn warn_of_lag(&mut self, now: Duration) {
        let limit = self.place.settings().lag_warning_bytes;
        if limit == 0 || now.saturating_sub(self.lag.asked_at) < POLL_EVERY {
            return;
        }
        self.lag.asked_at = now;
        let Shared { position, log, .. } = &*self.shared;
        let lag_bytes = log.bytes_after(position.seq());
        let (channel, id) = (log.name(), position.id());
        if lag_bytes > limit && !self.lag.warned {
            let limit_bytes = limit;
            tracing::warn!(%channel, subscriber = %id, lag_bytes, limit_bytes, "subscriber is lagging behind");
            self.lag.warned = true;
        } else if lag_bytes <= limit && self.lag.warned {
            tracing::info!(%channel, subscriber = %id, lag_bytes, "subscriber has caught up");
            self.lag.warned = false;
        }
    }

    /// Writes and syncs the position, and gives the place free.
    async fn finish(self) {
        let Self { place, shared, sink, work, .. } = self;
        drop(work);
        if let Kind::Queue(queue, _) = &sink {
            queue.end();
        }
        let released = spawn_blocking(move || {
            let released = place.node().store().release(&shared.position);
            if let Err(error) = released {
                let (channel, id) = (shared.position.channel(), shared.position.id());
                tracing::error!(%channel, subscriber = %id, %error, "position was not saved at the end; messages may be repeated");
            }
            drop(place);
        });
        if released.await.is_err() {
            tracing::error!("saving a position panicked");
        }
    }
}

/// The next word of a stream's reader; never, where there is a handler.
async fn verdict(sink: &mut Kind) -> Option<Verdict> {
    match sink {
        Kind::Queue(_, verdicts) => verdicts.recv().await,
        Kind::Handler(_) => std::future::pending().await,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is not text").to_owned()
}
