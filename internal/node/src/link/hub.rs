//! The listener: lets peers in, after they proved who they are.
//!
//! ```text
//!   TCP ─▶ room? ─▶ TLS, certificate ─▶ WebSocket ─▶ link: HELLO, allowlist ─▶ …
//!          ╰───────────── five seconds for all of it, and little memory ─────────╯
//! ```

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use pubsub_audit::Event;
use pubsub_federation::{GREETING_TIME, NodeName, Session, SessionConfig, keyop};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::drive::{Side, drive};
use super::shard::{Shard, add, audit_peer};
use super::socket::{self, Socket, Spoken, Transport};

/// Connections that shake hands at a time. Strangers get no further than this.
const GREETINGS_MAX: usize = 512;
/// Wait after the system refused a connection: out of files, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the shard ends.
pub(crate) async fn serve(shard: Rc<Shard>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = shard.ending.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, addr)) => welcome(&shard, stream, addr),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn welcome(shard: &Rc<Shard>, stream: TcpStream, addr: SocketAddr) {
    let greeting = &shard.counters.greeting;
    let room = shard.settings.hub.as_ref().map_or(0, |hub| hub.max_connections);
    let linked = shard.links.borrow().values().filter(|link| link.inbound).count();
    if greeting.get() >= GREETINGS_MAX || linked + greeting.get() >= room {
        reject(shard, "", addr, "the hub has no room for another connection");
        return;
    }
    greeting.set(greeting.get() + 1);
    let shard = shard.clone();
    shard.tasks.clone().spawn_local(async move {
        let greeted = tokio::time::timeout(GREETING_TIME, greet(&shard, stream)).await;
        let greeting = &shard.counters.greeting;
        greeting.set(greeting.get() - 1);
        match greeted {
            Ok(Ok(greeted)) => {
                add(&shard.counters.accepted, 1);
                run(&shard, greeted, addr).await;
            }
            Ok(Err(error)) => reject(&shard, "", addr, &error),
            Err(_elapsed) => {
                let text = format!("no handshake within {} s", GREETING_TIME.as_secs());
                reject(&shard, "", addr, &text);
            }
        }
    });
}

/// Says in log, audit and figures that somebody did not get in.
pub(crate) fn reject(shard: &Shard, name: &str, addr: SocketAddr, reason: &str) {
    add(&shard.counters.rejected, 1);
    tracing::warn!(peer = name, %addr, reason, "a connection was refused");
    let peer = audit_peer(name, &addr.to_string());
    shard.audit.log(Event::ClientRejected { peer, reason: reason.to_owned() });
}

/// A peer that proved who it is.
struct Greeted {
    socket: Socket,
    spoken: Spoken,
    peer: Option<pubsub_tls::Peer>,
}

async fn greet(shard: &Shard, stream: TcpStream) -> Result<Greeted, String> {
    let broke = |error: io::Error| format!("the connection broke: {error}");
    stream.set_nodelay(true).map_err(broke)?;
    let plain = shard.settings.hub.as_ref().is_some_and(|hub| hub.plain);
    let (transport, peer) = match &shard.tls {
        Some(tls) if !plain => {
            let handshake = tls.current().accept();
            let accepted = TlsAcceptor::from(handshake.config()).accept(stream).await;
            let stream = accepted.map_err(|error| handshake.explain(error).to_string())?;
            let peer = handshake.peer(stream.get_ref().1).map_err(|error| error.to_string())?;
            (Transport::Tls(Box::new(stream.into())), Some(peer))
        }
        Some(_) | None => (Transport::Plain(stream), None),
    };
    let accepted = socket::accept(transport).await;
    let (socket, spoken) = accepted.map_err(|error| format!("no WebSocket: {error}"))?;
    Ok(Greeted { socket, spoken, peer })
}

async fn run(shard: &Rc<Shard>, greeted: Greeted, addr: SocketAddr) {
    let Greeted { socket, spoken, peer } = greeted;
    let certified = match peer.as_ref().map(|peer| NodeName::new(&peer.name)).transpose() {
        Ok(certified) => certified,
        Err(error) => return reject(shard, "", addr, &error.to_string()),
    };
    let config = SessionConfig { certified, ..shard.session_config() };
    let now = Shard::now();
    let machine: Box<dyn pubsub_federation::Link> = match spoken {
        Spoken::Pubsub => Box::new(Session::accept(config, now)),
        Spoken::Keyop => Box::new(keyop::Session::accept(config, now)),
    };
    let side = Side::Hub { addr };
    drive(shard, machine, socket, side, peer).await;
}
