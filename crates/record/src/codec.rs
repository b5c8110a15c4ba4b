//! The five ways in which a batch's records may be compressed.

use std::io::{self, Read, Write};

use fleuve_base::limits::DECOMPRESSED_BYTES_MAX;
use fleuve_base::{Error, Result};

use crate::xerial;

/// How the records of a batch are compressed, by Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Codec {
    /// Not at all.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy in xerial's framing; raw blocks are read, too.
    Snappy = 2,
    /// The LZ4 frame format.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

/// Level of gzip and Zstandard: their authors' choice of speed over size.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// A Zstandard frame states how much history its reader must keep; more than 2^26 bytes is refused.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// Bytes reserved before the first byte is decompressed, at least and for each compressed one; the rest grows as data
/// arrives.
const FIRST_RESERVE_BYTES: usize = 64 << 10;
const RESERVE_RATIO: usize = 4;

impl Codec {
    /// All codecs, by number.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec of the three low attribute bits.
    pub(crate) fn from_bits(bits: u16) -> Result<Self> {
        Self::ALL
            .get(usize::from(bits))
            .copied()
            .ok_or_else(|| Error::corrupt(format!("a record batch has the unknown compression codec {bits}")))
    }

    /// Kafka's name of the codec, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Appends the compression of `input` to `out`.
    pub(crate) fn compress(self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Codec::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            Codec::Gzip => gzip(input, out).map_err(|e| Error::io("compress a record batch", &e)),
            Codec::Snappy => xerial::compress(input, out),
            Codec::Lz4 => lz4(input, out),
            Codec::Zstd => {
                zstd::stream::copy_encode(input, out, ZSTD_LEVEL).map_err(|e| Error::io("compress a record batch", &e))
            }
        }
    }

    /// Decompresses `input`; more than [`DECOMPRESSED_BYTES_MAX`] bytes are an error.
    pub(crate) fn decompress(self, input: &[u8]) -> Result<Vec<u8>> {
        match self {
            Codec::None => Ok(input.to_vec()),
            Codec::Gzip => read_capped(self, input.len(), flate2::bufread::MultiGzDecoder::new(input)),
            Codec::Snappy => xerial::decompress(input),
            Codec::Lz4 => read_capped(self, input.len(), lz4_flex::frame::FrameDecoder::new(input)),
            Codec::Zstd => read_capped(self, input.len(), zstd_reader(input).map_err(|e| damaged(self, &e))?),
        }
    }
}

fn gzip(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(input)?;
    encoder.finish().map(|_| ())
}

fn lz4(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
    encoder.write_all(input).map_err(|e| Error::io("compress a record batch", &e))?;
    encoder.finish().map(|_| ()).map_err(|e| Error::internal(format!("lz4: {e}")))
}

pub(crate) fn zstd_reader(input: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Reads to the end, but never beyond the cap: memory grows with what really arrives.
fn read_capped(codec: Codec, compressed_bytes: usize, reader: impl Read) -> Result<Vec<u8>> {
    let reserve = compressed_bytes.saturating_mul(RESERVE_RATIO).clamp(FIRST_RESERVE_BYTES, DECOMPRESSED_BYTES_MAX);
    let mut out = Vec::with_capacity(reserve);
    let cap = DECOMPRESSED_BYTES_MAX as u64 + 1;
    reader.take(cap).read_to_end(&mut out).map_err(|e| damaged(codec, &e))?;
    if out.len() > DECOMPRESSED_BYTES_MAX {
        return Err(too_large(codec));
    }
    Ok(out)
}

pub(crate) fn too_large(codec: Codec) -> Error {
    Error::corrupt(format!("a {} record batch holds more than {DECOMPRESSED_BYTES_MAX} bytes", codec.name()))
}

pub(crate) fn damaged(codec: Codec, error: &io::Error) -> Error {
    Error::corrupt(format!("a {} record batch cannot be decompressed: {error}", codec.name()))
}
