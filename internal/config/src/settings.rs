//! Every key: its name, type, default, range and description. Written here and nowhere else.
//!
//! The first paragraph of a field's documentation is what the reference and `config.example.yaml` say
//! about it. Names and defaults are those of the predecessor's documentation where it has the key.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pubsub_types::{ChannelName, Filter, Format, SyncPolicy};

use crate::Origins;
use crate::rule::{Rule, TextRule, UNBOUNDED};
use crate::section::section;

section! {
    /// What a node does, in full: everything is checked and every default is filled in.
    ///
    /// Made by [`Config::from_yaml`], or from [`Config::default`] by assigning fields; then call
    /// [`Config::validate`], which applies the same rules.
    pub struct Config {
        /// Name of this instance; the host name when not given.
        ///
        /// Messages carry it as their origin. Empty means not known yet: [`Config::apply_defaults`]
        /// fills it in. Use `host:port` where several instances share a host.
        name: String = String::new(), NAME;
        /// Where and how messages are kept.
        storage: StorageConfig = StorageConfig::default(), Rule::Section;
        /// How messages are delivered to subscribers.
        subscribers: SubscribersConfig = SubscribersConfig::default(), Rule::Section;
        /// How repeated messages are recognised.
        dedup: DedupConfig = DedupConfig::default(), Rule::Section;
        /// The audit log.
        audit: AuditConfig = AuditConfig::default(), Rule::Section;
        /// What the process says about itself.
        log: LogConfig = LogConfig::default(), Rule::Section;
        /// The listener for other instances.
        hub: HubConfig = HubConfig::default(), Rule::Section;
        /// Connections to other instances' hubs.
        client: ClientConfig = ClientConfig::default(), Rule::Section;
        /// Certificates.
        tls: TlsConfig = TlsConfig::default(), Rule::Section;
        /// Reconnection and batching of links.
        federation: FederationConfig = FederationConfig::default(), Rule::Section;
    }
    beside
    /// Where the values came from.
    origins: Origins;
}

section! {
    /// Where and how messages are kept.
    pub struct StorageConfig {
        /// Directory of all channels, positions and the audit log.
        data_dir: PathBuf = PathBuf::from("./data"), PATH;
        /// When writes reach stable storage, and so what an acknowledged message survives.
        sync_policy: SyncPolicy = SyncPolicy::Periodic, SYNC_POLICY;
        /// Milliseconds between syncs under periodic; 0 without sync_policy means always.
        sync_interval_ms: u64 = SYNC_INTERVAL_MS, MILLIS;
        /// Unread megabytes (MiB) of one subscriber that are worth a warning.
        max_subscriber_lag_mb: u64 = 512, MEGABYTES;
        /// Megabytes (MiB) that all subscribers have read before a channel is compacted.
        ///
        /// Only channels with a subscriber, without `keep_history` and without a retention setting
        /// are compacted.
        compaction_threshold_mb: u64 = 256, MEGABYTES;
        /// The same for dead-letter channels.
        dead_letter_compaction_threshold_mb: u64 = 50, MEGABYTES;
        /// Milliseconds between saves of a subscriber's position; 0 saves after each message.
        offset_flush_interval_ms: u64 = 0, MILLIS;
        /// How records are written: lines to grep, or binary for speed.
        format: Format = Format::Jsonl, FORMAT;
        /// Megabytes (MiB) of one segment file.
        segment_mb: u64 = 64, SEGMENT_MB;
        /// Longest record accepted.
        max_record_bytes: u64 = 8 << 20, RECORD_BYTES;
        /// Segment files kept per channel, read or not, the one being written included; 0 is no limit.
        max_files: u32 = 0, FILES;
        /// Age after which messages are removed, read or not; 0 keeps them.
        retention: Duration = Duration::ZERO, SPAN;
        /// Keep what all subscribers have read.
        keep_history: bool = false, Rule::Bool;
        /// Messages kept per channel, the newest; 0 is no limit.
        max_messages: u64 = 0, COUNT;
        /// Bytes kept per channel, the newest; 0 is no limit.
        max_bytes: u64 = 0, BYTES;
        /// What differs for some channels, by name or filter.
        ///
        /// Entries that match a channel are laid over each other: the more specific one wins, key by
        /// key. See [`StorageConfig::for_channel`].
        channels: BTreeMap<Filter, ChannelOverrides> = BTreeMap::new(), Rule::Entries;
    }
}

