//! The records of a batch, read in place.
//!
//! ```text
//! length │ attributes i8 │ timestamp delta │ offset delta │ key length, key │ value length, value │
//! header count │ { key length, key │ value length, value } …
//! ```
//!
//! All numbers but the attributes are zigzag varints; a key or value of length −1 is null.

use bytes::Bytes;
use fleuve_base::{Error, Result};

use crate::header::{Attributes, BatchHeader};
use crate::varint;

/// The (decompressed) records of one batch.
#[derive(Debug, Clone)]
pub struct Records {
    payload: Bytes,
    header: BatchHeader,
}

impl Records {
    pub(crate) fn new(payload: Bytes, header: BatchHeader) -> Self {
        Records { payload, header }
    }

    /// The header of the batch.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The bytes that keys and values point into; [`Bytes::slice_ref`] makes an owned slice of a value.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Number of records that the header states; at most that many come out of [`Records::iter`].
    pub fn len(&self) -> usize {
        usize::try_from(self.header.record_count).unwrap_or(0)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records in offset order. After an error the iterator ends.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter::new(&self.payload, &self.header)
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<Record<'a>>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// One record; everything in it is borrowed from the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number in the partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC: the producer's time, or the log's if the batch says so.
    pub timestamp_ms: i64,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null (a tombstone).
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: RecordHeaders<'a>,
}

/// Iterator over a batch's records.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    header: &'a BatchHeader,
    left: usize,
    started: bool,
}

impl<'a> RecordIter<'a> {
    /// Over the decompressed records of a batch.
    pub(crate) fn new(payload: &'a [u8], header: &'a BatchHeader) -> Self {
        let left = usize::try_from(header.record_count).unwrap_or(0);
        RecordIter { rest: payload, header, left, started: left > 0 }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return self.check_end();
        }
        self.left -= 1;
        let record = self.decode();
        if record.is_err() {
            (self.left, self.started, self.rest) = (0, false, &[]);
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left + 1))
    }
}

impl<'a> RecordIter<'a> {
    /// Bytes after the last record are as wrong as too few.
    fn check_end(&mut self) -> Option<Result<Record<'a>>> {
        let surplus = std::mem::take(&mut self.rest).len();
        let started = std::mem::replace(&mut self.started, false);
        (started && surplus > 0)
            .then(|| Err(Error::corrupt(format!("a record batch has {surplus} bytes after its last record"))))
    }

    #[inline]
    fn decode(&mut self) -> Result<Record<'a>> {
        let mut body = take(&mut self.rest)?.ok_or_else(|| Error::corrupt("a record has a negative length"))?;
        let [_attributes, rest @ ..] = body else { return Err(Error::corrupt("a record is empty")) };
        body = rest;
        let timestamp_delta = varint::decode(&mut body)?;
        let offset_delta = varint::decode_i32(&mut body)?;
        if offset_delta < 0 || offset_delta > self.header.last_offset_delta {
            return Err(Error::corrupt(format!("a record has the offset delta {offset_delta}, outside its batch")));
        }
        let key = take(&mut body)?;
        let value = take(&mut body)?;
        let headers = RecordHeaders::parse(body)?;
        let timestamp_ms = if self.header.attributes.has(Attributes::LOG_APPEND_TIME) {
            self.header.max_timestamp_ms
        } else {
            self.header.base_timestamp_ms.wrapping_add(timestamp_delta)
        };
        Ok(Record { offset: self.header.base_offset + i64::from(offset_delta), timestamp_ms, key, value, headers })
    }
}

/// Takes a length and that many bytes off the front; `None` for a negative length.
#[inline]
fn take<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let length = varint::decode_i32(input)?;
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    match input.split_at_checked(length) {
        Some((taken, rest)) => {
            *input = rest;
            Ok(Some(taken))
        }
        None => Err(Error::corrupt(format!("a field of {length} bytes has only {} left", input.len()))),
    }
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Its name.
    pub key: &'a str,
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
}

/// A record's headers, checked once and iterated as often as needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeaders<'a> {
    count: usize,
    rest: &'a [u8],
}

/// Bytes of the shortest header: an empty key and a null value.
const RECORD_HEADER_BYTES_MIN: usize = 2;

impl<'a> RecordHeaders<'a> {
    /// Reads the count and checks that exactly that many headers follow.
    #[inline]
    fn parse(mut input: &'a [u8]) -> Result<Self> {
        let count = varint::decode_i32(&mut input)?;
        let count = usize::try_from(count).map_err(|_| Error::corrupt("a record has a negative header count"))?;
        if count > input.len() / RECORD_HEADER_BYTES_MIN {
            return Err(Error::corrupt(format!("a record claims {count} headers in {} bytes", input.len())));
        }
        let headers = RecordHeaders { count, rest: input };
        for _ in 0..count {
            next_header(&mut input)?;
        }
        if !input.is_empty() {
            return Err(Error::corrupt(format!("a record has {} bytes after its last header", input.len())));
        }
        Ok(headers)
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for RecordHeaders<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<RecordHeader<'a>> {
        self.count = self.count.checked_sub(1)?;
        next_header(&mut self.rest).ok()
    }
}

fn next_header<'a>(input: &mut &'a [u8]) -> Result<RecordHeader<'a>> {
    let key = take(input)?.ok_or_else(|| Error::corrupt("a record header has a null key"))?;
    let key = std::str::from_utf8(key).map_err(|_| Error::corrupt("a record header's key is not UTF-8"))?;
    Ok(RecordHeader { key, value: take(input)? })
}
