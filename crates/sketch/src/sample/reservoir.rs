//! A simple random sample of k rows of a stream whose length nobody knows.

use fleuve_base::{Error, Result};

use super::{SAMPLE_ROWS_MAX, checked_rows};
use crate::estimate::{Estimate, mean_of, sum_of};
use crate::normal::normal_quantile;
use crate::random::Generator;
use crate::stored::{Reader, Stored, write_items, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'R', 1);

/// How rows are chosen. The samples are equally distributed; L draws about k·ln(n/k) random numbers in place of n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Row n replaces a kept one with probability k/n (Algorithm R: J. S. Vitter 1985, "Random sampling with a
    /// reservoir", who attributes it to A. Waterman).
    R,
    /// The number of rows to pass over is drawn itself (Algorithm L: K.-H. Li 1994, "Reservoir-sampling algorithms of
    /// time complexity O(n(1 + log(N/n)))").
    L,
}

/// Up to k rows, of which every set of k rows offered so far is equally likely.
///
/// ```
/// use fleuve_sketch::sample::{Method, Reservoir};
///
/// let mut sample = Reservoir::new(100, Method::L, 7)?;
/// (0..100_000u64).for_each(|row| sample.offer(row));
/// let mean = sample.mean(0.999, |row| *row as f64)?;
/// assert!(mean.covers(49_999.5) && mean.half_width() < 12_000.0);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Reservoir<T> {
    capacity: usize,
    method: Method,
    seen: u64,
    items: Vec<T>,
    random: Generator,
    /// Of L: the number, from 1, of the row that is taken next.
    next: u64,
    /// Of L: the logarithm of the kth smallest of `seen` uniform numbers, which nobody has drawn one by one.
    ln_threshold: f64,
}

impl<T> Reservoir<T> {
    /// For `capacity` rows.
    ///
    /// # Errors
    /// E304, for no rows or more than [`SAMPLE_ROWS_MAX`].
    pub fn new(capacity: usize, method: Method, seed: u64) -> Result<Self> {
        let (capacity, random) = (checked_rows(capacity)?, Generator::new(seed));
        Ok(Reservoir { capacity, method, seen: 0, items: vec![], random, next: 0, ln_threshold: 0.0 })
    }

    /// Offers the next row.
    #[inline]
    pub fn offer(&mut self, item: T) {
        if self.skip() > 0 {
            return self.pass(1);
        }
        self.seen += 1;
        if self.items.len() < self.capacity {
            self.items.push(item);
            if self.items.len() == self.capacity {
                self.fill();
            }
            return;
        }
        match self.method {
            Method::R => {
                let slot = self.random.below(self.seen);
                if slot < self.capacity as u64 {
                    self.items[slot as usize] = item;
                }
            }
            Method::L => {
                let slot = self.random.below(self.capacity as u64) as usize;
                self.items[slot] = item;
                self.ln_threshold += self.random.unit_positive().ln() / self.capacity as f64;
                self.schedule();
            }
        }
    }

    /// How many of the next rows will not be taken, so that they need not be made.
    #[inline]
    pub fn skip(&self) -> u64 {
        if self.next == 0 { 0 } else { self.next - 1 - self.seen }
    }

    /// Passes over rows, at most [`Reservoir::skip`] of them.
    ///
    /// # Panics
    /// If one of them would be taken.
    pub fn pass(&mut self, rows: u64) {
        assert!(rows <= self.skip(), "a row that is taken cannot be passed over");
        self.seen += rows;
    }

    /// Offers rows one after the other, and looks only at those that are taken.
    pub fn offer_slice(&mut self, mut items: &[T])
    where
        T: Clone,
    {
        while !items.is_empty() {
            let passed = self.skip().min(items.len() as u64);
            self.pass(passed);
            items = &items[passed as usize..];
            if let [taken, rest @ ..] = items {
                self.offer(taken.clone());
                items = rest;
            }
        }
    }

    /// The sample is full for the first time, or again after a merge.
    fn fill(&mut self) {
        if self.method == Method::L {
            let above = (self.seen - self.capacity as u64 + 1) as f64;
            let (low, high) = (self.gamma(self.capacity as f64), self.gamma(above));
            self.ln_threshold = (low / (low + high)).ln();
            self.schedule();
        }
    }

