//! What the machine itself can do: the limits that no engine on it beats.

use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use pubsub_disk::{Disk, FileDisk, Open};

use super::measure::{Measured, Stopwatch};
use super::store::Bench;
use crate::cli::BenchStoreArgs;
use crate::fail::Fail;

/// Something that the machine can do by itself.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    pub(super) name: &'static str,
    measure: fn(&Path, usize, Duration) -> std::io::Result<Measured>,
}

/// One write of a payload after the other.
pub(super) const WRITE: &str = "append write";
/// One write of a payload and one `fdatasync` after the other.
pub(super) const SYNC: &str = "append write + fdatasync";
/// One payload there and back over loopback TCP after the other.
const PING_PONG: &str = "loopback TCP ping-pong";

pub(super) const ALL: [Probe; 3] = [
    Probe { name: WRITE, measure: |dir, len, time| append(dir, len, time, false) },
    Probe { name: SYNC, measure: |dir, len, time| append(dir, len, time, true) },
    Probe { name: PING_PONG, measure: |_, len, time| ping_pong(len, time) },
];

impl Probe {
    pub(super) fn run(&self, bench: &Bench, args: &BenchStoreArgs) -> Result<Measured, Fail> {
        let len = usize::try_from(args.payload).unwrap_or(1);
        let measured = (self.measure)(bench.dir(), len, args.duration);
        measured.map_err(|error| Fail::io(format!("probe {}", self.name), &error))
    }
}

fn append(dir: &Path, len: usize, time: Duration, sync: bool) -> std::io::Result<Measured> {
    let disk = FileDisk::open(dir)?;
    let path = Path::new("probe");
    let file = disk.open(path, Open::Create)?;
    let block = vec![7; len];
    let watch = Stopwatch::start();
    let (mut done, mut at) = (0, 0);
    while watch.elapsed() < time {
        file.write_at(&[IoSlice::new(&block)], at)?;
        if sync {
            file.sync()?;
        }
        at += len as u64;
        done += 1;
    }
    let measured = watch.finish(done, len as u64, if sync { done } else { 0 });
    drop(file);
    disk.remove_file(path)?;
    Ok(measured)
}

fn ping_pong(len: usize, time: Duration) -> std::io::Result<Measured> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut here = TcpStream::connect(listener.local_addr()?)?;
    let (mut there, _) = listener.accept()?;
    here.set_nodelay(true)?;
    there.set_nodelay(true)?;
    let echo = std::thread::spawn(move || {
        let mut block = vec![0; len];
        while there.read_exact(&mut block).and_then(|()| there.write_all(&block)).is_ok() {}
    });
    let mut block = vec![7; len];
    let watch = Stopwatch::start();
    let mut done = 0;
    while watch.elapsed() < time {
        here.write_all(&block)?;
        here.read_exact(&mut block)?;
        done += 1;
    }
    let measured = watch.finish(done, len as u64, 0);
    drop(here);
    // It has nothing left to say.
    let _ended = echo.join();
    Ok(measured)
}
