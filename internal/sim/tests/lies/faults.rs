//! Operations that are made to fail.

use std::io::ErrorKind;
use std::path::Path;

use pubsub_disk::{Disk, Open, is_full, raw_os_error};
use pubsub_sim::{Fault, Loss, Op, SimDisk, Survival};

use super::{all_come_up, create, disk_with, open, outcomes, sync_dir, write};

const EIO: Option<i32> = Some(5);

#[test]
fn nth_operation_of_a_kind_fails_and_the_others_do_not() {
    let (disk, file) = disk_with(b"");
    disk.inject(Fault::on(Op::Write).nth(3).times(2));
    let answers: Vec<bool> = (0..6).map(|at| write(&file, b"x", at).is_ok()).collect();
    assert_eq!(answers, [true, true, false, false, true, true]);
    assert_eq!(disk.bytes("a").unwrap(), b"xx\0\0xx", "what failed wrote nothing");
    assert_eq!(disk.count(Op::Write), 6);
}

#[test]
fn every_kind_of_operation_can_be_made_to_fail() {
    for op in Op::ALL {
        let disk = SimDisk::new(1);
        disk.plant("d/a", b"abc").unwrap();
        disk.create_dir(Path::new("empty")).unwrap();
        let file = open(&disk, "d/a");
        disk.inject(Fault::on(op));
        let answer = match op {
            Op::Open => disk.open(Path::new("d/a"), Open::Read).map(drop),
            Op::Create => disk.open(Path::new("d/b"), Open::Create).map(drop),
            Op::List => disk.list(Path::new("d")).map(drop),
            Op::CreateDir => disk.create_dir(Path::new("e")),
            Op::SyncDir => disk.sync_dir(Path::new("d")),
            Op::Rename => disk.rename(Path::new("d/a"), Path::new("d/b")),
            Op::RemoveFile => disk.remove_file(Path::new("d/a")),
            Op::RemoveDir => disk.remove_dir(Path::new("empty")),
            Op::Space => disk.space().map(drop),
            Op::Lock => {
                disk.lock(Path::new("LOCK")).unwrap_err();
                drop(disk.lock(Path::new("LOCK")).unwrap());
                continue;
            }
            Op::Read => file.read_at(&mut [0], 0).map(drop),
            Op::Write => write(&file, b"x", 0),
            Op::Sync => file.sync(),
            Op::SetLen => file.set_len(1),
            Op::Len => file.len().map(drop),
        };
        assert_eq!(raw_os_error(&answer.unwrap_err()), EIO, "{op:?}");
        assert_eq!(disk.files(), ["d/a"], "{op:?}");
        assert_eq!(disk.bytes("d/a").unwrap(), b"abc", "{op:?}");
    }
}

#[test]
fn fault_strikes_only_where_it_was_told_to_until_healed() {
    let disk = SimDisk::new(1);
    disk.inject(Fault::on(Op::Create).at("bad").for_ever().full());
    drop(create(&disk, "good"));
    for _ in 0..3 {
        let error = disk.open(Path::new("bad"), Open::Create).unwrap_err();
        assert!(is_full(&error), "{error:?}");
    }
    disk.heal();
    drop(create(&disk, "bad"));
}

#[test]
fn write_that_fails_half_way_leaves_any_number_of_its_first_bytes() {
    let all: Vec<Vec<u8>> = (0..=5).map(|len| b"hello"[..len].to_vec()).collect();
    all_come_up(&all, |seed| {
        let disk = SimDisk::new(seed);
        let file = create(&disk, "a");
        disk.inject(Fault::on(Op::Write).half_way());
        assert_eq!(raw_os_error(&write(&file, b"hello", 0).unwrap_err()), EIO);
        disk.bytes("a").unwrap()
    });
}

