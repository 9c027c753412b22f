//! NATS through WebSocket, against what nats-server 2.15.1 does and against clients that mean harm.
#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

mod budgets;
mod frames;
mod handshakes;
mod sessions;

use bytes::BytesMut;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use pubsub_nats::Outbox;
use pubsub_nats::ws::{Accepted, Fault, Pool, WebSocket, WsLimits, WsRead};

const KEY: [u8; 4] = [1, 2, 3, 4];
const LIMITS: WsLimits =
    WsLimits { message_max: 80_000, inflated_max: 80_000, gathered_max: 1000, streams: true };

/// A frame as a client sends it: `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Data, not compressed.
fn data(payload: &[u8]) -> Vec<u8> {
    frame(0x82, payload)
}

/// Data, compressed.
fn deflated(payload: &[u8]) -> Vec<u8> {
    frame(0xc2, &deflate(payload))
}

fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() * 2 + 100);
    let mut deflater = Compress::new(Compression::best(), false);
    deflater.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    let payload = [payload, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false).decompress_vec(&payload, &mut out, FlushDecompress::None).unwrap();
    out
}

/// The frames of a server: first byte, payload after inflation.
fn parse(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (len, rest) = match second {
            127 => (
                usize::try_from(u64::from_be_bytes(rest[..8].try_into().unwrap())).unwrap(),
                &rest[8..],
            ),
            126 => (usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap())), &rest[2..]),
            len => (usize::from(*len), rest),
        };
        let (payload, rest) = rest.split_at(len);
        let payload = if first & 0x40 == 0 { payload.to_vec() } else { inflate(payload) };
        frames.push((*first, payload));
        bytes = rest;
    }
    frames
}

/// One side of a connection after the handshake.
struct Side {
    ws: WebSocket,
    pool: Pool,
    out: Outbox,
    wire: Outbox,
}

impl Side {
    fn new(deflate: bool, limits: WsLimits) -> Self {
        let accepted = Accepted { response: Vec::new(), deflate, unmasked: false };
        Self {
            ws: WebSocket::new(&accepted, limits),
            pool: Pool::default(),
            out: Outbox::default(),
            wire: Outbox::default(),
        }
    }

    /// What comes of input in pieces, read with little room.
    fn read(&mut self, pieces: &[&[u8]], room: usize) -> (Vec<u8>, Result<WsRead, Fault>) {
        let (mut all, mut last) = (Vec::new(), WsRead::More);
        for piece in pieces {
            let mut input = *piece;
            loop {
                let mut part = BytesMut::new();
                let read = self.ws.read(&mut input, &mut part, room, &mut self.pool);
                assert!(part.len() <= room, "there was no more room");
                all.extend(part);
                match read {
                    Ok(WsRead::Full) => (),
                    Ok(WsRead::More) => {
                        assert!(input.is_empty(), "all of it is used up");
                        break;
                    }
                    Ok(WsRead::Closed) => {
                        last = WsRead::Closed;
                        break;
                    }
                    Err(fault) => return (all, Err(fault)),
                }
            }
        }
        (all, Ok(last))
    }

    /// The frames that are written.
    fn written(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut bytes = Vec::new();
        loop {
            self.ws.write(&mut self.out, &mut self.wire, &mut self.pool);
            let part: Vec<u8> = self.wire.chunks().flatten().copied().collect();
            if part.is_empty() {
                return parse(&bytes);
            }
            self.wire.advance(part.len());
            bytes.extend(part);
        }
    }
}

/// What comes of input as a whole.
fn read(deflate: bool, input: &[u8]) -> (Vec<u8>, Result<WsRead, Fault>) {
    Side::new(deflate, LIMITS).read(&[input], 1 << 20)
}
