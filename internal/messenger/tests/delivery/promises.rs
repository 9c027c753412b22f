//! A handler that takes one message at a time.

use std::time::Duration;

use pubsub_messenger::{
    DeadLetters, Missing, Notice, Outcome, RETRY_LATER_MAX, RETRY_LATER_MIN, SubscribeOptions, Wake,
};

use crate::shell::{MORNING, Shell, failed, seq};

const HOUR: Duration = Duration::from_secs(3_600);

fn handler() -> SubscribeOptions {
    SubscribeOptions::default()
}

/// Lets every attempt fail until none is left; gives the number of attempts.
fn fail_for_good(shell: &mut Shell) -> usize {
    let before = shell.invoked.len();
    shell.answer(failed("boom"));
    while shell.letters.is_empty() {
        shell.advance_to_timeout();
        shell.answer(failed("boom"));
    }
    shell.invoked.len() - before + 1
}

#[test]
fn messages_are_handed_out_in_order_one_at_a_time() {
    let mut shell = Shell::new(&handler());
    for number in 1..=3 {
        assert_eq!(shell.delivery.room(), 1);
        shell.feed(number);
        assert_eq!(shell.delivery.room(), 0, "nothing more while the handler is at work");
        shell.answer(Outcome::Done);
    }
    assert_eq!(shell.invoked, [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(shell.saves, [1, 2, 3]);
}

#[test]
fn a_restart_replays_nothing_that_was_saved() {
    let mut shell = Shell::at(&handler(), DeadLetters::Write, 7, 9);
    assert_eq!(shell.delivery.newest(), 7);
    shell.feed(7);
    assert!(shell.invoked.is_empty());
    shell.feed(8);
    assert_eq!(shell.invoked, [(8, 1)]);
}

#[test]
fn deleted_messages_leave_no_trace_in_the_position() {
    let mut shell = Shell::new(&handler());
    shell.feed(5);
    shell.answer(Outcome::Done);
    shell.feed(9);
    assert_eq!(shell.delivery.position(), 5);
    shell.answer(Outcome::Done);
    assert_eq!(shell.saves, [5, 9]);
}

#[test]
fn a_handler_that_fails_all_but_once_is_called_once_more_and_leaves_no_dead_letter() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    for _ in 0..5 {
        shell.answer(failed("boom"));
        shell.advance_to_timeout();
    }
    shell.answer(Outcome::Done);
    assert_eq!(
        shell.invoked.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert!(shell.letters.is_empty());
    assert_eq!(shell.saves, [1]);
}

#[test]
fn a_handler_that_always_fails_is_called_one_time_more_than_it_is_retried_then_buried_once() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    assert_eq!(fail_for_good(&mut shell), 6);
    assert_eq!(shell.letters, [(1, 6, "boom".into())]);
    shell.letter_written(1, Ok(()));
    assert_eq!(shell.saves, [1]);
    shell.feed(2);
    assert_eq!(shell.invoked.last(), Some(&(2, 1)), "the next message still comes");
    assert_eq!(shell.delivery.stats().dead_letters, 1);
    assert_eq!(shell.delivery.stats().failed_attempts, 6);
}

#[test]
fn zero_retries_mean_one_call() {
    let mut shell = Shell::new(&handler().max_retries(0));
    shell.feed(1);
    assert_eq!(fail_for_good(&mut shell), 1);
}

#[test]
fn pauses_between_attempts_are_at_least_the_back_off() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    for pause_ms in [100, 200, 400, 800, 1_600] {
        shell.answer(failed("boom"));
        let calls = shell.invoked.len();
        shell.advance(Duration::from_millis(pause_ms) - Duration::from_nanos(1));
        assert_eq!(shell.invoked.len(), calls, "not a nanosecond early");
        assert_eq!(shell.advance_to_timeout(), Duration::from_nanos(1));
        assert_eq!(shell.invoked.len(), calls + 1);
    }
}

#[test]
fn a_step_of_the_wall_clock_neither_hurries_nor_delays_a_retry() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    shell.answer(failed("boom"));
    let until = shell.delivery.poll_timeout().unwrap();
    for wall in [MORNING.minus(HOUR), MORNING.plus(HOUR)] {
        shell.now.wall = wall;
        shell.advance(Duration::ZERO);
        assert_eq!(shell.delivery.poll_timeout(), Some(until));
        assert_eq!(shell.invoked.len(), 1);
    }
    assert_eq!(shell.advance_to_timeout(), Duration::from_millis(100));
    assert_eq!(shell.invoked.len(), 2);
}

