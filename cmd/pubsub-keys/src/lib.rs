//! Keys and certificates for a federation: an authority in a directory, and what it issues.
//!
//! ```text
//!   ca.key ──signs──▶ NAME.crt  (beside NAME.key)      what a node shows
//!      ├────signs───▶ ca.crl                           what nodes refuse
//!   ca.index ─────────▲ every certificate ever issued, with what was revoked
//! ```
//!
//! A certificate is in the index before it is anywhere else, so whatever exists can be revoked. Files
//! are replaced whole or not at all, and nothing is replaced that was not meant to be.

mod authority;
mod bundle;
mod error;
mod files;
mod index;
mod instant;
mod quickstart;

pub use authority::{
    Algorithm, Authority, AuthorityFiles, Issued, NewAuthority, Order, Renewal, lifetime_days,
};
pub use bundle::{Bundle, write_bundle};
pub use error::KeysError;
pub use files::{Files, Overwrite, read_certificates};
pub use index::{Entry, Index};
pub use instant::{after_days, now};
pub use quickstart::{Federation, Node, quickstart};
