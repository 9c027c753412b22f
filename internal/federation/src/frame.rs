//! Frames: what two nodes say to each other, one WebSocket message each.
//!
//! ```text
//!   dialer                                  listener
//!     HELLO ─────────────────────────────▶
//!       ◀───────────────────────────── WELCOME
//!   then either way, for each channel:
//!     sender                               receiver
//!     OFFER ─────────────────────────────▶
//!       ◀──────────────────── SUBSCRIBE, or REFUSE
//!     BATCH, BATCH, BATCH … ─────────────▶
//!       ◀────────────────────────────────── ACK
//!     WITHDRAW ──────────────────────────▶
//! ```
//!
//! A type, then fields. Nothing is taken from a length before it was checked against what is there, and
//! against its own limit.

use pubsub_types::{ChannelName, Filter, SUBJECT_MAX_BYTES};
use uuid::Uuid;

use crate::action::{Position, Start};
use crate::batch::BatchHead;
use crate::name::NODE_NAME_MAX_BYTES;
use crate::wire::{BadFrame, Reader, put_bytes, put_number};

/// The version of the protocol that we speak.
pub(crate) const VERSION: u64 = 1;

/// Longest channel name in a frame, in bytes: a dead-letter channel's, so that it can be refused.
const CHANNEL_MAX_BYTES: usize = 255;
const AGENT_MAX_BYTES: usize = 255;
/// Longest text for people, in bytes. Ours is cut to it.
const TEXT_MAX_BYTES: usize = 1024;
const FILTERS_MAX: usize = 4096;

/// A peer can read compressed batches.
const FEATURE_LZ4: u64 = 1;
const FEATURE_EPHEMERAL: u64 = 2;

const BATCH_LZ4: u8 = 1;

/// Most bytes of a batch's frame before its records.
pub(crate) const BATCH_HEAD_MAX_BYTES: usize = 64;

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const OFFER: u8 = 3;
const SUBSCRIBE: u8 = 4;
const REFUSE: u8 = 5;
const WITHDRAW: u8 = 6;
const BATCH: u8 = 7;
const FRAGMENT: u8 = 8;
const ACK: u8 = 9;
const PING: u8 = 10;
const PONG: u8 = 11;
const CLOSE: u8 = 12;
const LISTS: u8 = 13;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) version: u64,
    pub(crate) name: String,
    pub(crate) node: Uuid,
    pub(crate) incarnation: u64,
    pub(crate) agent: String,
    pub(crate) lz4: bool,
    pub(crate) ephemeral: bool,
    /// Limits of what it takes.
    pub(crate) frame_max: u64,
    pub(crate) message_max: u64,
    pub(crate) window: u64,
    pub(crate) heartbeat_ms: u64,
    pub(crate) lists: WireLists,
}

/// What the dialer receives and what it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireLists {
    pub(crate) subscribe: Vec<Filter>,
    pub(crate) publish: Vec<Filter>,
}

