//! The NATS client protocol: wire codec, headers, one connection's session, WebSocket, as machines.
//!
//! ```text
//!   bytes ──▶ ClientDecoder ──▶ operations
//! ```

mod args;
mod client_op;
mod close;
pub mod encode;
mod line;
mod number;
mod outbox;
mod outgoing;
mod server_op;
mod verb;

pub use client_op::{ClientDecoder, ClientOp, Limits, RawPublish};
pub use close::Close;
pub use outbox::Outbox;
pub use outgoing::{Outgoing, SHARE_MIN_BYTES};
pub use server_op::{ServerDecoder, ServerOp};
pub use verb::Verb;
