//! Estimates of one group from whole blocks that were drawn at random.

use fleuve_base::Result;

use super::claim::{Bounds, Method, Scope, hoeffding};
use super::clusters::{Clusters, Part, Sizes, Spread, Totals, unlike_max};
use crate::estimate::Estimate;
use crate::normal::checked_confidence;
use crate::stored::{Reader, Stored};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'O', 2);

/// What was read of one group of a table, block by block; 180 bytes.
///
/// Rows of one block resemble each other, as they were written together: an interval that took them for rows drawn one by
/// one would be far too narrow. Here the block is what was drawn (cluster sampling: W. G. Cochran 1977, *Sampling
/// Techniques*, ch. 9), and what varies from block to block is measured against the block's size, which is known of all
/// blocks beforehand (ratio estimates, ch. 6): the last block of a file is small, and has few rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Blocks {
    /// The blocks that have rows of the group.
    clusters: Clusters,
}

/// What was read of a table block by block, whatever groups its rows are of.
///
/// A block's size is in whatever unit the table has, as long as no block has more rows than its size says: bytes of a
/// text, records of a topic, rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlocksRead {
    /// Blocks read, of those that there are.
    pub scope: Scope,
    /// The size of all blocks together.
    pub size: f64,
    /// The size of the largest block.
    pub size_max: f64,
    seen: Sizes,
    rows_seen: f64,
}

impl BlocksRead {
    /// Nothing of so many blocks, with their size together and that of the largest.
    pub fn new(blocks: u64, size: u64, size_max: u64) -> Self {
        let scope = Scope { seen: 0, population: blocks };
        let (size, size_max) = (size as f64, size_max as f64);
        BlocksRead { scope, size, size_max, seen: Sizes::default(), rows_seen: 0.0 }
    }

    /// A block of this size was read, and had so many rows, of the group or not.
    pub fn add(&mut self, size: u64, rows: u64) {
        self.scope.seen += 1;
        self.seen.add(size as f64, 1.0, 1.0);
        self.rows_seen += rows as f64;
    }

    /// The most rows that the blocks which were not read can have.
    fn rows_unseen_max(&self) -> f64 {
        (self.size - self.seen.sum).max(0.0)
    }

    /// Rows of a block on average, as far as is known.
    fn rows_each(&self) -> f64 {
        self.rows_seen / (self.scope.seen as f64).max(1.0)
    }
}

impl Blocks {
    /// Adds a block of this size that has rows of the group.
    pub fn add(&mut self, size: u64, part: &Part) {
        self.clusters.add(part, size as f64, 1.0, 1.0);
    }

    /// Adds the blocks that another worker read.
    pub fn merge(&mut self, other: &Blocks) {
        self.clusters.merge(&other.clusters);
    }

    fn totals(&self, read: &BlocksRead) -> Totals {
        let share = (read.scope.seen as f64 / read.scope.population as f64).min(1.0);
        self.clusters.totals(&read.seen, 1.0 / share, read.scope.unseen() / (share * share))
    }

