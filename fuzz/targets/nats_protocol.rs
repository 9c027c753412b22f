//! The NATS protocol: no bytes make reading panic, the same operations come out wherever the input is
//! cut, and what is cleared of forged headers has none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pubsub_fuzz::Input;
use pubsub_nats::headers::{Headers, without_servers};
use pubsub_nats::{
    ClientDecoder, ClientOp, Close, Connect, Info, Limits, Outbox, Outgoing, ServerDecoder,
    ServerOp,
};

const LIMITS: Limits = Limits { control_line_max: 64, payload_max: 100, headers: true };

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let piece = usize::from(input.byte()) + 1;
    let whole = operations(input.0, input.0.len().max(1));
    assert_eq!(operations(input.0, piece), whole);
    server(input.0);
    headers(input.0, piece);
    let _info: Result<Info, _> = serde_json::from_slice(input.0);
    if let Ok(connect) = Connect::from_json(input.0) {
        let written = connect.to_json();
        let again = Connect::from_json(&written).expect("it was just written");
        assert_eq!(again.to_json(), written);
    }
});

/// All operations, as text, and how it ends.
fn operations(bytes: &[u8], piece: usize) -> (Vec<String>, Option<Close>) {
    let mut decoder = ClientDecoder::new(LIMITS);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&buffer) {
                Ok(Some((op, len))) => {
                    found.push(format!("{op:?}"));
                    if let ClientOp::Publish(message) = op {
                        assert!(message.headers_len <= message.body.len());
                        assert!(message.body.len() <= LIMITS.payload_max);
                    }
                    buffer.drain(..len);
                }
                Ok(None) => break,
                Err(close) => return (found, Some(close)),
            }
        }
        // A line, or a line and a payload.
        assert!(
            buffer.len() <= LIMITS.control_line_max + 128 + LIMITS.payload_max + 2 + piece.len()
        );
    }
    (found, None)
}

/// What a server says, and what is written of it again.
fn server(mut bytes: &[u8]) {
    let mut decoder = ServerDecoder::new(100);
    while let Ok(Some((op, len))) = decoder.decode(bytes) {
        bytes = &bytes[len..];
        let ServerOp::Message { subject, sid, reply, body, headers_len } = op else { continue };
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let (Some(subject), Some(reply)) =
            (text(subject), reply.map_or(Some(None), |reply| text(reply).map(Some)))
        else {
            continue;
        };
        let mut outbox = Outbox::default();
        Outgoing::new(subject, reply, body, headers_len).write(sid, true, &mut outbox);
        let written: Vec<u8> = outbox.chunks().flatten().copied().collect();
        let again = ServerDecoder::new(100).decode(&written).expect("it was just written");
        assert_eq!(again, Some((op, written.len())));
    }
}

fn headers(bytes: &[u8], len: usize) {
    let headers = Headers::new(bytes);
    let _status = headers.status();
    let count = headers.iter().count();
    assert!(count <= bytes.len());
    if let Some((kept, len)) = without_servers(bytes, len) {
        assert!(kept.len() < bytes.len());
        assert_eq!(without_servers(&kept, len), None);
    }
}
