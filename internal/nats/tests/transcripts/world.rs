//! A server of one connection: a session, a router and users, each as simple as can be.

use std::sync::Arc;
use std::time::Duration;

use pubsub_nats::{
    Action, Close, Connect, Delivered, Identity, Info, Outbox, Outgoing, Peer, Permissions,
    Session, Settings, SubId,
};

/// The time, always.
const NOW: Duration = Duration::from_secs(100);

/// One connection and everything around it.
pub(crate) struct World {
    session: Session,
    out: Outbox,
    input: Vec<u8>,
    user: User,
    users: &'static [(&'static str, &'static str, User)],
    default_user: Option<User>,
    routes: Vec<(SubId, String, bool)>,
    closed: Option<Close>,
}

/// What a user may do: subjects that are allowed, one that is not.
#[derive(Clone, Copy)]
pub(crate) struct User {
    publish: &'static [&'static str],
    subscribe: &'static [(&'static str, &'static str)],
    deny: &'static str,
}

const ANYTHING: User = User { publish: &[">"], subscribe: &[(">", "")], deny: "" };

/// As in `users.conf`.
const USERS: &[(&str, &str, User)] = &[
    ("a", "b", ANYTHING),
    ("p", "p", User { publish: &["ok.>"], subscribe: &[("ok.>", ""), ("q", "qq")], deny: "ok.no" }),
];

impl Permissions for User {
    fn may_publish(&mut self, subject: &str) -> bool {
        // Who has no permissions may do everything, and nobody looks at the subject.
        if self.publish == ANYTHING.publish {
            return true;
        }
        self.publish.iter().any(|allowed| matches(allowed, subject)) && subject != self.deny
    }

    fn may_subscribe(&mut self, subject: &str, queue: Option<&str>) -> bool {
        if self.subscribe == ANYTHING.subscribe {
            return true;
        }
        let allowed = self.subscribe.iter().any(|(allowed, group)| {
            matches(allowed, subject) && (group.is_empty() || queue == Some(group))
        });
        allowed && subject != self.deny
    }
}

impl World {
    /// As `open.conf`.
    pub(crate) fn open() -> Self {
        Self::new(Settings::default(), &[], Some(ANYTHING))
    }

    /// As `users.conf`.
    pub(crate) fn users() -> Self {
        let settings = Settings {
            auth_required: true,
            subscriptions_max: 3,
            subscription_tokens_max: 4,
            payload_max: 1000,
            control_line_max: 200,
            ..Settings::default()
        };
        Self::new(settings, USERS, None)
    }

    /// As `default-user.conf`.
    pub(crate) fn default_user() -> Self {
        let settings =
            Settings { auth_required: true, has_default_user: true, ..Settings::default() };
        Self::new(settings, USERS, Some(ANYTHING))
    }

    /// As `no-headers.conf`.
    pub(crate) fn no_headers() -> Self {
        Self::new(Settings { headers: false, ..Settings::default() }, &[], Some(ANYTHING))
    }

    fn new(
        settings: Settings,
        users: &'static [(&'static str, &'static str, User)],
        default_user: Option<User>,
    ) -> Self {
        let info = Info {
            headers: settings.headers,
            auth_required: settings.auth_required,
            max_payload: i64::try_from(settings.payload_max).unwrap(),
            ..Info::default()
        };
        let peer = Peer { id: 5, ip: "127.0.0.1".into(), nonce: None, seed: 7 };
        Self {
            session: Session::new(Arc::new(settings), Arc::new(info), peer, NOW),
            out: Outbox::default(),
            input: Vec::new(),
            user: User { publish: &[], subscribe: &[], deny: "" },
            users,
            default_user,
            routes: Vec::new(),
            closed: None,
        }
    }

    /// The first bytes of a connection.
    pub(crate) fn greeting(&mut self) -> Vec<u8> {
        self.session.greet(&mut self.out);
        self.sent()
    }

    /// Why the session ended.
    pub(crate) fn closed(&self) -> Option<&'static str> {
        self.closed.map(|close| close.reason())
    }

    /// What comes back for one piece of input.
    pub(crate) fn send(&mut self, piece: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(piece);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some(action) = self.session.poll(&mut rest, &mut self.user, &mut self.out, NOW) {
            self.act(action);
        }
        self.input = rest.to_vec();
        self.sent()
    }

    fn sent(&mut self) -> Vec<u8> {
        let bytes: Vec<u8> = self.out.chunks().flatten().copied().collect();
        self.out.advance(bytes.len());
        bytes
    }

    fn act(&mut self, action: Action<'_>) {
        match action {
            Action::Authorize(connect) => self.authorize(connect.as_deref()),
            Action::Publish(message) => {
                let outgoing = Outgoing::new(
                    message.subject,
                    message.reply,
                    &message.body,
                    message.headers_len,
                );
                self.route(&outgoing);
            }
            Action::Subscribe { id, filter, queue } => {
                self.routes.push((id, filter.to_string(), queue.is_some()));
            }
            Action::Unsubscribe(subscription) => self.forget(subscription.id()),
            Action::Close(close) => self.closed = Some(close),
        }
    }

    fn authorize(&mut self, connect: Option<&Connect>) {
        let named = connect.and_then(|it| Some((it.user.as_deref()?, it.pass.as_ref()?.expose())));
        let user = match named {
            Some(named) if !self.users.is_empty() => self
                .users
                .iter()
                .find(|(user, pass, _)| (*user, *pass) == named)
                .map(|(_, _, user)| *user),
            _ => self.default_user,
        };
        let Some(user) = user else {
            self.session.close(Close::AuthenticationFailure, &mut self.out);
            self.closed = Some(Close::AuthenticationFailure);
            return;
        };
        self.user = user;
        let identity = Identity { account: "$G".into(), ..Identity::default() };
        self.closed = self.session.authorized(identity, &mut self.out);
    }

    fn route(&mut self, message: &Outgoing<'_>) {
        let wanted = |(_, subject, _): &&(SubId, String, bool)| matches(subject, message.subject());
        let mut ids: Vec<SubId> = self.routes.iter().filter(wanted).map(|route| route.0).collect();
        if !self.session.echo() {
            ids.clear();
        }
        for id in &ids {
            match self.session.deliver(*id, message, &mut self.out) {
                Delivered::Sent => (),
                Delivered::Last(subscription) => self.forget(subscription.id()),
                Delivered::Gone => panic!("what is gone is not routed"),
                Delivered::Close(close) => self.closed = Some(close),
            }
        }
        let Some(reply) = message.reply().filter(|_| ids.is_empty()) else { return };
        if let Some((id, ..)) =
            self.routes.iter().find(|(_, subject, queue)| !queue && matches(subject, reply))
        {
            self.session.no_responders(*id, reply, message.subject(), &mut self.out);
        }
    }

    fn forget(&mut self, id: SubId) {
        let before = self.routes.len();
        self.routes.retain(|route| route.0 != id);
        assert_eq!(self.routes.len() + 1, before, "what ends was there");
    }
}

/// Whether the subject of a message matches that of a subscription. What is empty matches nothing.
fn matches(filter: &str, subject: &str) -> bool {
    let mut wanted = filter.split('.');
    let mut tokens = subject.split('.');
    if subject.split('.').any(str::is_empty) {
        return false;
    }
    loop {
        match (wanted.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(want), Some(token)) if want == "*" || want == token => (),
            _ => return false,
        }
    }
}
