//! The parts of the server's life, in the order in which `main` calls them.

mod args;
pub(crate) mod check;
pub(crate) mod config;
mod failure;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod node;

pub(crate) use args::Args;
pub(crate) use failure::{Failure, tell};
