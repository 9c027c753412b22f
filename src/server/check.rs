//! `pubsub-server check`: the configuration that would hold, with who said so.

use std::io::{self, ErrorKind, Write};

use pubsub::Config;

use crate::server::Failure;

/// Prints every value with its origin, and what this version does not have.
pub(crate) fn print(config: &Config) -> Result<(), Failure> {
    match write(config, &mut io::stdout().lock()) {
        // Nobody reads on.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn write(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let rows = config.effective();
    let width = |text: fn(&pubsub_config::EffectiveRow) -> &str| {
        rows.iter().map(|row| text(row).len()).max().unwrap_or(0)
    };
    let (keys, values) = (width(|row| &row.key), width(|row| &row.value));
    for row in &rows {
        writeln!(out, "{:keys$}  {:values$}  {}", row.key, row.value, row.origin)?;
    }
    for part in config.unbuilt() {
        writeln!(out, "{part}")?;
    }
    out.flush()
}
