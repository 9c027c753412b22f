//! Any order of events, and any bytes: nothing panics, and what is promised holds.

use std::sync::Arc;

use proptest::prelude::*;
use pubsub_nats::{
    Action, Close, Identity, Info, Outbox, Outgoing, Peer, Session, Settings, SubId, Unrestricted,
};

use crate::SECOND;

/// Something that happens to a session.
#[derive(Clone, Debug)]
enum Event {
    Input(Vec<u8>),
    Authorized(usize),
    Refused,
    Time(u32),
    Deliver(usize, usize),
    NoResponders(usize),
    Announce,
    Written(usize),
    Review,
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":1,\"no_responders\":true}\r\n",
        "CONNECT {}\r\n",
        "CONNECT {\"protocol\":7}\r\n",
        "CONNECT {\"account\":\"x\"}\r\n",
        "CONNECT {",
        "PING\r\n",
        "PONG\r\n",
        "PUB a 2\r\nhi\r\n",
        "PUB a r 2\r\nhi\r\n",
        "PUB a.* 0\r\n\r\n",
        "PUB _GR_.x 0\r\n\r\n",
        "PUB a 9999\r\n",
        "HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
        "SUB a 1\r\n",
        "SUB a q 2\r\n",
        "SUB > 3\r\n",
        "SUB a..b 4\r\n",
        "SUB a _sys_ 5\r\n",
        "UNSUB 1\r\n",
        "UNSUB 1 2\r\n",
        "UNSUB 3 1\r\n",
        "+OK\r\n",
        "INFO {}\r\n",
        "-ERR 'x'\r\n",
        "FOO\r\n",
        "P",
        "\r\n",
    ]);
    prop_oneof![
        8 => prop::collection::vec(words, 1..4).prop_map(|words| words.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => input().prop_map(Event::Input),
        4 => (0usize..3).prop_map(Event::Authorized),
        1 => Just(Event::Refused),
        2 => (0u32..4).prop_map(Event::Time),
        4 => (0usize..4, 0usize..200).prop_map(|(id, size)| Event::Deliver(id, size)),
        1 => (0usize..4).prop_map(Event::NoResponders),
        1 => Just(Event::Announce),
        2 => (0usize..300).prop_map(Event::Written),
        1 => Just(Event::Review),
    ]
}

/// A session, and what a shell knows of it.
struct Shell {
    session: Session,
    out: Outbox,
    input: Vec<u8>,
    routes: Vec<SubId>,
    ends: usize,
    asked: bool,
}

const PENDING_MAX: usize = 2000;

impl Shell {
    fn new(auth_required: bool, has_default_user: bool) -> Self {
        let settings = Settings {
            auth_required,
            has_default_user,
            payload_max: 100,
            control_line_max: 200,
            pending_max: PENDING_MAX,
            subscriptions_max: 3,
            subscription_tokens_max: 4,
            ping_interval: SECOND * 3,
            ..Settings::default()
        };
        let peer = Peer { id: 1, ip: "".into(), nonce: None, seed: 1 };
        let info = Arc::new(Info::default());
        Self {
            session: Session::new(Arc::new(settings), info, peer, SECOND),
            out: Outbox::default(),
            input: Vec::new(),
            routes: Vec::new(),
            ends: 0,
            asked: false,
        }
    }

    fn happen(&mut self, event: &Event, now: &mut std::time::Duration) {
        match event {
            Event::Input(bytes) => {
                self.input.extend_from_slice(bytes);
                self.read(*now);
            }
            Event::Authorized(subscriptions_max) => {
                let subscriptions_max = Some(*subscriptions_max);
                let identity = Identity { subscriptions_max, ..Identity::default() };
                let close = self.session.authorized(identity, &mut self.out);
                self.ends += usize::from(close.is_some());
                self.asked = false;
                self.read(*now);
            }
            Event::Refused => {
                if self.asked && !self.session.is_closed() {
                    self.session.close(Close::AuthenticationFailure, &mut self.out);
                    (self.asked, self.ends) = (false, self.ends + 1);
                }
            }
            Event::Time(seconds) => {
                *now += SECOND * *seconds;
                let due = self.session.poll_timeout();
                if due.is_some_and(|due| due <= *now) {
                    let close = self.session.handle_timeout(*now, &mut self.out);
                    self.ends += usize::from(close.is_some());
                }
            }
            Event::Deliver(index, size) => {
                let Some(id) = self.routes.get(*index).copied() else { return };
                let body = vec![b'x'; *size];
                let message = Outgoing::new("a", Some("r"), &body, size / 2);
                match self.session.deliver(id, &message, &mut self.out) {
                    pubsub_nats::Delivered::Sent => (),
                    pubsub_nats::Delivered::Last(it) => self.forget(it.id()),
                    pubsub_nats::Delivered::Gone => assert!(self.session.is_closed()),
                    pubsub_nats::Delivered::Close(_) => self.ends += 1,
                }
            }
            Event::NoResponders(index) => {
                if let Some(id) = self.routes.get(*index) {
                    self.session.no_responders(*id, "r", "s", &mut self.out);
                }
            }
            Event::Announce => {
                let close = self.session.announce(Arc::default(), &mut self.out);
                self.ends += usize::from(close.is_some());
            }
            Event::Written(bytes) => self.out.advance((*bytes).min(self.out.pending())),
            Event::Review => {
                let lost = self.session.review(&mut Unrestricted, &mut self.out);
                assert!(lost.is_empty());
            }
        }
    }

    fn read(&mut self, now: std::time::Duration) {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some(action) = self.session.poll(&mut rest, &mut Unrestricted, &mut self.out, now)
        {
            assert_eq!(self.ends, 0, "nothing happens after the end");
            assert!(!self.asked, "nothing happens before the answer");
            match action {
                Action::Authorize(_) => self.asked = true,
                Action::Publish(message) => assert!(message.headers_len <= message.body.len()),
                Action::Subscribe { id, .. } => {
                    assert!(!self.routes.contains(&id));
                    self.routes.push(id);
                }
                Action::Unsubscribe(it) => self.forget(it.id()),
                Action::Close(_) => self.ends += 1,
            }
        }
        self.input = rest.to_vec();
    }

    fn forget(&mut self, id: SubId) {
        assert!(self.routes.contains(&id), "what ends has begun");
        self.routes.retain(|route| *route != id);
    }

    fn check(&self) {
        assert!(self.ends <= 1, "it ends once");
        assert_eq!(self.session.is_closed(), self.ends == 1);
        assert_eq!(self.session.is_authorizing(), self.asked && self.ends == 0);
        let mut known: Vec<SubId> = self.session.subscriptions().map(|it| it.id()).collect();
        let mut routes = self.routes.clone();
        known.sort_unstable();
        routes.sort_unstable();
        assert_eq!(known, routes, "the router knows what the session knows");
        assert!(routes.len() <= 3);
        assert!(self.out.pending() <= PENDING_MAX + 700, "{}", self.out.pending());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn session_and_shell_agree_whatever_happens(
        auth_required in any::<bool>(),
        has_default_user in any::<bool>(),
        events in prop::collection::vec(event(), 1..40),
    ) {
        let mut shell = Shell::new(auth_required, has_default_user);
        let mut now = SECOND;
        for event in &events {
            shell.happen(event, &mut now);
            shell.check();
        }
    }
}
