//! `pubsub sub`: prints messages as they come.

use bytes::Bytes;
use pubsub_envelope::{Kind, MessageId, Meta, NewRecord, RouteBuf, jsonl};
use pubsub_node::clock;
use pubsub_node::control::{MessageHead, OpenMode, StartFrom, Subscribed};
use pubsub_types::ChannelName;

use crate::cli::{Output, StartArgs, SubArgs};
use crate::context::Context;
use crate::fail::{self, Fail};
use crate::out::Out;

/// Runs the command.
pub(crate) async fn run(args: SubArgs, context: &Context) -> Result<(), Fail> {
    // Others must be able to publish while we, without a node, read.
    let mode = OpenMode { create: true, serve: true, ..context.mode() };
    let mut client = context.open(&mode).await?;
    let start = start_of(&args.start);
    let mut subscribed = client.subscribe(args.channel.clone(), args.id.clone(), start).await?;
    let channel = &args.channel;
    if subscribed.made() {
        context.say(&format!("made channel {channel}, as there was none"));
    }
    context.say(&format!("reading {channel} after seq {}", subscribed.after()));
    let mut printer = Printer::new(context, channel);
    let read = read(&args, &mut subscribed, &mut printer).await;
    let stopped = match &read {
        // The connection is of no use any more.
        Err(Fail::Error { .. }) => Ok(()),
        _ => subscribed.stop().await,
    };
    let closed = client.close().await;
    read?;
    stopped?;
    Ok(closed?)
}

fn start_of(args: &StartArgs) -> StartFrom {
    match args {
        StartArgs { from_start: true, .. } => StartFrom::FromStart,
        StartArgs { last: true, .. } => StartFrom::Last,
        StartArgs { since: Some(when), .. } => StartFrom::Since(when.resolve(clock::now())),
        StartArgs { after: Some(seq), .. } => StartFrom::After(*seq),
        _ => StartFrom::New,
    }
}

async fn read(
    args: &SubArgs,
    subscribed: &mut Subscribed<'_>,
    printer: &mut Printer<'_>,
) -> Result<(), Fail> {
    let mut left = args.count.unwrap_or(u64::MAX);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while left > 0 {
        let next = async {
            match args.timeout {
                None => Some(subscribed.next().await),
                Some(within) => tokio::time::timeout(within, subscribed.next()).await.ok(),
            }
        };
        let messages = tokio::select! {
            biased;
            _ = &mut interrupted => {
                printer.end()?;
                return Err(Fail::Interrupted);
            }
            messages = next => messages,
        };
        let Some(messages) = messages else {
            printer.end()?;
            return Err(Fail::new(fail::TIMEOUT, "no message came in time", ""));
        };
        let mut handled = None;
        for (head, headers, payload) in messages? {
            if left == 0 {
                break;
            }
            if head.gap_to.is_none() {
                left -= 1;
            }
            printer.print(&head, &headers, &payload)?;
            handled = Some(head.gap_to.unwrap_or(head.seq));
        }
        // Only what was printed is dealt with: a pipe that broke gets it again.
        printer.out.flush()?;
        if let Some(seq) = handled {
            subscribed.handled(seq).await?;
        }
    }
    printer.end()
}

/// Prints messages.
pub(crate) struct Printer<'a> {
    context: &'a Context,
    channel: &'a ChannelName,
    pub(crate) out: Out,
    printed: bool,
    format: Output,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(context: &'a Context, channel: &'a ChannelName) -> Self {
        Self { context, channel, out: Out::new(), printed: false, format: context.output }
    }

    /// Prints envelopes, one a line, where payloads would be printed.
    pub(crate) fn envelopes(&mut self) {
        if self.format == Output::Table {
            self.format = Output::Jsonl;
        }
    }

    fn print(&mut self, head: &MessageHead, headers: &Bytes, payload: &Bytes) -> Result<(), Fail> {
        if let Some(last) = head.gap_to {
            self.gap(head.seq, last);
            return Ok(());
        }
        let mut route = RouteBuf::new();
        for name in &head.route {
            // Names that cannot stand in a route are none that a node could have.
            drop(route.push(name));
        }
        let record = NewRecord {
            time: head.time,
            subject: &head.subject,
            headers,
            payload,
            meta: Meta {
                id: MessageId::parse(&head.id),
                origin: &head.origin,
                payload_type: &head.payload_type,
                correlation_id: &head.correlation_id,
                service_name: &head.service_name,
                expires: head.expires,
                source: head.source.map(Into::into),
                route: route.as_route(),
                members: &head.members,
            },
        };
        self.record(head.seq, &record)
    }

    /// Tells of messages that are damaged.
    pub(crate) fn gap(&self, first: u64, last: u64) {
        let channel = self.channel;
        self.context.warn(&format!(
            "messages {first} to {last} of {channel} are damaged or gone; `pubsub doctor` says where"
        ));
    }

    /// Prints one message: its payload, or its envelope as a JSONL channel has it.
    pub(crate) fn record(&mut self, seq: u64, record: &NewRecord<'_>) -> Result<(), Fail> {
        if self.format == Output::Table {
            self.out.write(record.payload)?;
            return self.out.write(b"\n");
        }
        if self.format == Output::Json {
            self.out.write(if self.printed { b"," } else { b"[" })?;
        }
        self.printed = true;
        let mut line = Vec::with_capacity(record.payload.len() + 256);
        jsonl::encode_record(&mut line, self.channel.as_str(), Kind::Message, seq, record);
        self.out.write(&line)
    }

    /// Prints what belongs behind the last message.
    pub(crate) fn end(&mut self) -> Result<(), Fail> {
        if self.format == Output::Json {
            self.out.write(if self.printed { b"]\n" } else { b"[]\n" })?;
        }
        self.out.flush()
    }
}
