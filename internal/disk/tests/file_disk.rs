//! What only a directory of the machine can get wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::ffi::OsStr;
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;
use std::{env, fs, thread};

use pubsub_disk::{Disk, DiskError, EntryKind, FileDisk, LockError, Open};
use tempfile::TempDir;

/// A directory with the file "file" in it, opened as the kernel allows, and name by name.
fn disks() -> [(TempDir, FileDisk); 2] {
    [false, true].map(|walking| {
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        let disk = if walking { disk.walking() } else { disk };
        put(&disk, "file", b"content");
        (dir, disk)
    })
}

fn put(disk: &FileDisk, path: &str, bytes: &[u8]) {
    let file = disk.open(Path::new(path), Open::Create).unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
}

fn names(disk: &FileDisk, dir: &str) -> Vec<String> {
    disk.list(Path::new(dir)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn kind_of<T>(answer: io::Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

#[test]
fn no_symbolic_link_is_followed_out_of_the_directory_or_within_it() {
    for (dir, disk) in disks() {
        let (outside_dir, outside) = {
            let dir = tempfile::tempdir().unwrap();
            let disk = FileDisk::open(dir.path()).unwrap();
            (dir, disk)
        };
        put(&outside, "victim", b"precious");
        disk.create_dir(Path::new("inside")).unwrap();
        put(&disk, "inside/victim", b"precious");
        let relative = Path::new("..").join(outside_dir.path().file_name().unwrap());
        for target in [outside_dir.path(), &relative, Path::new("inside")] {
            let link = dir.path().join("link");
            symlink(target, &link).unwrap();
            symlink(target.join("victim"), dir.path().join("file-link")).unwrap();

            let refused = Some(ErrorKind::InvalidInput);
            for path in ["link/victim", "file-link"] {
                assert_eq!(kind_of(disk.open(Path::new(path), Open::Read)), refused, "{path}");
                assert_eq!(kind_of(disk.open(Path::new(path), Open::Write)), refused, "{path}");
            }
            let (new, victim) = (Path::new("link/new"), Path::new("link/victim"));
            assert_eq!(kind_of(disk.open(new, Open::Create)), refused);
            assert_eq!(kind_of(disk.list(Path::new("link"))), refused);
            assert_eq!(kind_of(disk.sync_dir(Path::new("link"))), refused);
            assert_eq!(kind_of(disk.create_dir(new)), refused);
            assert_eq!(kind_of(disk.remove_file(victim)), refused);
            assert_eq!(kind_of(disk.rename(Path::new("file"), new)), refused);
            assert_eq!(kind_of(disk.rename(victim, Path::new("stolen"))), refused);
            for path in ["link/LOCK", "file-link"] {
                let error = disk.lock(Path::new(path)).unwrap_err();
                assert!(matches!(error, LockError::Io { .. }), "{error:?}");
            }

            let entry = disk.list(Path::new("")).unwrap().into_iter().find(|e| e.name == "link");
            let entry = entry.unwrap();
            assert_eq!((entry.kind, entry.len), (EntryKind::Other, 0));
            // The links themselves are names like others.
            disk.rename(Path::new("file-link"), Path::new("moved")).unwrap();
            disk.remove_file(Path::new("moved")).unwrap();
            disk.remove_file(Path::new("link")).unwrap();
        }
        for (disk, victim) in [(&outside, "victim"), (&disk, "inside/victim")] {
            let file = disk.open(Path::new(victim), Open::Read).unwrap();
            assert_eq!(file.len().unwrap(), 8);
        }
        assert_eq!(names(&outside, ""), ["victim"]);
        assert_eq!(names(&disk, ""), ["file", "inside"]);
        assert_eq!(names(&disk, "inside"), ["victim"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn pipe_in_the_directory_is_refused_and_not_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    for (dir, disk) in disks() {
        mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for how in [Open::Read, Open::Write] {
            let error = disk.open(Path::new("pipe"), how).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(disk.list(Path::new("")).unwrap()[1].kind, EntryKind::Other);
        disk.lock(Path::new("pipe")).unwrap_err();
    }
}

#[test]
fn missing_directories_are_made_on_the_way_to_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b/c");
    assert_eq!(kind_of(FileDisk::open(&root)), Some(ErrorKind::NotFound));
    put(&FileDisk::create(&root).unwrap(), "file", b"1");
    let again = FileDisk::create(&root).unwrap();
    assert_eq!(names(&again, ""), ["file"]);
    let mode = fs::metadata(&root).unwrap().permissions().mode();
    assert_eq!(mode & 0o7022, 0, "{mode:o}");

    let error = FileDisk::create(root.join("file/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    assert!(error.to_string().starts_with("create the directory /"), "{error}");
    let error = FileDisk::create(root.join("file")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);

    symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    FileDisk::create(dir.path().join("dangling/x")).unwrap_err();
}

#[test]
fn error_of_a_directory_that_cannot_be_opened_tells_which() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("none");
    let error = FileDisk::open(&root).unwrap_err();
    assert_eq!(error.to_string(), format!("open the directory {}", root.display()));
}

#[test]
fn error_names_the_whole_path_with_the_root() {
    for (dir, disk) in disks() {
        let error = disk.open(Path::new("d/none"), Open::Read).unwrap_err();
        let path = dir.path().join("d/none");
        assert_eq!(error.to_string(), format!("open {}", path.display()));
        assert_eq!(DiskError::of(&error).unwrap().path, path);
        let file = disk.open(Path::new("file"), Open::Read).unwrap();
        let error = file.write_at(&[IoSlice::new(b"x")], 0).unwrap_err();
        assert!(error.to_string().ends_with(dir.path().join("file").to_str().unwrap()));
    }
}

#[test]
fn renaming_the_root_while_it_is_open_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::create(dir.path().join("old")).unwrap();
    fs::create_dir(dir.path().join("new")).unwrap();
    FileDisk::open(dir.path()).unwrap().rename(Path::new("old"), Path::new("new/old")).unwrap();
    put(&disk, "file", b"1");
    assert_eq!(names(&FileDisk::open(dir.path().join("new/old")).unwrap(), ""), ["file"]);
}

#[test]
fn name_that_is_no_text_is_left_out_of_the_list() {
    for (dir, disk) in disks() {
        let foreign = dir.path().join(OsStr::from_bytes(b"\xff\xfe"));
        fs::create_dir(foreign).unwrap();
        assert_eq!(names(&disk, ""), ["file"]);
    }
}

#[test]
fn listed_time_is_when_the_content_changed() {
    for (dir, disk) in disks() {
        let entry = &disk.list(Path::new("")).unwrap()[0];
        let modified = fs::metadata(dir.path().join("file")).unwrap().modified().unwrap();
        let nanos = modified.duration_since(UNIX_EPOCH).unwrap().as_nanos();
        assert_eq!(u128::try_from(entry.modified_nanos).unwrap(), nanos);
    }
}

#[test]
fn new_files_are_readable_by_all_and_writable_by_the_owner_alone() {
    // Not to be seen behind the umask of whoever runs this, in a process that has none.
    if env::var_os("PUBSUB_TEST_NO_UMASK").is_none() {
        let name = "new_files_are_readable_by_all_and_writable_by_the_owner_alone";
        let status = Command::new("sh")
            .args(["-c", "umask 000 && exec \"$0\" --exact \"$1\""])
            .arg(env::current_exe().unwrap())
            .arg(name)
            .env("PUBSUB_TEST_NO_UMASK", "1")
            .stdout(Stdio::null())
            .status();
        return assert!(status.unwrap().success());
    }
    for (dir, disk) in disks() {
        disk.create_dir(Path::new("d")).unwrap();
        drop(disk.lock(Path::new("LOCK")).unwrap());
        for (name, mode) in [("file", 0o644), ("LOCK", 0o644), ("d", 0o755)] {
            let found = fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{name}: {found:o}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn open_files_are_not_inherited_by_other_programs() {
    for (dir, disk) in disks() {
        let _file = disk.open(Path::new("file"), Open::Write).unwrap();
        let _lock = disk.lock(Path::new("LOCK")).unwrap();
        let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(text.contains("->"), "{text}");
        assert!(!text.contains(dir.path().to_str().unwrap()), "{text}");
    }
}

#[test]
fn files_coming_and_going_do_not_disturb_a_list() {
    for (_dir, disk) in disks() {
        disk.create_dir(Path::new("d")).unwrap();
        thread::scope(|scope| {
            let busy = scope.spawn(|| {
                for round in 0..500 {
                    let path = format!("d/{round}");
                    put(&disk, &path, b"x");
                    disk.remove_file(Path::new(&path)).unwrap();
                }
            });
            while !busy.is_finished() {
                assert!(names(&disk, "d").len() <= 2);
            }
        });
    }
}

#[test]
fn large_write_in_many_parts_is_read_back() {
    let (_dir, disk) = &disks()[0];
    let bytes: Vec<u8> = (0..=250).cycle().take(5_000_000).collect();
    let parts: Vec<IoSlice<'_>> = bytes.chunks(1_000).map(IoSlice::new).collect();
    let file = disk.open(Path::new("large"), Open::Create).unwrap();
    file.write_at(&parts, 3).unwrap();
    file.sync().unwrap();
    let mut read = vec![0; bytes.len() + 10];
    assert_eq!(file.read_at(&mut read, 3).unwrap(), bytes.len());
    assert!(read[..bytes.len()] == bytes);
}
