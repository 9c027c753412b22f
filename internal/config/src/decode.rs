//! The tree, key by key, into a `Config`; whatever is wrong is noted and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::rule::{Refusal, Rule, Value, shortened};
use crate::section::{Field, Key, Section, join, store, walk};
use crate::tree::{At, Content, Node};
use crate::{Config, ConfigError, ConfigErrors, ErrorKind, Origin, Origins, Place};
use crate::{contradictions, expand, nearest, tree};

impl Config {
    /// Reads a configuration. `origin_file` is what errors and origins call the text; `env` answers
    /// what an environment variable holds.
    ///
    /// A key that is not given, or is given nothing, has its default. `name` stays empty when it is
    /// not given: see [`Config::apply_defaults`].
    ///
    /// ```
    /// let text = "storage:\n  data_dir: ${DIR:-./data}\n  retention: 7d\n  segment_mb: many\n";
    /// let errors = pubsub_config::Config::from_yaml(text, "pubsub.yaml", &|_| None).unwrap_err();
    /// assert_eq!(
    ///     errors.to_string(),
    ///     "pubsub.yaml:4:15: storage.segment_mb: found \"many\"; allowed: a whole number, 1 to 4096"
    /// );
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong, each with its place. Text that is not YAML, too long, too deep or
    /// expands to too much gives one error, because the rest cannot be trusted.
    pub fn from_yaml(
        text: &str,
        origin_file: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        Self::from_slice(text.as_bytes(), origin_file, env)
    }

    /// [`Config::from_yaml`] for bytes that may not be text.
    ///
    /// # Errors
    /// As [`Config::from_yaml`]; bytes that are not UTF-8 are one error with their place.
    pub fn from_slice(
        bytes: &[u8],
        origin_file: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let file: Arc<str> = origin_file.into();
        let root = tree::read(bytes).map_err(|error| {
            let origin = Origin::File(place(&file, error.at));
            ConfigErrors::from(ConfigError::new(error.kind, origin, "", error.message))
        })?;
        let mut config = Self::default();
        let mut decoder = Decoder {
            file,
            env,
            origins: Origins::default(),
            errors: Vec::new(),
            suspect: BTreeSet::new(),
        };
        if let Some(root) = root {
            decoder.section("", &mut config, &root);
        }
        let Decoder { origins, mut errors, suspect, .. } = decoder;
        config.origins = origins;
        config.settle_sync();
        errors.extend(contradictions::find(&config, &suspect));
        ConfigErrors::check(errors)?;
        Ok(config)
    }

    /// Applies every rule to a configuration that was built or changed in code.
    ///
    /// # Errors
    /// Everything that is wrong; with places where the values still are those of a file.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        let mut suspect = BTreeSet::new();
        walk(self, "", &mut |path, key, field| {
            if let Err(refusal) = key.rule.check(&field.value()) {
                let origin = self.origins.of(path).cloned().unwrap_or(Origin::Program);
                errors.push(ConfigError::new(refusal.kind, origin, path, refusal.message));
                suspect.insert(path.to_owned());
            }
        });
        for filter in self.storage.channels.keys() {
            if let Some(reason) = crate::channel::matches_no_channel(filter) {
                let path = format!("storage.channels.{filter}");
                let message = bad_name(filter.as_str(), reason);
                errors.push(ConfigError::new(
                    ErrorKind::OutOfRange,
                    Origin::Program,
                    &path,
                    message,
                ));
            }
        }
        errors.extend(contradictions::find(self, &suspect));
        ConfigErrors::check(errors)
    }

    /// Fills in what only the machine knows: the name, where none was given, is the host's.
    ///
    /// A character that a name may not have becomes `-`; of a host without a name, `localhost`.
    pub fn apply_defaults(&mut self, host_name: &str) {
        if !self.name.is_empty() {
            return;
        }
        self.name = host_name
            .chars()
            .map(|c| u8::try_from(c).ok().filter(|b| crate::settings::is_name_byte(*b)))
            .map(|byte| byte.map_or('-', char::from))
            .take(crate::settings::NAME_MAX_BYTES)
            .collect();
        if self.name.is_empty() {
            "localhost".clone_into(&mut self.name);
        }
        self.origins.give("name", Origin::Default, Value::Text(self.name.clone()));
    }
}

struct Decoder<'a> {
    file: Arc<str>,
    env: &'a dyn Fn(&str) -> Option<String>,
    origins: Origins,
    errors: Vec<ConfigError>,
    /// Keys that have an error, or were probably meant by an unknown one.
    suspect: BTreeSet<String>,
}

