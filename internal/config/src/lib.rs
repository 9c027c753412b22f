//! YAML to one checked configuration, with the place of every mistake.
//!
//! ```text
//!   text ──▶ tree with positions ──▶ Config, key by key ──▶ contradictions ──▶ Config
//!     ╰─ not YAML: one error   ╰─ unknown, wrong type, out of range ─┴─▶ all errors at once
//! ```
//!
//! The names of the keys, their types, defaults, ranges and descriptions are written down once, in
//! `settings.rs`; decoding, [`reference()`], [`example_yaml`], [`Config::effective`] and
//! [`Config::to_yaml`] all read that one table. What a flag sets passes the same checks as what the
//! file says, and every value remembers where it came from.

mod channel;
mod contradictions;
mod decode;
mod duration;
mod effective;
mod error;
mod expand;
mod load;
mod nearest;
mod origin;
mod reference;
mod rule;
mod section;
mod set;
mod settings;
mod size;
mod sync;
mod tree;
mod unbuilt;
mod yaml;

pub use channel::ChannelSettings;
pub use contradictions::is_loopback;
pub use effective::EffectiveRow;
pub use error::{ConfigError, ConfigErrors, ERRORS_MAX, ErrorKind, LoadError};
pub use origin::{Origin, Origins, Place};
pub use reference::{ReferenceRow, example_yaml, reference};
pub use settings::{
    AllowedPeer, AuditConfig, ChannelOverrides, ClientConfig, ClientHub, Compression, Config,
    DedupConfig, FederationConfig, HubConfig, Insecure, LinkProtocol, LinkStart, LogConfig,
    LogFormat, LogLevel, StorageConfig, SubscribersConfig, TlsConfig, TlsVersion,
};
pub use tree::{DEPTH_MAX, NODES_MAX, TEXT_MAX_BYTES};
pub use unbuilt::UnbuiltPart;
