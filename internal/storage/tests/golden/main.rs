//! The format on disk stays what it was: directories written by earlier versions open, and what is
//! written now is drawn in `docs/format.md`.
//!
//! ```text
//!   testdata/format-v1/<format>/   written once, by the version that began the format, then frozen
//!   docs/format.md                 tables of offsets and examples, read by these tests
//! ```
//!
//! `cargo xtask golden` writes a directory of `testdata/format-v1` only when it is not there: files
//! that somebody has on disk cannot be changed by changing the test data. A new format gets a new
//! directory beside it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first error")]

mod directory;
mod drawn;
mod fixture;
