//! A stream whose reader has several messages in hand and acknowledges them in any order.

use std::time::Duration;

use pubsub_messenger::{DeadLetters, Missing, Outcome, SubscribeOptions};

use crate::shell::{Shell, failed};

const WAIT: Duration = Duration::from_secs(30);

fn stream() -> SubscribeOptions {
    SubscribeOptions::stream().max_in_flight(4)
}

fn fed(numbers: impl IntoIterator<Item = u64>) -> Shell {
    let mut shell = Shell::new(&stream());
    for number in numbers {
        shell.feed(number);
    }
    shell
}

#[test]
fn acknowledged_out_of_order_the_position_is_below_the_oldest_unacknowledged() {
    let mut shell = fed(1..=4);
    for (number, position) in [(2, 0), (4, 0), (1, 2), (3, 4)] {
        let token = shell.tokens[number - 1];
        shell.answer_to(token, Outcome::Done);
        assert_eq!(shell.delivery.position(), position);
    }
    assert_eq!(shell.saves, [2, 4]);
}

#[test]
fn a_reader_that_never_acknowledges_is_owed_one_window_and_no_more() {
    let mut shell = fed(1..=4);
    assert_eq!(shell.delivery.room(), 0);
    let second = shell.tokens[1];
    shell.answer_to(second, Outcome::Done);
    assert_eq!(shell.delivery.room(), 0, "a restart would repeat more than the window");
    let first = shell.tokens[0];
    shell.answer_to(first, Outcome::Done);
    assert_eq!(shell.delivery.room(), 2);
}

#[test]
fn a_refused_message_comes_again_after_the_delay_it_was_refused_with() {
    let mut shell = fed(1..=2);
    let retry_in = Some(Duration::from_secs(7));
    let first = shell.tokens[0];
    shell.answer_to(first, Outcome::Failed { error: "busy".into(), retry_in });
    assert_eq!(shell.advance_to_timeout(), Duration::from_secs(7));
    assert_eq!(shell.invoked, [(1, 1), (2, 1), (1, 2)]);
}

#[test]
fn what_is_not_answered_in_time_counts_as_failed_and_comes_again() {
    let mut shell = fed(1..=1);
    assert_eq!(shell.advance_to_timeout(), WAIT);
    assert_eq!(shell.delivery.stats().ack_timeouts, 1);
    shell.advance_to_timeout();
    assert_eq!(shell.invoked, [(1, 1), (1, 2)]);
    while shell.letters.is_empty() {
        shell.advance_to_timeout();
    }
    assert_eq!(shell.invoked.len(), 6);
    assert_eq!(shell.letters, [(1, 6, "not acknowledged within 30s".into())]);
}

#[test]
fn progress_gives_the_reader_its_time_anew() {
    let mut shell = fed(1..=1);
    shell.advance(WAIT / 2);
    shell.delivery.handle_progress(shell.tokens[0], shell.now);
    assert_eq!(shell.advance_to_timeout(), WAIT);
}

#[test]
fn an_acknowledgement_that_comes_late_still_counts() {
    let mut shell = fed(1..=1);
    shell.advance_to_timeout();
    let first = shell.tokens[0];
    shell.answer_to(first, Outcome::Done);
    assert_eq!((shell.saves.as_slice(), shell.delivery.poll_timeout()), (&[1][..], None));
}

#[test]
fn a_refusal_that_comes_late_does_not_count_against_the_new_delivery() {
    let mut shell = fed(1..=1);
    shell.advance_to_timeout();
    shell.advance_to_timeout();
    let (first, second) = (shell.tokens[0], shell.tokens[1]);
    shell.answer_to(first, failed("late"));
    assert_eq!(shell.delivery.stats().failed_attempts, 1, "the time-out only");
    shell.answer_to(second, Outcome::Done);
    assert_eq!(shell.saves, [1]);
}

#[test]
fn an_answer_given_twice_counts_once() {
    let mut shell = fed(1..=2);
    let first = shell.tokens[0];
    for _ in 0..2 {
        shell.answer_to(first, Outcome::Done);
    }
    shell.answer_to(first, failed("changed my mind"));
    assert_eq!((shell.delivery.stats().succeeded, shell.delivery.position()), (1, 1));
}

#[test]
fn a_message_under_burial_holds_the_position_and_not_the_others() {
    let mut shell = Shell::at(&stream().max_retries(0), DeadLetters::Write, 0, 0);
    for number in 1..=3 {
        shell.feed(number);
    }
    let tokens = shell.tokens.clone();
    shell.answer_to(tokens[0], failed("boom"));
    shell.answer_to(tokens[1], Outcome::Done);
    shell.letter_written(1, Err("disk full"));
    assert_eq!(shell.delivery.position(), 0);
    shell.advance_to_timeout();
    shell.letter_written(1, Ok(()));
    assert_eq!((shell.delivery.position(), shell.saves.as_slice()), (2, &[2][..]));
}

#[test]
fn a_gap_behind_an_unacknowledged_message_is_passed_with_it() {
    let mut shell = fed(1..=1);
    shell.gap(2, 5, Missing::Damaged);
    assert_eq!(shell.delivery.position(), 0);
    shell.answer(Outcome::Done);
    assert_eq!(shell.delivery.position(), 5);
}

#[test]
fn stopping_waits_for_every_reader_that_still_holds_a_message() {
    let mut shell = fed(1..=3);
    let tokens = shell.tokens.clone();
    shell.stop();
    shell.answer_to(tokens[0], Outcome::Done);
    shell.answer_to(tokens[2], Outcome::Done);
    assert_eq!(shell.stopped, None);
    shell.answer_to(tokens[1], failed("boom"));
    assert_eq!((shell.stopped, shell.saves.as_slice()), (Some(1), &[1][..]));
}

#[test]
fn the_oldest_message_that_waits_is_known() {
    let mut shell = fed(1..=3);
    let first = shell.tokens[0];
    assert_eq!(shell.delivery.oldest_pending(), Some(&1));
    shell.answer_to(first, Outcome::Done);
    assert_eq!(shell.delivery.oldest_pending(), Some(&2));
}
