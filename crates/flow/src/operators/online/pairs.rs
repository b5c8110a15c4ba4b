//! What was drawn of a join of two tables: blocks of both, and what each pair of them has together.
//!
//! A block is read within one epoch, and an epoch's rows are joined with all rows before and with each other. So a pair of
//! blocks has all its joined rows in the epoch of the later block, and is added up once.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use fleuve_base::{Error, Result};
use fleuve_plan::OnlineUnit;
use fleuve_sketch::estimate::Estimate;
use fleuve_sketch::online::{BlockPairs, Scope};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::tally::{Measure, Values};
use crate::batch::Batch;

/// The column of [`blocks_schema`](fleuve_plan::blocks_schema) that has the number of all blocks.
const OF: &str = "of";

/// A group, a left and a right block.
type Cell = (u32, i64, i64);

/// Everything that was drawn.
#[derive(Debug)]
pub struct Pairs {
    /// Where a joined row has the numbers of its left and of its right block.
    columns: [usize; 2],
    measures: usize,
    /// By group and measure.
    known: Vec<BlockPairs>,
    /// Blocks of the left and of the right table; `None` before the first, as their number is not known.
    scopes: [Option<Scope>; 2],
    /// Where the epoch's pairs have their tallies: (rows, sum) by measure.
    places: HashMap<Cell, usize, FixedState>,
    tallies: Vec<(u64, f64)>,
}

impl Pairs {
    /// Nothing drawn yet; none if it is no join.
    pub fn new(unit: OnlineUnit, measures: usize) -> Option<Self> {
        let OnlineUnit::Pairs { left, right } = unit else { return None };
        Some(Pairs {
            columns: [left, right],
            measures,
            known: vec![],
            scopes: [None; 2],
            places: HashMap::default(),
            tallies: vec![],
        })
    }

    /// Takes note of the blocks that were read of a side. True, if that says something: there are some, and some of the other.
    pub fn add_blocks(&mut self, side: usize, batches: &[Batch]) -> bool {
        let mut any = false;
        for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
            let of = batch.columns.column_by_name(OF).map(|of| of.as_primitive::<Int64Type>().value(0));
            let population = of.unwrap_or(0).max(0) as u64;
            self.scopes[side].get_or_insert(Scope { seen: 0, population }).seen += batch.num_rows() as u64;
            any = true;
        }
        any && self.scopes.iter().all(Option::is_some)
    }

    /// Adds joined rows of which the groups and the values are known; `groups_all` is the number of groups so far.
    pub fn add_rows(&mut self, batch: &RecordBatch, groups: &[u32], groups_all: usize, values: &[Values]) {
        self.known.resize(groups_all * self.measures, BlockPairs::default());
        let [lefts, rights] = self.columns.map(|column| batch.column(column).as_primitive::<Int64Type>().values());
        for (row, group) in groups.iter().enumerate() {
            let place = self.place((*group, lefts[row], rights[row]));
            for (tally, values) in self.tallies[place..place + self.measures].iter_mut().zip(values) {
                if let Some(value) = values.of(row) {
                    *tally = (tally.0 + 1, tally.1 + value);
                }
            }
        }
    }

    /// Where a pair has its tallies.
    fn place(&mut self, cell: Cell) -> usize {
        let (tallies, measures) = (&mut self.tallies, self.measures);
        *self.places.entry(cell).or_insert_with(|| {
            tallies.resize(tallies.len() + measures, (0, 0.0));
            tallies.len() - measures
        })
    }

    /// Takes the epoch's pairs, which are all whole, into their groups. After the last epoch a table without blocks is known
    /// to have none.
    pub fn settle(&mut self, last: bool) {
        let mut cells: Vec<(Cell, usize)> = self.places.drain().collect();
        // The order of additions is that of the blocks' numbers, not of a hash table.
        cells.sort_unstable();
        for ((group, left, right), place) in cells {
            let known = &mut self.known[group as usize * self.measures..][..self.measures];
            for (known, (rows, sum)) in known.iter_mut().zip(&self.tallies[place..]).filter(|(_, tally)| tally.0 > 0) {
                known.add(left as u64, right as u64, *rows, *sum);
            }
        }
        self.tallies.clear();
        let none = Scope { seen: 0, population: 0 };
        self.scopes.iter_mut().filter(|_| last).for_each(|scope| *scope = scope.or(Some(none)));
    }

    /// The blocks of both tables together, of which all have been read when both tables have.
    pub fn scope(&self) -> Scope {
        let [left, right] = self.scopes();
        let population = left.population.saturating_add(right.population);
        Scope { seen: left.seen + right.seen, population }
    }

    /// A table of which nothing was read may be of any size.
    fn scopes(&self) -> [Scope; 2] {
        self.scopes.map(|scope| scope.unwrap_or(Scope { seen: 0, population: u64::MAX }))
    }

    /// One measure of one group.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1.
    pub fn estimate(&self, group: usize, at: usize, measure: &Measure, confidence: f64) -> Result<Estimate> {
        let nothing = BlockPairs::default();
        let known = self.known.get(group * self.measures + at).unwrap_or(&nothing);
        match measure {
            Measure::Count { .. } => known.count(self.scopes(), confidence),
            Measure::Sum { .. } => known.sum(self.scopes(), confidence),
            Measure::Average { .. } => known.average(self.scopes(), confidence),
            Measure::Spread { .. } => Err(Error::internal("a variance over a join")),
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let tallies = self.tallies.capacity() * size_of::<(u64, f64)>();
        let places = self.places.capacity() * size_of::<(Cell, usize)>();
        self.known.iter().map(BlockPairs::bytes).sum::<usize>() + tallies + places
    }
}

#[cfg(test)]
mod tests;
