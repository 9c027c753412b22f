//! A disk that is full.

use std::path::Path;

use pubsub_disk::{Disk, is_full};
use pubsub_sim::SimDisk;

use super::{create, open, remove, write};

#[test]
fn full_disk_takes_the_part_of_a_write_that_fits() {
    let disk = SimDisk::new(1);
    disk.set_quota(Some(10));
    let file = create(&disk, "a");
    write(&file, b"123456", 0).unwrap();
    assert_eq!(disk.space().unwrap().free_bytes, 4);
    let error = write(&file, b"abcdef", 6).unwrap_err();
    assert!(is_full(&error), "{error:?}");
    assert_eq!(disk.bytes("a").unwrap(), b"123456abcd");
    assert_eq!(disk.space().unwrap().free_bytes, 0);
    assert_eq!(disk.bytes_written(), 10);
}

#[test]
fn full_disk_takes_writes_over_what_is_there() {
    let disk = SimDisk::new(1);
    disk.plant("a", b"0123456789").unwrap();
    disk.set_quota(Some(5));
    let file = open(&disk, "a");
    write(&file, b"abc", 7).unwrap();
    assert!(is_full(&write(&file, b"xyz", 9).unwrap_err()));
    assert_eq!(disk.bytes("a").unwrap(), b"0123456abx");
}

#[test]
fn room_comes_back_by_removing_cutting_and_raising_the_quota() {
    let disk = SimDisk::new(1);
    disk.set_quota(Some(10));
    let (a, b) = (create(&disk, "a"), create(&disk, "b"));
    write(&a, b"12345678", 0).unwrap();
    assert!(is_full(&write(&b, b"123", 0).unwrap_err()));
    a.set_len(7).unwrap();
    write(&b, b"123", 0).unwrap();

    remove(&disk, "a");
    assert!(is_full(&write(&b, b"4", 3).unwrap_err()), "whoever has it open keeps its room");
    drop(a);
    write(&b, b"4567890", 3).unwrap();
    assert!(is_full(&write(&b, b"1", 10).unwrap_err()));
    disk.set_quota(Some(11));
    write(&b, b"1", 10).unwrap();
}

#[test]
fn hole_takes_no_room_until_it_is_written() {
    let disk = SimDisk::new(1);
    disk.set_quota(Some(10));
    let file = create(&disk, "a");
    file.set_len(100).unwrap();
    write(&file, b"end", 200).unwrap();
    assert_eq!(disk.space().unwrap().free_bytes, 7);
    write(&file, b"1234567", 50).unwrap();
    assert!(is_full(&write(&file, b"x", 0).unwrap_err()));
    let error = write(&file, b"abcdefghi", 51).unwrap_err();
    assert!(is_full(&error));
    assert_eq!(&disk.bytes("a").unwrap()[50..60], b"1abcdef\0\0\0", "up to the first new byte");
    file.set_len(55).unwrap();
    assert_eq!(disk.space().unwrap().free_bytes, 5);
}

#[test]
fn killed_process_gives_back_the_room_of_what_it_had_open_and_removed() {
    let disk = SimDisk::new(1);
    disk.set_quota(Some(10));
    let file = create(&disk, "a");
    write(&file, b"12345678", 0).unwrap();
    remove(&disk, "a");
    assert_eq!(disk.space().unwrap().free_bytes, 2);
    disk.kill();
    assert_eq!(disk.space().unwrap().free_bytes, 10);
}

#[test]
fn disk_without_a_quota_is_large() {
    let disk = SimDisk::new(1);
    disk.plant("a", &[0; 1000]).unwrap();
    let space = disk.space().unwrap();
    assert_eq!(space.total_bytes - space.free_bytes, 1000);
    disk.remove_file(Path::new("a")).unwrap();
    assert_eq!(disk.space().unwrap().free_bytes, space.total_bytes);
}
