//! A wire between a client and its hub that can be cut, and that can hold back what goes one way.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

/// What the wire does now.
#[derive(Clone, Copy, Debug)]
struct State {
    hub: SocketAddr,
    /// Connections begun before the last cut are over.
    cuts: usize,
    /// Whether there is a way to the hub at all.
    up: bool,
    /// Whether what the hub says comes through.
    answers: bool,
}

/// A wire to a hub.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) addr: SocketAddr,
    state: watch::Sender<State>,
    dialled: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Wire {
    /// A wire to the hub at this address, on a thread of its own: it works while the test blocks.
    pub(crate) fn to(hub: SocketAddr) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State { hub, cuts: 0, up: true, answers: true });
        let (dialled, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, opened) = (dialled.clone(), open.clone());
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(accept(listener, seen, &counted, &opened));
        });
        Self { addr, state, dialled, open }
    }

    /// Cuts every connection, and lets no new one through.
    pub(crate) fn down(&self) {
        self.state.send_modify(|state| {
            state.up = false;
            state.cuts += 1;
        });
    }

    /// Lets connections through again.
    pub(crate) fn up(&self) {
        self.state.send_modify(|state| state.up = true);
    }

    /// Cuts every connection; new ones get through.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Whether what the hub says comes through.
    pub(crate) fn answers(&self, answers: bool) {
        self.state.send_modify(|state| state.answers = answers);
    }

    /// Leads to another hub from now on.
    pub(crate) fn lead_to(&self, hub: SocketAddr) {
        self.state.send_modify(|state| state.hub = hub);
    }

    /// Connections that were tried.
    pub(crate) fn dialled(&self) -> usize {
        self.dialled.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// Accepts until the wire is dropped.
async fn accept(
    listener: StdListener,
    seen: watch::Receiver<State>,
    counted: &AtomicUsize,
    opened: &Arc<AtomicUsize>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut dropped = seen.clone();
    loop {
        let (client, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            // The condition never holds: this is the end of the sender.
            _ = dropped.wait_for(|_| false) => return,
        };
        counted.fetch_add(1, Ordering::SeqCst);
        let (seen, opened) = (seen.clone(), opened.clone());
        tokio::spawn(async move {
            opened.fetch_add(1, Ordering::SeqCst);
            carry(client, seen).await;
            opened.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn carry(client: TcpStream, seen: watch::Receiver<State>) {
    let State { hub, cuts, up, .. } = *seen.borrow();
    if !up {
        return;
    }
    let Ok(hub) = TcpStream::connect(hub).await else { return };
    let mut watched = seen.clone();
    let (from_client, to_client) = client.into_split();
    let (from_hub, to_hub) = hub.into_split();
    // Whichever ends first ends both.
    tokio::select! {
        _ = watched.wait_for(|state| state.cuts > cuts) => (),
        () = pump(from_client, to_hub, seen.clone(), |_| true) => (),
        () = pump(from_hub, to_client, seen, |state| state.answers) => (),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut seen: watch::Receiver<State>,
    flows: impl Fn(&State) -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(len @ 1..) = from.read(&mut buffer).await else { return };
        let flowing = seen.wait_for(&flows).await.is_ok();
        if !flowing || to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
