//! The operator's command: publish, read, look after channels, and find out what is wrong.
//!
//! ```text
//!   arguments ──▶ Cli ──▶ a command ──▶ Client ──▶ the node, or the data directory itself
//!                            ╰─ tail, doctor, verify: the files, read-only
//! ```
//!
//! Data goes to stdout and talk to stderr, so that a pipe carries data only.

mod audit;
mod bench;
mod channel;
mod cli;
mod context;
mod dlq;
mod doctor;
mod explain;
mod fail;
mod generate;
mod link;
mod out;
mod parse;
mod publish;
mod sub;
mod subscriber;
mod tail;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{BenchCommand, Cli, Command};
use crate::context::Context;
use crate::fail::Fail;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads to the end is no failure.
            let _printed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(fail::USAGE));
        }
    };
    let context = Context::new(&cli.global);
    match run(cli.command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => fail.report(&context),
    }
}

/// Does what the command says.
fn run(command: Command, context: &Context) -> Result<(), Fail> {
    match command {
        Command::Pub(args) => context.block_on(publish::run(args, context)),
        Command::Sub(args) => context.block_on(sub::run(args, context)),
        Command::Tail(args) => context.block_on(tail::run(args, context)),
        Command::Channel(command) => channel::run(command, context),
        Command::Subscriber(command) => subscriber::run(command, context),
        Command::Hub(command) => link::hub(command, context),
        Command::Link(command) => link::link(command, context),
        Command::Dlq(command) => dlq::run(command, context),
        Command::Bench(BenchCommand::Store(args)) => context.block_on(bench::store(args, context)),
        Command::Audit(args) => context.block_on(audit::run(args, context)),
        Command::Doctor => doctor::run(None, context),
        Command::Completion { shell } => generate::completion(shell),
        Command::Man { dir } => generate::man(dir.as_deref(), context),
        Command::Version => out::version(context),
    }
}
