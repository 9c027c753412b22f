//! Reading a log while it grows, rotates and suffers.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "what fails here fails the test, and damage is done behind the program's back"
)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pubsub_audit::{AuditLog, DIRECTORY, Event, Filter, Found, Limits, Peer, Reader};
use pubsub_disk::FileDisk;
use tempfile::TempDir;

struct World {
    data: TempDir,
    limits: Limits,
}

impl World {
    fn new(max_size_bytes: u64, max_files: u32) -> Self {
        Self { data: TempDir::new().unwrap(), limits: Limits { max_size_bytes, max_files } }
    }

    fn dir(&self) -> PathBuf {
        self.data.path().join(DIRECTORY)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn open(&self) -> AuditLog {
        AuditLog::open(Arc::new(FileDisk::open(self.data.path()).unwrap()), self.limits).unwrap()
    }

    fn oldest(&self) -> Reader {
        Reader::oldest(&self.dir(), Filter::default())
    }

    /// Makes the directory, with one file in it.
    fn plant(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.dir()).unwrap();
        fs::write(self.file(name), bytes).unwrap();
    }
}

/// Logs numbers, each written by itself.
fn log(log: &AuditLog, numbers: std::ops::Range<u64>) {
    for number in numbers {
        log.log(Event::PolicyReloaded { detail: number.to_string() });
        log.flush().unwrap();
    }
}

/// What there is up to the end.
fn read(reader: &mut Reader) -> Vec<Found> {
    let mut found = Vec::new();
    loop {
        let piece = reader.read().unwrap();
        found.extend(piece.found);
        if piece.at_end {
            return found;
        }
    }
}

/// The numbers in what was found; anything else is an error.
fn numbers(found: &[Found]) -> Vec<u64> {
    let number = |found: &Found| match found {
        Found::Line(line) => Ok(line.detail.parse().unwrap()),
        other => Err(other.clone()),
    };
    found.iter().map(number).collect::<Result<_, _>>().unwrap()
}

fn damaged(file: &str, at: u64, bytes: u64) -> Found {
    Found::Damaged { file: file.to_owned(), at, bytes }
}

fn line(number: u64) -> String {
    let time = "2026-11-21T13:00:00Z";
    format!("{{\"ts\":\"{time}\",\"event\":\"policy_reloaded\",\"detail\":\"{number}\"}}\n")
}

#[test]
fn a_log_that_does_not_exist_yet_is_empty_and_begins_one_day() {
    let world = World::new(1 << 20, 3);
    let mut oldest = world.oldest();
    let mut newest = Reader::newest(&world.dir(), Filter::default(), 5).unwrap();
    assert_eq!(read(&mut oldest), []);
    log(&world.open(), 0..3);
    assert_eq!(numbers(&read(&mut oldest)), [0, 1, 2]);
    assert_eq!(numbers(&read(&mut newest)), [0, 1, 2]);
}

#[test]
fn all_files_are_read_the_oldest_first() {
    let world = World::new(500, 4);
    log(&world.open(), 0..60);
    let found = numbers(&read(&mut world.oldest()));
    assert_eq!(fs::read_dir(world.dir()).unwrap().count(), 5);
    assert_eq!(found, (60 - found.len() as u64..60).collect::<Vec<_>>());
    assert!(found.len() > 20, "{found:?}");
}

#[test]
fn a_reader_goes_on_over_rotations_however_many_lines_it_is_behind() {
    for step in [1, 2, 5, 17, 40] {
        let world = World::new(500, 50);
        let audit = world.open();
        let mut reader = world.oldest();
        let mut found = Vec::new();
        let mut next = 0;
        while next < 120 {
            log(&audit, next..next + step);
            next += step;
            found.extend(read(&mut reader));
        }
        assert_eq!(numbers(&found), (0..next).collect::<Vec<_>>(), "{step} lines at a time");
    }
}

