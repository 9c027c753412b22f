//! Talk: on stderr, and quiet when asked.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::cli::Global;

/// Talks to whoever typed the command.
#[derive(Debug)]
pub(crate) struct Say {
    quiet: bool,
    color: ColorChoice,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default();

impl Say {
    pub(crate) fn new(global: &Global) -> Self {
        let color = if global.no_color { ColorChoice::Never } else { ColorChoice::Auto };
        Self { quiet: global.quiet, color }
    }

    /// Says something that is no data.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.tell(format_args!("{text}\n"));
        }
    }

    /// Says something that somebody should look at.
    pub(crate) fn warn(&self, text: &str) {
        self.tell(format_args!("{NOTE}warning:{NOTE:#} {text}\n"));
    }

    /// Says what went wrong, and what to do.
    pub(crate) fn error(&self, message: &str, advice: &str) {
        self.tell(format_args!("{ERROR}error:{ERROR:#} {message}\n"));
        if !advice.is_empty() {
            self.tell(format_args!("  try: {advice}\n"));
        }
    }

    fn tell(&self, text: std::fmt::Arguments<'_>) {
        // Nobody is left to be told that stderr is closed.
        let _written = AutoStream::new(io::stderr(), self.color).write_fmt(text);
    }
}
