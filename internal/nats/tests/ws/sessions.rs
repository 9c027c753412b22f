//! A session behind a WebSocket, from the handshake to the close.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pubsub_nats::ws::{Policy, Pool, Request, WebSocket, WsLimits, WsRead, close_code};
use pubsub_nats::{
    Action, Close, Identity, Info, Outbox, Outgoing, Peer, Session, Settings, Unrestricted,
};

use crate::{deflated, parse};

const NOW: Duration = Duration::from_secs(1);
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

#[test]
fn client_connects_subscribes_hears_and_is_told_why_it_is_over() {
    let policy = Policy { compression: true, ..Policy::default() };
    let accepted = Request::parse(REQUEST).unwrap().unwrap().accept(&policy).unwrap();
    let mut ws = WebSocket::new(&accepted, WsLimits::before_connect(4096, 1 << 20));
    let (mut out, mut wire, mut pool) = (Outbox::default(), Outbox::default(), Pool::default());
    let peer = Peer { id: 1, ip: "1.2.3.4".into(), nonce: None, seed: 7 };
    let settings = Arc::new(Settings { auth_required: true, ..Settings::default() });
    let mut session = Session::new(settings, Arc::new(Info::default()), peer, NOW);
    session.greet(&mut out);

    let input = [
        deflated(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n"),
        deflated(b"SUB a.* 1\r\nPUB a.b 200\r\n"),
        deflated(&[b'x'; 200]),
        deflated(b"\r\nFOO\r\n"),
    ]
    .concat();
    let (mut input, mut data, mut routes, mut end) =
        (&input[..], BytesMut::new(), Vec::new(), None);
    while end.is_none() {
        let read = ws.read(&mut input, &mut data, 8192, &mut pool).unwrap();
        let block = data.split().freeze();
        let mut rest = &block[..];
        while let Some(action) = session.poll(&mut rest, &mut Unrestricted, &mut out, NOW) {
            match action {
                Action::Authorize(_) => {
                    assert!(session.authorized(Identity::default(), &mut out).is_none());
                    ws.set_limits(WsLimits::open(1 << 20));
                }
                Action::Subscribe { id, .. } => routes.push(id),
                Action::Publish(message) => {
                    let outgoing = Outgoing::new(message.subject, None, &message.body, 0);
                    for id in &routes {
                        let _sent = session.deliver(*id, &outgoing, &mut out);
                    }
                }
                Action::Unsubscribe(_) => panic!("nothing ends"),
                Action::Close(close) => end = Some(close),
            }
        }
        data.extend_from_slice(rest);
        assert_ne!(read, WsRead::Closed);
    }
    let close = end.unwrap();
    ws.write(&mut out, &mut wire, &mut pool);
    ws.close(close_code(&close), close.reason(), &mut wire);

    let bytes: Vec<u8> = wire.chunks().flatten().copied().collect();
    let mut frames = parse(&bytes);
    let last = [&1002u16.to_be_bytes()[..], b"Protocol Violation"].concat();
    assert_eq!(frames.pop(), Some((0x88, last)));
    assert!(frames.iter().all(|(first, _)| *first == 0xc2));
    let told: Vec<u8> = frames.into_iter().flat_map(|(_, part)| part).collect();
    let told = String::from_utf8(told).unwrap();
    let expected = format!(
        "PONG\r\nMSG a.b 1 200\r\n{}\r\n-ERR 'Unknown Protocol Operation'\r\n",
        "x".repeat(200)
    );
    assert!(told.starts_with("INFO {") && told.ends_with(&expected), "{told}");
}

/// The first three, as nats-server was seen to choose them.
#[test]
fn every_reason_has_its_status() {
    for (close, code) in [
        (Close::PayloadTooLarge { size: 2, limit: 1 }, 1009),
        (Close::ControlLineTooLong { limit: 1 }, 1008),
        (Close::Shutdown, 1001),
        (Close::ClientClosed, 1000),
        (Close::UnknownOperation, 1002),
        (Close::AuthenticationFailure, 1008),
        (Close::TlsHandshakeFailure, 1015),
    ] {
        assert_eq!(close_code(&close), code, "{close}");
    }
}