#[test]
fn a_reader_that_is_overtaken_says_so_and_goes_on_with_the_oldest() {
    let world = World::new(500, 2);
    let audit = world.open();
    let mut reader = world.oldest();
    log(&audit, 0..3);
    assert_eq!(numbers(&read(&mut reader)), [0, 1, 2]);
    log(&audit, 3..60);
    let found = read(&mut reader);
    let missed = found.iter().position(|found| *found == Found::Missed).unwrap();
    let (before, after) = (numbers(&found[..missed]), numbers(&found[missed + 1..]));
    assert_eq!(before, (3..3 + before.len() as u64).collect::<Vec<_>>(), "the rest of its file");
    assert!(after[0] > 3 + before.len() as u64);
    assert_eq!(after, (after[0]..60).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_is_overtaken_by_no_more_than_it_has_open_misses_nothing() {
    let world = World::new(1 << 20, 1);
    // More than a piece, so that the reader stops in the middle of it.
    let large: String = (0..100_000).map(line).collect();
    world.plant("audit.jsonl.1", large.as_bytes());
    world.plant("audit.jsonl", line(100_000).as_bytes());
    let mut reader = world.oldest();
    let mut found = reader.read().unwrap().found;
    assert!(!found.is_empty() && found.len() < 100_000);
    fs::rename(world.file("audit.jsonl"), world.file("audit.jsonl.1")).unwrap();
    world.plant("audit.jsonl", line(100_001).as_bytes());
    found.extend(read(&mut reader));
    assert_eq!(numbers(&found), (0..100_002).collect::<Vec<_>>());
}

/// What a reader finds that begins after `before` lines and goes on while lines are written up to
/// `lines`, `together` at a time.
fn beside_a_writer(world: &World, before: u64, lines: u64, together: u64) -> Vec<u64> {
    let audit = world.open();
    log(&audit, 0..before);
    let done = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in before..lines {
                audit.log(Event::PolicyReloaded { detail: number.to_string() });
                if number % together == 0 {
                    audit.flush().unwrap();
                }
            }
            audit.flush().unwrap();
            done.store(true, Ordering::Release);
        });
        let mut reader = world.oldest();
        let mut found = Vec::new();
        loop {
            let is_done = done.load(Ordering::Acquire);
            found.extend(read(&mut reader));
            if is_done {
                return found;
            }
        }
    });
    numbers(&found)
}

#[test]
fn a_reader_of_a_file_that_is_being_finished_reads_it_to_its_end() {
    let world = World::new(2000, 10_000);
    assert_eq!(beside_a_writer(&world, 0, 3000, 7), (0..3000).collect::<Vec<_>>());
    assert!(fs::read_dir(world.dir()).unwrap().count() > 50);
}

#[test]
fn a_reader_of_files_that_change_their_names_reads_each_of_them_once() {
    // A file for every second line.
    let world = World::new(150, 10_000);
    assert_eq!(beside_a_writer(&world, 100, 300, 1), (0..300).collect::<Vec<_>>());
    assert!(fs::read_dir(world.dir()).unwrap().count() > 100);
}

#[test]
fn the_newest_lines_are_found_from_behind() {
    let world = World::new(500, 10);
    let audit = world.open();
    log(&audit, 0..40);
    audit.log(Event::PeerRevoked { peer: Peer::default(), reason: "41".to_owned() });
    log(&audit, 42..60);
    for count in [1, 2, 3, 9, 30, 59, 60, 1000] {
        let mut reader = Reader::newest(&world.dir(), Filter::default(), count).unwrap();
        let found = numbers(&read(&mut reader));
        let all = numbers(&read(&mut world.oldest()));
        let expected = &all[all.len().saturating_sub(usize::try_from(count).unwrap())..];
        assert_eq!(found, expected, "the last {count}");
    }
    let rare = || Filter { events: vec!["peer_revoked".to_owned()], ..Filter::default() };
    for count in [1, 5] {
        let mut reader = Reader::newest(&world.dir(), rare(), count).unwrap();
        assert_eq!(numbers(&read(&mut reader)), [41]);
    }
    let mut reader = Reader::newest(&world.dir(), Filter::default(), 0).unwrap();
    assert_eq!(read(&mut reader), []);
    log(&audit, 60..62);
    assert_eq!(numbers(&read(&mut reader)), [60, 61]);
}

#[test]
fn long_files_are_searched_from_behind_block_by_block() {
    let world = World::new(1 << 20, 3);
    // Lines that lie across the blocks, damage that is longer than any line, and a torn end.
    let mut text: Vec<u8> = (0..20_000).flat_map(|number| line(number).into_bytes()).collect();
    text.extend(vec![b'x'; 3 << 20]);
    text.push(b'\n');
    text.extend((20_000..30_000).flat_map(|number| line(number).into_bytes()));
    text.extend(b"{\"ts\":\"2026-");
    world.plant("audit.jsonl", &text);
    for count in [1, 3000, 9_999, 10_000, 10_001, 29_999, 30_000, 30_001] {
        let mut reader = Reader::newest(&world.dir(), Filter::default(), count).unwrap();
        let mut found = read(&mut reader);
        found.retain(|found| matches!(found, Found::Line(_)));
        let begin = 30_000_u64.saturating_sub(count);
        assert_eq!(numbers(&found), (begin..30_000).collect::<Vec<_>>(), "the last {count}");
    }
}

