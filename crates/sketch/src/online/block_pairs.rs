//! Estimates of one group of a join from whole blocks of both tables that were drawn at random.

use std::collections::BTreeMap;

use fleuve_base::Result;

use super::claim::Scope;
use crate::estimate::{Estimate, reach};
use crate::statistics::{Compensated, RunningPair};

/// What was read of one group of a join of two tables, of each of which whole blocks are drawn.
///
/// Each block read of the left table has been joined with each block read of the right one: a ripple join (P. J. Haas,
/// J. M. Hellerstein 1999, "Ripple joins for online aggregation"). In their block ripple join the rows are in random order,
/// and a block saves reads only. Here the blocks are, and the rows of one resemble each other; so what was drawn is the
/// block, on either side, and what varies is the number of joined rows of a pair of blocks, and their sum. Rows that are
/// drawn one by one are blocks of one row.
///
/// With l of L left and r of R right blocks read, and Yᵢⱼ what the left block i and the right block j have together:
///
/// ```text
/// Ȳ = Σ Yᵢⱼ / (l·r)                     the mean over the pairs of blocks read; the total is estimated by L·R·Ȳ
/// A = variance of (Σⱼ Yᵢⱼ)/r over i     between the left blocks, each with all right blocks read
/// B = variance of (Σᵢ Yᵢⱼ)/l over j     between the right blocks
/// I = (Σ (Yᵢⱼ − Ȳ)² − r(l−1)·A − l(r−1)·B) / ((l−1)(r−1))
/// C = max(0, A − (1 − r/R)·I/r)         what is the left blocks' own in A;  D = max(0, B − (1 − l/L)·I/l)
/// Var Ȳ = (1 − l/L)·C/l + (1 − r/R)·D/r + (1 − l/L)(1 − r/R)·I/(l·r)
/// ```
///
/// Where many blocks were read, I is small beside the others, and this is the large-sample variance of the paper (its
/// appendix), A/l + B/r, each side with the finite-population factor of a sample without replacement. But where both tables
/// are stored by the key, few pairs of blocks have anything together, and I is nearly all. Then A and B alone may be 0 by
/// chance, while the variance is not; with the components of variance (J. Cornfield, J. W. Tukey 1956, "Average values of
/// mean squares in factorials") it has no bias as long as C and D are above 0, and is at least the share of I.
///
/// An average is a ratio, its variance that of the residuals Yᵢⱼ(sum) − average · Yᵢⱼ(rows), as in [`Blocks`](super::Blocks).
///
/// Memory is some 40 bytes for each block in which the group has a joined row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlockPairs {
    /// (rows, sum) of each pair of blocks that has some.
    cells: RunningPair,
    /// Rows and sum of each left block with all right blocks read; and of each right one.
    left: BTreeMap<u64, Total>,
    right: BTreeMap<u64, Total>,
    rows: u64,
    sum: Compensated,
}

/// Rows and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Total {
    rows: f64,
    sum: f64,
}

/// The variance of what is estimated, out of those of rows and sums; with the average.
type Component = fn(&RunningPair, f64) -> f64;

impl BlockPairs {
    /// Adds what a left and a right block have together: `rows` joined rows of the group, and the sum of their values. Once
    /// for each pair of blocks; not needed for those that have none.
    pub fn add(&mut self, left: u64, right: u64, rows: u64, sum: f64) {
        self.cells.add(rows as f64, sum);
        for (totals, block) in [(&mut self.left, left), (&mut self.right, right)] {
            let total = totals.entry(block).or_default();
            (total.rows, total.sum) = (total.rows + rows as f64, total.sum + sum);
        }
        self.rows += rows;
        self.sum.add(sum);
    }

