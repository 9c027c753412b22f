//! The handle and the thread, on disks that refuse, hang and recover.

use std::path::Path;

use parking_lot::MutexGuard;
use pubsub_disk::{Entry as DirEntry, File, Lock, LockError, Open, Space};
use pubsub_sim::{Fault, Op, SimDisk};
use uuid::Uuid;

use super::*;
use crate::line::Fields;
use crate::{Direction, Ids, Messages, Peer};

const LIMITS: Limits = Limits { max_size_bytes: 1 << 20, max_files: 3 };
const SMALL: Weight = Weight { lines: 8, bytes: 1 << 16 };

fn numbered(number: u64) -> Event {
    Event::PolicyReloaded { detail: number.to_string() }
}

fn small(disk: &SimDisk) -> AuditLog {
    AuditLog::with(Arc::new(disk.clone()), LIMITS, SMALL, WAIT_MAX).unwrap()
}

/// Events and details of the file that is written.
fn lines(disk: &SimDisk) -> Vec<(String, String)> {
    let bytes = disk.bytes("audit/audit.jsonl").unwrap_or_default();
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let parse = |line: &[u8]| {
        let fields = Fields::parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        (fields.event.into_owned(), fields.detail.into_owned())
    };
    lines.map(parse).collect()
}

fn details(disk: &SimDisk) -> Vec<String> {
    lines(disk).into_iter().map(|(_, detail)| detail).collect()
}

#[test]
fn what_was_logged_is_in_the_file_in_order_after_a_flush() {
    let disk = SimDisk::new(1);
    let log = AuditLog::open(Arc::new(disk.clone()), LIMITS).unwrap();
    assert_eq!(log.flush(), Ok(()));
    assert_eq!(disk.files(), [""; 0], "nothing happened yet");
    for number in 0..1000 {
        log.log(numbered(number));
    }
    log.flush().unwrap();
    let expected: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(details(&disk), expected);
    assert_eq!(log.stats(), Stats { written: 1000, ..Stats::default() });
}

#[test]
fn a_time_that_is_given_is_kept_and_one_that_is_not_is_now() {
    let disk = SimDisk::new(1);
    let log = AuditLog::open(Arc::new(disk.clone()), LIMITS).unwrap();
    let given: Timestamp = "2001-02-03T04:05:06.789Z".parse().unwrap();
    let before = now();
    log.log_at(given, numbered(0));
    log.log(numbered(1));
    log.close().unwrap();
    let bytes = disk.bytes("audit/audit.jsonl").unwrap();
    let times: Vec<Timestamp> =
        bytes.split(|b| *b == b'\n').filter_map(|line| Some(Fields::parse(line)?.ts)).collect();
    assert_eq!(times[0], given);
    assert!((before..=now()).contains(&times[1]));
}

