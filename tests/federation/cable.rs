//! Where a cable leads can be changed, and it can be cut in two ways: heard, and unheard.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{Receiver, Sender, channel};

/// A TCP proxy on an address of its own, which stays the same while hubs come and go.
pub(crate) struct Cable {
    addr: SocketAddr,
    state: Sender<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    to: Option<SocketAddr>,
    /// Nothing crosses it, and nobody is told.
    silent: bool,
    /// How often it was pulled out.
    pulled: u64,
}

impl Cable {
    /// A cable that leads nowhere yet: who dials it is hung up on.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (state, seen) = channel(State::default());
        drop(tokio::spawn(serve(listener, seen)));
        Self { addr, state }
    }

    /// The address to dial.
    pub(crate) fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// Leads to this address from the next connection on.
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        self.state.send_modify(|state| state.to = Some(to));
    }

    /// Stops forwarding. Connections stay, and neither end learns of it.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.silent = true);
    }

    /// Ends all connections.
    pub(crate) fn pull(&self) {
        self.state.send_modify(|state| state.pulled += 1);
    }

    /// Forwards again.
    pub(crate) fn mend(&self) {
        self.state.send_modify(|state| state.silent = false);
    }
}

async fn serve(listener: TcpListener, state: Receiver<State>) {
    let mut ended = state.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.wait_for(|_| false) => return,
        };
        if let Ok((from, _)) = accepted {
            drop(tokio::spawn(forward(from, state.clone())));
        }
    }
}

async fn forward(from: TcpStream, mut state: Receiver<State>) {
    let State { to, pulled, .. } = *state.borrow_and_update();
    let Some(to) = to else { return };
    let Ok(to) = TcpStream::connect(to).await else { return };
    let (from_read, from_write) = from.into_split();
    let (to_read, to_write) = to.into_split();
    let there = tokio::spawn(pump(from_read, to_write, state.clone()));
    let back = tokio::spawn(pump(to_read, from_write, state.clone()));
    let (end_there, end_back) = (there.abort_handle(), back.abort_handle());
    tokio::select! {
        _ = state.wait_for(|state| state.pulled > pulled) => (),
        () = async { drop((there.await, back.await)) } => (),
    }
    end_there.abort();
    end_back.abort();
}

/// Forwards one way. What is on its way when the cable is cut waits until it is mended, the end of the
/// connection included.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: Receiver<State>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if state.wait_for(|state| !state.silent).await.is_err() {
            return;
        }
        if read == 0 {
            drop(to.shutdown().await);
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
