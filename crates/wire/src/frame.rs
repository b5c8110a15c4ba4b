//! Cutting a byte stream into frames.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::FRAME_BYTES_MAX_UNAUTHENTICATED;
use crate::{DecodeError, DecodeErrorKind};

/// Bytes of the length before a frame.
const LENGTH_BYTES: usize = 4;

/// Bytes reserved at least for the next read from the stream.
const READ_BYTES: usize = 4 << 10;

/// Bytes reserved at most ahead of what has arrived.
const AHEAD_BYTES_MAX: usize = 4 << 20;

/// Collects what a stream yields and gives out frames, each a length of four bytes and as many bytes.
///
/// The length is not believed: memory is reserved as bytes arrive, at most as much ahead as has already come in,
/// or as the largest frame that this stream has delivered before (so that a producer's steady frames are not
/// copied while they grow), and never more than [`AHEAD_BYTES_MAX`].
///
/// ```
/// let mut frames = fleuve_wire::FrameReader::new();
/// frames.spare().extend_from_slice(&[0, 0, 0, 2, 7]);
/// assert_eq!(frames.next_frame()?, None);
/// frames.spare().extend_from_slice(&[8, 0, 0]);
/// assert_eq!(frames.next_frame()?.as_deref(), Some(&[7, 8][..]));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    frame_bytes_max: usize,
    largest_bytes: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// Of a peer that is not authenticated: frames up to [`FRAME_BYTES_MAX_UNAUTHENTICATED`].
    pub fn new() -> Self {
        Self::with_limit(FRAME_BYTES_MAX_UNAUTHENTICATED)
    }

    /// With another limit.
    pub fn with_limit(frame_bytes_max: usize) -> Self {
        FrameReader { buffer: BytesMut::new(), frame_bytes_max, largest_bytes: 0 }
    }

    /// Sets the limit for the frames to come, as when the peer has been authenticated.
    pub fn set_limit(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The buffer to append received bytes to, with room for at least a few thousand.
    pub fn spare(&mut self) -> &mut BytesMut {
        let ahead = self.buffer.len().max(self.largest_bytes).min(AHEAD_BYTES_MAX);
        let missing = self.claimed().map_or(0, |claimed| (claimed + LENGTH_BYTES).saturating_sub(self.buffer.len()));
        let room = self.buffer.capacity() - self.buffer.len();
        if room < READ_BYTES.min(missing.max(1)) || room == 0 {
            self.buffer.reserve(missing.min(ahead).max(READ_BYTES));
        }
        &mut self.buffer
    }

    /// Bytes that have arrived and are not given out: what the stream holds in memory.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Gives memory back that holds no bytes; worthwhile before a long wait.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// The length of the frame that has begun, once its four bytes are there and it is within the limit.
    fn claimed(&self) -> Option<usize> {
        let length = self.buffer.get(..LENGTH_BYTES)?.try_into().map(i32::from_be_bytes).ok()?;
        usize::try_from(length).ok().filter(|&length| length <= self.frame_bytes_max)
    }

    /// The next frame without its length, if all of it has arrived.
    ///
    /// # Errors
    /// The next length is negative or over the limit: the stream cannot be read on.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if self.buffer.len() < LENGTH_BYTES {
            return Ok(None);
        }
        let wrong = DecodeError { kind: DecodeErrorKind::WrongFrameLength, position: 0 };
        let length = self.claimed().ok_or(wrong)?;
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.largest_bytes = self.largest_bytes.max(length);
        Ok(Some(self.take(LENGTH_BYTES + length)))
    }

    /// A frame that is all that has arrived takes the buffer with it: then it is the memory's only owner, and
    /// its records can be stamped in place.
    fn take(&mut self, bytes: usize) -> Bytes {
        let mut frame = match self.buffer.len() == bytes {
            true => std::mem::take(&mut self.buffer),
            false => self.buffer.split_to(bytes),
        };
        frame.advance(LENGTH_BYTES);
        frame.freeze()
    }
}
