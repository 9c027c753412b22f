//! `NODE`, `MANIFEST`, `checkpoint` and positions: whatever both copies hold, sealed or not, opening
//! says so or goes on, and does not panic.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pubsub_envelope::NewRecord;
use pubsub_fuzz::{Input, NOW, World, orders, read_all, sealed};
use pubsub_sim::{SimDisk, Snapshot};
use pubsub_storage::{Start, inspect};
use pubsub_types::{Format, Seq, SubscriberId};

const FILES: [&str; 4] = [
    "NODE",
    "channels/orders/MANIFEST",
    "channels/orders/checkpoint",
    "subscribers/orders/a.offset",
];

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let which = input.byte();
    let format = if which & 0x80 == 0 { Format::Jsonl } else { Format::Binary };
    let disk = SimDisk::from_snapshot(base(format), 1);
    let name = FILES[usize::from(which % 4)];
    let split = input.number().min(input.0.len());
    let (one, other) = if which & 0x40 == 0 { (input.0, &[][..]) } else { input.0.split_at(split) };
    for (copy, bytes) in [("a", one), ("b", other)] {
        let bytes = if which & 0x20 == 0 { sealed(bytes, 9) } else { bytes.to_vec() };
        let path = format!("{name}.{copy}");
        replace(&disk, &path, &bytes);
    }
    let _looked = inspect(&disk, false, None, &mut |_| ());
    let Some(world) = World::open(&disk, format) else { return };
    let Some(channel) = world.channel() else { return };
    let _records = read_all(&channel);
    let id = SubscriberId::new("a").expect("a plain name");
    if let Ok(position) = world.store.subscriber(&channel, &id, Start::New) {
        assert!(position.seq() <= channel.last_seq());
    }
    let record = NewRecord { time: NOW, payload: b"1", ..NewRecord::default() };
    if let Ok(appended) = channel.append(&[record]) {
        world.queue.run_all();
        let _written = appended.ticket.wait();
        assert_eq!(channel.last_seq(), appended.last.get());
    }
    world.store.tick(NOW);
    world.queue.run_all();
    let _closed = world.store.close();
});

fn replace(disk: &SimDisk, path: &str, bytes: &[u8]) {
    use pubsub_disk::{Disk, Open};
    let path = std::path::Path::new(path);
    let file = disk.open(path, Open::Write).or_else(|_| disk.open(path, Open::Create));
    let file = file.expect("the directory is there");
    file.set_len(0).expect("the disk is well");
    file.write_at(&[std::io::IoSlice::new(bytes)], 0).expect("the disk is well");
}

/// A directory with three segments, a checkpoint and a position.
fn base(format: Format) -> &'static Snapshot {
    static BASES: [OnceLock<Snapshot>; 2] = [OnceLock::new(), OnceLock::new()];
    BASES[usize::from(format == Format::Binary)].get_or_init(|| {
        let disk = SimDisk::new(1);
        let world = World::open(&disk, format).expect("an empty disk is fine");
        let channel = world.channel().expect("a new channel is fine");
        for nth in 1..=12 {
            let record = NewRecord { time: NOW, payload: b"{\"n\":1}", ..NewRecord::default() };
            channel.append(&[record]).expect("there is room");
            world.queue.run_all();
            if nth == 4 {
                let seq = Seq::new(2).expect("not zero");
                let _ticket = channel.delete(&[(seq, seq)], NOW);
                world.queue.run_all();
            }
        }
        let id = SubscriberId::new("a").expect("a plain name");
        let position = world.store.subscriber(&channel, &id, Start::FromStart);
        position.expect("a new one is fine").set(3);
        world.store.close().expect("the disk is well");
        drop((channel, world));
        assert!(disk.files().contains(&format!("channels/{}/checkpoint.a", orders())));
        disk.snapshot()
    })
}
