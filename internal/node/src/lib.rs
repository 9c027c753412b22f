//! Where everything meets: the store, its threads, the subscribers and the control socket.
//!
//! This crate does what the machines decide. It is the shell: clocks, threads, sockets and signals are
//! here and nowhere below.

pub mod clock;
pub mod control;
mod node;
mod pool;

pub use node::{Node, StartError};
pub use pool::Pool;
