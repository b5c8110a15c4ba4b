//! Ratio estimates of one group from clusters of rows that were drawn with known chances.
//!
//! A cluster is what was drawn as one: a block of rows, or the rows of equal content. Of each there are four numbers: its
//! size, the group's rows in it, and the sums of their values and of the squares. All that is estimated is a smooth
//! function of the four totals, so its variance is, to first order, that of a linear combination of them: the residuals of
//! W. G. Cochran (1977), *Sampling Techniques*, sections 2.11, 6.3 and 9A; and a sum of products of the four numbers is all
//! that has to be kept.

use fleuve_base::Result;

use crate::estimate::{Estimate, reach};
use crate::stored::{Reader, Stored};

/// Size, rows, sum, squares.
const PARTS: usize = 4;

/// One number for each of them.
type Vector = [f64; PARTS];

/// A variance below this share of the terms that it is left of is nothing but rounding errors.
const ROUNDING: f64 = 1e-13;

/// What a cluster has of one group: rows with a value, and the values' sum and squares about the first of them, so that
/// they do not cancel where the mean is much larger than the spread.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Part {
    rows: f64,
    pivot: f64,
    sum: f64,
    squares: f64,
}

impl Part {
    /// Adds a row with this value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if self.rows == 0.0 {
            self.pivot = value;
        }
        let distance = value - self.pivot;
        self.rows += 1.0;
        self.sum += distance;
        self.squares += distance * distance;
    }

    /// Adds other rows of the same cluster and group.
    pub fn merge(&mut self, other: &Part) {
        if self.rows == 0.0 {
            *self = *other;
            return;
        }
        let [_, rows, sum, squares] = other.about(self.pivot, 0.0);
        (self.rows, self.sum, self.squares) = (self.rows + rows, self.sum + sum, self.squares + squares);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0.0
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.rows as u64
    }

    /// The numbers about another pivot.
    fn about(&self, pivot: f64, size: f64) -> Vector {
        let shift = self.pivot - pivot;
        let squares = self.squares + shift * (2.0 * self.sum + shift * self.rows);
        [size, self.rows, self.sum + shift * self.rows, squares]
    }
}

/// Sums over the clusters that have rows of a group; 180 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Clusters {
    count: u64,
    pivot: f64,
    totals: Vector,
    products: [Vector; PARTS],
}

impl Clusters {
    /// Adds a cluster of this size; its numbers count `once` times, their products `twice` times.
    pub(super) fn add(&mut self, part: &Part, size: f64, once: f64, twice: f64) {
        if self.count == 0 {
            self.pivot = part.pivot;
        }
        self.count += 1;
        let numbers = part.about(self.pivot, size);
        for (row, one) in numbers.iter().enumerate() {
            self.totals[row] += once * one;
            for (product, other) in self.products[row].iter_mut().zip(&numbers) {
                *product += twice * one * other;
            }
        }
    }

    /// Adds clusters that another worker has.
    pub(super) fn merge(&mut self, other: &Clusters) {
        let pivot = if self.count == 0 { other.pivot } else { self.pivot };
        let (own, other) = (self.about(pivot), other.about(pivot));
        let add = |one: Vector, other: Vector| std::array::from_fn(|at| one[at] + other[at]);
        *self = Clusters {
            count: own.count + other.count,
            pivot,
            totals: add(own.totals, other.totals),
            products: std::array::from_fn(|row| add(own.products[row], other.products[row])),
        };
    }

    /// The same about another pivot, which is a linear change of the four numbers.
    fn about(&self, pivot: f64) -> Clusters {
        let shift = self.pivot - pivot;
        let change = |numbers: Vector| {
            let [size, rows, sum, squares] = numbers;
            [size, rows, sum + shift * rows, squares + shift * (2.0 * sum + shift * rows)]
        };
        let half = self.products.map(change);
        let columns: [Vector; PARTS] = std::array::from_fn(|column| change(half.map(|row| row[column])));
        Clusters { pivot, totals: change(self.totals), products: columns, ..*self }
    }

    /// The group's rows in them, each counted as often as it was said.
    pub(super) fn rows(&self) -> f64 {
        self.totals[1]
    }

    /// The sum of their values.
    pub(super) fn sum(&self) -> f64 {
        self.totals[2] + self.pivot * self.totals[1]
    }

    /// The totals over the population of clusters that `all` were drawn from. What was counted is multiplied by `once`, the
    /// products by `twice`.
    pub(super) fn totals(&self, all: &Sizes, once: f64, twice: f64) -> Totals {
        let (mut totals, mut products) = (self.totals, self.products);
        (totals[0], products[0][0]) = (all.sum, all.squares);
        let products = products.map(|row| row.map(|product| product * twice));
        let totals = totals.map(|total| total * once);
        Totals { totals, products, pivot: self.pivot, all: all.count as f64, own: self.count as f64 }
    }
}

impl Stored for Clusters {
    const BYTES_MIN: usize = 8 + 8 * (1 + PARTS + PARTS * PARTS);

    fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        self.pivot.write(out);
        self.totals.iter().chain(self.products.iter().flatten()).for_each(|number| number.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self> {
        let (count, pivot) = (u64::read(from)?.min(u64::MAX >> 1), f64::read(from)?);
        let mut clusters = Clusters { count, pivot, ..Clusters::default() };
        for number in clusters.totals.iter_mut().chain(clusters.products.iter_mut().flatten()) {
            *number = f64::read(from)?;
        }
        Ok(clusters)
    }
}

/// The sizes of all clusters that were drawn, also of those without rows of the group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sizes {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) squares: f64,
}

impl Sizes {
    /// Adds a cluster, as [`Clusters::add`] does.
    pub(super) fn add(&mut self, size: f64, once: f64, twice: f64) {
        self.count += 1;
        self.sum += once * size;
        self.squares += twice * size * size;
    }
}

/// Estimated totals of the four numbers over a population of clusters, and their estimated covariance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    totals: Vector,
    products: [Vector; PARTS],
    pivot: f64,
    /// Clusters that were drawn, and those of them that have rows of the group.
    all: f64,
    own: f64,
}

/// A value, and the variance of its estimate; 0 if all clusters are alike in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) value: f64,
    variance: f64,
    freedom: f64,
}

impl Spread {
    /// Whether nothing is known of how much clusters differ.
    pub(super) fn is_alike(&self) -> bool {
        self.variance == 0.0
    }

    /// The large-sample interval. It has no ends where nothing is known of how much clusters differ.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub(super) fn interval(&self, confidence: f64) -> Result<Estimate> {
        let half = reach(confidence, self.freedom)? * self.variance.sqrt();
        let known = self.freedom >= 1.0 && !self.is_alike();
        Ok(Estimate::around(self.value, if known { half } else { f64::INFINITY }))
    }
}

impl Totals {
    /// A value whose derivative by the four totals is `slope`, and that varies between so many clusters.
    fn spread(&self, value: f64, slope: Vector, clusters: f64) -> Spread {
        let (mut variance, mut terms) = (0.0, 0.0);
        for (row, one) in self.products.iter().zip(slope) {
            for (product, other) in row.iter().zip(slope) {
                variance += one * other * product;
                terms += (one * other * product).abs();
            }
        }
        let (freedom, is_alike) = (clusters - 1.0, variance <= ROUNDING * terms);
        let variance = if is_alike { 0.0 } else { variance * clusters / freedom.max(1.0) };
        Spread { value, variance, freedom }
    }

    /// The number of the group's rows; where the size of all clusters together is known, as a share of it.
    pub(super) fn count(&self, size: Option<f64>) -> Spread {
        self.per_size(self.totals[1], [0.0, 1.0, 0.0, 0.0], size)
    }

    /// The sum of the group's values; where the size of all clusters together is known, as a share of it.
    pub(super) fn sum(&self, size: Option<f64>) -> Spread {
        let [_, rows, sum, _] = self.totals;
        self.per_size(sum + self.pivot * rows, [0.0, self.pivot, 1.0, 0.0], size)
    }

    fn per_size(&self, value: f64, slope: Vector, size: Option<f64>) -> Spread {
        let known = size.filter(|_| self.totals[0] > 0.0);
        let Some(scale) = known.map(|size| size / self.totals[0]) else { return self.spread(value, slope, self.all) };
        let [_, rows, sum, squares] = slope.map(|slope| slope * scale);
        self.spread(value * scale, [-scale * value / self.totals[0], rows, sum, squares], self.all)
    }

    /// The mean of the group's values; 0 without rows.
    pub(super) fn mean(&self) -> Spread {
        let [_, rows, sum, _] = self.totals;
        if rows == 0.0 {
            return self.spread(0.0, [0.0; PARTS], self.own);
        }
        let mean = sum / rows;
        self.spread(self.pivot + mean, [0.0, -mean / rows, 1.0 / rows, 0.0], self.own)
    }

    /// The mean squared distance of the group's values from their mean; 0 without rows.
    pub(super) fn variance(&self) -> Spread {
        let [_, rows, sum, squares] = self.totals;
        if rows == 0.0 {
            return self.spread(0.0, [0.0; PARTS], self.own);
        }
        let mean = sum / rows;
        let variance = (squares / rows - mean * mean).max(0.0);
        let slope = [0.0, (mean * mean - variance) / rows, -2.0 * mean / rows, 1.0 / rows];
        self.spread(variance, slope, self.own)
    }
}

/// The most units of `population` that can differ from all the `seen` ones, if these are all alike: were there more, one of
/// them would have been drawn with the confidence 1 − `risk`. No unit of K is among n of N drawn without replacement with
/// a probability of at most (1 − n/N)^K, and of at most (1 − K/N)^n.
pub(super) fn unlike_max(seen: u64, population: u64, risk: f64) -> f64 {
    let (n, all) = (seen as f64, population as f64);
    if seen == 0 || seen >= population {
        return (all - n).max(0.0);
    }
    let by_units = (risk.ln() / (-n / all).ln_1p()).floor();
    let by_draws = (all * (1.0 - risk.powf(1.0 / n))).floor();
    by_units.min(by_draws).min(all - n)
}
