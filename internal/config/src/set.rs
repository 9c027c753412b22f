//! One key set by its path, as flags and environment variables do.

use crate::decode::{Unknown, bad_name};
use crate::rule::Rule;
use crate::section::{Field, Key, Section, join, store};
use crate::{Config, ConfigError, ErrorKind, Origin};

impl Config {
    /// Sets `key`, dotted from the root, from text: `set("storage.sync_policy", "always", Origin::Flag)`.
    ///
    /// A channel's override is `storage.channels.<name or filter>.<key>`; the entry is made when it is
    /// not there. Keys inside lists cannot be set. `${…}` is not expanded. Call [`Config::validate`]
    /// after the last one: only then can be said what contradicts what.
    ///
    /// # Errors
    /// An unknown key, a wrong type or a value out of range; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &str, origin: Origin) -> Result<(), ConfigError> {
        let error = |problem: Problem, origin: &Origin| {
            ConfigError::new(problem.kind, origin.clone(), key, problem.message)
        };
        // An override's entry is made on the way to its key, which may turn out not to exist.
        let mut next = self.clone();
        let (row, field) = locate(&mut next, "", key).map_err(|problem| error(problem, &origin))?;
        let value = row.rule.read(value, false).map_err(|refusal| {
            error(Problem { kind: refusal.kind, message: refusal.message }, &origin)
        })?;
        store(key, field, value.clone());
        next.origins.give(key, origin, value);
        next.settle_sync();
        *self = next;
        Ok(())
    }
}

struct Problem {
    kind: ErrorKind,
    message: String,
}

fn locate<'a>(
    section: &'a mut dyn Section,
    path: &str,
    rest: &str,
) -> Result<(&'static Key, &'a mut dyn Field), Problem> {
    let (name, rest) = match rest.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (rest, None),
    };
    if !section.keys().contains(&name) {
        let message = Unknown::new(path, name, section).message;
        return Err(Problem { kind: ErrorKind::UnknownKey, message });
    }
    let (key, field) = section.field_mut(name).expect("its keys were just looked through");
    let path = join(path, name);
    let unknown = |message: String| Problem { kind: ErrorKind::UnknownKey, message };
    match (key.rule, rest) {
        (Rule::Section, Some(rest)) => {
            let section = field.section_mut("").map_err(unknown)?;
            locate(section, &path, rest)
        }
        (Rule::Entries, Some(rest)) => {
            let (name, rest) = rest
                .rsplit_once('.')
                .ok_or_else(|| unknown(format!("write {path}.<name>.<key>")))?;
            let section = field.section_mut(name).map_err(|reason| Problem {
                kind: ErrorKind::OutOfRange,
                message: bad_name(name, &reason),
            })?;
            locate(section, &join(&path, name), rest)
        }
        (Rule::Items, _) => Err(unknown("only a file can set what is in a list".to_owned())),
        (Rule::Section | Rule::Entries, None) => {
            Err(unknown("it holds keys and is none; name one of them".to_owned()))
        }
        (_, Some(_)) => Err(unknown(format!("unknown key; {path} holds no keys"))),
        (_, None) => Ok((key, field)),
    }
}
