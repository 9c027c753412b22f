//! WebSocket: no bytes make reading panic or hold much memory, the same comes out wherever the input is
//! cut, and what a server writes is what it was given.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pubsub_fuzz::Input;
use pubsub_nats::Outbox;
use pubsub_nats::ws::{
    Accepted, Fault, Origin, Policy, Pool, Request, WebSocket, WsLimits, WsRead,
};

const DATA_MAX: u64 = 100_000;

fuzz_target!(|bytes: &[u8]| {
    handshake(bytes);
    let mut input = Input(bytes);
    let (kind, piece, room) = (input.byte(), input.byte(), input.byte());
    let (piece, room) = (usize::from(piece) + 1, usize::from(room) + 1);
    let whole = read(kind, input.0, input.0.len().max(1), 1 << 20);
    let pieces = read(kind, input.0, piece, room);
    assert_eq!(whole.1, pieces.1);
    if whole.1.is_ok() {
        assert_eq!(whole.0, pieces.0);
    }
    write(kind, input.0, piece);
});

fn handshake(bytes: &[u8]) {
    let policy = Policy {
        compression: true,
        same_origin: bytes.len() % 2 == 0,
        allowed_origins: Origin::parse("http://a.example").into_iter().collect(),
        ..Policy::default()
    };
    match Request::parse(bytes) {
        Ok(Some(request)) => {
            let _found = (request.cookie("a"), request.bearer(), request.forwarded_for());
            match request.accept(&policy) {
                Ok(accepted) => assert!(accepted.response.ends_with(b"\r\n\r\n")),
                Err(refusal) => assert!(refusal.response().starts_with(b"HTTP/1.1 4")),
            }
        }
        Ok(None) => assert!(bytes.len() < 8 << 10),
        Err(refusal) => assert!(refusal.response().starts_with(b"HTTP/1.1 4")),
    }
}

fn limits(kind: u8) -> WsLimits {
    WsLimits {
        message_max: DATA_MAX,
        inflated_max: DATA_MAX,
        gathered_max: 500,
        streams: kind & 2 == 0,
    }
}

fn accepted(kind: u8) -> Accepted {
    Accepted { response: Vec::new(), deflate: kind & 1 == 0, unmasked: kind & 4 != 0 }
}

fn read(kind: u8, bytes: &[u8], piece: usize, room: usize) -> (Vec<u8>, Result<WsRead, Fault>) {
    let mut ws = WebSocket::new(&accepted(kind), limits(kind));
    let (mut pool, mut all) = (Pool::default(), Vec::new());
    let mut last = Ok(WsRead::More);
    for mut input in bytes.chunks(piece) {
        loop {
            let mut data = BytesMut::new();
            last = ws.read(&mut input, &mut data, room, &mut pool);
            assert!(data.len() <= room);
            all.extend_from_slice(&data);
            // What was gathered, a piece of it, and an inflater.
            assert!(ws.memory_bytes() <= 130_000);
            if last != Ok(WsRead::Full) {
                break;
            }
        }
        if last != Ok(WsRead::More) {
            break;
        }
    }
    (all, last)
}

fn write(kind: u8, bytes: &[u8], piece: usize) {
    let mut ws = WebSocket::new(&accepted(kind), limits(kind));
    let (mut pool, mut out, mut wire) = (Pool::default(), Outbox::default(), Outbox::default());
    let mut framed = Vec::new();
    for (at, part) in bytes.chunks(piece).enumerate() {
        if at % 2 == 0 {
            out.copy(part);
        } else {
            out.share(part.to_vec().into());
        }
        if at % 3 == 0 {
            ws.write(&mut out, &mut wire, &mut pool);
        }
    }
    while !(out.is_empty() && wire.is_empty()) {
        ws.write(&mut out, &mut wire, &mut pool);
        framed.extend(wire.chunks().flatten());
        wire.advance(wire.pending());
    }
    // A server that is allowed to leave out the mask reads what a server writes.
    let peer = Accepted { unmasked: true, ..accepted(kind) };
    let mut reader = WebSocket::new(&peer, WsLimits::open(1 << 30));
    let mut data = BytesMut::new();
    let end = reader.read(&mut &framed[..], &mut data, usize::MAX, &mut pool);
    assert_eq!((end, &data[..]), (Ok(WsRead::More), bytes));
}
