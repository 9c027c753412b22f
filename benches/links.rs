//! What forwarding over a link costs, TLS on, both nodes in this process, beside a loopback ping-pong.
//!
//! `cargo bench -p pubsub --bench links [-- PART]`; prints every round. CPU is of both sides together.

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
use std::path::Path;
use std::time::{Duration, Instant};

use pubsub::{Config, Format, Message, Messenger, Raw, SyncPolicy};
use pubsub_testkit::certs::{Authority, Issued, Spec};

const BINARY: [u8; 128] = [b'x'; 128];
const CHANNEL: &str = "bench";
/// Messages of a backlog.
const BACKLOG: u64 = 2_000_000;
/// Messages published at once where rates are measured.
const BATCH: usize = 256;

fn base(name: &str, dir: &Path, format: Format, sync: SyncPolicy, issued: &Issued) -> String {
    format!(
        "name: {name}\nstorage: {{data_dir: '{}', format: {format}, sync_policy: {sync}}}\n\
         tls: {{cert: '{}', key: '{}', ca: '{}'}}\nfederation: {{reconnect_base_ms: 20, reconnect_max_ms: 50}}\n",
        dir.display(),
        issued.cert.display(),
        issued.key.display(),
        issued.ca.display(),
    )
}

fn parse(yaml: &str) -> Config {
    Config::from_yaml(yaml, "bench", &|_| None).unwrap()
}

async fn open(yaml: &str) -> Messenger {
    Messenger::builder().config(parse(yaml)).control(false).open().await.unwrap()
}

/// A world of certificates and directories.
struct World {
    dir: tempfile::TempDir,
    authority: Authority,
    port: u16,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "ca").unwrap();
        // Free now, and nobody else here wants it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { dir, authority, port }
    }

    fn node(&self, name: &str, format: Format, sync: SyncPolicy) -> String {
        let issued = self.authority.issue(&Spec::new(name)).unwrap();
        base(name, &self.dir.path().join(name).join("data"), format, sync, &issued)
    }

    fn hub(&self, format: Format, sync: SyncPolicy) -> String {
        let node = self.node("hub", format, sync);
        let port = self.port;
        format!(
            "{node}hub: {{enabled: true, listen_addr: '127.0.0.1:{port}', allowed_peers: [{{name: a}}, {{name: b}}]}}\n"
        )
    }

    fn edge(&self, name: &str, lists: &str, format: Format) -> String {
        let node = self.node(name, format, SyncPolicy::Periodic);
        let port = self.port;
        format!("{node}client: {{enabled: true, hubs: [{{addr: '127.0.0.1:{port}', {lists}}}]}}\n")
    }
}

fn last(messenger: &Messenger) -> u64 {
    let stats = messenger.stats();
    stats.channels.iter().find(|it| it.channel.as_str() == CHANNEL).map_or(0, |it| it.last_seq)
}

async fn wait_for(messenger: &Messenger, seq: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    while last(messenger) < seq {
        ticks.tick().await;
    }
}

async fn fill(messenger: &Messenger, format: Format, count: u64) {
    let mut left = count;
    while left > 0 {
        let now = left.min(BATCH as u64) as usize;
        publish(messenger, format, now).await;
        left -= now as u64;
    }
}

async fn publish(messenger: &Messenger, format: Format, count: usize) {
    let json = format!("\"{}\"", "x".repeat(126));
    let payload = match format {
        Format::Binary => Raw::from(&BINARY[..]),
        Format::Jsonl => Raw::from(json.as_str()),
    };
    let messages = (0..count).map(|_| pubsub::Outgoing::new("t.M", &payload));
    messenger.publish_batch(CHANNEL, messages).await.unwrap();
}

