//! What a power cut leaves behind the last whole record of a JSONL segment is cut, and the record stays
//! one.

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::collections::VecDeque;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pubsub_disk::{Disk, Open};
use pubsub_envelope::NewRecord;
use pubsub_sim::SimDisk;
use pubsub_storage::{Channel, Executor, Finding, Item, Job, Store, StoreOptions};
use pubsub_types::{ChannelName, Timestamp};
use uuid::Uuid;

const SEGMENT: &str = "channels/orders/00000000000000000001.jsonl";

#[derive(Default)]
struct Queue(Mutex<VecDeque<Job>>);

impl Executor for Queue {
    fn submit(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

/// Opens, as a process that is killed in the end.
fn open(disk: &SimDisk) -> (Arc<Store>, Arc<Channel>) {
    disk.kill();
    disk.restart();
    let on: Arc<dyn Disk> = Arc::new(disk.clone());
    let queue = Arc::new(Queue::default());
    let store = Store::open(on, queue, StoreOptions::default(), Uuid::from_u128(1)).unwrap();
    let channel = store.open_or_create(&ChannelName::new("orders").unwrap(), Timestamp(1)).unwrap();
    (store, channel)
}

fn publish(channel: &Arc<Channel>, payload: &str) -> u64 {
    let record =
        NewRecord { time: Timestamp(1), payload: payload.as_bytes(), ..NewRecord::default() };
    channel.append_blocking(&[record]).unwrap().last.get()
}

fn payloads(channel: &Arc<Channel>) -> Vec<String> {
    let items = channel.reader(0).read(100, 1 << 20).unwrap();
    let payload = |item| match item {
        Item::Record(record) => String::from_utf8(record.payload().to_vec()).unwrap(),
        Item::Gap { first, last } => format!("{first} to {last} are missing"),
    };
    items.into_iter().map(payload).collect()
}

#[test]
fn a_whole_record_whose_line_break_was_torn_stays_and_keeps_its_sequence() {
    // Old bytes of the device, with and without a line break among them.
    for torn in ["", "rubbish", "rub\nbish", "\nrubbish", "rubbish\n", "rub\n\nbi\nsh"] {
        let disk = SimDisk::new(1);
        let (store, channel) = open(&disk);
        assert_eq!(publish(&channel, "1"), 1);
        assert_eq!(publish(&channel, "2"), 2);
        drop((store, channel));
        let file = disk.open(Path::new(SEGMENT), Open::Write).unwrap();
        let end = file.len().unwrap();
        // In the place of the last line break.
        file.set_len(end - 1).unwrap();
        file.write_at(&[IoSlice::new(torn.as_bytes())], end - 1).unwrap();

        let (store, channel) = open(&disk);
        let before = payloads(&channel);
        // Without any line break behind it, nothing tells that the record was ended.
        assert_eq!(before, if torn.contains('\n') { vec!["1", "2"] } else { vec!["1"] });
        let torn_tails = |it: &&Finding| matches!(it, Finding::TornTail { .. });
        assert!(channel.findings().iter().filter(torn_tails).count() <= 1);
        let next = publish(&channel, "3");
        assert_eq!(next, before.len() as u64 + 1, "{torn:?}");
        drop((store, channel));

        let (_store, channel) = open(&disk);
        let expected: Vec<String> = before.into_iter().chain(["3".to_owned()]).collect();
        assert_eq!(payloads(&channel), expected, "{torn:?}");
        assert_eq!(channel.last_seq(), next);
    }
}
