//! The link between two nodes, as machines: who may send what, where to resume, what was already received.
//!
//! ```text
//!   messages of the socket, answers, now ──▶ Link ──▶ Send · Open · Read · Receive · Acked · Close
//!   a received message                   ──▶ Inbound ──▶ accepted once, or dropped with a reason
//!   a dialer's name and wishes           ──▶ Policy ──▶ what may flow
//! ```
//!
//! Nothing here opens a socket, reads a clock or touches a file. [`Link`] says how the shell drives a
//! link; [`Session::dial`] and [`Session::accept`] make one.
//!
//! The rule that makes it work: the receiver knows what it has. A sender that starts too early only
//! repeats, and what is repeated, over the same link or another, is dropped by where it was published
//! first. So a position may lag behind what it speaks of, and is never ahead of it.

mod action;
mod backoff;
mod batch;
mod close;
mod compress;
mod config;
mod coverage;
mod frame;
mod inbound;
pub mod keyop;
mod link;
mod log_info;
mod name;
mod policy;
mod ranges;
mod seen;
mod session;
mod wire;

pub use action::{
    Action, Counters, Event, InSub, LinkStatus, Message, Missing, MissingReason, Opened, OutSub,
    Peer, Phase, Piece, Position, Receiving, Sending, Start,
};
pub use backoff::{Backoff, LASTED};
pub use batch::{Batch, Received};
pub use close::{CloseCode, Closed, RefuseCode};
pub use config::{
    FRAME_MAX_BYTES, FRAME_MIN_BYTES, GREETING_MAX_BYTES, GREETING_TIME, OFFERS_MAX, SUBPROTOCOL,
    SessionConfig,
};
pub use coverage::{Coverage, Forgotten, RANGES_MAX, SOURCES_MAX, origin_of};
pub use inbound::{Accepted, Dropped, HOPS_MAX, Inbound, Taken, Via};
pub use link::Link;
pub use log_info::{EpochList, Epochs, LogInfo, resume};
pub use name::{InvalidNodeName, NODE_NAME_MAX_BYTES, NodeName};
pub use policy::{Lists, Origins, PeerPolicy, Policy, matches_any};
pub use seen::{SEEN_IDS_DEFAULT, SeenIds};
pub use session::Session;
pub use wire::BadFrame;
