//! What a client says of itself: the JSON of `CONNECT`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::Secret;

/// The options of `CONNECT`.
///
/// As nats-server reads them: keys in any case, the last of two wins, `null` and unknown keys are
/// passed over, and who leaves out `verbose` or `pedantic` gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Whether the client gets what it publishes itself.
    pub echo: bool,
    /// Whether every operation is answered with `+OK`.
    pub verbose: bool,
    /// Whether subjects of messages are checked strictly.
    pub pedantic: bool,
    /// Whether the client insists on TLS.
    pub tls_required: bool,
    /// Public key of the user, `U…`.
    pub nkey: Option<String>,
    /// The user's credentials.
    pub jwt: Option<Secret>,
    /// The signed nonce, in base64.
    pub sig: Option<Secret>,
    /// A token in place of user and password.
    pub auth_token: Option<Secret>,
    /// The user.
    pub user: Option<String>,
    /// The user's password.
    pub pass: Option<Secret>,
    /// What the client calls itself.
    pub name: String,
    /// What it is written in.
    pub lang: String,
    /// Its version.
    pub version: String,
    /// 1: it understands an `INFO` at any time.
    pub protocol: i64,
    /// An account it asks for; nobody may.
    pub account: String,
    /// Whether that is to be made; nobody may.
    pub new_account: bool,
    /// Whether it speaks `HPUB` and `HMSG`.
    pub headers: bool,
    /// Whether it wants to be told that nobody listens to a request.
    pub no_responders: bool,
    /// The nonce signed by a proxy between client and server, in base64.
    pub proxy_sig: Option<Secret>,
}

impl Default for Connect {
    /// What holds for a client that says nothing.
    fn default() -> Self {
        Self {
            echo: true,
            verbose: true,
            pedantic: true,
            tls_required: false,
            nkey: None,
            jwt: None,
            sig: None,
            auth_token: None,
            user: None,
            pass: None,
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            protocol: 0,
            account: String::new(),
            new_account: false,
            headers: false,
            no_responders: false,
            proxy_sig: None,
        }
    }
}

impl Connect {
    /// Reads the JSON of a first `CONNECT`. Bytes that are no text are replaced.
    ///
    /// # Errors
    /// When it is no JSON object, or a value is of another type.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidConnect> {
        Self::default().updated(json)
    }

    /// Reads the JSON of a further `CONNECT`: what it leaves out stays as it was.
    ///
    /// # Errors
    /// When it is no JSON object, or a value is of another type.
    pub fn updated(self, json: &[u8]) -> Result<Self, InvalidConnect> {
        let text = String::from_utf8_lossy(json);
        let mut reader = serde_json::Deserializer::from_str(&text);
        let connect = Reader(self).deserialize(&mut reader);
        connect
            .and_then(|connect| reader.end().map(|()| connect))
            .map_err(|error| InvalidConnect { line: error.line(), column: error.column() })
    }

    /// The JSON text, secrets included, for a server.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&Shown(self)).expect("strings and numbers can always be written")
    }
}

/// The options of a `CONNECT` cannot be read. Where, but not what: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "CONNECT is no JSON object of options, or a value has another type (line {line}, column {column})"
)]
pub struct InvalidConnect {
    /// Line of the JSON text, from 1.
    pub line: usize,
    /// Column of that line.
    pub column: usize,
}

