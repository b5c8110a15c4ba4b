//! A sample with replacement of the last n rows.

use std::collections::VecDeque;

use fleuve_base::{Error, Result};

use super::checked_rows;
use crate::estimate::{Estimate, mean_of};
use crate::random::Generator;
use crate::stored::{Reader, Stored, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'C', 1);

/// The longest chain that a stored state may have; one of even 100 links has a probability below 10⁻¹⁰⁰.
const LINKS_MAX: usize = 1 << 10;

/// k rows of the last n, each drawn by itself.
///
/// Chain sampling (B. Babcock, M. Datar, R. Motwani 2002, "Sampling from a moving window over streaming data"): row i
/// becomes the sample with probability 1/min(i, n). When it does, the row that will succeed it when it leaves the window is
/// drawn at once; that one draws its own successor when it comes. The chain of rows held has fewer than e links on average,
/// and O(log n) with high probability. The distance to the next row that becomes the sample is drawn itself, so that rows
/// between cost nothing.
///
/// A successor is drawn from the n − 1 rows that follow, of which all are in the window when it takes over. The row that
/// comes in that moment becomes the sample with probability 1/n by itself; were it among the successors too, as the paper
/// words it, it would be likelier than others by a factor of 1 + (n − 1)/n².
#[derive(Debug, Clone, PartialEq)]
pub struct Chain<T> {
    window: u64,
    seen: u64,
    random: Generator,
    chains: Vec<Links<T>>,
    /// The first row at which a chain changes.
    due: u64,
}

/// One chain. Rows are numbered from 1.
#[derive(Debug, Clone, PartialEq)]
struct Links<T> {
    /// The row that becomes the sample next.
    pick: u64,
    /// The row that succeeds the chain's last.
    successor: u64,
    rows: VecDeque<(u64, T)>,
}

impl<T: Clone> Chain<T> {
    /// For `capacity` rows of the last `window`.
    ///
    /// # Errors
    /// E304, for no rows or more than [`super::SAMPLE_ROWS_MAX`], or a window of no rows or more than 2⁴⁸.
    pub fn new(capacity: usize, window: u64, seed: u64) -> Result<Self> {
        if !(1..=1 << 48).contains(&window) {
            return Err(Error::input("E304", format!("a window has 1 to 2^48 rows, not {window}")));
        }
        let chains = vec![Links { pick: 1, successor: 0, rows: VecDeque::new() }; checked_rows(capacity)?];
        Ok(Chain { window, seen: 0, random: Generator::new(seed), chains, due: 1 })
    }

    /// Offers the next row.
    #[inline]
    pub fn offer(&mut self, item: T) {
        self.seen += 1;
        if self.seen >= self.due {
            self.change(&item);
        }
    }

    /// Offers rows one after the other, and looks only at those at which something changes.
    pub fn offer_slice(&mut self, mut items: &[T]) {
        while !items.is_empty() {
            let passed = (self.due - 1).saturating_sub(self.seen).min(items.len() as u64);
            self.seen += passed;
            items = &items[passed as usize..];
            if let [item, rest @ ..] = items {
                self.seen += 1;
                self.change(item);
                items = rest;
            }
        }
    }

    fn change(&mut self, item: &T) {
        let (row, window) = (self.seen, self.window);
        self.due = u64::MAX;
        for chain in &mut self.chains {
            let picked = chain.pick == row;
            if picked {
                chain.rows.clear();
                chain.pick = next_pick(row, window, &mut self.random);
            }
            if picked || chain.successor == row {
                chain.rows.push_back((row, item.clone()));
                chain.successor = row + 1 + self.random.below((window - 1).max(1));
            }
            while chain.rows.front().is_some_and(|(first, _)| first + window <= row) {
                chain.rows.pop_front();
            }
            let leaves = chain.rows.front().map_or(u64::MAX, |(first, _)| first + window);
            self.due = self.due.min(chain.pick).min(chain.successor).min(leaves);
        }
    }

    /// The rows of the sample, in no order that means anything; the same row may be there twice. None before the first.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.chains.iter().filter_map(|chain| chain.rows.front().map(|(_, item)| item))
    }

    /// The number of rows offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The number of rows held, over all chains.
    pub fn held(&self) -> usize {
        self.chains.iter().map(|chain| chain.rows.len()).sum()
    }

    /// The mean of a value over the window, with the large-sample interval of draws with replacement.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn mean(&self, confidence: f64, value: impl FnMut(&T) -> f64) -> Result<Estimate> {
        mean_of(&self.items().map(value).collect(), u64::MAX, confidence)
    }

    /// The sum of a value over the window.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, confidence: f64, value: impl FnMut(&T) -> f64) -> Result<Estimate> {
        Ok(self.mean(confidence, value)?.times(self.seen.min(self.window) as f64))
    }
}

/// The next row that becomes the sample after `row`, where row i does with probability 1/min(i, window).
fn next_pick(row: u64, window: u64, random: &mut Generator) -> u64 {
    if row < window {
        // No row up to j does with probability row/j.
        let pick = (row as f64 / random.unit_positive()) as u64 + 1;
        if pick <= window {
            return pick.max(row + 1);
        }
    }
    let distance = random.unit_positive().ln() / (-1.0 / window as f64).ln_1p();
    row.max(window).saturating_add(1).saturating_add(distance.abs() as u64)
}