/// Drains a backlog: rate, and CPU a message.
async fn drain(format: Format, sync: SyncPolicy) -> (f64, f64) {
    let world = World::new();
    let edge = open(&world.edge("a", "publish: [bench]", format)).await;
    fill(&edge, format, BACKLOG).await;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let hub = open(&world.hub(format, sync)).await;
    wait_for(&hub, BACKLOG).await;
    let rate = BACKLOG as f64 / start.elapsed().as_secs_f64();
    let cpu = (cpu_seconds() - cpu) / BACKLOG as f64 * 1e6;
    edge.shutdown().await.unwrap();
    hub.shutdown().await.unwrap();
    (rate, cpu)
}

/// Publishes while it is forwarded: rate at which the hub stores, and CPU a message, publishing included.
async fn steady(format: Format, sync: SyncPolicy) -> (f64, f64) {
    let world = World::new();
    let hub = open(&world.hub(format, sync)).await;
    let edge = open(&world.edge("a", "publish: [bench]", format)).await;
    publish(&edge, format, 1).await;
    wait_for(&hub, 1).await;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut published = 1;
    while start.elapsed() < Duration::from_secs(3) {
        publish(&edge, format, BATCH).await;
        published += BATCH as u64;
        // No more ahead than a backlog of a second or so.
        if published.is_multiple_of(BATCH as u64 * 64) && published > last(&hub) + 300_000 {
            wait_for(&hub, published - 150_000).await;
        }
    }
    wait_for(&hub, published).await;
    let rate = published as f64 / start.elapsed().as_secs_f64();
    let cpu = (cpu_seconds() - cpu) / published as f64 * 1e6;
    edge.shutdown().await.unwrap();
    hub.shutdown().await.unwrap();
    (rate, cpu)
}

/// From an edge through the hub to a handler at the other edge: median and 99th percentile, in
/// microseconds.
async fn latency() -> (f64, f64) {
    let world = World::new();
    let (format, sync) = (Format::Binary, SyncPolicy::Periodic);
    let hub = open(&world.hub(format, sync)).await;
    let from = open(&world.edge("a", "publish: [bench]", format)).await;
    let to = open(&world.edge("b", "subscribe: [bench], start: all", format)).await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    to.subscribe(CHANNEL, "one", move |_message: Message| {
        let sender = sender.clone();
        async move {
            sender.send(Instant::now()).await.map_err(|_| "closed")?;
            Ok::<(), &str>(())
        }
    })
    .await
    .unwrap();
    publish(&from, format, 1).await;
    receiver.recv().await.unwrap();
    let mut took = Vec::new();
    for _ in 0..5_000 {
        let start = Instant::now();
        publish(&from, format, 1).await;
        let at = receiver.recv().await.unwrap();
        took.push((at - start).as_secs_f64() * 1e6);
    }
    for messenger in [from, to, hub] {
        messenger.shutdown().await.unwrap();
    }
    percentiles(took)
}

fn ping_pong() -> (f64, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bytes = [0; 128];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes).unwrap();
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
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, format, sync) in [
        ("binary, hub periodic", Format::Binary, SyncPolicy::Periodic),
        ("binary, hub always", Format::Binary, SyncPolicy::Always),
        ("jsonl, hub periodic", Format::Jsonl, SyncPolicy::Periodic),
    ] {
        let part = format!("steady, {name}");
        for _ in 0..3 {
            if wanted(&part) {
                let (rate, cpu) = tokio.block_on(steady(format, sync));
                println!("{part:<32} {rate:>10.0}/s {cpu:>6.2} us");
            }
        }
        let part = format!("backlog, {name}");
        for _ in 0..3 {
            if wanted(&part) {
                let (rate, cpu) = tokio.block_on(drain(format, sync));
                println!("{part:<32} {rate:>10.0}/s {cpu:>6.2} us");
            }
        }
    }
    if wanted("edge to edge") {
        for _ in 0..3 {
            let (p50, p99) = tokio.block_on(latency());
            println!("{:<32} p50 {p50:>7.1} us  p99 {p99:>7.1} us", "edge to edge");
        }
    }
    if wanted("loopback") {
        let (p50, p99) = ping_pong();
        println!("{:<32} p50 {p50:>7.1} us  p99 {p99:>7.1} us", "loopback ping-pong");
    }
}
