//! What a server says of itself: the JSON of `INFO`.

use serde::{Deserialize, Serialize};

/// The fields of `INFO` that clients see, in the order of nats-server.
///
/// A field that is false, zero, empty or `None` is left out where nats-server leaves it out, and may be
/// missing where a server is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The server's public key, `N…`.
    pub server_id: String,
    /// Its name; its id where none is configured.
    pub server_name: String,
    /// The version of nats-server that it behaves like.
    pub version: String,
    /// Protocol version; 1.
    pub proto: i32,
    /// What it was built from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    /// What it was built with.
    pub go: String,
    /// Where it listens, or is advertised.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Whether `HPUB` and `HMSG` are spoken.
    pub headers: bool,
    /// Whether `CONNECT` must bring credentials.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// Whether TLS must be spoken from here on.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// Whether the client's certificate is asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    /// Whether TLS may be spoken.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// Largest message, headers included, in bytes. Negative: no limit.
    pub max_payload: i64,
    /// Whether there are streams.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// The number of this connection.
    #[serde(skip_serializing_if = "is_zero")]
    pub client_id: u64,
    /// The address that the server sees of the client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_ip: String,
    /// What a client with a key signs; only in the first `INFO`, and only where keys are in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The name of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Whether that name was made up.
    #[serde(skip_serializing_if = "is_false")]
    pub cluster_dynamic: bool,
    /// The domain of its streams.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Other servers of the cluster, for reconnections: `host:port`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// The same, for WebSocket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Whether the server is about to go: clients look for another.
    #[serde(skip_serializing_if = "is_false")]
    pub ldm: bool,
    /// Whether this answers `CONNECT`.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// The account the client is in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_account: String,
    /// Whether that is the system account.
    #[serde(skip_serializing_if = "is_false")]
    pub acc_is_sys: bool,
    /// Level of the stream API.
    #[serde(skip_serializing_if = "is_zero")]
    pub api_lvl: u64,
    /// The server's public key for sealed requests, `X…`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Info {
    /// The JSON text.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can always be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nats-server 2.15.1 wrote it.
    const CAPTURED: &str = r#"{"server_id":"NBPFDHRGP6Q6PFNHFS5FDECJT2HI6SVBWKEPM56AQDJZ6PPZN4ZU3TP4","server_name":"probe","version":"2.15.1","proto":1,"git_commit":"b2fd3ef","go":"go1.27.2","host":"1.2.3.4","port":4222,"headers":true,"auth_required":true,"max_payload":5000,"jetstream":true,"client_id":9,"client_ip":"127.0.0.1","nonce":"Zs7Kufxn_RG0H3k","cluster":"abc","domain":"hub","api_lvl":5,"xkey":"XBM3K6ZC6QJLLCO4VUND73XISHNS3SVAUOI5W3XYYAHI5IGPK3JR6NST"}"#;

    #[test]
    fn info_of_nats_server_is_read_and_written_byte_for_byte() {
        let info: Info = serde_json::from_str(CAPTURED).unwrap();
        assert_eq!((info.client_id, info.nonce.as_deref()), (9, Some("Zs7Kufxn_RG0H3k")));
        assert_eq!(String::from_utf8(info.to_json()).unwrap(), CAPTURED);
    }

    #[test]
    fn unknown_and_missing_fields_of_a_server_are_borne() {
        let info: Info = serde_json::from_str(r#"{"server_id":"x","new_field":[1]}"#).unwrap();
        assert_eq!(info, Info { server_id: "x".into(), ..Info::default() });
    }
}
