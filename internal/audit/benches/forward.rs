//! What a forwarded message costs: whoever logs it, and the thread that writes it.
//!
//! Every round logs as many messages as the queue takes, so nothing is dropped, and waits until they
//! are written. Of the times the median of the rounds counts; of the processor, the sum.
#![expect(clippy::print_stdout, reason = "a benchmark that says nothing is of no use")]
#![expect(clippy::disallowed_methods, reason = "a benchmark wants to know how long it takes")]

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pubsub_audit::{AuditLog, Direction, Event, Ids, Limits, Messages, Peer};
use pubsub_disk::FileDisk;
use uuid::Uuid;

const ROUNDS: u32 = 9;
/// Time of a unit in `/proc/self/stat`, as Linux reports it everywhere.
const TICK: Duration = Duration::from_millis(10);
const MESSAGES: u32 = 250_000;

fn main() -> io::Result<()> {
    println!("{:>8}  {:>12}  {:>14}  {:>12}", "batch", "log ns/msg", "all of it ns", "CPU ns/msg");
    for batch in [1, 16, 256, 2048] {
        let dir = tempfile::tempdir()?;
        let disk = Arc::new(FileDisk::open(dir.path())?);
        let log = AuditLog::open(disk, Limits::new(100, 10))?;
        let before = cpu()?;
        let mut rounds: Vec<(Duration, Duration)> =
            (0..ROUNDS).map(|_| round(&log, batch)).collect();
        assert_eq!(log.dropped(), 0, "a round fits into the queue");
        let spent = (cpu()? - before) / ROUNDS;
        rounds.sort();
        let (logged, _) = rounds[rounds.len() / 2];
        rounds.sort_by_key(|(_, written)| *written);
        let (_, written) = rounds[rounds.len() / 2];
        let each = |time: Duration| time.as_nanos() / u128::from(MESSAGES);
        println!("{batch:>8}  {:>12}  {:>14}  {:>12}", each(logged), each(written), each(spent));
    }
    Ok(())
}

/// Time to log, and time until all was written.
fn round(log: &AuditLog, batch: u32) -> (Duration, Duration) {
    let peer = Peer { name: Arc::from("edge-berlin-7"), addr: Arc::from("10.20.30.40:41234") };
    let channel: Arc<str> = Arc::from("orders.europe");
    let mut logged = Duration::ZERO;
    let mut written = Duration::ZERO;
    // Single messages take more room each: as many as fit at a time.
    let part = if batch == 1 { 25_000 } else { 125_000 };
    for _ in 0..MESSAGES / part {
        let started = Instant::now();
        for first in (0..part).step_by(batch as usize) {
            let ids: Ids = (first..part.min(first + batch)).map(id).collect();
            let messages = Messages {
                peer: peer.clone(),
                channel: channel.clone(),
                direction: Direction::Outbound,
                ids,
            };
            let send_duration = Some(Duration::from_nanos(1_234_567));
            log.log(black_box(Event::Forward { messages, send_duration }));
        }
        logged += started.elapsed();
        // A failure would show in the numbers, and as drops.
        let _flushed = log.flush();
        written += started.elapsed();
    }
    (logged, written)
}

/// Time that all threads spent on a processor.
fn cpu() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which ends with the last parenthesis, these are the 12th and 13th.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}

fn id(nth: u32) -> Uuid {
    Uuid::from_u128(0x0199_aaaa_bbbb_7ccc_8ddd_0000_0000_0000 + u128::from(nth))
}
