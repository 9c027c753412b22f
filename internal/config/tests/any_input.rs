//! Whatever is read, nothing panics; whatever holds can be written and read back.

use proptest::prelude::*;
use pubsub_config::{Config, Origin, example_yaml, reference};

fn env(name: &str) -> Option<String> {
    name.len().is_multiple_of(2).then(|| format!("{name} ${{x"))
}

const FRAGMENTS: [&str; 40] = [
    "name",
    "storage",
    "channels",
    "data_dir",
    "hub",
    "allowed_peers",
    ": ",
    ":\n",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    " ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "'",
    "\"",
    "|",
    ">-\n",
    "&a ",
    "*a",
    "!t ",
    "---\n",
    "...",
    "\\x",
    "\u{feff}",
    "~",
    "<<: ",
    "\r\n",
    "\0",
    "7d",
    "${X}",
    "\u{2028}",
    "é",
];

fn fragments() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&FRAGMENTS[..]), 0..40)
        .prop_map(|parts| parts.concat())
}

/// The example with some bytes replaced, removed or repeated.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let places = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..8);
    places.prop_map(|places| {
        let mut bytes =
            example_yaml().replace("#channels", "channels").replace("  #  ", "  ").into_bytes();
        for (at, byte, how) in places {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len() - 1))),
                _ => bytes.extend_from_within(at..(at + usize::from(byte)).min(bytes.len())),
            }
        }
        bytes
    })
}

/// Values of any key, most of them allowed.
fn settings() -> impl Strategy<Value = Vec<(String, String)>> {
    let keys: Vec<_> = reference().into_iter().filter(|row| !row.key.contains("[]")).collect();
    let value = prop_oneof![
        "[0-9]{1,4}",
        "[1-9]d[1-9]h",
        "[1-9]MiB",
        "0\\.[0-9]{1,3}",
        "[a-z./:${}#' \"é\\\\]{1,8}",
        prop::sample::select(vec![
            "always", "none", "periodic", "binary", "true", "json", "warn", "1.2", ":1"
        ])
        .prop_map(str::to_owned),
    ];
    let name = prop::sample::select(vec!["orders", "a.>", "*", ">", "*.b.c", "a.dead-letter"]);
    let setting = (prop::sample::select(keys), name, value)
        .prop_map(|(row, name, value)| (row.key.replace("<name>", name), value));
    prop::collection::vec(setting, 0..60)
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Config::from_slice(&bytes, "any", &env));
    }

    #[test]
    fn no_pieces_of_yaml_panic(text in fragments()) {
        drop(Config::from_yaml(&text, "any", &env));
    }

    #[test]
    fn no_damage_to_a_good_file_panics_and_every_error_has_a_place_in_it(bytes in mutated()) {
        let lines = bytes.iter().filter(|byte| matches!(**byte, b'\n' | b'\r')).count() + 2;
        if let Err(errors) = Config::from_slice(&bytes, "any", &env) {
            for error in &errors {
                let place = error.place().expect("a file is to blame");
                prop_assert!(place.line >= 1 && place.line <= lines, "{}", error);
                prop_assert!(place.column >= 1, "{}", error);
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }

    #[test]
    fn what_holds_is_written_and_read_back(settings in settings()) {
        let mut config = Config::default();
        for (key, value) in settings {
            let mut next = config.clone();
            if next.set(&key, &value, Origin::Flag).is_ok() && next.validate().is_ok() {
                config = next;
            }
        }
        let yaml = config.to_yaml();
        let again = Config::from_yaml(&yaml, "written", &|_| None)
            .map_err(|errors| TestCaseError::fail(format!("{errors}\n{yaml}")))?;
        prop_assert_eq!(&again, &config, "{}", yaml);
        prop_assert_eq!(again.to_yaml(), yaml);
    }

    #[test]
    fn the_effective_rows_set_the_same_configuration(settings in settings()) {
        let mut config = Config::default();
        for (key, value) in settings {
            drop(config.set(&key, &value, Origin::Flag));
        }
        let mut again = Config::default();
        for row in config.effective() {
            // Rows are YAML; a flag is bare text. Only texts differ, and only by their quotes.
            if row.value.starts_with('"') {
                continue;
            }
            again.set(&row.key, &row.value, row.origin.clone())
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
        }
        let bare = |config: &Config| -> Vec<_> {
            let rows = config.effective().into_iter();
            rows.filter(|row| !row.value.starts_with('"')).map(|row| (row.key, row.value)).collect()
        };
        let (was, is) = (bare(&config), bare(&again));
        for row in &was {
            prop_assert!(is.contains(row), "{:?}", row);
        }
    }
}
