//! A sample without replacement of the rows of the last span of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fleuve_base::{Error, Result};

use super::{SAMPLE_ROWS_MAX, checked_rows};
use crate::estimate::{Estimate, mean_of};
use crate::random::Generator;
use crate::stored::{Reader, Stored, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'Y', 1);

/// k rows of those whose time lies in the last `span`, each set of k equally likely.
///
/// Priority sampling (B. Babcock, M. Datar, R. Motwani 2002, "Sampling from a moving window over streaming data"), in the
/// form without replacement: every row draws a priority, and the sample are the k highest of the window. A row is let go
/// when k rows of its time or later have a higher one, since it will never be among the k. About k·(1 + ln(n/k)) of the
/// window's n rows remain; old ones are let go when as many have come again, so up to twice that many are held.
/// Rows may come out of order, and samples of other rows merge without loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Priority<T> {
    capacity: usize,
    span: i64,
    random: Generator,
    latest: i64,
    kept: Vec<Timed<T>>,
    prune_at: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Timed<T> {
    time: i64,
    priority: u64,
    item: T,
}

impl<T> Priority<T> {
    /// For `capacity` rows of the last `span` units of time (of any unit).
    ///
    /// # Errors
    /// E304, for no rows or more than [`SAMPLE_ROWS_MAX`], or a span below 1.
    pub fn new(capacity: usize, span: i64, seed: u64) -> Result<Self> {
        if span < 1 {
            return Err(Error::input("E304", format!("a window of time is at least 1 unit long, not {span}")));
        }
        let (capacity, random) = (checked_rows(capacity)?, Generator::new(seed));
        Ok(Priority { capacity, span, random, latest: i64::MIN, kept: vec![], prune_at: 2 * capacity })
    }

    /// Offers a row of this time. One that is out of the window already is passed over.
    pub fn offer(&mut self, time: i64, item: T) {
        let priority = self.random.next_u64();
        self.latest = self.latest.max(time);
        if self.is_in_window(time) {
            self.kept.push(Timed { time, priority, item });
            if self.kept.len() >= self.prune_at {
                self.prune();
            }
        }
    }

    /// Moves the window's end to this time, if it is later.
    pub fn advance(&mut self, time: i64) {
        self.latest = self.latest.max(time);
        self.prune();
    }

    fn is_in_window(&self, time: i64) -> bool {
        time > self.latest.saturating_sub(self.span)
    }

    /// Lets go of rows that are out of the window, or will never be among the highest.
    fn prune(&mut self) {
        self.kept.sort_by_key(|row| Reverse((row.time, row.priority)));
        let start = self.latest.saturating_sub(self.span);
        let (capacity, mut highest) = (self.capacity, BinaryHeap::with_capacity(self.capacity + 1));
        self.kept.retain(|row| {
            highest.push(Reverse(row.priority));
            let displaced = if highest.len() > capacity { highest.pop() } else { None };
            row.time > start && displaced != Some(Reverse(row.priority))
        });
        self.prune_at = 2 * self.kept.len().max(self.capacity);
    }

    /// Takes up another sample of other rows.
    ///
    /// # Errors
    /// E304, if the other sample has another capacity or span.
    pub fn merge(&mut self, other: Priority<T>) -> Result<()> {
        if (self.capacity, self.span) != (other.capacity, other.span) {
            return Err(Error::input("E304", "samples of other sizes or windows cannot be merged"));
        }
        self.latest = self.latest.max(other.latest);
        self.kept.extend(other.kept);
        self.prune();
        Ok(())
    }

    /// The rows of the window that are the sample, highest priority first; `capacity` of them, or all if there are fewer.
    pub fn items(&self) -> Vec<&T> {
        self.highest().into_iter().map(|row| &row.item).collect()
    }

    fn highest(&self) -> Vec<&Timed<T>> {
        let mut rows: Vec<_> = self.kept.iter().filter(|row| self.is_in_window(row.time)).collect();
        rows.sort_by_key(|row| Reverse(row.priority));
        rows.truncate(self.capacity);
        rows
    }

    /// How many rows the window has: exact while they are fewer than `capacity`, else `(k − 1) / (1 − p)` of the kth highest
    /// priority p in [0, 1) (Z. Bar-Yossef et al. 2002), whose relative error is about 1/√(k − 2).
    pub fn rows(&self) -> f64 {
        let rows = self.highest();
        match rows.last() {
            Some(last) if rows.len() == self.capacity => {
                let above = (u64::MAX - last.priority) as f64 + 1.0;
                ((self.capacity - 1) as f64 * (u64::MAX as f64 / above)).max(self.capacity as f64)
            }
            _ => rows.len() as f64,
        }
    }

    /// The mean of a value over the window's rows; exact while they are fewer than `capacity`, else with the large-sample
    /// interval of a large population.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn mean(&self, confidence: f64, mut value: impl FnMut(&T) -> f64) -> Result<Estimate> {
        let rows = self.highest();
        let population = if rows.len() < self.capacity { rows.len() as u64 } else { u64::MAX };
        mean_of(&rows.iter().map(|row| value(&row.item)).collect(), population, confidence)
    }

    /// The number of rows held.
    pub fn held(&self) -> usize {
        self.kept.len()
    }
}

