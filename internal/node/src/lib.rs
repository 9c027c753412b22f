//! Where everything meets: the store, its threads, the subscribers and the control socket.
//!
//! This crate does what the machines decide. It is the shell: clocks, threads, sockets and signals are
//! here and nowhere below.

mod append;
mod claims;
pub mod clock;
pub mod control;
pub mod ephemeral;
mod host;
pub mod link;
mod node;
pub mod options;
mod pool;
pub mod subscription;

pub use append::append;
pub use claims::{Claim, Claimant, Claimed, Claims};
pub use host::{ensure_directories, host_name};
pub use node::{Node, StartError};
pub use pool::Pool;
