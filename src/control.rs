//! The control socket of an embedded node, on a thread of its own: the command line works while a
//! service runs, however busy its runtime is, and whatever it has enabled of tokio.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;
use pubsub_node::Node;
use pubsub_node::control::Server;
use tokio::sync::oneshot;

/// A thread that answers on the control socket.
#[derive(Debug)]
pub(crate) struct Control(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Starts the thread, and comes back when it listens.
    ///
    /// # Errors
    /// There is no thread to be had, or the socket could not be made.
    pub(crate) fn start(node: Arc<Node>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (listening, listens) = std::sync::mpsc::channel();
        let thread = Builder::new().name("pubsub-control".into()).spawn(move || {
            let served = serve(node, stopped, &listening);
            // Whoever waits for the first word is told of an error; later there is none.
            drop(listening.send(served));
        })?;
        match listens.recv() {
            Ok(Ok(())) => Ok(Self(Mutex::new(Some(Running { stop, thread })))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the thread of the control socket ended")),
        }
    }

    /// Ends the thread. Blocks until its clients' positions are saved.
    pub(crate) fn stop(&self) {
        let Some(Running { stop, thread }) = self.0.lock().take() else { return };
        drop(stop);
        if thread.join().is_err() {
            tracing::error!("the thread of the control socket ended with a panic");
        }
    }
}

fn serve(
    node: Arc<Node>,
    stopped: oneshot::Receiver<()>,
    listening: &std::sync::mpsc::Sender<io::Result<()>>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::start(node)?;
        drop(listening.send(Ok(())));
        // Ended by a word or by the end of who could give it.
        _ = stopped.await;
        server.stop().await;
        Ok(())
    })
}
