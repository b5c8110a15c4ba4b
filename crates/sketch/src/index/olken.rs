//! Random draws from indexes, with rejections where they are needed, and counted.
//!
//! F. Olken, D. Rotem (1986), "Simple random sampling from relational databases"; F. Olken, D. Rotem, P. Xu (1990), "Random
//! sampling from hash files"; F. Olken (1993), *Random Sampling from Databases*. All draws are with replacement; without,
//! draw ranks by [`super::Shuffle`] and look them up by [`Tree::kth`].

use std::ops::Range;

use fleuve_base::{Error, ErrorKind, Result};

use super::{Entry, Tree};
use crate::random::Generator;
use crate::stored::{Reader, Stored};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'D', 1);

/// Rejections in a row after which a draw is given up: what it draws from is nearly empty.
const REJECTED_MAX: u64 = 10_000_000;

/// Draws, and what they have cost so far.
#[derive(Debug, Clone)]
pub struct Draws {
    random: Generator,
    accepted: u64,
    rejected: u64,
}

impl Draws {
    /// From this seed.
    pub fn new(seed: u64) -> Self {
        Draws { random: Generator::new(seed), accepted: 0, rejected: 0 }
    }

    /// The stored form, from which the same draws follow.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        self.random.write(&mut out);
        [self.accepted, self.rejected].iter().for_each(|count| count.write(&mut out));
        out
    }

    /// What [`Draws::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let random = Generator::read(&mut from)?;
        let counts = (u64::read(&mut from)?.min(u64::MAX >> 1), u64::read(&mut from)?.min(u64::MAX >> 1));
        from.finish()?;
        Ok(Draws { random, accepted: counts.0, rejected: counts.1 })
    }

    /// Draws that gave a row.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Draws that were rejected, and made again.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Repeats a trial until it accepts.
    fn until<T>(&mut self, mut trial: impl FnMut(&mut Generator) -> Option<T>) -> Result<T> {
        for _ in 0..REJECTED_MAX {
            if let Some(drawn) = trial(&mut self.random) {
                self.accepted += 1;
                return Ok(drawn);
            }
            self.rejected += 1;
        }
        Err(Error::new(ErrorKind::Limit, "E310", format!("{REJECTED_MAX} draws in a row were rejected")))
    }

    /// A row of the tree by the counts of its pages, each row equally likely; none is rejected.
    ///
    /// # Errors
    /// E304, if there is no row.
    #[inline]
    pub fn by_rank<'t>(&mut self, tree: &'t Tree) -> Result<Entry<'t>> {
        self.of_ranks(tree, 0..tree.len())
    }

    /// A row of a selection: of these ranks ([`Tree::ranks`]), each equally likely; none is rejected.
    ///
    /// # Errors
    /// E304, if there is no row.
    #[inline]
    pub fn of_ranks<'t>(&mut self, tree: &'t Tree, ranks: Range<u64>) -> Result<Entry<'t>> {
        let end = ranks.end.min(tree.len());
        if ranks.start >= end {
            return Err(empty());
        }
        let rank = ranks.start + self.random.below(end - ranks.start);
        self.accepted += 1;
        tree.kth(rank).ok_or_else(empty)
    }

    /// A row of the tree without its counts, each row equally likely: a walk from the root takes each child of a page with
    /// the same probability, and is rejected below the root with probability 1 − f/m at each page with f children or rows,
    /// where m is the most that one has. So every row is reached with probability 1/(f of the root · m · m …).
    ///
    /// # Errors
    /// E304, if there is no row; E310, if there are far too few for the pages.
    pub fn by_rejection<'t>(&mut self, tree: &'t Tree) -> Result<Entry<'t>> {
        if tree.is_empty() {
            return Err(empty());
        }
        self.until(|random| {
            let mut page = tree.page(tree.root);
            while !page.is_leaf() {
                page = tree.page(page.child(random.below(page.len() as u64) as usize).page);
                if random.below(tree.widest(page.is_leaf()) as u64) >= page.len() as u64 {
                    return None;
                }
            }
            let (key, row) = page.entry(random.below(page.len() as u64) as usize);
            Some(Entry { key, row })
        })
    }

    /// A row of those that fulfil a condition, each equally likely; others are rejected.
    ///
    /// # Errors
    /// E304, if there is no row; E310, if none of very many fulfils it.
    pub fn of_selection<'t>(&mut self, tree: &'t Tree, condition: impl Fn(&Entry<'t>) -> bool) -> Result<Entry<'t>> {
        if tree.is_empty() {
            return Err(empty());
        }
        self.until(|random| tree.kth(random.below(tree.len())).filter(|entry| condition(entry)))
    }

    /// A bucket of a hash file and the place in it, each record equally likely: a bucket is taken with the same probability
    /// as any other, and rejected with 1 − b/m if it has b records and the largest m.
    ///
    /// # Errors
    /// E304, if there is no record; E310, if there are far too few for the buckets.
    pub fn of_buckets(&mut self, sizes: &[u32]) -> Result<(usize, u32)> {
        let most = sizes.iter().copied().max().unwrap_or(0);
        if most == 0 {
            return Err(empty());
        }
        self.until(|random| {
            let (bucket, place) = (random.below(sizes.len() as u64) as usize, random.below(most.into()) as u32);
            (place < sizes[bucket]).then_some((bucket, place))
        })
    }

    /// A pair of rows of two trees with the same key, each pair equally likely: a row of the left one is accepted with
    /// probability m/M, if the right one has m rows of its key, and at most M of any ([`most_of_a_key`]).
    ///
    /// # Errors
    /// E304, if a tree has no row, or `most` is less than the rows of a key; E310, if hardly any row has a partner.
    pub fn of_join<'t>(&mut self, left: &'t Tree, right: &'t Tree, most: u64) -> Result<(Entry<'t>, Entry<'t>)> {
        if left.is_empty() || right.is_empty() || most == 0 {
            return Err(empty());
        }
        let mut exceeded = false;
        let pair = self.until(|random| {
            let entry = left.kth(random.below(left.len()))?;
            let (start, end) = (right.rank(entry.key, 0), right.rank_through(entry.key));
            exceeded |= end - start > most;
            let partner = start + random.below(most);
            (exceeded || partner < end).then(|| right.kth(partner).map(|partner| (entry, partner))).flatten()
        });
        if exceeded {
            return Err(Error::input(
                "E304",
                format!("a key has more rows than the {most} that were given as the most"),
            ));
        }
        pair
    }
}

/// The most rows of one key, found by a leap from key to key.
pub fn most_of_a_key(tree: &Tree) -> u64 {
    let (mut most, mut start) = (0, 0);
    while let Some(entry) = tree.kth(start) {
        let end = tree.rank_through(entry.key);
        most = most.max(end - start);
        start = end;
    }
    most
}

fn empty() -> Error {
    Error::input("E304", "there is no row to draw from")
}

#[cfg(test)]
#[path = "olken_tests.rs"]
mod tests;
