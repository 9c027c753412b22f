//! Reading without owning: the doctor misses nothing and blames nobody, the follower waits for what is
//! not whole yet.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what fails here fails the test, and damage is done to files behind the program's back"
)]

mod follower;
mod world;

use std::fs;
use std::path::PathBuf;

use pubsub_disk::FileDisk;
use pubsub_envelope::binary;
use pubsub_storage::{Inspection, Problem, Severity, inspect};
use pubsub_types::{Format, Seq, SubscriberId, Timestamp};

use crate::world::{World, name};

fn look(world: &World) -> Inspection {
    let disk = FileDisk::open(world.dir.path()).unwrap();
    inspect(&disk, false, None, &mut |_| ()).unwrap()
}

/// A closed directory with sealed segments, deletes and a subscriber; and all its files that count.
fn full(format: Format) -> (World, Vec<PathBuf>) {
    let mut world = World::new(format);
    let publish = |from: u64, to: u64| {
        for n in from..to {
            world.publish(&format!("{{\"payload number\":{n}}}"));
        }
    };
    publish(0, 12);
    let channel = world.channel();
    let (third, fifth) = (Seq::new(3).unwrap(), Seq::new(5).unwrap());
    channel.delete(&[(third, fifth)], Timestamp(1));
    world.run_jobs();
    publish(12, 24);
    let store = world.store().clone();
    let id = SubscriberId::new("me").unwrap();
    let position = store.subscriber(&channel, &id, pubsub_storage::Start::FromStart).unwrap();
    position.set(7);
    drop(channel);
    world.close();
    let mut files = Vec::new();
    let mut dirs = vec![world.dir.path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if !path.ends_with("LOCK") && fs::metadata(&path).unwrap().len() > 0 {
                files.push(path);
            }
        }
    }
    files.sort();
    (world, files)
}

