//! The same operations come out wherever the input is cut.

use proptest::prelude::*;

use crate::{operations, pieces};

const GOOD: &[u8] =
    b"CONNECT {\"verbose\":false}\r\nPING\r\nSUB a.b.* queue 12\r\nPUB a.b reply 5\r\nhel\nl\r\n\
    HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 12 5\r\nPUB x 0\r\n\r\npong\n+OK\r\nINFO {}\r\n";

#[test]
fn input_cut_anywhere_gives_the_same_operations() {
    for end in [
        "",
        "FOO\r\n",
        "PUB a 1\r\nxy\r\n",
        "PUB a 5000\r\n",
        "SUB a\r\n",
        "PUB a 5\r\nab",
        "PUB a 5\r\nabcdex",
        "UNS",
    ] {
        let input = [GOOD, end.as_bytes()].concat();
        let whole = operations(&input);
        assert_eq!(whole.0.len(), 10, "{end:?}");
        for at in 0..=input.len() {
            let (first, second) = input.split_at(at);
            assert_eq!(pieces(&[first, second]), whole, "{end:?}, cut at {at}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(pieces(&bytes), whole, "{end:?}, byte by byte");
    }
}

/// Something like an operation, more or less.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let argument = prop_oneof![
        3 => "[a-c.*>]{1,4}",
        3 => "[0-9]{1,2}",
        1 => "[0-9]{9,11}",
        1 => "[ \t]{0,3}",
        1 => "[\\x00-\\x20x]{0,3}",
        1 => "x{90,110}",
    ];
    let verb = prop_oneof![
        6 => prop::sample::select(vec!["PUB", "HPUB", "SUB", "UNSUB", "PING", "PONG", "CONNECT", "pub", "+OK"]),
        1 => prop::sample::select(vec!["-ERR", "INFO", "MSG", "PU", "", "x", "UNSUBS"]),
    ];
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\n", "", "\r", "\r\r\n"]);
    (verb, prop::collection::vec(argument, 0..5), end, prop::collection::vec(any::<u8>(), 0..12))
        .prop_map(|(verb, arguments, end, bytes)| {
            let mut piece = format!("{verb} {}{end}", arguments.join(" ")).into_bytes();
            piece.extend(bytes);
            piece
        })
}

fn good_message() -> impl Strategy<Value = Vec<u8>> {
    ("[a-z.]{1,9}", prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(subject, payload)| {
        let line = format!("PUB {subject} {}\r\n", payload.len());
        [line.as_bytes(), &payload, b"\r\n"].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_input_in_any_pieces_gives_the_same_operations(
        parts in prop::collection::vec(prop_oneof![good_message(), piece()], 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let input = parts.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let cut: Vec<&[u8]> = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
        prop_assert_eq!(pieces(&cut), operations(&input));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _operations = operations(&bytes);
        let mut decoder = pubsub_nats::ServerDecoder::new(100);
        let mut input = &bytes[..];
        while let Ok(Some((_, len))) = decoder.decode(input) {
            input = &input[len..];
        }
    }
}