/// Reads options over these.
struct Reader(Connect);

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Connect;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Connect, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Connect;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the options of CONNECT")
    }

    fn visit_unit<E>(self) -> Result<Connect, E> {
        Ok(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Connect, A::Error> {
        let mut it = self.0;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key.to_ascii_lowercase() {
                "echo" => set(&mut it.echo, &mut map)?,
                "verbose" => set(&mut it.verbose, &mut map)?,
                "pedantic" => set(&mut it.pedantic, &mut map)?,
                "tls_required" => set(&mut it.tls_required, &mut map)?,
                "nkey" => set_some(&mut it.nkey, &mut map)?,
                "jwt" => set_secret(&mut it.jwt, &mut map)?,
                "sig" => set_secret(&mut it.sig, &mut map)?,
                "auth_token" => set_secret(&mut it.auth_token, &mut map)?,
                "user" => set_some(&mut it.user, &mut map)?,
                "pass" => set_secret(&mut it.pass, &mut map)?,
                "name" => set(&mut it.name, &mut map)?,
                "lang" => set(&mut it.lang, &mut map)?,
                "version" => set(&mut it.version, &mut map)?,
                "protocol" => set(&mut it.protocol, &mut map)?,
                "account" => set(&mut it.account, &mut map)?,
                "new_account" => set(&mut it.new_account, &mut map)?,
                "headers" => set(&mut it.headers, &mut map)?,
                "no_responders" => set(&mut it.no_responders, &mut map)?,
                "proxy_sig" => set_secret(&mut it.proxy_sig, &mut map)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(it)
    }
}

/// Takes the next value, unless it is `null`.
fn set<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut T,
    map: &mut A,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value()? {
        *field = value;
    }
    Ok(())
}

/// The same; an empty text is as good as none.
fn set_some<'de, A: MapAccess<'de>>(
    field: &mut Option<String>,
    map: &mut A,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value::<Option<String>>()? {
        *field = Some(value).filter(|value| !value.is_empty());
    }
    Ok(())
}

fn set_secret<'de, A: MapAccess<'de>>(
    field: &mut Option<Secret>,
    map: &mut A,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value::<Option<String>>()? {
        *field = Some(value).filter(|value| !value.is_empty()).map(Secret::new);
    }
    Ok(())
}

/// Options with their secrets: only what goes to a server is written so.
struct Shown<'a>(&'a Connect);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let it = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("verbose", &it.verbose)?;
        map.serialize_entry("pedantic", &it.pedantic)?;
        map.serialize_entry("tls_required", &it.tls_required)?;
        for (key, text) in [("name", &it.name), ("lang", &it.lang), ("version", &it.version)] {
            map.serialize_entry(key, text)?;
        }
        map.serialize_entry("protocol", &it.protocol)?;
        map.serialize_entry("echo", &it.echo)?;
        map.serialize_entry("headers", &it.headers)?;
        map.serialize_entry("no_responders", &it.no_responders)?;
        for (key, text) in [("nkey", &it.nkey), ("user", &it.user)] {
            if let Some(text) = text {
                map.serialize_entry(key, text)?;
            }
        }
        let secrets = [
            ("pass", &it.pass),
            ("auth_token", &it.auth_token),
            ("jwt", &it.jwt),
            ("sig", &it.sig),
            ("proxy_sig", &it.proxy_sig),
        ];
        for (key, secret) in secrets {
            if let Some(secret) = secret {
                map.serialize_entry(key, secret.expose())?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Connect {
        Connect::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn who_says_nothing_is_verbose_and_pedantic_and_hears_itself() {
        for json in
            ["{}", "null", r#"{"verbose":null,"name":null,"protocol":null,"new":[1,{"a":2}]}"#]
        {
            let it = read(json);
            assert_eq!(it, Connect::default());
            assert!(it.echo && it.verbose && it.pedantic && !it.headers, "{json}");
        }
    }

    #[test]
    fn keys_are_taken_in_any_case_and_the_last_one_wins() {
        let it = read(r#"{"VERBOSE":false,"Pedantic":false,"user":"a","USER":"b","pass":"p"}"#);
        assert!(!it.verbose && !it.pedantic);
        assert_eq!(it.user.as_deref(), Some("b"));
        assert!(read(r#"{"verbose":false,"verbose":true}"#).verbose);
        assert_eq!(read(r#"{"user":"","jwt":""}"#), Connect::default());
    }

    #[test]
    fn further_connect_changes_what_it_names() {
        let first = read(r#"{"verbose":false,"echo":false,"name":"n","protocol":1}"#);
        let second = first.updated(br#"{"headers":true,"echo":true,"name":null}"#).unwrap();
        assert!(second.headers && second.echo && !second.verbose);
        assert_eq!((second.name.as_str(), second.protocol), ("n", 1));
    }

    #[test]
    fn values_of_another_type_are_refused() {
        for json in [
            "",
            "{",
            "[]",
            "1",
            "\"x\"",
            "{} x",
            r#"{"verbose":"no"}"#,
            r#"{"protocol":1.5}"#,
            r#"{"protocol":1e0}"#,
            r#"{"user":1}"#,
            r#"{"name":{}}"#,
            "{\"verbose\":false,",
        ] {
            assert!(Connect::from_json(json.as_bytes()).is_err(), "{json}");
        }
        assert_eq!(read(r#"{"protocol":-1}"#).protocol, -1);
    }

    #[test]
    fn name_that_is_no_text_is_taken_with_replacements() {
        let it = Connect::from_json(b"{\"name\":\"a\xff\"}").unwrap();
        assert_eq!(it.name, "a\u{fffd}");
    }

    #[test]
    fn what_a_client_writes_a_server_reads() {
        let it = Connect {
            user: Some("u".into()),
            pass: Some(Secret::new("p")),
            nkey: Some("U1".into()),
            jwt: Some(Secret::new("j")),
            sig: Some(Secret::new("s")),
            auth_token: Some(Secret::new("t")),
            proxy_sig: Some(Secret::new("x")),
            name: "n".into(),
            headers: true,
            no_responders: true,
            verbose: false,
            protocol: 1,
            ..Connect::default()
        };
        assert_eq!(Connect::from_json(&it.to_json()).unwrap(), it);
    }

    #[test]
    fn secrets_are_not_shown() {
        let it = read(
            r#"{"user":"u","pass":"geheim","auth_token":"geheim","jwt":"geheim","sig":"geheim"}"#,
        );
        assert!(!format!("{it:?}").contains("geheim"));
        let error = Connect::from_json(b"{\"verbose\":\"geheim\"}").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("geheim"));
    }
}
