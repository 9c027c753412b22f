//! The table of keys, for people: rows for a reference page, and the example file.

use crate::rule::{Rule, Value};
use crate::section::{Field, Section};
use crate::settings::UNBUILT_SECTIONS;
use crate::{ChannelOverrides, Config};

/// One key, as documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReferenceRow {
    /// The key, dotted from the root; `<name>` and `[]` stand for what the author chooses.
    pub key: String,
    /// The type: `whole number`, `duration`, `choice` …
    pub kind: &'static str,
    /// The default as YAML; empty where there is none.
    pub default: String,
    /// The values allowed.
    pub range: String,
    /// What it is, in a sentence.
    pub doc: String,
    /// Whether this version does it, or only reads it.
    pub built: bool,
}

/// Every key that has a value, in the order of the example file.
#[must_use]
pub fn reference() -> Vec<ReferenceRow> {
    let mut rows = Vec::new();
    collect(&Config::default(), "", &mut rows);
    rows
}

fn collect(section: &dyn Section, path: &str, rows: &mut Vec<ReferenceRow>) {
    for (key, field) in section.fields() {
        let path = crate::section::join(path, key.name);
        let inside = match key.rule {
            Rule::Items => format!("{path}[]"),
            Rule::Entries => format!("{path}.<name>"),
            _ => path.clone(),
        };
        if let Some(blank) = field.blank() {
            collect(&*blank, &inside, rows);
            continue;
        }
        let top = path.split('.').next().unwrap_or(&path);
        rows.push(ReferenceRow {
            kind: key.rule.kind(),
            default: shown_default(key.rule, field),
            range: key.rule.range(),
            doc: key.summary(),
            built: !UNBUILT_SECTIONS.contains(&top),
            key: path,
        });
    }
}

fn shown_default(rule: Rule, field: &dyn Field) -> String {
    match field.value() {
        // Empty stands for "not given" wherever a text may be empty.
        Value::Text(text) if text.is_empty() => String::new(),
        value => rule.render(&value),
    }
}

/// The text of `config.example.yaml`: every key that works in this version, with its default.
#[must_use]
pub fn example_yaml() -> String {
    let mut out = String::from(HEAD);
    for (key, field) in Config::default().fields() {
        if UNBUILT_SECTIONS.contains(&key.name) {
            continue;
        }
        out.push_str(&format!("\n# {}\n", key.summary()));
        match field.sections().first() {
            Some((_, section)) => {
                out.push_str(&format!("{}:\n", key.name));
                out.push_str(&section_example(*section));
            }
            // Only the name has no default that a file could say.
            None => out.push_str(&format!("#{}: my-instance\n", key.name)),
        }
    }
    out
}

fn section_example(section: &dyn Section) -> String {
    let mut out = String::new();
    for (key, field) in section.fields() {
        out.push_str(&format!("  # {}\n", key.summary()));
        match key.rule {
            Rule::Entries => out.push_str(&channels_example()),
            Rule::Items => out.push_str(&items_example(key.name, field)),
            rule => out.push_str(&setting("  ", key.name, rule, &field.value())),
        }
    }
    out
}

/// The overrides, commented out: as they stand they would turn every default into an override.
fn channels_example() -> String {
    let mut storage = Config::default().storage;
    let mut out = "  #channels:\n  #  \"orders.>\":\n".to_owned();
    for (key, _) in ChannelOverrides::default().fields() {
        let general = storage.field_mut(key.name).map(|(_, field)| field.value());
        let value = general.unwrap_or(Value::Whole(0));
        out.push_str(&setting("  #    ", key.name, key.rule, &value));
    }
    out
}

/// One item of a list, commented out: there is none unless somebody writes one.
fn items_example(name: &str, field: &dyn Field) -> String {
    let mut out = format!("  #{name}:\n");
    let Some(blank) = field.blank() else { return out };
    let mut indent = "  #  - ";
    for (key, field) in blank.fields() {
        out.push_str(&format!("  #    # {}\n", key.summary()));
        let sample = match (name, key.name) {
            ("allowed_peers", "name") => Some("edge-1"),
            ("hubs", "name") => Some("hub-1"),
            ("hubs", "addr") => Some("hub.example:7740"),
            _ => None,
        };
        let value = sample.map_or_else(|| field.value(), |text| Value::Text(text.to_owned()));
        out.push_str(&setting(indent, key.name, key.rule, &value));
        indent = "  #    ";
    }
    out
}

fn setting(indent: &str, name: &str, rule: Rule, value: &Value) -> String {
    format!("{indent}{name}: {}  # {}\n", rule.render(value), rule.range())
}

const HEAD: &str = "\
# Configuration of pubsub: every key with its default, so an empty file says the same.
#
# Unknown keys are errors. ${NAME} and ${NAME:-default} stand for environment variables. Durations
# read like 7d or 1h30m, sizes like 8MiB. A flag is stronger than this file. Check a file with
# `pubsub server check -c FILE`, which prints what holds and where it comes from.
";
