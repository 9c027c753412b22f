//! Whole directories: the frozen ones open, and the same history is written as the same bytes.

use std::fs;
use std::sync::Arc;

use pubsub_disk::{Disk, FileDisk};
use pubsub_envelope::Record;
use pubsub_storage::{Channel, Item, Position, ReadError, Start, Store, inspect};
use pubsub_testkit::golden;
use pubsub_types::{Format, Seq, SubscriberId, Timestamp};
use uuid::Uuid;

use crate::fixture::{
    DELETED, EPOCH, POSITIONS, Queue, copy, files, frozen, options, orders, records, write,
};

const FORMATS: [Format; 2] = [Format::Binary, Format::Jsonl];

fn open(dir: &std::path::Path, format: Format) -> (Arc<Store>, Arc<Queue>) {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir).unwrap());
    let queue = Arc::new(Queue::default());
    let store = Store::open(disk, queue.clone(), options(format), Uuid::from_u128(9)).unwrap();
    (store, queue)
}

fn read_all(channel: &Arc<Channel>) -> Vec<Record> {
    let mut reader = channel.reader(0);
    let mut found = Vec::new();
    loop {
        let items = reader.read(100, 1 << 20).unwrap();
        if items.is_empty() {
            return found;
        }
        for item in items {
            match item {
                Item::Record(record) => found.push(record),
                Item::Gap { first, last } => panic!("messages {first} to {last} are missing"),
            }
        }
    }
}

fn expect_all(channel: &Arc<Channel>) {
    let found = read_all(channel);
    let expected: Vec<_> = (1..).zip(records()).filter(|(seq, _)| !DELETED.contains(seq)).collect();
    assert_eq!(found.len(), expected.len());
    for (record, (seq, known)) in found.iter().zip(expected) {
        assert_eq!(record.seq, seq);
        assert_eq!(record.time, known.time, "message {seq}");
        assert_eq!(record.subject(), known.subject, "message {seq}");
        assert_eq!(record.headers(), known.headers, "message {seq}");
        assert_eq!(record.payload(), known.payload, "message {seq}");
        assert_eq!(record.meta(), known.meta, "message {seq}");
    }
}

#[test]
fn a_directory_of_format_1_opens_with_every_message_delete_and_position() {
    for format in FORMATS {
        let dir = copy(format);
        let (store, queue) = open(dir.path(), format);
        assert_eq!(store.node().id, Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(store.node().incarnation, 2);
        assert_eq!(store.channels().unwrap(), [orders()]);
        let channel = store.channel(&orders(), Timestamp(EPOCH)).unwrap();
        assert_eq!(channel.findings(), []);
        assert_eq!((channel.first_seq(), channel.last_seq()), (2, 12));
        expect_all(&channel);
        for seq in DELETED {
            let refused = channel.get(Seq::new(seq).unwrap()).unwrap_err();
            assert!(matches!(refused, ReadError::Deleted { .. }), "message {seq}: {refused}");
        }
        for (id, seq) in POSITIONS {
            let id = SubscriberId::new(id).unwrap();
            let written = store.position(&orders(), &id).unwrap();
            assert_eq!(written, Some(Position::At { seq, epoch: 1 }));
            assert_eq!(store.subscriber(&channel, &id, Start::New).unwrap().seq(), seq);
        }
        // It goes on, and what it appends is found again beside the rest.
        let appended = channel.append(&[records()[0]]).unwrap();
        queue.run_all();
        appended.ticket.wait().unwrap();
        assert_eq!(appended.last.get(), 13);
        store.close().unwrap();
        drop((channel, store));
        let (store, _queue) = open(dir.path(), format);
        let channel = store.channel(&orders(), Timestamp(EPOCH)).unwrap();
        assert_eq!(channel.last_seq(), 13);
    }
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_directory_of_format_1() {
    for format in FORMATS {
        let disk = FileDisk::open(frozen(format)).unwrap();
        let inspection = inspect(&disk, false, None, &mut |_| ()).unwrap();
        assert_eq!(inspection.findings, []);
        let channel = &inspection.channels[0];
        assert_eq!((channel.last_seq, channel.subscribers), (Some(12), 2));
        assert!(channel.segments >= 3, "the directory shows rolled segments too");
    }
}

#[test]
fn a_directory_of_format_1_opens_without_anything_that_can_be_made_again() {
    for format in FORMATS {
        let dir = copy(format);
        let mut removed = 0;
        for file in files(dir.path()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".idx") || name.starts_with("checkpoint") {
                fs::remove_file(dir.path().join(&file)).unwrap();
                removed += 1;
            }
        }
        assert!(removed >= 4, "the directory shows indexes and a checkpoint");
        let (store, _queue) = open(dir.path(), format);
        let channel = store.channel(&orders(), Timestamp(EPOCH)).unwrap();
        expect_all(&channel);
    }
}

#[test]
fn the_same_history_is_written_as_the_same_segments_indexes_and_positions() {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), format);
        let frozen = frozen(format);
        fs::remove_file(dir.path().join("LOCK")).unwrap();
        assert_eq!(files(dir.path()), files(&frozen));
        let mut compared = 0;
        for file in files(&frozen) {
            let name = file.file_name().unwrap().to_str().unwrap();
            // The others are JSON, and may learn new keys without another format.
            let exact = [".log", ".jsonl", ".idx", ".offset.a", ".offset.b"];
            if exact.iter().any(|end| name.ends_with(end)) {
                let now = fs::read(dir.path().join(&file)).unwrap();
                golden(frozen.join(&file), &now).unwrap();
                compared += 1;
            }
        }
        assert!(compared >= 8, "{compared}");
    }
}
