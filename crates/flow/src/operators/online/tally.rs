//! What is measured, and the rows of an epoch added up by block and group.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use fleuve_base::{Error, Result};
use fleuve_plan::AggregateCall;

use super::super::keyed_state::arrow_error;

/// What is estimated of each group. Columns are positions in the input.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// The number of rows, or of those in which `argument` is not NULL.
    Count { argument: Option<usize>, filter: Option<usize> },
    /// A sum.
    Sum { argument: usize, filter: Option<usize> },
    /// A mean.
    Average { argument: usize, filter: Option<usize> },
}

/// A measure's values in a batch.
pub struct Values {
    /// `None`: each row counts 1.
    numbers: Option<Float64Array>,
    /// Which rows have a value, if not all.
    valid: Option<ArrayRef>,
    filter: Option<BooleanArray>,
}

/// Rows and their sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Rows with a value.
    pub rows: u64,
    /// The sum of the values.
    pub sum: f64,
}

impl Measure {
    /// What an aggregate measures.
    ///
    /// # Errors
    /// Internal, if the planner let through what cannot be estimated.
    pub fn new(call: &AggregateCall) -> Result<Self> {
        let filter = call.filter;
        match (call.function.as_str(), call.args.as_slice(), call.distinct) {
            ("count", args, false) => Ok(Measure::Count { argument: args.first().copied(), filter }),
            ("sum", [argument], false) => Ok(Measure::Sum { argument: *argument, filter }),
            ("avg", [argument], false) => Ok(Measure::Average { argument: *argument, filter }),
            (other, ..) => Err(Error::internal(format!("{other} cannot be estimated online"))),
        }
    }

    /// Whether it is a number of rows.
    pub fn is_count(&self) -> bool {
        matches!(self, Measure::Count { .. })
    }

    /// Its value, once all is known.
    pub fn exact(&self, count: f64, sum: Option<f64>) -> Option<f64> {
        match self {
            Measure::Count { .. } => Some(count),
            Measure::Sum { .. } => sum.filter(|_| count > 0.0),
            Measure::Average { .. } => sum.filter(|_| count > 0.0).map(|sum| sum / count),
        }
    }

    /// Its values in a batch.
    ///
    /// # Errors
    /// Internal, if a value is no number.
    pub fn values(&self, batch: &RecordBatch) -> Result<Values> {
        let (Measure::Sum { filter, .. } | Measure::Average { filter, .. } | Measure::Count { filter, .. }) = *self;
        let filter = filter.map(|filter| batch.column(filter).as_boolean().clone());
        Ok(match *self {
            Measure::Count { argument, .. } => {
                let valid = argument.map(|argument| batch.column(argument).clone());
                Values { numbers: None, valid: valid.filter(|column| column.null_count() > 0), filter }
            }
            Measure::Sum { argument, .. } | Measure::Average { argument, .. } => {
                let numbers = cast(batch.column(argument), &DataType::Float64);
                let numbers = numbers.map_err(|e| arrow_error("read numbers", &e))?;
                let numbers = numbers.as_primitive::<Float64Type>().clone();
                Values { numbers: Some(numbers), valid: None, filter }
            }
        })
    }
}

impl Values {
    /// The value of a row; none if it has none, or is left out.
    #[inline]
    pub fn of(&self, row: usize) -> Option<f64> {
        let kept = self.filter.as_ref().is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        if !kept || self.valid.as_ref().is_some_and(|column| column.is_null(row)) {
            return None;
        }
        match &self.numbers {
            None => Some(1.0),
            Some(numbers) => numbers.is_valid(row).then(|| numbers.value(row)),
        }
    }
}

/// Tallies of the epoch's blocks, by group.
#[derive(Debug)]
pub struct Tallies {
    measures: usize,
    /// By block and group; a tally for each measure.
    whole: HashMap<(i64, u32), Vec<Tally>>,
    /// Those of the block at hand, group after group.
    at_hand: Vec<Tally>,
    /// Groups with rows in the block at hand.
    touched: Vec<u32>,
}

impl Tallies {
    /// For so many measures.
    pub fn new(measures: usize) -> Self {
        Tallies { measures, whole: HashMap::new(), at_hand: vec![], touched: vec![] }
    }

    /// Adds rows of which the groups, the blocks and the values are known.
    pub fn add(&mut self, groups: &[u32], blocks: &[i64], values: &[Values]) {
        let wanted = groups.iter().max().map_or(0, |most| (*most as usize + 1) * self.measures);
        self.at_hand.resize(wanted.max(self.at_hand.len()), Tally::default());
        let mut start = 0;
        for run in blocks.chunk_by(|one, next| one == next) {
            let end = start + run.len();
            for (row, group) in (start..end).zip(&groups[start..end]) {
                self.add_row(row, *group, values);
            }
            self.put_away(run[0]);
            start = end;
        }
    }

    #[inline]
    fn add_row(&mut self, row: usize, group: u32, values: &[Values]) {
        let first = group as usize * self.measures;
        let tallies = &mut self.at_hand[first..first + self.measures];
        let fresh = tallies.iter().all(|tally| tally.rows == 0);
        for (tally, values) in tallies.iter_mut().zip(values) {
            if let Some(value) = values.of(row) {
                (tally.rows, tally.sum) = (tally.rows + 1, tally.sum + value);
            }
        }
        if fresh {
            self.touched.push(group);
        }
    }

    /// The block at hand changes.
    fn put_away(&mut self, block: i64) {
        for group in self.touched.drain(..) {
            let first = group as usize * self.measures;
            let fresh = vec![Tally::default(); self.measures];
            let whole = self.whole.entry((block, group)).or_insert(fresh);
            for (whole, tally) in whole.iter_mut().zip(&mut self.at_hand[first..first + self.measures]) {
                let tally = std::mem::take(tally);
                (whole.rows, whole.sum) = (whole.rows + tally.rows, whole.sum + tally.sum);
            }
        }
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Vec<(u32, Vec<Tally>)> {
        self.whole.drain().map(|((_, group), tallies)| (group, tallies)).collect()
    }
}
