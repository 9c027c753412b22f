//! The face of a link: what the shell tells it, and what it tells the shell.
//!
//! [`Session`](crate::Session) speaks our protocol, [`keyop::Session`](crate::keyop::Session) the
//! predecessor's; the shell drives both alike.
//!
//! ```text
//!   loop {
//!       while let Some(action) = link.poll_action() { do it }       Close ends the loop
//!       wait for the first of
//!           a WebSocket message   link.handle_message(message, now)
//!           the connection's end  link.handle_hangup(now)
//!           link.deadline()       link.tick(now)
//!           an answer or news     link.read(..), link.synced(..), link.ready(..), ...
//!   }
//! ```
//!
//! The shell goes on reading from the socket while it writes to it: two nodes that both wait for the
//! other to read would wait for ever. It does not poll actions while a `Send` waits for the socket,
//! and the link then reads nothing more from the logs; so a slow peer stops the reader of a file and
//! fills no memory.
//!
//! `now` is the time since some fixed instant, and never runs backwards.
//!
//! Of the receiving side:
//!
//! 1. `Offered` → `subscribe` with the position stored for (peer, channel).
//! 2. `Receive` → judge, append, and tell `committed` and, once the position is written down, `synced`
//!    with the sequence of `batch.position()`, in order. Bytes not yet committed are the window: to
//!    slow a peer down, commit later.
//! 3. When an append fails → undo what was taken, `failed`, and nothing more of that subscription is
//!    appended, not even what is already in hand: the order would suffer. The peer offers it again
//!    after a while. When a commit fails after the append, the same goes for every batch of the channel
//!    that was judged since, over any link: copies were dropped because of what is now lost.

use std::fmt;
use std::time::Duration;

use pubsub_types::ChannelName;

use crate::action::{Action, InSub, LinkStatus, Message, Opened, OutSub, Piece, Start};
use crate::close::{CloseCode, RefuseCode};
use crate::log_info::LogInfo;
use crate::policy::PeerPolicy;

/// A link between two nodes, as a machine. What does not fit its state is passed over, so that news
/// that crosses the end of a link or of a subscription needs no care.
pub trait Link: fmt::Debug + Send {
    /// The peer sent a message.
    fn handle_message(&mut self, message: Message, now: Duration);

    /// The peer sent a WebSocket close frame.
    fn handle_close(&mut self, code: u16, text: &str, now: Duration);

    /// The connection is gone. `text` says how, for people.
    fn handle_hangup(&mut self, text: &str, now: Duration);

    /// Answer to [`Action::Admit`]: the peer may come in.
    fn admit(&mut self, policy: &PeerPolicy, now: Duration);

    /// Answer to [`Action::Admit`]: it may not.
    fn reject(&mut self, code: CloseCode, text: &str, now: Duration);

    /// Listener only: the allowlist changed. A peer that is no longer in it is cut with `close` and
    /// [`CloseCode::NotAllowed`].
    fn set_policy(&mut self, policy: &PeerPolicy, now: Duration);

    /// Ends the link in good order: the peer is told why.
    fn close(&mut self, code: CloseCode, text: &str, now: Duration);

    /// There is a channel here: the answer to [`Action::ListChannels`], and whenever one appears.
    fn channel(&mut self, channel: &ChannelName, log: &LogInfo, now: Duration);

    /// A channel was removed. Call it before `channel` when one of that name is made again.
    fn channel_removed(&mut self, channel: &ChannelName, now: Duration);

    /// Answer to [`Action::Open`].
    fn opened(&mut self, sub: OutSub, opened: Opened, now: Duration);

    /// Answer to [`Action::Read`]: what was read, and the sequence up to which it was read: that of
    /// the last message, or a later one when deleted messages were passed. `at_end` says that there
    /// is no more now, and that `ready` will be called when there is.
    fn read(
        &mut self,
        sub: OutSub,
        pieces: &mut dyn Iterator<Item = Piece<'_>>,
        after: u64,
        at_end: bool,
        now: Duration,
    );

    /// There may be something to read beyond the end that `read` met. Harmless when there is not.
    fn ready(&mut self, sub: OutSub, now: Duration);

    /// A channel cannot be sent any more, or not now ([`RefuseCode::Unavailable`]: it is offered again
    /// after a while). Also an answer to [`Action::Open`] and [`Action::Read`].
    fn withdraw(&mut self, sub: OutSub, code: RefuseCode, text: &str, now: Duration);

    /// Answer to [`Action::Offered`]: we want it, from there on.
    fn subscribe(&mut self, sub: InSub, start: Start, now: Duration);

    /// Answer to [`Action::Offered`]: we do not want it. Also ends a subscription.
    fn refuse(&mut self, sub: InSub, code: RefuseCode, text: &str, now: Duration);

    /// Everything up to `seq` of the peer's log is appended as our policy says.
    fn committed(&mut self, sub: InSub, seq: u64, now: Duration);

    /// Everything up to `seq` of the peer's log is synced, and so committed too, and so is the position
    /// that says so: the peer may now delete what it held back, and must not be asked for it again.
    fn synced(&mut self, sub: InSub, seq: u64, now: Duration);

    /// Messages of this subscription could not be appended. It ends, without [`Action::Ended`].
    fn failed(&mut self, sub: InSub, text: &str, now: Duration);

    /// Time has come to [`Self::deadline`].
    fn tick(&mut self, now: Duration);

    /// When to call [`Self::tick`]; `None` when there is nothing to wait for.
    fn deadline(&self) -> Option<Duration>;

    /// What to do next; `None` until something happens.
    fn poll_action(&mut self) -> Option<Action>;

    /// How it is doing.
    fn status(&self) -> LinkStatus;
}
