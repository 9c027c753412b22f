//! What an open file promises.

use std::error::Error;
use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::thread;

use pubsub_disk::{Disk, DiskError, Open, Operation};

use super::{content, content_of, create, file_with, refused, write};

pub(super) fn what_is_written_is_read(disk: &dyn Disk) {
    let file = create(disk, "a");
    assert!(file.is_empty().expect("a length"));
    write(&*file, b"hello", 0);
    write(&*file, b" world", 5);
    assert_eq!(content(&*file), b"hello world");
    assert_eq!(file.len().expect("a length"), 11);

    let mut middle = [0; 5];
    assert_eq!(file.read_at(&mut middle, 3).expect("a read"), 5);
    assert_eq!(&middle, b"lo wo");
    file.sync().expect("a sync");
    drop(file);
    assert_eq!(content_of(disk, "a"), b"hello world");

    let file = disk.open(Path::new("a"), Open::Write).expect("the file is there");
    write(&*file, b"J", 0);
    assert_eq!(content_of(disk, "a"), b"Jello world");
}

pub(super) fn parts_are_written_behind_one_another_however_many(disk: &dyn Disk) {
    for count in [0, 1, 2, 16, 17, 1_024, 1_025, 5_000] {
        let bytes: Vec<u8> = (0..=250).cycle().take(count * 3).collect();
        let mut parts = Vec::new();
        for part in bytes.chunks(3) {
            // Lengths 3, 0, and 1 with 2.
            match parts.len() % 4 {
                0 => parts.push(IoSlice::new(part)),
                1 => parts.extend([IoSlice::new(b""), IoSlice::new(part)]),
                _ => parts.extend([IoSlice::new(&part[..1]), IoSlice::new(&part[1..])]),
            }
        }
        let file = file_with(disk, &format!("f{count}"), b"before ");
        file.write_at(&parts, 7).expect("a write");
        assert_eq!(content(&*file), [b"before ", bytes.as_slice()].concat(), "{count} parts");
    }
}

pub(super) fn read_is_short_only_at_the_end(disk: &dyn Disk) {
    let file = file_with(disk, "a", &[1; 100_000]);
    let mut buf = vec![0; 100_000];
    assert_eq!(file.read_at(&mut buf, 0).expect("a read"), 100_000);
    assert_eq!(file.read_at(&mut buf, 99_998).expect("a read"), 2);
    assert_eq!(file.read_at(&mut buf, 100_000).expect("a read"), 0);
    assert_eq!(file.read_at(&mut buf, 1 << 40).expect("a read"), 0);
    assert_eq!(file.read_at(&mut [], 0).expect("a read"), 0);
}

pub(super) fn write_beyond_the_end_leaves_zeros(disk: &dyn Disk) {
    let file = file_with(disk, "a", b"start");
    write(&*file, b"end", 10_000);
    let expected = [b"start".as_slice(), &[0; 9_995], b"end"].concat();
    assert_eq!(content(&*file), expected);
}

pub(super) fn writing_nothing_changes_nothing(disk: &dyn Disk) {
    let file = file_with(disk, "a", b"abc");
    file.write_at(&[], 9).expect("a write");
    file.write_at(&[IoSlice::new(b""), IoSlice::new(b"")], 9).expect("a write");
    assert_eq!(content(&*file), b"abc");
}

pub(super) fn overwriting_keeps_the_rest(disk: &dyn Disk) {
    let file = file_with(disk, "a", b"0123456789");
    write(&*file, b"ab", 4);
    assert_eq!(content(&*file), b"0123ab6789");
    write(&*file, b"xyz", 8);
    assert_eq!(content(&*file), b"0123ab67xyz");
}

pub(super) fn set_len_cuts_and_extends_with_zeros(disk: &dyn Disk) {
    let file = file_with(disk, "a", b"0123456789");
    file.set_len(4).expect("a cut");
    assert_eq!(content(&*file), b"0123");
    file.set_len(8).expect("an extension");
    assert_eq!(content(&*file), b"0123\0\0\0\0", "what was cut off does not come back");
    write(&*file, b"z", 9);
    assert_eq!(content(&*file), b"0123\0\0\0\0\0z");
    file.set_len(0).expect("a cut");
    assert!(file.is_empty().expect("a length"));
}

pub(super) fn file_opened_to_be_read_cannot_be_changed(disk: &dyn Disk) {
    drop(file_with(disk, "a", b"abc"));
    let file = disk.open(Path::new("a"), Open::Read).expect("the file is there");
    file.write_at(&[IoSlice::new(b"x")], 0).expect_err("it is open to be read");
    file.set_len(0).expect_err("it is open to be read");
    assert_eq!(content(&*file), b"abc");
    file.sync().expect("a sync needs no writing");
}

pub(super) fn positions_no_file_can_have_are_refused(disk: &dyn Disk) {
    let file = file_with(disk, "a", b"abc");
    for at in [u64::MAX, 1 << 63] {
        refused(file.read_at(&mut [0; 4], at), ErrorKind::InvalidInput);
        refused(file.write_at(&[IoSlice::new(b"x")], at), ErrorKind::InvalidInput);
    }
    file.write_at(&[IoSlice::new(b"xy")], (1 << 63) - 2).expect_err("no file is so long");
    file.set_len(u64::MAX).expect_err("no file is so long");
    assert_eq!(content(&*file), b"abc");
}

pub(super) fn threads_share_an_open_file(disk: &dyn Disk) {
    let file = create(disk, "a");
    thread::scope(|scope| {
        for number in 0..4 {
            let file = &*file;
            scope.spawn(move || {
                for round in 0..50 {
                    write(file, &[number; 100], (round * 4 + u64::from(number)) * 100);
                }
            });
        }
    });
    let all = content(&*file);
    assert_eq!(all.len(), 4 * 50 * 100);
    for (index, chunk) in all.chunks(100).enumerate() {
        assert!(chunk.iter().all(|&byte| usize::from(byte) == index % 4), "chunk {index}");
    }
}

pub(super) fn error_of_a_file_names_it_and_what_was_done(disk: &dyn Disk) {
    drop(file_with(disk, "some.log", b"abc"));
    let file = disk.open(Path::new("some.log"), Open::Read).expect("the file is there");
    let parts = [IoSlice::new(b"12"), IoSlice::new(b"345")];
    let error = file.write_at(&parts, 7).expect_err("it is open to be read");
    let text = error.to_string();
    assert!(text.starts_with("write 5 bytes at 7 to "), "{text}");
    assert!(text.ends_with("some.log"), "{text}");
    assert!(error.source().is_some(), "the cause is behind it");

    let inside = DiskError::of(&error).expect("every error has one inside");
    assert_eq!(inside.operation, Operation::Write { at: 7, len: 5 });
    assert!(inside.path.ends_with("some.log"));
    assert_eq!(inside.source.kind(), error.kind());
}
