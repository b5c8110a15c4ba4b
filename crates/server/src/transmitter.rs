//! The sending half of a connection: encoded responses, written in as few and as large pieces as the stream takes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use fleuve_wire::EncodedFrame;
use tokio::io::AsyncWrite;

use crate::budget::Grant;

/// Pieces given to the stream at once.
const PIECES_MAX: usize = 64;

/// What waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct Transmitter {
    /// Pieces, the first perhaps sent in part.
    pieces: VecDeque<Bytes>,
    /// The budget of each frame, and how many bytes it still has to send.
    frames: VecDeque<(usize, Grant)>,
    bytes: usize,
    unflushed: bool,
}

impl Transmitter {
    /// Puts a frame behind all others.
    pub(crate) fn push(&mut self, frame: EncodedFrame, grant: Grant) {
        self.bytes += frame.len();
        self.frames.push_back((frame.len(), grant));
        self.pieces.extend(frame.into_chunks());
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all has been handed over.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0 && !self.unflushed
    }

    /// Sends some; the number of bytes. Pending means that the peer does not take them.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes == 0 {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
            return Poll::Ready(Ok(0));
        }
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let count = self.pieces.len().min(PIECES_MAX);
        slices.iter_mut().zip(&self.pieces).for_each(|(slice, piece)| *slice = IoSlice::new(piece));
        let written = ready!(Pin::new(io).poll_write_vectored(cx, &slices[..count]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.sent(written);
        Poll::Ready(Ok(written))
    }

    fn sent(&mut self, written: usize) {
        self.unflushed = true;
        self.bytes -= written;
        let mut left = written;
        while let Some(piece) = self.pieces.front_mut().filter(|_| left > 0) {
            let step = left.min(piece.len());
            piece.advance(step);
            left -= step;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        let mut left = written;
        while let Some((unsent, _)) = self.frames.front_mut().filter(|_| left > 0) {
            let step = left.min(*unsent);
            *unsent -= step;
            left -= step;
            if *unsent == 0 {
                self.frames.pop_front();
            }
        }
    }
}
