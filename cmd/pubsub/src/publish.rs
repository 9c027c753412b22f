//! `pubsub pub`: publishes one payload, or every line of the standard input.

use std::io::{self, BufRead};

use bytes::{BufMut, Bytes, BytesMut};
use pubsub_node::control::{
    BODY_BYTES_MAX, Client, NewMessage, OpenMode, Published, Request, Response,
};
use pubsub_types::ChannelName;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::cli::{Output, PubArgs};
use crate::context::Context;
use crate::fail::{self, Fail};
use crate::out;
use crate::parse;

/// Messages published together.
const BATCH_MESSAGES: usize = 1024;
/// Bytes after which a batch is published.
const BATCH_BYTES: usize = 1 << 20;
/// Batches read ahead of the node.
const BATCHES_AHEAD: usize = 4;

/// Messages that are published together: what they share, and the payload of each.
struct Batch {
    payloads: Vec<Bytes>,
    bytes: usize,
}

/// What was done, for programs.
#[derive(Serialize)]
struct Report {
    channel: ChannelName,
    messages: u64,
    first_seq: u64,
    last_seq: u64,
    /// Id of the last message.
    id: String,
    /// File that the last message is in, from the data directory.
    file: String,
}

/// Runs the command.
pub(crate) async fn run(args: PubArgs, context: &Context) -> Result<(), Fail> {
    let mode = OpenMode { create: true, ..context.mode() };
    let mut client = context.open(&mode).await?;
    let published = tokio::select! {
        published = publish(&args, context, &mut client) => published,
        _ = tokio::signal::ctrl_c() => Err(Fail::Interrupted),
    };
    let closed = client.close().await;
    let report = published?;
    closed?;
    let Some(report) = report else {
        context.say("the standard input had no line; nothing was published");
        return Ok(());
    };
    let Report { channel, messages, first_seq, last_seq, id, file } = &report;
    let directory = context.data_dir.display();
    if *messages == 1 {
        context.say(&format!("published {channel} seq {last_seq} id {id} to {directory}/{file}"));
    } else {
        context.say(&format!(
            "published {messages} messages to {channel}, seq {first_seq} to {last_seq}, to {directory}/{file}"
        ));
    }
    if context.output == Output::Table { Ok(()) } else { out::json(context, &report) }
}

async fn publish(
    args: &PubArgs,
    context: &Context,
    client: &mut Client,
) -> Result<Option<Report>, Fail> {
    let headers = Bytes::from(parse::header_block(&args.headers));
    let mut report: Option<Report> = None;
    if let Some(payload) = &args.payload {
        let payload = Bytes::from(payload.clone().into_bytes());
        let mut left = args.count;
        while left > 0 {
            let each = payload.len() + headers.len();
            let fitting = (BATCH_BYTES / each.max(1)).clamp(1, BATCH_MESSAGES);
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(fitting);
            let batch = Batch { payloads: vec![payload.clone(); now], bytes: each * now };
            send(args, context, client, &headers, batch, &mut report).await?;
            left -= now as u64;
        }
        return Ok(report);
    }
    let (batches, mut read) = mpsc::channel(BATCHES_AHEAD);
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    reader
        .spawn(move || read_lines(io::stdin().lock(), &batches))
        .map_err(|error| Fail::io("start a thread", &error))?;
    while let Some(batch) = read.recv().await {
        let batch = batch.map_err(|error| Fail::io("read the standard input", &error))?;
        send(args, context, client, &headers, batch, &mut report).await?;
    }
    Ok(report)
}

/// Publishes one batch, and adds it to the report.
async fn send(
    args: &PubArgs,
    context: &Context,
    client: &mut Client,
    headers: &Bytes,
    batch: Batch,
    report: &mut Option<Report>,
) -> Result<(), Fail> {
    let count = batch.payloads.len();
    let mut body = BytesMut::with_capacity(batch.bytes + headers.len() * count);
    let mut messages = Vec::with_capacity(count);
    for payload in &batch.payloads {
        body.put_slice(headers);
        body.put_slice(payload);
        messages.push(NewMessage {
            payload_type: args.payload_type.clone(),
            correlation_id: args.correlation_id.clone(),
            service_name: args.service.clone(),
            headers_len: len(headers)?,
            payload_len: len(payload)?,
            ..NewMessage::default()
        });
    }
    let channel = args.channel.clone();
    let request = Request::Publish { channel: channel.clone(), messages };
    let (response, _) = client.request(request, body.freeze()).await?;
    let Response::Published(Published { first, last, id, file, made }) = response else {
        return Err(fail::unexpected());
    };
    if made {
        context.say(&format!("made channel {channel}"));
    }
    let report = report.get_or_insert_with(|| Report {
        channel,
        messages: 0,
        first_seq: first,
        last_seq: last,
        id: String::new(),
        file: String::new(),
    });
    report.messages += count as u64;
    report.last_seq = last;
    report.id = id;
    report.file = file;
    Ok(())
}

fn len(bytes: &Bytes) -> Result<u32, Fail> {
    u32::try_from(bytes.len()).ok().filter(|len| *len as usize <= BODY_BYTES_MAX).ok_or_else(|| {
        let text = format!("a message of {} bytes is longer than can be sent", bytes.len());
        Fail::new(fail::USAGE, text, "split it")
    })
}

/// Gives out the lines of `from`: what has come when more would have to be waited for, or as many as
/// are published together.
fn read_lines(mut from: impl BufRead, batches: &mpsc::Sender<io::Result<Batch>>) {
    let mut rest = BytesMut::new();
    loop {
        let ended = match from.fill_buf() {
            Ok(bytes) => {
                let len = bytes.len();
                rest.extend_from_slice(bytes);
                from.consume(len);
                len == 0
            }
            Err(error) => {
                // Nobody may be left to hear it.
                let _sent = batches.blocking_send(Err(error));
                return;
            }
        };
        let mut batch = Batch { payloads: Vec::new(), bytes: 0 };
        let mut lines = cut_lines(&mut rest, ended).into_iter().peekable();
        while let Some(line) = lines.next() {
            batch.bytes += line.len();
            batch.payloads.push(line);
            let full = batch.payloads.len() >= BATCH_MESSAGES || batch.bytes >= BATCH_BYTES;
            if full || lines.peek().is_none() {
                let next = Batch { payloads: Vec::new(), bytes: 0 };
                if batches.blocking_send(Ok(std::mem::replace(&mut batch, next))).is_err() {
                    return;
                }
            }
        }
        if ended {
            return;
        }
    }
}

/// Takes the whole lines out of `rest`, without their ends; the last one too when nothing follows.
fn cut_lines(rest: &mut BytesMut, ended: bool) -> Vec<Bytes> {
    let mut lines = Vec::new();
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        let mut line = rest.split_to(at + 1);
        line.truncate(at);
        if line.last() == Some(&b'\r') {
            line.truncate(at - 1);
        }
        lines.push(line.freeze());
    }
    if ended && !rest.is_empty() {
        lines.push(rest.split().freeze());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_input_is_and_the_last_needs_no_end() {
        for size in 1..8 {
            let (to, mut from) = mpsc::channel(100);
            let input = io::BufReader::with_capacity(size, &b"one\r\n\ntwo\nthree"[..]);
            read_lines(input, &to);
            drop(to);
            let mut lines = Vec::new();
            while let Some(batch) = from.blocking_recv() {
                lines.extend(batch.unwrap().payloads);
            }
            assert_eq!(lines, ["one", "", "two", "three"]);
        }
    }
}
