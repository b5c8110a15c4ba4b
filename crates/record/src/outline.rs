//! Looking over the records of a batch without keeping them: what a broker has to know before it stores what it will
//! never look at again.
//!
//! Compressed records are decompressed piece by piece into a buffer of a fixed size, and keys and values are passed over.
//! So a batch that becomes a thousand times larger costs the time of at most
//! [`DECOMPRESSED_BYTES_MAX`](fleuve_base::limits::DECOMPRESSED_BYTES_MAX) bytes, and hardly any memory.

use std::io::{self, BufRead, BufReader};

use fleuve_base::limits::DECOMPRESSED_BYTES_MAX;
use fleuve_base::{Error, Result};

use crate::codec::{Codec, damaged, zstd_reader};
use crate::header::BatchHeader;
use crate::varint::{self, VARLONG_BYTES_MAX};
use crate::xerial;

/// Bytes that are decompressed at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What is told of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Its number in the batch, as the record has it.
    pub offset_delta: i32,
    /// Milliseconds since 1970-01-01 UTC, by the producer's clock.
    pub timestamp_ms: i64,
    /// Whether it has a key.
    pub has_key: bool,
}

/// Walks the records of `payload`, which is compressed as the header says; the first error ends the walk. It is an error
/// if there are more or fewer records than the header states, or bytes behind them.
pub(crate) fn walk(payload: &[u8], header: &BatchHeader, each: impl FnMut(Outline) -> Result<()>) -> Result<()> {
    let codec = header.attributes.codec()?;
    match codec {
        Codec::None => Walker::new(payload, codec).walk(header, each),
        Codec::Snappy => Walker::new(xerial::BlockReader::new(payload)?, codec).walk(header, each),
        Codec::Gzip => {
            let gzip = flate2::bufread::MultiGzDecoder::new(payload);
            Walker::new(BufReader::with_capacity(BUFFER_BYTES, gzip), codec).walk(header, each)
        }
        Codec::Zstd => {
            let zstd = zstd_reader(payload).map_err(|e| damaged(codec, &e))?;
            Walker::new(BufReader::with_capacity(BUFFER_BYTES, zstd), codec).walk(header, each)
        }
        Codec::Lz4 => walk_lz4(payload, header, each),
    }
}

/// Readers of this codec, ours and Kafka's, end with the first frame: what lies behind it nobody would ever see.
fn walk_lz4(payload: &[u8], header: &BatchHeader, each: impl FnMut(Outline) -> Result<()>) -> Result<()> {
    let mut rest = payload;
    Walker::new(lz4_flex::frame::FrameDecoder::new(&mut rest), Codec::Lz4).walk(header, each)?;
    if rest.is_empty() {
        return Ok(());
    }
    Err(Error::corrupt(format!("a lz4 record batch has {} bytes after its frame", rest.len())))
}

/// Reads records from decompressed bytes as they come.
struct Walker<R> {
    reader: R,
    codec: Codec,
    /// Bytes passed.
    passed: u64,
    header_key: Vec<u8>,
}

impl<R: BufRead> Walker<R> {
    fn new(reader: R, codec: Codec) -> Self {
        Walker { reader, codec, passed: 0, header_key: Vec::new() }
    }

    fn walk(mut self, header: &BatchHeader, mut each: impl FnMut(Outline) -> Result<()>) -> Result<()> {
        for _ in 0..header.record_count {
            let outline = self.record(header)?;
            each(outline)?;
        }
        match self.fill()?.len() {
            0 => Ok(()),
            _ => Err(Error::corrupt("a record batch has bytes after its last record")),
        }
    }

    #[inline]
    fn record(&mut self, header: &BatchHeader) -> Result<Outline> {
        let bytes = self.length()?.ok_or_else(|| Error::corrupt("a record has a negative length"))?;
        let end = self.passed + bytes;
        self.pass(1, end)?;
        let timestamp_ms = header.base_timestamp_ms.wrapping_add(self.number()?);
        let offset_delta = to_i32(self.number()?)?;
        let key = self.length()?;
        self.pass(key.unwrap_or(0), end)?;
        let value = self.length()?;
        self.pass(value.unwrap_or(0), end)?;
        self.headers(end)?;
        if self.passed != end {
            return Err(Error::corrupt("a record does not end where its length says"));
        }
        Ok(Outline { offset_delta, timestamp_ms, has_key: key.is_some() })
    }

