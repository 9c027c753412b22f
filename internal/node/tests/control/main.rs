//! The control socket against clients that are slow, old, many, or talk rubbish.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use pubsub_envelope::NewRecord;
use pubsub_messenger::SubscribeOptions;
use pubsub_node::Node;
use pubsub_node::control::{
    CLIENTS_MAX, Client, ErrorCode, HEAD_BYTES_MAX, OpenMode, Request, Response, SeekTo, Server,
    StartFrom,
};
use pubsub_node::subscription::{SubscriptionSettings, Subscriptions, Types};
use pubsub_storage::{Chosen, StoreOptions};
use pubsub_types::{ChannelName, SubscriberId};
use tokio::runtime::{Builder, Runtime};

struct World {
    runtime: Runtime,
    server: Server,
    node: Arc<Node>,
    dir: tempfile::TempDir,
}

fn orders() -> ChannelName {
    ChannelName::new("orders").unwrap()
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let node = Node::start("alice", dir.path(), StoreOptions::default()).unwrap();
        let server = runtime.block_on(async { Server::start(node.clone()) }).unwrap();
        Self { runtime, server, node, dir }
    }

    fn connect(&self) -> Peer {
        let stream = UnixStream::connect(self.server.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Peer(stream)
    }

    fn client(&self) -> Client {
        let mode = OpenMode::default();
        let opened = Client::connect_or_open(self.dir.path(), &mode);
        self.runtime.block_on(opened).unwrap()
    }

    fn publish(&self, payload: &[u8], times: usize) {
        let channel = self.node.channel(&orders()).unwrap();
        let record = NewRecord { payload, ..NewRecord::default() };
        for _ in 0..times {
            channel.append_blocking(&[record]).unwrap();
        }
    }
}

/// A client that says what it likes.
struct Peer(UnixStream);

impl Peer {
    fn say(&mut self, head: &str) {
        let head_len = u32::try_from(head.len()).unwrap();
        let frame = [&head_len.to_le_bytes()[..], &[0; 4], head.as_bytes()].concat();
        self.0.write_all(&frame).unwrap();
    }

    fn hear(&mut self) -> Option<Response> {
        let mut lengths = [0; 8];
        self.0.read_exact(&mut lengths).ok()?;
        let (head, body) = lengths.split_at(4);
        let len = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
        let mut frame = vec![0; len(head) + len(body)];
        self.0.read_exact(&mut frame).ok()?;
        Some(serde_json::from_slice(&frame[..len(head)]).unwrap())
    }

    fn hear_failure(&mut self) -> (ErrorCode, String) {
        match self.hear() {
            Some(Response::Failed(failure)) => (failure.code, failure.message),
            other => (ErrorCode::Failed, format!("no failure: {other:?}")),
        }
    }

