//! A whole federation in one go: an authority, and for each instance a directory that is ready to
//! run where it is or on another machine.
//!
//! ```text
//!   DIR/ca/    ca.crt ca.key ca.index ca.crl         stays here
//!   DIR/HUB/   pubsub.yaml HUB.crt HUB.key ca.crt ca.crl
//!   DIR/EDGE/  pubsub.yaml EDGE.crt EDGE.key ca.crt ca.crl
//! ```

use std::fmt::Write;
use std::path::{Path, PathBuf};

use pubsub_tls::{UnixTime, check_name};

use crate::authority::{Algorithm, Authority, AuthorityFiles, Issued, NewAuthority, Order};
use crate::error::KeysError;
use crate::files::{self, Files, Overwrite, Readers};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Federation {
    /// Name of the hub.
    pub hub: String,
    /// Names of the edges.
    pub edges: Vec<String>,
    /// Host at which edges find the hub.
    pub host: String,
    /// Port of the hub.
    pub port: u16,
    /// Days that the instances' certificates live.
    pub days: u32,
    /// Days that the authority lives.
    pub ca_days: u32,
    /// Kind of all keys.
    pub algorithm: Algorithm,
}

/// One instance, ready to run.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub dir: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Its certificate.
    pub issued: Issued,
}

/// Makes a federation in a directory: the hub first, then the edges.
///
/// # Errors
/// A name is none or there twice, there is an authority or one of the files already, or something
/// cannot be written. What was written until then stays.
pub fn quickstart(
    dir: &Path,
    wanted: &Federation,
    overwrite: Overwrite,
    now: UnixTime,
) -> Result<Vec<Node>, KeysError> {
    let names: Vec<&String> = [&wanted.hub].into_iter().chain(&wanted.edges).collect();
    for (nth, name) in names.iter().enumerate() {
        check_name(name)?;
        if names[..nth].contains(name) {
            return Err(KeysError::Twice((*name).clone()));
        }
        if *name == "ca" {
            let file = dir.join("ca").join("ca.crt");
            return Err(KeysError::Reserved { name: (*name).clone(), file });
        }
        files::check(&config_of(dir, name), overwrite)?;
        Files::of(&dir.join(name), name).check(overwrite)?;
    }
    let new = NewAuthority {
        name: "pubsub-ca".to_owned(),
        days: wanted.ca_days,
        algorithm: wanted.algorithm,
    };
    let ca = AuthorityFiles::in_dir(&dir.join("ca"));
    let mut authority = Authority::init(ca, &new, overwrite, now)?;
    names.iter().map(|name| node(dir, wanted, name, &mut authority, overwrite, now)).collect()
}

fn config_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(name).join("pubsub.yaml")
}

fn node(
    dir: &Path,
    wanted: &Federation,
    name: &str,
    authority: &mut Authority,
    overwrite: Overwrite,
    now: UnixTime,
) -> Result<Node, KeysError> {
    let is_hub = name == wanted.hub;
    let order = Order {
        name: name.to_owned(),
        alternative_names: if is_hub { vec![wanted.host.clone()] } else { Vec::new() },
        days: wanted.days,
        algorithm: wanted.algorithm,
    };
    let home = dir.join(name);
    let issued = authority.issue(&order, Files::of(&home, name), overwrite, now)?;
    for from in [&authority.files().own.cert, &authority.files().crl] {
        let to = home.join(from.file_name().unwrap_or_default());
        files::write(&to, &files::read(from)?, Readers::All, overwrite)?;
    }
    let config = config_of(dir, name);
    let text = if is_hub { hub_config(wanted) } else { edge_config(wanted, name) };
    files::write(&config, text.as_bytes(), Readers::All, overwrite)?;
    Ok(Node { name: name.to_owned(), dir: home, config, issued })
}

/// The configuration of the hub. Paths are seen from its directory.
fn hub_config(wanted: &Federation) -> String {
    let mut text = format!("# The hub {0}. Start it in this directory: {START}\n", wanted.hub);
    text.push_str(&node_config(&wanted.hub));
    let _ = write!(
        text,
        "hub:\n  enabled: true\n  listen_addr: \":{}\"\n  # Nobody else may connect. Without \
         subscribe and publish, a peer may use every channel.\n",
        wanted.port
    );
    if wanted.edges.is_empty() {
        text.push_str("  allowed_peers: []\n");
    } else {
        text.push_str("  allowed_peers:\n");
    }
    for edge in &wanted.edges {
        let _ = writeln!(text, "    - name: \"{edge}\"");
    }
    text
}

/// The configuration of an edge.
fn edge_config(wanted: &Federation, name: &str) -> String {
    let mut text = format!("# The edge {name}. Start it in this directory: {START}\n");
    text.push_str(&node_config(name));
    let host =
        if wanted.host.contains(':') { format!("[{}]", wanted.host) } else { wanted.host.clone() };
    let _ = write!(
        text,
        "client:\n  enabled: true\n  hubs:\n    - addr: \"{host}:{}\"\n      name: \"{}\"\n      \
         # Every channel, both ways; name some, or filters such as orders.>, for less.\n      \
         subscribe: [\">\"]\n      publish: [\">\"]\n",
        wanted.port, wanted.hub
    );
    text
}

/// What hub and edges have in common.
fn node_config(name: &str) -> String {
    format!(
        "name: \"{name}\"\nstorage:\n  data_dir: \"./data\"\ntls:\n  cert: \"{name}.crt\"\n  key: \
         \"{name}.key\"\n  ca: \"ca.crt\"\n  crl: \"ca.crl\"\n"
    )
}

/// What starts a node.
const START: &str = "pubsub-server -c pubsub.yaml";

impl Node {
    /// The command that starts it.
    #[must_use]
    pub fn start(&self) -> String {
        format!("cd {} && {START}", quoted(&self.dir.display().to_string()))
    }
}

/// A word that a shell takes for one.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:".contains(&byte);
    if word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
