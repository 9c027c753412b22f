//! What the process says about itself: on stderr, as text for people and as JSON for programs.

use std::io::{self, IsTerminal};

use pubsub_config::{LogConfig, LogFormat, LogLevel};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

/// Starts the log.
pub(crate) fn start(config: &LogConfig) {
    let is_terminal = io::stderr().is_terminal();
    // Who closed stderr does not want to read that it is closed.
    let log = fmt()
        .with_writer(io::stderr)
        .with_max_level(level(config.level))
        .log_internal_errors(false)
        .with_target(false);
    match config.format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Auto if !is_terminal => log.json().flatten_event(true).init(),
        LogFormat::Text | LogFormat::Auto => log.with_ansi(is_terminal).init(),
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