section! {
    /// What differs for the channels of one name or filter. `None` leaves what is said more generally.
    pub struct ChannelOverrides {
        /// How records are written.
        format: Option<Format> = None, FORMAT;
        /// When writes reach stable storage.
        sync_policy: Option<SyncPolicy> = None, SYNC_POLICY;
        /// Milliseconds between syncs under periodic; 0 without sync_policy means always.
        sync_interval_ms: Option<u64> = None, MILLIS;
        /// Megabytes (MiB) of one segment file.
        segment_mb: Option<u64> = None, SEGMENT_MB;
        /// Longest record accepted.
        max_record_bytes: Option<u64> = None, RECORD_BYTES;
        /// Age after which messages are removed; 0 keeps them.
        retention: Option<Duration> = None, SPAN;
        /// Segment files kept; 0 is no limit.
        max_files: Option<u32> = None, FILES;
        /// Messages kept; 0 is no limit.
        max_messages: Option<u64> = None, COUNT;
        /// Bytes kept; 0 is no limit.
        max_bytes: Option<u64> = None, BYTES;
        /// Messages kept per subject; 0 is no limit.
        max_messages_per_subject: Option<u64> = None, COUNT;
        /// Keep what all subscribers have read.
        keep_history: Option<bool> = None, Rule::Bool;
        /// Megabytes (MiB) that all subscribers have read before the channel is compacted.
        compaction_threshold_mb: Option<u64> = None, MEGABYTES;
    }
}

section! {
    /// How messages are delivered to subscribers.
    pub struct SubscribersConfig {
        /// Attempts after the first before a message goes to the dead-letter channel.
        max_retries: u32 = 5, Rule::Whole { min: 0, max: 1_000_000 };
        /// Milliseconds before the first retry; doubled for each further one.
        retry_backoff_base_ms: u64 = 100, MILLIS;
        /// Longest wait before a retry, in milliseconds.
        retry_backoff_max_ms: u64 = 5_000, MILLIS;
        /// Messages older than this when a subscriber starts are skipped; 0 skips none.
        max_age: Duration = Duration::ZERO, SPAN;
        /// Send messages of unknown payload type to the dead-letter channel.
        ///
        /// Otherwise they are delivered as JSON, or as bytes where they are not JSON.
        strict_payload_types: bool = false, Rule::Bool;
    }
}

section! {
    /// How repeated messages are recognised.
    pub struct DedupConfig {
        /// Message ids remembered, the newest.
        seen_id_lru_size: u64 = 100_000, Rule::Whole { min: 1, max: 100_000_000 };
    }
}

section! {
    /// The audit log.
    pub struct AuditConfig {
        /// Megabytes (MiB) after which a new audit file begins.
        max_size_mb: u64 = 100, MEGABYTES;
        /// Log every message that crosses a link, and not only what happens to links.
        forwards: bool = true, Rule::Bool;
        /// Finished audit files kept.
        max_files: u32 = 10, Rule::Whole { min: 1, max: 10_000 };
    }
}

section! {
    /// What the process says about itself.
    pub struct LogConfig {
        /// Least urgent message that is logged.
        level: LogLevel = LogLevel::Info, Rule::Choice { allowed: LogLevel::NAMES, aliases: &[] };
        /// How log lines look; auto is text on a terminal and json elsewhere.
        format: LogFormat = LogFormat::Auto, Rule::Choice { allowed: LogFormat::NAMES, aliases: &[] };
    }
}

section! {
    /// The listener for other instances, and who may connect.
    pub struct HubConfig {
        /// Listen for other instances.
        enabled: bool = false, Rule::Bool;
        /// Address to listen on, such as 0.0.0.0:7740; needed when enabled.
        listen_addr: String = String::new(), LISTEN_ADDRESS;
        /// Instances that may connect; nobody else may.
        allowed_peers: Vec<AllowedPeer> = Vec::new(), Rule::Items;
        /// Time until the position of a client that stays away is forgotten; 0 never forgets.
        fed_client_offset_ttl: Duration = Duration::from_secs(168 * 3600), SPAN;
        /// Connections at a time, of all peers together.
        max_connections: u32 = 4_096, Rule::Whole { min: 1, max: 1_000_000 };
        /// Listen without TLS: true on loopback only, anywhere means it.
        insecure: Insecure = Insecure::No, INSECURE;
    }
}

section! {
    /// An instance that may connect to the hub.
    pub struct AllowedPeer {
        /// The instance's name, as in its certificate.
        name: String = String::new(), NAME;
        /// Channels it may receive; none listed means any.
        subscribe: Vec<String> = Vec::new(), CHANNELS;
        /// Channels it may send; none listed means any.
        publish: Vec<String> = Vec::new(), CHANNELS;
        /// Where a channel starts for a peer that never had it: at its end, or with all it holds.
        start: LinkStart = LinkStart::New, LINK_START;
        /// Connections at a time.
        max_connections: u32 = 4, Rule::Whole { min: 1, max: 1_000_000 };
        /// Messages a second that are taken from it; 0 is no limit.
        max_messages_per_second: u64 = 0, COUNT;
    }
}

