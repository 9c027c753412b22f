//! `pubsub-keys`: keys and certificates for the links between instances.
//!
//! Data goes to stdout and talk to stderr. Private keys go to files that their owner alone can read,
//! and nowhere else.

mod cli;
mod commands;
mod fail;
mod inspect;
mod keygen;
mod say;
mod show;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{CaCommand, Cli, Command, KeygenCommand};
use crate::fail::Fail;
use crate::say::Say;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads to the end is no failure.
            let _printed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(fail::USAGE));
        }
    };
    let say = Say::new(&cli.global);
    match run(cli.command, &say) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => fail.report(&say),
    }
}

/// Does what the command says.
fn run(command: Command, say: &Say) -> Result<(), Fail> {
    match command {
        Command::Ca(CaCommand::Init(args)) => commands::init(args, say),
        Command::Issue(args) => commands::issue(args, say),
        Command::Renew(args) => watch::renew(args, say),
        Command::Revoke(args) => commands::revoke(&args, say),
        Command::Crl(args) => commands::write_list(&args, say),
        Command::Ls(args) => commands::list(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => commands::verify(args),
        Command::Bundle(args) => commands::bundle(&args, say),
        Command::Quickstart(args) => commands::quickstart(args, say),
        Command::Keygen(KeygenCommand::Ca(args)) => keygen::ca(args),
        Command::Keygen(KeygenCommand::Instance(args)) => keygen::instance(args),
        Command::Keygen(KeygenCommand::Inspect(args)) => inspect::run(&args),
        Command::Version => show::text(&format!("pubsub-keys {}\n", env!("CARGO_PKG_VERSION"))),
    }
}
