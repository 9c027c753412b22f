//! Parts that are read and checked, and that this version does not have.

use std::fmt;

use crate::rule::Value;
use crate::section::{Section, walk};
use crate::settings::UNBUILT_SECTIONS;
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
    /// What this configuration uses of the parts that are not built: keys of theirs that differ from
    /// their default. A start is refused then, because whoever wrote the key counts on it.
    #[must_use]
    pub fn unbuilt(&self) -> Vec<UnbuiltPart> {
        self.uses_of(&UNBUILT_SECTIONS)
    }

    /// The first changed key of each of `sections`.
    fn uses_of(&self, sections: &[&str]) -> Vec<UnbuiltPart> {
        let default = Self::default();
        let pairs = self.fields().into_iter().zip(default.fields());
        let changed = pairs.filter(|((key, _), _)| sections.contains(&key.name)).filter_map(
            |((key, field), (_, default))| {
                let section = field.sections().pop()?.1;
                first_changed(key.name, section, default.sections().pop()?.1)
            },
        );
        let part = |key: String| {
            let origin = self.origins.of(&key).cloned().unwrap_or(Origin::Program);
            UnbuiltPart { key, origin }
        };
        changed.map(part).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_not_built_are_listed_only_when_used() {
        let uses = |text: &str| -> Vec<String> {
            let config = Config::from_yaml(text, "pubsub.yaml", &|_| None).unwrap();
            config.uses_of(&["tls", "federation"]).iter().map(ToString::to_string).collect()
        };
        assert!(uses("tls: {min_version: 1.3}\nfederation: {reconnect_base_ms: 500}\n").is_empty());
        assert!(uses("storage: {segment_mb: 8}\n").is_empty());
        assert_eq!(
            uses("tls:\n  ca: c\nfederation:\n  max_batch_bytes: 4MiB\n"),
            [
                "pubsub.yaml:2:7: tls.ca: not in this version",
                "pubsub.yaml:4:20: federation.max_batch_bytes: not in this version",
            ]
        );
        let mut config = Config::default();
        config.tls.expiry_warn_days = 7;
        let used = config.uses_of(&["tls"]);
        assert_eq!(used[0].to_string(), "tls.expiry_warn_days: not in this version");
    }
}
