//! Dials a hub, for as long as the node runs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use pubsub_audit::{Attempt, Event};
use pubsub_federation::{Link, NodeName, Session, SessionConfig, keyop};
use pubsub_tls::Reloading;

use super::connect::connect;
use super::drive::{Ended, Side, drive};
use super::settings::DialSettings;
use super::shard::{Shard, audit_peer};
use super::socket::{Socket, Spoken};
use super::status::{DialPhase, DialState};

/// Connects, and connects again, until the shard ends.
pub(crate) async fn keep_dialling(shard: Rc<Shard>, hub: DialSettings) {
    let state = Rc::new(RefCell::new(DialState::new(&hub.addr)));
    shard.dials.borrow_mut().push(state.clone());
    let mut backoff = shard.settings.backoff();
    loop {
        state.borrow_mut().phase = DialPhase::Connecting;
        let tls = shard.tls.as_ref().map(Reloading::current);
        let connected = tokio::select! {
            () = shard.ending.cancelled() => return,
            connected = connect(tls.as_deref(), &hub) => connected,
        };
        let failure = match connected {
            Ok((socket, peer)) => {
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
            Err(error) => error.to_string(),
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
        Spoken::Keyop => Box::new(keyop::Session::dial(config, lists, now)),
    };
    let side = Side::Dialer { hub: hub.clone(), state: state.clone() };
    drive(shard, machine, socket, side, peer).await
}
