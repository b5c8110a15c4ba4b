//! A sample without replacement in which heavier rows are likelier.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use fleuve_base::{Error, Result};

use super::{SAMPLE_ROWS_MAX, checked_rows};
use crate::estimate::{Estimate, reach_normal};
use crate::random::Generator;
use crate::statistics::Compensated;
use crate::stored::{Reader, Stored, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'W', 1);

/// How rows are chosen (P. S. Efraimidis, P. G. Spirakis 2006, "Weighted random sampling with a reservoir"). The samples
/// are equally distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightedMethod {
    /// Each row draws its key (A-Res).
    Res,
    /// The weight to pass over is drawn itself (A-ExpJ).
    ExpJ,
}

/// k rows, distributed as if drawn one after the other, each in proportion to its weight among those not drawn yet.
///
/// A row of weight w has the key `u^(1/w)`, and the largest keys are kept. Here a key is `−ln(u)/w`, an exponential
/// variate of rate w, and the smallest are kept: the same order without underflow. One row more than asked for is kept:
/// its key is the threshold that [`Weighted::sum`] needs. Samples of other rows merge without loss.
#[derive(Debug, Clone)]
pub struct Weighted<T> {
    capacity: usize,
    method: WeightedMethod,
    seen: u64,
    weight: Compensated,
    kept: BinaryHeap<Keyed<T>>,
    random: Generator,
    /// Of A-ExpJ: the weight to pass over before a row is taken, once the sample is full.
    jump: f64,
}

#[derive(Debug, Clone)]
struct Keyed<T> {
    key: f64,
    weight: f64,
    item: T,
}

impl<T> Ord for Keyed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.total_cmp(&other.key)
    }
}

impl<T> PartialOrd for Keyed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Keyed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Keyed<T> {}

impl<T> Weighted<T> {
    /// For `capacity` rows.
    ///
    /// # Errors
    /// E304, for no rows or more than [`SAMPLE_ROWS_MAX`].
    pub fn new(capacity: usize, method: WeightedMethod, seed: u64) -> Result<Self> {
        Ok(Weighted {
            capacity: checked_rows(capacity)?,
            method,
            seen: 0,
            weight: Compensated::default(),
            kept: BinaryHeap::new(),
            random: Generator::new(seed),
            jump: 0.0,
        })
    }

    /// Offers a row.
    ///
    /// # Errors
    /// E304, if the weight is not a positive number; the row is then not counted.
    #[inline]
    pub fn offer(&mut self, item: T, weight: f64) -> Result<()> {
        checked_weight(weight)?;
        self.seen += 1;
        self.weight.add(weight);
        let Some(threshold) = self.full_threshold() else {
            let key = self.exponential() / weight;
            self.kept.push(Keyed { key, weight, item });
            self.draw_jump();
            return Ok(());
        };
        match self.method {
            WeightedMethod::Res => {
                let key = self.exponential() / weight;
                if key < threshold {
                    self.replace(Keyed { key, weight, item });
                }
            }
            WeightedMethod::ExpJ => {
                self.jump -= weight;
                if self.jump <= 0.0 {
                    // The key, given that it is below the threshold.
                    let below = -(-weight * threshold).exp_m1();
                    let key = -(-self.random.unit_positive() * below).ln_1p() / weight;
                    self.replace(Keyed { key, weight, item });
                    self.draw_jump();
                }
            }
        }
        Ok(())
    }

    /// The largest key kept, once another row must displace one.
    fn full_threshold(&self) -> Option<f64> {
        self.kept.peek().filter(|_| self.kept.len() > self.capacity).map(|last| last.key)
    }

    fn replace(&mut self, keyed: Keyed<T>) {
        self.kept.push(keyed);
        self.kept.pop();
    }

    fn exponential(&mut self) -> f64 {
        -self.random.unit_positive().ln()
    }

    fn draw_jump(&mut self) {
        if let (WeightedMethod::ExpJ, Some(threshold)) = (self.method, self.full_threshold()) {
            self.jump = self.exponential() / threshold;
        }
    }

    /// Takes up another sample of other rows: exactly what one sample of all would be distributed as.
    ///
    /// # Errors
    /// E304, if the other sample has another capacity.
    pub fn merge(&mut self, other: Weighted<T>) -> Result<()> {
        if self.capacity != other.capacity {
            let message = format!("samples of {} and of {} rows cannot be merged", self.capacity, other.capacity);
            return Err(Error::input("E304", message));
        }
        for keyed in other.kept {
            self.kept.push(keyed);
            if self.kept.len() > self.capacity + 1 {
                self.kept.pop();
            }
        }
        self.seen = self.seen.saturating_add(other.seen);
        self.weight.merge(&other.weight);
        self.draw_jump();
        Ok(())
    }

