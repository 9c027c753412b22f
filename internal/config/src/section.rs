//! How the table of keys and the typed structs are one thing.
//!
//! `section!` takes the fields of a struct with their documentation, type, default and rule, and makes
//! the struct, its `Default`, and the rows that everything else reads. A [`Field`] moves values in and
//! out without knowing their rule; a [`Rule`] knows the rule without knowing the struct.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pubsub_types::{Filter, Format, SyncPolicy};

use crate::rule::{Rule, Value};
use crate::settings::{
    ChannelOverrides, Compression, Insecure, LinkProtocol, LinkStart, LogFormat, LogLevel,
    TlsVersion,
};

/// One key of a section.
#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    /// The field's documentation, line by line, as `rustdoc` has it.
    pub doc: &'static [&'static str],
    pub rule: Rule,
}

impl Key {
    /// The first paragraph of the documentation, in one line.
    pub(crate) fn summary(&self) -> String {
        let lines = self.doc.iter().map(|line| line.trim());
        lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// A mapping of keys: what `section!` makes.
pub(crate) trait Section {
    fn fields(&self) -> Vec<(&'static Key, &dyn Field)>;
    fn field_mut(&mut self, name: &str) -> Option<(&'static Key, &mut dyn Field)>;

    fn keys(&self) -> Vec<&'static str> {
        self.fields().into_iter().map(|(key, _)| key.name).collect()
    }
}

/// What one key holds: a value, or sections.
pub(crate) trait Field {
    /// The value; of a field that holds sections, `Unset`.
    fn value(&self) -> Value {
        Value::Unset
    }

    /// Takes a value that passed the key's rule; `false` when rule and type do not fit each other.
    fn assign(&mut self, _: Value) -> bool {
        false
    }

    /// The sections inside, each with what its keys' paths have after this key's: nothing, `[0]` or
    /// `.name`.
    fn sections(&self) -> Vec<(String, &dyn Section)> {
        Vec::new()
    }

    /// The section called `name`, made when it is not there. Lists only ever get a new last one.
    fn section_mut(&mut self, _name: &str) -> Result<&mut dyn Section, String> {
        Err("it holds no sections".to_owned())
    }

    /// A section as it is before anything is given, for a field that may hold none yet.
    fn blank(&self) -> Option<Box<dyn Section>> {
        None
    }
}

macro_rules! section {
    (
        $(#[$outer:meta])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $rule:expr; )*
        }
        $( beside $(#[$beside_meta:meta])* $beside:ident: $beside_type:ty; )?
    ) => {
        $(#[$outer])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )*
            $( $(#[$beside_meta])* pub(crate) $beside: $beside_type, )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* $( $beside: Default::default(), )? }
            }
        }

        impl $name {
            const KEYS: &'static [$crate::section::Key] = &[ $( $crate::section::Key {
                name: stringify!($field),
                doc: &[$($doc),+],
                rule: $rule,
            }, )* ];
        }

        impl $crate::section::Section for $name {
            fn fields(&self) -> Vec<(&'static $crate::section::Key, &dyn $crate::section::Field)> {
                let fields: Vec<&dyn $crate::section::Field> = vec![$( &self.$field ),*];
                Self::KEYS.iter().zip(fields).collect()
            }

            fn field_mut(
                &mut self,
                name: &str,
            ) -> Option<(&'static $crate::section::Key, &mut dyn $crate::section::Field)> {
                let fields: Vec<&mut dyn $crate::section::Field> = vec![$( &mut self.$field ),*];
                Self::KEYS.iter().zip(fields).find(|(key, _)| key.name == name)
            }
        }

        impl $crate::section::Field for $name {
            fn sections(&self) -> Vec<(String, &dyn $crate::section::Section)> {
                vec![(String::new(), self)]
            }

            fn section_mut(
                &mut self,
                _: &str,
            ) -> Result<&mut dyn $crate::section::Section, String> {
                Ok(self)
            }

            fn blank(&self) -> Option<Box<dyn $crate::section::Section>> {
                Some(Box::new(Self::default()))
            }
        }
    };
}
pub(crate) use section;

/// Field types that one kind of value holds: how to make the value, and how to take it.
macro_rules! field {
    ($( $type:ty: $kind:ident($value:ident), $read:expr, $write:expr; )*) => { $(
        impl Field for $type {
            fn value(&self) -> Value {
                let read: fn(&$type) -> _ = $read;
                Value::$kind(read(self))
            }

            fn assign(&mut self, value: Value) -> bool {
                let Value::$kind($value) = value else { return false };
                let Some(value) = $write else { return false };
                *self = value;
                true
            }
        }
    )* };
}

field! {
    bool: Bool(value), |value| *value, Some(value);
    u32: Whole(value), |value| u64::from(*value), Self::try_from(value).ok();
    u64: Whole(value), |value| *value, Some(value);
    f64: Fraction(value), |value| *value, Some(value);
    Duration: Span(value), |value| *value, Some(value);
    String: Text(value), Self::clone, Some(value);
    PathBuf: Text(value), |path| path.to_string_lossy().into_owned(), Some(Self::from(value));
    SyncPolicy: Text(value), |value| value.as_str().to_owned(), value.parse::<Self>().ok();
    Format: Text(value), |value| value.as_str().to_owned(), value.parse::<Self>().ok();
    LogLevel: Text(value), |value| value.as_str().to_owned(), Self::from_name(&value);
    LogFormat: Text(value), |value| value.as_str().to_owned(), Self::from_name(&value);
    TlsVersion: Text(value), |value| value.as_str().to_owned(), Self::from_name(&value);
    Insecure: Text(value), |value| value.as_str().to_owned(), Self::from_name(&value);
    LinkStart: Text(value), |value| value.as_str().to_owned(), Self::from_name(&value);
    LinkProtocol: Text(value), |value| value.as_str().to_owned(), Self::from_name(&value);
    Compression: Text(value), |value| value.as_str().to_owned(), Self::from_name(&value);
    Vec<String>: Texts(values), Self::clone, Some(values);
}

/// A key that may be left out, which is not the same as having any value.
impl<T: Field + Default> Field for Option<T> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Unset, Field::value)
    }

