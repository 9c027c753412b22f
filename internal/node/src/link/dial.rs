//! Dials a hub, for as long as the node runs.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use pubsub_audit::{Attempt, Event};
use pubsub_federation::{Link, NodeName, Session, SessionConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::drive::{Ended, Side, drive};
use super::settings::DialSettings;
use super::shard::{Shard, audit_peer};
use super::socket::{self, Socket, Spoken, Transport};
use super::status::{DialPhase, DialState};

/// Time for a connection with all its handshakes.
const CONNECT_TIME: Duration = Duration::from_secs(15);

/// Connects, and connects again, until the shard ends.
pub(crate) async fn keep_dialling(shard: Rc<Shard>, hub: DialSettings) {
    let state = Rc::new(RefCell::new(DialState::new(&hub.addr)));
    shard.dials.borrow_mut().push(state.clone());
    let mut backoff = shard.settings.backoff();
    loop {
        state.borrow_mut().phase = DialPhase::Connecting;
        let connected = tokio::select! {
            () = shard.ending.cancelled() => return,
            connected = tokio::time::timeout(CONNECT_TIME, connect(&shard, &hub)) => connected,
        };
        let failure = match connected {
            Ok(Ok((socket, peer))) => {
                let ended = run(&shard, &hub, socket, peer, &state).await;
                if let Some(up) = ended.up {
                    backoff.ended_after(up);
                    state.borrow_mut().reconnects += 1;
                }
                if shard.ending.is_cancelled() {
                    return;
                }
                ended.closed.to_string()
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => format!("no connection within {} s", CONNECT_TIME.as_secs()),
        };
        let wait = backoff.wait(rand::random());
        note_failure(&shard, &hub, &state, failure, wait, backoff.failures());
        tokio::select! {
            () = shard.ending.cancelled() => return,
            () = tokio::time::sleep(wait) => (),
        }
    }
}

fn note_failure(
    shard: &Shard,
    hub: &DialSettings,
    state: &RefCell<DialState>,
    error: String,
    wait: Duration,
    failures: u32,
) {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(hub = hub.addr, error, wait_ms, failures, "the hub is not connected");
    shard.audit.log(Event::PeerConnected {
        peer: audit_peer("", &hub.addr),
        failed: Some(Attempt { number: u64::from(failures), error: error.clone() }),
    });
    let mut state = state.borrow_mut();
    state.phase = DialPhase::Waiting { until: Shard::now() + wait };
    state.failures = failures;
    state.last_error = Some(error);
}

async fn connect(
    shard: &Shard,
    hub: &DialSettings,
) -> Result<(Socket, Option<pubsub_tls::Peer>), String> {
    let broke = |error: io::Error| format!("connect to {}: {error}", hub.addr);
    let stream = TcpStream::connect(&hub.addr).await.map_err(broke)?;
    stream.set_nodelay(true).map_err(broke)?;
    let (transport, handshake, peer) = match &shard.tls {
        Some(tls) if !hub.plain => {
            let handshake = tls.current().dial(hub.host(), hub.name.as_deref());
            let connector = TlsConnector::from(handshake.config());
            let connected = connector.connect(handshake.server_name(), stream).await;
            let stream = connected.map_err(|error| handshake.explain(error).to_string())?;
            let peer = handshake.peer(stream.get_ref().1).map_err(|error| error.to_string())?;
            (Transport::Tls(Box::new(stream.into())), Some(handshake), Some(peer))
        }
        Some(_) | None => (Transport::Plain(stream), None, None),
    };
    let socket = socket::dial(transport, &hub.addr, hub.spoken).await.map_err(|error| {
        use tokio_tungstenite::tungstenite::Error;
        match (error, &handshake) {
            // A hub that refuses our certificate says so only now.
            (Error::Io(error), Some(handshake)) => handshake.explain(error).to_string(),
            (error, _) => format!("no WebSocket with {}: {error}", hub.addr),
        }
    })?;
    Ok((socket, peer))
}

async fn run(
    shard: &Rc<Shard>,
    hub: &DialSettings,
    socket: Socket,
    peer: Option<pubsub_tls::Peer>,
    state: &Rc<RefCell<DialState>>,
) -> Ended {
    let certified = peer.as_ref().and_then(|peer| NodeName::new(&peer.name).ok());
    let config = SessionConfig { certified, ..shard.session_config() };
    let now = Shard::now();
    let lists = hub.lists.clone();
    let machine: Box<dyn Link> = match hub.spoken {
        Spoken::Pubsub => Box::new(Session::dial(config, lists, now)),
        Spoken::Keyop => Box::new(Session::dial(config, lists, now)),
    };
    let side = Side::Dialer { hub: hub.clone(), state: state.clone() };
    drive(shard, machine, socket, side, peer).await
}
