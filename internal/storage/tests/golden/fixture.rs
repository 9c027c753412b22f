//! A small data directory of which every input is fixed, so that its bytes are.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::{MessageId, Meta, NewRecord};
use pubsub_storage::{ChannelConfig, Executor, Job, Limits, Start, Store, StoreOptions};
use pubsub_types::{ChannelName, Format, Seq, SubscriberId, SyncPolicy, Timestamp};
use uuid::Uuid;

/// Times are counted from here: 2026-11-21T13:28:32.934298826Z.
pub(crate) const EPOCH: i64 = 1_795_267_712_934_298_826;

/// Messages deleted one by one, and by a trim.
pub(crate) const DELETED: [u64; 4] = [1, 4, 6, 7];

/// Subscribers, and up to where they have read.
pub(crate) const POSITIONS: [(&str, u64); 2] = [("billing", 5), ("ship/eu", 11)];

/// Runs jobs when asked, on the thread that asks.
#[derive(Default)]
pub(crate) struct Queue(Mutex<VecDeque<Job>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

impl Queue {
    pub(crate) fn run_all(&self) {
        loop {
            let Some(job) = self.0.lock().pop_front() else { break };
            job.run();
        }
    }
}

pub(crate) fn orders() -> ChannelName {
    ChannelName::new("orders").unwrap()
}

pub(crate) fn options(format: Format) -> StoreOptions {
    let defaults = ChannelConfig {
        format,
        sync: SyncPolicy::Always,
        sync_interval: Duration::from_millis(200),
        segment_bytes: 700,
        max_record_bytes: 1 << 20,
        limits: Limits::default(),
        compaction_threshold_bytes: 1 << 20,
        keep_history: true,
    };
    StoreOptions { defaults, ..StoreOptions::default() }
}

/// What is published, the first with sequence 1: each part of the envelope present and absent,
/// payloads that are JSON and that are not.
pub(crate) fn records() -> Vec<NewRecord<'static>> {
    let full = Meta {
        id: MessageId::Uuid(Uuid::from_u128(0x01a1_fe4b_57a6_701d_95e6_c46d_b8b9_ecc0)),
        origin: "alice",
        payload_type: "com.acme.OrderCreated",
        correlation_id: "corr-1",
        service_name: "shop",
        ..Meta::default()
    };
    let text_id = Meta { id: MessageId::Text("order 7/3"), origin: "bob", ..Meta::default() };
    let expiring = Meta {
        // In the year 2200: no clock of a test deletes it.
        expires: Some(Timestamp(7_258_118_400_000_000_000)),
        ..full
    };
    let record = |nth: i64, subject, headers, payload, meta| NewRecord {
        time: Timestamp(EPOCH + nth * 1_000_000_000),
        subject,
        headers,
        payload,
        meta,
    };
    let none: &[u8] = b"";
    let headers: &[u8] = b"NATS/1.0\r\nTrace: 7\r\n\r\n";
    vec![
        record(0, "", none, br#"{"id":7,"total":12.50}"#, full),
        record(1, "orders.eu", headers, b"not JSON", Meta::default()),
        record(2, "", none, b"\x00\x01\xfe\xff", text_id),
        record(3, "", none, b"null", Meta::default()),
        record(4, "orders.us", none, "\"grüße\\n\"".as_bytes(), full),
        record(5, "", b"\xff\xfe", b"", Meta::default()),
        record(6, "", none, b"[1, 2,3]", expiring),
        record(7, "orders.eu", none, b" 1", text_id),
        record(8, "", none, b"{\"a\":\"one\\nline\"}", full),
        record(9, "", none, b"two\nlines", Meta::default()),
        record(10, "orders.us", headers, br#"{"crc":"00000000"}"#, expiring),
        // The clock of a publisher that stepped back.
        record(-5, "", none, b"12345678901234567", full),
    ]
}

/// Writes the directory.
pub(crate) fn write(dir: &Path, format: Format) {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir).unwrap());
    let queue = Arc::new(Queue::default());
    let node = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
    let store = Store::open(disk, queue.clone(), options(format), node).unwrap();
    let at = |nth: i64| Timestamp(EPOCH + nth * 1_000_000_000);
    let channel = store.open_or_create(&orders(), at(0)).unwrap();
    let seq = |number| Seq::new(number).unwrap();
    for (nth, record) in (1..).zip(records()) {
        let appended = channel.append(&[record]).unwrap();
        queue.run_all();
        appended.ticket.wait().unwrap();
        assert_eq!(appended.last.get(), nth);
        let deleted = match nth {
            5 => channel.delete(&[(seq(4), seq(4))], at(5)),
            8 => channel.trim(seq(2), "max_messages", at(8)),
            9 => channel.delete(&[(seq(6), seq(7))], at(9)),
            _ => continue,
        };
        queue.run_all();
        deleted.wait().unwrap();
    }
    for (id, seq) in POSITIONS {
        let id = SubscriberId::new(id).unwrap();
        let position = store.subscriber(&channel, &id, Start::FromStart).unwrap();
        position.set(seq);
        store.release(&position).unwrap();
    }
    queue.run_all();
    store.close().unwrap();
}

/// The frozen directory, written now if it is missing and golden files are being written.
pub(crate) fn frozen(format: Format) -> PathBuf {
    static WRITING: Mutex<()> = Mutex::new(());
    let _alone = WRITING.lock();
    let dir = root().join("testdata/format-v1").join(format.as_str());
    let writes = std::env::var_os(pubsub_testkit::GOLDEN_VARIABLE).is_some_and(|it| it == "write");
    if writes && !dir.exists() {
        fs::create_dir_all(&dir).unwrap();
        write(&dir, format);
        // It holds the number of the process that wrote it.
        fs::remove_file(dir.join("LOCK")).unwrap();
    }
    dir
}

/// A copy of the frozen directory to do with as one likes.
pub(crate) fn copy(format: Format) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(&frozen(format), copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&file), target).unwrap();
    }
}

/// The files beneath a directory, as paths from it, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(inner) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let path = inner.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                dirs.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