section! {
    /// Connections to other instances' hubs.
    pub struct ClientConfig {
        /// Connect to the hubs listed.
        enabled: bool = false, Rule::Bool;
        /// Hubs to connect to.
        hubs: Vec<ClientHub> = Vec::new(), Rule::Items;
    }
}

section! {
    /// A hub to connect to.
    pub struct ClientHub {
        /// Address of the hub.
        addr: String = String::new(), DIAL_ADDRESS;
        /// Channels to receive from it; none listed means none.
        subscribe: Vec<String> = Vec::new(), CHANNELS;
        /// Channels to send to it; none listed means none.
        publish: Vec<String> = Vec::new(), CHANNELS;
        /// Name wanted in the hub's certificate; any name of the authority's when not given.
        name: String = String::new(), NAME;
        /// Where a channel starts that was never received: at its end, or with all the hub holds.
        start: LinkStart = LinkStart::New, LINK_START;
        /// What the hub speaks: ours, or the older keyop wire.
        protocol: LinkProtocol = LinkProtocol::Pubsub, Rule::Choice { allowed: LinkProtocol::NAMES, aliases: &[] };
        /// Connect without TLS: true on loopback only, anywhere means it.
        insecure: Insecure = Insecure::No, INSECURE;
    }
}

section! {
    /// Certificates, as paths of PEM files.
    pub struct TlsConfig {
        /// This instance's certificate; goes with key.
        cert: String = String::new(), OPTIONAL_PATH;
        /// This instance's private key; goes with cert.
        key: String = String::new(), OPTIONAL_PATH;
        /// The certificate authority that peers' certificates are checked against.
        ca: String = String::new(), OPTIONAL_PATH;
        /// The authority's list of revoked certificates.
        crl: String = String::new(), OPTIONAL_PATH;
        /// Oldest TLS version spoken.
        min_version: TlsVersion = TlsVersion::V1_3, Rule::Choice { allowed: TlsVersion::NAMES, aliases: &[] };
        /// Days before a certificate ends from which a warning is logged.
        expiry_warn_days: u32 = 30, Rule::Whole { min: 0, max: 36_500 };
    }
}

section! {
    /// Reconnection and batching of links.
    pub struct FederationConfig {
        /// Milliseconds before the first attempt to reconnect; doubled for each further one.
        reconnect_base_ms: u64 = 500, MILLIS;
        /// Longest wait before an attempt to reconnect, in milliseconds.
        reconnect_max_ms: u64 = 60_000, MILLIS;
        /// Part of each wait that is random.
        reconnect_jitter: f64 = 0.2, Rule::Fraction { min: 0.0, max: 1.0 };
        /// Has no effect; accepted because older files have it.
        send_buffer_messages: u64 = 10_000, COUNT;
        /// Largest frame sent; a longer message goes in several.
        max_batch_bytes: u64 = 65_536, Rule::Size { min: 1 << 10, max: 64 << 20 };
        /// Bytes on the way to one peer that it did not acknowledge yet.
        window_bytes: u64 = 8 << 20, Rule::Size { min: 64 << 10, max: 1 << 30 };
        /// Milliseconds between signs of life; a link silent for three of them is given up.
        heartbeat_ms: u64 = 10_000, Rule::Whole { min: 100, max: 3_600_000 };
        /// Compress what is sent, where the peer can read it.
        compression: Compression = Compression::None, Rule::Choice { allowed: Compression::NAMES, aliases: &[] };
    }
}

/// Sections that are checked but not built: see [`Config::unbuilt`].
pub(crate) const UNBUILT_SECTIONS: [&str; 0] = [];

/// The documented interval of periodic syncs, in milliseconds.
pub(crate) const SYNC_INTERVAL_MS: u64 = 200;

const SYNC_POLICY: Rule =
    Rule::Choice { allowed: &["always", "periodic", "none"], aliases: &[("interval", "periodic")] };
const FORMAT: Rule = Rule::Choice { allowed: &["jsonl", "binary"], aliases: &[] };
const MILLIS: Rule = Rule::Whole { min: 0, max: 86_400_000 };
const MEGABYTES: Rule = Rule::Whole { min: 1, max: 1 << 20 };
const SEGMENT_MB: Rule = Rule::Whole { min: 1, max: 1 << 12 };
const RECORD_BYTES: Rule = Rule::Size { min: 1 << 10, max: 256 << 20 };
const FILES: Rule = Rule::Whole { min: 0, max: 1_000_000 };
const COUNT: Rule = Rule::Whole { min: 0, max: UNBOUNDED };
const BYTES: Rule = Rule::Size { min: 0, max: UNBOUNDED };
const SPAN: Rule = Rule::Span { max: Duration::from_secs(36_500 * 86_400) };

