//! What directories promise, apart from durability.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pubsub_disk::{Disk, DiskError, EntryKind, Open, Operation};

use super::{ROOT, content, content_of, create, file_with, make_dir, names, refused, write};

pub(super) fn opening_finds_makes_or_refuses(disk: &dyn Disk) {
    for how in [Open::Read, Open::Write] {
        refused(disk.open(Path::new("a"), how), ErrorKind::NotFound);
        refused(disk.open(Path::new("none/a"), how), ErrorKind::NotFound);
    }
    refused(disk.open(Path::new("none/a"), Open::Create), ErrorKind::NotFound);
    assert!(names(disk, ROOT).is_empty(), "what failed made nothing");

    drop(file_with(disk, "a", b"first"));
    refused(disk.open(Path::new("a"), Open::Create), ErrorKind::AlreadyExists);
    refused(disk.open(Path::new("a/b"), Open::Read), ErrorKind::NotADirectory);
    refused(disk.open(Path::new("a/b"), Open::Create), ErrorKind::NotADirectory);
    assert_eq!(content_of(disk, "a"), b"first");
}

pub(super) fn directory_is_not_opened_as_a_file(disk: &dyn Disk) {
    make_dir(disk, "d");
    refused(disk.open(Path::new("d"), Open::Read), ErrorKind::IsADirectory);
    refused(disk.open(Path::new("d"), Open::Write), ErrorKind::IsADirectory);
    refused(disk.open(Path::new("d"), Open::Create), ErrorKind::AlreadyExists);
}

pub(super) fn list_is_sorted_and_tells_kind_and_length(disk: &dyn Disk) {
    make_dir(disk, "m");
    for name in ["z", "B", "a", "m/inside", "ä", "10", "9", ".hidden"] {
        drop(file_with(disk, name, name.as_bytes()));
    }
    let entries = disk.list(Path::new(ROOT)).expect("the root is there");
    let found: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.kind, e.len)).collect();
    let file = |name: &'static str| (name, EntryKind::File, name.len() as u64);
    let expected = [
        file(".hidden"),
        file("10"),
        file("9"),
        file("B"),
        file("a"),
        ("m", EntryKind::Dir, 0),
        file("z"),
        file("ä"),
    ];
    assert_eq!(found, expected);
    assert_eq!(names(disk, "m"), ["inside"]);
}

pub(super) fn list_of_what_is_no_directory_is_an_error(disk: &dyn Disk) {
    drop(create(disk, "f"));
    refused(disk.list(Path::new("none")), ErrorKind::NotFound);
    refused(disk.list(Path::new("f")), ErrorKind::NotADirectory);
}

pub(super) fn directories_are_made_one_at_a_time(disk: &dyn Disk) {
    refused(disk.create_dir(Path::new("a/b")), ErrorKind::NotFound);
    make_dir(disk, "a");
    make_dir(disk, "a/b");
    refused(disk.create_dir(Path::new("a")), ErrorKind::AlreadyExists);
    drop(create(disk, "a/b/f"));
    refused(disk.create_dir(Path::new("a/b/f")), ErrorKind::AlreadyExists);
    refused(disk.create_dir(Path::new("a/b/f/g")), ErrorKind::NotADirectory);
}

pub(super) fn only_empty_directories_are_removed(disk: &dyn Disk) {
    make_dir(disk, "a");
    make_dir(disk, "a/b");
    drop(create(disk, "f"));
    refused(disk.remove_dir(Path::new("a")), ErrorKind::DirectoryNotEmpty);
    refused(disk.remove_dir(Path::new("none")), ErrorKind::NotFound);
    refused(disk.remove_dir(Path::new("f")), ErrorKind::NotADirectory);
    disk.remove_dir(Path::new("a/b")).expect("it is empty");
    disk.remove_dir(Path::new("a")).expect("it is empty now");
    assert_eq!(names(disk, ROOT), ["f"]);
}

pub(super) fn removed_file_is_read_by_those_who_have_it_open(disk: &dyn Disk) {
    let file = file_with(disk, "a", b"still here");
    disk.remove_file(Path::new("a")).expect("it is there");
    refused(disk.remove_file(Path::new("a")), ErrorKind::NotFound);
    refused(disk.open(Path::new("a"), Open::Read), ErrorKind::NotFound);
    write(&*file, b"!", 10);
    assert_eq!(content(&*file), b"still here!");

    drop(file_with(disk, "a", b"another"));
    assert_eq!(content(&*file), b"still here!", "a new file of the name is another file");

    make_dir(disk, "d");
    disk.remove_file(Path::new("d")).expect_err("it is a directory");
    assert_eq!(names(disk, ROOT), ["a", "d"]);
}

pub(super) fn rename_replaces_a_file(disk: &dyn Disk) {
    make_dir(disk, "d");
    let old = file_with(disk, "d/old", b"old");
    let new = file_with(disk, "new", b"new");
    disk.rename(Path::new("new"), Path::new("d/old")).expect("files replace files");
    assert_eq!(names(disk, ROOT), ["d"]);
    assert_eq!(names(disk, "d"), ["old"]);
    assert_eq!(content_of(disk, "d/old"), b"new");
    assert_eq!(content(&*old), b"old", "those who have it open keep the old one");
    write(&*new, b"!", 3);
    assert_eq!(content_of(disk, "d/old"), b"new!", "those who have the new one open keep that");
    disk.rename(Path::new("d/old"), Path::new("d/old")).expect("its own name is no change");
    assert_eq!(content_of(disk, "d/old"), b"new!");
}

