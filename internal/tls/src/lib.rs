//! Certificates and TLS: who we are, whom we trust, and why somebody is refused.
//!
//! ```text
//!   cert, key ──╮                         ╭──▶ accept()  Handshake<ServerConfig> ──╮
//!               ├─▶ Settings ─▶ Tls ──────┤                                        ├─▶ Peer, or why not
//!   ca, crl ────╯       ▲      (frozen)   ╰──▶ dial()    Handshake<ClientConfig> ──╯
//!                       │
//!                   Reloading: the files again, taken whole or not at all
//! ```
//!
//! A peer is whoever its certificate names, when an authority of ours signed it and has not taken it
//! back. The host it is reached at says nothing, and neither does its distinguished name.
//!
//! Everything that knows rustls is here; sockets and clocks are not.

mod certificate;
mod error;
mod files;
mod handshake;
mod identity;
mod material;
mod name;
mod refused;
mod reload;
mod text;
mod trust;

pub use certificate::Certificate;
pub use error::TlsError;
pub use handshake::{Handshake, HandshakeError};
pub use identity::{Identity, Warning};
pub use material::{MinVersion, Settings, Tls};
pub use name::{NAME_MAX_BYTES, NameError, check_name};
pub use refused::{Refusal, Refused};
pub use reload::{Changes, Reloading};
pub use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
pub use text::{date, days_between, printable};
pub use trust::{Peer, Trust};
