//! `pubsub-server`: a data directory, held open for whoever talks to its control socket.

mod server;

use std::process::ExitCode;

use crate::server::{Args, Failure, check, config, limits, log, node, tell};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Args::read().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// The life of the process, in order. When a line fails, nothing below it has happened.
fn run(args: Args) -> Result<(), Failure> {
    let config = config::load(&args)?;
    if args.checks_only() {
        return check::print(&config);
    }
    config::refuse_unbuilt(&config, &args)?;
    log::start(&config.log);
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let node = node::open(&config)?;
    let links = node::start_links(&node, &config, &args)?;
    runtime.block_on(node::serve(node, links))
}