const NAME: Rule = Rule::Text(TextRule {
    what: "1 to 255 characters of A-Z, a-z, 0-9, '.', '_', '-' and ':'",
    check: |text| {
        if text.bytes().all(is_name_byte) && text.len() <= NAME_MAX_BYTES {
            Ok(())
        } else {
            Err(None)
        }
    },
});
const PATH: Rule = Rule::Text(TextRule {
    what: "a path",
    check: |text| if text.is_empty() || text.contains('\0') { Err(None) } else { Ok(()) },
});
const OPTIONAL_PATH: Rule = Rule::Text(TextRule {
    what: "a path",
    check: |text| if text.contains('\0') { Err(None) } else { Ok(()) },
});
const LISTEN_ADDRESS: Rule = Rule::Text(TextRule {
    what: "host:port, [IPv6]:port or :port",
    check: |text| match split_address(text) {
        _ if text.is_empty() => Ok(()),
        Some(_) => Ok(()),
        None => Err(None),
    },
});
const DIAL_ADDRESS: Rule = Rule::Text(TextRule {
    what: "host:port or [IPv6]:port, port 1 to 65535",
    check: |text| match split_address(text) {
        _ if text.is_empty() => Ok(()),
        Some((host, port)) if !host.is_empty() && port != 0 => Ok(()),
        _ => Err(None),
    },
});
const INSECURE: Rule =
    Rule::Choice { allowed: Insecure::NAMES, aliases: &[("no", "false"), ("yes", "true")] };
const LINK_START: Rule = Rule::Choice { allowed: LinkStart::NAMES, aliases: &[] };
const CHANNELS: Rule = Rule::Texts(TextRule {
    what: "a channel name, or a filter such as orders.>",
    check: |text| {
        if !text.contains(['*', '>']) {
            let name = ChannelName::new(text).map_err(|error| Some(error.reason))?;
            let letters = name.dead_letter_of().is_some();
            return if letters { Err(Some("dead letters stay where they are")) } else { Ok(()) };
        }
        let filter = Filter::new(text).map_err(|error| Some(error.reason))?;
        crate::channel::matches_no_channel(&filter).map_or(Ok(()), |reason| Err(Some(reason)))
    },
});

/// Longest name of an instance, in bytes.
pub(crate) const NAME_MAX_BYTES: usize = 255;

/// Whether a byte may be part of an instance's name.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-:".contains(&byte)
}

/// Host, without brackets and possibly empty, and port.
fn split_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    if let Some(host) = host.strip_prefix('[') {
        let host = host.strip_suffix(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return Some((host, port));
    }
    let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    is_host.then_some((host, port))
}

macro_rules! choice {
    (
        $(#[$outer:meta])*
        pub enum $type:ident { $( $(#[$meta:meta])+ $variant:ident = $name:literal, )* }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $( $(#[$meta])+ $variant, )* }

        impl $type {
            pub(crate) const NAMES: &'static [&'static str] = &[$($name),*];

            /// The name used in configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name { $( $name => Some(Self::$variant), )* _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

choice! {
    /// Least urgent message that is logged.
    pub enum LogLevel {
        /// Nothing.
        Off = "off",
        /// Someone must act now.
        Error = "error",
        /// Someone should look.
        Warn = "warn",
        /// The life of the process.
        #[default]
        Info = "info",
        /// Per connection or batch.
        Debug = "debug",
        /// Per message.
        Trace = "trace",
    }
}

choice! {
    /// How log lines look.
    pub enum LogFormat {
        /// Text on a terminal, JSON elsewhere.
        #[default]
        Auto = "auto",
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

choice! {
    /// Version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2, for peers that speak nothing newer.
        V1_2 = "1.2",
        /// TLS 1.3.
        #[default]
        V1_3 = "1.3",
    }
}

choice! {
    /// Whether a connection may go without TLS.
    pub enum Insecure {
        /// It may not.
        #[default]
        No = "false",
        /// To and from this machine only.
        Loopback = "true",
        /// To and from anywhere: whoever can reach the port is trusted.
        Anywhere = "anywhere",
    }
}

choice! {
    /// Where a link starts in a channel that was never sent over it.
    pub enum LinkStart {
        /// With what is published from then on.
        #[default]
        New = "new",
        /// With everything the channel holds.
        All = "all",
    }
}

choice! {
    /// What a hub speaks.
    pub enum LinkProtocol {
        /// Our own link protocol.
        #[default]
        Pubsub = "pubsub",
        /// The WebSocket wire of the predecessor.
        Keyop = "keyop",
    }
}

choice! {
    /// How batches on a link are compressed.
    pub enum Compression {
        /// They are not.
        #[default]
        None = "none",
        /// LZ4: fast, about half the bytes of JSON.
        Lz4 = "lz4",
    }
}
