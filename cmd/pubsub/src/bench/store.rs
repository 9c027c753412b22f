//! The cases: formats, sync policies, messages in flight; and reading it all back.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pubsub_envelope::NewRecord;
use pubsub_node::{Node, clock};
use pubsub_storage::{
    AppendError, Channel, ChannelConfig, PublishError, Resolver, StoreOptions, Ticket,
};
use pubsub_types::{ChannelName, Format, SyncPolicy};
use tempfile::TempDir;

use super::Stop;
use super::measure::{Measured, Stopwatch};
use crate::cli::BenchStoreArgs;
use crate::fail::{self, Fail};

/// Small enough that a short run seals some.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Messages read at a time.
const READ_MESSAGES: usize = 4096;
const READ_BYTES: usize = 1 << 20;
/// Messages read back at most, so that a fast machine does not read for minutes.
const REPLAY_MESSAGES_MAX: u64 = 2_000_000;

/// One way to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    pub(super) format: Format,
    pub(super) sync: SyncPolicy,
    pub(super) way: Way,
}

/// Who waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// One thread, one message at a time, through the blocking call.
    Blocking,
    /// All threads together keep so many messages on their way.
    InFlight(usize),
}

/// An open store to publish to, in a directory that is removed in the end.
#[derive(Debug)]
pub(super) struct Bench {
    cases: Vec<Case>,
    args: BenchStoreArgs,
    payload: Vec<u8>,
    stop: Stop,
    // Closed before its directory is removed.
    node: Arc<Node>,
    dir: TempDir,
}

/// The cases that `args` ask for.
pub(super) fn cases(args: &BenchStoreArgs) -> Vec<Case> {
    let ways = || {
        let in_flight = args.in_flight.iter().map(|number| Way::InFlight(*number));
        [Way::Blocking].into_iter().chain(in_flight)
    };
    let mut cases = Vec::new();
    for format in &args.format {
        for sync in &args.sync {
            cases.extend(ways().map(|way| Case { format: *format, sync: *sync, way }));
        }
    }
    cases
}

impl Bench {
    pub(super) fn open(args: &BenchStoreArgs, parent: &Path, stop: Stop) -> Result<Self, Fail> {
        // The data directory need not be there; its file system is what is measured.
        let mut place = parent.to_owned();
        while !place.is_dir() {
            place = match place.parent() {
                Some(above) if !above.as_os_str().is_empty() => above.to_owned(),
                _ => ".".into(),
            };
        }
        if place.join("NODE.a").exists() {
            // Nothing foreign is put into a data directory.
            place = place.join("..");
        }
        let dir = tempfile::Builder::new().prefix(".pubsub-bench-").tempdir_in(&place).map_err(
            |error| Fail::io(format!("make a directory in {}", place.display()), &error),
        )?;
        let resolver = Resolver::new(|name, _| config_of(name));
        let options = StoreOptions { resolver: Some(resolver), ..StoreOptions::default() };
        let node = Node::start("bench", &dir.path().join("data"), options)
            .map_err(|error| Fail::new(fail::FAILURE, pubsub_messenger::error_text(&error), ""))?;
        let mut payload = vec![b'x'; usize::try_from(args.payload).unwrap_or(1)];
        // A JSON text, so that JSONL can take it as it is.
        if let [first, .., last] = &mut payload[..] {
            (*first, *last) = (b'"', b'"');
        }
        Ok(Self { cases: cases(args), args: args.clone(), payload, stop, node, dir })
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Publishes for as long as a measurement takes.
    pub(super) fn measure(&self, case: &Case) -> Result<Measured, Fail> {
        let channel = self.channel(&case.name())?;
        let before = channel.stats();
        let watch = Stopwatch::start();
        let done = AtomicU64::new(0);
        let published = match case.way {
            Way::Blocking => self.block(&channel, &watch, &done),
            Way::InFlight(total) => {
                let threads = self.args.threads.clamp(1, total.max(1));
                let each = total.div_ceil(threads).max(1);
                std::thread::scope(|scope| {
                    let publish = || self.keep_in_flight(&channel, each, &watch, &done);
                    let running: Vec<_> = (0..threads).map(|_| scope.spawn(publish)).collect();
                    running.into_iter().try_for_each(|thread| match thread.join() {
                        Ok(result) => result,
                        Err(panic) => std::panic::resume_unwind(panic),
                    })
                })
            }
        };
        published.map_err(|error| {
            Fail::new(
                fail::FAILURE,
                pubsub_messenger::error_text(&error),
                "free space, or say --dir",
            )
        })?;
        let syncs = channel.stats().syncs - before.syncs;
        Ok(watch.finish(done.load(Ordering::Relaxed), self.args.payload, syncs))
    }

    fn goes_on(&self, watch: &Stopwatch) -> bool {
        watch.elapsed() < self.args.duration && !self.stop.load(Ordering::Relaxed)
    }

    fn record(&self) -> NewRecord<'_> {
        NewRecord { time: clock::now(), payload: &self.payload, ..NewRecord::default() }
    }

