//! Nodes linked over mutual TLS: every message arrives once, whatever is cut, killed or changed meanwhile.
//!
//! ```text
//!   node ──── cable ──── node        node: a `pubsub-server` with a certificate and a directory of its own
//!               │                    cable: a TCP proxy that the test cuts, silences and leads elsewhere
//!              test                  test: publishes and reads through the control sockets
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod access;
mod cable;
mod crash;
mod cut;
mod flow;
mod limits;
mod mesh;
mod net;
mod node;
mod trust;