    /// Draws the row that is taken next.
    fn schedule(&mut self) {
        let skip = (self.random.unit_positive().ln() / (-self.ln_threshold.exp()).ln_1p()).abs().floor();
        // The conversion saturates where the skip is beyond all rows.
        self.next = self.seen.saturating_add(skip as u64).saturating_add(1);
    }

    /// A variate of the gamma distribution of shape `a` ≥ 1 (G. Marsaglia, W. W. Tsang 2000, "A simple method for
    /// generating gamma variables"). Two of them make the kth smallest of n uniform numbers: Beta(k, n − k + 1).
    fn gamma(&mut self, a: f64) -> f64 {
        let d = a - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = normal_quantile(self.random.unit_positive());
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.random.unit_positive().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Takes up another sample of other rows: what results is a sample of both streams.
    ///
    /// # Errors
    /// E304, if the other sample has another capacity.
    pub fn merge(&mut self, mut other: Reservoir<T>) -> Result<()> {
        if self.capacity != other.capacity {
            let message = format!("samples of {} and of {} rows cannot be merged", self.capacity, other.capacity);
            return Err(Error::input("E304", message));
        }
        let (mut left, mut right) = (self.seen, other.seen);
        let mut merged = Vec::with_capacity(self.capacity.min(self.items.len() + other.items.len()));
        while merged.len() < self.capacity && left + right > 0 {
            let from = if self.random.below(left + right) < left {
                (&mut self.items, &mut left)
            } else {
                (&mut other.items, &mut right)
            };
            let slot = self.random.below(from.0.len() as u64) as usize;
            merged.push(from.0.swap_remove(slot));
            *from.1 -= 1;
        }
        self.items = merged;
        self.seen = self.seen.saturating_add(other.seen);
        if self.items.len() == self.capacity {
            self.fill();
        }
        Ok(())
    }

    /// The rows, in no order that means anything.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// The number of rows that it keeps.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of rows offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The mean of a value over all rows offered, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn mean(&self, confidence: f64, value: impl FnMut(&T) -> f64) -> Result<Estimate> {
        mean_of(&self.items.iter().map(value).collect(), self.seen, confidence)
    }

    /// The sum of a value over all rows offered; of 1 for the rows of a kind, it is their number.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, confidence: f64, value: impl FnMut(&T) -> f64) -> Result<Estimate> {
        sum_of(&self.items.iter().map(value).collect(), self.seen, confidence)
    }
}

impl<T: Stored> Reservoir<T> {
    /// The stored form, from which the same rows will be drawn.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1, u8::from(self.method == Method::L)];
        [self.capacity as u64, self.seen, self.next].iter().for_each(|number| number.write(&mut out));
        self.ln_threshold.write(&mut out);
        self.random.write(&mut out);
        write_items(self.items.iter(), &mut out);
        out
    }

    /// What [`Reservoir::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let method = if from.u8()? == 0 { Method::R } else { Method::L };
        let (capacity, seen, next) = (u64::read(&mut from)?, u64::read(&mut from)?, u64::read(&mut from)?);
        let (ln_threshold, random) = (f64::read(&mut from)?, Generator::read(&mut from)?);
        let items: Vec<T> = from.items(SAMPLE_ROWS_MAX)?;
        from.finish()?;
        let full = items.len() as u64 == capacity;
        let scheduled = next > seen && method == Method::L;
        let consistent = (1..=SAMPLE_ROWS_MAX as u64).contains(&capacity)
            && items.len() as u64 == seen.min(capacity)
            && seen <= u64::MAX >> 2
            && scheduled == (full && method == Method::L)
            && (scheduled || next == 0)
            && ln_threshold <= 0.0;
        if !consistent {
            return Err(wrong("of a reservoir contradicts itself"));
        }
        Ok(Reservoir { capacity: capacity as usize, method, seen, items, random, next, ln_threshold })
    }
}

#[cfg(test)]
#[path = "reservoir_tests.rs"]
mod tests;
