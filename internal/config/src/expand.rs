//! `${VARIABLE}` and `${VARIABLE:-default}` in values.

use std::borrow::Cow;

/// A value after its variables were filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded<'a> {
    pub text: Cow<'a, str>,
    /// The first variable whose own value was used.
    pub variable: Option<String>,
    /// Whether there was any `${…}`, set or not.
    pub expanded: bool,
}

/// Fills in what `env` knows. An empty variable counts as unset where there is a default.
///
/// `$${` stands for a literal `${`; a `$` before anything else is itself. What is filled in is not
/// looked at again, so a variable cannot smuggle in another.
pub(crate) fn expand<'a>(
    text: &'a str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded<'a>, String> {
    if !text.contains("${") {
        return Ok(Expanded { text: Cow::Borrowed(text), variable: None, expanded: false });
    }
    let mut out = String::new();
    let mut variable = None;
    let mut expanded = false;
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = inside.find('}').ok_or("\"${\" without \"}\"; write $${ for a literal ${")?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        check_name(name)?;
        expanded = true;
        match (env(name), default) {
            (Some(value), None) => {
                out.push_str(&value);
                variable.get_or_insert_with(|| name.to_owned());
            }
            (Some(value), Some(_)) if !value.is_empty() => {
                out.push_str(&value);
                variable.get_or_insert_with(|| name.to_owned());
            }
            (_, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!(
                    "environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                ));
            }
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(Expanded { text: Cow::Owned(out), variable, expanded })
}

/// The text that [`expand`] turns into `text`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains("${") { text.replace("${", "$${").into() } else { text.into() }
}

fn check_name(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if starts && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err(format!(
        "{:?} is not the name of an environment variable; write ${{NAME}} or ${{NAME:-default}}, \
         or $${{ for a literal ${{",
        crate::rule::shortened(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::{escape, expand};

    fn env(name: &str) -> Option<String> {
        match name {
            "DIR" => Some("/srv".to_owned()),
            "EMPTY" => Some(String::new()),
            "SLY" => Some("${DIR}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_filled_in_and_defaults_stand_for_the_unset_and_the_empty() {
        for (text, expected, variable) in [
            ("plain", "plain", None),
            ("${DIR}", "/srv", Some("DIR")),
            ("${DIR}/${EMPTY}data", "/srv/data", Some("DIR")),
            ("${DIR:-/tmp}", "/srv", Some("DIR")),
            ("${NONE:-/tmp}", "/tmp", None),
            ("${EMPTY:-/tmp}", "/tmp", None),
            ("${EMPTY}", "", Some("EMPTY")),
            ("${NONE:-}", "", None),
            ("${SLY}", "${DIR}", Some("SLY")),
            ("$${DIR}", "${DIR}", None),
            ("$5 $DIR $$", "$5 $DIR $$", None),
        ] {
            let expanded = expand(text, &env).unwrap();
            assert_eq!(expanded.text, expected, "{text}");
            assert_eq!(expanded.variable.as_deref(), variable, "{text}");
        }
    }

    #[test]
    fn an_unset_variable_without_default_is_an_error_that_names_it() {
        assert!(expand("${NONE}", &env).unwrap_err().contains("NONE is not set"));
        assert!(expand("${DIR", &env).unwrap_err().contains("without"));
        for bad in ["${}", "${1A}", "${A-B}", "${A:?x}", "${ DIR }"] {
            assert!(expand(bad, &env).unwrap_err().contains("is not the name"), "{bad}");
        }
    }

    #[test]
    fn escaped_text_expands_to_itself() {
        for text in ["${DIR}", "$${DIR}", "a${b${c", "$$$${", "{}$", "plain"] {
            assert_eq!(expand(&escape(text), &env).unwrap().text, text);
        }
    }
}
