//! What programs and shells count on: stdout, exit codes, completion, manual pages.

use crate::world::World;

#[test]
fn quiet_says_nothing_but_data() {
    let world = World::new();
    let ran = world.run(&["pub", "orders", "1", "--quiet"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    let ran = world.run(&["sub", "orders", "--from-start", "--count", "1", "-q"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("1\n", ""));
}

#[test]
fn a_pipe_gets_no_colours() {
    let world = World::new();
    let ran = world.run(&["channel", "ls"]);
    assert!(!ran.stderr.contains('\x1b'), "{ran:?}");
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
}

#[test]
fn every_listing_is_json_when_asked() {
    let world = World::new();
    world.ok(&["pub", "orders", "1"]);
    world.ok(&["sub", "orders", "--id", "me", "--from-start", "--count", "1"]);
    for args in [
        &["version"][..],
        &["channel", "ls"],
        &["channel", "info", "orders"],
        &["subscriber", "ls"],
        &["subscriber", "info", "orders", "me"],
        &["dlq", "ls", "orders"],
        &["doctor"],
        &["channel", "verify", "orders"],
        &["sub", "orders", "--from-start", "--count", "1"],
        &["tail", "orders"],
        &["audit"],
        &["pub", "orders", "2"],
    ] {
        world.json(args);
        let lines = world.ok(&[args, &["-o", "jsonl"]].concat());
        for line in lines.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| {
                panic!("{args:?}: {error}: {line}");
            });
        }
    }
}

#[test]
fn the_data_directory_may_come_from_the_environment() {
    let world = World::new();
    let mut command = world.dir.command(env!("CARGO_BIN_EXE_pubsub"));
    command.env("PUBSUB_DATA_DIR", "elsewhere").args(["pub", "orders", "1"]);
    let mut process = pubsub_testkit::Process::spawn(&mut command).unwrap();
    assert_eq!(crate::world::finish(&mut process).code, 0);
    assert!(world.dir.path().join("elsewhere/channels/orders").is_dir());
}

#[test]
fn a_misspelt_command_names_the_right_one() {
    let world = World::new();
    let ran = world.run(&["chanel"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("'channel'"), "{ran:?}");
    assert_eq!(world.run(&["--help"]).code, 0);
    assert_eq!(world.run(&[]).code, 2);
}

#[test]
fn shells_and_man_are_served() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.ok(&["completion", shell]).contains("subscriber"), "{shell}");
    }
    assert!(world.ok(&["man"]).contains(".TH"));
    world.ok(&["man", "pages"]);
    let pages = world.dir.path().join("pages");
    assert!(pages.join("pubsub.1").exists());
    assert!(pages.join("pubsub-channel-add.1").exists());
}

#[test]
fn the_benchmark_reports_every_case_and_leaves_nothing_behind() {
    let world = World::new();
    let report = world.json(&[
        "bench",
        "store",
        "--duration",
        "20ms",
        "--rounds",
        "1",
        "--in-flight",
        "1,16",
        "--threads",
        "2",
        "--payload",
        "64",
    ]);
    assert_eq!(report["probes"].as_array().unwrap().len(), 3);
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2 * 3 * 3);
    for case in cases {
        assert!(case["messages_per_second"].as_f64().unwrap() > 0.0, "{case}");
        let synced = case["fdatasyncs_per_message"].as_f64().unwrap();
        let always = case["sync"] == "always";
        assert!(!always || synced > 0.0, "{case}");
        assert!(!always || case["in_flight"] != 1 || synced > 0.9, "{case}");
    }
    assert_eq!(report["replay"].as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read_dir(world.dir.path()).unwrap().count(), 0);
    assert!(!world.data().exists());
}
