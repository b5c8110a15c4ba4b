//! Ripple join: sums over a join of two tables that are both still being read.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};

use fleuve_base::{Error, ErrorKind, Result};

use super::claim::Scope;
use crate::estimate::{Estimate, reach};
use crate::statistics::{Compensated, Running};

/// Rows of one table that are kept.
pub const RIPPLE_ROWS_MAX: usize = 1 << 26;

/// Estimates of sum, count and average of `combine(left, right)` over all pairs of rows with the same key.
///
/// The hash ripple join (P. J. Haas, J. M. Hellerstein 1999, "Ripple joins for online aggregation"): each row that is read,
/// of either table, is joined with all rows of the other that were read before. After n rows of each, n² pairs have been
/// looked at; tables may also be read at different rates. Both must be read in random order without replacement.
///
/// The variance of the mean over the pairs seen is estimated without bias by an analysis of variance in two directions:
/// that of the rows' means over l rows, that of the columns' means over r, less their interaction over l·r, which both
/// of these contain; each direction has its finite-population factor. Memory is about 60 bytes a row.
#[derive(Debug, Clone)]
pub struct Ripple<K, F> {
    combine: F,
    left: Side<K>,
    right: Side<K>,
    /// Sums over the pairs seen: of the values, of their squares, of 1.
    sum: Compensated,
    squares: Compensated,
    matches: u64,
}

#[derive(Debug, Clone)]
struct Side<K> {
    population: u64,
    rows: Vec<Row>,
    by_key: HashMap<K, Vec<u32>, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    value: f64,
    /// Over its partners so far.
    sum: f64,
    matches: f64,
}

impl<K: Hash + Eq, F: Fn(f64, f64) -> f64> Ripple<K, F> {
    /// Of two tables with these numbers of rows.
    pub fn new(left_rows: u64, right_rows: u64, combine: F) -> Self {
        let side = |population| Side { population, rows: vec![], by_key: HashMap::default() };
        let (sum, squares) = (Compensated::default(), Compensated::default());
        Ripple { combine, left: side(left_rows), right: side(right_rows), sum, squares, matches: 0 }
    }

    /// Joins the next row of the left table.
    ///
    /// # Errors
    /// E904, if too many were read; E304, if they are more than the table was said to have.
    pub fn add_left(&mut self, key: K, value: f64) -> Result<()> {
        let combine = &self.combine;
        let totals = (&mut self.sum, &mut self.squares, &mut self.matches);
        join(&mut self.left, &mut self.right, totals, key, value, combine)
    }

    /// Joins the next row of the right table.
    ///
    /// # Errors
    /// As for [`Ripple::add_left`].
    pub fn add_right(&mut self, key: K, value: f64) -> Result<()> {
        let combine = &self.combine;
        let totals = (&mut self.sum, &mut self.squares, &mut self.matches);
        join(&mut self.right, &mut self.left, totals, key, value, |own, other| combine(other, own))
    }

    /// How much of the left and of the right table was read.
    pub fn scopes(&self) -> [Scope; 2] {
        [self.left.scope(), self.right.scope()]
    }

