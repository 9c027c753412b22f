//! A note keeps what was synced whatever dies, says nothing that was never written, and stays where it
//! belongs whatever its names are.

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::io;
use std::sync::Arc;

use pubsub_disk::Disk;
use pubsub_sim::{Corruption, Fault, Op, SimDisk, Survival};
use pubsub_storage::{Executor, Job, Noted, Store, StoreOptions, inspect};
use pubsub_types::{ChannelName, Timestamp};
use uuid::Uuid;

const PLAIN: [&str; 3] = ["links", "hub:7740", "orders"];

struct Nobody;

impl Executor for Nobody {
    fn submit(&self, _job: Job) {}
}

fn open(disk: &SimDisk) -> Arc<Store> {
    let on: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open(on, Arc::new(Nobody), StoreOptions::default(), Uuid::from_u128(1)).unwrap()
}

fn content(text: &str) -> Noted {
    Noted::Content(text.as_bytes().to_vec())
}

#[test]
fn a_note_is_found_again_by_any_names_and_leaves_its_directory_by_none() {
    let long = "ä".repeat(120);
    let longer = long.clone() + "b";
    let names: [&[&str]; 7] = [
        &PLAIN,
        &["links", "../../etc", "."],
        &["links", "..", "a/b", "%2F"],
        &["links", "a\nb", "\0"],
        &["links", &long, &longer],
        &["links", &longer, &long],
        &["coverage", &long],
    ];
    let disk = SimDisk::new(1);
    let store = open(&disk);
    for names in names {
        let note = store.note(names).unwrap();
        assert_eq!(note.load().unwrap(), Noted::Nothing);
        note.store(names.join("/").as_bytes()).unwrap();
    }
    store.close().unwrap();
    drop(store);
    for file in disk.files() {
        let known = ["links/", "coverage/", "NODE.", "LOCK"];
        assert!(known.iter().any(|start| file.starts_with(start)), "{file}");
        assert!(file.split('/').all(|part| part.len() <= 255 && !part.starts_with('.')), "{file}");
    }
    let store = open(&disk);
    for names in names {
        assert_eq!(store.note(names).unwrap().load().unwrap(), content(&names.join("/")));
    }
    let mut expected = names[..6].to_vec();
    expected.sort();
    assert_eq!(store.notes(&["links"]).unwrap(), expected);
    assert_eq!(store.notes(&["coverage"]).unwrap(), [vec!["coverage", &long]]);
    assert_eq!(store.notes(&["links", "hub:7740"]).unwrap(), [PLAIN]);
    let inspection = inspect(&disk, false, None, &mut |_| ()).unwrap();
    assert!(inspection.is_healthy(), "{:?}", inspection.findings);
}

/// Writes and syncs a note; what it may say should the power be cut now.
fn write(store: &Store, possible: &mut Vec<Noted>) -> io::Result<()> {
    let note = store.note(&PLAIN)?;
    for (text, sync) in
        [("1", true), ("second", false), ("3", true), ("the fourth", false), ("5", false)]
    {
        possible.push(content(text));
        note.store(text.as_bytes())?;
        if sync {
            note.sync()?;
            *possible = vec![content(text)];
        }
    }
    Ok(())
}

#[test]
fn what_was_synced_survives_a_power_cut_at_any_step() {
    let mut done = false;
    let mut step = 0;
    while !done {
        step += 1;
        let disk = SimDisk::new(step);
        disk.set_garbage(true);
        let store = open(&disk);
        disk.crash_at(disk.steps() + step);
        // Torn at its making, it is as damaged as it looks.
        let mut possible = vec![Noted::Nothing, Noted::Damaged];
        done = write(&store, &mut possible).is_ok();
        drop(store);
        disk.crash();
        disk.reboot(step);
        let store = open(&disk);
        let note = store.note(&PLAIN).unwrap();
        let found = note.load().unwrap();
        assert!(possible.contains(&found), "step {step}: {found:?}");
        note.store(b"again").unwrap();
        note.sync().unwrap();
        drop((note, store));
        disk.crash();
        disk.reboot_as(Survival::Nothing);
        assert_eq!(open(&disk).note(&PLAIN).unwrap().load().unwrap(), content("again"));
    }
    assert!(step > 10, "{step}");
}

#[test]
fn nothing_is_on_disk_before_the_first_write_and_nothing_stays_open_behind_a_sync() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let before = disk.files();
    let note = store.note(&PLAIN).unwrap();
    assert_eq!(note.load().unwrap(), Noted::Nothing);
    note.sync().unwrap();
    assert_eq!(disk.files(), before);
    note.store(b"1").unwrap();
    assert!(note.is_dirty());
    note.sync().unwrap();
    assert!(!note.is_dirty());
    // With both files closed, they are opened to be written.
    disk.reset_counts();
    note.store(b"2").unwrap();
    assert_eq!(disk.count(Op::Open), 2);
    note.store(b"3").unwrap();
    assert_eq!(disk.count(Op::Open), 2);
    let same = store.note(&PLAIN).unwrap();
    assert!(Arc::ptr_eq(&same, &note));
}

