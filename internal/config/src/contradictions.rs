//! Values that are each allowed and do not go together, and keys that others need.

use std::collections::BTreeSet;

use crate::{Config, ConfigError, ErrorKind, Insecure, Origin, sync};

/// Something wrong between keys.
#[derive(Debug)]
pub(crate) struct Finding {
    kind: ErrorKind,
    /// The keys it is about. The error names the first, and the place of the first that was given.
    keys: Vec<String>,
    message: String,
}

impl Finding {
    pub(crate) fn contradiction(keys: &[&str], message: String) -> Self {
        Self::new(ErrorKind::Contradiction, keys, message)
    }

    fn missing(keys: &[&str], message: String) -> Self {
        Self::new(ErrorKind::Missing, keys, message)
    }

    fn new(kind: ErrorKind, keys: &[&str], message: String) -> Self {
        Self { kind, keys: keys.iter().map(|key| (*key).to_owned()).collect(), message }
    }

    fn into_error(self, config: &Config) -> ConfigError {
        let origin = self.keys.iter().find_map(|key| config.origins.of(key));
        let origin = origin.cloned().unwrap_or(Origin::Program);
        ConfigError::new(self.kind, origin, &self.keys[0], self.message)
    }
}

/// Everything wrong between keys, save where one of them is in `suspect`: what is already reported as
/// wrong by itself would only be reported again.
pub(crate) fn find(config: &Config, suspect: &BTreeSet<String>) -> Vec<ConfigError> {
    let mut found = Vec::new();
    sync::contradictions(config, &mut found);
    backoff(config, &mut found);
    tls(config, &mut found);
    hub(config, &mut found);
    client(config, &mut found);
    found
        .into_iter()
        .filter(|finding| !finding.keys.iter().any(|key| suspect.contains(key)))
        .map(|finding| finding.into_error(config))
        .collect()
}

fn backoff(config: &Config, found: &mut Vec<Finding>) {
    let mut ordered = |base_key: &str, base: u64, max_key: &str, max: u64| {
        if base > max {
            let name = max_key.rsplit('.').next().unwrap_or(max_key);
            let message =
                format!("{base} is more than {name}, which is {max}; allowed: 0 to {max}");
            found.push(Finding::contradiction(&[base_key, max_key], message));
        }
    };
    ordered(
        "subscribers.retry_backoff_base_ms",
        config.subscribers.retry_backoff_base_ms,
        "subscribers.retry_backoff_max_ms",
        config.subscribers.retry_backoff_max_ms,
    );
    ordered(
        "federation.reconnect_base_ms",
        config.federation.reconnect_base_ms,
        "federation.reconnect_max_ms",
        config.federation.reconnect_max_ms,
    );
}

fn tls(config: &Config, found: &mut Vec<Finding>) {
    let mut pair = |present: &str, absent: &str| {
        found.push(Finding::missing(
            &[&format!("tls.{absent}"), &format!("tls.{present}")],
            format!("needed, as tls.{present} is set; allowed: both or neither"),
        ));
    };
    match (config.tls.cert.is_empty(), config.tls.key.is_empty()) {
        (false, true) => pair("cert", "key"),
        (true, false) => pair("key", "cert"),
        (true, true) | (false, false) => (),
    }
}

fn hub(config: &Config, found: &mut Vec<Finding>) {
    if config.hub.enabled && config.hub.listen_addr.is_empty() {
        found.push(Finding::missing(
            &["hub.listen_addr", "hub.enabled"],
            "needed, as hub.enabled is true; allowed: host:port, such as 0.0.0.0:7740".to_owned(),
        ));
    }
    if config.hub.enabled && !config.hub.listen_addr.is_empty() {
        let keys = ["hub.listen_addr", "hub.insecure", "hub.enabled"];
        secured(config, config.hub.insecure, &config.hub.listen_addr, &keys, found);
    }
    let mut names = BTreeSet::new();
    for (at, peer) in config.hub.allowed_peers.iter().enumerate() {
        let item = format!("hub.allowed_peers[{at}]");
        let name_key = format!("{item}.name");
        let keys = [name_key.as_str(), item.as_str()];
        if peer.name.is_empty() {
            found.push(Finding::missing(
                &keys,
                "needed: the name in the peer's certificate".to_owned(),
            ));
        } else if !names.insert(&peer.name) {
            let message = format!("{} is listed twice; allowed: once", peer.name);
            found.push(Finding::contradiction(&keys, message));
        }
    }
}

fn client(config: &Config, found: &mut Vec<Finding>) {
    for (at, hub) in config.client.hubs.iter().enumerate() {
        if hub.addr.is_empty() {
            let item = format!("client.hubs[{at}]");
            found.push(Finding::missing(
                &[&format!("{item}.addr"), &item],
                "needed: host:port of the hub".to_owned(),
            ));
        } else if config.client.enabled {
            let item = format!("client.hubs[{at}]");
            let keys = [format!("{item}.addr"), format!("{item}.insecure"), item];
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            secured(config, hub.insecure, &hub.addr, &keys, found);
        }
    }
}

/// A link has certificates on both sides, or somebody said that it needs none.
fn secured(
    config: &Config,
    insecure: Insecure,
    address: &str,
    keys: &[&str],
    found: &mut Vec<Finding>,
) {
    match insecure {
        Insecure::Anywhere => (),
        Insecure::Loopback if is_loopback(address) => (),
        Insecure::Loopback => {
            let message = format!(
                "{address} is reached from other machines and insecure: true is for this one only; \
                 allowed: a loopback address, certificates, or insecure: anywhere"
            );
            found.push(Finding::contradiction(keys, message));
        }
        Insecure::No => {
            let tls =
                [("cert", &config.tls.cert), ("key", &config.tls.key), ("ca", &config.tls.ca)];
            let missing: Vec<String> = tls
                .iter()
                .filter(|(_, path)| path.is_empty())
                .map(|(name, _)| format!("tls.{name}"))
                .collect();
            if !missing.is_empty() {
                let message =
                    format!("needs {}; make them with pubsub-keys quickstart", missing.join(", "));
                found.push(Finding::missing(&[keys[0], keys[keys.len() - 1]], message));
            }
        }
    }
}

/// Whether only this machine reaches an address of the form host:port.
#[must_use]
pub fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
