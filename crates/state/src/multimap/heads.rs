//! The index: heads of chains, and the links that each chunk keeps for its rows.

use std::ops::Range;

use super::RowId;
use super::chunk::Chunk;

/// The smallest number of buckets.
const BUCKETS_MIN: usize = 16;

/// Multiplied with a fingerprint; the golden ratio's bits.
const MIX: u128 = 0x9e37_79b9_7f4a_7c15;

/// For each bucket of fingerprints the youngest row.
#[derive(Debug, Default)]
pub(super) struct Heads {
    heads: Vec<RowId>,
    shift: u32,
}

/// The links of one chunk's rows in one index.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// What is looked for: of each row.
    pub fingerprints: Vec<u64>,
    /// The next older row of the same bucket.
    pub next: Vec<RowId>,
    /// The next younger row of the same bucket; kept only where rows are unlinked one by one.
    pub previous: Vec<RowId>,
}

impl Links {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.fingerprints.capacity() * 8 + (self.next.capacity() + self.previous.capacity()) * 4
    }
}

/// Rows of one chunk.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    pub chunk: u32,
    pub rows: Range<usize>,
}

impl Heads {
    /// Empty buckets, enough for a number of rows.
    pub fn for_rows(rows: usize) -> Self {
        let buckets = rows.next_power_of_two().max(BUCKETS_MIN);
        Heads { heads: vec![RowId::NONE; buckets], shift: 64 - buckets.trailing_zeros() }
    }

    /// Buckets, a power of two.
    pub fn buckets(&self) -> usize {
        self.heads.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.heads.capacity() * size_of::<RowId>()
    }

    #[inline]
    fn bucket(&self, fingerprint: u64) -> usize {
        let product = u128::from(fingerprint) * MIX;
        (((product >> 64) as u64 ^ product as u64) >> self.shift) as usize
    }

    /// The youngest row of a fingerprint's bucket. It may have expired: then its id lies below the oldest chunk's.
    #[inline]
    pub fn first(&self, fingerprint: u64) -> RowId {
        if self.heads.is_empty() { RowId::NONE } else { self.heads[self.bucket(fingerprint)] }
    }

    /// Puts rows before the older ones of their buckets.
    pub fn link(&mut self, links: &mut Links, ids: Ids) {
        links.next.reserve(ids.rows.len());
        for row in ids.rows {
            let bucket = self.bucket(links.fingerprints[row]);
            links.next.push(std::mem::replace(&mut self.heads[bucket], RowId::new(ids.chunk, row)));
        }
    }

    /// As [`Heads::link`], with links in both directions. The number of a chunk is its place.
    pub fn link_both(&mut self, chunks: &mut [Chunk], links: impl Fn(&mut Chunk) -> &mut Links, ids: Ids) {
        for row in ids.rows {
            let id = RowId::new(ids.chunk, row);
            let own = links(&mut chunks[ids.chunk as usize]);
            let bucket = self.bucket(own.fingerprints[row]);
            let older = std::mem::replace(&mut self.heads[bucket], id);
            own.next.push(older);
            own.previous.push(RowId::NONE);
            if older != RowId::NONE {
                links(&mut chunks[older.chunk() as usize]).previous[older.row()] = id;
            }
        }
    }

    /// Takes a row out that was put in by [`Heads::link_both`].
    pub fn unlink(&mut self, chunks: &mut [Chunk], links: impl Fn(&mut Chunk) -> &mut Links, id: RowId) {
        let own = links(&mut chunks[id.chunk() as usize]);
        let (older, younger) = (own.next[id.row()], own.previous[id.row()]);
        let bucket = self.bucket(own.fingerprints[id.row()]);
        if younger == RowId::NONE {
            self.heads[bucket] = older;
        } else {
            links(&mut chunks[younger.chunk() as usize]).next[younger.row()] = older;
        }
        if older != RowId::NONE {
            links(&mut chunks[older.chunk() as usize]).previous[older.row()] = younger;
        }
    }
}
