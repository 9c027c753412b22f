//! The example file, the reference and the file on disk.

use std::collections::BTreeSet;

use pubsub_config::{
    Config, ErrorKind, LoadError, ReferenceRow, TEXT_MAX_BYTES, example_yaml, reference,
};
use pubsub_types::Filter;

const EXAMPLE: &str = include_str!("../../../config.example.yaml");

/// Uncomments settings: prose has one space after its `#`, a setting none or more.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !is_prose(setting) => {
                format!("{indent}{setting}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

fn is_prose(after_hash: &str) -> bool {
    after_hash.starts_with(' ') && !after_hash.starts_with("  ")
}

#[test]
fn the_example_says_exactly_the_defaults() {
    let config = Config::from_yaml(EXAMPLE, "config.example.yaml", &|_| None)
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config, Config::default());
}

#[test]
fn the_example_is_the_one_the_table_of_keys_makes() {
    assert!(
        EXAMPLE == example_yaml(),
        "out of date: cargo run -p pubsub-config --example example_yaml > config.example.yaml"
    );
}

#[test]
fn the_example_has_every_key_that_is_built() {
    let given = |text: &str| -> BTreeSet<String> {
        let config = Config::from_yaml(text, "example", &|_| None)
            .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let rows = config.effective().into_iter();
        let rows = rows.filter(|row| row.origin.place().is_some());
        rows.map(|row| row.key.replace("orders.>", "<name>").replace("[0]", "[]")).collect()
    };
    let built = |with_default: bool| -> BTreeSet<String> {
        let rows = reference().into_iter().filter(|row| row.built);
        let said = |row: &ReferenceRow| !row.key.contains("[]") && row.kind != "path";
        let rows = rows.filter(|row| !with_default || (said(row) && !row.key.contains("<name>")));
        let rows = rows.filter(|row| row.key != "name" || !with_default);
        rows.map(|row| row.key).collect()
    };
    assert_eq!(given(EXAMPLE), built(true));
    assert_eq!(given(&uncommented(EXAMPLE)), built(false));
}

#[test]
fn the_reference_describes_every_key() {
    let rows = reference();
    let keys: BTreeSet<&str> = rows.iter().map(|row| &*row.key).collect();
    assert_eq!(keys.len(), rows.len());
    for key in ["name", "storage.channels.<name>.format", "hub.allowed_peers[].name", "tls.cert"] {
        assert!(keys.contains(key), "{key}");
    }
    for row in &rows {
        assert!(!row.kind.is_empty() && !row.range.is_empty(), "{row:?}");
        assert!(row.doc.ends_with('.') && row.doc.len() < 96, "{row:?}");
    }
    let row = rows.iter().find(|row| row.key == "storage.max_record_bytes").unwrap();
    assert_eq!((row.kind, &*row.default, &*row.range), ("size", "8MiB", "1KiB to 256MiB"));
    assert!(rows.iter().all(|row| row.built), "every part of this version is built");
}

#[test]
fn every_default_and_both_ends_of_every_range_are_accepted_as_text() {
    for row in reference().into_iter().filter(|row| !row.key.contains("[]")) {
        let key = row.key.replace("<name>", "orders");
        let ends = row.range.split_once(" to ").filter(|_| row.kind != "text");
        let texts = ends.map_or_else(Vec::new, |(min, max)| vec![min.to_owned(), max.to_owned()]);
        for text in
            texts.into_iter().chain([row.default].into_iter().filter(|text| !text.is_empty()))
        {
            let text = text.trim_matches('"');
            let mut config = Config::default();
            config
                .set(&key, text, pubsub_config::Origin::Flag)
                .unwrap_or_else(|error| panic!("{key} = {text}: {error}"));
        }
    }
}

#[test]
fn a_missing_file_is_not_found_and_a_bad_one_names_itself() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Config::load(&dir.path().join("none.yaml"), &|_| None).unwrap_err();
    assert!(missing.is_not_found());
    assert!(missing.to_string().ends_with("none.yaml"));

    let path = dir.path().join("pubsub.yaml");
    let write = |bytes: &[u8]| {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
        file.write_all(bytes).unwrap();
        file.persist(&path).unwrap();
    };
    write(b"name: alice\n");
    assert_eq!(Config::load(&path, &|_| None).unwrap().name, "alice");

    write(b"nam: alice\n");
    let error = Config::load(&path, &|_| None).unwrap_err();
    assert!(!error.is_not_found());
    assert!(error.to_string().starts_with(&format!("{}:1:1: nam: ", path.display())), "{error}");

    write(&vec![b'#'; TEXT_MAX_BYTES + 100]);
    let Err(LoadError::Invalid(errors)) = Config::load(&path, &|_| None) else { panic!() };
    assert_eq!(errors.iter().next().unwrap().kind(), ErrorKind::Limit);
}

#[test]
fn a_filter_with_wildcards_survives_being_written() {
    let mut config = Config::default();
    config.storage.channels.insert(Filter::all(), Default::default());
    config.storage.channels.insert(Filter::new("*.x").unwrap(), Default::default());
    let again = Config::from_yaml(&config.to_yaml(), "written", &|_| None).unwrap();
    assert_eq!(again, config);
}
