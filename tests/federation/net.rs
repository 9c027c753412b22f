//! What the nodes of one test share: a directory, an authority, and what to wait for.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pubsub_testkit::Workdir;
use pubsub_testkit::certs::{Authority, Issued, Spec};
use serde_json::{Value, json};

use crate::node::{Message, Node};

/// What must happen happens within this, also on a machine that does ten things at once.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// A directory with an authority in it, for the nodes of a test.
pub(crate) struct Net {
    pub(crate) work: Workdir,
    pub(crate) ca: Authority,
}

impl Net {
    pub(crate) fn new() -> Self {
        let work = Workdir::new().unwrap();
        let ca = Authority::new(work.path(), "ca").unwrap();
        Self { work, ca }
    }

    /// A node of this name with a good certificate, which is not started and linked to nobody.
    pub(crate) fn node(&self, name: &str) -> Node {
        self.node_with(name, &self.ca.issue(&Spec::new(name)).unwrap())
    }

    /// A node with this certificate.
    pub(crate) fn node_with(&self, name: &str, issued: &Issued) -> Node {
        let home = self.work.path().join(format!("node-{name}"));
        std::fs::create_dir(&home).unwrap();
        let config = json!({
            "name": name,
            "storage": {"data_dir": "data", "sync_interval_ms": 20},
            "tls": {"cert": issued.cert, "key": issued.key, "ca": issued.ca, "crl": issued.crl},
            "federation": {"reconnect_base_ms": 20, "reconnect_max_ms": 200},
        });
        Node::new(home, config)
    }

    /// A hub that lets these peers in, for everything.
    pub(crate) fn hub(&self, name: &str, peers: &[&str]) -> Node {
        let mut hub = self.node(name);
        let peers: Vec<Value> = peers.iter().map(|name| json!({"name": name})).collect();
        hub.config["hub"] =
            json!({"enabled": true, "listen_addr": "127.0.0.1:0", "allowed_peers": peers});
        hub
    }

    /// A node that dials these addresses, for everything in both directions.
    pub(crate) fn edge(&self, name: &str, hubs: &[String]) -> Node {
        let mut edge = self.node(name);
        dial(&mut edge, hubs);
        edge
    }
}

/// Has a node dial these addresses, for everything in both directions.
pub(crate) fn dial(node: &mut Node, hubs: &[String]) {
    let hubs: Vec<Value> = hubs
        .iter()
        .map(|addr| json!({"addr": addr, "subscribe": [">"], "publish": [">"]}))
        .collect();
    node.config["client"] = json!({"enabled": true, "hubs": hubs});
}

/// Writes a file so that whoever reads it finds the old or the new.
pub(crate) fn write(path: &Path, text: &str) {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "as an operator's editor does")]
    std::fs::rename(new, path).unwrap();
}

/// The texts of the messages, by their origin, in the order in which they were read.
pub(crate) fn by_origin(messages: &[Message]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in messages {
        found.entry(message.origin.clone()).or_default().push(message.text.clone());
    }
    found
}

/// Publishes a last message at each node, and waits until each has all of them. Then each node must
/// have every message once, those of one origin in the order in which their origin has them.
///
/// Gives back what every node has, by origin.
pub(crate) async fn settle(nodes: &[&Node], channel: &str) -> BTreeMap<String, Vec<String>> {
    let mut last = BTreeMap::new();
    for node in nodes {
        let text = format!("last of {}", node.name());
        node.publish(channel, &[&text]).await.unwrap();
        last.insert(node.name().to_owned(), text);
    }
    let mut contents = Vec::new();
    for node in nodes {
        let messages = node
            .read(channel, |messages| {
                let ends = messages.iter().filter(|it| last.get(&it.origin) == Some(&it.text));
                ends.count() >= last.len()
            })
            .await;
        contents.push(by_origin(&messages));
    }
    let truth: BTreeMap<String, Vec<String>> = nodes
        .iter()
        .zip(&contents)
        .map(|(node, content)| (node.name().to_owned(), content[node.name()].clone()))
        .collect();
    for (node, content) in nodes.iter().zip(&contents) {
        for (origin, texts) in &truth {
            let has = content.get(origin).map_or(&[][..], Vec::as_slice);
            let differs = texts.iter().zip(has).position(|(wanted, has)| wanted != has);
            assert!(
                has == texts,
                "{} has {} messages of {origin}, which published {}; the first difference is at {differs:?}: {:?}, not {:?}",
                node.name(),
                has.len(),
                texts.len(),
                differs.map(|at| &has[at..has.len().min(at + 3)]),
                differs.map(|at| &texts[at..texts.len().min(at + 3)]),
            );
        }
    }
    truth
}
