//! The NATS client protocol: wire codec, headers, one connection's session, WebSocket, as machines.
//!
//! ```text
//!   bytes ──▶ ClientDecoder ──▶ operations
//! ```

mod action;
mod args;
mod client_op;
mod close;
mod complaint;
mod connect;
pub mod encode;
pub mod headers;
mod inbox;
mod info;
mod line;
mod number;
mod outbox;
mod outgoing;
mod pings;
mod secret;
mod server_op;
mod session;
mod settings;
mod sid;
mod subject;
mod subscriptions;
mod verb;
pub mod ws;

pub use action::{Action, Delivered, Permissions, Publish, Unrestricted};
pub use client_op::{ClientDecoder, ClientOp, Limits, RawPublish};
pub use close::Close;
pub use complaint::Complaint;
pub use connect::{Connect, InvalidConnect};
pub use inbox::Inbox;
pub use info::Info;
pub use outbox::Outbox;
pub use outgoing::{Outgoing, SHARE_MIN_BYTES};
pub use secret::Secret;
pub use server_op::{ServerDecoder, ServerOp};
pub use session::{Session, Traffic};
pub use settings::{Expires, Expiry, Identity, Peer, Settings};
pub use subscriptions::{SubId, Subscription};
pub use verb::Verb;
