//! Damage done on purpose to files at rest.

use std::io::ErrorKind;
use std::path::Path;

use pubsub_disk::{Disk, raw_os_error};
use pubsub_sim::{Corruption, SimDisk, Survival};

use super::{create, open, write};

#[test]
fn damage_is_seen_at_once_and_survives() {
    let cases: [(Corruption, &[u8]); 5] = [
        (Corruption::FlipBit { at: 1, bit: 0 }, b"0023456789"),
        (Corruption::Zero { range: 2..4 }, b"01\x00\x00456789"),
        (Corruption::Zero { range: 8..99 }, b"01234567\0\0"),
        (Corruption::Truncate { len: 3 }, b"012"),
        (Corruption::Append { bytes: b"tail".to_vec() }, b"0123456789tail"),
    ];
    for (corruption, expected) in cases {
        let disk = SimDisk::new(1);
        disk.plant("d/a", b"0123456789").unwrap();
        disk.corrupt("d/a", &corruption).unwrap();
        assert_eq!(disk.bytes("d/a").unwrap(), expected, "{corruption:?}");
        disk.reboot_as(Survival::Nothing);
        assert_eq!(disk.bytes("d/a").unwrap(), expected, "{corruption:?}");
    }
}

#[test]
fn damage_to_what_is_not_there_is_refused() {
    let disk = SimDisk::new(1);
    disk.plant("d/a", b"0123456789").unwrap();
    let corrupt = |path, corruption| disk.corrupt(path, &corruption).unwrap_err().kind();
    let flip = |at| Corruption::FlipBit { at, bit: 7 };
    assert_eq!(corrupt("none", flip(0)), ErrorKind::NotFound);
    assert_eq!(corrupt("d", flip(0)), ErrorKind::IsADirectory);
    assert_eq!(corrupt("d/a", flip(10)), ErrorKind::InvalidInput);
    assert_eq!(corrupt("d/a", Corruption::Truncate { len: 11 }), ErrorKind::InvalidInput);
    assert_eq!(corrupt("d/a", Corruption::Zero { range: 11..12 }), ErrorKind::InvalidInput);
    assert_eq!(corrupt("d/a", Corruption::Unreadable { range: 9..11 }), ErrorKind::InvalidInput);
    assert_eq!(corrupt("d/b", Corruption::Delete), ErrorKind::NotFound);
    assert_eq!(disk.bytes("d/a").unwrap(), b"0123456789");
}

#[test]
fn deleted_file_stays_deleted() {
    for survival in [Survival::Nothing, Survival::Everything] {
        let disk = SimDisk::new(1);
        disk.plant("a", b"old").unwrap();
        drop(create(&disk, "b"));
        for path in ["a", "b"] {
            disk.corrupt(path, &Corruption::Delete).unwrap();
        }
        assert!(disk.files().is_empty());
        disk.reboot_as(survival);
        assert!(disk.files().is_empty());
    }
}

#[test]
fn unreadable_part_fails_every_read_of_it_until_it_is_written_again() {
    let disk = SimDisk::new(1);
    disk.plant("a", &[7; 100]).unwrap();
    disk.corrupt("a", &Corruption::Unreadable { range: 40..60 }).unwrap();
    disk.reboot(1);
    let file = open(&disk, "a");
    let mut buf = [0; 10];
    assert_eq!(file.read_at(&mut buf, 30).unwrap(), 10);
    assert_eq!(file.read_at(&mut buf, 60).unwrap(), 10);
    for at in [31, 45, 59] {
        assert_eq!(raw_os_error(&file.read_at(&mut buf, at).unwrap_err()), Some(5));
    }
    write(&file, &[8; 15], 40).unwrap();
    assert_eq!(file.read_at(&mut buf, 45).unwrap(), 10);
    file.read_at(&mut buf, 46).unwrap_err();
}

#[test]
fn planted_file_was_always_there() {
    let disk = SimDisk::new(1);
    disk.plant("x/y/f", b"fixture").unwrap();
    disk.plant("x/g", b"another").unwrap();
    assert_eq!(disk.plant("x/g", b"").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.plant("x/g/h", b"").unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.plant("../f", b"").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.steps(), 0);
    disk.reboot_as(Survival::Nothing);
    assert_eq!(disk.files(), ["x/g", "x/y/f"]);
    assert_eq!(disk.bytes("x/y/f").unwrap(), b"fixture");
    assert_eq!(disk.list(Path::new("x")).unwrap().len(), 2);
}
