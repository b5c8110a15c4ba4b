//! What an interval claims, and of what.

use fleuve_base::{Error, Result};

use crate::estimate::unseen_share;
use crate::normal::checked_confidence;

/// How much of a table has been read in random order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Rows (or blocks) read.
    pub seen: u64,
    /// Rows (or blocks) that there are.
    pub population: u64,
}

impl Scope {
    /// Whether everything was read.
    pub fn is_complete(&self) -> bool {
        self.seen >= self.population
    }

    /// The share that was read, 0 to 1.
    pub fn fraction(&self) -> f64 {
        1.0 - unseen_share(self.seen, self.population)
    }

    /// The finite-population factor.
    pub fn unseen(&self) -> f64 {
        unseen_share(self.seen, self.population)
    }
}

/// The least and the greatest value that a column may have, as its user knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Bounds {
    /// Checked to be finite and in order.
    ///
    /// # Errors
    /// E304, if they are not.
    pub fn new(low: f64, high: f64) -> Result<Self> {
        if low.is_finite() && high.is_finite() && low <= high {
            return Ok(Bounds { low, high });
        }
        Err(Error::input("E304", format!("values cannot be bounded by {low} and {high}")))
    }

    /// Bounds of what is 0 for the rows of other groups.
    pub fn with_zero(&self) -> Bounds {
        Bounds { low: self.low.min(0.0), high: self.high.max(0.0) }
    }
}

/// How an interval is come by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// By the central limit theorem: nearly as often right as it claims once some dozens of rows were read, and narrow.
    LargeSample {
        /// How often the truth is to be in the interval, above 0 and below 1.
        confidence: f64,
    },
    /// By the inequality of W. Hoeffding (1963), with the factor of R. J. Serfling (1974) for draws without replacement: at
    /// least as often right as it claims, whatever the values are, from the first row on.
    Conservative {
        /// How often the truth is at least to be in the interval, above 0 and below 1.
        confidence: f64,
        /// What is known of the values.
        bounds: Bounds,
    },
    /// What the rows that were not read can at most change: always right.
    Deterministic {
        /// What is known of the values.
        bounds: Bounds,
    },
}

/// Half the width of a conservative interval of the mean of `drawn` values out of `population`.
pub(super) fn hoeffding(confidence: f64, bounds: Bounds, drawn: u64, population: u64) -> Result<f64> {
    let risk = 1.0 - checked_confidence(confidence)?;
    let (n, all) = (drawn as f64, population as f64);
    let serfling = (1.0 - (n - 1.0) / all).clamp(0.0, 1.0);
    Ok((bounds.high - bounds.low) * ((2.0 / risk).ln() * serfling / (2.0 * n)).sqrt())
}
