//! One node: its process, its configuration, and what can be asked of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use pubsub::ChannelName;
use pubsub_node::control::{
    Client, ClientError, NewMessage, OpenMode, Request, Response, StartFrom,
};
use pubsub_node::link::{LinkReport, LinkState, LinksStatus};
use pubsub_testkit::{Process, Source};
use serde_json::Value;
use tokio::time::{Interval, MissedTickBehavior};

use crate::net::{SOON, write};

const SERVER: &str = env!("CARGO_BIN_EXE_pubsub-server");

/// Time between two questions to a node that cannot wake us.
pub(crate) const PAUSE: Duration = Duration::from_millis(4);
/// Time between two publishes of a load, so that what is tested is not how fast this machine is.
const PACE: Duration = Duration::from_millis(1);

/// Leaves the others the processor between two questions.
pub(crate) fn pause(time: Duration) -> Interval {
    let mut pause = tokio::time::interval(time);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pause
}

/// A node in a directory of its own.
pub(crate) struct Node {
    home: PathBuf,
    /// Written at each start.
    pub(crate) config: Value,
    server: Option<Process>,
    listens: Option<SocketAddr>,
}

/// A message as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) origin: String,
    pub(crate) route: Vec<String>,
    pub(crate) text: String,
}

impl Node {
    pub(crate) fn new(home: PathBuf, config: Value) -> Self {
        Self { home, config, server: None, listens: None }
    }

    pub(crate) fn name(&self) -> &str {
        self.config["name"].as_str().unwrap()
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Where it listens for peers.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.listens.unwrap()
    }

