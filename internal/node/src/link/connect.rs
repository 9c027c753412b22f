//! Connects to a hub: TCP, TLS unless it is plain, WebSocket.

use std::io;
use std::time::Duration;

use pubsub_tls::{HandshakeError, Peer, Tls};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error as WebSocketError;

use super::settings::DialSettings;
use super::socket::{self, Socket, Transport};

/// Time for a connection with all its handshakes.
const CONNECT_TIME: Duration = Duration::from_secs(15);

/// There is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("connect to {addr}: {error}")]
    Tcp { addr: String, error: io::Error },
    #[error(transparent)]
    Tls(HandshakeError),
    #[error("no WebSocket with {addr}: {error}")]
    WebSocket { addr: String, error: Box<WebSocketError> },
    #[error("no connection within {} s", CONNECT_TIME.as_secs())]
    TooSlow,
}

/// Connects, and says whom the hub's certificate names.
pub(crate) async fn connect(
    tls: Option<&Tls>,
    hub: &DialSettings,
) -> Result<(Socket, Option<Peer>), ConnectError> {
    let connected = tokio::time::timeout(CONNECT_TIME, shake_hands(tls, hub)).await;
    connected.unwrap_or(Err(ConnectError::TooSlow))
}

async fn shake_hands(
    tls: Option<&Tls>,
    hub: &DialSettings,
) -> Result<(Socket, Option<Peer>), ConnectError> {
    let broke = |error| ConnectError::Tcp { addr: hub.addr.clone(), error };
    let stream = TcpStream::connect(&hub.addr).await.map_err(broke)?;
    stream.set_nodelay(true).map_err(broke)?;
    let (transport, handshake, peer) = match tls {
        Some(tls) if !hub.plain => {
            let handshake = tls.dial(hub.host(), hub.name.as_deref());
            let connector = TlsConnector::from(handshake.config());
            let connected = connector.connect(handshake.server_name(), stream).await;
            let stream = connected.map_err(|error| ConnectError::Tls(handshake.explain(error)))?;
            let peer = handshake.peer(stream.get_ref().1).map_err(ConnectError::Tls)?;
            (Transport::Tls(Box::new(stream.into())), Some(handshake), Some(peer))
        }
        Some(_) | None => (Transport::Plain(stream), None, None),
    };
    let socket = socket::dial(transport, &hub.addr, hub.spoken).await;
    let socket = socket.map_err(|error| match (error, &handshake) {
        // A hub that refuses our certificate says so only now.
        (WebSocketError::Io(error), Some(handshake)) => ConnectError::Tls(handshake.explain(error)),
        (error, _) => ConnectError::WebSocket { addr: hub.addr.clone(), error: Box::new(error) },
    })?;
    Ok((socket, peer))
}
