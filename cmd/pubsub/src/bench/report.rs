//! What was measured, as a table and for programs.

use std::collections::BTreeMap;
use std::path::Path;

use pubsub_types::{Format, SyncPolicy};
use serde::Serialize;

use super::measure::{Measured, median};
use super::probes;
use super::store::{Case, Way};
use crate::cli::{BenchStoreArgs, Output};
use crate::context::Context;
use crate::fail::Fail;
use crate::out::{self, Out};

/// All measurements of a run.
#[derive(Debug)]
pub(super) struct Report {
    payload_bytes: u64,
    rounds: u32,
    threads: usize,
    directory: String,
    probes: BTreeMap<&'static str, Vec<Measured>>,
    cases: BTreeMap<Case, Vec<Measured>>,
    replays: BTreeMap<Format, Vec<Measured>>,
}

#[derive(Serialize)]
struct Summary {
    payload_bytes: u64,
    rounds: u32,
    threads: usize,
    directory: String,
    probes: Vec<ProbeRow>,
    cases: Vec<CaseRow>,
    replay: Vec<ReplayRow>,
}

#[derive(Serialize)]
struct ProbeRow {
    probe: &'static str,
    per_second: f64,
    micros: f64,
}

#[derive(Serialize)]
struct CaseRow {
    format: String,
    sync: String,
    /// `null` for the blocking call with one message at a time.
    in_flight: Option<usize>,
    messages_per_second: f64,
    payload_bytes_per_second: f64,
    cpu_micros_per_message: f64,
    fdatasyncs_per_message: f64,
    /// Against one write, or for `always` one write and fdatasync, at a time by the machine itself.
    ratio_to_probe: f64,
}

#[derive(Serialize)]
struct ReplayRow {
    format: String,
    messages_per_second: f64,
    payload_bytes_per_second: f64,
    cpu_micros_per_message: f64,
}

impl Report {
    pub(super) fn new(args: &BenchStoreArgs, dir: &Path) -> Self {
        Self {
            payload_bytes: args.payload,
            rounds: args.rounds,
            threads: args.threads,
            directory: dir.display().to_string(),
            probes: BTreeMap::new(),
            cases: BTreeMap::new(),
            replays: BTreeMap::new(),
        }
    }

    pub(super) fn probe(&mut self, name: &'static str, measured: Measured) {
        self.probes.entry(name).or_default().push(measured);
    }

    pub(super) fn case(&mut self, case: &Case, measured: Measured) {
        self.cases.entry(*case).or_default().push(measured);
    }

    pub(super) fn replay(&mut self, format: Format, measured: Measured) {
        self.replays.entry(format).or_default().push(measured);
    }

    fn probe_rate(&self, name: &str) -> f64 {
        self.probes.get(name).map_or(0.0, |all| median(all, |it| it.per_second))
    }

    fn summary(&self) -> Summary {
        let probe = |(probe, all): (&&'static str, &Vec<Measured>)| {
            let per_second = median(all, |it| it.per_second);
            ProbeRow { probe, per_second, micros: ratio(1e6, per_second) }
        };
        let replay = |(format, all): (&Format, &Vec<Measured>)| ReplayRow {
            format: format.to_string(),
            messages_per_second: median(all, |it| it.per_second),
            payload_bytes_per_second: median(all, |it| it.bytes_per_second),
            cpu_micros_per_message: median(all, |it| it.cpu_micros),
        };
        Summary {
            payload_bytes: self.payload_bytes,
            rounds: self.rounds,
            threads: self.threads,
            directory: self.directory.clone(),
            probes: self.probes.iter().map(probe).collect(),
            cases: self.cases.iter().map(|(case, all)| self.case_row(*case, all)).collect(),
            replay: self.replays.iter().map(replay).collect(),
        }
    }

    fn case_row(&self, case: Case, all: &[Measured]) -> CaseRow {
        let limit = match case.sync {
            SyncPolicy::Always => self.probe_rate(probes::SYNC),
            SyncPolicy::Periodic | SyncPolicy::None => self.probe_rate(probes::WRITE),
        };
        let rate = median(all, |it| it.per_second);
        CaseRow {
            format: case.format.to_string(),
            sync: case.sync.to_string(),
            in_flight: match case.way {
                Way::Blocking => None,
                Way::InFlight(number) => Some(number),
            },
            messages_per_second: rate,
            payload_bytes_per_second: median(all, |it| it.bytes_per_second),
            cpu_micros_per_message: median(all, |it| it.cpu_micros),
            fdatasyncs_per_message: median(all, |it| it.syncs),
            ratio_to_probe: ratio(rate, limit),
        }
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// Prints it.
pub(super) fn print(report: &Report, context: &Context) -> Result<(), Fail> {
    let summary = report.summary();
    if context.output != Output::Table {
        return out::json(context, &summary);
    }
    let mut head = Out::new();
    let text = format!(
        "{} byte payloads, {} threads, medians of {} rounds, in {}\n\n",
        summary.payload_bytes, summary.threads, summary.rounds, summary.directory
    );
    head.write(text.as_bytes())?;
    head.flush()?;
    out::many(context, &summary.probes, &["the machine", ">per second", ">µs each"], |row| {
        vec![row.probe.to_owned(), whole(row.per_second), format!("{:.1}", row.micros)]
    })?;
    head.write(b"\n")?;
    head.flush()?;
    let heads = [
        "publish",
        "sync",
        ">in flight",
        ">messages/s",
        ">payload/s",
        ">CPU µs",
        ">fdatasync",
        ">of the machine",
    ];
    out::many(context, &summary.cases, &heads, |row| {
        vec![
            row.format.clone(),
            row.sync.clone(),
            row.in_flight.map_or_else(|| "1, blocking".to_owned(), |number| number.to_string()),
            whole(row.messages_per_second),
            per_second(row.payload_bytes_per_second),
            format!("{:.2}", row.cpu_micros_per_message),
            format!("{:.4}", row.fdatasyncs_per_message),
            format!("{:.2}x", row.ratio_to_probe),
        ]
    })?;
    head.write(b"\n")?;
    head.flush()?;
    let heads = ["replay", ">messages/s", ">payload/s", ">CPU µs"];
    out::many(context, &summary.replay, &heads, |row| {
        vec![
            row.format.clone(),
            whole(row.messages_per_second),
            per_second(row.payload_bytes_per_second),
            format!("{:.2}", row.cpu_micros_per_message),
        ]
    })
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive and far below 2^63"
)]
fn per_second(bytes: f64) -> String {
    format!("{}/s", out::bytes(bytes as u64))
}