    /// The rows and their weights, in no order that means anything; `capacity` of them, or all if there are fewer.
    pub fn items(&self) -> impl Iterator<Item = (&T, f64)> {
        // The heap's root is the largest key: the threshold.
        let threshold = usize::from(self.kept.len() > self.capacity);
        self.kept.iter().skip(threshold).map(|keyed| (&keyed.item, keyed.weight))
    }

    /// The number of rows offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The weight of all rows offered.
    pub fn weight(&self) -> f64 {
        self.weight.value()
    }

    /// The sum of a value over all rows offered; of 1 for the rows of a kind, it is their number.
    ///
    /// Given the threshold τ, a row of weight w is kept with probability 1 − e^(−wτ), by which its value is divided: the
    /// estimate is unbiased, and so is that of its variance, for any values and weights (E. Cohen, H. Kaplan 2007,
    /// "Summarizing data using bottom-k sketches"). The interval is the large-sample one, narrow where values are about
    /// proportional to weights.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, confidence: f64, mut value: impl FnMut(&T) -> f64) -> Result<Estimate> {
        let reach = reach_normal(confidence)?;
        let (mut sum, mut variance) = (Compensated::default(), 0.0);
        for (item, chance) in self.chances() {
            let value = value(item) / chance;
            sum.add(value);
            variance += value * value * (1.0 - chance);
        }
        Ok(Estimate::around(sum.value(), reach * variance.sqrt()))
    }

    /// The mean of a value over all rows offered, not weighted: the quotient of two sums, and its large-sample interval
    /// by the residuals (W. G. Cochran 1977, *Sampling Techniques*, ch. 6).
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn mean(&self, confidence: f64, mut value: impl FnMut(&T) -> f64) -> Result<Estimate> {
        let reach = reach_normal(confidence)?;
        let values: Vec<(f64, f64)> = self.chances().map(|(item, chance)| (value(item), chance)).collect();
        let rows: Compensated = values.iter().map(|(_, chance)| 1.0 / chance).collect();
        let sum: Compensated = values.iter().map(|(value, chance)| value / chance).collect();
        let mean = if values.is_empty() { 0.0 } else { sum.value() / rows.value() };
        let residuals = values.iter().map(|(value, chance)| ((value - mean) / chance).powi(2) * (1.0 - chance));
        Ok(Estimate::around(mean, reach * residuals.sum::<f64>().sqrt() / rows.value().max(1.0)))
    }

    /// The rows with the probabilities by which they are here.
    fn chances(&self) -> impl Iterator<Item = (&T, f64)> {
        let threshold = self.full_threshold().unwrap_or(f64::INFINITY);
        self.items().map(move |(item, weight)| (item, -(-weight * threshold).exp_m1()))
    }
}

fn checked_weight(weight: f64) -> Result<f64> {
    if weight > 0.0 && weight.is_finite() {
        return Ok(weight);
    }
    Err(Error::input("E304", format!("a weight is a positive number, not {weight}"))
        .with_hint("filter rows without weight"))
}

impl<T: Stored> Weighted<T> {
    /// The stored form, from which the same rows will be drawn.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1, u8::from(self.method == WeightedMethod::ExpJ)];
        [self.capacity as u64, self.seen].iter().for_each(|number| number.write(&mut out));
        [self.weight.value(), self.jump].iter().for_each(|number| number.write(&mut out));
        self.random.write(&mut out);
        (self.kept.len() as u64).write(&mut out);
        for keyed in &self.kept {
            keyed.key.write(&mut out);
            keyed.weight.write(&mut out);
            keyed.item.write(&mut out);
        }
        out
    }

    /// What [`Weighted::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let method = if from.u8()? == 0 { WeightedMethod::Res } else { WeightedMethod::ExpJ };
        let (capacity, seen) = (u64::read(&mut from)?, u64::read(&mut from)?);
        let (weight, jump) = (f64::read(&mut from)?, f64::read(&mut from)?);
        let random = Generator::read(&mut from)?;
        let mut kept = vec![];
        for _ in 0..from.count(SAMPLE_ROWS_MAX + 1, 16 + T::BYTES_MIN)? {
            let (key, weight, item) = (f64::read(&mut from)?, f64::read(&mut from)?, T::read(&mut from)?);
            let positive = key >= 0.0 && key.is_finite() && checked_weight(weight).is_ok();
            kept.push(positive.then_some(Keyed { key, weight, item }).ok_or_else(|| wrong("holds a wrong weight"))?);
        }
        from.finish()?;
        let sized = (1..=SAMPLE_ROWS_MAX as u64).contains(&capacity) && seen <= u64::MAX >> 2;
        if !sized || kept.len() as u64 != seen.min(capacity + 1) {
            return Err(wrong("of a weighted sample contradicts itself"));
        }
        let (weight, kept) = ([weight].into_iter().collect(), kept.into());
        Ok(Weighted { capacity: capacity as usize, method, seen, weight, kept, random, jump })
    }
}

#[cfg(test)]
#[path = "weighted_tests.rs"]
mod tests;
