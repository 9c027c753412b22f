//! `pubsub link` and `pubsub hub`: what flows between nodes, and why something does not.

use std::time::Duration;

use pubsub_node::control::{Request, Response};
use pubsub_node::link::{ChannelFlow, LinkReport, LinkState, LinksStatus};

use crate::cli::{HubCommand, LinkCommand, Output};
use crate::context::Context;
use crate::explain::explain;
use crate::fail::{self, Fail};
use crate::out;

/// Runs `pubsub link`.
pub(crate) fn link(command: LinkCommand, context: &Context) -> Result<(), Fail> {
    let status = ask(context)?;
    match command {
        LinkCommand::Ls => list(&status, context),
        LinkCommand::Info { peer } => info(find(&status, &peer)?, context),
        LinkCommand::Explain { peer } => {
            let link = find(&status, &peer)?;
            let findings = explain(link, &status);
            if context.output != Output::Table {
                return out::json(context, &findings);
            }
            let rows: Vec<(&str, String)> =
                findings.iter().map(|finding| (finding.what, finding.text.clone())).collect();
            out::one(context, &findings, &rows)
        }
    }
}

/// Runs `pubsub hub`.
pub(crate) fn hub(command: HubCommand, context: &Context) -> Result<(), Fail> {
    let HubCommand::Status = command;
    let status = ask(context)?;
    let Some(hub) = &status.hub else {
        return Err(Fail::new(
            fail::NOT_FOUND,
            "this node is no hub",
            "set hub.enabled, hub.listen_addr and hub.allowed_peers, or see `pubsub link ls`",
        ));
    };
    let certificate = status.certificate.as_ref();
    let rows = [
        ("name", status.name.clone()),
        ("listens on", hub.addr.clone()),
        ("connections", hub.connections.to_string()),
        ("shaking hands", hub.greeting.to_string()),
        ("accepted", hub.accepted.to_string()),
        ("refused", hub.rejected.to_string()),
        ("allowed peers", hub.allowed_peers.join(", ")),
        (
            "certificate ends in",
            certificate.map_or_else(|| "no TLS".to_owned(), |it| ends(it.ends_in_seconds)),
        ),
        (
            "authority ends in",
            certificate
                .map_or_else(|| "no TLS".to_owned(), |it| ends(it.authority_ends_in_seconds)),
        ),
        ("audit lines dropped", status.audit_dropped.to_string()),
    ];
    out::one(context, &status, &rows)?;
    for warning in certificate.iter().flat_map(|certificate| &certificate.warnings) {
        context.warn(warning);
    }
    Ok(())
}

fn ask(context: &Context) -> Result<LinksStatus, Fail> {
    match context.ask(Request::Links)? {
        (Response::Links(status), _) => Ok(*status),
        _ => Err(fail::unexpected()),
    }
}

/// The link to a peer, by its name, its address or its number.
fn find<'a>(status: &'a LinksStatus, peer: &str) -> Result<&'a LinkReport, Fail> {
    let is = |link: &&LinkReport| {
        link.peer == peer || link.addr == peer || (link.id > 0 && link.id.to_string() == peer)
    };
    status.links.iter().find(is).ok_or_else(|| {
        Fail::new(
            fail::NOT_FOUND,
            format!("there is no link to {peer}"),
            "pubsub link ls shows the links; pubsub audit --peer NAME shows why one was refused",
        )
    })
}

fn list(status: &LinksStatus, context: &Context) -> Result<(), Fail> {
    if status.links.is_empty() && context.output == Output::Table {
        context.say("there are no links; a hub waits for peers, and client.hubs are dialled");
        return Ok(());
    }
    let heads = [
        "id",
        "peer",
        "address",
        "direction",
        "state",
        ">up",
        ">sent",
        ">received",
        ">lag",
        ">unacked",
        "last error",
    ];
    out::many(context, &status.links, &heads, |link| {
        vec![
            if link.id > 0 { link.id.to_string() } else { "-".to_owned() },
            if link.peer.is_empty() { "-".to_owned() } else { link.peer.clone() },
            link.addr.clone(),
            if link.inbound { "in" } else { "out" }.to_owned(),
            state(link),
            out::duration(Duration::from_secs(link.up_seconds)),
            link.traffic.messages_sent.to_string(),
            link.traffic.stored.to_string(),
            lag(link).to_string(),
            out::bytes(link.unacked_bytes),
            link.last_error
                .clone()
                .filter(|_| link.state != LinkState::Established)
                .unwrap_or_default(),
        ]
    })
}

fn lag(link: &LinkReport) -> u64 {
    link.sending.iter().filter_map(|flow| flow.lag_messages).sum()
}

fn state(link: &LinkReport) -> String {
    match (link.state, link.retry_in_ms) {
        (LinkState::Connecting, _) => "connecting".to_owned(),
        (LinkState::Greeting, _) => "shaking hands".to_owned(),
        (LinkState::Established, _) => "up".to_owned(),
        (LinkState::Waiting, Some(ms)) => {
            format!("waiting {}", out::duration(Duration::from_millis(ms)))
        }
        (LinkState::Waiting, None) => "waiting".to_owned(),
    }
}

fn info(link: &LinkReport, context: &Context) -> Result<(), Fail> {
    let traffic = &link.traffic;
    let rows = [
        ("peer", link.peer.clone()),
        ("address", link.addr.clone()),
        ("state", state(link)),
        ("up", out::duration(Duration::from_secs(link.up_seconds))),
        ("last error", link.last_error.clone().unwrap_or_default()),
        ("round trip", link.round_trip_us.map_or_else(|| "-".to_owned(), |us| format!("{us} µs"))),
        (
            "unacknowledged",
            format!("{} of {}", out::bytes(link.unacked_bytes), out::bytes(link.window_bytes)),
        ),
        ("messages sent", traffic.messages_sent.to_string()),
        ("bytes sent", out::bytes(traffic.bytes_sent)),
        ("echoes not sent", traffic.echoes_dropped.to_string()),
        ("messages received", traffic.messages_received.to_string()),
        ("bytes received", out::bytes(traffic.bytes_received)),
        ("stored", traffic.stored.to_string()),
        ("here already", traffic.duplicates.to_string()),
        ("looped", traffic.looped.to_string()),
        ("refused", traffic.refused.to_string()),
        ("lost before sending", traffic.gaps.to_string()),
    ];
    out::one(context, link, &rows)?;
    if context.output == Output::Table {
        flows("sends", &link.sending, context)?;
        flows("receives", &link.receiving, context)?;
    }
    Ok(())
}

fn flows(what: &str, flows: &[ChannelFlow], context: &Context) -> Result<(), Fail> {
    if flows.is_empty() {
        return Ok(());
    }
    context.say("");
    let heads = [what, "state", ">position", ">stored there", ">synced there", ">lag", ">oldest"];
    out::many(context, flows, &heads, |flow| {
        let state = match (flow.held, flow.flowing) {
            (true, _) => "held",
            (false, true) => "flows",
            (false, false) => "waits",
        };
        vec![
            flow.channel.clone(),
            state.to_owned(),
            flow.position.to_string(),
            flow.committed.to_string(),
            flow.durable.to_string(),
            flow.lag_messages.map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
            flow.lag_ms
                .map_or_else(|| "-".to_owned(), |ms| out::duration(Duration::from_millis(ms))),
        ]
    })
}

/// `12d`, or since when it is over.
fn ends(seconds: i64) -> String {
    let span = out::duration(Duration::from_secs(seconds.unsigned_abs() / 60 * 60));
    if seconds < 0 { format!("ended {span} ago") } else { span }
}
