//! A table that ends, read block by block in random order.
//!
//! Where its blocks begin and end only the table itself knows (a row may be longer than a block, a quote may hold a line
//! break), so it is asked for all of them first, in its own order and without decoding any: that costs one pass over the
//! bytes. Then they are read again, each once, in an order that is drawn from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleuve_base::{Error, ErrorKind, Result};
use fleuve_sketch::index::Shuffle;

use crate::source::{Chunk, Claim, Decoder, Range, Source, Waker};

/// Blocks that a table is cut into, where they are neither too small nor too large then.
const BLOCKS: u64 = 512;

/// Bytes of the smallest block that is asked for.
const BLOCK_BYTES_MIN: u64 = 4 << 10;

/// Bytes of the largest block that is asked for.
const BLOCK_BYTES_MAX: u64 = 256 << 10;

/// Blocks whose places are kept: 24 bytes each.
const BLOCKS_MAX: usize = 1 << 22;

/// See the module.
pub struct Shuffled {
    inner: Arc<dyn Source>,
    /// Blocks that are not empty, in the order in which they are handed out.
    order: Vec<Range>,
    next: AtomicUsize,
}

impl Shuffled {
    /// Finds the blocks of a table (its name is for messages) and their order.
    ///
    /// # Errors
    /// E210, if the table does not end or its blocks cannot be read one without the others.
    pub fn new(inner: Arc<dyn Source>, table: &str, seed: u64) -> Result<Self> {
        if !inner.bounded() || !inner.seekable() {
            let why = if inner.bounded() { "can only be read from its beginning" } else { "does not end" };
            let error = Error::unsupported("E210", format!("`{table}` {why}, so it cannot be read in random order"));
            return Err(error.with_hint("SELECT ONLINE is for stored data: files that are not compressed, and topics"));
        }
        let blocks = blocks(&*inner, table)?;
        let order = Shuffle::new(0..blocks.len() as u64, seed).map(|block| blocks[block as usize]).collect();
        Ok(Shuffled { inner, order, next: AtomicUsize::new(0) })
    }
}

/// All blocks in the table's own order.
fn blocks(source: &dyn Source, table: &str) -> Result<Vec<Range>> {
    let size = source.progress().map_or(0, |(_, all)| all);
    let bytes = (size / BLOCKS).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) as usize;
    let mut blocks = vec![];
    loop {
        match source.claim(bytes)? {
            Claim::Finished => return Ok(blocks),
            Claim::Pending => std::thread::yield_now(),
            Claim::Chunk(Chunk { range, .. }) if range.start < range.end => blocks.push(range),
            Claim::Chunk(_) => {}
        }
        if blocks.len() > BLOCKS_MAX {
            let message = format!("`{table}` has more than {BLOCKS_MAX} blocks to be read in random order");
            return Err(Error::new(ErrorKind::Limit, "E904", message));
        }
    }
}

impl Source for Shuffled {
    fn bounded(&self) -> bool {
        true
    }

    fn splits(&self) -> Vec<String> {
        self.inner.splits()
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        match self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            Some(range) => self.inner.reclaim(*range).map(Claim::Chunk),
            None => Ok(Claim::Finished),
        }
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        self.inner.reclaim(range)
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        match last {
            [] => Ok(()),
            _ => Err(Error::internal("what was read in random order is begun anew")),
        }
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        self.inner.decoder()
    }

    fn subscribe(&self, waker: Waker) {
        self.inner.subscribe(waker);
    }

    /// In blocks.
    fn progress(&self) -> Option<(u64, u64)> {
        let all = self.order.len();
        Some((self.next.load(Ordering::Relaxed).min(all) as u64, all as u64))
    }
}
