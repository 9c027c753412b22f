//! `pubsub audit`: reads the audit log's files, whether or not a node writes them.
//!
//! As with `tail`, file notification says when there is more, and a look every second finds what it
//! did not say.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use pubsub_audit::{ChannelPattern, DIRECTORY, EventKind, Filter, Found, Line, Reader};
use pubsub_node::clock;
use tokio::sync::Notify;

use crate::cli::Output;
use crate::context::Context;
use crate::fail::Fail;
use crate::out::{self, Out};
use crate::parse::When;
use crate::tail;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Options that are repeated widen what is printed, different ones narrow it.\n\n\
                  Examples:\n  pubsub audit --event client_rejected,policy_violation --since 1h\n  \
                  pubsub audit --follow --peer edge-7 --channel 'orders.>'"
)]
pub(crate) struct AuditArgs {
    /// Goes on with what is logged.
    #[arg(short, long)]
    follow: bool,
    /// Only what concerns this peer, by its name or its address; may be repeated.
    #[arg(long, value_name = "PEER")]
    peer: Vec<String>,
    /// Only messages of this channel, or of these, as in orders.>; may be repeated.
    #[arg(long, value_name = "CHANNEL")]
    channel: Vec<ChannelPattern>,
    /// Only events of these kinds, separated by commas.
    #[arg(long, value_name = "EVENT", value_delimiter = ',', value_parser = kinds())]
    event: Vec<String>,
    /// Only events of this age (1h30m) or time (2026-11-21T13:00:00Z) and later.
    #[arg(long, value_name = "DURATION|TIME")]
    since: Option<When>,
    /// Begins with the last so many; without it, and without --since, --follow begins with 10.
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<u64>,
}

/// Time between two looks when nothing was notified.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Lines that `--follow` begins with.
const FOLLOWED_LINES: u64 = 10;

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(EventKind::ALL.iter().map(|kind| kind.as_str()))
}

/// Runs the command.
pub(crate) async fn run(args: AuditArgs, context: &Context) -> Result<(), Fail> {
    // Only to refuse what is no data directory as every other command does.
    let _disk = tail::open(context)?;
    let dir = context.data_dir.join(DIRECTORY);
    let failed = |error| Fail::io("read the audit log", &error);
    let last =
        args.last.or_else(|| (args.follow && args.since.is_none()).then_some(FOLLOWED_LINES));
    let filter = Filter {
        peers: args.peer,
        channels: args.channel,
        events: args.event,
        since: args.since.map(|when| when.resolve(clock::now())),
    };
    let mut reader = match last {
        None => Reader::oldest(&dir, filter),
        Some(count) => Reader::newest(&dir, filter, count).map_err(failed)?,
    };
    let mut printer = Printer::new(context);
    let changed = Arc::new(Notify::new());
    let mut watcher = None;
    let mut is_watched = false;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        if args.follow && !is_watched {
            // Until something is logged there is no directory, but one in which it will be made.
            is_watched = dir.is_dir();
            if is_watched {
                watcher = tail::watch(&dir, &changed, context);
            } else if watcher.is_none() {
                watcher = tail::watch(&context.data_dir, &changed, context);
            }
        }
        let piece = reader.read().map_err(failed)?;
        printer.print(&piece.found)?;
        if piece.at_end && !args.follow {
            if !dir.is_dir() {
                context.say("nothing was logged yet: the audit log is about links to other nodes");
            }
            return printer.end();
        }
        let wait = async {
            if piece.at_end {
                let _late = tokio::time::timeout(POLL_EVERY, changed.notified()).await;
            } else {
                // An interruption is heard in between.
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut interrupted => {
                printer.end()?;
                return Err(Fail::Interrupted);
            }
            () = wait => (),
        }
    }
}

/// Prints lines as they come.
struct Printer<'a> {
    context: &'a Context,
    out: Out,
    has_printed: bool,
    widths: [usize; HEADS.len() - 1],
}

