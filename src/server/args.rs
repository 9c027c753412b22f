//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::server::Failure;
use crate::server::failure::USAGE;

/// Keeps a data directory open for programs that talk to it through its control socket.
///
/// Without a configuration, data goes to ./data. Ends orderly on SIGINT and SIGTERM.
/// Exit codes: 0 ended as asked, 1 failed, 2 wrong command line or configuration.
#[derive(Debug, Parser)]
#[command(name = "pubsub-server", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// Configuration file (YAML).
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory, made when it is not there [default: ./data].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Starts without the parts of the configuration that this version does not have.
    #[arg(long, global = true)]
    pub(crate) ignore_unbuilt: bool,
    /// How log lines look [default: auto, text on a terminal and json elsewhere].
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<Format>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the configuration and prints what holds, with who said so. Opens nothing.
    Check,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Args {
    /// Reads the command line; what was asked for as help is printed, and then there are none.
    pub(crate) fn read() -> Result<Self, Failure> {
        Self::try_parse().map_err(|error| {
            if error.use_stderr() {
                return Failure { code: USAGE, text: error.to_string() };
            }
            // Help that nobody reads to the end is no failure.
            drop(error.print());
            Failure { code: 0, text: String::new() }
        })
    }

    /// Whether the configuration is only to be checked.
    pub(crate) fn checks_only(&self) -> bool {
        matches!(self.command, Some(Command::Check))
    }
}