pub(super) fn rename_moves_a_directory_with_all_in_it(disk: &dyn Disk) {
    make_dir(disk, "a");
    make_dir(disk, "a/b");
    make_dir(disk, "trash");
    make_dir(disk, "empty");
    let file = file_with(disk, "a/b/f", b"inside");
    disk.rename(Path::new("a"), Path::new("trash/a")).expect("directories move");
    assert_eq!(content_of(disk, "trash/a/b/f"), b"inside");
    write(&*file, b"!", 6);
    assert_eq!(content_of(disk, "trash/a/b/f"), b"inside!");
    disk.rename(Path::new("trash/a/b"), Path::new("empty")).expect("empty ones are replaced");
    assert_eq!(content_of(disk, "empty/f"), b"inside!");
}

pub(super) fn rename_refuses_what_makes_no_sense(disk: &dyn Disk) {
    make_dir(disk, "d");
    make_dir(disk, "full");
    drop(create(disk, "full/f"));
    drop(create(disk, "f"));
    let rename = |from: &str, to: &str| disk.rename(Path::new(from), Path::new(to));
    refused(rename("none", "x"), ErrorKind::NotFound);
    refused(rename("f", "none/x"), ErrorKind::NotFound);
    refused(rename("f", "f/x"), ErrorKind::NotADirectory);
    refused(rename("f", "d"), ErrorKind::IsADirectory);
    refused(rename("d", "f"), ErrorKind::NotADirectory);
    refused(rename("d", "full"), ErrorKind::DirectoryNotEmpty);
    refused(rename("full", "full/x"), ErrorKind::InvalidInput);
    assert_eq!(names(disk, ROOT), ["d", "f", "full"], "what failed changed nothing");
    assert_eq!(names(disk, "full"), ["f"]);
}

pub(super) fn names_are_made_durable_where_there_is_a_directory(disk: &dyn Disk) {
    make_dir(disk, "d");
    drop(create(disk, "d/f"));
    disk.sync_dir(Path::new(ROOT)).expect("the root is a directory");
    disk.sync_dir(Path::new("d")).expect("it is a directory");
    refused(disk.sync_dir(Path::new("d/f")), ErrorKind::NotADirectory);
    refused(disk.sync_dir(Path::new("none")), ErrorKind::NotFound);
}

pub(super) fn paths_that_are_not_plain_are_refused_everywhere(disk: &dyn Disk) {
    make_dir(disk, "d");
    drop(create(disk, "d/f"));
    let foreign = Path::new(OsStr::from_bytes(b"d/\xff"));
    let texts = ["/", "/d/f", ".", "..", "d/..", "d/../d/f", "d/.", "./d/f", "d//f", "d/", "d/f/"];
    let paths = texts.iter().map(Path::new).chain([foreign, Path::new("d/\0"), Path::new("")]);
    let good = Path::new("d/f");
    for path in paths {
        let is_root = path == Path::new("");
        for how in [Open::Read, Open::Write, Open::Create] {
            refused(disk.open(path, how), ErrorKind::InvalidInput);
        }
        refused(disk.create_dir(path), ErrorKind::InvalidInput);
        refused(disk.remove_file(path), ErrorKind::InvalidInput);
        refused(disk.remove_dir(path), ErrorKind::InvalidInput);
        refused(disk.rename(path, Path::new("x")), ErrorKind::InvalidInput);
        refused(disk.rename(good, path), ErrorKind::InvalidInput);
        if !is_root {
            refused(disk.list(path), ErrorKind::InvalidInput);
            refused(disk.sync_dir(path), ErrorKind::InvalidInput);
        }
    }
    assert_eq!(names(disk, ROOT), ["d"]);
    assert_eq!(names(disk, "d"), ["f"]);
}

pub(super) fn name_of_255_bytes_is_the_longest(disk: &dyn Disk) {
    let longest = "n".repeat(255);
    drop(create(disk, &longest));
    assert_eq!(names(disk, ROOT), [longest.as_str()]);
    let longer = "n".repeat(256);
    refused(disk.open(Path::new(&longer), Open::Create), ErrorKind::InvalidFilename);
    refused(disk.open(Path::new(&longer), Open::Read), ErrorKind::InvalidFilename);
    refused(disk.create_dir(Path::new(&longer)), ErrorKind::InvalidFilename);
    refused(disk.rename(Path::new(&longest), Path::new(&longer)), ErrorKind::InvalidFilename);
}

pub(super) fn space_makes_sense(disk: &dyn Disk) {
    let space = disk.space().expect("it is known");
    assert!(space.total_bytes > 0);
    assert!(space.free_bytes <= space.total_bytes);
}

pub(super) fn error_of_a_name_names_it_and_what_was_done(disk: &dyn Disk) {
    let gone = Path::new("some/where");
    let answers = [
        (disk.open(gone, Open::Read).map(drop), "open "),
        (disk.open(gone, Open::Create).map(drop), "create "),
        (disk.list(gone).map(drop), "list "),
        (disk.create_dir(gone), "create the directory "),
        (disk.sync_dir(gone), "sync the directory "),
        (disk.remove_file(gone), "remove "),
        (disk.remove_dir(gone), "remove the directory "),
        (disk.rename(gone, Path::new("to")), "rename "),
    ];
    for (answer, start) in answers {
        let error = answer.expect_err("there is no such directory");
        let text = error.to_string();
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("some/where"), "{text}");
        let inside = DiskError::of(&error).expect("every error has one inside");
        assert!(inside.path.ends_with(gone));
        if let Operation::Rename { to } = &inside.operation {
            assert!(to.ends_with("to"), "{text}");
        }
    }
}
