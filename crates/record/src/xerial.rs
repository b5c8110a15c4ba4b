//! Snappy as Kafka's Java clients frame it (the `xerial` library's stream format).
//!
//! ```text
//! 82 'S' 'N' 'A' 'P' 'P' 'Y' 00 │ version i32 = 1 │ compatible i32 = 1 │ { length i32 │ raw snappy block } …
//! ```
//!
//! Other clients send one raw block without a frame; both are read.

use std::io::{self, BufRead, Read};

use fleuve_base::limits::DECOMPRESSED_BYTES_MAX;
use fleuve_base::{Error, Result};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const FRAME_BYTES: usize = 16;

/// Bytes of input per block: what the Java library uses.
const BLOCK_BYTES: usize = 32 << 10;

/// Appends the framed compression of `input` to `out`.
pub(crate) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1_i32.to_be_bytes());
    out.extend_from_slice(&1_i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block).map_err(failed)?;
        out.extend_from_slice(&(compressed.len() as i32).to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    Ok(())
}

/// Decompresses framed or raw input.
pub(crate) fn decompress(input: &[u8]) -> Result<Vec<u8>> {
    let (mut out, mut blocks) = (Vec::new(), Blocks::of(input)?);
    while let Some(block) = blocks.next()? {
        decompress_block(block, &mut out)?;
    }
    Ok(out)
}

/// The compressed blocks of framed or raw input.
struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
    raw_is_left: bool,
}

impl<'a> Blocks<'a> {
    fn of(input: &'a [u8]) -> Result<Self> {
        let framed = input.starts_with(&MAGIC);
        let rest = if framed { input.get(FRAME_BYTES..).ok_or_else(cut_off)? } else { input };
        Ok(Blocks { rest, framed, raw_is_left: !framed })
    }

    fn next(&mut self) -> Result<Option<&'a [u8]>> {
        if !self.framed {
            return Ok(std::mem::replace(&mut self.raw_is_left, false).then_some(self.rest));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (length, after) = self.rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| cut_off())?;
        let (block, after) = after.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = after;
        Ok(Some(block))
    }
}

/// Decompresses block by block: no more than one is in memory.
pub(crate) struct BlockReader<'a> {
    blocks: Blocks<'a>,
    block: Vec<u8>,
    at: usize,
}

impl<'a> BlockReader<'a> {
    /// Of framed or raw input.
    pub(crate) fn new(input: &'a [u8]) -> Result<Self> {
        Ok(BlockReader { blocks: Blocks::of(input)?, block: Vec::new(), at: 0 })
    }

    /// Whether there is another block.
    fn next_block(&mut self) -> Result<bool> {
        let Some(block) = self.blocks.next()? else { return Ok(false) };
        self.block.clear();
        self.at = 0;
        decompress_block(block, &mut self.block).map(|()| true)
    }
}

impl BufRead for BlockReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.block.len() && self.next_block().map_err(io::Error::other)? {}
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.block.len());
    }
}

impl Read for BlockReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// A block states its own size first; it is believed only as far as the cap, and as far as snappy can go:
/// a copy element of three bytes yields at most 64.
fn decompress_block(block: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let claimed = snap::raw::decompress_len(block).map_err(failed)?;
    if claimed > DECOMPRESSED_BYTES_MAX - out.len() || claimed / 32 > block.len() {
        return Err(Error::corrupt(format!("a snappy block of {} bytes claims to hold {claimed}", block.len())));
    }
    let start = out.len();
    out.resize(start + claimed, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(failed)?;
    out.truncate(start + written);
    Ok(())
}

fn cut_off() -> Error {
    Error::corrupt("a snappy stream is cut off")
}

fn failed(error: snap::Error) -> Error {
    Error::corrupt(format!("snappy: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_framed_and_raw() {
        let input: Vec<u8> = (0..100_000_u32).flat_map(|i| (i / 9).to_le_bytes()).collect();
        let mut framed = Vec::new();
        compress(&input, &mut framed).unwrap();
        assert!(framed.starts_with(&MAGIC));
        assert_eq!(decompress(&framed).unwrap(), input);
        let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        assert_eq!(decompress(&raw).unwrap(), input);
    }

    #[test]
    fn a_block_that_claims_gigabytes_is_refused_before_allocating() {
        let error = decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]).unwrap_err();
        assert!(error.message().contains("claims to hold 4294967295"), "{error}");
        assert!(decompress(&[]).is_err());
        assert!(decompress(&MAGIC).is_err());
    }
}
