//! Messages for a client.

use pubsub_nats::{Delivered, Identity, Outgoing, Settings, SubId};

use crate::{Client, QUIET};

const HEADERS: &[u8] = b"NATS/1.0\r\nA: b\r\n\r\nhi";
const HEADERS_LEN: usize = HEADERS.len() - 2;

impl Client {
    fn deliver(&mut self, id: SubId, message: &Outgoing<'_>) -> &'static str {
        match self.session.deliver(id, message, &mut self.out) {
            Delivered::Sent => "sent",
            Delivered::Last(_) => "last",
            Delivered::Gone => "gone",
            Delivered::Close(_) => "close",
        }
    }
}

#[test]
fn message_arrives_under_the_name_that_the_client_gave() {
    let mut client = Client::open(Settings::default());
    let id = client.subscribe("a.* 17");
    assert_eq!(client.deliver(id, &Outgoing::new("a.b", None, b"hi", 0)), "sent");
    assert_eq!(client.told(), "MSG a.b 17 2\r\nhi\r\n");
    assert_eq!(client.deliver(id, &Outgoing::new("a.b", Some("r"), b"", 0)), "sent");
    assert_eq!(client.told(), "MSG a.b 17 r 0\r\n\r\n");
    assert_eq!(client.deliver(id, &Outgoing::new("a.b", None, HEADERS, HEADERS_LEN)), "sent");
    assert_eq!(client.told(), "HMSG a.b 17 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n");
    let traffic = client.session.traffic();
    assert_eq!((traffic.out_messages, traffic.out_bytes), (3, 22));
}

#[test]
fn client_without_headers_gets_the_payload_alone() {
    let mut client = Client::new(Settings::default());
    client.send(r#"CONNECT {"verbose":false}"#);
    assert!(client.authorize(Identity::default()).is_none());
    let id = client.subscribe("a 1");
    client.deliver(id, &Outgoing::new("a", None, HEADERS, HEADERS_LEN));
    assert_eq!(client.told(), "MSG a 1 2\r\nhi\r\n");
}

#[test]
fn subscription_with_a_maximum_ends_with_its_last_message() {
    let mut client = Client::open(Settings::default());
    let id = client.subscribe("a 1");
    let message = Outgoing::new("a", None, b"", 0);
    assert_eq!(client.deliver(id, &message), "sent");
    assert_eq!(client.send("UNSUB 1 3"), [""; 0]);
    assert_eq!(client.session.subscriptions().next().unwrap().max(), Some(3));
    let sent: Vec<_> = (0..4).map(|_| client.deliver(id, &message)).collect();
    assert_eq!(sent, ["sent", "last", "gone", "gone"]);
    assert_eq!(client.told().matches("MSG").count(), 3);
    assert_eq!(client.session.subscription_count(), 0);
}

#[test]
fn maximum_that_is_reached_already_ends_the_subscription_now() {
    let mut client = Client::open(Settings::default());
    let id = client.subscribe("a 1");
    let message = Outgoing::new("a", None, b"", 0);
    client.deliver(id, &message);
    client.deliver(id, &message);
    assert_eq!(client.send("UNSUB 1 2"), ["unsubscribe a"]);
    assert_eq!(client.deliver(id, &message), "gone");
}

#[test]
fn message_on_its_way_to_what_ended_does_not_reach_what_took_its_name() {
    let mut client = Client::open(Settings::default());
    let old = client.subscribe("a 1");
    client.send("UNSUB 1");
    let new = client.subscribe("b 1");
    assert_eq!(client.deliver(old, &Outgoing::new("a", None, b"", 0)), "gone");
    assert_eq!(client.deliver(new, &Outgoing::new("b", None, b"", 0)), "sent");
    assert_eq!(client.told(), "MSG b 1 0\r\n\r\n");
}

#[test]
fn requestor_is_told_that_nobody_listens_if_it_wants_to_know() {
    let mut client = Client::open(Settings::default());
    let id = client.subscribe("i.> 7");
    client.session.no_responders(id, "i.1", "nobody", &mut client.out);
    assert_eq!(client.told(), "", "it did not ask for it");

    client.send(&QUIET.replace('}', ",\"no_responders\":true}"));
    assert!(client.authorize(Identity::default()).is_none());
    let id = client.subscribe("i.> 7");
    client.send("UNSUB 7 1");
    for _ in 0..3 {
        client.session.no_responders(id, "i.1", "nobody", &mut client.out);
        assert_eq!(
            client.told(),
            "HMSG i.1 7 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"
        );
    }
    assert_eq!(client.session.subscription_count(), 1, "it does not count as a message");
}

#[test]
fn published_message_borrows_from_the_input_unless_a_header_is_taken_out() {
    let mut client = Client::open(Settings::default());
    assert_eq!(client.send("PUB a 2\r\nhi"), ["publish a hi"]);
    let lie = "NATS/1.0\r\nNats-Request-Info: {}\r\n\r\n";
    let line = format!("HPUB a {} {}\r\n{lie}hi", lie.len(), lie.len() + 2);
    assert_eq!(client.send(&line), ["publish a NATS/1.0\r\n\r\nhi"]);
    let traffic = client.session.traffic();
    assert_eq!((traffic.in_messages, traffic.in_bytes), (2, 4 + lie.len() as u64));
}
