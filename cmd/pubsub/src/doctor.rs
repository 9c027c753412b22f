//! `pubsub doctor` and `pubsub channel verify`: check every record, change nothing.

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pubsub_storage::{
    Diagnosis, FollowFrom, Follower, Inspected, Inspection, LOCK_FILE, Severity, inspect,
};
use pubsub_types::ChannelName;
use serde::Serialize;

use crate::cli::Output;
use crate::context::Context;
use crate::fail::{self, Fail};
use crate::out::{self, Out};
use crate::tail;

/// What was found, for programs.
#[derive(Serialize)]
struct Report<'a> {
    healthy: bool,
    /// Whether a node has the directory open.
    live: bool,
    #[serde(flatten)]
    inspection: &'a Inspection,
}

/// Looks at the whole directory, or at one channel.
pub(crate) fn run(only: Option<&ChannelName>, context: &Context) -> Result<(), Fail> {
    let disk = tail::open(context)?;
    let live = is_live(&context.data_dir);
    if let Some(name) = only {
        exists(name, context)?;
    }
    let bar = progress_bar(context);
    let inspection = inspect(&*disk, live, only, &mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
    });
    bar.finish_and_clear();
    let inspection = inspection
        .map_err(|error| Fail::io(format!("read {}", context.data_dir.display()), &error))?;
    let healthy = inspection.is_healthy();
    match context.output {
        Output::Table => print(&inspection, live, context)?,
        Output::Json => {
            out::json(context, &Report { healthy, live, inspection: &inspection })?;
        }
        Output::Jsonl => {
            for finding in &inspection.findings {
                out::json(context, finding)?;
            }
        }
    }
    if healthy { Ok(()) } else { Err(Fail::Told(fail::FAILURE)) }
}

fn exists(name: &ChannelName, context: &Context) -> Result<(), Fail> {
    let disk = tail::open(context)?;
    match Follower::open(disk, name, FollowFrom::Start) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Fail::new(
            fail::NOT_FOUND,
            format!("there is no channel {name}"),
            "`pubsub channel ls` lists all",
        )),
        // What else is wrong with it is what we are here to find out.
        _ => Ok(()),
    }
}

/// Whether a process has the directory open, as far as can be told without taking its lock.
fn is_live(data_dir: &Path) -> bool {
    let lock = data_dir.join(LOCK_FILE);
    let Ok(metadata) = std::fs::metadata(&lock) else { return false };
    match std::fs::read_to_string("/proc/locks") {
        Ok(locks) => {
            let inode = format!(":{} ", metadata.ino());
            locks.lines().any(|line| line.contains("FLOCK") && line.contains(&inode))
        }
        // Not Linux: the process that the file names may be another one by now.
        Err(_) => {
            let pid = std::fs::read_to_string(&lock).ok().and_then(|text| text.trim().parse().ok());
            let pid = pid.and_then(rustix::process::Pid::from_raw);
            pid.is_some_and(|pid| {
                rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
            })
        }
    }
}

fn progress_bar(context: &Context) -> ProgressBar {
    let quiet = context.quiet || !io::stderr().is_terminal();
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("checking {bar:30} {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, target).with_style(style)
}

fn print(inspection: &Inspection, live: bool, context: &Context) -> Result<(), Fail> {
    let mut lines = Out::new();
    let mut say = |text: String| lines.write(text.as_bytes()).and_then(|()| lines.write(b"\n"));
    let sum = |of: fn(&Inspected) -> u64| inspection.channels.iter().map(of).sum::<u64>();
    let dir = context.data_dir.display();
    if let Some(node) = &inspection.node {
        let state = match (live, node.clean) {
            (true, _) => "a node has it open",
            (false, true) => "closed in order",
            (false, false) => "not closed in order; the next start recovers it",
        };
        say(format!("{dir}: node {}, opened {} times, {state}", node.id, node.incarnation))?;
    }
    say(format!(
        "checked {} channels, {} segments, {} records with {} messages, {}, {} subscribers",
        inspection.channels.len(),
        sum(|channel| channel.segments),
        sum(|channel| channel.records),
        sum(|channel| channel.messages),
        out::bytes(sum(|channel| channel.bytes)),
        sum(|channel| channel.subscribers),
    ))?;
    for finding in &inspection.findings {
        say(String::new())?;
        say(format!("{}: {}", severity(finding.severity), place(finding)))?;
        say(format!("  {}", finding.text))?;
        if let Some((first, last)) = finding.seqs {
            say(match first == last {
                true => format!("  message {first} is lost with it"),
                false => format!("  messages {first} to {last} are lost with it"),
            })?;
        }
        say(format!("  do: {}", finding.advice))?;
    }
    say(String::new())?;
    let count = |severity| {
        inspection.findings.iter().filter(|finding| finding.severity == severity).count()
    };
    let (damage, warnings) = (count(Severity::Damage), count(Severity::Warning));
    say(if inspection.is_healthy() {
        "healthy: every record proves itself".to_owned()
    } else {
        format!("{damage} damaged, {warnings} to be mended; nothing was changed")
    })?;
    lines.flush()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Damage => "damage",
    }
}

fn place(finding: &Diagnosis) -> String {
    let file = finding.file.display();
    match (finding.at, finding.bytes) {
        (Some(at), Some(bytes)) if bytes > 0 => format!("{file}, {bytes} bytes at {at}"),
        (Some(at), _) => format!("{file} at {at}"),
        (None, _) => file.to_string(),
    }
}
