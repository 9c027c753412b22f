//! The files on a disk that stops, fails and forgets.

use pubsub_sim::{Directories, Fault, Op, SimDisk};

use super::*;

const LIMITS: Limits = Limits { max_size_bytes: 64, max_files: 3 };

fn files(disk: &SimDisk) -> Files {
    Files::new(Arc::new(disk.clone()), LIMITS)
}

/// A line of 16 bytes.
fn line(number: u32) -> Vec<u8> {
    format!("{number:>15}\n").into_bytes()
}

fn bytes(disk: &SimDisk, number: u32) -> Option<Vec<u8>> {
    disk.bytes(path_of(number).to_str().unwrap())
}

/// All lines, oldest first; torn and damaged ones are left out.
fn lines(disk: &SimDisk) -> Vec<u32> {
    let mut lines = Vec::new();
    for file in (0..10).rev().filter_map(|number| bytes(disk, number)) {
        let whole = file.split(|byte| *byte == b'\n').filter(|line| line.len() == 15);
        let number = |line| std::str::from_utf8(line).ok()?.trim().parse::<u32>().ok();
        lines.extend(whole.filter_map(number));
    }
    lines
}

#[test]
fn files_rotate_by_size_and_only_so_many_are_kept() {
    let disk = SimDisk::new(1);
    let mut files = files(&disk);
    for number in 0..18 {
        files.write(&line(number)).unwrap();
    }
    assert_eq!(lines(&disk), (4..18).collect::<Vec<_>>());
    let sizes: Vec<Option<usize>> = (0..5).map(|n| bytes(&disk, n).map(|b| b.len())).collect();
    assert_eq!(sizes, [Some(32), Some(64), Some(64), Some(64), None]);
    // A node that is started again goes on where it was, and keeps fewer when told so.
    drop(files);
    let fewer = Limits { max_files: 1, ..LIMITS };
    let mut files = Files::new(Arc::new(disk.clone()), fewer);
    for number in 18..21 {
        files.write(&line(number)).unwrap();
    }
    assert_eq!(lines(&disk), (16..21).collect::<Vec<_>>());
}

#[test]
fn a_process_that_dies_at_any_step_loses_no_line_that_was_written() {
    let dry = SimDisk::new(1);
    let mut log = files(&dry);
    (0..40).for_each(|number| log.write(&line(number)).unwrap());
    for step in 1..=dry.steps() {
        let disk = SimDisk::new(step);
        let mut log = files(&disk);
        disk.crash_at(step);
        let written = (0..40).take_while(|number| log.write(&line(*number)).is_ok()).count();
        let next = u32::try_from(written).unwrap();
        disk.restart();
        // The line that was being written may be there, or its beginning may.
        let mut log = files(&disk);
        log.write(&line(100)).unwrap();
        let mut found = lines(&disk);
        assert_eq!(found.pop(), Some(100), "step {step}");
        if found.last() == Some(&next) {
            found.pop();
        }
        // Two full files and the one that is written are kept whatever happens.
        let kept = u32::try_from(found.len()).unwrap();
        assert!(kept >= next.min(8), "step {step}: {found:?}");
        assert_eq!(found, (next - kept..next).collect::<Vec<_>>(), "step {step}");
        (101..140).for_each(|number| log.write(&line(number)).unwrap());
        assert!(lines(&disk).is_sorted(), "step {step}");
    }
}

#[test]
fn a_power_cut_at_any_step_tears_lines_and_mixes_none() {
    let dry = SimDisk::new(1);
    let mut log = files(&dry);
    (0..40).for_each(|number| log.write(&line(number)).unwrap());
    for directories in [Directories::Strict, Directories::Ext4Like] {
        for step in 1..=dry.steps() {
            let disk = SimDisk::new(step);
            disk.set_directories(directories);
            let mut log = files(&disk);
            disk.crash_at(step);
            (0..40).take_while(|number| log.write(&line(*number)).is_ok()).count();
            disk.reboot(step);
            let mut log = files(&disk);
            (100..108).for_each(|number| log.write(&line(number)).unwrap());
            let found = lines(&disk);
            assert!(found.is_sorted_by(|a, b| a < b), "{directories:?}, step {step}: {found:?}");
            assert!(found.ends_with(&[100, 101, 102, 103, 104, 105, 106, 107]), "{found:?}");
        }
    }
}

#[test]
fn a_write_that_fails_half_way_leaves_nothing_and_is_made_good() {
    for seed in 0..50 {
        for op in [Op::Write, Op::Rename, Op::Create, Op::CreateDir, Op::Open, Op::List, Op::SetLen]
        {
            let disk = SimDisk::new(seed);
            let mut log = files(&disk);
            let fault = Fault::on(op).nth(seed % 7).half_way();
            // Cutting is only asked for after a failure.
            if op == Op::SetLen {
                disk.inject(Fault::on(Op::Write).nth(seed % 7).half_way());
            }
            disk.inject(fault);
            for number in 0..12 {
                while log.write(&line(number)).is_err() {}
            }
            assert_eq!(lines(&disk), (0..12).collect::<Vec<_>>(), "{op:?}, seed {seed}");
        }
    }
}

#[test]
fn a_torn_line_is_ended_and_kept() {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(DIRECTORY)).unwrap();
    disk.plant("audit/audit.jsonl", b"to").unwrap();
    files(&disk).write(&line(1)).unwrap();
    assert_eq!(bytes(&disk, 0).unwrap(), [b"to\n", &line(1)[..]].concat());
}

#[test]
fn a_file_that_somebody_took_away_or_emptied_is_begun_again() {
    let disk = SimDisk::new(1);
    let mut log = files(&disk);
    log.write(&line(1)).unwrap();
    disk.rename(&path_of(0), Path::new("elsewhere")).unwrap();
    log.look();
    log.write(&line(2)).unwrap();
    assert_eq!(lines(&disk), [2]);
    disk.open(&path_of(0), Open::Write).unwrap().set_len(0).unwrap();
    log.look();
    log.write(&line(3)).unwrap();
    log.look();
    log.write(&line(4)).unwrap();
    assert_eq!(lines(&disk), [3, 4]);
    disk.remove_file(&path_of(0)).unwrap();
    disk.remove_dir(Path::new(DIRECTORY)).unwrap();
    log.look();
    log.write(&line(5)).unwrap();
    assert_eq!(lines(&disk), [5]);
    assert_eq!(disk.bytes("elsewhere").unwrap(), line(1));
}
