//! A small disk is full when it is full, is seen by those who enter it, and leaves nothing behind.

use std::time::Duration;

use pubsub_testkit::{Process, SmallDisk, Source};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn full_disk_refuses_until_there_is_room_again() {
    let Some(disk) = SmallDisk::mount_or_skip(1 << 20) else { return };
    let taken = disk.fill().unwrap();
    assert!((1 << 19..=1 << 20).contains(&taken), "{taken} bytes");

    let mut full =
        Process::spawn(disk.command("sh").args(["-c", "head -c 9 /dev/zero > file"])).unwrap();
    assert!(!full.wait_for_exit(LONG).unwrap().success());
    assert!(full.output().stderr.join("").contains("No space left"), "{}", full.output());

    disk.make_room().unwrap();
    let mut roomy =
        Process::spawn(disk.command("sh").args(["-c", "head -c 9 /dev/zero > file"])).unwrap();
    assert!(roomy.wait_for_exit(LONG).unwrap().success(), "{}", roomy.output());
}

#[test]
fn files_outlive_the_process_that_wrote_them_and_are_seen_from_here() {
    let Some(disk) = SmallDisk::mount_or_skip(1 << 20) else { return };
    let mut writer =
        Process::spawn(disk.command("sh").args(["-c", "echo kept > file; cat"])).unwrap();
    let file = disk.path_from_here().join("file");
    let read = || std::fs::read_to_string(&file).ok().filter(|text| text == "kept\n");
    pubsub_testkit::eventually("the file", LONG, read).unwrap();
    writer.kill().unwrap();

    let mut reader = Process::spawn(disk.command("cat").arg("file")).unwrap();
    reader.wait_for_line(Source::Stdout, "kept", LONG).unwrap();
    assert!(!disk.path().join("file").exists(), "the mount is seen outside its namespace");
}

#[test]
fn started_process_is_the_program_itself() {
    let Some(disk) = SmallDisk::mount_or_skip(1 << 20) else { return };
    let mut process = Process::spawn(disk.command("sh").args(["-c", "echo $$; cat"])).unwrap();
    let said = process.wait_for_line(Source::Stdout, "", LONG).unwrap();
    assert_eq!(said, process.id().to_string());
}

#[test]
fn disk_dropped_under_a_running_process_leaves_no_directory() {
    let Some(disk) = SmallDisk::mount_or_skip(1 << 20) else { return };
    let path = disk.path().to_owned();
    let mut process = Process::spawn(disk.command("sh").args(["-c", "echo up; exec cat"])).unwrap();
    process.wait_for_line(Source::Stdout, "up", LONG).unwrap();
    drop(disk);
    assert!(!path.exists());
}
