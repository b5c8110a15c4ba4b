//! Estimates of one group from a sample whose rows were chosen with known chances.

use fleuve_base::Result;

use super::clusters::{Clusters, Part, Sizes, Totals, unlike_max};
use crate::estimate::Estimate;
use crate::normal::checked_confidence;

/// How likely rows were to be in a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Chance {
    /// To be in it, once: above 0 and at most 1.
    Once(f64),
    /// To be drawn as often on average, and perhaps several times: draws with replacement.
    Repeated(f64),
}

impl Chance {
    /// What a row stands for, and its part in the variance of a total: 1/π and (1 − π)/π² (D. G. Horvitz, D. J. Thompson
    /// 1952, "A generalization of sampling without replacement from a finite universe", for rows that are chosen one by
    /// one); of draws with replacement 1/π² (M. H. Hansen, W. N. Hurwitz 1943).
    fn weights(self) -> (f64, f64) {
        match self {
            Chance::Once(chance) => (1.0 / chance, (1.0 - chance).max(0.0) / (chance * chance)),
            Chance::Repeated(share) => (1.0 / share, 1.0 / (share * share)),
        }
    }

    fn is_certain(self) -> bool {
        matches!(self, Chance::Once(chance) if chance >= 1.0)
    }
}

/// What is known of a sample, whatever groups its rows are of.
///
/// Rows that share their fate are a cluster: rows of equal content, where the content decides on the chance.
///
/// Samples of a fixed size are of this kind, too, once the greatest key that is not in them is known: given it, each row is
/// there with a known chance, and the estimates are unbiased (E. Cohen, H. Kaplan 2007, "Summarizing data using bottom-k
/// sketches", who generalise the priority sampling of N. Duffield, C. Lund, M. Thorup 2007).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnFrom {
    /// The rows of the population, if their number is known.
    population: Option<u64>,
    sizes: Sizes,
    rows: u64,
    /// The chance of all rows, as long as it is the same.
    chance: Option<Chance>,
    /// Every row of the population is there.
    whole: bool,
}

impl DrawnFrom {
    /// A sample of so many rows, if their number is known, without rows yet.
    pub fn new(population: Option<u64>) -> Self {
        let whole = population == Some(0);
        DrawnFrom { population, sizes: Sizes::default(), rows: 0, chance: None, whole }
    }

    /// A cluster of so many rows.
    pub fn add(&mut self, rows: u64, chance: Chance) {
        let (once, twice) = chance.weights();
        let first = self.sizes.count == 0;
        self.chance = if first { Some(chance) } else { self.chance.filter(|known| *known == chance) };
        self.whole = chance.is_certain() && (first || self.whole);
        self.sizes.add(rows as f64, once, twice);
        self.rows += rows;
    }

    /// Rows in the sample.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether it has all rows of the population.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The number of rows of the population, if it is known.
    pub fn population(&self) -> Option<u64> {
        self.population
    }
}

/// A group's rows in a sample; 180 bytes.
///
/// A group, or what a condition lets through, is a domain of the population, whose size is estimated as well (W. G. Cochran
/// 1977, *Sampling Techniques*, sections 2.13 and 5A.14).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Drawn {
    clusters: Clusters,
    rows: u64,
}

impl Drawn {
    /// Adds what a cluster of so many rows has of the group.
    pub fn add(&mut self, cluster_rows: u64, part: &Part, chance: Chance) {
        let (once, twice) = chance.weights();
        self.clusters.add(part, cluster_rows as f64, once, twice);
        self.rows += part.rows();
    }

    /// The group's rows in the sample.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn totals(&self, from: &DrawnFrom) -> Totals {
        self.clusters.totals(&from.sizes, 1.0, 1.0)
    }

    /// The number of the group's rows in the population, whose size it is a share of, if that is known.
    ///
    /// Where all rows of the sample are of the group, or none, the interval allows for as many others as may have been
    /// missed.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn count(&self, from: &DrawnFrom, confidence: f64) -> Result<Estimate> {
        let risk = 1.0 - checked_confidence(confidence)?;
        if from.whole {
            return Ok(Estimate::exact(self.rows as f64));
        }
        let spread = self.totals(from).count(from.population.map(|rows| rows as f64));
        let (low, high) = self.certain(from);
        let estimate = if spread.is_alike() {
            let unlike = unlike(from, risk);
            Estimate { value: spread.value, low: spread.value - unlike, high: spread.value + unlike }
        } else {
            spread.interval(confidence)?
        };
        Ok(Estimate { low: estimate.low.max(low), high: estimate.high.min(high), ..estimate })
    }

    /// The least and the most rows that the group can have.
    fn certain(&self, from: &DrawnFrom) -> (f64, f64) {
        match (from.population, from.chance) {
            // What was drawn twice is perhaps one row.
            (Some(population), Some(Chance::Repeated(_))) => (0.0, population as f64),
            (Some(population), _) => (self.rows as f64, population as f64 - (from.rows - self.rows) as f64),
            (None, _) => (self.rows as f64, f64::INFINITY),
        }
    }

    /// The sum of the group's values in the population. It is measured against the number of rows, if that is known and
    /// all chances are equal.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, from: &DrawnFrom, confidence: f64) -> Result<Estimate> {
        if from.whole {
            return Ok(Estimate::exact(self.clusters.sum()));
        }
        let size = from.population.filter(|_| from.chance.is_some()).map(|rows| rows as f64);
        self.totals(from).sum(size).interval(confidence)
    }

    /// The mean of the group's values (J. Hájek 1971: the quotient of both estimated totals).
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn average(&self, from: &DrawnFrom, confidence: f64) -> Result<Estimate> {
        let mean = self.totals(from).mean();
        if from.whole && self.rows > 0 {
            return Ok(Estimate::exact(mean.value));
        }
        mean.interval(confidence)
    }

    /// The mean squared distance of the group's values from their mean (`sample`: as a sum divided by rows − 1).
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn variance(&self, from: &DrawnFrom, sample: bool, confidence: f64) -> Result<Estimate> {
        let totals = self.totals(from);
        let (rows, spread) = (totals.count(from.population.map(|rows| rows as f64)).value, totals.variance());
        let scale = if sample && rows > 1.0 { rows / (rows - 1.0) } else { 1.0 };
        if from.whole {
            return Ok(Estimate::exact(spread.value * scale));
        }
        let estimate = spread.interval(confidence)?.times(scale);
        Ok(Estimate { low: estimate.low.max(0.0), ..estimate })
    }
}

/// Rows that may have been missed though each of them is unlike all that were drawn.
fn unlike(from: &DrawnFrom, risk: f64) -> f64 {
    let (clusters, each) = (from.sizes.count, from.rows as f64 / (from.sizes.count as f64).max(1.0));
    match (from.chance, from.population) {
        (Some(Chance::Once(chance)), Some(_)) => {
            unlike_max(clusters, (clusters as f64 / chance).round() as u64, risk) * each
        }
        (Some(Chance::Once(chance)), None) => (risk.ln() / (-chance).ln_1p()).floor() * each,
        (Some(Chance::Repeated(_)), Some(rows)) => rows as f64 * (1.0 - risk.powf(1.0 / (clusters as f64).max(1.0))),
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
#[path = "drawn_tests.rs"]
mod tests;