    fn greet(&mut self) {
        self.say(r#"{"request":"hello","version":1,"client":"test"}"#);
        assert!(matches!(self.hear(), Some(Response::Hello { version: 1, .. })));
    }
}

#[test]
fn a_client_of_another_version_is_told_both_versions() {
    let world = World::new();
    let mut peer = world.connect();
    peer.say(r#"{"request":"hello","version":99,"client":"pubsub 9.9"}"#);
    let (code, message) = peer.hear_failure();
    assert_eq!(code, ErrorCode::Invalid);
    assert!(message.contains("pubsub 9.9 speaks version 99"), "{message}");
    assert!(message.contains("speaks 1"), "{message}");
    assert!(peer.hear().is_none(), "the connection ends");
}

#[test]
fn a_client_that_talks_rubbish_is_hung_up_on_and_others_are_served() {
    let world = World::new();
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0; 8]] {
        let mut peer = world.connect();
        peer.0.write_all(rubbish).unwrap();
        assert!(peer.hear().is_none());
    }
    let mut peer = world.connect();
    peer.greet();
    let claim = u32::try_from(HEAD_BYTES_MAX + 1).unwrap();
    peer.0.write_all(&[claim.to_le_bytes(), [0; 4]].concat()).unwrap();
    assert!(peer.hear().is_none(), "a head that is too long is not read");
    let mut peer = world.connect();
    peer.greet();
    peer.say(r#"{"request":"channel_list"}"#);
    assert!(matches!(peer.hear(), Some(Response::Channels { .. })));
}

#[test]
fn one_client_too_many_is_told_so_and_there_is_room_again_when_one_leaves() {
    let world = World::new();
    let mut peers: Vec<Peer> = (0..CLIENTS_MAX).map(|_| world.connect()).collect();
    peers.iter_mut().for_each(Peer::greet);
    assert_eq!(world.connect().hear_failure().0, ErrorCode::Busy);
    drop(peers);
    let again = (0..1000).any(|_| {
        let mut peer = world.connect();
        peer.say(r#"{"request":"hello","version":1,"client":"test"}"#);
        matches!(peer.hear(), Some(Response::Hello { .. }))
    });
    assert!(again);
}

#[test]
fn a_subscriber_that_does_not_read_holds_up_nobody_and_its_messages_stay_on_disk() {
    let world = World::new();
    let payload = vec![b'7'; 64 << 10];
    world.publish(&payload, 400);
    let before = resident_bytes();
    let mut slow: Vec<Peer> = (0..8).map(|_| world.connect()).collect();
    for peer in &mut slow {
        peer.greet();
        peer.say(r#"{"request":"subscribe","channel":"orders","id":null,"start":"from_start"}"#);
        assert!(matches!(peer.hear(), Some(Response::Subscribed { .. })));
    }
    world.publish(&payload, 400);
    let mut client = world.client();
    let read = world.runtime.block_on(async {
        let mut subscribed = client.subscribe(orders(), None, StartFrom::FromStart).await.unwrap();
        let mut read = 0;
        while read < 800 {
            read += subscribed.next().await.unwrap().len();
        }
        subscribed.stop().await.unwrap();
        read
    });
    assert_eq!(read, 800);
    // 8 x 50 MB wait to be sent; read ahead are 8 x a few hundred kB.
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 100 << 20, "grown by {grown} bytes");
    // Who was slow misses nothing.
    let mut messages = 0;
    while messages < 800 {
        match slow[0].hear() {
            Some(Response::Messages { messages: more }) => messages += more.len(),
            other => assert!(other.is_none(), "{other:?}"),
        }
    }
}

#[test]
fn a_request_that_was_taken_is_answered_when_the_node_stops() {
    let world = World::new();
    let (mut idle, mut busy) = (world.connect(), world.connect());
    idle.greet();
    busy.greet();
    busy.say(r#"{"request":"publish","channel":"orders","messages":[{"payload_len":0}]}"#);
    world.runtime.block_on(world.server.stop());
    let answer = busy.hear();
    let done = matches!(answer, Some(Response::Published(_)));
    let refused = matches!(&answer, Some(Response::Failed(it)) if it.code == ErrorCode::Stopping);
    let stored = world.node.channel(&orders()).unwrap().last_seq();
    assert!(done || refused, "{answer:?}");
    assert_eq!(stored, u64::from(done), "{answer:?}");
    assert_eq!(idle.hear_failure().0, ErrorCode::Stopping);
    assert!(!world.server.path().exists());
}

#[test]
fn a_client_goes_on_with_the_node_after_the_one_that_stopped() {
    let world = World::new();
    let mut client = world.client();
    assert!(client.is_remote());
    world.runtime.block_on(world.server.stop());
    world.node.close().unwrap();
    let World { runtime, server, node, dir } = world;
    drop((server, node));
    let request = Request::ChannelAdd { channel: orders(), chosen: Chosen::default() };
    let (answer, _) = runtime.block_on(client.request(request, bytes::Bytes::new())).unwrap();
    assert!(matches!(answer, Response::Done { .. }), "{answer:?}");
    assert!(!client.is_remote());
    assert!(dir.path().join("channels/orders").is_dir());
    runtime.block_on(client.close()).unwrap();
}

#[test]
fn a_subscriber_is_a_handler_or_a_client_and_the_second_is_told_who_has_it() {
    let world = World::new();
    let me = SubscriberId::new("me").unwrap();
    let subscriptions = Subscriptions::new(
        world.node.clone(),
        Arc::<Types>::default(),
        SubscriptionSettings::default(),
    );
    let prepare = || subscriptions.prepare(&orders(), &me, SubscribeOptions::stream());
    let mut client = world.client();
    assert!(client.is_remote());
    let process = format!("process {}", std::process::id());

    let handler = prepare().unwrap();
    world.runtime.block_on(async {
        let subscribed = client.subscribe(orders(), Some(me.clone()), StartFrom::New).await;
        let refused = subscribed.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::Conflict));
        assert!(refused.to_string().contains(&process), "{refused}");
        let seek = Request::SubscriberSeek {
            channel: orders(),
            id: me.clone(),
            to: SeekTo::Start,
            dry_run: false,
        };
        let refused = client.request(seek, bytes::Bytes::new()).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::Conflict), "{refused}");
        let list = Request::SubscriberInfo { channel: orders(), id: me.clone() };
        let (answer, _) = client.request(list, bytes::Bytes::new()).await.unwrap();
        assert!(matches!(answer, Response::Subscriber(info) if info.row.connected));
        let remove = Request::ChannelRemove { channel: orders(), dry_run: false };
        let refused = client.request(remove, bytes::Bytes::new()).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::Conflict), "{refused}");
    });

    drop(handler);
    world.runtime.block_on(async {
        let subscribed = client.subscribe(orders(), Some(me.clone()), StartFrom::New).await;
        let refused = prepare().unwrap_err().to_string();
        assert!(refused.contains(concat!("pubsub ", env!("CARGO_PKG_VERSION"))), "{refused}");
        assert!(refused.contains(&process), "{refused}");
        subscribed.unwrap().stop().await.unwrap();
    });
    drop(prepare().unwrap());
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10
}