#[test]
fn rename_that_fails_half_way_may_have_happened() {
    all_come_up(&[vec!["a".to_owned()], vec!["b".to_owned()]], |seed| {
        let disk = SimDisk::new(seed);
        drop(create(&disk, "a"));
        disk.inject(Fault::on(Op::Rename).half_way());
        disk.rename(Path::new("a"), Path::new("b")).unwrap_err();
        disk.files()
    });
}

#[test]
fn failed_sync_loses_what_reads_go_on_to_show_and_the_next_sync_hides_it() {
    let (disk, file) = disk_with(b"old");
    write(&file, b"new", 0).unwrap();
    disk.inject(Fault::on(Op::Sync).losing(Loss::Everything));
    assert_eq!(raw_os_error(&file.sync().unwrap_err()), EIO);
    assert_eq!(disk.bytes("a").unwrap(), b"new");
    file.sync().expect("the second one has nothing left to do");
    disk.kill();
    assert_eq!(disk.bytes("a").unwrap(), b"new", "the cache survives a process");
    disk.reboot_as(Survival::Everything);
    assert_eq!(disk.bytes("a").unwrap(), b"old");
}

#[test]
fn what_is_written_again_after_a_failed_sync_is_safe_and_what_is_not_is_lost() {
    let (disk, file) = disk_with(b"oooo");
    write(&file, b"1111", 0).unwrap();
    disk.inject(Fault::on(Op::Sync).losing(Loss::Everything));
    file.sync().unwrap_err();
    write(&file, b"22", 1).unwrap();
    file.sync().unwrap();
    disk.reboot_as(Survival::Nothing);
    assert_eq!(disk.bytes("a").unwrap(), b"o22o");
}

#[test]
fn failed_sync_that_loses_nothing_can_be_repeated() {
    let (disk, file) = disk_with(b"old");
    write(&file, b"new", 0).unwrap();
    disk.inject(Fault::on(Op::Sync).losing(Loss::Nothing));
    file.sync().unwrap_err();
    assert_eq!(disk.durable_bytes("a").unwrap(), b"old");
    file.sync().unwrap();
    assert_eq!(disk.durable_bytes("a").unwrap(), b"new");
}

#[test]
fn failed_sync_left_to_chance_loses_any_of_the_writes_it_was_for() {
    let all = [*b"oo", *b"1o", *b"o2", *b"12"];
    let after_the_next = |seed| {
        let disk = SimDisk::new(seed);
        disk.plant("a", b"oo").unwrap();
        let file = open(&disk, "a");
        write(&file, b"1", 0).unwrap();
        write(&file, b"2", 1).unwrap();
        disk.inject(Fault::on(Op::Sync));
        file.sync().unwrap_err();
        assert_eq!(disk.bytes("a").unwrap(), b"12");
        file.sync().unwrap();
        disk.reboot_as(Survival::Nothing);
        disk.bytes("a").unwrap().try_into().unwrap()
    };
    all_come_up(&all, after_the_next);
}

#[test]
fn failed_sync_of_a_directory_makes_some_names_durable_and_leaves_the_rest() {
    let all = [vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]];
    let seen = outcomes(&all, |seed| {
        let disk = SimDisk::new(seed);
        drop((create(&disk, "a"), create(&disk, "b")));
        disk.inject(Fault::on(Op::SyncDir));
        assert_eq!(raw_os_error(&disk.sync_dir(Path::new("")).unwrap_err()), EIO);
        let after = disk.snapshot();
        disk.reboot_as(Survival::Nothing);

        let again = SimDisk::from_snapshot(&after, seed);
        sync_dir(&again, "");
        again.reboot_as(Survival::Nothing);
        assert_eq!(again.files(), ["a", "b"]);
        disk.files()
    });
    assert!(!seen.contains(&0), "{seen:?}");
}

#[test]
fn error_number_of_a_fault_can_be_chosen() {
    let disk = SimDisk::new(1);
    disk.inject(Fault::on(Op::Create).with_errno(13));
    let error = disk.open(Path::new("a"), Open::Create).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}
