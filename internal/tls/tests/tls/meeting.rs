//! Two sides that meet over memory, until both are done or one has had enough.

use pubsub_tls::{Handshake, HandshakeError, Peer, Tls};
use rustls::{ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection};

/// What became of a meeting, as each side sees it: whom it met, or why not.
#[derive(Debug)]
pub(crate) struct Met {
    /// What the listener knows of the dialer.
    pub(crate) listener: Result<Peer, HandshakeError>,
    /// What the dialer knows of the listener.
    pub(crate) dialer: Result<Peer, HandshakeError>,
    /// The listener's end, and the dialer's.
    pub(crate) ends: [Connection; 2],
}

/// Lets `dialer` dial `listener`, wanting nobody in particular.
pub(crate) fn meet(dialer: &Tls, listener: &Tls) -> Met {
    meet_with(&dialer.dial("localhost", None), &listener.accept())
}

/// Lets `dialer` dial `listener`, wanting somebody.
pub(crate) fn meet_wanting(dialer: &Tls, wanted: &str, listener: &Tls) -> Met {
    meet_with(&dialer.dial("localhost", Some(wanted)), &listener.accept())
}

/// Runs one handshake.
pub(crate) fn meet_with(dial: &Handshake<ClientConfig>, accept: &Handshake<ServerConfig>) -> Met {
    let mut ends = [listening(accept), dialling(dial)];
    let [listener_failed, dialer_failed] = shake(&mut ends);
    let [listener, dialer] = &ends;
    Met {
        listener: known(accept, listener_failed, listener),
        dialer: known(dial, dialer_failed, dialer),
        ends,
    }
}

/// Why a listener refuses a dialer with this configuration.
#[track_caller]
pub(crate) fn judged_by_listener(listener: &Tls, dialer: ClientConfig) -> HandshakeError {
    meet_rogue(listener, dialer).unwrap_err()
}

/// What a listener knows of a dialer with this configuration.
pub(crate) fn meet_rogue(listener: &Tls, dialer: ClientConfig) -> Result<Peer, HandshakeError> {
    let (accept, any) = (listener.accept(), listener.dial("any", None).server_name());
    let dialer = ClientConnection::new(dialer.into(), any).unwrap();
    let mut ends = [listening(&accept), dialer.into()];
    let [failed, _] = shake(&mut ends);
    known(&accept, failed, &ends[0])
}

/// Why a dialer refuses a listener with this configuration.
#[track_caller]
pub(crate) fn judged_by_dialer(dialer: &Tls, listener: ServerConfig) -> HandshakeError {
    let dial = dialer.dial("any", None);
    let mut ends = [ServerConnection::new(listener.into()).unwrap().into(), dialling(&dial)];
    let [_, failed] = shake(&mut ends);
    known(&dial, failed, &ends[1]).unwrap_err()
}

/// The end of a listener.
pub(crate) fn listening(accept: &Handshake<ServerConfig>) -> Connection {
    ServerConnection::new(accept.config()).unwrap().into()
}

/// The end of a dialer.
pub(crate) fn dialling(dial: &Handshake<ClientConfig>) -> Connection {
    ClientConnection::new(dial.config(), dial.server_name()).unwrap().into()
}

fn known<C>(
    handshake: &Handshake<C>,
    failed: Option<Error>,
    end: &Connection,
) -> Result<Peer, HandshakeError> {
    match failed {
        Some(error) => Err(handshake.explain_tls(&error)),
        None => handshake.peer(end),
    }
}

/// Carries bytes to and fro until there are none, for what each side failed with.
fn shake(ends: &mut [Connection; 2]) -> [Option<Error>; 2] {
    let mut failed = [None, None];
    loop {
        let mut moved = false;
        for from in [0, 1] {
            let mut bytes = Vec::new();
            while ends[from].wants_write() {
                ends[from].write_tls(&mut bytes).unwrap();
            }
            moved |= !bytes.is_empty();
            let to = 1 - from;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() && failed[to].is_none() {
                ends[to].read_tls(&mut rest).unwrap();
                failed[to] = ends[to].process_new_packets().err();
            }
        }
        if !moved {
            return failed;
        }
    }
}

impl Met {
    /// Both sides took each other: the dialer and the listener.
    pub(crate) fn both(&self) -> (&Peer, &Peer) {
        match (&self.listener, &self.dialer) {
            (Ok(dialer), Ok(listener)) => (dialer, listener),
            other => panic!("{other:?}"),
        }
    }
}
