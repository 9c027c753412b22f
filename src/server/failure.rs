//! Why the server did not start, or did not end well, and what its exit code says of it.

use std::io::{self, Write};

/// The command line or the configuration is wrong; nothing was opened.
pub(crate) const USAGE: u8 = 2;

/// What could not be done.
pub(crate) const FAILED: u8 = 1;

/// Why the process ends with an exit code other than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Failure {
    /// Whoever wrote the command line or the configuration must act.
    pub(crate) fn usage(text: impl ToString) -> Self {
        Self { code: USAGE, text: text.to_string() }
    }
}

/// The system refused something.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: FAILED, text: format!("pubsub-server: {:#}", error.into()) }
    }
}

/// Writes `text`, if there is any, for whoever started the process. If nobody listens, nobody wants
/// to know.
pub(crate) fn tell(text: &str) {
    if text.is_empty() {
        return;
    }
    drop(writeln!(io::stderr(), "{}", text.trim_end()));
}
