//! What holds: the file, then the flags, then what only the machine knows.

use pubsub::{Config, LoadError};
use pubsub_config::Origin;

use crate::server::{Args, Failure};

/// Reads and checks the configuration. All that is wrong with it is told at once.
pub(crate) fn load(args: &Args) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(path) => Config::load(path, &|name| std::env::var(name).ok()).map_err(refused)?,
        None => Config::default(),
    };
    let flags = [
        ("storage.data_dir", args.data_dir.as_deref()),
        ("log.format", args.log_format.map(crate::server::args::Format::as_str)),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            config.set(key, value, Origin::Flag).map_err(Failure::usage)?;
        }
    }
    config.apply_defaults(&pubsub_node::host_name());
    config.validate().map_err(Failure::usage)?;
    Ok(config)
}

/// Refuses what this version does not have, unless told to start without.
pub(crate) fn refuse_unbuilt(config: &Config, args: &Args) -> Result<(), Failure> {
    let unbuilt = config.unbuilt();
    if unbuilt.is_empty() || args.ignore_unbuilt {
        return Ok(());
    }
    Err(Failure::usage(pubsub::Unbuilt(unbuilt)))
}

fn refused(error: LoadError) -> Failure {
    let missing = error.is_not_found();
    let text = format!("{:#}", anyhow::Error::from(error));
    match missing {
        true => Failure::usage(format!("{text}\nwrite one, or leave out -c for the defaults")),
        false => Failure::usage(text),
    }
}
