//! Frames, as clients send them and as they should not.

use proptest::prelude::*;
use pubsub_nats::Outbox;
use pubsub_nats::ws::{Fault, WsLimits, WsRead};

use crate::{LIMITS, Side, data, deflate, deflated, frame, parse, read};

const MORE: Result<WsRead, Fault> = Ok(WsRead::More);

#[test]
fn messages_are_pieces_of_one_stream() {
    let input = [
        data(b"PI"),
        data(b""),
        frame(0x81, b"NG\r\n"),
        frame(0x02, b"PO"),
        frame(0x89, b"still there?"),
        frame(0x00, b"NG"),
        frame(0x80, b"\r\n"),
        deflated(b"SUB a 1\r\n"),
    ]
    .concat();
    assert_eq!(read(true, &input), (b"PING\r\nPONG\r\nSUB a 1\r\n".to_vec(), MORE));
}

#[test]
fn compressed_messages_come_in_any_number_of_frames() {
    let all = deflate(b"PING\r\n");
    for cut in 0..=all.len() {
        let (first, second) = all.split_at(cut);
        let input = [frame(0x42, first), frame(0x89, b"x"), frame(0x80, second)].concat();
        assert_eq!(read(true, &input), (b"PING\r\n".to_vec(), MORE), "{cut}");
    }
}

#[test]
fn compressed_data_that_ends_itself_ends() {
    use flate2::{Compress, Compression, FlushCompress};
    let mut ended = Vec::with_capacity(100);
    let mut deflater = Compress::new(Compression::best(), false);
    deflater.compress_vec(b"PING\r\n", &mut ended, FlushCompress::Finish).unwrap();
    let more = [&ended[..], &deflate(b"PONG\r\n")].concat();
    let input = [frame(0xc2, &ended), frame(0xc2, &more), data(b"x")].concat();
    assert_eq!(read(true, &input), (b"PING\r\nPING\r\nx".to_vec(), MORE));
    // Nothing at all, in three ways.
    let input = [frame(0xc2, b"\0"), frame(0xc2, b""), deflated(b""), data(b"x")].concat();
    assert_eq!(read(true, &input), (b"x".to_vec(), MORE));
}