impl Decoder<'_> {
    fn section(&mut self, path: &str, into: &mut dyn Section, node: &Node) {
        let Some(pairs) = self.pairs(path, Rule::Section, node) else { return };
        for (at, name, value) in pairs {
            let key_path = join(path, &shortened(name));
            match into.field_mut(name) {
                Some((key, field)) => self.field(&key_path, key, field, value),
                None => {
                    let unknown = Unknown::new(path, name, into);
                    self.suspect.extend(unknown.meant);
                    self.error(ErrorKind::UnknownKey, at, &key_path, unknown.message);
                }
            }
        }
    }

    fn field(&mut self, path: &str, key: &'static Key, field: &mut dyn Field, node: &Node) {
        match key.rule {
            Rule::Section => match field.section_mut("") {
                Ok(section) => self.section(path, section, node),
                Err(message) => self.error(ErrorKind::WrongType, node.at, path, message),
            },
            Rule::Entries => {
                for (at, name, value) in self.pairs(path, key.rule, node).unwrap_or_default() {
                    let path = join(path, &shortened(name));
                    match field.section_mut(name) {
                        Ok(section) => self.section(&path, section, value),
                        Err(reason) => {
                            self.error(ErrorKind::OutOfRange, at, &path, bad_name(name, &reason));
                        }
                    }
                }
            }
            Rule::Items => {
                if matches!(node.content, Content::Null) {
                    return;
                }
                let Content::List(items) = &node.content else {
                    return self.refuse(node.at, path, wrong_type(key.rule, node));
                };
                for (at, item) in items.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    // A key that the item lacks has no place of its own.
                    let origin = Origin::File(place(&self.file, item.at));
                    self.origins.give(&path, origin, Value::Unset);
                    match field.section_mut("") {
                        Ok(section) => self.section(&path, section, item),
                        Err(message) => self.error(ErrorKind::WrongType, item.at, &path, message),
                    }
                }
            }
            _ if matches!(node.content, Content::Null) => (),
            rule => match self.value(rule, node) {
                Ok((value, origin)) => {
                    self.origins.give(path, origin, value.clone());
                    store(path, field, value);
                }
                Err((at, refusal)) => self.refuse(at, path, refusal),
            },
        }
    }

    /// The keys of a mapping, each once; nothing is an empty mapping.
    fn pairs<'n>(
        &mut self,
        path: &str,
        rule: Rule,
        node: &'n Node,
    ) -> Option<Vec<(At, &'n str, &'n Node)>> {
        let pairs = match &node.content {
            Content::Map(pairs) => pairs,
            Content::Null => return None,
            Content::List(_) | Content::Scalar { .. } => {
                self.refuse(node.at, path, wrong_type(rule, node));
                return None;
            }
        };
        let mut first = BTreeMap::new();
        let mut unique = Vec::new();
        for (key, value) in pairs {
            match first.get(key.text.as_str()) {
                None => {
                    first.insert(key.text.as_str(), key.at);
                    unique.push((key.at, key.text.as_str(), &**value));
                }
                Some(At { line, column }) => {
                    let path = join(path, &shortened(&key.text));
                    let message = format!("given twice, first at {line}:{column}; allowed: once");
                    self.error(ErrorKind::Duplicate, key.at, &path, message);
                }
            }
        }
        Some(unique)
    }

    fn value(&self, rule: Rule, node: &Node) -> Result<(Value, Origin), (At, Refusal)> {
        if let (Rule::Texts(_), Content::List(items)) = (rule, &node.content) {
            let item_rule = rule.of_item();
            let texts = items.iter().map(|item| match self.value(item_rule, item)? {
                (Value::Text(text), _) => Ok(text),
                _ => Err((item.at, wrong_type(item_rule, item))),
            });
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            return Ok((Value::Texts(texts), Origin::File(place(&self.file, node.at))));
        }
        let Content::Scalar { text, quoted } = &node.content else {
            return Err((node.at, wrong_type(rule, node)));
        };
        let expanded = expand::expand(text, self.env)
            .map_err(|message| (node.at, Refusal { kind: ErrorKind::Environment, message }))?;
        // Quotes may be there for the sake of the braces, so they say nothing about the type.
        let value = rule
            .read(&expanded.text, *quoted && !expanded.expanded)
            .map_err(|refusal| (node.at, refusal))?;
        let place = place(&self.file, node.at);
        let origin = match expanded.variable {
            Some(variable) => Origin::Env { variable: variable.into(), place: Some(place) },
            None => Origin::File(place),
        };
        Ok((value, origin))
    }

    fn refuse(&mut self, at: At, path: &str, refusal: Refusal) {
        self.error(refusal.kind, at, path, refusal.message);
    }

    fn error(&mut self, kind: ErrorKind, at: At, path: &str, message: String) {
        self.suspect.insert(path.to_owned());
        let origin = Origin::File(place(&self.file, at));
        self.errors.push(ConfigError::new(kind, origin, path, message));
    }
}

/// What to say about a key that `section` does not have.
pub(crate) struct Unknown {
    pub message: String,
    /// The path of the key that was probably meant.
    pub meant: Option<String>,
}

impl Unknown {
    pub(crate) fn new(path: &str, name: &str, section: &dyn Section) -> Self {
        let keys = section.keys();
        let meant = match nearest::nearest(name, keys.iter().copied()) {
            Some(near) => Some((near.to_owned(), join(path, near))),
            None => elsewhere(name).map(|path| (path.clone(), path)),
        };
        let hint =
            meant.as_ref().map_or_else(String::new, |(say, _)| format!("did you mean {say}? "));
        let message = format!("unknown key; {hint}allowed: {}", keys.join(", "));
        Self { message, meant: meant.map(|(_, path)| path) }
    }
}

/// The path of a key called `name` in another section.
fn elsewhere(name: &str) -> Option<String> {
    let mut found = None;
    walk(&Config::default(), "", &mut |path, key, _| {
        if key.name == name && found.is_none() {
            found = Some(path.to_owned());
        }
    });
    found
}

fn wrong_type(rule: Rule, node: &Node) -> Refusal {
    let found = match node.content {
        Content::Null => "nothing",
        Content::Scalar { .. } => "a single value",
        Content::List(_) => "a list",
        Content::Map(_) => "a mapping",
    };
    rule.refuse(ErrorKind::WrongType, found)
}

/// What to say about a name or filter that no channel can have.
pub(crate) fn bad_name(name: &str, reason: &str) -> String {
    format!(
        "no channel matches {:?}: {reason}; allowed: a channel name, or a filter with * and >",
        shortened(name)
    )
}

fn place(file: &Arc<str>, at: At) -> Place {
    Place { file: Arc::clone(file), line: at.line, column: at.column }
}
