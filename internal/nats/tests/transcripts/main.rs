//! The session says what nats-server says: conversations with 2.15.1, recorded by `examples/record.rs`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first error")]

mod script;
mod world;

use script::{Case, escape_lines, parse, unescape};
use world::World;

/// Replays every case of a file, in one piece and in small ones.
fn replay(text: &str, world: impl Fn() -> World) {
    let wrong: Vec<String> = parse(text)
        .iter()
        .flat_map(|case| [usize::MAX, 7, 1].map(|piece_max| replay_case(case, piece_max, world())))
        .flatten()
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

/// What ours says otherwise than it is written.
fn replay_case(case: &Case, piece_max: usize, mut world: World) -> Option<String> {
    let mut wrong = String::new();
    let mut got = world.greeting();
    for step in &case.steps {
        let sent = unescape(&step.sent);
        if !sent.is_empty() {
            got.clear();
        }
        // A megabyte is not sent byte by byte.
        for piece in sent.chunks(piece_max.max(sent.len() / 1000).max(1)) {
            got.extend(world.send(piece));
        }
        let (answer, expected) = (escape_lines(&got), step.ours.as_ref().unwrap_or(&step.got));
        if answer != *expected {
            wrong += &format!("> {}\nexpected {expected:#?}\ngot {answer:#?}\n", step.sent);
        }
    }
    let expected = match &case.ours_closed {
        Some(ours) if ours == "open" => None,
        Some(ours) => Some(ours.as_str()),
        None => case.closed.as_deref(),
    };
    if world.closed() != expected {
        wrong += &format!("expected end {expected:?}, got {:?}\n", world.closed());
    }
    (!wrong.is_empty())
        .then(|| format!("\n## {}, at most {piece_max} bytes at a time\n{wrong}", case.name))
}

/// Whatever is said of ours is said because it differs.
fn differences(text: &str) -> usize {
    let mut count = 0;
    for case in parse(text) {
        let differs = case.steps.iter().filter(|step| step.ours.is_some()).count();
        for step in &case.steps {
            assert_ne!(step.ours.as_ref(), Some(&step.got), "{}", case.name);
        }
        let reason = case.ours_closed.as_deref().filter(|reason| *reason != "open");
        if case.ours_closed.is_some() {
            assert_ne!(reason, case.closed.as_deref(), "{}", case.name);
        }
        if differs != 0 || case.ours_closed.is_some() {
            assert!(!case.comments.is_empty(), "{}: nobody says why ours differs", case.name);
            count += 1;
        }
    }
    count
}

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../testdata/", $name, ".txt"))
    };
}

#[test]
fn server_where_nobody_must_say_who_he_is() {
    replay(recorded!("open"), World::open);
}

/// Made by chance from operations that are right, wrong and nearly right.
#[test]
fn server_that_is_told_this_and_that() {
    replay(recorded!("random"), World::open);
}

#[test]
fn server_with_users_and_limits() {
    replay(recorded!("users"), World::users);
}

#[test]
fn server_with_a_default_user() {
    replay(recorded!("default-user"), World::default_user);
}

#[test]
fn server_without_headers() {
    replay(recorded!("no-headers"), World::no_headers);
}

#[test]
fn differences_are_few_and_each_has_its_reason() {
    let files = [
        recorded!("open"),
        recorded!("random"),
        recorded!("users"),
        recorded!("default-user"),
        recorded!("no-headers"),
    ];
    assert_eq!(files.map(differences), [12, 0, 1, 0, 0]);
}
