//! Frames: a length, a JSON head, and bytes behind it.
//!
//! ```text
//!   head length u32 · body length u32 · head · body      little-endian; both lengths are bounded
//! ```

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest head, in bytes.
pub const HEAD_BYTES_MAX: usize = 4 << 20;

/// Longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;

const LENGTHS_BYTES: usize = 8;

/// A frame could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The connection failed.
    #[error("the connection to the node failed")]
    Io(#[from] io::Error),
    /// The other side hung up within a frame.
    #[error("the connection ended within a frame")]
    Truncated,
    /// The other side announced more than is taken.
    #[error("a frame with a head of {head} and a body of {body} bytes is longer than is taken")]
    TooLong {
        /// Bytes of the head.
        head: usize,
        /// Bytes of the body.
        body: usize,
    },
    /// The head is not what was expected.
    #[error("a frame's head is not understood")]
    Head(#[from] serde_json::Error),
}

/// Reads frames. Dropping a pending [`Self::next`] loses nothing.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    from: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: BytesMut::new() }
    }

    /// The next frame, or `None` when the other side hung up between frames.
    pub(super) async fn next<T: DeserializeOwned>(
        &mut self,
    ) -> Result<Option<(T, Bytes)>, FrameError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Truncated) };
            }
        }
    }

    fn take<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Bytes)>, FrameError> {
        let Some(lengths) = self.buffer.first_chunk::<LENGTHS_BYTES>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h] = *lengths;
        let head = u32::from_le_bytes([a, b, c, d]) as usize;
        let body = u32::from_le_bytes([e, f, g, h]) as usize;
        if head > HEAD_BYTES_MAX || body > BODY_BYTES_MAX {
            return Err(FrameError::TooLong { head, body });
        }
        let total = LENGTHS_BYTES + head + body;
        if self.buffer.len() < total {
            // Not all at once: a length costs its sender nothing.
            self.buffer.reserve((total - self.buffer.len()).min(1 << 20));
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(total).freeze();
        frame.advance(LENGTHS_BYTES);
        let head = frame.split_to(head);
        Ok(Some((serde_json::from_slice(&head)?, frame)))
    }
}

/// Writes one frame, whose body is `parts` one behind the other.
pub(super) async fn write<W: AsyncWrite + Unpin, T: Serialize>(
    to: &mut W,
    head: &T,
    parts: &[&[u8]],
) -> Result<(), FrameError> {
    let head = serde_json::to_vec(head)?;
    let body: usize = parts.iter().map(|part| part.len()).sum();
    let too_long = FrameError::TooLong { head: head.len(), body };
    let (Ok(head_len), Ok(body_len)) = (u32::try_from(head.len()), u32::try_from(body)) else {
        return Err(too_long);
    };
    if head.len() > HEAD_BYTES_MAX || body > BODY_BYTES_MAX {
        return Err(too_long);
    }
    let mut out = Vec::with_capacity(LENGTHS_BYTES + head.len() + body);
    out.extend_from_slice(&head_len.to_le_bytes());
    out.extend_from_slice(&body_len.to_le_bytes());
    out.extend_from_slice(&head);
    for part in parts {
        out.extend_from_slice(part);
    }
    to.write_all(&out).await?;
    Ok(to.flush().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        block_on(async {
            let (mut near, far) = tokio::io::duplex(3);
            let writing = tokio::spawn(async move {
                write(&mut near, &"one", &[b"body", b"", b"!"]).await.unwrap();
                write(&mut near, &"two", &[]).await.unwrap();
            });
            let mut reader = FrameReader::new(far);
            let (head, body) = reader.next::<String>().await.unwrap().unwrap();
            assert_eq!((head.as_str(), &body[..]), ("one", &b"body!"[..]));
            let (head, body) = reader.next::<String>().await.unwrap().unwrap();
            assert_eq!((head.as_str(), body.len()), ("two", 0));
            assert!(reader.next::<String>().await.unwrap().is_none());
            writing.await.unwrap();
        });
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_read() {
        block_on(async {
            let claim = [u32::MAX.to_le_bytes(), 0_u32.to_le_bytes()].concat();
            let mut reader = FrameReader::new(&claim[..]);
            let refused = reader.next::<String>().await.unwrap_err();
            assert!(matches!(refused, FrameError::TooLong { .. }), "{refused}");
            let big = vec![0; BODY_BYTES_MAX + 1];
            let refused = write(&mut Vec::new(), &"", &[&big]).await.unwrap_err();
            assert!(matches!(refused, FrameError::TooLong { .. }), "{refused}");
        });
    }

    #[test]
    fn a_connection_that_ends_within_a_frame_says_so() {
        block_on(async {
            let mut bytes = Vec::new();
            write(&mut bytes, &"one", &[b"body"]).await.unwrap();
            let mut reader = FrameReader::new(&bytes[..bytes.len() - 1]);
            let refused = reader.next::<String>().await.unwrap_err();
            assert!(matches!(refused, FrameError::Truncated), "{refused}");
        });
    }
}
