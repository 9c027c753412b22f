//! The simulation proves itself: one seed, one trace.

use std::io;
use std::path::Path;
use std::sync::Arc;

use pubsub_disk::{Disk, File, Open};
use pubsub_sim::{Directories, Fault, Op, Rng, SimDisk, Survival, is_crash};

use super::{create, disk_with, open, write};

/// A history of everything a disk can be asked for, with faults, crashes and reboots. Whatever the
/// answers are, it goes on.
fn history(seed: u64) -> SimDisk {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(rng.next_u64());
    disk.set_garbage(rng.coin());
    if rng.coin() {
        disk.set_directories(Directories::Ext4Like);
    }
    for _ in 0..4 {
        disk.crash_at(disk.steps() + 1 + rng.below(80));
        if rng.coin() {
            disk.inject(Fault::on(Op::ALL[rng.index(Op::ALL.len())]).nth(rng.below(9)).half_way());
        }
        let mut files = Vec::new();
        for _ in 0..10_000 {
            if disk.is_crashed() {
                break;
            }
            match turn(&disk, &mut files, &mut rng) {
                Ok(()) => (),
                Err(error) => assert_eq!(is_crash(&error), disk.is_crashed(), "{error}"),
            }
        }
        assert!(disk.is_crashed(), "the planned step comes");
        if rng.coin() { disk.reboot(rng.next_u64()) } else { disk.restart() }
    }
    disk
}

fn turn(disk: &SimDisk, files: &mut Vec<Arc<dyn File>>, rng: &mut Rng) -> io::Result<()> {
    let dirs = ["", "d", "e"];
    let dir = dirs[rng.index(3)];
    let path = |rng: &mut Rng| format!("{}/{}", dirs[1 + rng.index(2)], rng.below(4));
    let file = rng.pick(files).cloned();
    match (rng.below(12), file) {
        (0, _) => disk.create_dir(Path::new(["d", "e"][rng.index(2)])),
        (1 | 2, _) => {
            files.push(disk.open(Path::new(&path(rng)), Open::Create)?);
            Ok(())
        }
        (3, _) => disk.rename(Path::new(&path(rng)), Path::new(&path(rng))),
        (4, _) => disk.remove_file(Path::new(&path(rng))),
        (5, _) => disk.sync_dir(Path::new(dir)),
        (6, _) => disk.list(Path::new(dir)).map(drop),
        (7, Some(file)) => file.sync(),
        (8, Some(file)) => file.set_len(rng.below(2000)),
        (_, Some(file)) => {
            let mut bytes = vec![0; rng.index(1500)];
            rng.fill(&mut bytes);
            write(&file, &bytes, rng.below(3000))
        }
        (_, None) => {
            files.push(disk.open(Path::new(&path(rng)), Open::Write)?);
            Ok(())
        }
    }
}

#[test]
fn one_seed_gives_one_trace_byte_for_byte() {
    let mut traces = Vec::new();
    for seed in 0..100 {
        let (first, second) = (history(seed), history(seed));
        assert_eq!(first.trace(), second.trace(), "seed {seed}");
        assert_eq!(first.files(), second.files());
        for path in first.files() {
            assert_eq!(first.bytes(&path), second.bytes(&path), "seed {seed}: {path}");
        }
        traces.push(first.trace());
    }
    let all = traces.len();
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), all, "other seeds give other traces");
}

#[test]
fn trace_reads_as_what_happened() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "a");
    write(&file, b"hello", 0).unwrap();
    disk.inject(Fault::on(Op::Sync));
    file.sync().unwrap_err();
    disk.open(Path::new("b"), Open::Read).unwrap_err();
    disk.crash_at_with(4, pubsub_sim::InFlight::Nothing);
    disk.sync_dir(Path::new("")).unwrap_err();
    disk.reboot_as(Survival::Nothing);
    let trace = disk.trace();
    let lines: Vec<&str> = trace.lines().collect();
    assert_eq!(lines[0], "    1 create a");
    assert!(lines[1].starts_with("    2 write 5 bytes at 0 to a ["), "{}", lines[1]);
    assert_eq!(lines[2], "    3 sync a: made to fail: uncategorized error");
    assert_eq!(lines[3], "    - open b: entity not found");
    assert_eq!(lines[4], "    4 sync the directory .: stopped before");
    assert_eq!(lines[5], "reboot, surviving: Nothing");
    assert_eq!(lines.len(), 6);
}

#[test]
fn snapshot_is_where_many_disks_go_on_without_knowing_of_each_other() {
    let (disk, file) = disk_with(b"base");
    write(&file, b", pending", 4).unwrap();
    let snapshot = disk.snapshot();
    write(&file, b"!", 13).unwrap();

    let branches: Vec<SimDisk> =
        (0..50).map(|seed| SimDisk::from_snapshot(&snapshot, seed)).collect();
    for branch in &branches {
        assert_eq!(branch.bytes("a").unwrap(), b"base, pending");
        assert_eq!(branch.durable_bytes("a").unwrap(), b"base");
        assert_eq!((branch.steps(), branch.count(Op::Write)), (0, 0));
        assert!(branch.trace().is_empty());
    }
    write(&open(&branches[0], "a"), b"BASE", 0).unwrap();
    assert_eq!(branches[0].bytes("a").unwrap(), b"BASE, pending");
    assert_eq!(branches[1].bytes("a").unwrap(), b"base, pending");
    assert_eq!(disk.bytes("a").unwrap(), b"base, pending!");

    branches.iter().zip(0..).for_each(|(branch, seed)| branch.reboot(seed));
    let lengths: Vec<usize> = branches.iter().map(|b| b.bytes("a").unwrap().len()).collect();
    assert!(lengths.contains(&4) && lengths.contains(&13), "{lengths:?}");
}

#[test]
fn snapshot_of_a_stopped_machine_is_rebooted_in_as_many_ways_as_there_are_seeds() {
    let (disk, file) = disk_with(b"base");
    write(&file, b", pending", 4).unwrap();
    disk.crash();
    let snapshot = disk.snapshot();
    for seed in 0..10 {
        let branch = SimDisk::from_snapshot(&snapshot, seed);
        assert!(is_crash(&branch.list(Path::new("")).unwrap_err()));
        branch.reboot(seed);
        assert!(branch.bytes("a").unwrap().starts_with(b"base"));
    }
}

#[test]
fn operations_are_counted_by_kind() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "a");
    write(&file, b"12345", 0).unwrap();
    write(&file, b"678", 5).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    let counts = [Op::Create, Op::Write, Op::Sync, Op::SyncDir, Op::Read].map(|op| disk.count(op));
    assert_eq!(counts, [1, 2, 1, 1, 0]);
    assert_eq!(disk.bytes_written(), 8);
    disk.reset_counts();
    assert_eq!(disk.count(Op::Write) + disk.bytes_written(), 0);
    assert_eq!(disk.steps(), 5);
}

#[test]
fn written_files_get_the_time_that_was_set() {
    let disk = SimDisk::new(1);
    disk.set_now(17);
    let (a, b) = (create(&disk, "a"), create(&disk, "b"));
    disk.set_now(18);
    write(&b, b"x", 0).unwrap();
    let times = || {
        let entries = disk.list(Path::new("")).unwrap();
        entries.iter().map(|entry| entry.modified_nanos).collect::<Vec<_>>()
    };
    assert_eq!(times(), [17, 18]);
    disk.set_now(19);
    a.set_len(1).unwrap();
    assert_eq!(times(), [19, 18]);
}
