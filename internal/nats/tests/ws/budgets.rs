//! What a client can make us spend.

use pubsub_nats::ws::{Fault, WsLimits, WsRead};

use crate::{Side, data, deflate, deflated, frame};

const BEFORE: WsLimits = WsLimits::before_connect(4096, 1 << 20);
const AFTER: WsLimits = WsLimits::open(1 << 20);

#[test]
fn compressed_bomb_is_cut_at_the_limit() {
    let bomb = deflate(&vec![b' '; 20 << 20]);
    assert!(bomb.len() < 100_000);
    for (limits, room, handed_on_max) in [(BEFORE, 4096, 6000), (AFTER, 64 << 10, (8 << 20) + 1)] {
        let (handed_on, end) = Side::new(true, limits).read(&[&frame(0xc2, &bomb)], room);
        assert!(matches!(end, Err(Fault::TooLarge { .. })), "{end:?}");
        assert!(handed_on.len() <= handed_on_max, "{}", handed_on.len());
    }
}

#[test]
fn compressed_message_before_connect_is_short_in_any_number_of_frames() {
    let mut state = 7u64;
    let noise: Vec<u8> = (0..6000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect();
    let body = deflate(&noise);
    assert!(body.len() > 5200);
    let mut input = frame(0x42, &body[..1000]);
    for part in body[1000..].chunks(1000) {
        input.extend(frame(0x00, part));
    }
    let end = Side::new(true, BEFORE).read(&[&input], 4096).1;
    assert_eq!(end, Err(Fault::TooLarge { limit: 5120 }));
    assert_eq!(Side::new(true, AFTER).read(&[&input], 4096).1, Ok(WsRead::More));
}

#[test]
fn half_a_message_before_connect_holds_what_came_and_no_inflater() {
    let body = deflate(&[b'x'; 3000]);
    let mut side = Side::new(true, BEFORE);
    for part in body.chunks(1) {
        assert_eq!(
            side.read(&[&frame(if part == &body[..1] { 0x42 } else { 0x00 }, part)], 4096).1,
            Ok(WsRead::More)
        );
    }
    assert!(side.ws.memory_bytes() < 1000, "{}", side.ws.memory_bytes());
    let mut side = Side::new(true, BEFORE);
    assert_eq!(side.read(&[&frame(0x42, &[0; 5000])], 4096).1, Ok(WsRead::More));
    assert!(side.ws.memory_bytes() < 8500, "{}", side.ws.memory_bytes());
}

#[test]
fn greeting_fits_compressed_and_not() {
    let greeting = format!("CONNECT {{\"jwt\":\"{}\"}}\r\nPING\r\n", "a.B-c9".repeat(660));
    assert!(greeting.len() > 3900);
    for input in [data(greeting.as_bytes()), deflated(greeting.as_bytes())] {
        let mut side = Side::new(true, BEFORE);
        assert_eq!(side.read(&[&input], 8192), (greeting.clone().into_bytes(), Ok(WsRead::More)));
    }
}

#[test]
fn message_that_is_not_compressed_passes_through_however_long() {
    let mut side = Side::new(false, AFTER);
    let payload = vec![b'x'; 8 << 20];
    let (found, end) = side.read(&[&data(&payload)], 1000);
    assert_eq!((found.len(), end), (payload.len(), Ok(WsRead::More)));
    let too_long = frame(0x82, &vec![b'x'; (8 << 20) + 1]);
    let end = Side::new(false, AFTER).read(&[&too_long[..14]], 1000).1;
    assert_eq!(end, Err(Fault::TooLarge { limit: 8 << 20 }));
}

#[test]
fn limit_is_for_the_message_and_not_for_the_frame() {
    let limits = WsLimits { message_max: 10, ..AFTER };
    let fits = [frame(0x02, b"12345"), frame(0x80, b"67890"), data(b"1234567890")].concat();
    assert_eq!(Side::new(false, limits).read(&[&fits], 1000).1, Ok(WsRead::More));
    let long = [frame(0x02, b"12345"), frame(0x80, b"678901")].concat();
    let end = Side::new(false, limits).read(&[&long], 1000).1;
    assert_eq!(end, Err(Fault::TooLarge { limit: 10 }));
}
