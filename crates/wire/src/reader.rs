//! Reading Kafka's primitive types from a frame, within its bounds and its memory budget.

use bytes::Bytes;
use fleuve_base::Stored;

use crate::limits::heap_bytes_max;
use crate::{DecodeError, DecodeErrorKind, Message, Uuid};

/// A position in a frame.
///
/// Byte fields that it returns share the frame's memory. What has to be allocated (strings, arrays) is first
/// charged to the frame's budget, and reserved exactly: no more than [`heap_bytes_max`] bytes of heap are
/// taken, whatever the bytes say.
#[derive(Debug, Clone)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    /// Where reading must stop: the end of the frame, or of the tagged field that is being read.
    end: usize,
    heap_bytes_left: usize,
}

type Result<T, E = DecodeError> = std::result::Result<T, E>;

impl Reader {
    /// At the start of a frame, without its length.
    pub fn new(frame: Bytes) -> Self {
        let end = frame.len();
        Reader { frame, position: 0, end, heap_bytes_left: heap_bytes_max(end) }
    }

    /// Bytes that have not been read.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Bytes that have been read.
    pub fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, position: self.position }
    }

    /// Moves over `length` bytes, and says where they begin.
    fn advance(&mut self, length: usize) -> Result<usize> {
        if length > self.remaining() {
            return Err(self.error(DecodeErrorKind::Truncated));
        }
        let start = self.position;
        self.position += length;
        Ok(start)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let start = self.advance(N)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.frame[start..start + N]);
        Ok(out)
    }

    fn charge(&mut self, bytes: usize) -> Result<()> {
        match self.heap_bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.heap_bytes_left = left;
                Ok(())
            }
            None => Err(self.error(DecodeErrorKind::TooLarge)),
        }
    }

    /// One byte; any but 0 is true.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.i8()? != 0)
    }

    /// One byte.
    pub fn i8(&mut self) -> Result<i8> {
        self.fixed().map(i8::from_be_bytes)
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// Eight bytes.
    pub fn f64(&mut self) -> Result<f64> {
        self.fixed().map(f64::from_be_bytes)
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self) -> Result<Uuid> {
        self.fixed().map(Uuid::from_bytes)
    }

    /// An unsigned varint of 32 bits: seven bits a byte, the lowest first.
    pub fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::WrongVarint))
    }

    /// A length of which every unit takes at least `bytes_min` bytes: null, or no more than the frame can hold.
    fn length(&mut self, encoded: Option<i64>, bytes_min: usize) -> Result<Option<usize>> {
        let Some(length) = encoded else { return Ok(None) };
        match usize::try_from(length) {
            Ok(length) if length <= self.remaining() / bytes_min => Ok(Some(length)),
            _ => Err(self.error(DecodeErrorKind::WrongLength)),
        }
    }

    /// A compact length: 0 is null, otherwise one more than the length.
    fn compact(&mut self) -> Result<Option<i64>> {
        Ok(self.uvarint()?.checked_sub(1).map(i64::from))
    }

    fn wide_length(&mut self, flexible: bool, bytes_min: usize) -> Result<Option<usize>> {
        let encoded = if flexible { self.compact()? } else { not_null(i64::from(self.i32()?)) };
        self.length(encoded, bytes_min)
    }

    /// A string or null: two bytes of length, or a compact length if `flexible`.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>> {
        let encoded = if flexible { self.compact()? } else { not_null(i64::from(self.i16()?)) };
        let Some(length) = self.length(encoded, 1)? else { return Ok(None) };
        self.charge(length)?;
        let start = self.advance(length)?;
        match std::str::from_utf8(&self.frame[start..start + length]) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(DecodeError { kind: DecodeErrorKind::NotUtf8, position: start }),
        }
    }

    /// A string.
    pub fn string(&mut self, flexible: bool) -> Result<String> {
        let value = self.nullable_string(flexible)?;
        value.ok_or_else(|| self.error(DecodeErrorKind::Null))
    }

    /// Bytes or null, sharing the frame's memory: four bytes of length, or a compact length if `flexible`.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>> {
        let Some(length) = self.wide_length(flexible, 1)? else { return Ok(None) };
        let start = self.advance(length)?;
        Ok(Some(self.frame.slice(start..start + length)))
    }

    /// Bytes, sharing the frame's memory.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes> {
        let value = self.nullable_bytes(flexible)?;
        value.ok_or_else(|| self.error(DecodeErrorKind::Null))
    }

    /// As [`Reader::nullable_bytes`]: what has been received is in memory.
    pub fn nullable_stored(&mut self, flexible: bool) -> Result<Option<Stored>> {
        Ok(self.nullable_bytes(flexible)?.map(Stored::from))
    }

    /// An array or null, whose elements take at least `bytes_min` bytes each.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(length) = self.wide_length(flexible, bytes_min)? else { return Ok(None) };
        self.charge(length.saturating_mul(size_of::<T>()))?;
        let mut out = Vec::with_capacity(length);
        for _ in 0..length {
            out.push(element(self)?);
        }
        Ok(Some(out))
    }

    /// An array.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        bytes_min: usize,
        element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let value = self.nullable_array(flexible, bytes_min, element)?;
        value.ok_or_else(|| self.error(DecodeErrorKind::Null))
    }

    /// A struct after a byte that is negative if there is none.
    pub fn nullable_struct<T: Message>(&mut self, version: i16) -> Result<Option<T>> {
        if self.i8()? < 0 { Ok(None) } else { T::decode(self, version).map(Some) }
    }

    /// The value that has just been read, unless it is null and may not be.
    pub fn null_only_if<T>(&self, allowed: bool, value: Option<T>) -> Result<Option<T>> {
        if allowed || value.is_some() { Ok(value) } else { Err(self.error(DecodeErrorKind::Null)) }
    }

    /// The tagged fields at the end of a struct: `field` reads the one of a tag, or returns false if it does not
    /// know it, and it is passed over.
    pub fn tagged_fields(&mut self, mut field: impl FnMut(&mut Self, u32) -> Result<bool>) -> Result<()> {
        let count = self.uvarint()?;
        let mut tag_min = 0;
        for _ in 0..count {
            let tag = self.uvarint()?;
            let length = i64::from(self.uvarint()?);
            let wrong = self.error(DecodeErrorKind::WrongTaggedField);
            if u64::from(tag) < tag_min {
                return Err(wrong);
            }
            tag_min = u64::from(tag) + 1;
            let end = self.position + self.length(Some(length), 1)?.unwrap_or(0);
            let outer_end = std::mem::replace(&mut self.end, end);
            let known = field(self, tag)?;
            if known && self.position != end {
                return Err(wrong);
            }
            self.position = end;
            self.end = outer_end;
        }
        Ok(())
    }

    /// Passes over the tagged fields of a struct that has none of its own.
    pub fn skip_tagged_fields(&mut self) -> Result<()> {
        self.tagged_fields(|_, _| Ok(false))
    }
}

/// A length where -1 stands for null.
fn not_null(length: i64) -> Option<i64> {
    (length != -1).then_some(length)
}
