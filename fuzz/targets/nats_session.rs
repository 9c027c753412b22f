//! A session of a NATS client in any order of events: nothing panics, session and shell agree on what
//! is subscribed, asked and over, and nothing grows without bound.
#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pubsub_fuzz::Input;
use pubsub_nats::{
    Action, Close, Delivered, Identity, Info, Outbox, Outgoing, Peer, Session, Settings, SubId,
    Unrestricted,
};

const PENDING_MAX: usize = 2000;
const SUBSCRIPTIONS_MAX: usize = 3;

struct Shell {
    session: Session,
    out: Outbox,
    input: Vec<u8>,
    routes: BTreeSet<SubId>,
    asked: bool,
    over: bool,
    now: Duration,
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let kind = input.byte();
    let settings = Settings {
        auth_required: kind & 1 != 0,
        has_default_user: kind & 2 != 0,
        headers: kind & 4 == 0,
        payload_max: 100,
        control_line_max: 200,
        pending_max: PENDING_MAX,
        subscriptions_max: SUBSCRIPTIONS_MAX,
        subscription_tokens_max: 4,
        ping_interval: Duration::from_secs(3),
        ..Settings::default()
    };
    let peer = Peer { id: 1, ip: "".into(), nonce: None, seed: 1 };
    let mut shell = Shell {
        session: Session::new(Arc::new(settings), Arc::new(Info::default()), peer, Duration::ZERO),
        out: Outbox::default(),
        input: Vec::new(),
        routes: BTreeSet::new(),
        asked: false,
        over: false,
        now: Duration::ZERO,
    };
    while !input.is_empty() {
        shell.happen(&mut input);
        shell.check();
    }
});

impl Shell {
    fn happen(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0 | 1 => {
                self.input.extend_from_slice(input.some());
                self.read();
            }
            2 | 3 => {
                let close = self.session.authorized(Identity::default(), &mut self.out);
                self.over |= close.is_some();
                self.asked = false;
                self.read();
            }
            4 => {
                self.now += Duration::from_secs(u64::from(input.byte() % 8));
                if self.session.poll_timeout().is_some_and(|due| due <= self.now) {
                    self.over |= self.session.handle_timeout(self.now, &mut self.out).is_some();
                }
            }
            5 => self.deliver(input.some()),
            6 => self.out.advance(input.number().min(self.out.pending())),
            _ => {
                self.over |= self.session.announce(Arc::default(), &mut self.out).is_some();
                if input.byte() == 0 {
                    self.session.close(Close::Kicked, &mut self.out);
                    self.over = true;
                }
            }
        }
    }

    fn deliver(&mut self, body: &[u8]) {
        let Some(id) = self.routes.first().copied() else { return };
        self.session.no_responders(id, "r", "s", &mut self.out);
        match self.session.deliver(id, &Outgoing::new("a", None, body, 0), &mut self.out) {
            Delivered::Sent => (),
            Delivered::Last(it) => assert!(self.routes.remove(&it.id())),
            Delivered::Gone => assert!(self.over),
            Delivered::Close(_) => self.over = true,
        }
    }

    fn read(&mut self) {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some(action) =
            self.session.poll(&mut rest, &mut Unrestricted, &mut self.out, self.now)
        {
            assert!(!self.over && !self.asked);
            match action {
                Action::Authorize(_) => self.asked = true,
                Action::Publish(message) => assert!(message.body.len() <= 100),
                Action::Subscribe { id, .. } => assert!(self.routes.insert(id)),
                Action::Unsubscribe(it) => assert!(self.routes.remove(&it.id())),
                Action::Close(_) => self.over = true,
            }
        }
        self.input = rest.to_vec();
        if self.over {
            self.input.clear();
        }
    }

    fn check(&self) {
        assert_eq!(self.session.is_closed(), self.over);
        let known: BTreeSet<SubId> = self.session.subscriptions().map(|it| it.id()).collect();
        assert_eq!(known, self.routes);
        assert!(known.len() <= SUBSCRIPTIONS_MAX);
        assert!(self.out.pending() <= PENDING_MAX + 1000);
        assert!(self.session.memory_bytes() <= 2000);
    }
}
