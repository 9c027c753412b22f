//! What waits for a socket, what comes from it, and the last words on it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, StreamExt};
use pubsub_federation::{Closed, Message};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::socket::Socket;

/// Frames that wait for the socket before the machine is asked for more.
const FRAMES_MAX: usize = 16;

/// Frames that wait for a socket.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    waiting: VecDeque<Frame>,
    /// Something was given to the sink and not flushed.
    unflushed: bool,
}

/// What came from a socket.
#[derive(Debug)]
pub(crate) enum Heard {
    Message(Message),
    /// Nothing of ours, and perhaps something to be flushed.
    Control,
    /// Nothing more comes, for this reason.
    End(String),
}

impl Frames {
    pub(crate) fn is_flushed(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    /// Whether the machine is to be asked what to do next.
    ///
    /// One that is over is always asked: a socket that takes no more would keep its last words, and the
    /// link, for ever. What waited is dropped, and sent again over the next link.
    pub(crate) fn make_room(&mut self, is_over: impl FnOnce() -> bool) -> bool {
        if !self.has_room() && is_over() {
            self.waiting.clear();
        }
        self.has_room()
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < FRAMES_MAX
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.waiting.push_back(match message {
            Message::Binary(bytes) => Frame::Binary(bytes),
            Message::Text(text) => Frame::text(text),
        });
    }

    pub(crate) fn hear(&mut self, frame: Option<Result<Frame, tungstenite::Error>>) -> Heard {
        match frame {
            Some(Ok(Frame::Binary(bytes))) => Heard::Message(Message::Binary(bytes)),
            Some(Ok(Frame::Text(text))) => Heard::Message(Message::Text(text.as_str().to_owned())),
            // The library answers them.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {
                self.unflushed = true;
                Heard::Control
            }
            Some(Ok(Frame::Close(frame))) => {
                let text = frame.map(|frame| format!("{} {}", u16::from(frame.code), frame.reason));
                Heard::End(text.unwrap_or_default())
            }
            Some(Err(error)) => Heard::End(error.to_string()),
            None => Heard::End("the connection ended".to_owned()),
        }
    }

    /// Gives frames to the sink and flushes it. May be dropped and called again.
    pub(crate) async fn flush(
        &mut self,
        sink: &mut SplitSink<Socket, Frame>,
    ) -> Result<(), tungstenite::Error> {
        std::future::poll_fn(|context: &mut Context<'_>| {
            let mut sink = Pin::new(&mut *sink);
            while !self.waiting.is_empty() {
                ready!(sink.as_mut().poll_ready(context))?;
                if let Some(frame) = self.waiting.pop_front() {
                    sink.as_mut().start_send(frame)?;
                    self.unflushed = true;
                }
            }
            ready!(sink.as_mut().poll_flush(context))?;
            self.unflushed = false;
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Says the last words, and lets the peer say its own; within this time.
    pub(crate) async fn say_goodbye(
        &mut self,
        sink: &mut SplitSink<Socket, Frame>,
        stream: &mut SplitStream<Socket>,
        closed: &Closed,
        within: Duration,
    ) {
        let frame = CloseFrame {
            code: closed.code.to_u16().into(),
            // A control frame holds 125 bytes, two of which are the code.
            reason: cut(&closed.text, 123).into(),
        };
        self.waiting.push_back(Frame::Close(Some(frame)));
        let words = async {
            self.flush(sink).await?;
            while let Some(Ok(_)) = stream.next().await {}
            Ok::<(), tungstenite::Error>(())
        };
        // A peer that is gone hears nothing; that is no news.
        let _heard = tokio::time::timeout(within, words).await;
    }
}

fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_over_is_asked_for_its_last_words_though_its_socket_takes_none() {
        let mut frames = Frames::default();
        for _ in 0..FRAMES_MAX {
            assert!(frames.make_room(|| false));
            frames.push(Message::Text("data".to_owned()));
        }
        assert!(!frames.make_room(|| false));
        assert!(frames.make_room(|| true));
        assert!(frames.is_flushed());
    }
}
