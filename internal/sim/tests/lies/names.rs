//! What a power cut does to names.

use std::path::Path;

use pubsub_disk::Disk;
use pubsub_sim::{Directories, SimDisk, Survival};

use super::{all_come_up, create, open, outcomes, remove, rename, sync_dir, write};

fn files_after(disk: &SimDisk, seed: u64) -> Vec<String> {
    disk.reboot(seed);
    disk.files()
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn file_whose_name_was_never_synced_vanishes_though_its_content_was() {
    let run = |seed| {
        let disk = SimDisk::new(1);
        let file = create(&disk, "a");
        write(&file, b"synced", 0).unwrap();
        file.sync().unwrap();
        disk.reboot(seed);
        disk.bytes("a")
    };
    all_come_up(&[None, Some(b"synced".to_vec())], run);
}

#[test]
fn synced_name_is_never_lost_whatever_became_of_the_content() {
    all_come_up(&[true, false], |seed| {
        let disk = SimDisk::new(1);
        let file = create(&disk, "a");
        write(&file, b"not synced", 0).unwrap();
        sync_dir(&disk, "");
        disk.reboot(seed);
        disk.bytes("a").expect("the name was synced") == b"not synced"
    });
}

#[test]
fn names_in_a_directory_are_lost_with_its_own() {
    let run = |parent_synced: bool, seed| {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("d")).unwrap();
        let file = create(&disk, "d/f");
        file.sync().unwrap();
        sync_dir(&disk, "d");
        if parent_synced {
            sync_dir(&disk, "");
        }
        files_after(&disk, seed)
    };
    all_come_up(&[list(&[]), list(&["d/f"])], |seed| run(false, seed));
    all_come_up(&[list(&["d/f"])], |seed| run(true, seed));
}

#[test]
fn unsynced_names_are_lost_each_by_itself() {
    let all = [list(&[]), list(&["a"]), list(&["b"]), list(&["a", "b"])];
    all_come_up(&all, |seed| {
        let disk = SimDisk::new(1);
        drop((create(&disk, "a"), create(&disk, "b")));
        files_after(&disk, seed)
    });
}

#[test]
fn journal_loses_only_the_last_names() {
    let all = [list(&[]), list(&["a"]), list(&["a", "b"])];
    all_come_up(&all, |seed| {
        let disk = SimDisk::new(1);
        disk.set_directories(Directories::Ext4Like);
        drop((create(&disk, "a"), create(&disk, "b")));
        files_after(&disk, seed)
    });
}

#[test]
fn journal_keeps_the_name_of_a_synced_new_file_and_all_before_it() {
    all_come_up(&[list(&["a", "b"]), list(&["a", "b", "c"])], |seed| {
        let disk = SimDisk::new(1);
        disk.set_directories(Directories::Ext4Like);
        drop(create(&disk, "a"));
        let file = create(&disk, "b");
        drop(create(&disk, "c"));
        file.sync().unwrap();
        files_after(&disk, seed)
    });
}

#[test]
fn removal_that_was_not_synced_may_come_undone() {
    let run = |synced: bool, seed| {
        let disk = SimDisk::new(1);
        disk.plant("a", b"old").unwrap();
        remove(&disk, "a");
        if synced {
            sync_dir(&disk, "");
        }
        disk.reboot(seed);
        disk.bytes("a")
    };
    all_come_up(&[None, Some(b"old".to_vec())], |seed| run(false, seed));
    all_come_up(&[None], |seed| run(true, seed));
}

#[test]
fn rename_over_a_file_leaves_the_old_or_the_new_and_never_neither() {
    for directories in [Directories::Strict, Directories::Ext4Like] {
        let before = (list(&["f", "tmp"]), b"old".to_vec());
        let after = (list(&["f"]), b"new".to_vec());
        all_come_up(&[before, after], |seed| {
            let disk = SimDisk::new(1);
            disk.set_directories(directories);
            disk.plant("f", b"old").unwrap();
            let file = create(&disk, "tmp");
            write(&file, b"new", 0).unwrap();
            file.sync().unwrap();
            sync_dir(&disk, "");
            rename(&disk, "tmp", "f");
            disk.reboot(seed);
            (disk.files(), disk.bytes("f").expect("the name never goes away"))
        });
    }
}

