//! Why a command ends, and the exit code for it: the same codes as those of `pubsub`.

use std::io;
use std::process::ExitCode;

use pubsub_keys::KeysError;
use pubsub_tls::TlsError;

use crate::say::Say;

/// Anything that has no code of its own.
pub(crate) const FAILURE: u8 = 1;
/// The command was not understood.
pub(crate) const USAGE: u8 = 2;
/// What it is about does not exist.
pub(crate) const NOT_FOUND: u8 = 3;
/// It is not allowed.
pub(crate) const DENIED: u8 = 4;
/// It exists already.
pub(crate) const CONFLICT: u8 = 6;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Fail {
    /// Something went wrong.
    Error {
        /// The exit code.
        code: u8,
        /// What, and why.
        message: String,
        /// What to do next; may be empty.
        advice: String,
    },
    /// Whoever read our output has enough.
    PipeClosed,
}

impl Fail {
    /// A failure of this kind.
    pub(crate) fn new(code: u8, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Error { code, message: message.into(), advice: advice.into() }
    }

    /// A failure to write to stdout.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::new(FAILURE, format!("write to the standard output: {error}"), ""),
        }
    }

    /// Says it, and gives the exit code.
    pub(crate) fn report(self, say: &Say) -> ExitCode {
        match self {
            Self::Error { code, message, advice } => {
                say.error(&message, &advice);
                ExitCode::from(code)
            }
            Self::PipeClosed => ExitCode::SUCCESS,
        }
    }
}

fn code_of(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => DENIED,
        _ => FAILURE,
    }
}

impl From<KeysError> for Fail {
    fn from(error: KeysError) -> Self {
        let code = match &error {
            KeysError::Exists(_) => CONFLICT,
            KeysError::Io { source, .. } => code_of(source),
            KeysError::NoAuthority(_) | KeysError::Unknown { .. } => NOT_FOUND,
            KeysError::Name(_)
            | KeysError::AlternativeName(_)
            | KeysError::Reserved { .. }
            | KeysError::Twice(_) => USAGE,
            KeysError::Revoked { .. } => DENIED,
            _ => FAILURE,
        };
        Self::new(code, error.to_string(), error.advice())
    }
}

impl From<TlsError> for Fail {
    fn from(error: TlsError) -> Self {
        let code = match &error {
            TlsError::Read { source, .. } => code_of(source),
            _ => FAILURE,
        };
        Self::new(code, error.to_string(), error.advice())
    }
}