#[test]
fn the_position_advances_only_when_the_dead_letter_is_durable() {
    let mut shell = Shell::new(&handler().max_retries(0));
    shell.feed(1);
    shell.answer(failed("boom"));
    for failures in 1..=20 {
        assert_eq!(shell.letters.len(), failures);
        shell.letter_written(1, Err("disk full"));
        assert!(shell.saves.is_empty(), "the message is not skipped");
        assert_eq!(shell.delivery.room(), 0);
        let pause = shell.advance_to_timeout();
        assert!(pause >= Duration::from_millis(100) && pause <= Duration::from_secs(5));
    }
    shell.letter_written(1, Ok(()));
    assert_eq!(shell.saves, [1]);
    assert_eq!(shell.delivery.stats().dead_letter_failures, 20);
    assert_eq!(shell.invoked, [(1, 1)], "the handler is not called again for it");
}

#[test]
fn stopping_during_a_back_off_leaves_the_message_for_the_next_start() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    shell.answer(failed("boom"));
    shell.stop();
    assert_eq!(shell.stopped, Some(0));
    assert_eq!(shell.delivery.poll_timeout(), None);
    shell.now.since_start += HOUR;
    shell.advance(HOUR);
    shell.feed(2);
    assert_eq!((shell.invoked, shell.saves), (vec![(1, 1)], vec![]));
}

#[test]
fn stopping_while_a_handler_runs_waits_for_it_and_saves_only_what_succeeded() {
    for (outcome, position) in [(Outcome::Done, 1), (failed("boom"), 0), (Outcome::RetryLater, 0)] {
        let mut shell = Shell::new(&handler());
        shell.feed(1);
        shell.stop();
        assert_eq!((shell.stopped, shell.delivery.room()), (None, 0));
        shell.answer(outcome);
        assert_eq!(shell.stopped, Some(position));
        assert_eq!(shell.saves.last().copied().unwrap_or(0), position);
    }
}

#[test]
fn a_message_whose_last_attempt_fails_during_a_stop_comes_again_after_the_start() {
    let mut shell = Shell::new(&handler().max_retries(0));
    shell.feed(1);
    shell.stop();
    shell.answer(failed("boom"));
    assert_eq!((shell.stopped, shell.letters.len()), (Some(0), 0));
}

#[test]
fn stopping_waits_for_a_dead_letter_that_is_being_written() {
    for (result, position) in [(Ok(()), 1), (Err("disk full"), 0)] {
        let mut shell = Shell::new(&handler().max_retries(0));
        shell.feed(1);
        shell.answer(failed("boom"));
        shell.stop();
        assert_eq!(shell.stopped, None);
        shell.letter_written(1, result);
        assert_eq!(shell.stopped, Some(position));
    }
}

#[test]
fn an_abandoned_handler_moves_nothing_whatever_it_says_later() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    let token = shell.tokens[0];
    shell.delivery.handle_abandon();
    shell.pump();
    assert_eq!(shell.stopped, Some(0));
    shell.answer_to(token, Outcome::Done);
    assert!(shell.saves.is_empty());
}

#[test]
fn abandoning_takes_back_what_nobody_has_begun() {
    let mut shell = Shell::new(&handler().max_retries(0));
    shell.feed(1);
    let token = shell.tokens[0];
    shell.delivery.handle_result(token, failed("boom"), shell.now);
    shell.delivery.handle_abandon();
    shell.pump();
    assert_eq!((shell.letters.len(), shell.stopped), (0, Some(0)));
}

#[test]
fn a_dead_letter_says_when_the_last_attempt_failed_and_not_when_it_was_written() {
    let mut shell = Shell::new(&handler().max_retries(0));
    shell.feed(1);
    let failed_at = shell.now.wall;
    shell.answer(failed("boom"));
    shell.letter_written(1, Err("disk full"));
    shell.advance_to_timeout();
    assert_eq!(shell.failed_at, [failed_at, failed_at]);
    shell.letter_written(1, Ok(()));
    let buried = Notice::DeadLettered { seq: seq(1), attempts: 1, error: "boom".into() };
    assert!(shell.notices.contains(&buried));
}

