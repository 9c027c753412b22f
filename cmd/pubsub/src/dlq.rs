//! `pubsub dlq`: list, show and publish again what could not be delivered.

use data_encoding::BASE64;
use pubsub_node::control::{DeadLetterRow, DeadLettersRow, Request, Response};
use serde::Serialize;

use crate::cli::{DlqCommand, Output};
use crate::context::Context;
use crate::fail::{self, Fail};
use crate::out::{self, Out};

/// A letter with its payload, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    row: &'a DeadLetterRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_b64: Option<String>,
}

/// Runs the command.
pub(crate) fn run(command: DlqCommand, context: &Context) -> Result<(), Fail> {
    match command {
        DlqCommand::Ls { channel: None, .. } => match context.ask(Request::DlqChannels)? {
            (Response::DeadLetterChannels { channels }, _) => list_channels(&channels, context),
            _ => Err(fail::unexpected()),
        },
        DlqCommand::Ls { channel: Some(channel), limit, after } => {
            let request = Request::DlqList { channel: channel.clone(), limit, after };
            let (Response::DeadLetters { letters, more }, _) = context.ask(request)? else {
                return Err(fail::unexpected());
            };
            list(&letters, context)?;
            if let Some(last) = letters.last().filter(|_| more) {
                let seq = last.seq;
                context.say(&format!("there are more: `pubsub dlq ls {channel} --after {seq}`"));
            }
            Ok(())
        }
        DlqCommand::Show { channel, seq } => {
            let (Response::DeadLetter(row), payload) =
                context.ask(Request::DlqShow { channel, seq })?
            else {
                return Err(fail::unexpected());
            };
            show(&row, &payload, context)
        }
        DlqCommand::Replay { channel, seqs, all: _, sure } => {
            let request = |dry_run| Request::DlqReplay {
                channel: channel.clone(),
                seqs: seqs.clone(),
                dry_run,
            };
            let (Response::Replayed(done), _) = context.destroy(sure, request)? else {
                return Err(fail::unexpected());
            };
            let verb = if sure.dry_run { "would publish" } else { "published" };
            context.say(&format!("{verb} {} dead letters to {channel} again", done.replayed));
            if done.unreadable > 0 {
                let count = done.unreadable;
                context.warn(&format!("{count} dead letters cannot be read and stay"));
            }
            if context.output == Output::Table { Ok(()) } else { out::json(context, &done) }
        }
    }
}

fn list_channels(channels: &[DeadLettersRow], context: &Context) -> Result<(), Fail> {
    if channels.is_empty() && context.output == Output::Table {
        context.say("no channel has dead letters");
        return Ok(());
    }
    let heads = ["channel", ">letters", "oldest", "newest", "notes"];
    out::many(context, channels, &heads, |row| {
        vec![
            row.channel.to_string(),
            row.letters.to_string(),
            out::time(row.oldest),
            out::time(row.newest),
            one_line(row.error.as_deref().unwrap_or_default()),
        ]
    })
}

fn list(letters: &[DeadLetterRow], context: &Context) -> Result<(), Fail> {
    if letters.is_empty() && context.output == Output::Table {
        context.say("there are no dead letters");
        return Ok(());
    }
    let heads = [">seq", ">of", "failed", ">attempts", "type", "error"];
    out::many(context, letters, &heads, |row| {
        let error = row.unreadable.as_ref().unwrap_or(&row.last_error);
        vec![
            row.seq.to_string(),
            out::limit(row.original_seq),
            out::time(Some(row.failed_at)),
            attempts(row),
            row.payload_type.clone(),
            one_line(error),
        ]
    })
}

fn attempts(row: &DeadLetterRow) -> String {
    row.attempts.map_or_else(|| "?".to_owned(), |attempts| attempts.to_string())
}

/// An error in a table: its first line, and not too much of that.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

fn show(row: &DeadLetterRow, payload: &[u8], context: &Context) -> Result<(), Fail> {
    let json = serde_json::from_slice(payload).ok();
    let shown =
        Shown { row, payload_b64: json.is_none().then(|| BASE64.encode(payload)), payload: json };
    let rows = [
        ("seq", row.seq.to_string()),
        ("channel", row.channel.clone()),
        ("message", format!("seq {}, id {}", row.original_seq, row.id)),
        ("type", row.payload_type.clone()),
        ("published", out::time(Some(row.published))),
        ("failed", out::time(Some(row.failed_at))),
        ("attempts", attempts(row)),
        ("error", row.unreadable.as_ref().unwrap_or(&row.last_error).clone()),
    ];
    out::one(context, &shown, &rows)?;
    if context.output == Output::Table {
        let mut out = Out::new();
        out.write(b"\n")?;
        out.write(payload)?;
        out.write(b"\n")?;
        out.flush()?;
    }
    Ok(())
}
