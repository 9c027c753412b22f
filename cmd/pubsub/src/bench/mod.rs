//! `pubsub bench store`: how fast the engine is on this disk, beside what the disk itself can do.
//!
//! ```text
//!   each round:  probes (write, write+fdatasync, TCP ping-pong)  then every case  ──▶ medians over rounds
//! ```
//!
//! A rate means little without the machine's own limits from the same minutes, so each round measures
//! both, and each result says how it compares. One request in flight cannot beat one sync of the disk.

mod measure;
mod probes;
mod report;
mod store;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::BenchStoreArgs;
use crate::context::Context;
use crate::fail::Fail;

use report::Report;
use store::Bench;

/// Set when the user has enough; every loop looks at it.
pub(super) type Stop = Arc<AtomicBool>;

/// Runs the command.
pub(crate) async fn store(args: BenchStoreArgs, context: &Context) -> Result<(), Fail> {
    let stop = Stop::default();
    let parent = args.dir.clone().unwrap_or_else(|| context.data_dir.clone());
    let bar = progress_bar(&args, context);
    let running = {
        let (args, stop, bar) = (args.clone(), stop.clone(), bar.clone());
        tokio::task::spawn_blocking(move || rounds(&args, &parent, &stop, &bar))
    };
    tokio::pin!(running);
    let measured = tokio::select! {
        measured = &mut running => measured,
        _ = tokio::signal::ctrl_c() => {
            // Its directory is to be removed before we go.
            stop.store(true, Ordering::Relaxed);
            running.await
        }
    };
    bar.finish_and_clear();
    let measured = measured.map_err(|error| Fail::io("run the benchmark", &error.into()))?;
    report::print(&measured?, context)
}

fn rounds(
    args: &BenchStoreArgs,
    parent: &std::path::Path,
    stop: &Stop,
    bar: &ProgressBar,
) -> Result<Report, Fail> {
    let bench = Bench::open(args, parent, stop.clone())?;
    let mut report = Report::new(args, bench.dir());
    for _ in 0..args.rounds {
        for probe in probes::ALL {
            report.probe(probe.name, probe.run(&bench, args)?);
            bar.inc(1);
        }
        for case in bench.cases() {
            report.case(case, bench.measure(case)?);
            bar.inc(1);
        }
        for format in &args.format {
            report.replay(*format, bench.replay(*format)?);
            bar.inc(1);
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Fail::Interrupted);
        }
    }
    bench.close()?;
    Ok(report)
}

fn progress_bar(args: &BenchStoreArgs, context: &Context) -> ProgressBar {
    let quiet = context.quiet || !io::stderr().is_terminal();
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let each = probes::ALL.len() + store::cases(args).len() + args.format.len();
    let total = u64::from(args.rounds) * each as u64;
    let style = ProgressStyle::with_template("measuring {bar:30} {pos}/{len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}