#[test]
fn damage_is_told_once_and_costs_no_other_line() {
    let world = World::new(1 << 20, 3);
    let whole = line(1);
    let len = whole.len() as u64;
    let damage = "no json\n{\"ts\":1}\n\0\0\0\n";
    let long = "y".repeat(5 << 20);
    let text = format!("{whole}{damage}{}\n{}{long}\n{}", line(2), line(3), line(4));
    world.plant("audit.jsonl", text.as_bytes());
    let mut reader = world.oldest();
    let mut found = read(&mut reader);
    let expected = [
        damaged("audit.jsonl", len, damage.len() as u64),
        damaged("audit.jsonl", 3 * len + damage.len() as u64 + 1, (5 << 20) + 1),
    ];
    for expected in expected {
        let at = found.iter().position(|found| *found == expected);
        found.remove(at.unwrap_or_else(|| unreachable!("{expected:?} in {found:?}")));
    }
    assert_eq!(numbers(&found), [1, 2, 3, 4]);
}

#[test]
fn a_line_that_is_being_written_is_waited_for_and_a_torn_one_is_damage_once_it_is_finished() {
    let world = World::new(1 << 20, 3);
    let whole = line(1);
    let (half, rest) = whole.split_at(20);
    world.plant("audit.jsonl", half.as_bytes());
    let mut reader = world.oldest();
    assert_eq!(read(&mut reader), []);
    world.plant("audit.jsonl", whole.as_bytes());
    assert_eq!(numbers(&read(&mut reader)), [1], "{rest}");
    world.plant("audit.jsonl", format!("{whole}{half}").as_bytes());
    assert_eq!(read(&mut reader), []);
    fs::rename(world.file("audit.jsonl"), world.file("audit.jsonl.1")).unwrap();
    assert_eq!(read(&mut reader), [], "the rotation is under way");
    fs::write(world.file("audit.jsonl"), line(2)).unwrap();
    let found = read(&mut reader);
    assert_eq!(found[0], damaged("audit.jsonl.1", whole.len() as u64, 20));
    assert_eq!(numbers(&found[1..]), [2]);
}

#[test]
fn a_rotation_that_a_crash_left_half_done_hides_no_file() {
    let world = World::new(1 << 20, 5);
    for (name, number) in [("audit.jsonl.4", 1), ("audit.jsonl.2", 2), ("audit.jsonl.1", 3)] {
        world.plant(name, line(number).as_bytes());
    }
    world.plant("audit.jsonl.old", b"not ours");
    fs::create_dir(world.file("audit.jsonl.7")).unwrap();
    let mut reader = world.oldest();
    assert_eq!(numbers(&read(&mut reader)), [1, 2, 3]);
    log(&world.open(), 4..6);
    assert_eq!(numbers(&read(&mut reader)), [4, 5]);
}

#[test]
fn a_file_that_is_emptied_in_place_is_read_again_from_its_beginning() {
    let world = World::new(1 << 20, 5);
    world.plant("audit.jsonl", format!("{}{}", line(1), line(2)).as_bytes());
    let mut reader = world.oldest();
    assert_eq!(numbers(&read(&mut reader)), [1, 2]);
    world.plant("audit.jsonl", line(3).as_bytes());
    assert_eq!(numbers(&read(&mut reader)), [3]);
}

#[test]
fn the_predecessors_lines_are_read() {
    let world = World::new(1 << 20, 5);
    let text = concat!(
        r#"{"ts":"2026-07-03T09:12:44.123456789Z","event":"client_connected","peer":"alice","peer_addr":"127.0.0.1:50312","detail":"addr=127.0.0.1:50312 sub=[orders]"}"#,
        "\n",
        r#"{"ts":"2026-07-03T11:12:45+02:00","event":"forward","message_id":"0198","channel":"orders","direction":"outbound","peer":"alice","send_duration_ms":0.734}"#,
        "\n",
    );
    world.plant("audit.jsonl", text.as_bytes());
    let found = read(&mut world.oldest());
    let [Found::Line(first), Found::Line(second)] = &found[..] else {
        unreachable!("two lines: {found:?}");
    };
    assert_eq!((first.event.as_str(), first.peer.as_str()), ("client_connected", "alice"));
    assert_eq!(second.time.to_string(), "2026-07-03T09:12:45Z");
    assert!((second.send_duration_ms - 0.734).abs() < 1e-9);
    assert_eq!(text.lines().nth(1), Some(second.raw.as_str()));
}
