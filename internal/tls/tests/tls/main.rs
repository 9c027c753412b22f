//! Who gets in, who does not, and what both sides are told: whole handshakes, in memory.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod accepted;
mod files;
mod meeting;
mod refused;
mod reload;
mod rogue;
mod versions;
mod world;
