//! Where the machine stops, what becomes of the step it stopped in, and what a process leaves behind.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use pubsub_disk::{Disk, LockError, Open};
use pubsub_sim::{InFlight, SimDisk, Survival, is_crash};

use super::{all_come_up, create, disk_with, open, write};

/// A little of everything.
fn work(disk: &SimDisk) -> io::Result<()> {
    disk.create_dir(Path::new("d"))?;
    let file = disk.open(Path::new("d/tmp"), Open::Create)?;
    write(&file, b"hello", 0)?;
    file.set_len(4)?;
    file.sync()?;
    disk.rename(Path::new("d/tmp"), Path::new("d/f"))?;
    disk.sync_dir(Path::new("d"))?;
    assert_eq!(file.len()?, 4);
    disk.list(Path::new("d"))?;
    disk.remove_file(Path::new("d/f"))?;
    disk.remove_dir(Path::new("d"))
}

#[test]
fn machine_stops_at_each_step_and_stays_stopped() {
    let disk = SimDisk::new(1);
    work(&disk).unwrap();
    assert_eq!(disk.steps(), 9, "looking is no step");
    for step in 1..=9 {
        let disk = SimDisk::new(step);
        disk.crash_at(step);
        let error = work(&disk).unwrap_err();
        assert!(is_crash(&error), "step {step}: {error}");
        assert!(disk.is_crashed());
        assert_eq!(disk.steps(), step);
        assert!(is_crash(&disk.list(Path::new("")).unwrap_err()));
        assert!(is_crash(&disk.space().unwrap_err()));
        assert_eq!(disk.steps(), step, "nothing happens on a machine that stands");
        disk.reboot(step);
        assert!(!disk.is_crashed());
        disk.list(Path::new("")).unwrap();
    }
    let disk = SimDisk::new(1);
    disk.crash_at(10);
    work(&disk).unwrap();
}

#[test]
fn looking_is_a_step_when_told_so() {
    let disk = SimDisk::new(1);
    disk.set_reads_are_steps(true);
    work(&disk).unwrap();
    assert_eq!(disk.steps(), 11);
    let disk = SimDisk::new(1);
    disk.set_reads_are_steps(true);
    disk.crash_at(8);
    assert!(is_crash(&work(&disk).unwrap_err()));
}

#[test]
fn step_in_flight_happened_or_not_or_in_part_as_told() {
    let run = |in_flight| {
        let (disk, file) = disk_with(b"");
        disk.crash_at_with(1, in_flight);
        assert!(is_crash(&write(&file, b"hello", 0).unwrap_err()));
        disk.restart();
        disk.bytes("a").unwrap()
    };
    assert_eq!(run(InFlight::Nothing), b"");
    assert_eq!(run(InFlight::Whole), b"hello");
    assert!(b"hello".starts_with(&run(InFlight::Part)));
}

#[test]
fn write_in_flight_is_cut_at_any_byte_when_the_process_is_killed() {
    let all: Vec<Vec<u8>> = (0..=5).map(|len| b"hello"[..len].to_vec()).collect();
    all_come_up(&all, |seed| {
        let disk = SimDisk::new(seed);
        let file = create(&disk, "a");
        disk.crash_at(2);
        write(&file, b"hello", 0).unwrap_err();
        disk.restart();
        disk.bytes("a").unwrap()
    });
}

#[test]
fn rename_in_flight_happened_or_did_not() {
    all_come_up(&[vec!["a".to_owned()], vec!["b".to_owned()]], |seed| {
        let disk = SimDisk::new(seed);
        drop(create(&disk, "a"));
        disk.crash_at(2);
        disk.rename(Path::new("a"), Path::new("b")).unwrap_err();
        disk.restart();
        disk.files()
    });
}

#[test]
fn sync_in_flight_makes_durable_the_first_of_the_writes_it_was_for() {
    all_come_up(&[*b"oo", *b"1o", *b"12"], |seed| {
        let disk = SimDisk::new(seed);
        disk.plant("a", b"oo").unwrap();
        let file = open(&disk, "a");
        write(&file, b"1", 0).unwrap();
        write(&file, b"2", 1).unwrap();
        disk.crash_at(3);
        file.sync().unwrap_err();
        disk.reboot_as(Survival::Nothing);
        disk.bytes("a").unwrap().try_into().unwrap()
    });
}

#[test]
fn killed_process_loses_nothing_it_wrote_until_the_power_goes_too() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "a");
    write(&file, b"written", 0).unwrap();
    disk.kill();
    assert_eq!(disk.bytes("a").unwrap(), b"written");
    assert_eq!(disk.durable_bytes("a"), None, "being there does not make it durable");

    let again = disk.snapshot();
    disk.reboot_as(Survival::Nothing);
    assert_eq!(disk.bytes("a"), None);

    // The next process can make it durable.
    let disk = SimDisk::from_snapshot(&again, 1);
    open(&disk, "a").sync().unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    disk.reboot_as(Survival::Nothing);
    assert_eq!(disk.bytes("a").unwrap(), b"written");
}

#[test]
fn what_was_open_is_dead_in_the_next_life() {
    for reboot in [true, false] {
        let (disk, file) = disk_with(b"old");
        disk.crash();
        if reboot {
            disk.reboot(0);
        } else {
            disk.restart();
        }
        assert!(is_crash(&write(&file, b"late", 0).unwrap_err()));
        assert!(is_crash(&file.read_at(&mut [0], 0).unwrap_err()));
        assert!(is_crash(&file.sync().unwrap_err()));
        assert_eq!(disk.bytes("a").unwrap(), b"old");
        // Closing it late must not close what the next life has open.
        let next = open(&disk, "a");
        drop(file);
        disk.remove_file(Path::new("a")).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        assert_eq!(next.len().unwrap(), 3);
    }
}

#[test]
fn lock_is_released_by_a_crash_and_not_by_its_late_owner() {
    let disk = SimDisk::new(1);
    let path = Path::new("LOCK");
    let old = disk.lock(path).unwrap();
    disk.kill();
    let _new = disk.lock(path).unwrap();
    drop(old);
    assert!(matches!(disk.lock(path), Err(LockError::Held { .. })));
    disk.crash();
    assert!(is_crash(&disk.lock(path).unwrap_err()));
    disk.reboot(1);
    drop(disk.lock(path).unwrap());
}

#[test]
fn crash_is_recognised_below_other_errors() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("append")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    let disk = SimDisk::new(1);
    disk.crash();
    let error = disk.list(Path::new("")).unwrap_err();
    assert!(is_crash(&error));
    assert!(is_crash(&Outer(error)));
    disk.reboot(1);
    let error = disk.list(Path::new("none")).unwrap_err();
    assert!(!is_crash(&error));
    assert!(!is_crash(&Outer(error)));
}
