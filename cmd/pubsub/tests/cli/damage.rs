//! The doctor finds what is wrong, says what to do, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::world::World;

/// Every file below `dir` with its content and when it was changed.
fn image(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if path.is_dir() {
            files.extend(image(&path));
        } else {
            let changed = entry.metadata().unwrap().modified().unwrap();
            files.insert(path.clone(), (fs::read(&path).unwrap(), changed));
        }
    }
    files
}

/// A directory with segments, sealed and not, and a subscriber; and its segments' paths.
fn world_with(format: &str) -> (World, Vec<PathBuf>) {
    let world = World::new();
    world.ok(&["channel", "add", "log", "--format", format, "--segment-size", "1KiB"]);
    for n in 1..=30 {
        world.ok(&["pub", "log", &format!("payload number {n}"), "-q"]);
    }
    world.ok(&["sub", "log", "--id", "me", "--from-start", "--count", "30", "-q"]);
    let mut segments: Vec<PathBuf> = fs::read_dir(world.data().join("channels/log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl" || end == "log"))
        .collect();
    segments.sort();
    assert!(segments.len() > 2, "{segments:?}");
    (world, segments)
}

/// Runs the doctor, which must find something wrong with `file` and leave every byte as it is.
fn sick(world: &World, file: &Path) -> serde_json::Value {
    let before = image(&world.data());
    let ran = world.run(&["doctor", "-o", "json"]);
    assert_eq!(image(&world.data()), before, "the doctor changed something");
    assert_eq!(ran.code, 1, "{ran:?}");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["healthy"], false);
    let relative = file.strip_prefix(world.data()).unwrap().to_str().unwrap();
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["file"] == relative);
    let finding = finding.unwrap_or_else(|| panic!("nothing about {relative}: {report:#}"));
    assert!(!finding["advice"].as_str().unwrap().is_empty());
    let text = world.run(&["doctor"]);
    assert!(text.stdout.contains(relative), "{text:?}");
    assert!(text.stdout.contains("  do: "), "{text:?}");
    assert_eq!(world.run(&["channel", "verify", "log"]).code, 1);
    finding.clone()
}

#[test]
fn a_healthy_directory_is_healthy() {
    for format in ["jsonl", "binary"] {
        let (world, _) = world_with(format);
        let before = image(&world.data());
        let report = world.json(&["doctor"]);
        assert_eq!((&report["healthy"], &report["live"]), (&true.into(), &false.into()));
        assert_eq!(report["channels"][0]["messages"], 30);
        assert!(world.ok(&["doctor"]).contains("healthy"));
        world.ok(&["channel", "verify", "log"]);
        assert_eq!(image(&world.data()), before);
    }
}

#[test]
fn a_flipped_bit_is_found_with_the_messages_it_costs() {
    for format in ["jsonl", "binary"] {
        let (world, segments) = world_with(format);
        for segment in [&segments[0], segments.last().unwrap()] {
            let good = fs::read(segment).unwrap();
            let mut bad = good.clone();
            let at = good.len() / 2;
            bad[at] ^= 4;
            fs::write(segment, &bad).unwrap();
            let finding = sick(&world, segment);
            let (from, len) = (finding["at"].as_u64().unwrap(), finding["bytes"].as_u64().unwrap());
            assert!((from..from + len).contains(&(at as u64)), "{format} {finding}");
            fs::write(segment, &good).unwrap();
        }
    }
}

#[test]
fn a_truncated_file_is_found() {
    for format in ["jsonl", "binary"] {
        let (world, segments) = world_with(format);
        for segment in [&segments[0], segments.last().unwrap()] {
            let good = fs::read(segment).unwrap();
            fs::write(segment, &good[..good.len() - 9]).unwrap();
            let finding = sick(&world, segment);
            assert!(finding["severity"] != "note", "{format} {finding}");
            fs::write(segment, &good).unwrap();
        }
    }
}

#[test]
fn a_deleted_file_is_found_with_the_messages_it_held() {
    for format in ["jsonl", "binary"] {
        let (world, segments) = world_with(format);
        for segment in &segments {
            let good = fs::read(segment).unwrap();
            fs::remove_file(segment).unwrap();
            let finding = sick(&world, segment);
            assert_eq!(finding["problem"], "segment_missing", "{format}");
            assert!(finding["seqs"][0].as_u64().unwrap() > 0, "{finding}");
            fs::write(segment, &good).unwrap();
        }
    }
}

#[test]
fn appended_rubbish_is_found() {
    for format in ["jsonl", "binary"] {
        let (world, segments) = world_with(format);
        for segment in [&segments[0], segments.last().unwrap()] {
            let good = fs::read(segment).unwrap();
            fs::write(segment, [&good[..], b"rubbish\n"].concat()).unwrap();
            let finding = sick(&world, segment);
            assert_eq!(finding["at"], good.len(), "{format} {finding}");
            fs::write(segment, &good).unwrap();
        }
    }
}

#[test]
fn small_files_are_looked_at_too() {
    let (world, _) = world_with("jsonl");
    let position = world.data().join("subscribers/log/me.offset.a");
    for file in [world.data().join("channels/log/MANIFEST.a"), position] {
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[3] ^= 1;
        fs::write(&file, &bad).unwrap();
        let finding = sick(&world, &file);
        assert_eq!(finding["problem"], "copy_damaged", "{finding}");
        fs::remove_file(&file).unwrap();
        assert_eq!(sick(&world, &file)["problem"], "copy_missing");
        fs::write(&file, &good).unwrap();
    }
}

#[test]
fn damage_is_stepped_over_and_told_of_while_reading() {
    for format in ["jsonl", "binary"] {
        let (world, segments) = world_with(format);
        let mut bad = fs::read(&segments[0]).unwrap();
        let at = bad.len() / 2;
        bad[at] ^= 4;
        fs::write(&segments[0], &bad).unwrap();
        let ran = world.run(&["sub", "log", "--from-start", "--count", "29"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 29);
        assert!(ran.stderr.contains("are damaged or gone"), "{ran:?}");
        let ran = world.run(&["tail", "log", "--from-start"]);
        assert_eq!(ran.stdout.lines().count(), 29, "{ran:?}");
        assert!(ran.stderr.contains("are damaged"), "{ran:?}");
    }
}
