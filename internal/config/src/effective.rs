//! The configuration as it holds: each key, its value, and who gave it.

use std::collections::BTreeMap;

use crate::rule::{Rule, Value};
use crate::section::walk;
use crate::settings::UNBUILT_SECTIONS;
use crate::{Config, Origin};

/// One value that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveRow {
    /// The key, dotted from the root.
    pub key: String,
    /// The value as YAML on one line.
    pub value: String,
    /// Who gave it.
    pub origin: Origin,
}

impl Config {
    /// Every value that holds, in the order of the reference.
    ///
    /// Overrides of channels appear where they are given; so do keys of parts that are not built. No
    /// key holds a secret: certificates and keys are given as paths.
    #[must_use]
    pub fn effective(&self) -> Vec<EffectiveRow> {
        let mut defaults = BTreeMap::new();
        walk(&Self::default(), "", &mut |path, key, field| {
            defaults.insert(path.to_owned(), field.value());
            if let (Rule::Items, Some(blank)) = (key.rule, field.blank()) {
                walk(&*blank, &format!("{path}[]"), &mut |path, _, field| {
                    defaults.insert(path.to_owned(), field.value());
                });
            }
        });
        let mut rows = Vec::new();
        walk(self, "", &mut |path, key, field| {
            let value = field.value();
            if matches!(key.rule, Rule::Section | Rule::Items | Rule::Entries)
                || value == Value::Unset
            {
                return;
            }
            let origin = match self.origins.of_value(path, &value) {
                Some(origin) => origin.clone(),
                None if defaults.get(&any_item(path)) == Some(&value) => Origin::Default,
                None => Origin::Program,
            };
            let section = path.split('.').next().unwrap_or(path);
            if UNBUILT_SECTIONS.contains(&section) && origin == Origin::Default {
                return;
            }
            rows.push(EffectiveRow {
                key: path.to_owned(),
                value: key.rule.render(&value),
                origin,
            });
        });
        rows
    }
}

/// The path with the numbers of items left out: `hubs[3].addr` is `hubs[].addr`.
fn any_item(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        inside = (inside || letter == '[') && letter != ']';
        if !inside || letter == '[' {
            out.push(letter);
        }
    }
    out
}