    fn block(
        &self,
        channel: &Arc<Channel>,
        watch: &Stopwatch,
        done: &AtomicU64,
    ) -> Result<(), PublishError> {
        while self.goes_on(watch) {
            channel.append_blocking(&[self.record()])?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn keep_in_flight(
        &self,
        channel: &Arc<Channel>,
        in_flight: usize,
        watch: &Stopwatch,
        done: &AtomicU64,
    ) -> Result<(), PublishError> {
        let mut tickets: VecDeque<Ticket> = VecDeque::with_capacity(in_flight);
        let mut count = 0;
        while self.goes_on(watch) {
            while tickets.len() < in_flight {
                match channel.append(&[self.record()]) {
                    Ok(appended) => tickets.push_back(appended.ticket),
                    Err(AppendError::Backlogged { .. }) if !tickets.is_empty() => break,
                    Err(error) => return Err(error.into()),
                }
            }
            // What is committed together is taken together.
            if let Some(oldest) = tickets.pop_front() {
                oldest.wait()?;
                count += 1;
            }
            while let Some(result) = tickets.front().and_then(Ticket::result) {
                result?;
                tickets.pop_front();
                count += 1;
            }
        }
        for ticket in tickets {
            ticket.wait()?;
            count += 1;
        }
        done.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Reads back what the busiest case of this format left.
    pub(super) fn replay(&self, format: Format) -> Result<Measured, Fail> {
        let mut busiest: Option<Arc<Channel>> = None;
        for case in self.cases.iter().filter(|case| case.format == format) {
            let channel = self.channel(&case.name())?;
            if busiest.as_ref().is_none_or(|known| known.last_seq() < channel.last_seq()) {
                busiest = Some(channel);
            }
        }
        let Some(channel) = busiest else { return Ok(Measured::default()) };
        let mut reader = channel.reader(0);
        let watch = Stopwatch::start();
        let mut done = 0;
        while done < REPLAY_MESSAGES_MAX && !self.stop.load(Ordering::Relaxed) {
            let items = reader.read(READ_MESSAGES, READ_BYTES).map_err(|error| {
                Fail::new(fail::FAILURE, pubsub_messenger::error_text(&error), "")
            })?;
            if items.is_empty() {
                break;
            }
            done += items.len() as u64;
        }
        Ok(watch.finish(done, self.args.payload, 0))
    }

    fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Fail> {
        let channel = self.node.channel(name);
        channel.map_err(|error| Fail::new(fail::FAILURE, pubsub_messenger::error_text(&error), ""))
    }

    /// Closes the store and removes its directory.
    pub(super) fn close(self) -> Result<(), Fail> {
        let Self { node, dir, .. } = self;
        node.close().map_err(|error| Fail::io("close the store", &error))?;
        drop(node);
        let path = dir.path().to_owned();
        dir.close().map_err(|error| Fail::io(format!("remove {}", path.display()), &error))
    }
}

impl Case {
    /// Each case has a channel, whose name says what it is.
    fn name(&self) -> ChannelName {
        let way = match self.way {
            Way::Blocking => "blocking".to_owned(),
            Way::InFlight(number) => number.to_string(),
        };
        let name = format!("{}.{}.{way}", self.format, self.sync);
        ChannelName::new(&name).expect("words and a number make a name")
    }
}

/// What a case's channel is configured to do, as its name says.
fn config_of(name: &ChannelName) -> ChannelConfig {
    let mut words = name.as_str().split('.');
    let format = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let sync = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    ChannelConfig {
        format,
        sync,
        segment_bytes: SEGMENT_BYTES,
        keep_history: true,
        ..ChannelConfig::default()
    }
}