    /// Writes the configuration as it is now.
    pub(crate) fn write_config(&self) {
        write(&self.home.join("pubsub.yaml"), &self.config.to_string());
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn spawn(&mut self) -> &mut Process {
        self.write_config();
        let mut command = std::process::Command::new(SERVER);
        command.args(["-c", "pubsub.yaml"]).current_dir(&self.home);
        self.server.insert(Process::spawn(&mut command).unwrap())
    }

    /// Starts it, and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let server = self.spawn();
        server.wait_for_line(Source::Stderr, "\"ready\"", SOON).unwrap();
        let output = server.output();
        let started = output.stderr.iter().find(|line| line.contains("links are started"));
        self.listens = started.and_then(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["listening"].as_str().unwrap().parse().ok()
        });
    }

    pub(crate) fn server(&mut self) -> &mut Process {
        self.server.as_mut().unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.server().kill().unwrap();
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        self.server().terminate().unwrap();
        let status = self.server().wait_for_exit(SOON).unwrap();
        assert!(status.success(), "{}", self.said());
    }

    /// All that the process has said.
    pub(crate) fn said(&self) -> String {
        self.server.as_ref().map_or_else(String::new, |server| server.output().to_string())
    }

    /// Waits for a line of its log with this in it.
    pub(crate) async fn says(&mut self, needle: &str) {
        if let Err(error) = self.server().wait_for_line(Source::Stderr, needle, SOON) {
            let links = tokio::time::timeout(SOON, self.links()).await;
            panic!("{error}\n{links:#?}");
        }
    }

    pub(crate) async fn client(&self) -> Client {
        let client = Client::connect_or_open(&self.data_dir(), &OpenMode::default()).await.unwrap();
        assert!(client.is_remote(), "{} does not run", self.name());
        client
    }

    pub(crate) async fn ask(&self, request: Request) -> Response {
        self.client().await.request(request, Bytes::new()).await.unwrap().0
    }

    pub(crate) async fn publish(&self, channel: &str, texts: &[&str]) -> Result<(), ClientError> {
        publish(&mut self.client().await, channel, texts).await
    }

    /// Publishes from now on, until told to stop or the node is gone.
    pub(crate) async fn load(&self, channel: &str) -> Load {
        let mut load = Load::default();
        let (acked, ended) = (load.acked.clone(), load.ended.clone());
        let (mut client, channel) = (self.client().await, channel.to_owned());
        let nth = std::process::id() ^ self.server.as_ref().unwrap().id();
        let task = tokio::spawn(async move {
            let mut pace = pause(PACE);
            for round in 0.. {
                pace.tick().await;
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let texts: Vec<String> = (0..5).map(|it| format!("{nth}-{round}-{it}")).collect();
                let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
                if publish(&mut client, &channel, &borrowed).await.is_err() {
                    return;
                }
                acked.lock().extend(texts);
            }
        });
        load.task = Some(task);
        load
    }

    /// Reads a channel from its start until `done`, which is asked whenever there is more.
    pub(crate) async fn read(
        &self,
        channel: &str,
        done: impl Fn(&[Message]) -> bool,
    ) -> Vec<Message> {
        let mut messages = Vec::new();
        let reading = async {
            let mut client = self.client().await;
            let name = ChannelName::new(channel).unwrap();
            let mut from = client.subscribe(name, None, StartFrom::FromStart).await.unwrap();
            while !done(&messages) {
                for (head, _headers, payload) in from.next().await.unwrap() {
                    assert_eq!(head.gap_to, None, "a gap in {channel} of {}", self.name());
                    messages.push(Message {
                        origin: head.origin,
                        route: head.route,
                        text: String::from_utf8(payload.to_vec()).unwrap(),
                    });
                }
            }
        };
        let in_time = tokio::time::timeout(SOON, reading).await;
        if in_time.is_err() {
            let links = tokio::time::timeout(SOON, self.links()).await;
            panic!(
                "{} has only {} messages in {channel}, the last: {:?}\n{links:#?}\n{}",
                self.name(),
                messages.len(),
                messages.last(),
                self.said()
            );
        }
        messages
    }

    /// Reads until there are `count` messages; there may be more.
    pub(crate) async fn texts(&self, channel: &str, count: usize) -> Vec<String> {
        let messages = self.read(channel, |messages| messages.len() >= count).await;
        messages.into_iter().map(|message| message.text).collect()
    }

    pub(crate) async fn links(&self) -> LinksStatus {
        match self.ask(Request::Links).await {
            Response::Links(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the links are as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&LinksStatus) -> bool) {
        let asking = async {
            let mut pause = pause(PAUSE);
            while !wanted(&self.links().await) {
                pause.tick().await;
            }
        };
        if tokio::time::timeout(SOON, asking).await.is_err() {
            let links = self.links().await;
            panic!("{}: {what} did not happen: {links:#?}\n{}", self.name(), self.said());
        }
    }

    /// Waits until there is a link that is up.
    pub(crate) async fn until_linked(&self) {
        self.until_links(1).await;
    }

    /// Waits until this many links are up.
    pub(crate) async fn until_links(&self, count: usize) {
        self.until("links", |links| links.links.iter().filter(|it| is_up(it)).count() >= count)
            .await;
    }

    /// Waits until all links are gone.
    pub(crate) async fn until_unlinked(&self) {
        self.until("the end of the links", |links| !links.links.iter().any(is_up)).await;
    }

    /// Waits for a line of the audit log with this event and this in it.
    pub(crate) async fn audits(&self, event: &str, needle: &str) -> Value {
        let waiting = async {
            let mut pause = pause(PAUSE * 10);
            loop {
                let lines = self.audit().into_iter();
                let is = |line: &Value| line["event"] == event && line.to_string().contains(needle);
                if let Some(line) = lines.rev().find(is) {
                    return line;
                }
                pause.tick().await;
            }
        };
        match tokio::time::timeout(SOON, waiting).await {
            Ok(line) => line,
            Err(_) => panic!(
                "no {event} with {needle:?} in the audit of {}: {:#?}\n{}",
                self.name(),
                self.audit(),
                self.said()
            ),
        }
    }

    /// The whole lines of the audit log.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.data_dir().join("audit/audit.jsonl"));
        let text = text.unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn is_up(link: &LinkReport) -> bool {
    link.state == LinkState::Established
}

async fn publish(client: &mut Client, channel: &str, texts: &[&str]) -> Result<(), ClientError> {
    let channel = ChannelName::new(channel).unwrap();
    let len = |text: &&str| u32::try_from(text.len()).unwrap();
    let messages: Vec<NewMessage> = texts
        .iter()
        .map(|it| NewMessage { payload_len: len(it), ..NewMessage::default() })
        .collect();
    let body = Bytes::from(texts.concat());
    client.request(Request::Publish { channel, messages }, body).await.map(drop)
}

/// What publishes in the background.
#[derive(Default)]
pub(crate) struct Load {
    acked: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Waits until this many more were acknowledged.
    pub(crate) async fn goes_on(&self, count: usize) {
        let wanted = self.acked.lock().len() + count;
        let waiting = async {
            let mut pause = pause(PAUSE);
            while self.acked.lock().len() < wanted {
                pause.tick().await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.unwrap();
    }

    /// Ends it; gives back what was acknowledged.
    pub(crate) async fn end(mut self) -> Vec<String> {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            tokio::time::timeout(SOON, task).await.unwrap().unwrap();
        }
        std::mem::take(&mut *self.acked.lock())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