#[test]
fn a_message_is_counted_once_as_dispatched_however_often_it_is_handed_out() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    shell.answer(failed("boom"));
    shell.advance_to_timeout();
    let stats = shell.delivery.stats();
    assert_eq!((stats.dispatched, stats.process_calls), (1, 2));
}

#[test]
fn retry_later_keeps_the_position_is_not_counted_and_comes_again_within_a_second() {
    let mut shell = Shell::new(&handler().max_retries(0));
    shell.feed(1);
    for _ in 0..50 {
        shell.answer(Outcome::RetryLater);
        assert!(shell.saves.is_empty());
        assert_eq!(shell.advance_to_timeout(), RETRY_LATER_MAX);
    }
    assert_eq!(shell.delivery.stats().retry_later_pauses, 50);
    assert!(shell.letters.is_empty());
    assert!(shell.invoked.iter().all(|(_, attempt)| *attempt == 1));
    shell.answer(Outcome::Done);
    assert_eq!(shell.saves, [1]);
}

#[test]
fn retry_later_comes_again_with_the_next_notification_but_not_at_once() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    shell.answer(Outcome::RetryLater);
    shell.delivery.handle_wake(Wake::Notify, shell.now);
    shell.pump();
    assert_eq!(shell.invoked.len(), 1, "a busy channel does not make the handler spin");
    assert_eq!(shell.advance_to_timeout(), RETRY_LATER_MIN);
    assert_eq!(shell.invoked.len(), 2);

    shell.answer(Outcome::RetryLater);
    shell.advance(RETRY_LATER_MIN);
    assert_eq!(shell.invoked.len(), 2, "nothing was published");
    shell.delivery.handle_wake(Wake::Poll, shell.now);
    shell.pump();
    assert_eq!(shell.invoked.len(), 3);
    let stats = shell.delivery.stats();
    assert_eq!((stats.wakes_by_notify, stats.wakes_by_poll), (1, 1));
}

#[test]
fn failures_before_a_retry_later_still_count() {
    let mut shell = Shell::new(&handler().max_retries(1));
    shell.feed(1);
    shell.answer(failed("first"));
    shell.advance_to_timeout();
    shell.answer(Outcome::RetryLater);
    shell.advance_to_timeout();
    shell.answer(failed("second"));
    assert_eq!(shell.letters, [(1, 2, "second".into())]);
}

#[test]
fn a_panic_is_a_failure_and_the_subscriber_survives_it() {
    let mut shell = Shell::new(&handler().max_retries(0));
    shell.feed(1);
    shell.answer(Outcome::Panicked { message: "index out of bounds".into() });
    assert_eq!(shell.letters, [(1, 1, "handler panic: index out of bounds".into())]);
    shell.letter_written(1, Ok(()));
    shell.feed(2);
    assert_eq!(shell.invoked.last(), Some(&(2, 1)));
    assert_eq!(shell.delivery.stats().panics, 1);
}

#[test]
fn a_payload_that_does_not_decode_is_buried_without_calling_the_handler() {
    let mut shell = Shell::new(&handler());
    shell.feed_undecodable(1);
    assert_eq!(shell.letters, [(1, 0, "decode payload".into())]);
    assert!(shell.invoked.is_empty() && shell.saves.is_empty());
    shell.letter_written(1, Ok(()));
    assert_eq!((shell.saves.as_slice(), shell.delivery.stats().decode_skipped), (&[1][..], 1));
}

#[test]
fn a_failure_on_a_dead_letter_channel_is_passed_over_and_said() {
    let mut shell = Shell::at(&handler().max_retries(0), DeadLetters::Skip, 0, 0);
    shell.feed(1);
    shell.answer(failed("boom"));
    shell.feed_undecodable(2);
    assert!(shell.letters.is_empty(), "there is no second burial");
    assert_eq!(shell.saves, [1, 2]);
    let stats = shell.delivery.stats();
    assert_eq!((stats.dead_letters_skipped, stats.decode_skipped), (2, 1));
    let skipped = Notice::DeadLetterSkipped { seq: seq(1), attempts: 1, error: "boom".into() };
    assert!(shell.notices.contains(&skipped));
}

