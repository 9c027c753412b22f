//! The follower.

use std::fs;
use std::sync::Arc;

use pubsub_disk::FileDisk;
use pubsub_storage::{FollowFrom, Followed, Follower};
use pubsub_types::{Format, Seq, Timestamp};

use crate::world::{World, name};

fn follow(world: &World, from: FollowFrom) -> Follower {
    let disk = Arc::new(FileDisk::open(world.dir.path()).unwrap());
    Follower::open(disk, &name(), from).unwrap()
}

fn seqs(follower: &mut Follower, max_records: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    loop {
        let found = follower.read(max_records, 1 << 20).unwrap();
        if found.is_empty() {
            return seqs;
        }
        seqs.extend(found.into_iter().map(|found| match found {
            Followed::Record(record) => record.seq,
            other => panic!("{other:?}"),
        }));
    }
}

#[test]
fn every_message_comes_once_however_the_reads_fall() {
    for format in [Format::Jsonl, Format::Binary] {
        let world = World::new(format);
        world.publish("1");
        let mut follower = follow(&world, FollowFrom::Start);
        let mut all = Vec::new();
        for n in 2..=60_usize {
            all.extend(seqs(&mut follower, n % 3 + 1));
            world.publish(&n.to_string());
        }
        all.extend(seqs(&mut follower, 1000));
        assert_eq!(all, (1..=60).collect::<Vec<_>>(), "{format}");
    }
}

#[test]
fn it_begins_where_it_is_told() {
    for format in [Format::Jsonl, Format::Binary] {
        let world = World::new(format);
        for n in 1..=40 {
            world.publish(&n.to_string());
        }
        let from = |from| seqs(&mut follow(&world, from), 1000);
        assert_eq!(from(FollowFrom::Last(3)), [38, 39, 40]);
        assert_eq!(from(FollowFrom::Last(0)), [0; 0]);
        assert_eq!(from(FollowFrom::Last(1000)).len(), 40);
        assert_eq!(from(FollowFrom::After(38)), [39, 40]);
        assert_eq!(from(FollowFrom::After(40)), [0; 0]);
        assert_eq!(from(FollowFrom::Since(Timestamp(1))).len(), 40);
        assert_eq!(from(FollowFrom::Since(Timestamp(2))), [0; 0]);
    }
}

#[test]
fn a_record_that_is_being_written_is_waited_for() {
    for format in [Format::Jsonl, Format::Binary] {
        let world = World::with_segments(format, 1 << 20);
        world.publish("first");
        let segment = world.newest_segment();
        let short = fs::read(&segment).unwrap();
        world.publish("second, and somewhat longer");
        let whole = fs::read(&segment).unwrap();
        for cut in short.len()..whole.len() {
            fs::write(&segment, &short).unwrap();
            let mut follower = follow(&world, FollowFrom::Start);
            assert_eq!(seqs(&mut follower, 10), [1]);
            fs::write(&segment, &whole[..cut]).unwrap();
            assert_eq!(seqs(&mut follower, 10), [0; 0], "{format} cut at {cut}");
            fs::write(&segment, &whole).unwrap();
            assert_eq!(seqs(&mut follower, 10), [2], "{format} cut at {cut}");
        }
    }
}

#[test]
fn what_was_trimmed_is_passed_and_said_when_it_was_wanted() {
    for format in [Format::Jsonl, Format::Binary] {
        let world = World::new(format);
        for n in 1..=40 {
            world.publish(&n.to_string());
        }
        let mut behind = follow(&world, FollowFrom::Start);
        assert_eq!(behind.read(1, 1 << 20).unwrap().len(), 1);
        world.channel().trim(Seq::new(39).unwrap(), "command", Timestamp(1));
        world.tick_long();
        let mut fresh = follow(&world, FollowFrom::Start);
        assert_eq!(seqs(&mut fresh, 100), [39, 40]);
        let mut found = Vec::new();
        loop {
            let more = behind.read(100, 1 << 20).unwrap();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        let gap = found.iter().find_map(|found| match found {
            Followed::Missing { first, last } => Some((*first, *last)),
            _ => None,
        });
        let (first, last) = gap.unwrap_or_else(|| panic!("{format}: no gap: {found:?}"));
        assert!(first > 1 && last < 40, "{first} {last}");
        assert!(matches!(found.last(), Some(Followed::Record(record)) if record.seq == 40));
    }
}

#[test]
fn a_tail_that_a_crash_tore_off_is_told_of() {
    for format in [Format::Jsonl, Format::Binary] {
        let world = World::with_segments(format, 1 << 20);
        world.publish("first");
        let segment = world.newest_segment();
        let short = fs::read(&segment).unwrap();
        world.publish("second");
        let mut follower = follow(&world, FollowFrom::Start);
        assert_eq!(seqs(&mut follower, 10), [1, 2]);
        fs::write(&segment, &short).unwrap();
        let found = follower.read(10, 1 << 20).unwrap();
        assert_eq!(found, [Followed::Cut { after: 1 }], "{format}");
        assert_eq!(follower.read(10, 1 << 20).unwrap(), []);
    }
}

#[test]
fn damage_in_the_middle_is_told_of_and_passed() {
    for format in [Format::Jsonl, Format::Binary] {
        let world = World::with_segments(format, 1 << 20);
        for n in 1..=5 {
            world.publish(&n.to_string());
        }
        let segment = world.newest_segment();
        let mut bytes = fs::read(&segment).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&segment, &bytes).unwrap();
        let found = follow(&world, FollowFrom::Start).read(100, 1 << 20).unwrap();
        let damaged = |found: &&Followed| matches!(found, Followed::Damaged { .. });
        assert_eq!(found.iter().filter(damaged).count(), 1, "{format} {found:?}");
        let records = |found: &&Followed| matches!(found, Followed::Record(_));
        assert!(found.iter().filter(records).count() >= 4, "{format} {found:?}");
    }
}
