//! Reading compressed files: gzip and Zstandard, as a stream and with a cap on what comes out.

use std::io::{self, BufReader, Read};

use fleuve_base::{Error, ErrorKind, Result};

/// Memory that a Zstandard frame may ask for to be decompressed (its window), as a power of two: 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), of one or several members.
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// By the file's ending: `.gz`, `.zst` or `.zstd`.
    pub fn of_name(name: &str) -> Compression {
        let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "gz" | "gzip" => Compression::Gzip,
            "zst" | "zstd" => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// By the file's first bytes.
    pub fn of_content(first: &[u8]) -> Compression {
        match first {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// A reader of what `input` holds, decompressed. Reading more than `bytes_max` bytes from it is an error, so that
/// a few hostile bytes cannot become terabytes.
///
/// ```
/// use std::io::Read;
/// use fleuve_format::compress::{Compression, decompress};
///
/// let mut text = String::new();
/// decompress(Compression::None, &b"plain"[..], 100)?.read_to_string(&mut text).unwrap();
/// assert_eq!(text, "plain");
/// # Ok::<(), fleuve_base::Error>(())
/// ```
pub fn decompress<'a>(
    compression: Compression,
    input: impl Read + Send + 'a,
    bytes_max: u64,
) -> Result<Box<dyn Read + Send + 'a>> {
    let reader: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(input))),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::new(input).map_err(|error| zstd_error(&error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| zstd_error(&error))?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(Capped { reader, left: bytes_max, bytes_max }))
}

fn zstd_error(error: &io::Error) -> Error {
    Error::new(ErrorKind::Internal, "E999", format!("could not set up the Zstandard decoder: {error}"))
}

/// A reader that fails once more than its cap was read.
struct Capped<R> {
    reader: R,
    left: u64,
    bytes_max: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => Err(io::Error::other(format!("it decompresses to more than {} bytes", self.bytes_max))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
    }

    fn read(compression: Compression, bytes: &[u8], max: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(compression, bytes, max).expect("set up").read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn all_kinds_round_trip() {
        let zstd = zstd::encode_all(&b"hello"[..], 1).expect("memory");
        let members = [gzip(b"hel"), gzip(b"lo")].concat();
        for (bytes, name) in [(b"hello".to_vec(), "a.json"), (members, "a.json.gz"), (zstd, "a.ZST")] {
            let compression = Compression::of_name(name);
            assert_eq!(compression, Compression::of_content(&bytes), "{name}");
            assert_eq!(read(compression, &bytes, 5).expect(name), b"hello");
        }
    }

    #[test]
    fn bombs_are_stopped() {
        let zeros = vec![0; 4 << 20];
        let zstd = zstd::encode_all(&zeros[..], 1).expect("memory");
        for (compression, bytes) in [(Compression::Gzip, gzip(&zeros)), (Compression::Zstd, zstd)] {
            let error = read(compression, &bytes, 1 << 20).expect_err("too much");
            assert_eq!(error.to_string(), "it decompresses to more than 1048576 bytes");
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut bytes = gzip(&[7; 1000]);
        bytes.truncate(20);
        assert!(read(Compression::Gzip, &bytes, 10_000).is_err());
        assert!(read(Compression::Zstd, b"\x28\xb5\x2f\xfdgarbage", 10_000).is_err());
    }
}