#[test]
fn fifty_threads_log_without_losing_or_mixing_a_line() {
    let disk = SimDisk::new(1);
    let log = AuditLog::open(Arc::new(disk.clone()), LIMITS).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..50 {
            let log = &log;
            scope.spawn(move || (0..100).for_each(|nth| log.log(numbered(thread * 100 + nth))));
        }
    });
    log.close().unwrap();
    let mut found: Vec<u64> = details(&disk).iter().map(|text| text.parse().unwrap()).collect();
    for thread in 0..50 {
        let of_thread = found.iter().filter(|number| **number / 100 == thread);
        assert!(of_thread.is_sorted(), "a thread's events keep their order");
    }
    found.sort_unstable();
    assert_eq!(found, (0..5000).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_drops_what_does_not_fit_and_tells_it_when_there_is_room_again() {
    let disk = SimDisk::new(1);
    disk.set_quota(Some(20));
    let log = small(&disk);
    log.log(numbered(0));
    let error = log.flush().unwrap_err();
    assert_eq!(error.lines, 1);
    assert!(error.to_string().contains("audit/audit.jsonl: "), "{error}");
    for number in 1..20 {
        log.log(numbered(number));
    }
    assert_eq!(log.dropped(), 12, "8 wait");
    log.flush().unwrap_err();
    assert_eq!((log.stats().waiting, log.dropped()), (8, 12));
    assert!(log.stats().failure.is_some());
    disk.set_quota(None);
    log.log(numbered(20));
    assert_eq!(log.dropped(), 13);
    log.flush().unwrap();
    let mut expected: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    assert_eq!(details(&disk)[..8], expected);
    assert_eq!(log.stats().failure, None);
    log.log(numbered(21));
    log.close().unwrap();
    let mut found = lines(&disk);
    let told = found.iter().position(|(event, _)| event == "events_dropped").unwrap();
    assert_eq!(found.remove(told).1, "count=13");
    expected.push("21".to_owned());
    assert_eq!(found.into_iter().map(|(_, detail)| detail).collect::<Vec<_>>(), expected);
}

#[test]
fn a_disk_that_recovers_just_before_the_end_gets_all_of_it() {
    let disk = SimDisk::new(1);
    disk.set_quota(Some(20));
    let log = small(&disk);
    log.log(numbered(0));
    log.flush().unwrap_err();
    (1..20).for_each(|number| log.log(numbered(number)));
    disk.set_quota(None);
    log.close().unwrap();
    let all = (0..8).map(|number| number.to_string()).chain(["count=12".to_owned()]);
    assert_eq!(details(&disk), all.collect::<Vec<_>>());
}

#[test]
fn a_disk_that_can_be_written_again_is_found_without_being_asked() {
    let disk = SimDisk::new(1);
    disk.inject(Fault::on(Op::CreateDir).times(1));
    let log = small(&disk);
    log.log(numbered(0));
    let written = || (log.stats().written == 1).then_some(());
    pubsub_testkit::eventually("the second attempt", Duration::from_secs(60), written).unwrap();
    assert_eq!((details(&disk), log.dropped()), (vec!["0".to_owned()], 0));
}

#[test]
fn closing_does_not_wait_for_a_disk_that_refuses() {
    let disk = SimDisk::new(1);
    disk.inject(Fault::on(Op::CreateDir).for_ever());
    let log = small(&disk);
    for number in 0..10 {
        log.log(numbered(number));
    }
    let error = log.close().unwrap_err();
    assert!(error.failure.is_some());
    assert_eq!(log.dropped(), 10, "2 did not fit, 8 could not be written");
    log.log(numbered(10));
    assert_eq!((log.dropped(), log.stats().waiting), (11, 0));
    assert!(log.close().is_err(), "closed twice, it answers the same");
}

#[test]
fn a_file_that_somebody_moves_away_is_followed_by_a_new_one() {
    let disk = SimDisk::new(1);
    let log = AuditLog::open(Arc::new(disk.clone()), LIMITS).unwrap();
    log.log(numbered(0));
    log.flush().unwrap();
    disk.rename(Path::new("audit/audit.jsonl"), Path::new("audit/kept")).unwrap();
    log.log(numbered(1));
    log.flush().unwrap();
    assert_eq!(details(&disk), ["1"]);
}

#[test]
fn the_last_handle_closes_the_log() {
    let disk = SimDisk::new(1);
    let log = AuditLog::open(Arc::new(disk.clone()), LIMITS).unwrap();
    let other = log.clone();
    log.log(numbered(0));
    drop(log);
    other.log(numbered(1));
    drop(other);
    assert_eq!(details(&disk), ["0", "1"]);
}

#[test]
fn large_batches_rotate_and_no_file_is_larger_than_it_may_be() {
    let disk = SimDisk::new(1);
    let log = AuditLog::open(Arc::new(disk.clone()), LIMITS).unwrap();
    let ids: Ids = (0..20_000).map(Uuid::from_u128).collect();
    let channel = Arc::from("orders");
    let messages = Messages { peer: Peer::default(), channel, direction: Direction::Inbound, ids };
    log.log(Event::Forward { messages, send_duration: None });
    log.close().unwrap();
    let mut found = 0_u128;
    for name in ["audit.jsonl.3", "audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"] {
        let bytes = disk.bytes(&format!("audit/{name}")).unwrap();
        assert!(bytes.len() as u64 <= LIMITS.max_size_bytes, "{name}");
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let fields = Fields::parse(line.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!(fields.message_id, Uuid::from_u128(found).to_string());
            found += 1;
        }
    }
    assert_eq!((found, log.stats().written), (20_000, 20_000));
}

/// A disk that answers nothing while the gate is held.
#[derive(Debug)]
struct Hanging {
    disk: SimDisk,
    gate: Arc<Mutex<()>>,
}

impl Hanging {
    fn pass(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }
}

impl Disk for Hanging {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let _pass = self.pass();
        self.disk.open(path, how)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        self.disk.lock(path)
    }
}

#[test]
fn a_disk_that_hangs_holds_up_neither_those_who_log_nor_the_end() {
    let disk = SimDisk::new(1);
    let gate = Arc::new(Mutex::new(()));
    let hanging = Arc::new(Hanging { disk: disk.clone(), gate: gate.clone() });
    let log = AuditLog::with(hanging, LIMITS, SMALL, Duration::from_millis(20)).unwrap();
    let hang = gate.lock();
    log.log(numbered(0));
    let late = NotWritten { lines: 1, failure: None };
    assert_eq!(log.flush(), Err(late));
    (1..20).for_each(|number| log.log(numbered(number)));
    assert_eq!(log.dropped(), 12);
    assert!(log.close().is_err());
    drop(hang);
    // Nobody waits for the thread any more; it still writes what it has.
    let wanted: Vec<String> =
        (0..8).map(|n| n.to_string()).chain(["count=12".to_owned()]).collect();
    let written = || (details(&disk) == wanted).then_some(());
    pubsub_testkit::eventually("the rest", Duration::from_secs(60), written).unwrap();
}
