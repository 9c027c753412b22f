//! A configuration written as YAML that reads back as the same configuration.

use crate::Config;
use crate::rule::{Rule, Value, yaml_text};
use crate::section::Section;

impl Config {
    /// The whole configuration as YAML, every key with the value that holds.
    ///
    /// [`Config::from_yaml`] reads the same configuration back, with this text as its origin.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        lines(self).concat()
    }
}

/// The lines of a mapping, each with its line feed, the outermost not indented.
fn lines(section: &dyn Section) -> Vec<String> {
    let mut out = Vec::new();
    for (key, field) in section.fields() {
        let name = key.name;
        let inner = field.sections();
        match key.rule {
            Rule::Section => {
                out.push(format!("{name}:\n"));
                out.extend(inner.iter().flat_map(|(_, section)| indented(lines(*section))));
            }
            Rule::Items if inner.is_empty() => out.push(format!("{name}: []\n")),
            Rule::Items => {
                out.push(format!("{name}:\n"));
                for (_, section) in inner {
                    out.push("  -\n".to_owned());
                    out.extend(indented(indented(lines(section))));
                }
            }
            Rule::Entries if inner.is_empty() => out.push(format!("{name}: {{}}\n")),
            Rule::Entries => {
                out.push(format!("{name}:\n"));
                for (suffix, section) in inner {
                    let entry = suffix.strip_prefix('.').unwrap_or(&suffix);
                    out.push(format!("  {}:\n", yaml_text(entry)));
                    out.extend(indented(indented(lines(section))));
                }
            }
            rule => match field.value() {
                Value::Unset => (),
                value => out.push(format!("{name}: {}\n", rule.render(&value))),
            },
        }
    }
    out
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("  {line}")).collect()
}
