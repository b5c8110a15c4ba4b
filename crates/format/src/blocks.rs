//! Cutting input into blocks of whole lines, and gathering single records into them.

use fleuve_base::limits::LINE_BYTES_MAX;

/// Bytes that are indexed at a time: enough to amortise the bookkeeping, and small enough that text, index and
/// spans stay in the second-level cache.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// Bytes after the last record that may be looked at.
const PADDING: usize = 64;

/// Why a line is refused by [`cut`].
pub(crate) const TOO_LONG: &str = "the line is longer than 16 MiB";

/// What the input begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    /// So many bytes of whole lines.
    Lines(usize),
    /// One line of so many bytes, which is too long.
    LongLine(usize),
}

/// The next block of a non-empty input: about [`BLOCK_BYTES`], or one longer line.
pub(crate) fn cut(input: &[u8]) -> Block {
    if input.len() <= BLOCK_BYTES {
        return Block::Lines(input.len());
    }
    if let Some(newline) = memchr::memrchr(b'\n', &input[..BLOCK_BYTES]) {
        return Block::Lines(newline + 1);
    }
    let length = memchr::memchr(b'\n', &input[BLOCK_BYTES..]).map_or(input.len(), |at| BLOCK_BYTES + at + 1);
    if length > LINE_BYTES_MAX { Block::LongLine(length) } else { Block::Lines(length) }
}

/// Records that wait to be decoded together, each as one line.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    records: usize,
}

impl Pending {
    /// Adds a record; says whether it is time to decode.
    pub(crate) fn push(&mut self, value: &[u8]) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        // A newline within a record is white space as good as any other; but lines end at newlines.
        let mut at = start;
        while let Some(newline) = memchr::memchr(b'\n', &self.bytes[at..]) {
            self.bytes[at + newline] = b'\r';
            at += newline + 1;
        }
        self.bytes.push(b'\n');
        self.records += 1;
        self.bytes.len() >= BLOCK_BYTES
    }

    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// All records with some bytes of padding, and their length without it.
    pub(crate) fn take(&mut self) -> Option<(Vec<u8>, usize)> {
        let length = self.bytes.len();
        if length == 0 {
            return None;
        }
        self.bytes.resize(length + PADDING, b'\n');
        self.records = 0;
        Some((std::mem::take(&mut self.bytes), length))
    }

    /// The memory of what was taken, to be used again.
    pub(crate) fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.bytes = bytes;
    }
}
