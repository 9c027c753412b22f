//! The documents say what is so: the first page's code compiles, its configuration is accepted, and
//! every test that proves a guarantee exists.

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pubsub::{Config, SyncPolicy};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The first fenced block of this language.
fn block(text: &str, language: &str) -> String {
    let (_, rest) = text.split_once(&format!("\n```{language}\n")).unwrap();
    rest.split_once("\n```\n").unwrap().0.to_owned() + "\n"
}

#[test]
fn the_code_on_the_first_page_is_an_example_that_compiles() {
    let example = read("examples/readme.rs");
    let code = block(&read("README.md"), "rust");
    assert!(example.ends_with(&code), "README.md and examples/readme.rs differ");
    let above = example.strip_suffix(&code).unwrap();
    assert!(above.lines().all(|line| line.is_empty() || line.starts_with(['/', '#'])), "{above}");
}

#[test]
fn the_configuration_on_the_first_page_is_accepted_and_means_what_it_says() {
    let yaml = block(&read("README.md"), "yaml");
    let config = Config::from_yaml(&yaml, "README.md", &|_| None).unwrap();
    assert_eq!(config.storage.sync_policy, SyncPolicy::Always);
    assert_eq!(config.storage.channels.len(), 1);
}

#[test]
fn every_test_that_proves_a_guarantee_exists() {
    let guarantees = read("docs/guarantees.md");
    let words = guarantees.split('`').skip(1).step_by(2);
    let is_test = |word: &&str| {
        word.matches('_').count() >= 3
            && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    };
    let named: BTreeSet<&str> = words.filter(is_test).collect();
    assert!(named.len() >= 20, "{named:?}");
    let mut code = String::new();
    for dir in ["src", "tests", "internal", "cmd"] {
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut code);
    }
    let missing: Vec<_> =
        named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

fn gather(dir: &Path, code: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, code);
        } else if path.extension().is_some_and(|it| it == "rs") {
            code.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
