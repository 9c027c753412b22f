//! Reading and writing the protocol: what comes out does not depend on how the bytes came in.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first error")]

mod refusals;
mod splits;

use bytes::Bytes;
use pubsub_nats::{
    ClientDecoder, ClientOp, Close, Limits, Outbox, Outgoing, ServerDecoder, ServerOp,
};

const LIMITS: Limits = Limits { control_line_max: 100, payload_max: 1000, headers: true };

/// All operations of `input`, and how it ends.
fn operations(input: &[u8]) -> (Vec<String>, Option<Close>) {
    pieces(&[input])
}

/// The same, of input that comes in pieces.
fn pieces(pieces: &[&[u8]]) -> (Vec<String>, Option<Close>) {
    let mut decoder = ClientDecoder::new(LIMITS);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let needed = decoder.needed();
            match decoder.decode(&buffer) {
                Ok(Some((op, len))) => {
                    assert!(needed <= buffer.len(), "it said that it needs more");
                    found.push(format!("{op:?}"));
                    buffer.drain(..len);
                }
                Ok(None) => break,
                Err(close) => return (found, Some(close)),
            }
        }
    }
    (found, None)
}

fn one(input: &str) -> ClientOp<'_> {
    let (op, len) = ClientDecoder::new(LIMITS).decode(input.as_bytes()).unwrap().unwrap();
    assert_eq!(len, input.len());
    op
}

#[test]
fn every_operation_is_read() {
    assert_eq!(one("CONNECT {\"a\":1}\r\n"), ClientOp::Connect(b"{\"a\":1}"));
    assert_eq!(one("PING\r\n"), ClientOp::Ping);
    assert_eq!(one("PONG\r\n"), ClientOp::Pong);
    assert_eq!(one("+OK\r\n"), ClientOp::Ok);
    assert_eq!(one("INFO {}\r\n"), ClientOp::Info(b"{}"));
    let subject = b"a.*";
    assert_eq!(one("SUB a.* 7\r\n"), ClientOp::Subscribe { subject, queue: None, sid: b"7" });
    assert_eq!(
        one("SUB a.* q 7\r\n"),
        ClientOp::Subscribe { subject, queue: Some(b"q"), sid: b"7" }
    );
    assert_eq!(one("UNSUB 7\r\n"), ClientOp::Unsubscribe { sid: b"7", max: 0 });
    assert_eq!(one("UNSUB 7 5\r\n"), ClientOp::Unsubscribe { sid: b"7", max: 5 });
    let published = [
        ("PUB a 2\r\nhi\r\n", None, &b"hi"[..], 0),
        ("PUB a r 0\r\n\r\n", Some(&b"r"[..]), b"", 0),
        ("HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", None, b"NATS/1.0\r\n\r\nhi", 12),
        ("HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n", Some(b"r"), b"NATS/1.0\r\n\r\n", 12),
    ];
    for (input, reply, body, headers_len) in published {
        let ClientOp::Publish(message) = one(input) else { panic!("{input:?}") };
        assert_eq!((message.subject, message.reply), (&b"a"[..], reply), "{input:?}");
        assert_eq!((message.body, message.headers_len), (body, headers_len), "{input:?}");
    }
}

#[test]
fn case_spaces_tabs_and_bare_line_feeds_are_taken_as_they_come() {
    let plain = operations(b"SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\nPING\r\nPONG\r\n");
    assert_eq!(plain.0.len(), 5);
    assert_eq!(plain.1, None);
    let odd = b"SuB\ta\t1\t\npUb   a \t 1 \nx\r\nuNsUb\t \t1\npInG\npOnG\n";
    assert_eq!(operations(odd), plain);
}

#[test]
fn text_behind_ping_and_pong_is_passed_over() {
    let (found, end) = operations(b"PING foo bar\r\nPINGxyz\r\nPONG a\r\n+OKx\r\n");
    assert_eq!((found.join(" ").as_str(), end), ("Ping Ping Pong Ok", None));
}

#[test]
fn maximum_that_is_no_number_ends_the_subscription_now() {
    for max in ["x", "-1", "99999999999", "0"] {
        let input = format!("UNSUB 7 {max}\r\n");
        assert_eq!(one(&input), ClientOp::Unsubscribe { sid: b"7", max: 0 }, "{max}");
    }
}

#[test]
fn message_that_is_written_is_read_by_a_client() {
    let headers = b"NATS/1.0\r\nA: b\r\n\r\n";
    let large = [&headers[..], &[b'x'; 5000]].concat();
    for (body, headers_len) in
        [(&b"hi"[..], 0), (b"", 0), (headers, headers.len()), (&large, headers.len())]
    {
        for reply in [None, Some("r.1")] {
            for with_headers in [true, false] {
                let shared = Bytes::copy_from_slice(body);
                for message in [
                    Outgoing::new("a.b", reply, body, headers_len),
                    Outgoing::shared("a.b", reply, &shared, headers_len),
                ] {
                    read_again(&message, with_headers);
                }
            }
        }
    }
}

fn read_again(message: &Outgoing<'_>, with_headers: bool) {
    let mut outbox = Outbox::default();
    message.write(b"17", with_headers, &mut outbox);
    let bytes: Vec<u8> = outbox.chunks().flatten().copied().collect();
    let (op, len) = ServerDecoder::new(10_000).decode(&bytes).unwrap().unwrap();
    assert_eq!(len, bytes.len());
    let ServerOp::Message { subject, sid, reply, body, headers_len } = op else { panic!("{op:?}") };
    assert_eq!((subject, sid), (&b"a.b"[..], &b"17"[..]));
    assert_eq!(reply, message.reply().map(str::as_bytes));
    assert_eq!(&body[headers_len..], message.payload());
    let headers = if with_headers { message.headers() } else { b"" };
    assert_eq!(&body[..headers_len], headers);
    assert_eq!(bytes.starts_with(b"HMSG"), !headers.is_empty());
}

#[test]
fn what_a_server_says_is_read() {
    let mut decoder = ServerDecoder::new(100);
    let mut input = &b"INFO {\"a\":1} \r\nPING\r\nPONG\r\n+OK\r\n-ERR 'No'\r\nHMSG a 1 r 12 13\r\nNATS/1.0\r\n\r\nx\r\n"[..];
    let mut found = Vec::new();
    while let Some((op, len)) = decoder.decode(input).unwrap() {
        found.push(op);
        input = &input[len..];
    }
    let message = ServerOp::Message {
        subject: b"a",
        sid: b"1",
        reply: Some(b"r"),
        body: b"NATS/1.0\r\n\r\nx",
        headers_len: 12,
    };
    let expected = [
        ServerOp::Info(b"{\"a\":1}"),
        ServerOp::Ping,
        ServerOp::Pong,
        ServerOp::Ok,
        ServerOp::Err(b"No"),
        message,
    ];
    assert_eq!(found, expected);
}

#[test]
fn server_that_lies_is_refused() {
    for (input, expected) in [
        ("MSG a 1 101\r\n", "Maximum Message Payload Exceeded"),
        ("MSG a 1\r\n", "Protocol Violation"),
        ("HMSG a 1 5 4\r\n", "Protocol Violation"),
        ("MSG a 1 1\r\nxy\r\n", "Protocol Violation"),
        ("PUB a 1\r\nx\r\n", "Protocol Violation"),
    ] {
        let close = ServerDecoder::new(100).decode(input.as_bytes()).unwrap_err();
        assert_eq!(close.reason(), expected, "{input:?}");
    }
}
