//! A shell for a link that is fed with anything: it does what the link wants, and watches it.

use std::sync::Arc;
use std::time::Duration;

use pubsub_envelope::{Kind, Meta, NewRecord, Record, binary};
use pubsub_federation::{
    Action, Coverage, EpochList, InSub, Inbound, Link, LogInfo, Message, NodeName, PeerPolicy,
    Piece, RefuseCode, SeenIds, Start, Via, resume,
};
use pubsub_types::Timestamp;
use uuid::Uuid;

use crate::{Input, orders};

/// Messages in the log that the shell sends from.
const MESSAGES: u64 = 40;

/// A shell, and the link that it drives.
pub struct Shell<L> {
    /// The link.
    pub link: L,
    /// What it wants to send, and nobody takes.
    pub sent: Vec<Message>,
    now: Duration,
    inbound: Inbound,
    ids: SeenIds,
    records: Vec<Record>,
    /// Positions not yet synced.
    unsynced: Vec<(InSub, u64)>,
    closed: bool,
}

impl<L: Link> Shell<L> {
    /// A shell for `link`, of a node named `hub`.
    pub fn new(link: L) -> Self {
        let me = NodeName::new("hub").expect("a plain name");
        let records = (1..=MESSAGES).map(|seq| record(seq, seq * 97 % 4000)).collect();
        let mut shell = Self {
            link,
            sent: Vec::new(),
            now: Duration::from_secs(1),
            inbound: Inbound::new(me, Uuid::from_u128(3), Coverage::new(4)),
            ids: SeenIds::new(8),
            records,
            unsynced: Vec::new(),
            closed: false,
        };
        shell.run();
        shell
    }

    /// The peer sends this.
    pub fn hear(&mut self, message: Message) {
        self.link.handle_message(message, self.now);
        self.run();
    }

    /// Something else happens, as the input says.
    pub fn disturb(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        match choice % 8 {
            0 => self.now += Duration::from_millis(u64::from(input.byte()) * 100),
            1 => {
                for (sub, seq) in std::mem::take(&mut self.unsynced) {
                    self.link.synced(sub, seq, self.now);
                }
            }
            2 => {
                if let Some((sub, seq)) = self.unsynced.pop() {
                    self.link.committed(sub, seq, self.now);
                }
            }
            3 => {
                if let Some((sub, _)) = self.unsynced.pop() {
                    self.link.failed(sub, "no space left", self.now);
                }
            }
            4 => self.link.channel_removed(&orders(), self.now),
            5 => self.link.channel(&orders(), &log(), self.now),
            6 => {
                let subscribe = if input.byte() % 2 == 0 {
                    Vec::new()
                } else {
                    vec![pubsub_types::Filter::new("other").expect("a plain name")]
                };
                let policy =
                    PeerPolicy { publish: subscribe.clone(), subscribe, ..Default::default() };
                self.link.set_policy(&policy, self.now);
            }
            _ => self.link.handle_close(u16::from(input.byte()) + 4300, "bye", self.now),
        }
        if self.link.deadline().is_some_and(|at| at <= self.now) {
            self.link.tick(self.now);
        }
        self.run();
    }

    fn run(&mut self) {
        // A link that wants something for ever is a fault.
        for _ in 0..100_000 {
            let Some(action) = self.link.poll_action() else { return };
            assert!(!self.closed, "{action:?} after the end");
            self.act(action);
        }
        panic!("the link never comes to rest");
    }

    fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Send(message) => self.sent.push(message),
            Action::Admit { .. } => self.link.admit(&PeerPolicy::default(), now),
            Action::ListChannels => self.link.channel(&orders(), &log(), now),
            Action::Open { sub, start, .. } => {
                self.link.opened(sub, resume(start, &log(), None), now);
            }
            Action::Read { sub, max_bytes } => {
                // Whoever reads too little, reads again: a message at a time is little enough.
                assert!(max_bytes > 0);
                let sent = self.link.status().sending;
                let after = sent.iter().find(|it| it.sub == sub).map_or(MESSAGES, |it| it.sent);
                match self.records.get(usize::try_from(after).unwrap_or(usize::MAX)) {
                    Some(record) => {
                        let mut pieces = std::iter::once(Piece::Record(record));
                        self.link.read(sub, &mut pieces, after + 1, after + 1 == MESSAGES, now);
                    }
                    None => self.link.read(sub, &mut std::iter::empty(), MESSAGES, true, now),
                }
            }
            Action::Offered { sub, channel, .. } => {
                if channel.as_str().len() > 20 {
                    self.link.refuse(sub, RefuseCode::NotWanted, "too long", now);
                } else {
                    self.link.subscribe(sub, Start::New, now);
                }
            }
            Action::Receive { sub, batch, .. } => {
                let peer = self.link.status().peer.expect("who sends is known").name;
                let via = Via { peer, origins: Default::default() };
                let mut dropped = 0;
                let accepted = self.inbound.judge(&via, &batch, &mut self.ids, |_, _| dropped += 1);
                assert_eq!(accepted.len() + dropped, batch.len());
                for record in accepted.records() {
                    let mut bytes = Vec::new();
                    binary::encode_record(&mut bytes, Kind::Message, 1, &record)
                        .expect("what is taken has room in the format");
                }
                self.unsynced.push((sub, batch.position().seq));
            }
            Action::Close(_) => self.closed = true,
            _ => (),
        }
    }
}

fn log() -> LogInfo {
    let epochs = Arc::new(EpochList(vec![(1, 1), (2, 20)]));
    LogInfo { log: Uuid::from_u128(7), epochs, first: 3, last: MESSAGES }
}

fn record(seq: u64, len: u64) -> Record {
    let payload = vec![b'7'; usize::try_from(len).unwrap_or(0)];
    let meta = Meta { origin: "hub", ..Meta::default() };
    let new = NewRecord { time: Timestamp(0), subject: "", headers: b"", payload: &payload, meta };
    let mut bytes = Vec::new();
    binary::encode_record(&mut bytes, Kind::Message, seq, &new).expect("a small record");
    binary::parse_record(&bytes).expect("it was just encoded").0.to_record()
}
