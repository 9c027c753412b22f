//! The local door: one socket in the data directory, through which the command line talks to a node.
//!
//! ```text
//!   pubsub ──▶ Client ─┬─ control.sock ──▶ Server ──▶ ops ──▶ Node      a node runs: ask it
//!                      ╰─────────────────────────────▶ ops ──▶ Node      none runs: be it
//! ```
//!
//! Every request is implemented once, in [`ops`], whichever way it comes. Whoever holds the lock of the
//! data directory is its node; a client that finds the lock taken asks, and one that finds it free
//! opens the directory itself. So there are never two owners.

mod client;
mod frame;
pub mod ops;
mod protocol;
mod server;
mod socket;

pub use client::{Client, ClientError, Local, OpenMode, Remote, Subscribed};
pub use frame::{BODY_BYTES_MAX, FrameError, HEAD_BYTES_MAX};
pub use protocol::{
    ChannelInfo, ChannelRow, DeadLetterRow, DeadLettersRow, DlqReplayed, ErrorCode, Failure,
    MessageHead, MessageSource, NewMessage, NodeReport, PROTOCOL_VERSION, Published, Request,
    Response, SeekTo, StartFrom, SubscriberInfo, SubscriberRow,
};
pub use server::{CLIENTS_MAX, Server};
pub use socket::{SOCKET_FILE, SOCKET_PATH_MAX_BYTES, socket_path};