#[test]
fn a_directory_that_was_used_and_closed_is_healthy() {
    for format in [Format::Jsonl, Format::Binary] {
        let (world, files) = full(format);
        let found = look(&world);
        assert_eq!(found.findings, [], "{format}");
        assert!(found.channels[0].segments > 2);
        assert_eq!(found.channels[0].messages, 24);
        assert_eq!(found.channels[0].subscribers, 1);
        let has = |end: &str| files.iter().any(|file| file.to_str().unwrap().ends_with(end));
        assert!(has(".idx"), "indexes are looked at: {files:?}");
        assert!(has("checkpoint.a"), "deletes are looked at: {files:?}");
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_found() {
    for format in [Format::Jsonl, Format::Binary] {
        let (world, files) = full(format);
        for file in files {
            let good = fs::read(&file).unwrap();
            // Every part of every file, and not every byte: each look reads all there is.
            for at in (0..good.len()).step_by(13).chain([good.len() - 1]) {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                fs::write(&file, &bad).unwrap();
                let found = look(&world);
                assert!(!found.is_healthy(), "{file:?} byte {at} went unnoticed");
            }
            fs::write(&file, &good).unwrap();
        }
        assert_eq!(look(&world).findings, []);
    }
}

#[test]
fn a_file_that_ends_early_or_goes_on_is_found() {
    for format in [Format::Jsonl, Format::Binary] {
        let (world, files) = full(format);
        for file in files {
            let good = fs::read(&file).unwrap();
            for cut in [1, good.len() / 3, good.len() - 1] {
                fs::write(&file, &good[..cut]).unwrap();
                let found = look(&world);
                assert!(!found.is_healthy(), "{file:?} cut to {cut} went unnoticed");
            }
            fs::write(&file, [&good[..], b"rubbish"].concat()).unwrap();
            assert!(!look(&world).is_healthy(), "rubbish behind {file:?} went unnoticed");
            fs::write(&file, &good).unwrap();
        }
    }
}

#[test]
fn a_missing_segment_costs_exactly_its_messages() {
    for format in [Format::Jsonl, Format::Binary] {
        let (world, files) = full(format);
        let mut lost = 0;
        let segments =
            |file: &&PathBuf| file.extension().is_some_and(|end| end == "jsonl" || end == "log");
        for file in files.iter().filter(segments) {
            let good = fs::read(file).unwrap();
            fs::remove_file(file).unwrap();
            let found = look(&world);
            let missing =
                found.findings.iter().find(|it| it.problem == Problem::SegmentMissing).unwrap();
            assert_eq!(missing.severity, Severity::Damage);
            // The newest one may hold no message yet.
            let messages = missing.seqs.map_or(0, |(first, last)| last + 1 - first);
            assert_eq!(found.channels[0].messages, 24 - messages);
            lost += messages;
            fs::write(file, &good).unwrap();
        }
        assert_eq!(lost, 24, "{format}");
    }
}

#[test]
fn what_compaction_left_out_is_not_missing() {
    for format in [Format::Jsonl, Format::Binary] {
        let mut world = World::with_segments(format, 80 << 10);
        let payload = "x".repeat(2000);
        for _ in 0..100 {
            world.publish(&payload);
        }
        let channel = world.channel();
        let kept = 10;
        for seq in (2..60).filter(|seq| seq % kept != 0) {
            let seq = Seq::new(seq).unwrap();
            channel.delete(&[(seq, seq)], Timestamp(1));
        }
        drop(channel);
        world.tick_long();
        let before = world.segment_bytes();
        world.close();
        assert!(before < 200 * 1000, "{format}: nothing was compacted: {before}");
        let found = look(&world);
        assert!(found.is_healthy(), "{format}: {:?}", found.findings);
        assert_eq!(found.channels[0].channel, name());
        assert!(found.channels[0].messages < 100, "{format}");
    }
}

#[test]
fn a_crashed_directory_has_a_torn_tail_at_worst() {
    for format in [Format::Jsonl, Format::Binary] {
        let world = World::new(format);
        for n in 0..5 {
            world.publish(&n.to_string());
        }
        // As it would be after a kill: nothing is closed.
        let found = look(&world);
        assert!(found.is_healthy(), "{format}: {:?}", found.findings);
        let segment = world.newest_segment();
        let good = fs::read(&segment).unwrap();
        fs::write(&segment, &good[..good.len() - 5]).unwrap();
        let found = look(&world);
        assert_eq!(found.findings[0].problem, Problem::TornTail, "{format}");
        assert_eq!(found.worst(), Some(Severity::Warning));
    }
}

#[test]
fn a_record_that_was_cut_out_whole_is_missed() {
    for format in [Format::Jsonl, Format::Binary] {
        let mut world = World::with_segments(format, 1 << 20);
        for n in 0..5 {
            world.publish(&n.to_string());
        }
        world.close();
        let segment = world.newest_segment();
        let good = fs::read(&segment).unwrap();
        let third = match format {
            Format::Jsonl => {
                let mut ends = (0..good.len()).filter(|at| good[*at] == b'\n').map(|at| at + 1);
                let start = ends.nth(1).unwrap();
                start..ends.next().unwrap()
            }
            Format::Binary => {
                let mut batches = (0..good.len())
                    .step_by(binary::ALIGNMENT)
                    .filter(|at| binary::looks_like_batch(&good[*at..]));
                let start = batches.nth(2).unwrap();
                start..batches.next().unwrap()
            }
        };
        let mut cut = good.clone();
        cut.drain(third);
        fs::write(&segment, &cut).unwrap();
        let found = look(&world);
        let has = |problem| found.findings.iter().find(|finding| finding.problem == problem);
        let missing = has(Problem::SequencesMissing).map(|finding| finding.seqs);
        assert_eq!(missing, Some(Some((3, 3))), "{format}: {:?}", found.findings);
        let broken = has(Problem::ChainBroken).is_some();
        assert_eq!(broken, format == Format::Binary, "only batches are chained");
    }
}
