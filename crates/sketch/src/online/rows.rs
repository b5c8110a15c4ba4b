//! Estimates of one group from rows that were drawn one by one.

use fleuve_base::{Error, Result};

use super::claim::{Bounds, Method, Scope, hoeffding};
use super::clusters::unlike_max;
use crate::estimate::{Estimate, reach, sum_of};
use crate::normal::checked_confidence;
use crate::statistics::Running;
use crate::stored::{Reader, Stored};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'N', 1);

/// What was read of one group of a table; 56 bytes.
///
/// Values are those of the rows that belong to the group and fulfil the query's condition. That others were read, and how
/// many, each estimate is told by its [`Scope`].
///
/// ```
/// use fleuve_sketch::index::Shuffle;
/// use fleuve_sketch::online::{Method, Rows, Scope};
///
/// let (mut rows, population) = (Rows::default(), 10_000);
/// let mut order = Shuffle::new(0..population, 1);
/// order.by_ref().take(2_000).for_each(|row| rows.add((row % 100) as f64));
/// let scope = Scope { seen: order.drawn(), population };
/// let average = rows.average(scope, Method::LargeSample { confidence: 0.999 })?;
/// assert!(average.covers(49.5) && average.half_width() < 3.0);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rows {
    values: Running,
    least: f64,
    greatest: f64,
}

impl Default for Rows {
    fn default() -> Self {
        Rows { values: Running::default(), least: f64::INFINITY, greatest: f64::NEG_INFINITY }
    }
}

impl Rows {
    /// Adds a row of the group.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.values.add(value);
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    /// Adds the group's rows that another worker read.
    pub fn merge(&mut self, other: &Rows) {
        self.values.merge(&other.values);
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }

    /// The number of the group's rows that were read.
    pub fn seen(&self) -> u64 {
        self.values.count()
    }

    /// The mean of the group's values; the interval is infinite where nothing can be said.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1, or a value was outside the bounds.
    pub fn average(&self, scope: Scope, method: Method) -> Result<Estimate> {
        self.check(scope, method)?;
        let (n, mean) = (self.values.count(), self.values.mean());
        if scope.is_complete() && n > 0 {
            return Ok(Estimate::exact(mean));
        }
        match method {
            Method::LargeSample { confidence } => {
                let reach = reach(confidence, n.saturating_sub(1) as f64)?;
                let variance = self.values.variance_sample() / n as f64 * scope.unseen();
                // Values that are all equal do not say how the others differ.
                Ok(Estimate::around(
                    mean,
                    if n < 2 || variance == 0.0 { f64::INFINITY } else { reach * variance.sqrt() },
                ))
            }
            _ if n == 0 => Ok(Estimate::around(mean, f64::INFINITY)),
            Method::Conservative { confidence, bounds } => {
                // How many rows the group has in all is known only if it is the whole table.
                let population = if n == scope.seen { scope.population } else { u64::MAX };
                let estimate = Estimate::around(mean, hoeffding(confidence, bounds, n, population)?);
                Ok(within(estimate, bounds))
            }
            Method::Deterministic { bounds } => {
                // All rows that were not read may belong to the group.
                let unseen = (scope.population - scope.seen) as f64;
                let with = |value: f64| (self.values.sum() + unseen * value) / (n as f64 + unseen);
                Ok(Estimate { value: mean, low: with(bounds.low), high: with(bounds.high) })
            }
        }
    }

    /// The sum of the group's values.
    ///
    /// # Errors
    /// As for [`Rows::average`].
    pub fn sum(&self, scope: Scope, method: Method) -> Result<Estimate> {
        self.check(scope, method)?;
        self.total(&self.values, scope, method)
    }