    fn headers(&mut self, end: u64) -> Result<()> {
        let count = self.length()?.ok_or_else(|| Error::corrupt("a record has a negative header count"))?;
        for _ in 0..count {
            let bytes = self.length()?.ok_or_else(|| Error::corrupt("a record header has a null key"))?;
            self.check_header_key(bytes, end)?;
            let value = self.length()?;
            self.pass(value.unwrap_or(0), end)?;
        }
        Ok(())
    }

    fn check_header_key(&mut self, bytes: u64, end: u64) -> Result<()> {
        let mut key = std::mem::take(&mut self.header_key);
        key.clear();
        self.each_piece(bytes, end, |piece| key.extend_from_slice(piece))?;
        let checked = std::str::from_utf8(&key).map(drop);
        self.header_key = key;
        checked.map_err(|_| Error::corrupt("a record header's key is not UTF-8"))
    }

    /// Passes over so many bytes, which must lie before `end`.
    #[inline]
    fn pass(&mut self, bytes: u64, end: u64) -> Result<()> {
        self.each_piece(bytes, end, |_| {})
    }

    #[inline]
    fn each_piece(&mut self, bytes: u64, end: u64, mut each: impl FnMut(&[u8])) -> Result<()> {
        if bytes > end.saturating_sub(self.passed) {
            return Err(Error::corrupt(format!("a field of {bytes} bytes goes beyond its record")));
        }
        let mut left = bytes;
        while left > 0 {
            let buffer = self.fill()?;
            let step = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if step == 0 {
                return Err(Error::corrupt("a record is cut off"));
            }
            each(&buffer[..step]);
            self.consume(step)?;
            left -= step as u64;
        }
        Ok(())
    }

    /// A length or count; `None` if it is negative.
    #[inline]
    fn length(&mut self) -> Result<Option<u64>> {
        Ok(u64::try_from(to_i32(self.number()?)?).ok())
    }

    #[inline]
    fn number(&mut self) -> Result<i64> {
        let buffer = self.fill()?;
        if buffer.len() < VARLONG_BYTES_MAX {
            return self.number_in_parts();
        }
        let mut rest = buffer;
        let value = varint::decode(&mut rest)?;
        let bytes = buffer.len() - rest.len();
        self.consume(bytes)?;
        Ok(value)
    }

    /// A number that may lie across the end of the buffer.
    fn number_in_parts(&mut self) -> Result<i64> {
        let (mut bytes, mut count) = ([0; VARLONG_BYTES_MAX], 0);
        while let Some(byte) = self.fill()?.first().copied().filter(|_| count < VARLONG_BYTES_MAX) {
            bytes[count] = byte;
            count += 1;
            self.consume(1)?;
            if byte & 0x80 == 0 {
                break;
            }
        }
        varint::decode(&mut &bytes[..count])
    }

    #[inline]
    fn fill(&mut self) -> Result<&[u8]> {
        let codec = self.codec;
        self.reader.fill_buf().map_err(|error| unreadable(codec, &error))
    }

    #[inline]
    fn consume(&mut self, bytes: usize) -> Result<()> {
        self.reader.consume(bytes);
        self.passed += bytes as u64;
        if self.passed > DECOMPRESSED_BYTES_MAX as u64 {
            return Err(crate::codec::too_large(self.codec));
        }
        Ok(())
    }
}

#[cold]
fn unreadable(codec: Codec, error: &io::Error) -> Error {
    damaged(codec, error)
}

#[inline]
fn to_i32(value: i64) -> Result<i32> {
    i32::try_from(value).map_err(|_| Error::corrupt(format!("{value} does not fit a 32-bit field")))
}
