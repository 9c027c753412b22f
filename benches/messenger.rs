//! What publishing through the library costs, beside a loopback ping-pong of the same run.
//!
//! `cargo bench -p pubsub --bench messenger [-- PART]`; prints every round.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark measures with the clock, prints, and ends at the first error"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pubsub::{Config, Format, Message, Messenger, Raw, SyncPolicy};

const BINARY: [u8; 128] = [b'x'; 128];
const JSON: &str = "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"";

fn config(dir: &std::path::Path, format: Format, sync: SyncPolicy) -> Config {
    let mut config = Config::default();
    config.apply_defaults("bench");
    config.storage.data_dir = dir.to_owned();
    config.storage.format = format;
    config.storage.sync_policy = sync;
    config
}

async fn open(format: Format, sync: SyncPolicy) -> (tempfile::TempDir, Messenger) {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), format, sync);
    let messenger = Messenger::builder().config(config).control(false).open().await.unwrap();
    (dir, messenger)
}

/// Publishes from `tasks` tasks for a while; rate and CPU per message.
async fn publish(tasks: usize, format: Format, sync: SyncPolicy) -> (f64, f64) {
    let (_dir, messenger) = open(format, sync).await;
    let messenger = Arc::new(messenger);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut workers = Vec::new();
    for _ in 0..tasks {
        let (messenger, stop, done) = (messenger.clone(), stop.clone(), done.clone());
        workers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                match format {
                    Format::Binary => {
                        let payload = Raw::from(&BINARY[..]);
                        messenger.publish("bench", "t.M", &payload).await.unwrap();
                    }
                    Format::Jsonl => {
                        messenger.publish("bench", "t.M", &Raw::from(JSON)).await.unwrap();
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let forever = std::future::pending::<()>();
    tokio::time::timeout(Duration::from_secs(2), forever).await.unwrap_err();
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let done = done.load(Ordering::Relaxed) as f64;
    let rate = done / start.elapsed().as_secs_f64();
    let cpu = (cpu_seconds() - cpu) / done * 1e6;
    messenger.shutdown().await.unwrap();
    (rate, cpu)
}

/// Publish to handler, one at a time: median and 99th percentile in microseconds.
async fn latency() -> (f64, f64) {
    let (_dir, messenger) = open(Format::Binary, SyncPolicy::Periodic).await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    messenger
        .subscribe("bench", "one", move |_message: Message| {
            let sender = sender.clone();
            async move {
                sender.send(Instant::now()).await.map_err(|_| "closed")?;
                Ok::<(), &str>(())
            }
        })
        .await
        .unwrap();
    let mut took = Vec::new();
    for _ in 0..20_000 {
        let start = Instant::now();
        messenger.publish("bench", "t.M", &Raw::from(&BINARY[..])).await.unwrap();
        let at = receiver.recv().await.unwrap();
        took.push((at - start).as_secs_f64() * 1e6);
    }
    messenger.shutdown().await.unwrap();
    percentiles(took)
}

fn ping_pong() -> (f64, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut byte = [0; 128];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).unwrap();
        }
    });
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut took = Vec::new();
    let mut bytes = [0; 128];
    for _ in 0..20_000 {
        let start = Instant::now();
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut bytes).unwrap();
        took.push(start.elapsed().as_secs_f64() * 1e6);
    }
    drop(stream);
    echo.join().unwrap();
    percentiles(took)
}

fn percentiles(mut took: Vec<f64>) -> (f64, f64) {
    took.sort_by(f64::total_cmp);
    (took[took.len() / 2], took[(took.len() as f64 * 0.99) as usize])
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| part.contains(only));
    let printed = Mutex::new(());
    for (runtime, threads) in [("1 thread", 1), ("2 threads", 2)] {
        let mut builder = if threads == 1 {
            tokio::runtime::Builder::new_current_thread()
        } else {
            tokio::runtime::Builder::new_multi_thread()
        };
        let tokio = builder.worker_threads(threads).enable_all().build().unwrap();
        for (name, format, sync) in [
            ("always binary", Format::Binary, SyncPolicy::Always),
            ("periodic binary", Format::Binary, SyncPolicy::Periodic),
            ("periodic jsonl", Format::Jsonl, SyncPolicy::Periodic),
        ] {
            let part = format!("{runtime}, {name}, 256 tasks");
            if !wanted(&part) {
                continue;
            }
            for _ in 0..3 {
                let (rate, cpu) = tokio.block_on(publish(256, format, sync));
                let _alone = printed.lock();
                println!("{part:<40} {rate:>10.0}/s {cpu:>6.2} us");
            }
        }
        let part = format!("{runtime}, publish to handler");
        if wanted(&part) {
            for _ in 0..3 {
                let (p50, p99) = tokio.block_on(latency());
                println!("{part:<40} p50 {p50:>6.1} us  p99 {p99:>6.1} us");
            }
        }
    }
    if wanted("loopback") {
        let (p50, p99) = ping_pong();
        println!("{:<40} p50 {p50:>6.1} us  p99 {p99:>6.1} us", "loopback ping-pong");
    }
}