impl<T: Stored + Clone> Chain<T> {
    /// The stored form, from which the same rows will be drawn.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        [self.window, self.seen, self.due].iter().for_each(|number| number.write(&mut out));
        self.random.write(&mut out);
        (self.chains.len() as u64).write(&mut out);
        for chain in &self.chains {
            chain.pick.write(&mut out);
            chain.successor.write(&mut out);
            let rows: Vec<(u64, T)> = chain.rows.iter().cloned().collect();
            crate::stored::write_items(rows.iter(), &mut out);
        }
        out
    }

    /// What [`Chain::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let (window, seen, due) = (u64::read(&mut from)?, u64::read(&mut from)?, u64::read(&mut from)?);
        let random = Generator::read(&mut from)?;
        let mut chains = vec![];
        for _ in 0..from.count(super::SAMPLE_ROWS_MAX, 24)? {
            let (pick, successor) = (u64::read(&mut from)?, u64::read(&mut from)?);
            let rows: Vec<(u64, T)> = from.items(LINKS_MAX)?;
            let fits = rows.iter().all(|(row, _)| *row <= seen) && rows.is_sorted_by(|a, b| a.0 < b.0);
            if !fits || pick <= seen || (rows.is_empty() && seen > 0) {
                return Err(wrong("has a broken chain"));
            }
            chains.push(Links { pick, successor, rows: rows.into() });
        }
        from.finish()?;
        if !(1..=1 << 48).contains(&window) || seen > u64::MAX >> 2 || due <= seen || chains.is_empty() {
            return Err(wrong("of a sample of a window contradicts itself"));
        }
        Ok(Chain { window, seen, random, chains, due })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{coverage, uniform};

    fn sample(seed: u64, rows: u64) -> Chain<u64> {
        let mut sample = Chain::new(3, 25, seed).unwrap();
        (1..=rows).for_each(|row| sample.offer(row));
        sample
    }

    #[test]
    fn the_windows_rows_are_equally_likely() {
        for rows in [1, 13, 25, 26, 31, 50, 240] {
            let size = rows.min(25);
            let mut counts = vec![0; size as usize];
            for seed in 0..4_000 {
                sample(seed, rows).items().for_each(|row| counts[(row + size - rows - 1) as usize] += 1);
            }
            assert_eq!(counts.iter().sum::<u64>(), 12_000);
            if size > 1 {
                uniform(&counts).unwrap_or_else(|problem| panic!("after {rows}: {problem}"));
            }
        }
    }

    /// In a short window, where a wrong law of successors shows.
    fn short_window(successors: Option<u64>) -> Vec<u64> {
        let mut counts = vec![0; 4];
        for seed in 0..60_000 {
            let mut chain = Chain::new(1, 4, seed).unwrap();
            for row in 1..=13u64 {
                chain.offer(row);
                let is_last = chain.chains[0].rows.back().is_some_and(|(last, _)| *last == row);
                if let (Some(successors), true) = (successors, is_last) {
                    chain.chains[0].successor = row + 1 + chain.random.below(successors);
                    chain.due = 0;
                }
            }
            chain.items().for_each(|row| counts[(row - 10) as usize] += 1);
        }
        counts
    }

    #[test]
    fn successors_keep_a_short_window_uniform_and_wrong_ones_do_not() {
        uniform(&short_window(None)).expect("uniform");
        uniform(&short_window(Some(4))).expect_err("the row that has just come would be likelier");
        uniform(&short_window(Some(2))).expect_err("old rows would be likelier");
    }

    #[test]
    fn slices_rows_and_restarts_agree() {
        let rows: Vec<u64> = (1..=5_000).collect();
        let mut by_slice = Chain::new(20, 300, 4).unwrap();
        by_slice.offer_slice(&rows[..777]);
        by_slice = Chain::from_bytes(&by_slice.to_bytes()).unwrap();
        rows[777..].chunks(59).for_each(|chunk| by_slice.offer_slice(chunk));
        let mut by_row = Chain::new(20, 300, 4).unwrap();
        rows.iter().for_each(|row| by_row.offer(*row));
        assert_eq!(by_slice, by_row);
    }

    #[test]
    fn memory_is_as_said() {
        let mut sample = Chain::new(500, 10_000, 4).unwrap();
        (0..50_000u64).for_each(|row| sample.offer(row));
        assert!(sample.held() < 500 * 3, "{} rows held", sample.held());
    }

    #[test]
    fn intervals_cover_as_often_as_they_claim() {
        let value = |row: u64| ((row * 7_919) % 101) as f64;
        let truth = (2_000..4_000).map(value).sum::<f64>();
        let rows: Vec<f64> = (0..4_000).map(value).collect();
        let covers = |seed| {
            let mut sample = Chain::new(60, 2_000, seed).unwrap();
            sample.offer_slice(&rows);
            sample.sum(0.9, |value| *value).unwrap().covers(truth)
        };
        coverage(0.9, true, covers).expect("covers");
    }

    #[test]
    fn damage_and_wrong_sizes_are_refused() {
        let bytes = sample(9, 100).to_bytes();
        for at in 0..bytes.len() {
            assert!(Chain::<u64>::from_bytes(&bytes[..at]).is_err());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if let Ok(mut sample) = Chain::<u64>::from_bytes(&damaged) {
                (0..100).for_each(|row| sample.offer(row));
            }
        }
        assert!(Chain::<u64>::new(3, 0, 1).is_err() && Chain::<u64>::new(0, 3, 1).is_err());
    }
}
