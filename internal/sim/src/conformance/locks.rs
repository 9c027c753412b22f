//! What a lock promises.

use std::path::Path;

use pubsub_disk::{Disk, LockError};

use super::{ROOT, content_of, file_with, make_dir, names};

pub(super) fn lock_is_held_by_one(disk: &dyn Disk) {
    let path = Path::new("LOCK");
    let lock = disk.lock(path).expect("it is free");
    for _ in 0..2 {
        let error = disk.lock(path).expect_err("it is held");
        let LockError::Held { path: shown, pid } = &error else { unreachable!("{error:?}") };
        assert!(shown.ends_with(path));
        let pid = pid.expect("the owner has said who it is");
        assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
    }
    drop(lock);
    let lock = disk.lock(path).expect("it was released");
    disk.lock(path).expect_err("it is held again");
    drop(lock);
}

pub(super) fn lock_writes_who_holds_it(disk: &dyn Disk) {
    drop(file_with(disk, "LOCK", b"a much longer line of someone before\n"));
    let _lock = disk.lock(Path::new("LOCK")).expect("a file alone does not hold it");
    let text = String::from_utf8(content_of(disk, "LOCK")).expect("it is text");
    let pid: u32 = text.strip_suffix('\n').and_then(|pid| pid.parse().ok()).expect("a number");
    assert!(pid > 0);
    assert_eq!(names(disk, ROOT), ["LOCK"]);
}

pub(super) fn locks_on_different_files_are_independent(disk: &dyn Disk) {
    make_dir(disk, "d");
    let _one = disk.lock(Path::new("LOCK")).expect("it is free");
    let _two = disk.lock(Path::new("d/LOCK")).expect("it is another");
}

pub(super) fn lock_needs_a_plain_path_to_a_file(disk: &dyn Disk) {
    make_dir(disk, "d");
    for path in ["", "d", "d/../LOCK", "/LOCK", "none/LOCK"] {
        let error = disk.lock(Path::new(path)).expect_err("it cannot be locked");
        assert!(matches!(error, LockError::Io { .. }), "{path:?}: {error:?}");
    }
    assert_eq!(names(disk, ROOT), ["d"]);
}