    fn assign(&mut self, value: Value) -> bool {
        let mut inner = T::default();
        let fits = inner.assign(value);
        *self = Some(inner);
        fits
    }
}

impl<T: Section + Default + 'static> Field for Vec<T> {
    fn sections(&self) -> Vec<(String, &dyn Section)> {
        self.iter().enumerate().map(|(at, item)| (format!("[{at}]"), item as _)).collect()
    }

    fn section_mut(&mut self, _: &str) -> Result<&mut dyn Section, String> {
        self.push(T::default());
        Ok(self.last_mut().expect("one was just pushed"))
    }

    fn blank(&self) -> Option<Box<dyn Section>> {
        Some(Box::new(T::default()))
    }
}

impl Field for BTreeMap<Filter, ChannelOverrides> {
    fn sections(&self) -> Vec<(String, &dyn Section)> {
        self.iter().map(|(filter, section)| (format!(".{filter}"), section as _)).collect()
    }

    fn section_mut(&mut self, name: &str) -> Result<&mut dyn Section, String> {
        let filter = Filter::new(name).map_err(|error| error.reason.to_owned())?;
        if let Some(reason) = crate::channel::matches_no_channel(&filter) {
            return Err(reason.to_owned());
        }
        Ok(self.entry(filter).or_default())
    }

    fn blank(&self) -> Option<Box<dyn Section>> {
        Some(Box::new(ChannelOverrides::default()))
    }
}

/// Puts a value that passed the rule of the key at `path` into its field.
pub(crate) fn store(path: &str, field: &mut dyn Field, value: Value) {
    assert!(field.assign(value), "the rule of {path} admits what its type does not");
}

/// Visits every section from `root` down with the path of its keys, dotted, without a last dot.
pub(crate) fn walk(
    root: &dyn Section,
    path: &str,
    visit: &mut dyn FnMut(&str, &'static Key, &dyn Field),
) {
    for (key, field) in root.fields() {
        let path = join(path, key.name);
        visit(&path, key, field);
        for (suffix, section) in field.sections() {
            walk(section, &format!("{path}{suffix}"), visit);
        }
    }
}

/// The path of a key below `path`.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
