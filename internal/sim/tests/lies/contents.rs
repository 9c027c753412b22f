//! What a power cut does to the content of files.

use pubsub_sim::{SimDisk, Survival};

use super::{SEEDS, all_come_up, create, disk_with, sync_dir, write};

#[test]
fn unsynced_write_is_lost_or_kept_and_synced_one_always_kept() {
    all_come_up(&["synced".to_owned(), "synced, not synced".to_owned()], |seed| {
        let (disk, file) = disk_with(b"");
        write(&file, b"synced", 0).unwrap();
        file.sync().unwrap();
        write(&file, b", not synced", 6).unwrap();
        disk.reboot(seed);
        let text = String::from_utf8_lossy(&disk.bytes("a").unwrap()).into_owned();
        // What is torn has a test of its own.
        if text.len() < 18 || text.contains('\0') { text[..6].to_owned() } else { text }
    });
}

#[test]
fn write_is_torn_at_any_byte_or_by_sectors_in_any_order() {
    let old = [b'o'; 2048];
    let new = [b'n'; 1900];
    let (mut cut_off_sector, mut prefix, mut hole, mut only_end) = (0, 0, 0, 0);
    for seed in SEEDS {
        let (disk, file) = disk_with(&old);
        write(&file, &new, 100).unwrap();
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        assert!(bytes[..100].iter().chain(&bytes[2000..]).all(|&byte| byte == b'o'));
        let part = &bytes[100..2000];
        let first = part.iter().position(|&byte| byte == b'n');
        let changes = part.windows(2).filter(|pair| pair[0] != pair[1]).count();
        match (first, changes) {
            (Some(0), 1) => {
                prefix += 1;
                let end = 100 + part.iter().position(|&byte| byte == b'o').unwrap();
                cut_off_sector += usize::from(end % 512 != 0);
            }
            (Some(0), 2..) => hole += 1,
            (Some(at), 1) => {
                only_end += 1;
                assert_eq!((100 + at) % 512, 0, "seed {seed}: sectors are whole");
            }
            _ => (),
        }
    }
    let seen = [cut_off_sector, prefix, hole, only_end];
    assert!(!seen.contains(&0), "{seen:?}");
}

#[test]
fn later_write_survives_an_earlier_one_that_does_not() {
    let outcomes = [*b"oooo", *b"1ooo", *b"ooo2", *b"1oo2"];
    all_come_up(&outcomes, |seed| {
        let (disk, file) = disk_with(b"oooo");
        write(&file, b"1", 0).unwrap();
        write(&file, b"2", 3).unwrap();
        disk.reboot(seed);
        disk.bytes("a").unwrap().try_into().unwrap()
    });
}

#[test]
fn large_write_is_lost_whole_while_another_is_kept_whole() {
    let mut seen = 0;
    for seed in SEEDS {
        let (disk, file) = disk_with(&[0; 10_240]);
        write(&file, &[1; 5_120], 0).unwrap();
        write(&file, &[2; 5_120], 5_120).unwrap();
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        seen += usize::from(bytes[..5_120] == [0; 5_120] && bytes[5_120..] == [2; 5_120]);
    }
    // By torn sectors alone it would hardly ever come about.
    assert!(seen > 10, "{seen}");
}

#[test]
fn some_power_cuts_lose_all_of_many_writes_and_some_lose_none() {
    let (mut none, mut all) = (0, 0);
    for seed in SEEDS {
        let (disk, file) = disk_with(&[0; 60]);
        (0..60).for_each(|at| write(&file, &[1], at).unwrap());
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        none += usize::from(bytes == [0; 60]);
        all += usize::from(bytes == [1; 60]);
    }
    assert!(none > 20 && all > 20, "{none} {all}");
}

#[test]
fn of_two_writes_to_one_place_the_older_never_wins_over_the_newer() {
    // Either can be there alone; "o" is neither.
    all_come_up(b"o12", |seed| {
        let (disk, file) = disk_with(b"o");
        write(&file, b"1", 0).unwrap();
        write(&file, b"2", 0).unwrap();
        disk.reboot(seed);
        disk.bytes("a").unwrap()[0]
    });
    let (disk, file) = disk_with(b"o");
    write(&file, b"1", 0).unwrap();
    write(&file, b"2", 0).unwrap();
    disk.reboot_as(Survival::Everything);
    assert_eq!(disk.bytes("a").unwrap(), b"2");
}

#[test]
fn hole_before_a_surviving_write_is_zeros() {
    let mut holes = 0;
    for seed in SEEDS {
        let (disk, file) = disk_with(b"");
        write(&file, &[1; 700], 0).unwrap();
        write(&file, &[2; 50], 700).unwrap();
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        assert!(bytes.iter().all(|&byte| byte <= 2));
        holes += usize::from(bytes.first() == Some(&0) && bytes.last() == Some(&2));
    }
    assert!(holes > 0);
}

