//! A client of a hub that keeps no files: what it publishes is in the hub's log or it is told that it may
//! not be, and it hears what is said while it is connected.
//!
//! ```text
//!   publish ─▶ room ─▶ ledger ─▶ Session ═══ link ═══▶ hub's log ─▶ committed ─▶ publish returns
//!               ╰ bounded          ╰──────◀═══════════ live ─▶ Delivery ─▶ handlers ─▶ credit
//! ```
//!
//! A message is sent once. When the link ends before the hub has acknowledged it, nobody here knows
//! whether it arrived, and its publisher is told so; it is never sent again. The hub knows it by this
//! client's number and its own, so whichever way it travels from there it is stored once.
//!
//! The link lives on a thread of its own: its signs of life do not depend on how busy its user is.

mod delivery;
mod driver;
mod error;
mod ledger;
mod room;
mod settings;
mod talk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, ThreadId};

use parking_lot::Mutex;
use pubsub_envelope::{Kind, NewRecord, Record, TooLarge, binary};
use pubsub_types::ChannelName;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use delivery::{Delivery, Ticket};
pub use error::{ConnectError, PublishError, Rejected, StartError, SubscribeError};
pub use settings::{Reconnect, Settings};

use self::driver::Driver;
use self::ledger::Parcel;
use self::room::Rooms;

/// Called when the hub refuses this client, and it will not try again by itself.
pub type OnRejected = Box<dyn Fn(Rejected) + Send + Sync>;

/// A client without files. It ends when it is dropped.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
    thread: ThreadId,
}

/// What the client and its thread share.
#[derive(Debug)]
struct Shared {
    rooms: Rooms,
    declared: Mutex<Declared>,
    connected: AtomicBool,
    closed: AtomicBool,
    /// The thread has nothing more to do.
    ended: CancellationToken,
}

/// The channels that are received.
#[derive(Debug, Default)]
struct Declared {
    sinks: BTreeMap<ChannelName, UnboundedSender<Delivery>>,
    /// They were told to the hub, or are just being.
    told: bool,
}

/// What the thread is told.
#[derive(Debug)]
enum Command {
    Connect(oneshot::Sender<Result<(), ConnectError>>),
    Publish(Parcel),
    /// A publisher waits no longer; what was not sent need not be.
    Withdraw(ChannelName),
    /// The handlers are done with a batch.
    Handled(delivery::Handled),
    Close,
}

impl Client {
    /// Reads the certificates, and starts the thread. Nothing is dialled yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(settings: Settings, rejected: Option<OnRejected>) -> Result<Self, StartError> {
        let (commands, received) = unbounded_channel();
        let shared = Arc::new(Shared {
            rooms: Rooms::new(settings.queue_messages, settings.queue_bytes),
            declared: Mutex::default(),
            connected: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ended: CancellationToken::new(),
        });
        let driver = Driver::new(settings, shared.clone(), (commands.clone(), received), rejected)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let ended = shared.ended.clone().drop_guard();
        let thread = Builder::new()
            .name("pubsub-ephemeral".into())
            .spawn(move || {
                runtime.block_on(driver.run());
                drop(ended);
                // A look-up of a host's name may take its time; nobody waits for it.
                runtime.shutdown_background();
            })
            .map_err(StartError::Thread)?;
        Ok(Self { shared, commands, thread: thread.thread().id() })
    }

    /// Asks the hub for `channel` at the next connection; its messages come out of what is given back.
    /// `None` when it is asked for already.
    ///
    /// # Errors
    /// The client is connected, or connecting, and told the hub which channels it wants; or it is closed.
    pub fn subscribe(
        &self,
        channel: &ChannelName,
    ) -> Result<Option<UnboundedReceiver<Delivery>>, SubscribeError> {
        let mut declared = self.shared.declared.lock();
        if self.is_closed() {
            return Err(SubscribeError::Closed);
        }
        if declared.sinks.get(channel).is_some_and(|sink| !sink.is_closed()) {
            return Ok(None);
        }
        if declared.told {
            return Err(SubscribeError::TooLate { channel: channel.clone() });
        }
        let (sink, deliveries) = unbounded_channel();
        declared.sinks.insert(channel.clone(), sink);
        Ok(Some(deliveries))
    }

    /// Comes back when the hub is connected: at once when it is. Dropping the future gives the attempt
    /// up, unless somebody else waits for it too.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let (answer, answered) = oneshot::channel();
        let told = self.commands.send(Command::Connect(answer));
        told.map_err(|_closed| ConnectError::Closed)?;
        answered.await.unwrap_or(Err(ConnectError::Closed))
    }

    /// Sends a message, and comes back when the hub has committed it.
    ///
    /// Dropping the future before the message was sent takes it back. Afterwards it is stored, or not.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, channel: &ChannelName, record: Record) -> Result<(), PublishError> {
        let room = self.shared.rooms.take(record.content_bytes()).await;
        let room = room.ok_or(PublishError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let parcel = Parcel { channel: channel.clone(), record, room, answer };
        let told = self.commands.send(Command::Publish(parcel));
        told.map_err(|_closed| PublishError::Closed)?;
        let mut waiting = Waiting { client: self, channel, answered: false };
        let result = answered.await;
        waiting.answered = true;
        result.unwrap_or(Err(PublishError::Closed))
    }

    /// Whether the hub is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Acquire)
    }

    /// Whether it was told to close.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Ends the link: whoever waits for a publish or a connection is told so. Resolves when it has
    /// ended, within half a second; later calls wait for the same.
    pub fn close(&self) -> impl Future<Output = ()> + use<> {
        self.begin_close();
        let ended = self.shared.ended.clone();
        let from_within = std::thread::current().id() == self.thread;
        async move {
            // The thread's own callback would wait for itself.
            if !from_within {
                ended.cancelled().await;
            }
        }
    }

    fn begin_close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.rooms.close();
        self.shared.declared.lock().sinks.clear();
        // A thread that has ended is closed.
        let _ended = self.commands.send(Command::Close);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.begin_close();
    }
}

/// A publisher that waits for its answer. When it does so no longer, its message leaves the queue, so
/// that it takes nobody's room.
struct Waiting<'a> {
    client: &'a Client,
    channel: &'a ChannelName,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let _ended = self.client.commands.send(Command::Withdraw(self.channel.clone()));
        }
    }
}

/// A record of its own of a message that was not read from a log.
///
/// # Errors
/// Its envelope is longer than a record can say.
pub fn record_of(message: &NewRecord<'_>) -> Result<Record, TooLarge> {
    let mut records = records_of(std::iter::once((0, *message)), |_, error| Err(error))?;
    Ok(records.remove(0))
}

/// Records of these messages and their sequences, sharing one block.
fn records_of<'a, E>(
    messages: impl Iterator<Item = (u64, NewRecord<'a>)>,
    mut skip: impl FnMut(u64, TooLarge) -> Result<(), E>,
) -> Result<Vec<Record>, E> {
    let mut block = Vec::new();
    let mut starts = Vec::with_capacity(messages.size_hint().0);
    for (seq, message) in messages {
        starts.push(block.len());
        if let Err(error) = binary::encode_record(&mut block, Kind::Message, seq, &message) {
            starts.pop();
            skip(seq, error)?;
        }
    }
    let block = bytes::Bytes::from(block);
    let parse = |start: usize| binary::parse_record(&block[start..]).expect("we encoded it").0;
    Ok(starts.into_iter().map(|start| parse(start).share(&block)).collect())
}
