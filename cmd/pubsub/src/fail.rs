//! Why a command ends, and the exit code for it.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use pubsub_messenger::error_text;
use pubsub_node::control::{ClientError, ErrorCode};

use crate::context::Context;

/// Anything that has no code of its own.
pub(crate) const FAILURE: u8 = 1;
/// The command was not understood.
pub(crate) const USAGE: u8 = 2;
/// What it is about does not exist.
pub(crate) const NOT_FOUND: u8 = 3;
/// It is not allowed.
pub(crate) const DENIED: u8 = 4;
/// It took too long.
pub(crate) const TIMEOUT: u8 = 5;
/// Somebody else uses it, or it exists already.
pub(crate) const CONFLICT: u8 = 6;
/// The user interrupted it.
pub(crate) const INTERRUPTED: u8 = 130;

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
    /// What was found was printed already.
    Told(u8),
    /// Whoever read our output has enough.
    PipeClosed,
    /// Ctrl-C.
    Interrupted,
}

impl Fail {
    /// A failure of this kind.
    pub(crate) fn new(code: u8, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Error { code, message: message.into(), advice: advice.into() }
    }

    /// A failure of the system while doing `what`.
    pub(crate) fn io(what: impl Display, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => NOT_FOUND,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => DENIED,
            _ => FAILURE,
        };
        Self::new(code, format!("{what}: {}", error_text(error)), "")
    }

    /// A failure to write to stdout.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::io("write to the standard output", error),
        }
    }

    /// Says it, and gives the exit code.
    pub(crate) fn report(self, context: &Context) -> ExitCode {
        match self {
            Self::Error { code, message, advice } => {
                context.error(&message, &advice);
                ExitCode::from(code)
            }
            Self::Told(code) => ExitCode::from(code),
            Self::PipeClosed => ExitCode::SUCCESS,
            Self::Interrupted => ExitCode::from(INTERRUPTED),
        }
    }
}

impl From<ClientError> for Fail {
    fn from(error: ClientError) -> Self {
        let code = match error.code() {
            Some(ErrorCode::Invalid) => USAGE,
            Some(ErrorCode::NotFound) => NOT_FOUND,
            Some(ErrorCode::Denied) => DENIED,
            Some(ErrorCode::Conflict) => CONFLICT,
            Some(ErrorCode::NoRoom | ErrorCode::Busy | ErrorCode::Stopping | ErrorCode::Failed)
            | None => FAILURE,
        };
        let advice = match &error {
            ClientError::Refused(failure) => failure.advice.clone(),
            ClientError::NoDataDir(_) => {
                "run it beside the data, or say --data-dir or PUBSUB_DATA_DIR; `pubsub pub` makes one"
                    .to_owned()
            }
            ClientError::InUse { .. } => {
                "if it is a node that is starting, try again; if it is stuck, stop it".to_owned()
            }
            _ => String::new(),
        };
        Self::new(code, error_text(&error), advice)
    }
}

/// The node's answer does not fit the question.
pub(crate) fn unexpected() -> Fail {
    Fail::from(ClientError::Unexpected)
}
