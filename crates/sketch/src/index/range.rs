//! Rows in the order of their keys: by rank, by range, forwards and backwards.

use std::ops::{Bound, Range};

use super::Tree;

/// One pair of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<'t> {
    /// The key's bytes.
    pub key: &'t [u8],
    /// The row's number.
    pub row: u64,
}

impl Tree {
    /// The pair of this rank, from 0.
    #[inline]
    pub fn kth(&self, rank: u64) -> Option<Entry<'_>> {
        (rank < self.len()).then(|| {
            let (leaf, slot) = self.locate(rank);
            let (key, row) = self.page(leaf).entry(slot);
            Entry { key, row }
        })
    }

    /// The first pair whose key is greater than this one.
    pub fn first_after(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.kth(self.rank_through(key))
    }

    /// The ranks of the pairs whose keys lie between two bounds; empty where the bounds cross.
    pub fn ranks(&self, low: Bound<&[u8]>, high: Bound<&[u8]>) -> Range<u64> {
        let start = match low {
            Bound::Included(key) => self.rank(key, 0),
            Bound::Excluded(key) => self.rank_through(key),
            Bound::Unbounded => 0,
        };
        let end = match high {
            Bound::Included(key) => self.rank_through(key),
            Bound::Excluded(key) => self.rank(key, 0),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    /// The pairs of these ranks, in order; `rev()` for the opposite one, `take(n)` for the first n.
    pub fn entries(&self, ranks: Range<u64>) -> Entries<'_> {
        let ranks = ranks.start..ranks.end.min(self.len());
        Entries { tree: self, ranks, front: None, back: None }
    }

    /// The pairs whose keys lie between two bounds.
    pub fn range(&self, low: Bound<&[u8]>, high: Bound<&[u8]>) -> Entries<'_> {
        self.entries(self.ranks(low, high))
    }
}

/// Pairs in order. A leaf is entered by rank, once from each side.
#[derive(Debug, Clone)]
pub struct Entries<'t> {
    tree: &'t Tree,
    ranks: Range<u64>,
    /// The leaf of the first rank and its slot there.
    front: Option<(u32, usize)>,
    /// The leaf of the last rank and its slot there.
    back: Option<(u32, usize)>,
}

impl<'t> Iterator for Entries<'t> {
    type Item = Entry<'t>;

    fn next(&mut self) -> Option<Entry<'t>> {
        let rank = self.ranks.next()?;
        let (leaf, slot) = self.front.unwrap_or_else(|| self.tree.locate(rank));
        let page = self.tree.page(leaf);
        self.front = Some((leaf, slot + 1)).filter(|(_, next)| *next < page.len());
        let (key, row) = page.entry(slot);
        Some(Entry { key, row })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl<'t> DoubleEndedIterator for Entries<'t> {
    fn next_back(&mut self) -> Option<Entry<'t>> {
        let rank = self.ranks.next_back()?;
        let (leaf, slot) = self.back.unwrap_or_else(|| self.tree.locate(rank));
        self.back = slot.checked_sub(1).map(|before| (leaf, before));
        let (key, row) = self.tree.page(leaf).entry(slot);
        Some(Entry { key, row })
    }
}
