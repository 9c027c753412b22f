//! The predecessor's text messages: who is there, and what was handled.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The version that its peers say.
const VERSION: &str = "1";

/// Longest text message, in bytes.
pub(super) const TEXT_MAX_BYTES: usize = 16 << 10;

/// The first message each way. Keys that we do not know are passed over.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handshake<'a> {
    #[serde(borrow)]
    pub(super) instance_name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) role: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) version: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub(super) subscribe: Vec<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) ephemeral: bool,
}

impl<'a> Handshake<'a> {
    pub(super) fn client(name: &'a str, subscribe: &'a [String], ephemeral: bool) -> Self {
        let subscribe = subscribe.iter().map(|channel| channel.as_str().into()).collect();
        let (role, version) = ("client".into(), VERSION.into());
        Self { instance_name: name.into(), role, version, subscribe, ephemeral }
    }

    pub(super) fn hub(name: &'a str) -> Self {
        let (role, version) = ("hub".into(), VERSION.into());
        Self { instance_name: name.into(), role, version, ..Self::default() }
    }

    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Says that a binary message was handled: all of it, whatever became of each record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ack<'a> {
    #[serde(borrow)]
    last_id: Cow<'a, str>,
}

impl Ack<'_> {
    /// Whether `text` is one. Which record it names has never mattered.
    pub(super) fn is(text: &str) -> bool {
        serde_json::from_str::<Ack<'_>>(text).is_ok()
    }

    pub(super) fn text(last_id: &str) -> String {
        serde_json::to_string(&Ack { last_id: last_id.into() }).unwrap_or_default()
    }
}

/// A list that may be `null`, as Go writes one that was never made.
fn nullable<'de, D, T>(value: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(value)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_spelled_as_the_predecessor_spells_them() {
        let channels = ["orders".to_owned()];
        assert_eq!(
            Handshake::client("alice", &channels, true).to_text(),
            r#"{"instance_name":"alice","role":"client","version":"1","subscribe":["orders"],"ephemeral":true}"#
        );
        assert_eq!(
            Handshake::hub("hub").to_text(),
            r#"{"instance_name":"hub","role":"hub","version":"1"}"#
        );
        assert_eq!(Ack::text("a\"b"), r#"{"last_id":"a\"b"}"#);
    }

    #[test]
    fn handshakes_of_any_of_its_versions_are_read() {
        let text = r#"{"instance_name":"al\u00efce","role":"client","version":"1","last_id":"x","subscribe":null,"new":[1]}"#;
        let handshake = Handshake::parse(text).unwrap();
        assert_eq!(handshake.instance_name, "alïce");
        assert!(handshake.subscribe.is_empty() && !handshake.ephemeral);
        for text in ["", "{}", "[]", "null", r#"{"last_id":"x"}"#, r#"{"instance_name":7}"#] {
            assert_eq!(Handshake::parse(text), None, "{text}");
        }
        assert!(Ack::is(r#"{"last_id":""}"#) && !Ack::is("{}") && !Ack::is("x"));
    }
}