#[test]
fn hole_is_garbage_or_bytes_of_another_file_when_told_so() {
    let (mut random, mut stale, mut zeros) = (0, 0, 0);
    for seed in SEEDS {
        let (disk, file) = disk_with(b"");
        disk.set_garbage(true);
        disk.plant("other", &[9; 4096]).unwrap();
        write(&file, &[1; 700], 0).unwrap();
        write(&file, &[2; 50], 700).unwrap();
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        let Some(hole) = bytes.get(..512).filter(|hole| hole[0] != 1) else { continue };
        match hole {
            hole if hole.iter().all(|&byte| byte == 0) => zeros += 1,
            hole if hole.iter().all(|&byte| byte == 9) => stale += 1,
            _ => random += 1,
        }
    }
    assert!(random > 0 && stale > 0 && zeros > 0, "{random} {stale} {zeros}");
}

#[test]
fn write_that_survives_has_no_garbage_in_it() {
    for seed in SEEDS {
        let (disk, file) = disk_with(b"");
        disk.set_garbage(true);
        write(&file, &[1; 700], 0).unwrap();
        write(&file, &[2; 700], 1_000).unwrap();
        drop(file);
        let snapshot = disk.snapshot();
        let whole = SimDisk::from_snapshot(&snapshot, seed);
        whole.reboot_as(Survival::Everything);
        let expected = [[1; 700].as_slice(), &[0; 300], &[2; 700]].concat();
        assert_eq!(whole.bytes("a").unwrap(), expected);

        // And where nothing was ever to be written, there are zeros.
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        let gap = &bytes[bytes.len().min(700)..bytes.len().min(1_000)];
        assert!(gap.iter().all(|&byte| byte == 0), "seed {seed}");
    }
}

#[test]
fn length_stays_as_it_was_though_the_bytes_before_it_are_new() {
    let mut seen = 0;
    for seed in SEEDS {
        let (disk, file) = disk_with(b"old");
        write(&file, &[7; 1000], 0).unwrap();
        disk.reboot(seed);
        seen += usize::from(disk.bytes("a").unwrap() == [7; 3]);
    }
    // A write torn at that very byte would be a rare thing.
    assert!(seen > 5, "{seen}");
}

#[test]
fn length_lags_behind_the_bytes_or_is_ahead_of_them() {
    let (mut lagging, mut ahead, mut between) = (0, 0, 0);
    for seed in SEEDS {
        let (disk, file) = disk_with(b"old");
        write(&file, &[7; 1000], 3).unwrap();
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        assert!((3..=1003).contains(&bytes.len()), "{}", bytes.len());
        assert!(bytes.starts_with(b"old"));
        lagging += usize::from(bytes.len() == 3);
        ahead += usize::from(bytes.len() == 1003 && bytes[3..].iter().all(|&byte| byte == 0));
        between += usize::from(bytes.len() > 3 && bytes.len() < 1003);
    }
    assert!(lagging > 0 && ahead > 0 && between > 0, "{lagging} {ahead} {between}");
}

#[test]
fn cut_and_extension_are_lost_or_kept() {
    all_come_up(&[10, 4], |seed| {
        let (disk, file) = disk_with(&[1; 10]);
        file.set_len(4).unwrap();
        disk.reboot(seed);
        disk.bytes("a").unwrap().len()
    });
    all_come_up(&[4, 10], |seed| {
        let (disk, file) = disk_with(&[1; 4]);
        file.set_len(10).unwrap();
        disk.reboot(seed);
        disk.bytes("a").unwrap().len()
    });
    let (disk, file) = disk_with(&[1; 10]);
    file.set_len(4).unwrap();
    file.sync().unwrap();
    disk.reboot_as(Survival::Nothing);
    assert_eq!(disk.bytes("a").unwrap(), [1; 4]);
}

#[test]
fn power_cut_can_be_told_to_lose_or_keep_everything() {
    let run = |survival| {
        let disk = SimDisk::new(3);
        let file = create(&disk, "a");
        write(&file, b"one", 0).unwrap();
        sync_dir(&disk, "");
        file.sync().unwrap();
        write(&file, b"two", 3).unwrap();
        drop(create(&disk, "b"));
        assert_eq!(disk.durable_bytes("a").unwrap(), b"one");
        assert_eq!(disk.durable_files(), ["a"]);
        disk.reboot_as(survival);
        (disk.bytes("a").unwrap(), disk.files())
    };
    assert_eq!(run(Survival::Nothing), (b"one".to_vec(), vec!["a".to_owned()]));
    let all = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(run(Survival::Everything), (b"onetwo".to_vec(), all));
}

#[test]
fn what_survived_a_power_cut_is_durable() {
    for seed in SEEDS {
        let (disk, file) = disk_with(b"old");
        write(&file, &[7; 1000], 3).unwrap();
        disk.reboot(seed);
        let bytes = disk.bytes("a").unwrap();
        disk.reboot(seed + 1);
        assert_eq!(disk.bytes("a").unwrap(), bytes);
    }
}
