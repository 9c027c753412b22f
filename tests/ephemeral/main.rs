//! The messenger without files: publishing to a hub, hearing what is published there, and every way in
//! which the connection between the two ends.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod wire;
mod world;

mod blocking;
mod building;
mod closing;
mod connecting;
mod hearing;
mod publishing;
