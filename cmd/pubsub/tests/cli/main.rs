//! The command, as its user sees it: real processes, with a node, without one, and beside one that
//! dies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what fails here fails the test, and damage is done to files behind the program's back"
)]

mod audit;
mod channels;
mod crash;
mod damage;
mod dead_letters;
mod output;
mod owners;
mod pub_sub;
mod subscribers;
mod tail;
mod world;
