//! The index as a histogram: every level of it cuts the rows into buckets, each finer than the one above.

use super::Tree;

/// The rows below one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The least key that may be in it.
    pub low: Vec<u8>,
    /// The least key that may be in the next bucket; the greatest key, which is in it, for the last.
    pub high: Vec<u8>,
    /// The rows before it.
    pub before: u64,
    /// Its rows: as many, for the index keeps the counts of its pages.
    pub rows: u64,
    /// By how much `before + rows / 2` can be off the number of rows before a key within the bucket: the error of a range
    /// that ends there. 0 where it holds one key alone.
    pub error: u64,
}

impl Tree {
    /// The number of levels of [`Tree::level`]; none without rows.
    pub fn levels(&self) -> usize {
        if self.is_empty() { 0 } else { (self.height() - 1).max(1) }
    }

    /// The buckets of a level in order: level 0 has one for each child of the root, the last one for each leaf. A tree of
    /// one leaf is one bucket. Nothing below the level's pages is read, but for the least and the greatest key.
    pub fn level(&self, level: usize) -> impl Iterator<Item = Bucket> {
        let mut parts = if level < self.levels() { self.parts(level) } else { vec![] };
        parts.retain(|(_, rows)| *rows > 0);
        if let (Some(first), Some(least)) = (parts.first_mut(), self.kth(0)) {
            first.0 = least.key;
        }
        let greatest = self.kth(self.len().saturating_sub(1)).map_or(&[][..], |entry| entry.key);
        let mut before = 0;
        (0..parts.len()).map(move |i| {
            let (low, rows) = parts[i];
            let high = parts.get(i + 1).map_or(greatest, |(next, _)| next);
            let error = if low == high { 0 } else { rows.div_ceil(2) };
            before += rows;
            Bucket { low: low.to_vec(), high: high.to_vec(), before: before - rows, rows, error }
        })
    }

    /// The least keys and the rows of all children of the pages of a level.
    fn parts(&self, level: usize) -> Vec<(&[u8], u64)> {
        if self.height() == 1 {
            return vec![(&[], self.len())];
        }
        let mut pages = vec![self.root];
        for _ in 0..level {
            let children = |page: &u32| {
                let page = self.page(*page);
                (0..page.len()).map(move |slot| page.child(slot).page)
            };
            pages = pages.iter().flat_map(children).collect();
        }
        let parts = |page: u32| {
            let page = self.page(page);
            (0..page.len()).map(move |slot| (page.entry(slot).0, page.child(slot).rows))
        };
        pages.into_iter().flat_map(parts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::key;
    use crate::random::Generator;

    #[test]
    fn every_level_tells_the_truth_and_refines_the_one_above() {
        let mut random = Generator::new(3);
        let mut tree = Tree::new();
        for row in 0..60_000 {
            let value = if row % 3 == 0 { 77 } else { (-2_000.0 * random.unit_positive().ln()) as i64 };
            tree.insert(&key::of_i64(value), row).unwrap();
        }
        assert_eq!(tree.levels(), 2);
        let (mut cuts, mut error): (Vec<u64>, u64) = (vec![], u64::MAX);
        for level in 0..tree.levels() {
            let buckets: Vec<Bucket> = tree.level(level).collect();
            let mut before = 0;
            for bucket in &buckets {
                assert_eq!(bucket.before, before);
                before += bucket.rows;
                let own = tree.entries(bucket.before..before).map(|entry| entry.key);
                assert!(own.clone().all(|key| bucket.low[..] <= *key && *key <= bucket.high[..]));
                for key in own.step_by(50).filter(|key| bucket.low[..] < **key && **key < bucket.high[..]) {
                    let (truth, estimate) = (tree.rank(key, 0), bucket.before + bucket.rows / 2);
                    assert!(truth.abs_diff(estimate) <= bucket.error, "{truth} for {estimate}");
                }
            }
            assert_eq!(before, 60_000);
            let starts: Vec<u64> = buckets.iter().map(|bucket| bucket.before).collect();
            assert!(cuts.iter().all(|cut| starts.contains(cut)), "each level keeps the cuts of the one above");
            let widest = buckets.iter().map(|bucket| bucket.error).max().unwrap();
            assert!(widest < error);
            (cuts, error) = (starts, widest);
        }
        let single = tree.level(1).filter(|bucket| bucket.error == 0).map(|bucket| bucket.rows).sum::<u64>();
        assert!(single > 18_000, "rows of the frequent key are known to have it: {single}");
    }

    #[test]
    fn small_trees_have_one_bucket_or_none() {
        let mut tree = Tree::new();
        assert_eq!((tree.levels(), tree.level(0).count()), (0, 0));
        (0..10).for_each(|row| assert!(tree.insert(&key::of_i64(row), row as u64).unwrap()));
        let bucket = Bucket { low: key::of_i64(0), high: key::of_i64(9), before: 0, rows: 10, error: 5 };
        assert_eq!((tree.levels(), tree.level(0).collect::<Vec<_>>()), (1, vec![bucket]));
        assert_eq!(tree.level(1).count(), 0);
    }
}