#[test]
fn file_renamed_before_its_content_was_synced_may_replace_a_good_one_with_nothing() {
    let seen = outcomes(&[true, false], |seed| {
        let disk = SimDisk::new(1);
        disk.plant("f", b"old").unwrap();
        let file = create(&disk, "tmp");
        write(&file, b"new", 0).unwrap();
        rename(&disk, "tmp", "f");
        disk.reboot(seed);
        disk.bytes("f").expect("the name never goes away").is_empty()
    });
    assert!(!seen.contains(&0), "{seen:?}");
}

#[test]
fn rename_between_directories_waits_for_the_one_that_has_the_new_name() {
    let run = |dir: &str, seed| {
        let disk = SimDisk::new(1);
        disk.plant("from/f", b"x").unwrap();
        disk.plant("to/g", b"y").unwrap();
        rename(&disk, "from/f", "to/f");
        sync_dir(&disk, dir);
        files_after(&disk, seed)
    };
    let old = list(&["from/f", "to/g"]);
    let new = list(&["to/f", "to/g"]);
    all_come_up(&[old, new.clone()], |seed| run("from", seed));
    all_come_up(&[new], |seed| run("to", seed));
}

#[test]
fn file_renamed_before_its_name_was_reused_is_not_lost() {
    // The old content is under one of its two names, whatever else is lost.
    let old_in = |disk: &SimDisk, path| disk.bytes(path).is_some_and(|bytes| bytes == b"old");
    let seen = outcomes(&[(true, false), (false, true)], |seed| {
        let disk = SimDisk::new(1);
        disk.plant("active", b"old").unwrap();
        rename(&disk, "active", "sealed");
        drop(create(&disk, "active"));
        disk.reboot(seed);
        (old_in(&disk, "active"), old_in(&disk, "sealed"))
    });
    assert!(!seen.contains(&0), "{seen:?}");
}

#[test]
fn file_is_never_under_two_names() {
    all_come_up(&[list(&["a"]), list(&["b"]), list(&["c"])], |seed| {
        let disk = SimDisk::new(1);
        disk.plant("a", b"x").unwrap();
        rename(&disk, "a", "b");
        rename(&disk, "b", "c");
        files_after(&disk, seed)
    });
}

#[test]
fn directories_moved_into_one_another_are_not_lost() {
    for seed in super::SEEDS {
        let disk = SimDisk::new(1);
        disk.plant("a/in_a", b"x").unwrap();
        disk.plant("b/in_b", b"y").unwrap();
        rename(&disk, "a", "b/a");
        rename(&disk, "b/a", "c");
        rename(&disk, "b", "c/b");
        let files = files_after(&disk, seed);
        assert_eq!(files.len(), 2, "seed {seed}: {files:?}");
    }
}

#[test]
fn file_made_durable_under_its_new_name_is_there_after_the_old_was_reused() {
    let disk = SimDisk::new(1);
    disk.plant("a", b"first").unwrap();
    rename(&disk, "a", "b");
    let file = create(&disk, "a");
    write(&file, b"second", 0).unwrap();
    file.sync().unwrap();
    sync_dir(&disk, "");
    disk.reboot_as(Survival::Nothing);
    assert_eq!(disk.bytes("a").unwrap(), b"second");
    assert_eq!(disk.bytes("b").unwrap(), b"first");
}

#[test]
fn removed_file_that_comes_back_has_what_was_durable_of_it() {
    let disk = SimDisk::new(1);
    disk.plant("a", b"old").unwrap();
    let file = open(&disk, "a");
    write(&file, b"new", 0).unwrap();
    remove(&disk, "a");
    disk.reboot_as(Survival::Nothing);
    assert_eq!(disk.bytes("a").unwrap(), b"old");
}
