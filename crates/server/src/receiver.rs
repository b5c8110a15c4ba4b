//! The receiving half of a connection: bytes from the stream into frames, under the shared budget.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fleuve_wire::{DecodeError, FrameReader};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::budget::{Budget, Grant};

/// Frames in the making.
#[derive(Debug)]
pub(crate) struct Receiver {
    frames: FrameReader,
    grant: Grant,
    /// Whether it waits for the budget, not for the peer.
    starved: bool,
}

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// The peer sends no more.
    End,
}

impl Receiver {
    /// For frames up to `frame_bytes_max`.
    pub(crate) fn new(budget: &Arc<Budget>, frame_bytes_max: usize) -> Self {
        Receiver { frames: FrameReader::with_limit(frame_bytes_max), grant: budget.take(0), starved: false }
    }

    /// Sets the limit of the frames to come.
    pub(crate) fn set_limit(&mut self, frame_bytes_max: usize) {
        self.frames.set_limit(frame_bytes_max);
    }

    /// The next frame that is complete, with its part of the budget.
    pub(crate) fn next_frame(&mut self) -> Result<Option<(Bytes, Grant)>, DecodeError> {
        let frame = self.frames.next_frame()?;
        Ok(frame.map(|frame| {
            let grant = self.grant.split(frame.len());
            (frame, grant)
        }))
    }

    /// Reads once. What waits for an idle peer holds neither memory nor budget.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Read>> {
        let capacity = self.frames.spare().capacity();
        self.starved = true;
        ready!(self.grant.poll_raise(capacity, cx));
        self.starved = false;
        match pin!(io.read_buf(self.frames.spare())).poll(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Read::End)),
            Poll::Ready(Ok(bytes)) => Poll::Ready(Ok(Read::Bytes(bytes))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.rest();
                Poll::Pending
            }
        }
    }

    fn rest(&mut self) {
        if self.frames.buffered_bytes() == 0 {
            self.frames.shrink();
            self.grant.release();
        }
    }

    /// Whether reading waits for other connections to give memory back.
    pub(crate) fn starved(&self) -> bool {
        self.starved
    }

    /// Whether a part of a frame is there.
    pub(crate) fn within_frame(&self) -> bool {
        self.frames.buffered_bytes() > 0
    }
}
