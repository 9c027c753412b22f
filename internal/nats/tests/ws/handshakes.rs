//! Who gets a WebSocket, and who an error.

use pubsub_nats::ws::{Accepted, Origin, Policy, REQUEST_MAX_BYTES, Refusal, Request};

const HEADERS: &str = "Host: a.example:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn request(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\n{headers}\r\n")
}

fn accept(request: &str, policy: &Policy) -> Result<Accepted, Refusal> {
    Request::parse(request.as_bytes())?.expect("it is whole").accept(policy)
}

fn more(line: &str) -> String {
    request(&format!("{HEADERS}{line}\r\n"))
}

fn policy() -> Policy {
    Policy { compression: true, ..Policy::default() }
}

#[test]
fn handshake_is_answered_as_nats_server_answers_it() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
        client_no_context_takeover\r\n";
    let accepted = accept(&request(HEADERS), &policy()).unwrap();
    assert_eq!(String::from_utf8(accepted.response).unwrap(), format!("{answer}\r\n"));
    assert!(!accepted.deflate && !accepted.unmasked);

    let offer = more("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits");
    let with_header = Policy { headers: vec![("X-A".into(), "b".into())], ..policy() };
    let accepted = accept(&offer, &with_header).unwrap();
    let expected = format!("{answer}{deflate}X-A: b\r\n\r\n");
    assert_eq!(String::from_utf8(accepted.response).unwrap(), expected);
    assert!(accepted.deflate);
    assert!(!accept(&offer, &Policy::default()).unwrap().deflate, "it is not configured");

    let accepted = accept(&more("Nats-No-Masking: true"), &policy()).unwrap();
    assert!(accepted.unmasked);
    assert!(
        String::from_utf8(accepted.response).unwrap().contains("\r\nNats-No-Masking: true\r\n")
    );
}

#[test]
fn words_may_be_listed_and_in_any_case() {
    for (from, to) in [
        ("Connection: Upgrade", "connection: keep-alive, UPGRADE"),
        ("Upgrade: websocket", "UPGRADE: WebSocket"),
        ("Upgrade: websocket", "Upgrade:\twebsocket \t"),
    ] {
        accept(&request(&HEADERS.replace(from, to)), &policy()).unwrap();
    }
    accept(&request(HEADERS).replace("GET / ", "GET /any/thing?x=1 "), &policy()).unwrap();
    accept(&request(HEADERS).replace("HTTP/1.1", "HTTP/1.0"), &policy()).unwrap();
}

#[test]
fn wrong_requests_are_refused_with_the_status_that_nats_server_gives() {
    let without = |line: &str| {
        let start = HEADERS.find(line).unwrap();
        let end = start + HEADERS[start..].find("\r\n").unwrap() + 2;
        request(&format!("{}{}", &HEADERS[..start], &HEADERS[end..]))
    };
    let changed = |from: &str, to: &str| request(HEADERS).replace(from, to);
    for (request, status, text) in [
        (changed("GET", "POST"), 405, "request method must be GET"),
        (
            changed("GET / ", "GET /mqtt "),
            404,
            "there is no WebSocket for NATS clients at this path",
        ),
        (
            changed("GET / ", "GET /leafnode "),
            404,
            "there is no WebSocket for NATS clients at this path",
        ),
        (without("Host"), 400, "invalid value for header 'Host'"),
        (without("Upgrade"), 400, "invalid value for header 'Upgrade'"),
        (without("Connection"), 400, "invalid value for header 'Connection'"),
        (without("Sec-WebSocket-Key"), 400, "invalid value for header 'Sec-WebSocket-Key'"),
        (without("Sec-WebSocket-Version"), 400, "invalid value for header 'Sec-WebSocket-Version'"),
        (
            changed("dGhlIHNhbXBsZSBub25jZQ==", "abc"),
            400,
            "invalid value for header 'Sec-WebSocket-Key'",
        ),
        (
            changed("Version: 13", "Version: 12"),
            400,
            "invalid value for header 'Sec-WebSocket-Version'",
        ),
    ] {
        let refusal = accept(&request, &policy()).unwrap_err();
        assert_eq!(refusal.to_string(), text);
        let response = String::from_utf8(refusal.response()).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())));
        assert!(head.contains("\r\nSec-WebSocket-Version: 13"));
    }
}

