//! The sending half of a connection: encoded responses, written in as few and as large pieces as the stream takes. A piece
//! that lies in a file goes from there.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fleuve_wire::{EncodedFrame, Stored};

use crate::budget::Grant;
use crate::stream::Stream;

/// Pieces given to the stream at once.
const PIECES_MAX: usize = 64;

/// What waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct Transmitter {
    /// Pieces, the first perhaps sent in part.
    pieces: VecDeque<Stored>,
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
    pub(crate) fn poll_write<S: Stream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.bytes == 0 {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
            return Poll::Ready(Ok(0));
        }
        let written = ready!(self.poll_send(io, cx))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.sent(written);
        Poll::Ready(Ok(written))
    }

    /// Sends of the first piece, and of those behind it that are in memory too.
    fn poll_send<S: Stream>(&self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(Stored::File(range)) = self.pieces.front() {
            return io.poll_send_file(cx, range);
        }
        let in_memory = self.pieces.iter().map_while(|piece| match piece {
            Stored::Memory(bytes) => Some(IoSlice::new(bytes)),
            Stored::File(_) => None,
        });
        let (mut slices, mut count) = ([IoSlice::new(&[]); PIECES_MAX], 0);
        for (slice, piece) in slices.iter_mut().zip(in_memory) {
            (*slice, count) = (piece, count + 1);
        }
        io.poll_send(cx, &slices[..count], count < self.pieces.len())
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::task::Waker;

    use bytes::Bytes;
    use fleuve_base::{FileRange, Fs, MemoryFs};
    use fleuve_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
    use fleuve_wire::response;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;
    use crate::budget::Budget;

    /// Takes so many bytes a call, and notes which calls took them from a file.
    struct Peer {
        step: usize,
        taken: Vec<u8>,
        from_file: usize,
        /// Whether the last piece in memory was said to have something behind it.
        more: bool,
    }

    impl AsyncRead for Peer {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Stream for Peer {
        const SENDS_FILES: bool = true;

        fn poll_send(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>> {
            let joined: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let sent = joined.len().min(self.step);
            self.taken.extend_from_slice(&joined[..sent]);
            self.more = more;
            Poll::Ready(Ok(sent))
        }

        fn poll_send_file(&mut self, _: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>> {
            assert!(self.more, "what stands before a file goes with it");
            let bytes = range.read()?;
            let sent = bytes.len().min(self.step);
            self.taken.extend_from_slice(&bytes[..sent]);
            self.from_file += sent;
            Poll::Ready(Ok(sent))
        }
    }

    /// A fetched answer whose partitions have these records.
    fn fetched(records: &[Stored]) -> EncodedFrame {
        let data = |records: &Stored| PartitionData { records: Some(records.clone()), ..Default::default() };
        let partitions = records.iter().map(data).collect();
        let topic = FetchableTopicResponse { topic: "t".to_owned(), partitions, ..Default::default() };
        response::encode(7, 11, &FetchResponse { responses: vec![topic], ..Default::default() }.into()).unwrap()
    }

    #[test]
    fn pieces_of_files_and_of_memory_arrive_in_their_order_whatever_the_peer_takes() {
        let file = MemoryFs::new().open(Path::new("/segment"), true).unwrap();
        let content: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
        file.write_at(&content, 0).unwrap();
        let in_file = |position, length| Stored::File(FileRange::new(std::sync::Arc::clone(&file), position, length));
        let in_memory = Stored::Memory(Bytes::from(vec![9; 5_000]));
        let frames = [
            fetched(&[in_file(100, 7_000), in_memory.clone(), in_file(3, 9_000)]),
            fetched(&[in_memory]),
            fetched(&[in_file(0, 20_000)]),
        ];
        let expected: Vec<u8> = frames.iter().flat_map(|frame| frame.to_bytes().to_vec()).collect();
        for step in [1, 97, 5_000, 100_000] {
            let budget = Budget::new(100_000);
            let mut transmitter = Transmitter::default();
            for frame in frames.clone() {
                let grant = budget.take(frame.memory_bytes());
                transmitter.push(frame, grant);
            }
            assert_eq!(transmitter.bytes(), expected.len());
            assert!((10_000..11_000).contains(&budget.held()), "files hold no memory: {}", budget.held());
            let mut peer = Peer { step, taken: vec![], from_file: 0, more: false };
            while !transmitter.is_empty() {
                let sent = transmitter.poll_write(&mut peer, &mut Context::from_waker(Waker::noop()));
                assert!(matches!(sent, Poll::Ready(Ok(_))));
            }
            assert!(peer.taken == expected, "step {step}");
            assert_eq!((peer.from_file, budget.held()), (36_000, 0));
        }
    }
}
