//! `pubsub subscriber`: list, show, move, forget.

use pubsub_node::clock;
use pubsub_node::control::{Request, Response, SeekTo, SubscriberRow};

use crate::channel::finished;
use crate::cli::{Output, SeekArgs, SubscriberCommand};
use crate::context::Context;
use crate::fail::{self, Fail};
use crate::out;

/// Runs the command.
pub(crate) fn run(command: SubscriberCommand, context: &Context) -> Result<(), Fail> {
    match command {
        SubscriberCommand::Ls { channel } => {
            match context.ask(Request::SubscriberList { channel })? {
                (Response::Subscribers { subscribers }, _) => list(&subscribers, context),
                _ => Err(fail::unexpected()),
            }
        }
        SubscriberCommand::Info { channel, id } => {
            let (Response::Subscriber(info), _) =
                context.ask(Request::SubscriberInfo { channel, id })?
            else {
                return Err(fail::unexpected());
            };
            let row = &info.row;
            let rows = [
                ("channel", row.channel.to_string()),
                ("subscriber", row.id.to_string()),
                ("position", position(row)),
                ("last", info.last_seq.to_string()),
                ("pending", row.pending.to_string()),
                ("next published", out::time(info.next_time)),
                ("connected", connected(row)),
            ];
            out::one(context, &info, &rows)
        }
        SubscriberCommand::Seek { channel, id, to, sure } => {
            let to = seek_to(&to);
            let request = |dry_run| Request::SubscriberSeek {
                channel: channel.clone(),
                id: id.clone(),
                to,
                dry_run,
            };
            finished(context.destroy(sure, request)?.0, context)
        }
        SubscriberCommand::Rm { channel, id, sure } => {
            let request = |dry_run| Request::SubscriberRemove {
                channel: channel.clone(),
                id: id.clone(),
                dry_run,
            };
            finished(context.destroy(sure, request)?.0, context)
        }
    }
}

fn seek_to(args: &SeekArgs) -> SeekTo {
    match args {
        SeekArgs { start: true, .. } => SeekTo::Start,
        SeekArgs { after: Some(seq), .. } => SeekTo::After(*seq),
        SeekArgs { since: Some(when), .. } => SeekTo::Time(when.resolve(clock::now())),
        _ => SeekTo::End,
    }
}

fn position(row: &SubscriberRow) -> String {
    row.position.map_or_else(|| "?".to_owned(), |seq| seq.to_string())
}

fn connected(row: &SubscriberRow) -> String {
    if row.connected { "yes" } else { "no" }.to_owned()
}

fn list(subscribers: &[SubscriberRow], context: &Context) -> Result<(), Fail> {
    if subscribers.is_empty() && context.output == Output::Table {
        context.say("there are no subscribers; `pubsub sub CHANNEL --id ID` makes one");
        return Ok(());
    }
    let heads = ["channel", "subscriber", ">position", ">pending", "connected"];
    out::many(context, subscribers, &heads, |row| {
        vec![
            row.channel.to_string(),
            row.id.to_string(),
            position(row),
            row.pending.to_string(),
            connected(row),
        ]
    })
}