    /// The sum over the join, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, confidence: f64) -> Result<Estimate> {
        self.total(self.sum.value(), self.squares.value(), |row| row.sum, confidence)
    }

    /// The number of pairs of the join, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn count(&self, confidence: f64) -> Result<Estimate> {
        self.total(self.matches as f64, self.matches as f64, |row| row.matches, confidence)
    }

    /// The average over the pairs of the join, with the large-sample interval of its residuals.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn average(&self, confidence: f64) -> Result<Estimate> {
        let reach = self.reach(confidence)?;
        if self.matches == 0 {
            return Ok(Estimate::around(0.0, f64::INFINITY));
        }
        let (matches, sum) = (self.matches as f64, self.sum.value());
        let average = sum / matches;
        let squares = self.squares.value() - average * (2.0 * sum - average * matches);
        let variance = self.variance(0.0, squares, |row| row.sum - average * row.matches);
        let share = matches / (self.left.rows.len() as f64 * self.right.rows.len() as f64);
        Ok(self.unless_few(average, reach * variance.sqrt() / share))
    }

    fn total(&self, sum: f64, squares: f64, of: impl Fn(&Row) -> f64, confidence: f64) -> Result<Estimate> {
        let reach = self.reach(confidence)?;
        let pairs = (self.left.rows.len() as f64 * self.right.rows.len() as f64).max(1.0);
        let half = reach * self.variance(sum, squares, of).sqrt();
        Ok(self.unless_few(sum / pairs, half).times(self.left.population as f64 * self.right.population as f64))
    }

    fn reach(&self, confidence: f64) -> Result<f64> {
        reach(confidence, self.left.rows.len().min(self.right.rows.len()).saturating_sub(1) as f64)
    }

    /// Two rows of each table are the least that says anything, unless tables have no more.
    fn unless_few(&self, value: f64, half: f64) -> Estimate {
        let few = |side: &Side<K>| side.rows.len() < 2 && !side.scope().is_complete();
        Estimate::around(value, if few(&self.left) || few(&self.right) { f64::INFINITY } else { half })
    }

    /// The variance of the mean over pairs of what sums to `sum` and whose squares to `squares`.
    fn variance(&self, sum: f64, squares: f64, of: impl Fn(&Row) -> f64) -> f64 {
        let (l, r) = (self.left.rows.len() as f64, self.right.rows.len() as f64);
        let means =
            |side: &Side<K>, others: f64| side.rows.iter().map(|row| of(row) / others.max(1.0)).collect::<Running>();
        let (left, right) = (means(&self.left, r), means(&self.right, l));
        let [unseen_left, unseen_right] = self.scopes().map(|scope| scope.unseen());
        let mean = sum / (l * r).max(1.0);
        let within = squares - l * r * mean * mean;
        let between = r * (l - 1.0) * left.variance_sample() + l * (r - 1.0) * right.variance_sample();
        let interaction = (within - between).max(0.0) / ((l - 1.0) * (r - 1.0)).max(1.0);
        let variance = unseen_left * left.variance_sample() / l.max(1.0)
            + unseen_right * right.variance_sample() / r.max(1.0)
            - unseen_left * unseen_right * interaction / (l * r).max(1.0);
        variance.max(0.0)
    }
}

impl<K> Side<K> {
    fn scope(&self) -> Scope {
        Scope { seen: self.rows.len() as u64, population: self.population }
    }
}

