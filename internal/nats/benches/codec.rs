//! What reading and writing messages costs, per message of 128 bytes, on one core.
//!
//! Prints the median of several runs, in time on a processor and not on the clock, so that the
//! neighbours of a busy machine do not count: `cargo bench -p pubsub-nats --bench codec`.
#![expect(clippy::print_stdout, reason = "the numbers are the product")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pubsub_nats::ws::{Accepted, Pool, WebSocket, WsLimits, WsRead};
use pubsub_nats::{
    Action, ClientDecoder, ClientOp, Delivered, Identity, Info, Limits, Outbox, Outgoing, Peer,
    Session, Settings, SubId, Unrestricted, encode,
};
use rustix::time::{ClockId, clock_gettime};

const NOW: Duration = Duration::from_secs(1);
const RUNS: usize = 11;
const MESSAGES: usize = 4_000_000;
const PAYLOAD: [u8; 128] = [b'x'; 128];
const LIMITS: Limits = Limits { control_line_max: 4096, payload_max: 1 << 20, headers: true };
const HEADERS: &[u8] = b"NATS/1.0\r\nNats-Msg-Id: 0123456789abcdef\r\n\r\n";

fn main() {
    decode("parse PUB", |out| encode::publish(out, "orders.eu.created", None, b"", &PAYLOAD));
    decode("parse PUB with reply", |out| {
        encode::publish(out, "orders.eu.created", Some("_INBOX.abcdefghijkl.mnop"), b"", &PAYLOAD);
    });
    decode("parse HPUB", |out| {
        encode::publish(out, "orders.eu.created", None, HEADERS, &PAYLOAD);
    });
    format("format MSG", None, b"");
    format("format MSG with reply", Some("_INBOX.abcdefghijkl.mnop"), b"");
    format("format HMSG", None, HEADERS);
    fan_out("format MSG, 1 to 100");
    publish("session, PUB");
    deliver("session, MSG");
    frames("WebSocket, to a session");
}

/// Reads blocks of 64 KiB, as a socket would hand them over.
fn decode(name: &str, write: impl Fn(&mut Vec<u8>)) {
    let mut block = Vec::new();
    let mut in_block = 0;
    while block.len() < 64 << 10 {
        write(&mut block);
        in_block += 1;
    }
    let rounds = MESSAGES / in_block;
    report(name, rounds * in_block, || {
        let mut decoder = ClientDecoder::new(LIMITS);
        let mut bytes = 0;
        for _ in 0..rounds {
            let mut input = black_box(&block[..]);
            while let Some((op, len)) = decoder.decode(input).unwrap() {
                if let ClientOp::Publish(publish) = op {
                    bytes += publish.body.len() + publish.subject.len();
                }
                input = &input[len..];
            }
            assert!(input.is_empty());
        }
        black_box(bytes);
    });
}

/// One message for one connection, whose bytes are taken away every 64 KiB.
fn format(name: &str, reply: Option<&str>, headers: &[u8]) {
    let body = [headers, &PAYLOAD].concat();
    report(name, MESSAGES, || {
        let mut outbox = Outbox::default();
        for _ in 0..MESSAGES {
            let message = Outgoing::new(
                black_box("orders.eu.created"),
                reply,
                black_box(&body),
                headers.len(),
            );
            message.write(black_box(b"17"), true, &mut outbox);
            if outbox.pending() > 60 << 10 {
                outbox.advance(outbox.pending());
            }
        }
        black_box(&outbox);
    });
}

/// One message for a hundred connections.
fn fan_out(name: &str) {
    report(name, MESSAGES, || {
        let mut outboxes: Vec<Outbox> = (0..100).map(|_| Outbox::default()).collect();
        for _ in 0..MESSAGES / 100 {
            let message =
                Outgoing::new(black_box("orders.eu.created"), None, black_box(&PAYLOAD), 0);
            for outbox in &mut outboxes {
                message.write(black_box(b"17"), true, outbox);
                if outbox.pending() > 60 << 10 {
                    outbox.advance(outbox.pending());
                }
            }
        }
        black_box(&outboxes);
    });
}

/// A connection that said who it is, with one subscription.
fn session(out: &mut Outbox) -> (Session, SubId) {
    let peer = Peer { id: 1, ip: "127.0.0.1".into(), nonce: None, seed: 7 };
    let mut session =
        Session::new(Arc::new(Settings::default()), Arc::new(Info::default()), peer, NOW);
    let mut input =
        &b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nSUB orders.> 17\r\n"
            [..];
    session.poll(&mut input, &mut Unrestricted, out, NOW).unwrap();
    assert!(session.authorized(Identity::default(), out).is_none());
    let action = session.poll(&mut input, &mut Unrestricted, out, NOW);
    let Some(Action::Subscribe { id, .. }) = action else { unreachable!("it subscribes") };
    (session, id)
}

/// From bytes to what is to be routed.
fn publish(name: &str) {
    let (mut block, mut in_block) = (Vec::new(), 0);
    while block.len() < 64 << 10 {
        encode::publish(&mut block, "orders.eu.created", None, b"", &PAYLOAD);
        in_block += 1;
    }
    let rounds = MESSAGES / in_block;
    let mut outbox = Outbox::default();
    let (mut session, _) = session(&mut outbox);
    report(name, rounds * in_block, || {
        let mut bytes = 0;
        for _ in 0..rounds {
            let mut input = black_box(&block[..]);
            while let Some(action) = session.poll(&mut input, &mut Unrestricted, &mut outbox, NOW) {
                if let Action::Publish(message) = action {
                    bytes += message.payload().len() + message.subject.len();
                }
            }
        }
        black_box(bytes);
    });
}

/// Messages in masked frames of 8 KiB, to the bytes that a session reads.
fn frames(name: &str) {
    let (mut payload, mut in_frame) = (Vec::new(), 0);
    while payload.len() < 8 << 10 {
        encode::publish(&mut payload, "orders.eu.created", None, b"", &PAYLOAD);
        in_frame += 1;
    }
    let mut frame = vec![0x82, 0x80 | 126];
    frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(&payload);
    let accepted = Accepted { response: Vec::new(), deflate: false, unmasked: false };
    let mut ws = WebSocket::new(&accepted, WsLimits::open(1 << 20));
    let (mut pool, mut data) = (Pool::default(), BytesMut::new());
    let rounds = MESSAGES / in_frame;
    report(name, rounds * in_frame, || {
        for _ in 0..rounds {
            let read = ws.read(&mut black_box(&frame[..]), &mut data, 64 << 10, &mut pool);
            assert_eq!(read, Ok(WsRead::More));
            black_box(&mut data).clear();
        }
    });
}

/// From what was routed to bytes.
fn deliver(name: &str) {
    let mut outbox = Outbox::default();
    let (mut session, id) = session(&mut outbox);
    report(name, MESSAGES, || {
        for _ in 0..MESSAGES {
            let message =
                Outgoing::new(black_box("orders.eu.created"), None, black_box(&PAYLOAD), 0);
            let delivered = session.deliver(id, &message, &mut outbox);
            assert!(matches!(delivered, Delivered::Sent));
            if outbox.pending() > 60 << 10 {
                outbox.advance(outbox.pending());
            }
        }
    });
}

fn report(name: &str, messages: usize, mut run: impl FnMut()) {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = cpu_time();
            run();
            cpu_time() - start
        })
        .collect();
    times.sort();
    let each = times[RUNS / 2].as_secs_f64() / f64::from(u32::try_from(messages).unwrap());
    println!("{name:24} {:>7.1} ns {:>7.1} M/s", each * 1e9, 1e-6 / each);
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}
