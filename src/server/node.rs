//! The node: opened, served until a signal comes, and closed.

use std::sync::Arc;

use anyhow::Context;
use pubsub::{Config, SyncPolicy};
use pubsub_node::control::Server;
use pubsub_node::link::{LinkSettings, Links, LinksError, forget_hubs};
use pubsub_node::{Node, options};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::{Args, Failure};

/// Opens the data directory, and says which it is and what a publish to it survives.
pub(crate) fn open(config: &Config) -> Result<Arc<Node>, Failure> {
    let storage = &config.storage;
    let node = Node::start(&config.name, &storage.data_dir, options::store_options(config))?;
    let is_new = node.store().node().incarnation == 1;
    let data_dir =
        std::path::absolute(&storage.data_dir).unwrap_or_else(|_| storage.data_dir.clone());
    tracing::info!(
        name = config.name,
        data_dir = %data_dir.display(),
        is_new,
        channels = node.store().channels().map_or(0, |channels| channels.len()),
        "data directory is open"
    );
    let survives = match storage.sync_policy {
        SyncPolicy::Always => "a power cut",
        SyncPolicy::Periodic => "the end of this process; a power cut costs the last interval",
        SyncPolicy::None => {
            "the end of this process; a power cut costs what the system had not synced"
        }
    };
    tracing::info!(
        sync_policy = %storage.sync_policy,
        interval_ms = storage.sync_interval_ms,
        survives,
        change = "storage.sync_policy: always | periodic | none",
        "what an acknowledged publish survives"
    );
    Ok(node)
}

/// Starts the hub and the connections to hubs that are configured.
pub(crate) fn start_links(
    node: &Arc<Node>,
    config: &Config,
    args: &Args,
) -> Result<Option<Arc<Links>>, Failure> {
    let settings = LinkSettings::from_config(config).map_err(LinksError::from)?;
    let Some(settings) = settings else {
        forget_hubs(node);
        return Ok(None);
    };
    let hubs = config.client.hubs.iter().filter(|_| config.client.enabled).count();
    let links = Links::start(node, settings.with_file(args.config.as_deref()))?;
    let listening = links.local_addr().map_or_else(String::new, |addr| addr.to_string());
    tracing::info!(listening, hubs, look = "pubsub link ls", "links are started");
    Ok(Some(links))
}

/// Answers on the control socket until a signal comes, then closes everything. A second signal does
/// not wait for that.
pub(crate) async fn serve(node: Arc<Node>, links: Option<Arc<Links>>) -> Result<(), Failure> {
    let mut signals = Signals::listen().context("listen for signals")?;
    let server = Server::start(node.clone()).context("open the control socket")?;
    tracing::info!(
        control_socket = %server.path().display(),
        publish = "pubsub pub orders hello",
        read = "pubsub sub orders --from-start",
        "ready"
    );
    let signal = signals.next().await;
    tracing::info!(signal, "ending; once more ends at once");
    let closing = async {
        server.stop().await;
        tokio::task::spawn_blocking(move || {
            if let Some(links) = links {
                links.stop();
            }
            node.close()
        })
        .await
    };
    tokio::select! {
        closed = closing => closed.context("close")?.context("close the data directory")?,
        signal = signals.next() => {
            return Err(anyhow::anyhow!("ended by a second {signal}, not everything was closed").into());
        }
    }
    tracing::info!("ended");
    Ok(())
}

/// The signals that end the process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