impl<T: Stored> Priority<T> {
    /// The stored form, from which the same rows will be drawn.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        [self.capacity as u64, self.prune_at as u64].iter().for_each(|number| number.write(&mut out));
        [self.span, self.latest].iter().for_each(|number| number.write(&mut out));
        self.random.write(&mut out);
        (self.kept.len() as u64).write(&mut out);
        for row in &self.kept {
            row.time.write(&mut out);
            row.priority.write(&mut out);
            row.item.write(&mut out);
        }
        out
    }

    /// What [`Priority::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let (capacity, prune_at) = (u64::read(&mut from)? as usize, u64::read(&mut from)? as usize);
        let (span, latest) = (i64::read(&mut from)?, i64::read(&mut from)?);
        let random = Generator::read(&mut from)?;
        let mut kept = vec![];
        for _ in 0..from.count(usize::MAX, 16 + T::BYTES_MIN)? {
            kept.push(Timed {
                time: i64::read(&mut from)?,
                priority: u64::read(&mut from)?,
                item: T::read(&mut from)?,
            });
        }
        from.finish()?;
        let sized = (1..=SAMPLE_ROWS_MAX).contains(&capacity) && span >= 1;
        if !sized || kept.len() >= prune_at || prune_at < 2 * capacity || prune_at > 2 * capacity.max(kept.len()) * 2 {
            return Err(wrong("of a sample of a window contradicts itself"));
        }
        Ok(Priority { capacity, span, random, latest, kept, prune_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{coverage, uniform};

    /// Two rows a unit of time, of which 30 are in the window, somewhat out of order.
    fn sample(seed: u64, rows: std::ops::Range<i64>) -> Priority<i64> {
        let mut sample = Priority::new(4, 15, seed).unwrap();
        rows.map(|row| row ^ 3).for_each(|row| sample.offer(row / 2, row));
        sample
    }

    /// How often each of the window's last 30 rows is drawn.
    fn counts(draw: impl Fn(u64) -> Vec<i64>) -> Vec<u64> {
        let mut counts = vec![0; 30];
        (0..6_000).for_each(|seed| draw(seed).iter().for_each(|row| counts[(row - 170) as usize] += 1));
        counts
    }

    #[test]
    fn the_windows_rows_are_equally_likely() {
        let draw = |seed| sample(seed, 0..200).items().into_iter().copied().collect();
        uniform(&counts(draw)).expect("uniform");
        let merged = |seed| {
            let mut all = sample(seed, 0..180);
            all.merge(sample(seed + 1_000_000, 180..200)).unwrap();
            all.items().into_iter().copied().collect()
        };
        uniform(&counts(merged)).expect("merged samples too");
        // A canary: rows of the window's first half are forgotten where few have come since.
        let wrong = |seed| {
            let mut sample = sample(seed, 0..200);
            sample.kept.retain(|row| row.time >= 92 || row.priority % 4 > 0);
            sample.items().into_iter().copied().collect()
        };
        uniform(&counts(wrong)).expect_err("biased towards the last rows");
    }

    #[test]
    fn an_empty_window_and_few_rows_are_exact() {
        let mut sample = sample(1, 0..200);
        assert_eq!(sample.items().len(), 4);
        sample.advance(113);
        let mut items = sample.items();
        items.sort_unstable();
        assert_eq!((sample.rows(), items), (2.0, vec![&198, &199]));
        sample.advance(200);
        assert_eq!((sample.rows(), sample.items().len(), sample.held()), (0.0, 0, 0));
    }

    #[test]
    fn memory_and_counts_are_as_said() {
        let mut sample = Priority::new(100, 50_000, 5).unwrap();
        let mut held = 0;
        for row in 0..200_000 {
            sample.offer(row, row as f64);
            held = held.max(sample.held());
        }
        let stated = 100.0 * (1.0 + (50_000f64 / 100.0).ln());
        assert!((held as f64) < 2.0 * 1.3 * stated, "{held} rows held, {stated} stated");
        assert!((sample.rows() / 50_000.0 - 1.0).abs() < 0.5, "{}", sample.rows());
        let mean = sample.mean(0.9999, |value| *value).unwrap();
        assert!(mean.covers(174_999.5), "{mean:?}");
    }

    #[test]
    fn intervals_cover_as_often_as_they_claim() {
        let value = |row: i64| ((row * 7_919) % 101) as f64;
        let truth = (2_000..4_000).map(value).sum::<f64>() / 2_000.0;
        let covers = |seed| {
            let mut sample = Priority::new(60, 2_000, seed).unwrap();
            (0..4_000).for_each(|row| sample.offer(row, value(row)));
            sample.mean(0.9, |value| *value).unwrap().covers(truth)
        };
        coverage(0.9, true, covers).expect("covers");
    }

    #[test]
    fn a_restored_sample_goes_on_and_damage_is_refused() {
        let mut sample = sample(9, 0..100);
        let bytes = sample.to_bytes();
        let mut restored = Priority::<i64>::from_bytes(&bytes).unwrap();
        (100..300).for_each(|row| (sample.offer(row / 2, row), restored.offer(row / 2, row)).0);
        assert_eq!(sample, restored);
        for at in 0..bytes.len() {
            assert!(Priority::<i64>::from_bytes(&bytes[..at]).is_err());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if let Ok(mut sample) = Priority::<i64>::from_bytes(&damaged) {
                (0..100).for_each(|row| sample.offer(row, row));
                sample.rows();
            }
        }
        assert!(Priority::<i64>::new(3, 0, 1).is_err() && Priority::<i64>::new(0, 3, 1).is_err());
    }
}