const HEADS: [&str; 7] = ["TIME", "EVENT", "PEER", "CHANNEL", "DIRECTION", "MESSAGE", "DETAIL"];

impl<'a> Printer<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, out: Out::new(), has_printed: false, widths: [0; HEADS.len() - 1] }
    }

    fn print(&mut self, found: &[Found]) -> Result<(), Fail> {
        if self.context.output == Output::Table {
            self.rows(found)?;
        } else {
            for line in lines(found) {
                self.raw(&line.raw)?;
            }
        }
        self.out.flush()?;
        for found in found {
            match found {
                Found::Line(_) => (),
                Found::Damaged { file, at, bytes } => self.context.warn(&format!(
                    "{DIRECTORY}/{file}: {bytes} bytes from byte {at} are damaged or torn, and were \
                     passed over"
                )),
                Found::Missed => self.context.warn(
                    "lines may be missing: files were removed before they could be read, as more \
                     was logged than audit.max_files keeps",
                ),
            }
        }
        Ok(())
    }

    fn raw(&mut self, line: &str) -> Result<(), Fail> {
        if self.context.output == Output::Json {
            self.out.write(if self.has_printed { b"," } else { b"[" })?;
        }
        self.has_printed = true;
        self.out.write(line.as_bytes())?;
        self.out.write(b"\n")
    }

    /// Columns are as wide as anything so far.
    fn rows(&mut self, found: &[Found]) -> Result<(), Fail> {
        let mut rows: Vec<[String; HEADS.len()]> = lines(found).map(cells).collect();
        if !self.has_printed && !rows.is_empty() {
            rows.insert(0, HEADS.map(str::to_owned));
            self.has_printed = true;
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut text = String::new();
            for (nth, cell) in row.iter().enumerate() {
                let width = self.widths.get(nth).copied().unwrap_or(0);
                text.push_str(&format!("{cell:<width$}  "));
            }
            self.out.write(text.trim_end().as_bytes())?;
            self.out.write(b"\n")?;
        }
        Ok(())
    }

    /// Prints what belongs behind the last line.
    fn end(&mut self) -> Result<(), Fail> {
        if self.context.output == Output::Json {
            self.out.write(if self.has_printed { b"]\n" } else { b"[]\n" })?;
        }
        self.out.flush()
    }
}

fn lines(found: &[Found]) -> impl Iterator<Item = &Line> {
    found.iter().filter_map(|found| match found {
        Found::Line(line) => Some(&**line),
        Found::Damaged { .. } | Found::Missed => None,
    })
}

fn cells(line: &Line) -> [String; HEADS.len()] {
    let peer = if line.peer.is_empty() { &line.peer_addr } else { &line.peer };
    let is_addr_shown = peer == &line.peer_addr || line.detail.starts_with("addr=");
    let mut detail = String::new();
    if line.message_id.is_empty() && !line.peer_addr.is_empty() && !is_addr_shown {
        detail = format!("addr={} ", line.peer_addr);
    }
    if line.send_duration_ms > 0.0 {
        detail = format!("acknowledged after {:.1} ms ", line.send_duration_ms);
    }
    detail.push_str(&line.detail);
    let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { visible(text) };
    [
        out::time(Some(line.time)),
        cell(&line.event),
        cell(peer),
        cell(&line.channel),
        cell(&line.direction),
        cell(&line.message_id),
        visible(detail.trim_end()),
    ]
}

/// The text without what would steer the terminal: it may be a stranger's.
fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        let steers = matches!(
            letter,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        );
        if letter.is_control() || steers {
            safe.extend(letter.escape_default());
        } else {
            safe.push(letter);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_spelled_out() {
        assert_eq!(visible("edge-7 ü"), "edge-7 ü");
        assert_eq!(visible("\u{1b}[2J\r\u{9b}\u{202e}x"), "\\u{1b}[2J\\r\\u{9b}\\u{202e}x");
    }
}