#[test]
fn what_is_no_http_is_refused_at_once() {
    for input in [
        "\x16\x03\x01\x02",
        "CONNECT {}\r\n",
        "GET\r\n",
        "GET / HTTP/2.0\r\n",
        "GET / HTTP/1.1 x\r\n",
        " / HTTP/1.1\r\n",
        "GET x HTTP/1.1\r\n",
        "GET /\0 HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
    ] {
        assert_eq!(Request::parse(input.as_bytes()).unwrap_err(), Refusal::Malformed, "{input:?}");
    }
    assert_eq!(
        Request::parse(b"GET / HTTP/1.1\r\nA: \xff\r\n\r\n").unwrap_err(),
        Refusal::Malformed
    );
}

#[test]
fn request_is_waited_for_and_has_an_end() {
    let whole = request(HEADERS);
    for end in 0..whole.len() {
        assert!(Request::parse(&whole.as_bytes()[..end]).unwrap().is_none(), "{end}");
    }
    let early = format!("{whole}\u{2}");
    assert_eq!(Request::parse(early.as_bytes()).unwrap_err(), Refusal::EarlyData);
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(REQUEST_MAX_BYTES));
    assert_eq!(Request::parse(endless.as_bytes()).unwrap_err(), Refusal::TooLong);
    assert!(Request::parse(&endless.as_bytes()[..REQUEST_MAX_BYTES - 1]).unwrap().is_none());
}

#[test]
fn compression_is_agreed_on_only_as_it_can_be_kept() {
    for (offer, agreed) in [
        ("permessage-deflate", true),
        ("permessage-deflate; client_max_window_bits", true),
        ("permessage-deflate; client_max_window_bits=10", true),
        ("permessage-deflate; server_max_window_bits=15", true),
        ("foo, permessage-deflate; server_no_context_takeover; client_no_context_takeover", true),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", true),
        ("permessage-deflate; server_max_window_bits=10", false),
        ("permessage-deflate; server_max_window_bits", false),
        ("permessage-deflate; client_max_window_bits=7", false),
        ("permessage-deflate; foo=1", false),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", false),
        ("x-webkit-deflate-frame", false),
        ("", false),
    ] {
        let request = more(&format!("Sec-WebSocket-Extensions: {offer}"));
        assert_eq!(accept(&request, &policy()).unwrap().deflate, agreed, "{offer}");
    }
}

#[test]
fn pages_come_from_where_they_may() {
    let listed = Policy {
        allowed_origins: ["http://ok.example:80", "https://sec.example"]
            .map(|origin| Origin::parse(origin).unwrap())
            .into(),
        ..policy()
    };
    let same = Policy { same_origin: true, ..policy() };
    let both = Policy { same_origin: true, ..listed.clone() };
    let not_same = Some("origin not allowed: not same origin");
    let not_listed = Some("origin not allowed: not in the allowed list");
    for (policy, origin, refused) in [
        (&Policy::default(), "http://evil.example", None),
        (&Policy::default(), "null", None),
        (&listed, "http://ok.example", None),
        (&listed, "HTTP://OK.example:80", None),
        (&listed, "https://sec.example:443", None),
        (&listed, "https://ok.example", not_listed),
        (&listed, "http://ok.example:81", not_listed),
        (&listed, "http://ok.example.evil", not_listed),
        (&listed, "null", Some("origin not allowed: it is no origin")),
        (&same, "http://a.example:8080", None),
        (&same, "http://A.example:8080", None),
        (&same, "http://a.example", not_same),
        (&same, "http://b.example:8080", not_same),
        (&both, "http://a.example:8080", not_listed),
        (&both, "http://ok.example", not_same),
    ] {
        let found = accept(&more(&format!("Origin: {origin}")), policy);
        assert_eq!(found.err().map(|refusal| refusal.to_string()).as_deref(), refused, "{origin}");
    }
    accept(&request(HEADERS), &both).unwrap();
}

#[test]
fn credentials_and_addresses_are_found_in_the_headers() {
    let text = more(
        "Cookie: a=1; jwt=ey.J0; quoted=\"x y\"\r\nCookie: b=2\r\nAuthorization: bearer  t0ken \r\n\
         X-Forwarded-For: 2001:db8::1, 10.0.0.1",
    );
    let request = Request::parse(text.as_bytes()).unwrap().unwrap();
    assert_eq!(request.cookie("jwt"), Some("ey.J0"));
    assert_eq!(request.cookie("quoted"), Some("x y"));
    assert_eq!(request.cookie("b"), Some("2"));
    assert_eq!(request.cookie("wt"), None);
    assert_eq!(request.bearer(), Some("t0ken"));
    assert_eq!(request.forwarded_for(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(request.path(), "/");
}
