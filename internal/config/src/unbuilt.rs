//! Parts that are read and checked, and that this version does not have.

use std::fmt;

use crate::rule::Value;
use crate::section::{Section, walk};
use crate::{Config, Origin};

/// A part of the configuration that is used and not built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnbuiltPart {
    /// The key that uses it: `hub.enabled`, or the first of the section's keys that was changed.
    pub key: String,
    /// Who gave the key.
    pub origin: Origin,
}

/// `pubsub.yaml:12:3: hub.enabled: not in this version`.
impl fmt::Display for UnbuiltPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.origin.place() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: not in this version", self.key)
    }
}

impl Config {
    /// What this configuration uses of the parts that are not built. A start is refused then, because
    /// whoever wrote the key counts on it.
    ///
    /// A hub or a client is used when it is enabled; `tls` and `federation` when any key differs from
    /// its default.
    #[must_use]
    pub fn unbuilt(&self) -> Vec<UnbuiltPart> {
        let default = Self::default();
        let enabled = |on: bool, key: &str| on.then(|| key.to_owned());
        let keys = [
            enabled(self.hub.enabled, "hub.enabled"),
            enabled(self.client.enabled, "client.enabled"),
            first_changed("tls", &self.tls, &default.tls),
            first_changed("federation", &self.federation, &default.federation),
        ];
        let part = |key: String| {
            let origin = self.origins.of(&key).cloned().unwrap_or(Origin::Program);
            UnbuiltPart { key, origin }
        };
        keys.into_iter().flatten().map(part).collect()
    }
}

fn first_changed(path: &str, section: &dyn Section, default: &dyn Section) -> Option<String> {
    let values = |section: &dyn Section| {
        let mut values: Vec<(String, Value)> = Vec::new();
        walk(section, path, &mut |path, _, field| values.push((path.to_owned(), field.value())));
        values
    };
    let default = values(default);
    values(section).into_iter().zip(default).find(|(is, was)| is != was).map(|((path, _), _)| path)
}
