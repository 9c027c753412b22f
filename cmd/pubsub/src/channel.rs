//! `pubsub channel`: make, list, show, compact, remove.

use pubsub_node::control::{OpenMode, Request, Response};
use pubsub_storage::Chosen;

use crate::cli::{ChannelAddArgs, ChannelCommand, Output};
use crate::context::Context;
use crate::doctor;
use crate::fail::{self, Fail};
use crate::out;

/// Runs the command.
pub(crate) fn run(command: ChannelCommand, context: &Context) -> Result<(), Fail> {
    match command {
        ChannelCommand::Add(args) => add(&args, context),
        ChannelCommand::Ls => list(context),
        ChannelCommand::Info { channel } => match context.ask(Request::ChannelInfo { channel })? {
            (Response::Channel(info), _) => show(&info, context),
            _ => Err(fail::unexpected()),
        },
        ChannelCommand::Verify { channel } => doctor::run(Some(&channel), context),
        ChannelCommand::Compact { channel, before, sure } => {
            let request =
                |dry_run| Request::ChannelCompact { channel: channel.clone(), before, dry_run };
            finished(context.destroy(sure, request)?.0, context)
        }
        ChannelCommand::Rm { channel, sure } => {
            let request = |dry_run| Request::ChannelRemove { channel: channel.clone(), dry_run };
            finished(context.destroy(sure, request)?.0, context)
        }
    }
}

/// Prints what was done.
pub(crate) fn finished(response: Response, context: &Context) -> Result<(), Fail> {
    match response {
        Response::Done { what } => out::done(context, &what),
        _ => Err(fail::unexpected()),
    }
}

fn add(args: &ChannelAddArgs, context: &Context) -> Result<(), Fail> {
    if args.channel.is_dead_letter() {
        return Err(Fail::new(
            fail::USAGE,
            "dead-letter channels are made by what fails",
            "choose another name",
        ));
    }
    let chosen = Chosen {
        format: args.format,
        sync: args.sync,
        segment_bytes: args.segment_size.map(|size| size.max(1)),
        max_age: args.max_age,
        max_bytes: args.max_bytes,
        max_messages: args.max_messages,
    };
    let mode = OpenMode { create: true, ..context.mode() };
    let request = Request::ChannelAdd { channel: args.channel.clone(), chosen };
    finished(context.ask_in(request, &mode)?.0, context)
}

fn list(context: &Context) -> Result<(), Fail> {
    let (Response::Channels { channels }, _) = context.ask(Request::ChannelList)? else {
        return Err(fail::unexpected());
    };
    if channels.is_empty() && context.output == Output::Table {
        context.say("there are no channels; `pubsub pub CHANNEL PAYLOAD` makes one");
        return Ok(());
    }
    let heads = [
        "channel",
        "format",
        "sync",
        ">messages",
        ">bytes",
        ">first",
        ">last",
        ">subscribers",
        "newest",
        "notes",
    ];
    out::many(context, &channels, &heads, |row| {
        let notes = match (&row.error, row.findings) {
            (Some(error), _) => error.clone(),
            (None, 0) => String::new(),
            (None, findings) => format!("{findings} findings; see `pubsub doctor`"),
        };
        vec![
            row.channel.to_string(),
            row.format.clone(),
            row.sync.clone(),
            row.messages.to_string(),
            out::bytes(row.bytes),
            row.first_seq.to_string(),
            row.last_seq.to_string(),
            row.subscribers.to_string(),
            out::time(row.last_time),
            notes,
        ]
    })
}

fn show(info: &pubsub_node::control::ChannelInfo, context: &Context) -> Result<(), Fail> {
    let (config, stats) = (&info.config, &info.stats);
    let keeps = [
        ("messages", out::limit(config.limits.max_messages)),
        (
            "bytes",
            match config.limits.max_bytes {
                0 => out::limit(0),
                bytes => out::bytes(bytes),
            },
        ),
        ("age", out::duration(config.limits.max_age)),
    ]
    .iter()
    .filter(|(_, limit)| limit != "-")
    .map(|(what, limit)| format!("{what} {limit}"))
    .collect::<Vec<_>>()
    .join(", ");
    let keeps = match (keeps.is_empty(), config.keep_history) {
        (false, _) => keeps,
        (true, true) => "everything".to_owned(),
        (true, false) => "until every subscriber has consumed it".to_owned(),
    };
    let subscribers = info.subscribers.iter().map(|row| {
        let position = row.position.map_or_else(|| "?".to_owned(), |seq| seq.to_string());
        format!("{} at {position}, {} pending", row.id, row.pending)
    });
    let mut rows = vec![
        ("channel", info.channel.to_string()),
        ("directory", info.directory.clone()),
        ("format", config.format.to_string()),
        ("sync", config.sync.to_string()),
        ("messages", format!("{}, seq {} to {}", stats.messages, stats.first_seq, stats.last_seq)),
        ("bytes", format!("{} in {} segments", out::bytes(stats.bytes), stats.segments)),
        ("newest", out::time(stats.last_time)),
        ("active file", stats.active_file.clone()),
        ("keeps", keeps),
        ("dead letters", info.dead_letters.to_string()),
    ];
    rows.extend(subscribers.map(|text| ("subscriber", text)));
    rows.extend(info.findings.iter().map(|finding| ("finding", finding.clone())));
    out::one(context, info, &rows)
}