#[test]
fn old_messages_are_skipped_at_the_start_up_to_the_first_fresh_one() {
    let mut shell = Shell::at(&handler().max_age(HOUR), DeadLetters::Write, 0, 5);
    for number in 1..=3 {
        shell.feed_aged(number, HOUR * 2);
    }
    assert!(shell.invoked.is_empty());
    assert_eq!(shell.delivery.position(), 3);
    shell.feed_aged(4, HOUR);
    shell.answer(Outcome::Done);
    shell.feed_aged(5, HOUR * 2);
    assert_eq!(shell.invoked, [(4, 1), (5, 1)], "after a fresh one, age does not matter");
    let stats = shell.delivery.stats();
    assert_eq!((stats.startup_skipped, stats.startup_skipped_bytes), (3, 30));
    assert!(shell.notices.contains(&Notice::TooOldSkipped { messages: 3, bytes: 30 }));
}

#[test]
fn what_is_published_after_the_start_is_never_too_old() {
    let mut shell = Shell::at(&handler().max_age(HOUR), DeadLetters::Write, 0, 1);
    shell.feed_aged(1, HOUR * 2);
    shell.feed_aged(2, HOUR * 2);
    assert_eq!(shell.invoked, [(2, 1)]);
}

#[test]
fn missing_messages_are_counted_said_and_passed() {
    let mut shell = Shell::new(&handler());
    shell.gap(1, 4, Missing::Damaged);
    shell.gap(3, 9, Missing::Deleted);
    shell.gap(8, 9, Missing::Damaged);
    shell.feed(10);
    assert_eq!((shell.saves.as_slice(), &shell.invoked[..]), (&[4, 9][..], &[(10, 1)][..]));
    let stats = shell.delivery.stats();
    assert_eq!((stats.damaged_skipped, stats.compaction_drops), (4, 1));
    let passed = |first, last, why| Notice::Passed { first, last, why };
    assert_eq!(shell.notices, [passed(1, 4, Missing::Damaged), passed(5, 9, Missing::Deleted)]);
}

#[test]
fn deliveries_pause_after_three_failed_saves_until_one_succeeds() {
    let mut shell = Shell::new(&handler());
    for number in 1..=3 {
        shell.feed(number);
        shell.answer(Outcome::Done);
        assert!(!shell.delivery.is_paused());
        shell.saved(Err("disk full"));
    }
    assert!(shell.delivery.is_paused());
    assert_eq!(shell.delivery.room(), 0);
    for _ in 0..4 {
        assert_eq!(shell.advance_to_timeout(), Duration::from_secs(1));
        assert_eq!(shell.saves.last(), Some(&3), "the probe saves the position");
        shell.saved(Err("disk full"));
    }
    assert_eq!(shell.saves, [1, 2, 3, 3, 3, 3, 3]);
    shell.advance_to_timeout();
    shell.saved(Ok(()));
    assert!(shell.notices.contains(&Notice::Paused) && shell.notices.contains(&Notice::Resumed));
    shell.feed(4);
    assert_eq!(shell.invoked.last(), Some(&(4, 1)));
}

#[test]
fn a_retry_that_falls_due_during_a_pause_waits_for_its_end() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    shell.answer(failed("boom"));
    for _ in 0..3 {
        shell.saved(Err("disk full"));
    }
    shell.advance(Duration::from_secs(10));
    assert_eq!(shell.invoked.len(), 1);
    let past = shell.delivery.poll_timeout().is_some_and(|at| at <= shell.now.since_start);
    assert!(!past, "no busy waiting");
    shell.saved(Ok(()));
    assert_eq!(shell.invoked, [(1, 1), (1, 2)]);
}

#[test]
fn a_message_handed_in_during_a_pause_waits_for_its_end() {
    let mut shell = Shell::new(&handler());
    for _ in 0..3 {
        shell.saved(Err("disk full"));
    }
    shell.feed(1);
    assert!(shell.invoked.is_empty());
    shell.saved(Ok(()));
    assert_eq!(shell.invoked, [(1, 1)]);
}

#[test]
fn a_single_failed_save_is_repeated_though_no_message_follows() {
    let mut shell = Shell::new(&handler());
    shell.feed(1);
    shell.answer(Outcome::Done);
    shell.saved(Err("disk full"));
    assert_eq!(shell.advance_to_timeout(), Duration::from_secs(1));
    assert_eq!(shell.saves, [1, 1]);
    shell.saved(Ok(()));
    assert_eq!(shell.delivery.poll_timeout(), None);
}
