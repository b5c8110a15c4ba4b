//! Ripple join: sums over a join of two tables that are both still being read.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};

use fleuve_base::{Error, ErrorKind, Result};

use super::block_pairs::BlockPairs;
use super::claim::Scope;
use crate::estimate::Estimate;

/// Rows of one table that are kept.
pub const RIPPLE_ROWS_MAX: usize = 1 << 26;

/// Estimates of sum, count and average of `combine(left, right)` over all pairs of rows with the same key.
///
/// The hash ripple join (P. J. Haas, J. M. Hellerstein 1999, "Ripple joins for online aggregation"): each block of rows that
/// is read, of either table, is joined with all rows of the other table that were read before. After n blocks of each, n²
/// pairs of blocks have been looked at; tables may also be read at different rates. The blocks of both must come in random
/// order without replacement; where rows come in random order, each is a block of its own. [`BlockPairs`] estimates.
///
/// ```
/// # fn main() -> fleuve_base::Result<()> {
/// use fleuve_sketch::online::Ripple;
///
/// // Of two tables of 10 and of 1 blocks.
/// let mut ripple = Ripple::new(10, 1, |amount: f64, price: f64| amount * price);
/// ripple.add_right([("a", 2.0), ("b", 3.0)])?;
/// ripple.add_left([("a", 1.0), ("a", 5.0), ("c", 8.0)])?;
/// ripple.add_left([("b", 4.0)])?;
/// assert_eq!(ripple.sum(0.95)?.value, 10.0 / 2.0 * (2.0 + 10.0 + 12.0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Ripple<K, F> {
    combine: F,
    left: Side<K>,
    right: Side<K>,
    pairs: BlockPairs,
}

#[derive(Debug, Clone)]
struct Side<K> {
    blocks: Scope,
    rows: usize,
    by_key: HashMap<K, Vec<Row>, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    block: u64,
    value: f64,
}

/// By block of the other table what it has together with the block at hand: rows and their sum.
type Met = BTreeMap<u64, (u64, f64)>;

impl<K: Hash + Eq, F: Fn(f64, f64) -> f64> Ripple<K, F> {
    /// Of two tables with these numbers of blocks.
    pub fn new(left_blocks: u64, right_blocks: u64, combine: F) -> Self {
        let side = |population| Side { blocks: Scope { seen: 0, population }, rows: 0, by_key: HashMap::default() };
        Ripple { combine, left: side(left_blocks), right: side(right_blocks), pairs: BlockPairs::default() }
    }

    /// Joins the next block of the left table: its rows' keys and values.
    ///
    /// # Errors
    /// E904, if too many rows were read; E304, if there are more blocks than the table was said to have.
    pub fn add_left(&mut self, block: impl IntoIterator<Item = (K, f64)>) -> Result<()> {
        let combine = &self.combine;
        let (own, met) = join(&mut self.left, &self.right, block, combine)?;
        met.into_iter().for_each(|(other, (rows, sum))| self.pairs.add(own, other, rows, sum));
        Ok(())
    }

    /// Joins the next block of the right table.
    ///
    /// # Errors
    /// As for [`Ripple::add_left`].
    pub fn add_right(&mut self, block: impl IntoIterator<Item = (K, f64)>) -> Result<()> {
        let combine = &self.combine;
        let (own, met) = join(&mut self.right, &self.left, block, |own, other| combine(other, own))?;
        met.into_iter().for_each(|(other, (rows, sum))| self.pairs.add(other, own, rows, sum));
        Ok(())
    }

    /// How many blocks of the left and of the right table were read.
    pub fn scopes(&self) -> [Scope; 2] {
        [self.left.blocks, self.right.blocks]
    }

    /// What the estimates are made from.
    pub fn pairs(&self) -> &BlockPairs {
        &self.pairs
    }

    /// The sum over the join, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn sum(&self, confidence: f64) -> Result<Estimate> {
        self.pairs.sum(self.scopes(), confidence)
    }

    /// The number of pairs of rows of the join, with its large-sample interval.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn count(&self, confidence: f64) -> Result<Estimate> {
        self.pairs.count(self.scopes(), confidence)
    }

    /// The average over the pairs of the join, with the large-sample interval of its residuals.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn average(&self, confidence: f64) -> Result<Estimate> {
        self.pairs.average(self.scopes(), confidence)
    }
}

/// Joins a block of `own` with the rows of `other` and keeps it; returns its number and what it met.
fn join<K: Hash + Eq>(
    own: &mut Side<K>,
    other: &Side<K>,
    rows: impl IntoIterator<Item = (K, f64)>,
    combine: impl Fn(f64, f64) -> f64,
) -> Result<(u64, Met)> {
    if own.blocks.is_complete() {
        let message = format!("a table has more blocks than the {} it was said to have", own.blocks.population);
        return Err(Error::input("E304", message));
    }
    let (block, mut met) = (own.blocks.seen, Met::new());
    own.blocks.seen += 1;
    for (key, value) in rows {
        for partner in other.by_key.get(&key).map_or(&[][..], |partners| partners) {
            let (rows, sum) = met.entry(partner.block).or_default();
            (*rows, *sum) = (*rows + 1, *sum + combine(value, partner.value));
        }
        if own.rows >= RIPPLE_ROWS_MAX {
            let message = format!("a ripple join keeps at most {RIPPLE_ROWS_MAX} rows of a table");
            return Err(Error::new(ErrorKind::Limit, "E904", message));
        }
        own.by_key.entry(key).or_default().push(Row { block, value });
        own.rows += 1;
    }
    Ok((block, met))
}
