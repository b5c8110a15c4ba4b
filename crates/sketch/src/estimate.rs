//! An estimate with its interval, and how wide the interval of a simple random sample is.

use fleuve_base::Result;

use crate::normal::{checked_confidence, normal_quantile, student_quantile};
use crate::statistics::Running;

/// What a sample says of the whole: the value, and the interval that holds the truth with the confidence asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate itself.
    pub value: f64,
    /// The lower end; −∞ where nothing is known.
    pub low: f64,
    /// The upper end; ∞ where nothing is known.
    pub high: f64,
}

impl Estimate {
    /// What is known.
    pub fn exact(value: f64) -> Self {
        Estimate { value, low: value, high: value }
    }

    /// `value ± half_width`.
    pub fn around(value: f64, half_width: f64) -> Self {
        Estimate { value, low: value - half_width, high: value + half_width }
    }

    /// A value that is at most this share of the truth away from it.
    pub fn within(value: f64, error: f64) -> Self {
        let high = if error < 1.0 { value / (1.0 - error) } else { f64::INFINITY };
        Estimate { value, low: value / (1.0 + error), high }
    }

    /// All of it `factor` (not negative) times as large.
    pub fn times(self, factor: f64) -> Self {
        Estimate { value: self.value * factor, low: self.low * factor, high: self.high * factor }
    }

    /// Whether the interval holds this number.
    pub fn covers(&self, truth: f64) -> bool {
        self.low <= truth && truth <= self.high
    }

    /// Half of the interval's width.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// How many standard errors an interval reaches to either side, for a variance estimated with `freedom` degrees.
///
/// # Errors
/// E304, if the confidence is not between 0 and 1.
pub fn reach(confidence: f64, freedom: f64) -> Result<f64> {
    Ok(student_quantile(checked_confidence(confidence)?, freedom))
}

/// As [`reach`], for a variance that is known or estimated from many.
///
/// # Errors
/// E304, if the confidence is not between 0 and 1.
pub fn reach_normal(confidence: f64) -> Result<f64> {
    Ok(normal_quantile(0.5 + 0.5 * checked_confidence(confidence)?))
}

/// The variance of a mean of `drawn` out of `population`, without replacement, is that with replacement times this: the
/// finite-population factor (1 − n/N; W. G. Cochran 1977, *Sampling Techniques*, theorem 2.2).
pub fn unseen_share(drawn: u64, population: u64) -> f64 {
    if population <= drawn { 0.0 } else { (population - drawn) as f64 / population as f64 }
}

/// The mean of a population of which `sample` was drawn at random without replacement: large-sample (CLT) interval.
///
/// The interval is infinite below two values, unless those are the population.
///
/// # Errors
/// E304, if the confidence is not between 0 and 1.
pub fn mean_of(sample: &Running, population: u64, confidence: f64) -> Result<Estimate> {
    let n = sample.count();
    let reach = reach(confidence, n.saturating_sub(1) as f64)?;
    let unseen = unseen_share(n, population);
    if n >= 1 && unseen == 0.0 {
        return Ok(Estimate::exact(sample.mean()));
    }
    if n < 2 {
        return Ok(Estimate::around(sample.mean(), f64::INFINITY));
    }
    Ok(Estimate::around(sample.mean(), reach * (unseen * sample.variance_sample() / n as f64).sqrt()))
}

/// The sum over such a population: its mean times its size.
///
/// # Errors
/// E304, if the confidence is not between 0 and 1.
pub fn sum_of(sample: &Running, population: u64, confidence: f64) -> Result<Estimate> {
    if population == 0 {
        return Ok(Estimate::exact(0.0));
    }
    Ok(mean_of(sample, population, confidence)?.times(population as f64))
}