/// One frame. Texts and bytes are those of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// The dialer's greeting, the first frame of all.
    Hello(Greeting),
    /// The listener's, with the effective lists.
    Welcome(Greeting),
    /// The sender has a channel.
    Offer { sub: u32, channel: &'a str, end: Position, first: u64 },
    /// The receiver wants it.
    Subscribe { sub: u32, start: Start },
    /// The receiver does not want it, or no longer.
    Refuse { sub: u32, code: u8, text: &'a str },
    /// The sender takes the offer back.
    Withdraw { sub: u32, code: u8, text: &'a str },
    /// Messages; `inflated` is the length of the records when they are compressed.
    Batch { sub: u32, head: BatchHead, inflated: Option<u64>, records: &'a [u8] },
    /// A part of a frame that is longer than a frame.
    Fragment { more: bool, bytes: &'a [u8] },
    /// Positions in the sender's log, and bytes of batches consumed on the whole link.
    Ack { sub: u32, committed: u64, durable: u64, credit: u64 },
    /// A sign of life that wants an answer.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// The end.
    Close { code: u16, text: &'a str },
    /// The listener's allowlist changed.
    Lists(WireLists),
}

impl<'a> Frame<'a> {
    /// Appends the frame to `out`. A batch is encoded by [`put_batch_head`].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(greeting) => greeting.encode(HELLO, out),
            Self::Welcome(greeting) => greeting.encode(WELCOME, out),
            Self::Offer { sub, channel, end, first } => {
                put_type(out, OFFER, *sub);
                put_bytes(out, channel.as_bytes());
                put_position(out, end);
                put_number(out, *first);
            }
            Self::Subscribe { sub, start } => {
                put_type(out, SUBSCRIBE, *sub);
                put_start(out, start);
            }
            Self::Refuse { sub, code, text } => {
                put_type(out, REFUSE, *sub);
                out.push(*code);
                put_text(out, text);
            }
            Self::Withdraw { sub, code, text } => {
                put_type(out, WITHDRAW, *sub);
                out.push(*code);
                put_text(out, text);
            }
            Self::Batch { sub, head, inflated, records } => {
                put_batch_head(out, *sub, head, *inflated);
                out.extend_from_slice(records);
            }
            Self::Fragment { more, bytes } => {
                out.extend_from_slice(&[FRAGMENT, u8::from(*more)]);
                out.extend_from_slice(bytes);
            }
            Self::Ack { sub, committed, durable, credit } => {
                put_type(out, ACK, *sub);
                // What is synced is mostly little behind.
                put_number(out, *committed);
                put_number(out, committed.saturating_sub(*durable));
                put_number(out, *credit);
            }
            Self::Ping(nonce) => {
                out.push(PING);
                put_number(out, *nonce);
            }
            Self::Pong(nonce) => {
                out.push(PONG);
                put_number(out, *nonce);
            }
            Self::Close { code, text } => {
                out.push(CLOSE);
                put_number(out, u64::from(*code));
                put_text(out, text);
            }
            Self::Lists(lists) => {
                out.push(LISTS);
                lists.encode(out);
            }
        }
    }

    /// The frame in `bytes`.
    ///
    /// # Errors
    /// The bytes are no frame, or one with a field beyond its limit.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let mut reader = Reader::new(bytes);
        let kind = reader.byte("type")?;
        let frame = match kind {
            // What a later version says behind its greeting is not for us.
            HELLO => return Greeting::decode(&mut reader).map(Self::Hello),
            WELCOME => return Greeting::decode(&mut reader).map(Self::Welcome),
            OFFER => Self::Offer {
                sub: reader.u32("sub")?,
                channel: reader.text("channel", CHANNEL_MAX_BYTES)?,
                end: read_position(&mut reader)?,
                first: reader.number("first")?,
            },
            SUBSCRIBE => {
                Self::Subscribe { sub: reader.u32("sub")?, start: read_start(&mut reader)? }
            }
            REFUSE => Self::Refuse {
                sub: reader.u32("sub")?,
                code: reader.byte("code")?,
                text: reader.text("text", TEXT_MAX_BYTES)?,
            },
            WITHDRAW => Self::Withdraw {
                sub: reader.u32("sub")?,
                code: reader.byte("code")?,
                text: reader.text("text", TEXT_MAX_BYTES)?,
            },
            BATCH => return read_batch(reader),
            FRAGMENT => {
                let more = match reader.byte("more")? {
                    0 => false,
                    1 => true,
                    _ => return Err(BadFrame::Invalid("more")),
                };
                return Ok(Self::Fragment { more, bytes: reader.left() });
            }
            ACK => {
                let sub = reader.u32("sub")?;
                let committed = reader.number("committed")?;
                let behind = reader.number("durable")?;
                let durable = committed.checked_sub(behind).ok_or(BadFrame::Invalid("durable"))?;
                Self::Ack { sub, committed, durable, credit: reader.number("credit")? }
            }
            PING => Self::Ping(reader.number("nonce")?),
            PONG => Self::Pong(reader.number("nonce")?),
            CLOSE => {
                let code = reader.number_to("code", u64::from(u16::MAX))?;
                let code = u16::try_from(code).map_err(|_| BadFrame::Invalid("code"))?;
                Self::Close { code, text: reader.text("text", TEXT_MAX_BYTES)? }
            }
            LISTS => Self::Lists(WireLists::decode(&mut reader)?),
            _ => return Err(BadFrame::UnknownType(kind)),
        };
        reader.end()?;
        Ok(frame)
    }
}

impl Greeting {
    fn encode(&self, kind: u8, out: &mut Vec<u8>) {
        out.push(kind);
        put_number(out, self.version);
        put_bytes(out, self.name.as_bytes());
        out.extend_from_slice(self.node.as_bytes());
        put_number(out, self.incarnation);
        put_bytes(out, cut(&self.agent, AGENT_MAX_BYTES).as_bytes());
        let feature = |has: bool, bit: u64| if has { bit } else { 0 };
        put_number(
            out,
            feature(self.lz4, FEATURE_LZ4) | feature(self.ephemeral, FEATURE_EPHEMERAL),
        );
        for number in [self.frame_max, self.message_max, self.window, self.heartbeat_ms] {
            put_number(out, number);
        }
        self.lists.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, BadFrame> {
        let version = reader.number("version")?;
        let name = reader.text("name", NODE_NAME_MAX_BYTES)?.to_owned();
        let node = Uuid::from_bytes(reader.array("node")?);
        let incarnation = reader.number("incarnation")?;
        let agent = reader.text("agent", AGENT_MAX_BYTES)?;
        if agent.chars().any(char::is_control) {
            return Err(BadFrame::Invalid("agent"));
        }
        // What a later version can do besides is not for us.
        let features = reader.number("features")?;
        Ok(Self {
            version,
            name,
            node,
            incarnation,
            agent: agent.to_owned(),
            lz4: features & FEATURE_LZ4 != 0,
            ephemeral: features & FEATURE_EPHEMERAL != 0,
            frame_max: reader.number("frame limit")?,
            message_max: reader.number("message limit")?,
            window: reader.number("window")?,
            heartbeat_ms: reader.number("heartbeat")?,
            lists: WireLists::decode(reader)?,
        })
    }
}

impl WireLists {
    fn encode(&self, out: &mut Vec<u8>) {
        for filters in [&self.subscribe, &self.publish] {
            put_number(out, filters.len() as u64);
            for filter in filters {
                put_bytes(out, filter.as_str().as_bytes());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, BadFrame> {
        Ok(Self { subscribe: read_filters(reader)?, publish: read_filters(reader)? })
    }

    /// Whether they can be sent at all.
    pub(crate) fn fit(&self) -> bool {
        self.subscribe.len() <= FILTERS_MAX && self.publish.len() <= FILTERS_MAX
    }
}

/// Appends a batch's frame up to where its records begin: at most [`BATCH_HEAD_MAX_BYTES`].
pub(crate) fn put_batch_head(out: &mut Vec<u8>, sub: u32, head: &BatchHead, inflated: Option<u64>) {
    put_type(out, BATCH, sub);
    out.push(if inflated.is_some() { BATCH_LZ4 } else { 0 });
    put_number(out, head.epoch);
    put_number(out, head.base);
    put_number(out, head.after.saturating_sub(head.base));
    put_number(out, head.count);
    if let Some(inflated) = inflated {
        put_number(out, inflated);
    }
}

fn read_batch(mut reader: Reader<'_>) -> Result<Frame<'_>, BadFrame> {
    let sub = reader.u32("sub")?;
    let flags = reader.byte("flags")?;
    if flags & !BATCH_LZ4 != 0 {
        return Err(BadFrame::Invalid("flags"));
    }
    let (epoch, base) = (reader.number("epoch")?, reader.number("base")?);
    let after = base.checked_add(reader.number("after")?).ok_or(BadFrame::Invalid("after"))?;
    let head = BatchHead { epoch, base, after, count: reader.number("count")? };
    let inflated =
        if flags & BATCH_LZ4 == 0 { None } else { Some(reader.number("inflated length")?) };
    Ok(Frame::Batch { sub, head, inflated, records: reader.left() })
}

fn put_type(out: &mut Vec<u8>, kind: u8, sub: u32) {
    out.push(kind);
    put_number(out, u64::from(sub));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, cut(text, TEXT_MAX_BYTES).as_bytes());
}

/// As much of `text` as fits.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.extend_from_slice(position.log.as_bytes());
    put_number(out, position.epoch);
    put_number(out, position.seq);
}

fn read_position(reader: &mut Reader<'_>) -> Result<Position, BadFrame> {
    let log = Uuid::from_bytes(reader.array("log")?);
    Ok(Position { log, epoch: reader.number("epoch")?, seq: reader.number("sequence")? })
}

fn put_start(out: &mut Vec<u8>, start: &Start) {
    match start {
        Start::After(position) => {
            out.push(0);
            put_position(out, position);
        }
        Start::New => out.push(1),
        Start::All => out.push(2),
        Start::Live => out.push(3),
    }
}

fn read_start(reader: &mut Reader<'_>) -> Result<Start, BadFrame> {
    Ok(match reader.byte("start")? {
        0 => Start::After(read_position(reader)?),
        1 => Start::New,
        2 => Start::All,
        3 => Start::Live,
        _ => return Err(BadFrame::Invalid("start")),
    })
}

fn read_filters(reader: &mut Reader<'_>) -> Result<Vec<Filter>, BadFrame> {
    // Each takes two bytes at least, so the list is no longer than the frame.
    let count = reader.length("filters", FILTERS_MAX)?;
    let mut filters = Vec::new();
    for _ in 0..count {
        let text = reader.text("filter", SUBJECT_MAX_BYTES)?;
        filters.push(Filter::new(text).map_err(|_| BadFrame::Invalid("filter"))?);
    }
    Ok(filters)
}

/// The channel of an offer, if it can be one.
pub(crate) fn channel_of(text: &str) -> Option<ChannelName> {
    ChannelName::new(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filters() -> impl Strategy<Value = Vec<Filter>> {
        prop::collection::vec("([a-z*]{1,3}\\.){0,2}[a-z>]", 0..4)
            .prop_map(|texts| texts.iter().filter_map(|text| Filter::new(text).ok()).collect())
    }

    fn lists() -> impl Strategy<Value = WireLists> {
        (filters(), filters()).prop_map(|(subscribe, publish)| WireLists { subscribe, publish })
    }

    fn greeting() -> impl Strategy<Value = Greeting> {
        (
            (any::<u64>(), "[a-zé:]{0,20}", any::<u128>(), any::<u64>(), "[a-z/0-9]{0,20}"),
            (any::<bool>(), any::<bool>(), any::<[u64; 4]>(), lists()),
        )
            .prop_map(
                |((version, name, node, incarnation, agent), (lz4, ephemeral, n, lists))| {
                    let [frame_max, message_max, window, heartbeat_ms] = n;
                    let node = Uuid::from_u128(node);
                    Greeting {
                        version,
                        name,
                        node,
                        incarnation,
                        agent,
                        lz4,
                        ephemeral,
                        frame_max,
                        message_max,
                        window,
                        heartbeat_ms,
                        lists,
                    }
                },
            )
    }

    fn position() -> impl Strategy<Value = Position> {
        (any::<u128>(), any::<u64>(), any::<u64>()).prop_map(|(log, epoch, seq)| Position {
            log: Uuid::from_u128(log),
            epoch,
            seq,
        })
    }

    fn start() -> impl Strategy<Value = Start> {
        prop_oneof![
            position().prop_map(Start::After),
            Just(Start::New),
            Just(Start::All),
            Just(Start::Live),
        ]
    }

    /// A frame with its texts, as a function of the reader's bytes.
    fn check(frame: &Frame<'_>) -> Result<(), TestCaseError> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        prop_assert_eq!(&Frame::decode(&bytes).unwrap(), frame);
        // Nor does it come back from less.
        for cut in 0..bytes.len() {
            let less = Frame::decode(&bytes[..cut]);
            prop_assert!(less.as_ref() != Ok(frame), "{} of {}", cut, bytes.len());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_frame_comes_back(
            greeting in greeting(), lists in lists(), (sub, code) in any::<(u32, u8)>(),
            text in ".{0,30}", channel in "[a-z.]{1,20}", end in position(), start in start(),
            numbers in any::<[u64; 4]>(), bytes in prop::collection::vec(any::<u8>(), 0..40),
            flag in any::<bool>(), (base, more) in (0..u64::MAX / 2, 0..u64::MAX / 2),
        ) {
            let [one, two, three, four] = numbers;
            check(&Frame::Hello(greeting.clone()))?;
            check(&Frame::Welcome(greeting))?;
            check(&Frame::Lists(lists))?;
            check(&Frame::Offer { sub, channel: &channel, end, first: one })?;
            check(&Frame::Subscribe { sub, start })?;
            check(&Frame::Refuse { sub, code, text: &text })?;
            check(&Frame::Withdraw { sub, code, text: &text })?;
            let head = BatchHead { epoch: one, base, after: base + more, count: two };
            let inflated = flag.then_some(three);
            check(&Frame::Batch { sub, head, inflated, records: &bytes })?;
            check(&Frame::Fragment { more: flag, bytes: &bytes })?;
            let (committed, durable) = (one.max(two), one.min(two));
            check(&Frame::Ack { sub, committed, durable, credit: four })?;
            check(&Frame::Ping(one))?;
            check(&Frame::Pong(one))?;
            check(&Frame::Close { code: u16::from(code) + 4000, text: &text })?;
        }

        #[test]
        fn no_bytes_make_decoding_panic(
            kind in 0_u8..16, bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [&[kind], bytes.as_slice()].concat();
            if let Ok(frame) = Frame::decode(&bytes) {
                let mut again = Vec::new();
                frame.encode(&mut again);
                prop_assert!(Frame::decode(&again).is_ok());
            }
        }

        #[test]
        fn a_batch_head_stays_within_its_room(
            sub in any::<u32>(), numbers in any::<[u64; 4]>(), inflated in any::<Option<u64>>(),
        ) {
            let [epoch, base, after, count] = numbers;
            let mut out = Vec::new();
            put_batch_head(&mut out, sub, &BatchHead { epoch, base, after, count }, inflated);
            prop_assert!(out.len() <= BATCH_HEAD_MAX_BYTES);
        }
    }

    #[test]
    fn a_length_that_lies_is_refused_before_anything_is_taken() {
        let mut lying = vec![REFUSE, 1, 1];
        put_number(&mut lying, 1 << 40);
        let limit = BadFrame::Limit { field: "text", found: 1 << 40, limit: 1024 };
        assert_eq!(Frame::decode(&lying), Err(limit));
        let mut list = vec![LISTS];
        put_number(&mut list, 4000);
        assert_eq!(Frame::decode(&list), Err(BadFrame::Short("filters")));
    }

    #[test]
    fn control_bytes_and_long_names_are_refused() {
        for filter in ["a b", "a\0", "a.\r\n", ""] {
            let mut bytes = vec![LISTS, 1];
            put_bytes(&mut bytes, filter.as_bytes());
            bytes.push(0);
            assert_eq!(Frame::decode(&bytes), Err(BadFrame::Invalid("filter")), "{filter:?}");
        }
        let mut offer = vec![OFFER, 0];
        put_bytes(&mut offer, &[b'x'; 256]);
        let limit = BadFrame::Limit { field: "channel", found: 256, limit: 255 };
        assert_eq!(Frame::decode(&offer), Err(limit));
    }

    #[test]
    fn what_a_later_version_adds_to_its_greeting_is_passed_over() {
        let mut bytes = vec![HELLO, 1, 1, b'a'];
        bytes.extend([0; 16]);
        bytes.extend([0, 0, 0xff, 1, 1, 1, 1, 1, 0, 0]);
        let longer = [bytes.as_slice(), b"more"].concat();
        assert!(Frame::decode(&bytes).is_ok());
        assert_eq!(Frame::decode(&longer), Frame::decode(&bytes));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(1000);
        let mut bytes = Vec::new();
        Frame::Close { code: 4000, text: &text }.encode(&mut bytes);
        let Ok(Frame::Close { text, .. }) = Frame::decode(&bytes) else { panic!("a close frame") };
        assert_eq!(text, "é".repeat(512));
    }
}
