//! The command, as its user sees it: real processes, real files, and what nodes make of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what fails here fails the test, and files are damaged behind the program's back"
)]

mod authority;
mod bundle;
mod inspect;
mod keygen;
mod quickstart;
mod renew;
mod revoke;
mod usage;
mod verify;
mod world;