#[test]
fn what_was_written_survives_the_process_and_closing_makes_it_survive_the_machine() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    store.note(&PLAIN).unwrap().store(b"1").unwrap();
    disk.kill();
    drop(store);
    disk.restart();
    let store = open(&disk);
    let note = store.note(&PLAIN).unwrap();
    assert_eq!(note.load().unwrap(), content("1"));
    note.store(b"2").unwrap();
    store.close().unwrap();
    drop((note, store));
    disk.crash();
    disk.reboot_as(Survival::Nothing);
    assert_eq!(open(&disk).note(&PLAIN).unwrap().load().unwrap(), content("2"));
}

#[test]
fn after_a_sync_that_failed_nothing_counts_as_synced_before_it_is_written_again() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let note = store.note(&PLAIN).unwrap();
    note.store(b"1").unwrap();
    note.sync().unwrap();
    note.store(b"2").unwrap();
    disk.inject(Fault::on(Op::Sync));
    note.sync().unwrap_err();
    note.sync().unwrap_err();
    assert!(note.is_dirty());
    note.store(b"3").unwrap();
    note.sync().unwrap();
    drop((note, store));
    disk.crash();
    disk.reboot_as(Survival::Nothing);
    assert_eq!(open(&disk).note(&PLAIN).unwrap().load().unwrap(), content("3"));
}

#[test]
fn damage_to_one_copy_is_healed_and_damage_to_both_is_told() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let note = store.note(&PLAIN).unwrap();
    note.store(b"1").unwrap();
    note.sync().unwrap();
    note.store(b"2").unwrap();
    note.sync().unwrap();
    let files: Vec<String> =
        disk.files().into_iter().filter(|file| file.starts_with("links/")).collect();
    assert_eq!(files.len(), 2);
    let flip = Corruption::FlipBit { at: 3, bit: 0 };
    disk.corrupt(&files[1], &flip).unwrap();
    let found = note.load().unwrap();
    assert!(found == content("1") || found == content("2"), "{found:?}");
    disk.corrupt(&files[0], &flip).unwrap();
    assert_eq!(note.load().unwrap(), Noted::Damaged);
    assert_eq!(store.notes(&["links"]).unwrap(), [PLAIN], "its name is a file's name");
    note.store(b"3").unwrap();
    assert_eq!(note.load().unwrap(), content("3"));
}

#[test]
fn a_note_that_is_removed_is_gone_and_can_be_written_again() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let other = ["links", "hub:7740", "invoices"];
    for names in [PLAIN, other] {
        let note = store.note(&names).unwrap();
        note.store(b"1").unwrap();
        note.sync().unwrap();
    }
    let note = store.note(&PLAIN).unwrap();
    note.store(b"2").unwrap();
    assert!(note.remove().unwrap());
    assert!(!note.remove().unwrap());
    assert_eq!(note.load().unwrap(), Noted::Nothing);
    assert_eq!(store.notes(&["links"]).unwrap(), [other]);
    note.store(b"3").unwrap();
    note.sync().unwrap();
    assert_eq!(store.remove_notes(&["links", "hub:7740"]).unwrap(), 2);
    assert_eq!(note.load().unwrap(), Noted::Nothing);
    drop((note, store));
    disk.crash();
    disk.reboot_as(Survival::Nothing);
    assert_eq!(open(&disk).notes(&["links"]).unwrap(), Vec::<Vec<String>>::new());
}

#[test]
fn the_notes_of_a_channel_go_with_it() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    let orders = ChannelName::new("orders").unwrap();
    store.open_or_create(&orders, Timestamp(1)).unwrap();
    let others = [vec!["coverage", "invoices"], vec!["links", "orders", "invoices"]];
    for names in [&["coverage", "orders"], &PLAIN[..], &others[0], &others[1]] {
        store.note(names).unwrap().store(b"1").unwrap();
    }
    store.remove_channel(&orders, Timestamp(2)).unwrap();
    let left = [store.notes(&["coverage"]).unwrap(), store.notes(&["links"]).unwrap()].concat();
    assert_eq!(left, others);
}

#[test]
fn names_that_lead_anywhere_else_are_refused() {
    let store = open(&SimDisk::new(1));
    for names in [&[][..], &["links"], &["channels", "orders"], &["..", "a"], &["links", ""]] {
        let refused = store.note(names).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{names:?}");
    }
    assert_eq!(store.remove_notes(&["channels"]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}