    /// The number of the group's rows. The bounds of the method are not looked at: it is each row in the group or not.
    ///
    /// Where all rows that were read are of the group, or none, the large-sample interval allows for as many others as may
    /// have been missed.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn count(&self, scope: Scope, method: Method) -> Result<Estimate> {
        let bounds = Bounds { low: 0.0, high: 1.0 };
        let method = match method {
            Method::LargeSample { confidence } => Method::LargeSample { confidence },
            Method::Conservative { confidence, .. } => Method::Conservative { confidence, bounds },
            Method::Deterministic { .. } => Method::Deterministic { bounds },
        };
        let ones = Running::constant(1.0, self.values.count());
        match method {
            Method::LargeSample { confidence } if [0, scope.seen].contains(&ones.count()) && !scope.is_complete() => {
                let unlike = unlike_max(scope.seen, scope.population, 1.0 - checked_confidence(confidence)?);
                let all = scope.population as f64;
                let (low, high) = if ones.count() == 0 { (0.0, unlike) } else { (all - unlike, all) };
                Ok(Estimate { value: if ones.count() == 0 { 0.0 } else { all }, low, high })
            }
            method => self.total(&ones, scope, method),
        }
    }

    /// The sum over all rows of what `values` are for the group's rows that were read, and 0 for others.
    fn total(&self, values: &Running, scope: Scope, method: Method) -> Result<Estimate> {
        if scope.is_complete() {
            return Ok(Estimate::exact(values.sum()));
        }
        let all = values.with_zeros(scope.seen.saturating_sub(values.count()));
        let population = scope.population as f64;
        match method {
            Method::LargeSample { confidence } => {
                let sum = sum_of(&all, scope.population, confidence)?;
                Ok(if sum.low < sum.high { sum } else { Estimate::around(sum.value, f64::INFINITY) })
            }
            Method::Conservative { .. } if scope.seen == 0 => Ok(Estimate::around(0.0, f64::INFINITY)),
            Method::Conservative { confidence, bounds } => {
                let bounds = bounds.with_zero();
                let half = hoeffding(confidence, bounds, scope.seen, scope.population)?;
                Ok(within(Estimate::around(all.mean(), half), bounds).times(population))
            }
            Method::Deterministic { bounds } => {
                let (bounds, unseen) = (bounds.with_zero(), (scope.population - scope.seen) as f64);
                let sum = values.sum();
                let (low, high) = (sum + unseen * bounds.low, sum + unseen * bounds.high);
                Ok(Estimate { value: all.mean() * population, low, high })
            }
        }
    }

    /// The variance (divided by n − 1) of the group's values, with the large-sample interval, which needs a fourth moment
    /// (W. G. Cochran 1977, *Sampling Techniques*, section 2.15) and so a few hundred rows.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn variance(&self, scope: Scope, confidence: f64) -> Result<Estimate> {
        let (n, variance) = (self.values.count() as f64, self.values.variance_sample());
        let reach = reach(confidence, n - 1.0)?;
        if scope.is_complete() {
            return Ok(Estimate::exact(variance));
        }
        if n < 4.0 || variance == 0.0 {
            return Ok(Estimate { value: variance, low: 0.0, high: f64::INFINITY });
        }
        let spread = (self.values.fourth_moment() - variance * variance * (n - 3.0) / (n - 1.0)).max(0.0) / n;
        let estimate = Estimate::around(variance, reach * (spread * scope.unseen()).sqrt());
        Ok(Estimate { low: estimate.low.max(0.0), ..estimate })
    }

    /// The mean squared distance of the group's values from their mean: [`Rows::variance`] times 1 − 1/N for the N rows
    /// that the group has, or is estimated to have.
    ///
    /// # Errors
    /// As for it.
    pub fn variance_population(&self, scope: Scope, confidence: f64) -> Result<Estimate> {
        let rows = self.values.count() as f64 / (scope.seen as f64).max(1.0) * scope.population as f64;
        Ok(self.variance(scope, confidence)?.times(1.0 - 1.0 / rows.max(1.0)))
    }

    /// The square root of [`Rows::variance`].
    ///
    /// # Errors
    /// As for it.
    pub fn deviation(&self, scope: Scope, confidence: f64) -> Result<Estimate> {
        let Estimate { value, low, high } = self.variance(scope, confidence)?;
        Ok(Estimate { value: value.sqrt(), low: low.sqrt(), high: high.sqrt() })
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        self.values.write(&mut out);
        [self.least, self.greatest].iter().for_each(|value| value.write(&mut out));
        out
    }

    /// What [`Rows::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let values = Running::read(&mut from)?;
        let (least, greatest) = (f64::read(&mut from)?, f64::read(&mut from)?);
        from.finish()?;
        Ok(Rows { values, least, greatest })
    }

    /// That the scope holds the rows, and the bounds the values.
    fn check(&self, scope: Scope, method: Method) -> Result<()> {
        if self.values.count() > scope.seen {
            return Err(Error::input("E304", "a group cannot have more rows than were read"));
        }
        if let Method::Conservative { bounds, .. } | Method::Deterministic { bounds } = method
            && (self.least < bounds.low || self.greatest > bounds.high)
        {
            let found = if self.least < bounds.low { self.least } else { self.greatest };
            let message = format!("a value of {found} is outside the bounds {} to {}", bounds.low, bounds.high);
            return Err(Error::input("E304", message));
        }
        Ok(())
    }
}

/// The estimate, whose mean is known to lie in the bounds.
fn within(estimate: Estimate, bounds: Bounds) -> Estimate {
    Estimate { low: estimate.low.max(bounds.low), high: estimate.high.min(bounds.high), ..estimate }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
