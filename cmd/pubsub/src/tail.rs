//! `pubsub tail`: reads a channel's files, whether or not a node writes them, and without asking it.
//!
//! New messages are noticed by file notification. Where that fails, or an event gets lost, a look
//! every second finds them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use pubsub_disk::FileDisk;
use pubsub_node::clock;
use pubsub_storage::{FollowFrom, Followed, Follower};
use tokio::sync::Notify;

use crate::cli::TailArgs;
use crate::context::Context;
use crate::fail::{self, Fail};
use crate::sub::Printer;

/// Time between two looks when nothing was notified.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Read at a time.
const READ_MESSAGES: usize = 1024;
const READ_BYTES: usize = 1 << 20;

/// Runs the command.
pub(crate) async fn run(args: TailArgs, context: &Context) -> Result<(), Fail> {
    let disk = open(context)?;
    let start = &args.start;
    let from = match (start.from_start, start.after, start.since) {
        (true, _, _) => FollowFrom::Start,
        (_, Some(seq), _) => FollowFrom::After(seq),
        (_, _, Some(when)) => FollowFrom::Since(when.resolve(clock::now())),
        _ => FollowFrom::Last(start.lines),
    };
    let mut follower = Follower::open(disk, &args.channel, from).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Fail::new(
                fail::NOT_FOUND,
                format!("there is no channel {}", args.channel),
                "`pubsub channel ls` lists all",
            );
        }
        Fail::io(format!("read channel {}", args.channel), &error)
    })?;
    let mut printer = Printer::new(context, &args.channel);
    if args.jsonl {
        printer.envelopes();
    }
    let changed = Arc::new(Notify::new());
    let _watcher = args
        .follow
        .then(|| watch(&context.data_dir.join(follower.directory()), &changed, context))
        .flatten();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let found = match follower.read(READ_MESSAGES, READ_BYTES) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                printer.end()?;
                let text = format!("channel {} was removed", args.channel);
                return Err(Fail::new(fail::NOT_FOUND, text, ""));
            }
            Err(error) => return Err(Fail::io(format!("read channel {}", args.channel), &error)),
        };
        let idle = found.is_empty();
        for found in found {
            print(found, &mut printer, context)?;
        }
        printer.out.flush()?;
        if !idle {
            continue;
        }
        if !args.follow {
            return printer.end();
        }
        tokio::select! {
            _ = &mut interrupted => {
                printer.end()?;
                return Err(Fail::Interrupted);
            }
            () = changed.notified() => (),
            () = tokio::time::sleep(POLL_EVERY) => (),
        }
    }
}

/// The data directory, to be read only.
pub(crate) fn open(context: &Context) -> Result<Arc<FileDisk>, Fail> {
    let dir = &context.data_dir;
    if !dir.is_dir() {
        return Err(Fail::from(pubsub_node::control::ClientError::NoDataDir(dir.clone())));
    }
    let disk = FileDisk::open(dir);
    disk.map(Arc::new).map_err(|error| Fail::io(format!("open {}", dir.display()), &error))
}

fn print(found: Followed, printer: &mut Printer<'_>, context: &Context) -> Result<(), Fail> {
    match found {
        Followed::Record(record) => printer.record(record.seq, &record.as_new())?,
        Followed::Missing { first, last } => printer.gap(first, last),
        Followed::Damaged { file, at, bytes } => context.warn(&format!(
            "{file}: {bytes} bytes from byte {at} are damaged; `pubsub doctor` says more"
        )),
        Followed::Cut { after } => context.warn(&format!(
            "a crash tore off what came after message {after}; it was never acknowledged"
        )),
    }
    Ok(())
}

/// Has `changed` notified when a file in `dir` changes; without a watcher, the looks every second
/// have to do.
pub(crate) fn watch(
    dir: &Path,
    changed: &Arc<Notify>,
    context: &Context,
) -> Option<impl Watcher + use<>> {
    let notify = changed.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading of the files is no news.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            notify.notify_one();
        }
    });
    let watching = watcher.and_then(|mut watcher| {
        watcher.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| {
            context.warn(&format!("no file notification, looking every second: {error}"));
        })
        .ok()
}