/// Joins a row of `own` with those of `other`.
fn join<K: Hash + Eq>(
    own: &mut Side<K>,
    other: &mut Side<K>,
    (sum, squares, matches): (&mut Compensated, &mut Compensated, &mut u64),
    key: K,
    value: f64,
    combine: impl Fn(f64, f64) -> f64,
) -> Result<()> {
    if own.rows.len() as u64 >= own.population {
        let message = format!("a table has more rows than the {} it was said to have", own.population);
        return Err(Error::input("E304", message));
    }
    if own.rows.len() >= RIPPLE_ROWS_MAX {
        let message = format!("a ripple join keeps at most {RIPPLE_ROWS_MAX} rows of a table");
        return Err(Error::new(ErrorKind::Limit, "E904", message));
    }
    let mut row = Row { value, sum: 0.0, matches: 0.0 };
    for partner in other.by_key.get(&key).map_or(&[][..], |partners| partners) {
        let partner = &mut other.rows[*partner as usize];
        let combined = combine(value, partner.value);
        sum.add(combined);
        squares.add(combined * combined);
        *matches += 1;
        for joined in [&mut row, partner] {
            joined.sum += combined;
            joined.matches += 1.0;
        }
    }
    own.by_key.entry(key).or_default().push(own.rows.len() as u32);
    own.rows.push(row);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Shuffle;
    use crate::sample::testing::coverage;

    const LEFT: u64 = 600;
    const RIGHT: u64 = 400;

    /// (key, value) of a row; some keys are much more frequent.
    fn left(row: u64) -> (u64, f64) {
        (row * row % 23, (row % 50) as f64)
    }

    fn right(row: u64) -> (u64, f64) {
        (row * 7 % 31, 1.0 + (row % 9) as f64)
    }

    fn product(left: f64, right: f64) -> f64 {
        left * right
    }

    /// Sum and count of the whole join.
    fn truth() -> (f64, f64) {
        let pairs = (0..LEFT).flat_map(|l| (0..RIGHT).map(move |r| (left(l), right(r)))).filter(|(l, r)| l.0 == r.0);
        pairs.fold((0.0, 0.0), |(sum, count), (l, r)| (sum + l.1 * r.1, count + 1.0))
    }

    fn joined(seed: u64, lefts: usize, rights: usize) -> Ripple<u64, fn(f64, f64) -> f64> {
        let mut ripple = Ripple::new(LEFT, RIGHT, product as fn(f64, f64) -> f64);
        let (mut l, mut r) =
            (Shuffle::new(0..LEFT, seed).take(lefts), Shuffle::new(0..RIGHT, seed + 99_999).take(rights));
        loop {
            let (next_left, next_right) = (l.next().map(left), r.next().map(right));
            next_left.map_or(Ok(()), |(key, value)| ripple.add_left(key, value)).unwrap();
            next_right.map_or(Ok(()), |(key, value)| ripple.add_right(key, value)).unwrap();
            if next_left.is_none() && next_right.is_none() {
                return ripple;
            }
        }
    }

    #[test]
    fn intervals_cover_as_often_as_they_claim() {
        let (sum, count) = truth();
        for (lefts, rights) in [(150, 150), (300, 100)] {
            let ripple = |seed| joined(seed, lefts, rights);
            coverage(0.9, true, |seed| ripple(seed).sum(0.9).unwrap().covers(sum)).expect("covers the sum");
            coverage(0.9, true, |seed| ripple(seed).count(0.9).unwrap().covers(count)).expect("covers the count");
            let covers = |seed| ripple(seed).average(0.9).unwrap().covers(sum / count);
            coverage(0.9, true, covers).expect("covers the average");
        }
    }

    /// Canaries: pairs taken for rows that were drawn one by one, and intervals without the finite-population factors.
    #[test]
    fn wrong_intervals_are_caught() {
        let (sum, _) = truth();
        let covers = |seed| {
            let ripple = joined(seed, 150, 150);
            let (mean, pairs) = (ripple.sum.value() / 22_500.0, 22_500.0);
            let variance = ripple.squares.value() / pairs - mean * mean;
            (mean - sum / (LEFT * RIGHT) as f64).abs() < 1.645 * (variance / pairs).sqrt()
        };
        coverage(0.9, false, covers).expect_err("pairs are not drawn one by one");
        let covers = |seed| {
            let mut ripple = joined(seed, 400, 300);
            let scale = 1e6 / (LEFT * RIGHT) as f64;
            (ripple.left.population, ripple.right.population) = (1_000_000, 1_000_000);
            ripple.sum(0.9).unwrap().times(1e-6 / scale).covers(sum)
        };
        coverage(0.9, true, covers).expect_err("too wide");
    }

    #[test]
    fn everything_read_is_exact_and_little_says_little() {
        let (sum, count) = truth();
        let all = joined(1, LEFT as usize, RIGHT as usize);
        assert_eq!((all.sum(0.9).unwrap(), all.count(0.9).unwrap()), (Estimate::exact(sum), Estimate::exact(count)));
        let average = all.average(0.9).unwrap();
        assert!(average.half_width() == 0.0 && (average.value - sum / count).abs() < 1e-9);
        assert_eq!(joined(1, 1, 50).sum(0.9).unwrap().half_width(), f64::INFINITY);
        assert_eq!(joined(1, 0, 0).average(0.9).unwrap().half_width(), f64::INFINITY);
        assert!(all.sum(1.5).is_err());
        assert_eq!(joined(1, 600, 1).add_left(1, 1.0).map_err(|e| e.code()), Err("E304"));
    }
}
