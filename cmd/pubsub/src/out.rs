//! Data on stdout: a table for people, JSON for programs.

use std::io::{self, BufWriter, Stdout, Write};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table};
use pubsub_types::Timestamp;
use serde::Serialize;

use crate::cli::Output;
use crate::context::Context;
use crate::fail::Fail;

/// Stdout, buffered.
#[derive(Debug)]
pub(crate) struct Out(BufWriter<Stdout>);

impl Out {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(64 << 10, io::stdout()))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        self.0.write_all(bytes).map_err(|error| Fail::stdout(&error))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Fail> {
        self.0.flush().map_err(|error| Fail::stdout(&error))
    }
}

/// Prints one thing: as a list of names and values for people.
pub(crate) fn one<T: Serialize>(
    context: &Context,
    value: &T,
    rows: &[(&str, String)],
) -> Result<(), Fail> {
    if context.output != Output::Table {
        return json(context, value);
    }
    let mut table = plain();
    for (name, value) in rows {
        table.add_row(vec![name.to_owned().to_owned(), value.clone()]);
    }
    print_table(&table)
}

/// Prints many things: as a table for people.
///
/// Columns whose head begins with `>` are aligned to the right.
pub(crate) fn many<T: Serialize>(
    context: &Context,
    values: &[T],
    heads: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<(), Fail> {
    match context.output {
        Output::Table => (),
        Output::Json => return json(context, &values),
        Output::Jsonl => {
            let mut out = Out::new();
            for value in values {
                out.write(&line(value)?)?;
            }
            return out.flush();
        }
    }
    let mut table = plain();
    let right = |nth: usize| heads.get(nth).is_some_and(|head| head.starts_with('>'));
    table.set_header(heads.iter().map(|head| head.trim_start_matches('>').to_ascii_uppercase()));
    for value in values {
        let cells = row(value).into_iter().enumerate().map(|(nth, text)| {
            let cell = Cell::new(text);
            if right(nth) { cell.set_alignment(CellAlignment::Right) } else { cell }
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    print_table(&table)
}

/// Prints one JSON document.
pub(crate) fn json<T: Serialize>(context: &Context, value: &T) -> Result<(), Fail> {
    let mut bytes = if context.output == Output::Json {
        serde_json::to_vec_pretty(value).map_err(|error| Fail::io("print", &error.into()))?
    } else {
        serde_json::to_vec(value).map_err(|error| Fail::io("print", &error.into()))?
    };
    bytes.push(b'\n');
    let mut out = Out::new();
    out.write(&bytes)?;
    out.flush()
}

fn line<T: Serialize>(value: &T) -> Result<Vec<u8>, Fail> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| Fail::io("print", &error.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table
}

fn print_table(table: &Table) -> Result<(), Fail> {
    let mut out = Out::new();
    for line in table.lines() {
        out.write(line.trim_end().as_bytes())?;
        out.write(b"\n")?;
    }
    out.flush()
}

/// Prints what was done, by a command that has no other data.
pub(crate) fn done(context: &Context, what: &str) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Done<'a> {
        done: &'a str,
    }
    if context.output == Output::Table {
        context.say(what);
        return Ok(());
    }
    json(context, &Done { done: what })
}

/// Prints the version.
pub(crate) fn version(context: &Context) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Version {
        version: &'static str,
        layout_version: u32,
        protocol_version: u32,
    }
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        layout_version: pubsub_storage::LAYOUT_VERSION,
        protocol_version: pubsub_node::control::PROTOCOL_VERSION,
    };
    if context.output != Output::Table {
        return json(context, &version);
    }
    let mut out = Out::new();
    out.write(format!("pubsub {}\n", version.version).as_bytes())?;
    out.flush()
}

/// Bytes as people read them: `1.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if unit == 0 || tenths % 10 == 0 {
        format!("{} {}", tenths / 10, UNITS[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// A duration as people read it; `-` for none.
pub(crate) fn duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "-".to_owned();
    }
    let seconds = duration.as_secs();
    let parts = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60)];
    let mut text: String = parts
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(unit, number)| format!("{number}{unit}"))
        .collect();
    let (rest, millis) = (seconds % 60, duration.subsec_millis());
    if rest > 0 {
        text.push_str(&format!("{rest}s"));
    }
    if millis > 0 {
        text.push_str(&format!("{millis}ms"));
    }
    text
}

/// A number of which zero means that there is none.
pub(crate) fn limit(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { number.to_string() }
}

/// An instant, to the millisecond; `-` for none.
pub(crate) fn time(time: Option<Timestamp>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) => Timestamp(time.as_millis() * 1_000_000).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_durations_are_short() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(duration(Duration::from_millis(200)), "200ms");
        assert_eq!(duration(Duration::ZERO), "-");
    }
}
