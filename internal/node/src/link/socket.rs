//! A WebSocket between two nodes, over TLS or, where that is allowed, without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use pubsub_federation::{FRAME_MAX_BYTES, SUBPROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};

/// Header in which the two ends agree on what they speak.
const PROTOCOL_HEADER: &str = "Sec-WebSocket-Protocol";
/// Room that a connection reads into. Idle ones keep it, so it is small; longer frames make room for
/// themselves.
const READ_BUFFER_BYTES: usize = 8 << 10;
/// Bytes collected before they are given to TLS.
const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// Longest message of the predecessor's wire: its largest batch, 10 MiB, and its own allowance.
const KEYOP_MESSAGE_MAX_BYTES: usize = 11 << 20;

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Our link protocol.
    Pubsub,
    /// The predecessor's WebSocket wire, which names no sub-protocol.
    Keyop,
}

/// The bytes below the WebSocket.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(crate) type Socket = WebSocketStream<Transport>;

/// Answers a WebSocket handshake.
pub(crate) async fn accept(stream: Transport) -> Result<(Socket, Spoken), tungstenite::Error> {
    let mut spoken = Spoken::Keyop;
    #[expect(clippy::result_large_err, reason = "the error is what the library wants")]
    let choose = |request: &Request, mut response: Response| match offered(request) {
        Offered::Ours => {
            spoken = Spoken::Pubsub;
            let ours = HeaderValue::from_static(SUBPROTOCOL);
            response.headers_mut().append(PROTOCOL_HEADER, ours);
            Ok(response)
        }
        Offered::None => Ok(response),
        Offered::Others => Err(refusal()),
    };
    // Which of the two it is, is not known before it is accepted; frames of ours are checked against
    // their own limit as well.
    let config = config(KEYOP_MESSAGE_MAX_BYTES);
    let socket =
        tokio_tungstenite::accept_hdr_async_with_config(stream, choose, Some(config)).await?;
    Ok((socket, spoken))
}

/// Asks for a WebSocket on `stream`, which leads to the hub at `addr`.
pub(crate) async fn dial(
    stream: Transport,
    addr: &str,
    spoken: Spoken,
) -> Result<Socket, tungstenite::Error> {
    let scheme = if matches!(stream, Transport::Tls(_)) { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{addr}/").into_client_request()?;
    request.headers_mut().insert(
        "Sec-WebSocket-Key",
        HeaderValue::from_str(&generate_key()).map_err(tungstenite::http::Error::from)?,
    );
    let mut limit = KEYOP_MESSAGE_MAX_BYTES;
    if spoken == Spoken::Pubsub {
        request.headers_mut().insert(PROTOCOL_HEADER, HeaderValue::from_static(SUBPROTOCOL));
        limit = FRAME_MAX_BYTES + 64;
    }
    let (socket, _response) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(config(limit))).await?;
    Ok(socket)
}

fn config(message_max_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(message_max_bytes))
        .max_frame_size(Some(message_max_bytes))
}

/// What a client asks to speak.
enum Offered {
    Ours,
    Others,
    None,
}

fn offered(request: &Request) -> Offered {
    let mut any = false;
    for value in request.headers().get_all(PROTOCOL_HEADER) {
        any = true;
        let names = value.to_str().unwrap_or_default().split(',');
        if names.map(str::trim).any(|name| name == SUBPROTOCOL) {
            return Offered::Ours;
        }
    }
    if any { Offered::Others } else { Offered::None }
}

fn refusal() -> ErrorResponse {
    let text = format!("this is a pubsub hub; it speaks {SUBPROTOCOL}");
    let mut response = ErrorResponse::new(Some(text));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
