//! Recovery: whatever lies behind, or in place of, a part of a segment, opening does not panic and
//! gives out every record that was planted before the damage.
//!
//! ```text
//!   planted │ planted │ planted ▒▒▒▒ input ▒▒▒▒      with or without the manifest and other files
//! ```
#![no_main]

use std::io::IoSlice;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pubsub_disk::{Disk, Open};
use pubsub_envelope::binary::Seed;
use pubsub_envelope::jsonl;
use pubsub_envelope::{Batch, Kind, Meta, NewRecord, Place, Record};
use pubsub_fuzz::{Input, NOW, World, orders, read_all};
use pubsub_sim::{SimDisk, Snapshot};
use pubsub_storage::inspect;
use pubsub_types::{Format, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let how = input.byte();
    let format = if how & 1 == 0 { Format::Jsonl } else { Format::Binary };
    let base = base(format);
    let disk = SimDisk::from_snapshot(&base.snapshot, 1);
    let segments = segments(&disk);
    let nth = usize::from(input.byte()) % segments.len();
    let path = &segments[nth];
    let len = disk.bytes(path).map_or(0, |bytes| bytes.len());
    let at = if how & 2 == 0 { len } else { input.number() % (len + 1) };
    let forged = how & 4 != 0;
    let damage = if forged { forge(&mut input, format, &disk, path) } else { input.0.to_vec() };
    let file = disk.open(Path::new(path), Open::Write).expect("it was listed");
    if how & 8 != 0 {
        file.set_len(at as u64).expect("the disk is well");
    }
    file.write_at(&[IoSlice::new(&damage)], at as u64).expect("the disk is well");
    if how & 16 != 0 {
        remove(&disk, &["MANIFEST.a", "MANIFEST.b"]);
    }
    if how & 32 != 0 {
        remove(&disk, &["checkpoint.a", "checkpoint.b"]);
    }
    let _looked = inspect(&disk, false, None, &mut |_| ());

    let world = World::open(&disk, format).expect("NODE was left alone");
    let channel = world.channel().expect("the disk is well");
    let found = read_all(&channel);
    assert!(found.is_sorted_by(|a, b| a.seq < b.seq));
    if !forged {
        let good = base.records.iter().filter(|it| (it.segment, it.end) <= (nth, at));
        for planted in good {
            assert!(found.contains(&planted.record), "message {} is gone", planted.record.seq);
        }
    }
    let last = channel.last_seq();
    let record = NewRecord { time: NOW, payload: b"\"new\"", ..NewRecord::default() };
    let appended = channel.append(&[record]).expect("there is room");
    world.queue.run_all();
    appended.ticket.wait().expect("the disk is well");
    assert_eq!(appended.last.get(), last + 1);
    drop((channel, world));
    let world = World::open(&disk, format).expect("it was open before");
    let again = read_all(&world.channel().expect("it was open before"));
    if forged {
        // A record may speak of messages that come after it; none of ours does.
        return;
    }
    // What was read once is read again after the next opening.
    assert_eq!(again[..again.len() - 1], found);
    assert_eq!(again[again.len() - 1].payload(), b"\"new\"");
});

/// Records that prove themselves and say anything.
fn forge(input: &mut Input<'_>, format: Format, disk: &SimDisk, path: &str) -> Vec<u8> {
    let stem = path.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
    let log_id = disk.bytes(path).and_then(|bytes| Some(*bytes.get(16..)?.first_chunk()?));
    let seed = Seed::new(u128::from_le_bytes(log_id.unwrap_or([0; 16])), stem.parse().unwrap_or(0));
    let mut out = Vec::new();
    while !input.is_empty() && out.len() < 8000 {
        let mut batch = Batch::new(format, input.long(), Vec::new());
        let place = Place { index: input.long(), previous: 0, durable_index: input.long() };
        for _ in 0..1 + input.byte() % 3 {
            let kind = Kind::from_u8(1 + input.byte() % 8).expect("1 to 8 are kinds");
            let subject = String::from_utf8_lossy(input.some()).into_owned();
            let expires = (input.byte() & 1 == 1).then(|| Timestamp(input.long().cast_signed()));
            let record = NewRecord {
                time: Timestamp(input.long().cast_signed()),
                subject: &subject,
                payload: input.some(),
                meta: Meta { expires, ..Meta::default() },
                ..NewRecord::default()
            };
            batch.push("orders", kind, input.long(), &record).expect("it is small");
        }
        batch.seal(seed, place);
        out.extend_from_slice(batch.bytes());
    }
    out
}

fn segments(disk: &SimDisk) -> Vec<String> {
    let segment = |path: &String| path.ends_with(".jsonl") || path.ends_with(".log");
    disk.files().into_iter().filter(segment).collect()
}

fn remove(disk: &SimDisk, names: &[&str]) {
    for name in names {
        let path = format!("channels/{}/{name}", orders());
        let _there_or_not = disk.remove_file(Path::new(&path));
    }
}

struct Planted {
    /// In which segment, and where it ends.
    segment: usize,
    end: usize,
    record: Record,
}

struct Base {
    snapshot: Snapshot,
    records: Vec<Planted>,
}

/// A channel with several segments, left by a process that was killed.
fn base(format: Format) -> &'static Base {
    static BASES: [OnceLock<Base>; 2] = [OnceLock::new(), OnceLock::new()];
    BASES[usize::from(format == Format::Binary)].get_or_init(|| {
        let disk = SimDisk::new(1);
        let world = World::open(&disk, format).expect("an empty disk is fine");
        let channel = world.channel().expect("a new channel is fine");
        let mut ends = Vec::new();
        for nth in 1..=9 {
            let payload = format!("{{\"n\":{nth}}}");
            let subject = ["", "orders.eu", "orders.us"][nth % 3];
            let time = Timestamp(NOW.as_nanos() + i64::try_from(nth).unwrap_or(0));
            let record =
                NewRecord { time, subject, payload: payload.as_bytes(), ..NewRecord::default() };
            channel.append(&[record]).expect("there is room");
            world.queue.run_all();
            let segments = segments(&disk);
            let newest = segments.len() - 1;
            ends.push((newest, disk.bytes(&segments[newest]).map_or(0, |bytes| bytes.len())));
        }
        let records = read_all(&channel);
        drop((channel, world));
        assert_eq!(records.len(), ends.len());
        assert!(segments(&disk).len() >= 3);
        let planted = records.into_iter().zip(ends);
        let records = planted.map(|(record, (segment, end))| Planted { segment, end, record });
        // A line that is read again must be what was planted, for the target to mean anything.
        let base = Base { records: records.collect(), snapshot: disk.snapshot() };
        if format == Format::Jsonl {
            let first = disk.bytes(&segments(&disk)[0]).unwrap_or_default();
            let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
            assert_eq!(jsonl::decode_line(line).as_ref(), Ok(&base.records[0].record));
        }
        base
    })
}