#[test]
fn faults_are_told_as_nats_server_tells_them() {
    let plain = |first: u8, payload: &[u8]| frame(first, payload);
    let unmasked = vec![0x82, 2, b'h', b'i'];
    let close = |code: u16, text: &[u8]| frame(0x88, &[&code.to_be_bytes()[..], text].concat());
    let huge = [&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();
    for (input, code, text) in [
        (
            plain(0x89, &[b'h'; 126]),
            1002,
            "control frame length bigger than maximum allowed of 125 bytes",
        ),
        (plain(0x09, b"h"), 1002, "control frame does not have final bit set"),
        (plain(0xc9, b"h"), 1002, "control frame must not be compressed"),
        (unmasked, 1002, "mask bit missing"),
        (plain(0x83, b"x"), 1002, "unknown opcode 3"),
        (plain(0x8b, b"x"), 1002, "unknown opcode 11"),
        (plain(0xa2, b"x"), 1002, "RSV2 and RSV3 must be clear"),
        (plain(0x80, b"x"), 1002, "invalid continuation frame"),
        ([plain(0x42, b"x"), plain(0xc0, b"x")].concat(), 1002, "invalid continuation frame"),
        (
            [plain(0x02, b"x"), plain(0x82, b"x")].concat(),
            1002,
            "new message started before final frame for previous message was received",
        ),
        (plain(0xc2, b"\xff\xff\xff\xffxxxx"), 1007, "corrupt compressed message"),
        (plain(0x88, b"x"), 1002, "close frame payload cannot be 1 byte"),
        (close(999, b""), 1002, "invalid close status code 999"),
        (close(1005, b""), 1002, "invalid close status code 1005"),
        (close(1006, b""), 1002, "invalid close status code 1006"),
        (close(1015, b""), 1002, "invalid close status code 1015"),
        (close(5000, b""), 1002, "invalid close status code 5000"),
        (close(1000, b"\xff"), 1007, "invalid utf8 body in close frame"),
        ([&[0x82, 0xff][..], &[0xff; 12]].concat(), 1002, "invalid 64-bit payload length"),
        (huge, 1009, "message larger than 80000 bytes"),
    ] {
        let mut side = Side::new(true, LIMITS);
        let fault = side.read(&[&input], 1 << 20).1.unwrap_err();
        assert_eq!((fault.code(), fault.to_string().as_str()), (code, text));
        side.ws.fail(&fault, &mut side.wire);
        let bytes: Vec<u8> = side.wire.chunks().flatten().copied().collect();
        let payload = [&code.to_be_bytes()[..], text.as_bytes()].concat();
        assert_eq!(parse(&bytes), [(0x88, payload)]);
        // And nothing follows.
        side.wire.advance(bytes.len());
        side.out.copy(b"PONG\r\n");
        assert_eq!(side.written(), []);
    }
    let (_, end) = read(false, &deflated(b"PING\r\n"));
    assert_eq!(end, Err(Fault::NotNegotiated));
}

#[test]
fn pings_are_answered_once_and_closes_returned() {
    let mut side = Side::new(false, LIMITS);
    let input = [frame(0x89, b"one"), frame(0x89, &[b'2'; 125]), frame(0x8a, b"pong")].concat();
    assert_eq!(side.read(&[&input], 100), (Vec::new(), MORE));
    assert_eq!(side.written(), [(0x8a, vec![b'2'; 125])]);
    assert_eq!(side.written(), []);

    side.out.copy(b"last words");
    let close = frame(0x88, &[&1000u16.to_be_bytes()[..], b"bye"].concat());
    let input = [data(b"x"), close, data(b"y")].concat();
    assert_eq!(side.read(&[&input], 100), (b"x".to_vec(), Ok(WsRead::Closed)));
    let bye = [&1000u16.to_be_bytes()[..], b"bye"].concat();
    assert_eq!(side.written(), [(0x82, b"last words".to_vec()), (0x88, bye)]);
    assert_eq!(side.read(&[&data(b"z")], 100), (Vec::new(), Ok(WsRead::Closed)));
}

#[test]
fn what_is_sent_is_compressed_where_it_pays() {
    for (deflate, payload, first) in [
        (false, vec![b'x'; 100_000], 0x82),
        (true, vec![b'x'; 100_000], 0xc2),
        (true, vec![b'x'; 64], 0xc2),
        (true, vec![b'x'; 63], 0x82),
        (false, vec![b'x'; 1], 0x82),
    ] {
        let mut side = Side::new(deflate, LIMITS);
        side.out.copy(&payload[..payload.len() / 2]);
        side.out.share(payload[payload.len() / 2..].to_vec().into());
        let frames = side.written();
        assert!(frames.iter().all(|(byte, _)| *byte == first));
        assert!(frames.iter().all(|(_, part)| part.len() <= 65_536));
        let all: Vec<u8> = frames.into_iter().flat_map(|(_, part)| part).collect();
        assert_eq!(all, payload);
    }
}

#[test]
fn client_that_does_not_read_fills_the_outbox_and_not_the_wire() {
    let mut side = Side::new(false, LIMITS);
    for _ in 0..1000 {
        side.out.copy(&[b'x'; 1000]);
        side.ws.write(&mut side.out, &mut side.wire, &mut side.pool);
    }
    assert!(side.wire.pending() <= 3 * 65_536, "{}", side.wire.pending());
    assert!(side.out.pending() > 800_000);
    let mut pinging = Side::new(false, LIMITS);
    let input = frame(0x89, b"hello").repeat(1000);
    assert_eq!(pinging.read(&[&input], 100).1, MORE);
    assert!(pinging.wire.is_empty());
    let mut other = Outbox::default();
    pinging.ws.write(&mut other, &mut pinging.wire, &mut pinging.pool);
    assert_eq!(pinging.wire.pending(), 7);
}

/// A message of one or more frames.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0usize..5000).prop_map(|(byte, len)| vec![byte; len]),
    ];
    (
        payload,
        any::<bool>(),
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        any::<bool>(),
    )
        .prop_map(|(payload, is_compressed, cuts, pings)| {
            let body = if is_compressed { deflate(&payload) } else { payload.clone() };
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let mut bytes = Vec::new();
            for (at, pair) in cuts.windows(2).enumerate() {
                let opcode = if at == 0 { 2 | if is_compressed { 0x40 } else { 0 } } else { 0 };
                let last = if at + 2 == cuts.len() { 0x80 } else { 0 };
                bytes.extend(frame(opcode | last, &body[pair[0]..pair[1]]));
                if pings {
                    bytes.extend(frame(0x89, b"ping"));
                }
            }
            (bytes, payload)
        })
}

proptest! {
    #[test]
    fn any_messages_in_any_pieces_give_the_same_stream(
        messages in prop::collection::vec(message(), 1..6),
        piece in 1usize..3000,
        room in 1usize..3000,
        gathered_max in prop_oneof![0usize..200, Just(1 << 20)],
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let expected: Vec<u8> = messages.iter().flat_map(|(_, payload)| payload.clone()).collect();
        let mut side = Side::new(true, WsLimits { gathered_max, streams: gathered_max < 200, ..LIMITS });
        let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
        prop_assert_eq!(side.read(&pieces, room), (expected, MORE));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        parts in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(first, payload)| frame(first, &payload)),
            message().prop_map(|(bytes, _)| bytes),
        ], 0..8),
        piece in 1usize..100,
        room in 1usize..100,
    ) {
        let bytes = parts.concat();
        let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
        let mut side = Side::new(true, LIMITS);
        let whole = Side::new(true, LIMITS).read(&[&bytes], 1 << 20);
        let (data, end) = side.read(&pieces, room);
        prop_assert_eq!(end, whole.1);
        if end.is_ok() {
            prop_assert_eq!(data, whole.0);
        }
    }

    #[test]
    fn what_a_server_writes_a_client_reads(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..400), any::<bool>()), 0..20),
        deflate in any::<bool>(),
    ) {
        let mut side = Side::new(deflate, LIMITS);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        for (part, flush) in parts {
            side.out.copy(&part);
            expected.extend(part);
            if flush {
                found.extend(side.written().into_iter().flat_map(|(_, part)| part));
            }
        }
        found.extend(side.written().into_iter().flat_map(|(_, part)| part));
        prop_assert_eq!(found, expected);
    }
}
