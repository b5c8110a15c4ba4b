//! Writing Kafka's primitive types into a frame whose long byte fields are not copied.

use bytes::{BufMut, Bytes, BytesMut};
use fleuve_base::Stored;

use crate::limits::{CHUNK_BYTES_MIN, STRING_BYTES_MAX};
use crate::{EncodeError, Message, Uuid};

/// A frame in the making.
///
/// Small values are collected in one buffer. A byte field of [`CHUNK_BYTES_MIN`] or more is only noted together
/// with its position in that buffer, so the finished frame is a list of slices of the buffer with such fields
/// in between.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    /// Byte fields, and the length of the buffer when they came.
    inserted: Vec<(usize, Stored)>,
    inserted_bytes: usize,
}

/// Bytes of the length before a frame.
const LENGTH_BYTES: usize = 4;

/// Bytes that a frame reserves to begin with: most responses fit.
const BUFFER_BYTES: usize = 256;

type Result<T = (), E = EncodeError> = std::result::Result<T, E>;

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Writer::default()
    }

    /// A frame: its length comes first, to be filled in by [`Writer::into_frame`].
    pub(crate) fn frame() -> Self {
        let mut writer = Writer { buffer: BytesMut::with_capacity(BUFFER_BYTES), ..Writer::default() };
        writer.i32(0);
        writer
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buffer.len() + self.inserted_bytes
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has been written, in pieces.
    pub fn into_chunks(self) -> Vec<Stored> {
        let mut buffer = self.buffer.freeze();
        let mut chunks = Vec::with_capacity(2 * self.inserted.len() + 1);
        let mut cut = 0;
        for (position, bytes) in self.inserted {
            let before = buffer.split_to(position - cut);
            cut = position;
            chunks.extend((!before.is_empty()).then_some(before.into()));
            chunks.push(bytes);
        }
        chunks.extend((!buffer.is_empty()).then_some(buffer.into()));
        chunks
    }

    /// One copy of what has been written.
    ///
    /// # Errors
    /// A part lies in a file that cannot be read.
    pub fn into_bytes(self) -> std::io::Result<Bytes> {
        let chunks: std::io::Result<Vec<Bytes>> = self.into_chunks().into_iter().map(Stored::into_bytes).collect();
        Ok(chunks?.concat().into())
    }

    /// Fills in the length of what [`Writer::frame`] began.
    pub(crate) fn into_frame(mut self) -> Result<EncodedFrame> {
        let length = self.len();
        let body = i32::try_from(length - LENGTH_BYTES).map_err(|_| EncodeError::too_long("a frame", length))?;
        self.buffer[..LENGTH_BYTES].copy_from_slice(&body.to_be_bytes());
        Ok(EncodedFrame { chunks: self.into_chunks(), length })
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    /// One byte.
    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// Eight bytes.
    pub fn f64(&mut self, value: f64) {
        self.buffer.put_f64(value);
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(&value.to_bytes());
    }

    /// An unsigned varint: seven bits a byte, the lowest first.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// A compact length: 0 is null, otherwise one more than the length.
    fn compact(&mut self, what: &str, length: Option<usize>) -> Result {
        let encoded = match length {
            None => Some(0),
            Some(length) => u32::try_from(length).ok().filter(|&n| n < i32::MAX as u32).map(|n| n + 1),
        };
        self.uvarint(encoded.ok_or_else(|| EncodeError::too_long(what, length.unwrap_or(0)))?);
        Ok(())
    }

    /// A length of four bytes, -1 for null, or a compact one.
    fn wide_length(&mut self, what: &str, length: Option<usize>, flexible: bool) -> Result {
        if flexible {
            return self.compact(what, length);
        }
        let encoded = length.map_or(Ok(-1), i32::try_from);
        self.i32(encoded.map_err(|_| EncodeError::too_long(what, length.unwrap_or(0)))?);
        Ok(())
    }

    /// A string or null.
    pub fn nullable_string(&mut self, value: Option<&str>, flexible: bool) -> Result {
        let length = value.map(str::len);
        if let Some(length) = length.filter(|&length| length > STRING_BYTES_MAX) {
            return Err(EncodeError::too_long("a string", length));
        }
        match flexible {
            true => self.compact("a string", length)?,
            false => self.i16(length.map_or(-1, |length| length as i16)),
        }
        self.buffer.put_slice(value.unwrap_or("").as_bytes());
        Ok(())
    }

    /// A string.
    pub fn string(&mut self, value: &str, flexible: bool) -> Result {
        self.nullable_string(Some(value), flexible)
    }

    /// Bytes or null; long ones are shared, not copied.
    pub fn nullable_bytes(&mut self, value: Option<&Bytes>, flexible: bool) -> Result {
        self.wide_length("a byte field", value.map(Bytes::len), flexible)?;
        match value {
            Some(bytes) if bytes.len() >= CHUNK_BYTES_MIN => self.insert(bytes.clone().into()),
            Some(bytes) => self.buffer.put_slice(bytes),
            None => {}
        }
        Ok(())
    }

    /// As [`Writer::nullable_bytes`]; what lies in a file is never read.
    pub fn nullable_stored(&mut self, value: Option<&Stored>, flexible: bool) -> Result {
        match value {
            Some(Stored::File(range)) => {
                self.wide_length("a byte field", Some(range.len()), flexible)?;
                if !range.is_empty() {
                    self.insert(Stored::File(range.clone()));
                }
                Ok(())
            }
            Some(Stored::Memory(bytes)) => self.nullable_bytes(Some(bytes), flexible),
            None => self.nullable_bytes(None, flexible),
        }
    }

    fn insert(&mut self, bytes: Stored) {
        self.inserted_bytes += bytes.len();
        self.inserted.push((self.buffer.len(), bytes));
    }

    /// Bytes; long ones are shared, not copied.
    pub fn bytes(&mut self, value: &Bytes, flexible: bool) -> Result {
        self.nullable_bytes(Some(value), flexible)
    }

    /// An array or null.
    pub fn nullable_array<T>(
        &mut self,
        value: Option<&[T]>,
        flexible: bool,
        mut element: impl FnMut(&mut Self, &T) -> Result,
    ) -> Result {
        self.wide_length("an array", value.map(<[T]>::len), flexible)?;
        value.unwrap_or(&[]).iter().try_for_each(|item| element(self, item))
    }

    /// An array.
    pub fn array<T>(&mut self, value: &[T], flexible: bool, element: impl FnMut(&mut Self, &T) -> Result) -> Result {
        self.nullable_array(Some(value), flexible, element)
    }

    /// A struct after a byte that is 1, or the byte -1 alone.
    pub fn nullable_struct<T: Message>(&mut self, value: Option<&T>, version: i16) -> Result {
        self.i8(if value.is_some() { 1 } else { -1 });
        value.map_or(Ok(()), |value| value.encode(self, version))
    }

    /// The number of tagged fields that follow, in ascending order.
    pub fn tagged_count(&mut self, count: usize) {
        self.uvarint(u32::try_from(count).expect("a struct has a handful of fields"));
    }

    /// A tagged field, whose value `write` makes.
    pub fn tagged(&mut self, tag: u32, write: impl FnOnce(&mut Self) -> Result) -> Result {
        let mut value = Writer::new();
        write(&mut value)?;
        let length = value.len();
        self.uvarint(tag);
        self.uvarint(u32::try_from(length).map_err(|_| EncodeError::too_long("a tagged field", length))?);
        let base = self.buffer.len();
        self.inserted.extend(value.inserted.into_iter().map(|(position, bytes)| (base + position, bytes)));
        self.inserted_bytes += value.inserted_bytes;
        self.buffer.extend_from_slice(&value.buffer);
        Ok(())
    }
}

/// A frame to be sent, its length included, in pieces for a vectored write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    chunks: Vec<Stored>,
    length: usize,
}

impl EncodedFrame {
    /// A frame that has no header: a token of a login that version 0 of SaslHandshake began.
    ///
    /// # Errors
    /// There are more bytes than a frame can have.
    pub fn bare(body: &Bytes) -> Result<Self> {
        let mut writer = Writer::frame();
        writer.buffer.extend_from_slice(body);
        writer.into_frame()
    }

    /// The pieces, none of them empty.
    pub fn into_chunks(self) -> Vec<Stored> {
        self.chunks
    }

    /// The pieces in memory.
    ///
    /// # Errors
    /// A piece lies in a file that cannot be read: only answers to fetches have such pieces.
    pub fn into_memory(self) -> std::io::Result<Vec<Bytes>> {
        self.chunks.into_iter().map(Stored::into_bytes).collect()
    }

    /// How much memory the pieces hold: less than [`EncodedFrame::len`] if some lie in files.
    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(Stored::memory_bytes).sum()
    }

    /// Bytes of all pieces; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// One copy of all pieces.
    ///
    /// # Panics
    /// As [`EncodedFrame::into_memory`] fails.
    pub fn to_bytes(&self) -> Bytes {
        self.clone().into_memory().expect("pieces in files are sent, not copied").concat().into()
    }
}