    /// Joined rows seen.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let blocks = self.left.len() + self.right.len();
        // A leaf of a B-tree is at least half full.
        size_of::<Self>() + blocks * 2 * size_of::<(u64, Total)>()
    }

    /// The number of the group's joined rows, with its large-sample interval. Scopes count the left and the right blocks.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn count(&self, scopes: [Scope; 2], confidence: f64) -> Result<Estimate> {
        self.total(self.rows as f64, |pair, _| pair.variance_x(), scopes, confidence)
    }

    /// The sum over the group's joined rows, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, scopes: [Scope; 2], confidence: f64) -> Result<Estimate> {
        self.total(self.sum.value(), |pair, _| pair.variance_y(), scopes, confidence)
    }

    /// The mean over the group's joined rows: sum by count, with the large-sample interval of its residuals.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn average(&self, scopes: [Scope; 2], confidence: f64) -> Result<Estimate> {
        let reach = reach_of(scopes, confidence)?;
        if self.rows == 0 {
            return Ok(Estimate::around(0.0, f64::INFINITY));
        }
        let average = self.sum.value() / self.rows as f64;
        let deviation = self.variance(scopes, average, RunningPair::variance_residual).sqrt();
        let rows_mean = self.rows as f64 / pairs_of(scopes);
        Ok(bounded(average, reach * deviation / rows_mean, scopes))
    }

    fn total(&self, seen: f64, of: Component, scopes: [Scope; 2], confidence: f64) -> Result<Estimate> {
        let half = reach_of(scopes, confidence)? * self.variance(scopes, 0.0, of).sqrt();
        let [left, right] = scopes.map(|scope| scope.population as f64);
        if scopes.iter().all(Scope::is_complete) {
            return Ok(Estimate::exact(seen));
        }
        Ok(bounded(seen / pairs_of(scopes).max(1.0), half, scopes).times(left * right))
    }

    /// The variance of the mean over the pairs of blocks.
    fn variance(&self, scopes: [Scope; 2], average: f64, of: Component) -> f64 {
        let [l, r] = scopes.map(|scope| (scope.seen as f64).max(1.0));
        let [unseen_left, unseen_right] = scopes.map(|scope| scope.unseen());
        let between = |totals, scope| of(&all_blocks(totals, scope), average);
        let a = between(&self.left, scopes[0]) / (r * r);
        let b = between(&self.right, scopes[1]) / (l * l);
        let pairs = scopes[0].seen.saturating_mul(scopes[1].seen);
        let cells = self.cells.with_zeros(pairs.saturating_sub(self.cells.count()));
        let within = (l * r - 1.0) * of(&cells, average);
        let interaction = within - r * (l - 1.0) * a - l * (r - 1.0) * b;
        let interaction = interaction.max(0.0) / ((l - 1.0) * (r - 1.0)).max(1.0);
        let own_left = (a - unseen_right * interaction / r).max(0.0);
        let own_right = (b - unseen_left * interaction / l).max(0.0);
        unseen_left * own_left / l + unseen_right * own_right / r + unseen_left * unseen_right * interaction / (l * r)
    }
}

/// The blocks read of one side, with those that have nothing of the group.
fn all_blocks(totals: &BTreeMap<u64, Total>, scope: Scope) -> RunningPair {
    let mut blocks = RunningPair::default();
    totals.values().for_each(|total| blocks.add(total.rows, total.sum));
    blocks.with_zeros(scope.seen.saturating_sub(blocks.count()))
}

/// How many standard errors an interval reaches. A side that was read wholly adds nothing to the variance, so it does not
/// limit what is known of it.
fn reach_of(scopes: [Scope; 2], confidence: f64) -> Result<f64> {
    let seen = scopes.iter().filter(|scope| !scope.is_complete()).map(|scope| scope.seen).min();
    reach(confidence, seen.map_or(1.0, |seen| seen.saturating_sub(1) as f64))
}

/// Pairs of blocks that were read.
fn pairs_of(scopes: [Scope; 2]) -> f64 {
    scopes[0].seen as f64 * scopes[1].seen as f64
}

/// Two blocks of each table are the least that says anything, unless a table has no more.
fn bounded(value: f64, half: f64, scopes: [Scope; 2]) -> Estimate {
    let few = |scope: &Scope| scope.seen < 2 && !scope.is_complete();
    Estimate::around(value, if scopes.iter().any(few) { f64::INFINITY } else { half })
}

#[cfg(test)]
#[path = "block_pairs_tests.rs"]
mod tests;
