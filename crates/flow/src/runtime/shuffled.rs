//! A table that ends, read block by block in random order.
//!
//! Where its blocks begin and end only the table itself knows (a row may be longer than a block, a quote may hold a line
//! break), so it is asked for all of them first, in its own order and without decoding any: that costs one pass over the
//! bytes. Then they are read again, each once, in an order that is drawn from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleuve_base::{Error, ErrorKind, Result};
use fleuve_sketch::index::Shuffle;

use crate::source::{Chunk, Claim, Decoder, Extents, Range, Source, Waker};

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
    extents: Extents,
    next: AtomicUsize,
}

impl Shuffled {
    /// Finds the blocks of a table (its name is for messages) and their order.
    ///
    /// # Errors
    /// E210, if the table does not end or its blocks cannot be read one without the others.
    pub fn new(inner: Arc<dyn Source>, table: &str, seed: u64) -> Result<Self> {
        let why = match (inner.bounded(), inner.seekable()?) {
            (false, _) => Some("does not end"),
            (true, false) => Some("can only be read from its beginning"),
            (true, true) => None,
        };
        if let Some(why) = why {
            let error = Error::unsupported("E210", format!("`{table}` {why}, so it cannot be read in random order"));
            return Err(error.with_hint("SELECT ONLINE is for stored data: files that are not compressed, and topics"));
        }
        let blocks = blocks(&*inner, table)?;
        let mut extents = Extents { blocks: blocks.len() as u64, ..Extents::default() };
        for block in &blocks {
            let extent = inner.extent(*block)?;
            (extents.all, extents.max) = (extents.all.saturating_add(extent), extents.max.max(extent));
        }
        let order = Shuffle::new(0..blocks.len() as u64, seed).map(|block| blocks[block as usize]).collect();
        Ok(Shuffled { inner, order, extents, next: AtomicUsize::new(0) })
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

    fn extent(&self, range: Range) -> Result<u64> {
        self.inner.extent(range)
    }

    fn extents(&self) -> Option<Extents> {
        Some(self.extents)
    }

    /// In blocks.
    fn progress(&self) -> Option<(u64, u64)> {
        let all = self.order.len();
        Some((self.next.load(Ordering::Relaxed).min(all) as u64, all as u64))
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// A table of so many blocks, the tenth of which is empty.
    struct Table {
        next: Mutex<u64>,
        blocks: u64,
        ends: bool,
        seekable: bool,
    }

    fn table(ends: bool, seekable: bool) -> Arc<Table> {
        Arc::new(Table { next: Mutex::new(0), blocks: 50, ends, seekable })
    }

    fn block(number: u64) -> Range {
        let length = if number == 10 { 0 } else { 5 };
        Range { split: 0, item: 0, start: number * 5, end: number * 5 + length }
    }

    impl Source for Table {
        fn bounded(&self) -> bool {
            self.ends
        }

        fn splits(&self) -> Vec<String> {
            vec!["t".to_owned()]
        }

        fn claim(&self, _: usize) -> Result<Claim> {
            let mut next = self.next.lock();
            *next += 1;
            Ok(if *next > self.blocks {
                Claim::Finished
            } else {
                Claim::Chunk(Chunk { range: block(*next - 1), bytes: None })
            })
        }

        fn reclaim(&self, range: Range) -> Result<Chunk> {
            Ok(Chunk { range, bytes: None })
        }

        fn resume(&self, _: &[Range]) -> Result<()> {
            Ok(())
        }

        fn decoder(&self) -> Result<Box<dyn Decoder>> {
            Err(Error::internal("nothing is decoded here"))
        }

        fn subscribe(&self, _: Waker) {}

        fn seekable(&self) -> Result<bool> {
            Ok(self.seekable)
        }
    }

    fn order(seed: u64) -> Vec<u64> {
        let shuffled = Shuffled::new(table(true, true), "t", seed).expect("opens");
        let next = || match shuffled.claim(1).expect("claims") {
            Claim::Chunk(chunk) => Some(chunk.range.start / 5),
            _ => None,
        };
        let order = std::iter::from_fn(next).collect();
        assert_eq!(shuffled.progress(), Some((49, 49)));
        assert_eq!(shuffled.extents(), Some(Extents { blocks: 49, all: 245, max: 5 }));
        order
    }

    #[test]
    fn each_block_that_has_something_comes_once_in_an_order_of_the_seed() {
        let one = order(1);
        assert_eq!(one, order(1));
        assert_ne!(one, order(2));
        let mut sorted = one;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).filter(|number| *number != 10).collect::<Vec<_>>());
    }

    #[test]
    fn what_does_not_end_or_cannot_be_read_in_any_order_is_refused() {
        for (ends, seekable) in [(false, true), (true, false)] {
            let error = Shuffled::new(table(ends, seekable), "t", 1).err().expect("is refused");
            assert_eq!(error.code(), "E210");
        }
    }
}
