//! What is no operation, and how soon that is known.

use pubsub_nats::{ClientDecoder, Close, Verb};

use crate::{LIMITS, operations};

fn refusal(input: &[u8]) -> Close {
    let (_, end) = operations(input);
    end.unwrap_or_else(|| panic!("{:?} is not refused", String::from_utf8_lossy(input)))
}

#[test]
fn beginning_of_no_verb_is_refused_at_its_first_wrong_byte() {
    for input in [
        "F",
        "\n",
        "\r",
        " ",
        "PX",
        "PUBx",
        "PUB\r\n",
        "PUB\n",
        "SUB\r\n",
        "UNSUB\r\n",
        "HPUB\n",
        "PI\r\n",
        "CX",
        "+X",
        "-X",
        "MSG",
        "HMSG",
        "RS+",
        "LS+",
        "A+",
        "\0",
        "GET / HTTP/1.1\r\n",
    ] {
        assert_eq!(refusal(input.as_bytes()), Close::UnknownOperation, "{input:?}");
    }
}

#[test]
fn beginning_of_a_verb_is_waited_on() {
    for verb in ["CONNECT", "PING", "PONG", "PUB", "HPUB", "SUB", "UNSUB", "INFO", "+OK", "-ERR"] {
        for len in 0..=verb.len() {
            assert_eq!(operations(&verb.as_bytes()[..len]), (Vec::new(), None), "{verb} {len}");
        }
    }
}

#[test]
fn wrong_arguments_are_refused_without_a_word() {
    for (verb, input) in [
        (Verb::Pub, "PUB \r\n"),
        (Verb::Pub, "PUB a\r\n"),
        (Verb::Pub, "PUB a b c 1\r\n"),
        (Verb::Pub, "PUB a x\r\n"),
        (Verb::Pub, "PUB a +1\r\n"),
        (Verb::Pub, "PUB a -1\r\n"),
        (Verb::Pub, "PUB a 0000000001\r\n"),
        (Verb::Pub, "PUB a 9999999999\r\n"),
        (Verb::Pub, "PUB a 18446744073709551617\r\n"),
        (Verb::Pub, "PUB a 1\r\r\n"),
        (Verb::Hpub, "HPUB a 1\r\n"),
        (Verb::Hpub, "HPUB a b c 1 1\r\n"),
        (Verb::Hpub, "HPUB a x 1\r\n"),
        (Verb::Hpub, "HPUB a 15 13\r\n"),
        (Verb::Sub, "SUB \r\n"),
        (Verb::Sub, "SUB a\r\n"),
        (Verb::Sub, "SUB a b c d\r\n"),
        (Verb::Unsub, "UNSUB \r\n"),
        (Verb::Unsub, "UNSUB 1 2 3\r\n"),
    ] {
        let close = refusal(input.as_bytes());
        assert_eq!(close, Close::BadArguments(verb), "{input:?}");
        assert_eq!((close.error_text(), close.reason()), (None, "Protocol Violation"));
    }
    assert_eq!(refusal(b"-ERR 'x'\r\n"), Close::ClientError);
}

#[test]
fn payload_that_does_not_end_where_it_said_is_refused() {
    for input in ["PUB a 2\r\nhi\n", "PUB a 2\r\nhix", "PUB a 2\r\nhi\rx", "PUB a 2\r\nhiya\r\n"] {
        assert_eq!(refusal(input.as_bytes()), Close::UnknownOperation, "{input:?}");
    }
}

#[test]
fn message_beyond_the_limit_is_refused_before_it_comes() {
    assert_eq!(refusal(b"PUB a 1001\r\n"), Close::PayloadTooLarge { size: 1001, limit: 1000 });
    assert_eq!(refusal(b"HPUB a 1 1001\r\n"), Close::PayloadTooLarge { size: 1001, limit: 1000 });
    assert_eq!(operations(b"PUB a 1000\r\n"), (Vec::new(), None));
}

#[test]
fn headers_are_refused_where_they_are_not_enabled() {
    let mut decoder = ClientDecoder::new(pubsub_nats::Limits { headers: false, ..LIMITS });
    assert_eq!(decoder.decode(b"HPUB a 12 13\r\n"), Err(Close::HeadersNotEnabled));
}

#[test]
fn arguments_beyond_the_limit_are_refused_with_and_without_their_end() {
    let too_long = Close::ControlLineTooLong { limit: 100 };
    for verb in ["SUB", "UNSUB", "PUB", "HPUB", "CONNECT", "INFO", "-ERR"] {
        for end in ["", "\r", "\r\n", " \r\n"] {
            let input = format!("{verb} {}{end}", "a".repeat(101));
            assert_eq!(refusal(input.as_bytes()), too_long, "{verb} {end:?}");
        }
    }
    let fits = format!("SUB {} 1", "a".repeat(98));
    assert_eq!(operations(fits.as_bytes()).1, None);
    assert_eq!(operations(format!("{fits}\r").as_bytes()).1, None);
    assert_eq!(operations(format!("{fits}\r\n").as_bytes()).0.len(), 1);
    assert_eq!(operations(format!("SUB    {}\r\n", &fits[4..]).as_bytes()).0.len(), 1);
    assert_eq!(refusal(format!("{fits} \r\n").as_bytes()), too_long);
}

#[test]
fn line_without_end_is_refused_whatever_it_is() {
    for start in ["PING", "PONG", "+OK", "SUB ", "PUB "] {
        let filler = if start.ends_with(' ') { " " } else { "x" };
        let input = format!("{start}{}", filler.repeat(250));
        let close = refusal(input.as_bytes());
        assert_eq!(close, Close::ControlLineTooLong { limit: 100 }, "{start}");
        assert_eq!(refusal(format!("{input}\r\n").as_bytes()), close, "{start}");
        assert_eq!(operations(&input.as_bytes()[..200]).1, None, "{start}");
    }
}
