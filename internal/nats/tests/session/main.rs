//! One connection, from its first byte to the reason it ends.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first error")]

mod deliveries;
mod ends;
mod identities;
mod orders;

use std::sync::Arc;
use std::time::Duration;

use pubsub_nats::{
    Action, Identity, Info, Outbox, Peer, Permissions, Session, Settings, SubId, Unrestricted,
};

const SECOND: Duration = Duration::from_secs(1);
const QUIET: &str = r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"protocol":1}"#;

/// A session and its outbox.
struct Client {
    session: Session,
    out: Outbox,
    now: Duration,
}

impl Client {
    /// A connection that has been greeted.
    fn new(settings: Settings) -> Self {
        let info = Info { max_payload: 1 << 20, headers: true, ..Info::default() };
        let peer = Peer { id: 9, ip: "1.2.3.4".into(), nonce: Some("n0nce".into()), seed: 7 };
        let now = SECOND * 1000;
        let session = Session::new(Arc::new(settings), Arc::new(info), peer, now);
        let mut client = Self { session, out: Outbox::default(), now };
        client.session.greet(&mut client.out);
        assert!(client.told().contains("\"nonce\":\"n0nce\""));
        client
    }

    /// One that is open, and knows that infos may come.
    fn open(settings: Settings) -> Self {
        let mut client = Self::new(settings);
        assert_eq!(client.send(QUIET), ["authorize"]);
        assert!(client.authorize(Identity::default()).is_none());
        client.send("PING");
        assert!(client.told().starts_with("PONG\r\nINFO {"));
        client
    }

    /// The words of the actions that one line leads to.
    fn send(&mut self, line: &str) -> Vec<String> {
        self.send_bytes(format!("{line}\r\n").as_bytes())
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut input = bytes;
        let actions = self.read(&mut input, &mut Unrestricted);
        assert!(input.is_empty() || self.session.is_closed(), "all of it is read");
        actions
    }

    fn read(&mut self, input: &mut &[u8], permissions: &mut impl Permissions) -> Vec<String> {
        let mut actions = Vec::new();
        while let Some(action) = self.session.poll(input, permissions, &mut self.out, self.now) {
            actions.push(word(&action));
        }
        actions
    }

    /// Subscribes, and says under what id.
    fn subscribe(&mut self, line: &str) -> SubId {
        let bytes = format!("SUB {line}\r\n").into_bytes();
        let action = self.session.poll(&mut &bytes[..], &mut Unrestricted, &mut self.out, self.now);
        let Some(Action::Subscribe { id, .. }) = action else { panic!("{action:?}") };
        id
    }

    fn authorize(&mut self, identity: Identity) -> Option<pubsub_nats::Close> {
        self.session.authorized(identity, &mut self.out)
    }

    /// Lets time pass; the reason of the end, if it comes.
    fn wait(&mut self, time: Duration) -> Option<&'static str> {
        let until = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= until) {
            self.now = due;
            if let Some(close) = self.session.handle_timeout(due, &mut self.out) {
                return Some(close.reason());
            }
        }
        self.now = until;
        None
    }

    /// What the client was told since it was last asked for.
    fn told(&mut self) -> String {
        let bytes: Vec<u8> = self.out.chunks().flatten().copied().collect();
        self.out.advance(bytes.len());
        String::from_utf8(bytes).unwrap()
    }
}

fn word(action: &Action<'_>) -> String {
    match action {
        Action::Authorize(Some(_)) => "authorize".to_owned(),
        Action::Authorize(None) => "authorize nobody".to_owned(),
        Action::Publish(message) => {
            format!("publish {} {}", message.subject, String::from_utf8_lossy(&message.body))
        }
        Action::Subscribe { filter, .. } => format!("subscribe {filter}"),
        Action::Unsubscribe(it) => format!("unsubscribe {}", it.subject()),
        Action::Close(close) => format!("close: {}", close.reason()),
    }
}