    /// The number of the group's rows.
    ///
    /// If all blocks are alike, an interval of no width would claim that the others are so, too. Instead it allows for
    /// as many blocks unlike these as may have been missed: of such a block no row may count, or all.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn count(&self, read: &BlocksRead, method: Method) -> Result<Estimate> {
        if read.scope.seen == 0 || read.scope.is_complete() {
            return self.whole(read, self.clusters.rows());
        }
        let spread = self.totals(read).count(Some(read.size));
        let bounds = Bounds { low: 0.0, high: 1.0 };
        match method {
            Method::LargeSample { confidence } if spread.is_alike() => {
                let unlike = unlike_max(read.scope.seen, read.scope.population, 1.0 - checked_confidence(confidence)?);
                let own = self.clusters.rows() / read.scope.seen as f64;
                let high = spread.value + unlike * own.max(read.rows_each());
                Ok(Estimate { value: spread.value, low: (spread.value - unlike * own).max(self.clusters.rows()), high })
            }
            Method::LargeSample { confidence } => spread.interval(confidence),
            Method::Conservative { confidence, .. } => {
                self.conservative(read, spread, self.clusters.rows(), bounds, confidence)
            }
            Method::Deterministic { .. } => Ok(self.certain(read, spread.value, self.clusters.rows(), bounds)),
        }
    }

    /// The sum of the group's values.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, read: &BlocksRead, method: Method) -> Result<Estimate> {
        if read.scope.seen == 0 || read.scope.is_complete() {
            return self.whole(read, self.clusters.sum());
        }
        let (spread, sum) = (self.totals(read).sum(Some(read.size)), self.clusters.sum());
        match method {
            Method::LargeSample { confidence } => spread.interval(confidence),
            Method::Conservative { confidence, bounds } => {
                self.conservative(read, spread, sum, bounds.with_zero(), confidence)
            }
            Method::Deterministic { bounds } => Ok(self.certain(read, spread.value, sum, bounds.with_zero())),
        }
    }

    /// The mean of the group's values: the quotient of sum and count.
    ///
    /// The conservative interval are the numbers a for which the mean of Σ(x − a) over the blocks read is as near to 0 as
    /// that of all blocks, where it is 0 at the true mean, is likely to be: a block's Σ(x − a) lies within its size
    /// times the bounds less a, whose width is the same for each a.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn average(&self, read: &BlocksRead, method: Method) -> Result<Estimate> {
        let (rows, mean) = (self.clusters.rows(), self.totals(read).mean());
        if rows == 0.0 {
            return Ok(match method {
                Method::LargeSample { .. } => Estimate::around(0.0, f64::INFINITY),
                Method::Conservative { bounds, .. } | Method::Deterministic { bounds } => {
                    Estimate { value: 0.0, low: bounds.low, high: bounds.high }
                }
            });
        }
        if read.scope.is_complete() {
            return Ok(Estimate::exact(mean.value));
        }
        let certain = |bounds: Bounds| {
            let (sum, unseen) = (self.clusters.sum(), read.rows_unseen_max());
            let with = |value: f64| (sum + unseen * value) / (rows + unseen);
            Estimate { value: mean.value, low: with(bounds.low), high: with(bounds.high) }
        };
        match method {
            Method::LargeSample { confidence } => mean.interval(confidence),
            Method::Deterministic { bounds } => Ok(certain(bounds)),
            Method::Conservative { confidence, bounds } => {
                let width = Bounds { low: read.size_max * bounds.low, high: read.size_max * bounds.high };
                let half = hoeffding(confidence, width, read.scope.seen, read.scope.population)?;
                let each = rows / read.scope.seen as f64;
                Ok(both(Estimate::around(mean.value, half / each), certain(bounds)))
            }
        }
    }

    /// The mean squared distance of the group's values from their mean (`sample`: as a sum divided by rows − 1), with the
    /// large-sample interval of its residuals: of squares and sums, which both vary from block to block.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn variance(&self, read: &BlocksRead, sample: bool, confidence: f64) -> Result<Estimate> {
        checked_confidence(confidence)?;
        if read.scope.seen == 0 {
            return Ok(Estimate { value: 0.0, low: 0.0, high: f64::INFINITY });
        }
        let totals = self.totals(read);
        let (rows, spread) = (totals.count(Some(read.size)).value, totals.variance());
        let scale = if sample && rows > 1.0 { rows / (rows - 1.0) } else { 1.0 };
        if read.scope.is_complete() {
            return Ok(Estimate::exact(spread.value * scale));
        }
        let estimate = spread.interval(confidence)?.times(scale);
        Ok(Estimate { low: estimate.low.max(0.0), ..estimate })
    }

    /// A total of which all is known, or nothing.
    fn whole(&self, read: &BlocksRead, total: f64) -> Result<Estimate> {
        Ok(if read.scope.is_complete() { Estimate::exact(total) } else { Estimate::around(0.0, f64::INFINITY) })
    }

    /// What is certain of a total, of which each row has its part within the bounds, 0 among them.
    fn certain(&self, read: &BlocksRead, value: f64, seen: f64, bounds: Bounds) -> Estimate {
        let unseen = read.rows_unseen_max();
        Estimate { value, low: seen + unseen * bounds.low, high: seen + unseen * bounds.high }
    }

    /// The conservative interval of such a total: a block's lies within the largest size times the bounds.
    fn conservative(
        &self,
        read: &BlocksRead,
        spread: Spread,
        seen: f64,
        bounds: Bounds,
        confidence: f64,
    ) -> Result<Estimate> {
        let Scope { seen: blocks, population } = read.scope;
        let each = Bounds { low: read.size_max * bounds.low, high: read.size_max * bounds.high };
        let half = hoeffding(confidence, each, blocks, population)?;
        let total = Estimate::around(seen / blocks as f64, half).times(population as f64);
        Ok(both(Estimate { value: spread.value, ..total }, self.certain(read, spread.value, seen, bounds)))
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        self.clusters.write(&mut out);
        out
    }

    /// What [`Blocks::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let clusters = Clusters::read(&mut from)?;
        from.finish()?;
        Ok(Blocks { clusters })
    }
}

/// What lies in both intervals.
fn both(one: Estimate, other: Estimate) -> Estimate {
    let (low, high) = (one.low.max(other.low), one.high.min(other.high));
    Estimate { value: one.value.clamp(low.min(high), high.max(low)), low, high }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
