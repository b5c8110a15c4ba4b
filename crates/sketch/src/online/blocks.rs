//! Estimates of one group from whole blocks that were drawn at random.

use fleuve_base::Result;

use super::claim::Scope;
use crate::estimate::{Estimate, reach};
use crate::statistics::RunningPair;
use crate::stored::{Reader, Stored};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'O', 1);

/// What was read of one group of a table, block by block; 48 bytes.
///
/// Rows of one block resemble each other, as they were written together: an interval that took them for rows drawn one by
/// one would be far too narrow. Here the block is what was drawn (cluster sampling: W. G. Cochran 1977, *Sampling
/// Techniques*, ch. 9 and 6), and its number of rows and their sum are what varies. Scopes count blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Blocks {
    /// (rows, sum) of the group's rows in each block that has some.
    blocks: RunningPair,
}

impl Blocks {
    /// Adds a block that has `rows` of the group, and the sum of their values.
    pub fn add(&mut self, rows: u64, sum: f64) {
        self.blocks.add(rows as f64, sum);
    }

    /// Adds the blocks that another worker read.
    pub fn merge(&mut self, other: &Blocks) {
        self.blocks.merge(&other.blocks);
    }

    /// All blocks that were read, with those that have no row of the group.
    fn all(&self, scope: Scope) -> RunningPair {
        self.blocks.with_zeros(scope.seen.saturating_sub(self.blocks.count()))
    }

    /// The number of the group's rows, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn count(&self, scope: Scope, confidence: f64) -> Result<Estimate> {
        let all = self.all(scope);
        total(all.mean_x(), all.variance_x(), scope, confidence)
    }

    /// The sum of the group's values, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, scope: Scope, confidence: f64) -> Result<Estimate> {
        let all = self.all(scope);
        total(all.mean_y(), all.variance_y(), scope, confidence)
    }

    /// The mean of the group's values: the quotient of sum and count, with the large-sample interval of its residuals.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn average(&self, scope: Scope, confidence: f64) -> Result<Estimate> {
        let all = self.all(scope);
        let reach = reach(confidence, scope.seen.saturating_sub(1) as f64)?;
        if all.mean_x() == 0.0 {
            return Ok(Estimate::around(0.0, f64::INFINITY));
        }
        let mean = all.mean_y() / all.mean_x();
        let variance = all.variance_residual(mean) * scope.unseen() / scope.seen as f64;
        Ok(bounded(mean, reach * variance.sqrt() / all.mean_x(), scope))
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        self.blocks.write(&mut out);
        out
    }

    /// What [`Blocks::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let blocks = RunningPair::read(&mut from)?;
        from.finish()?;
        Ok(Blocks { blocks })
    }
}

fn total(mean: f64, variance: f64, scope: Scope, confidence: f64) -> Result<Estimate> {
    let reach = reach(confidence, scope.seen.saturating_sub(1) as f64)?;
    let half = reach * (variance * scope.unseen() / (scope.seen as f64).max(1.0)).sqrt();
    Ok(bounded(mean, half, scope).times(scope.population as f64))
}

/// An interval of what was estimated from one block is infinite, unless that is all.
fn bounded(value: f64, half: f64, scope: Scope) -> Estimate {
    Estimate::around(value, if scope.seen < 2 && !scope.is_complete() { f64::INFINITY } else { half })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Shuffle;
    use crate::online::{Method, Rows};
    use crate::sample::testing::coverage;

    const BLOCKS: u64 = 200;

    /// The values of a block: alike, and every third block has more rows. Of the group are the even ones.
    fn values(block: u64) -> Vec<f64> {
        let rows = 20 + block % 3 * 7;
        (0..rows).map(|row| (block * 31 % 90) as f64 + (row % 5) as f64).filter(|value| *value % 2.0 == 0.0).collect()
    }

    fn read(seed: u64, blocks: usize) -> (Blocks, Rows, Scope, Scope) {
        let (mut sample, mut rows, mut seen) = (Blocks::default(), Rows::default(), 0);
        for block in Shuffle::new(0..BLOCKS, seed).take(blocks) {
            let values = values(block);
            sample.add(values.len() as u64, values.iter().sum());
            values.iter().for_each(|value| rows.add(*value));
            seen += values.len() as u64;
        }
        let population = (0..BLOCKS).map(|block| values(block).len() as u64).sum();
        (sample, rows, Scope { seen: blocks as u64, population: BLOCKS }, Scope { seen, population })
    }

    fn truth() -> (f64, f64) {
        let all: Vec<f64> = (0..BLOCKS).flat_map(values).collect();
        (all.len() as f64, all.iter().sum())
    }

    #[test]
    fn intervals_cover_as_often_as_they_claim() {
        let (rows, sum) = truth();
        let check = |what: &str, covers: &dyn Fn(Blocks, Scope) -> bool| {
            let covers = |seed| {
                let (blocks, _, scope, _) = read(seed, 60);
                covers(blocks, scope)
            };
            coverage(0.9, true, covers).unwrap_or_else(|problem| panic!("{what}: {problem}"));
        };
        check("count", &|blocks, scope| blocks.count(scope, 0.9).unwrap().covers(rows));
        check("sum", &|blocks, scope| blocks.sum(scope, 0.9).unwrap().covers(sum));
        check("average", &|blocks, scope| blocks.average(scope, 0.9).unwrap().covers(sum / rows));
    }

    /// A canary: blocks treated as rows.
    #[test]
    fn blocks_treated_as_rows_are_caught() {
        let (rows, sum) = truth();
        let covers = |seed| {
            let (_, sample, _, scope) = read(seed, 60);
            sample.average(scope, Method::LargeSample { confidence: 0.9 }).unwrap().covers(sum / rows)
        };
        coverage(0.9, false, covers).expect_err("rows of a block are alike");
    }

    #[test]
    fn everything_read_is_exact_and_one_block_says_little() {
        let (rows, sum) = truth();
        let (blocks, _, scope, _) = read(1, BLOCKS as usize);
        let average = blocks.average(scope, 0.9).unwrap();
        assert!(average.half_width() == 0.0 && (average.value - sum / rows).abs() < 1e-9);
        assert!((blocks.count(scope, 0.9).unwrap().value - rows).abs() < 1e-6);
        let (one, _, scope, _) = read(1, 1);
        assert_eq!(one.sum(scope, 0.9).unwrap().half_width(), f64::INFINITY);
        let (mut left, _, _, _) = read(1, 0);
        assert_eq!(left.average(Scope { seen: 3, population: 9 }, 0.9).unwrap().half_width(), f64::INFINITY);
        left.merge(&blocks);
        assert_eq!(left, blocks);
        assert_eq!(Blocks::from_bytes(&blocks.to_bytes()).unwrap(), blocks);
        assert!(Blocks::from_bytes(&blocks.to_bytes()[..20]).is_err());
        assert!(blocks.sum(scope, 7.0).is_err());
    }
}
