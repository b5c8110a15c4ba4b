//! What is measured, and the rows of an epoch added up by block and group.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use fleuve_base::{Error, Result};
use fleuve_plan::AggregateCall;
use fleuve_sketch::online::Part;

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
    /// A variance, or its root.
    Spread { argument: usize, filter: Option<usize>, sample: bool, root: bool },
}

/// A measure's values in a batch.
pub struct Values {
    /// `None`: each row counts 1.
    numbers: Option<Float64Array>,
    /// Which rows have a value, if not all.
    valid: Option<ArrayRef>,
    filter: Option<BooleanArray>,
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
            ("var_pop", [argument], false) => Ok(Measure::spread(*argument, filter, false, false)),
            ("var_samp", [argument], false) => Ok(Measure::spread(*argument, filter, true, false)),
            ("stddev_pop", [argument], false) => Ok(Measure::spread(*argument, filter, false, true)),
            ("stddev_samp", [argument], false) => Ok(Measure::spread(*argument, filter, true, true)),
            (other, ..) => Err(Error::internal(format!("{other} cannot be estimated online"))),
        }
    }

    fn spread(argument: usize, filter: Option<usize>, sample: bool, root: bool) -> Self {
        Measure::Spread { argument, filter, sample, root }
    }

    /// Whether it is the number of all rows, whatever they hold.
    pub fn is_count_of_all(&self) -> bool {
        matches!(self, Measure::Count { argument: None, filter: None })
    }

    /// Whether it is a number of rows.
    pub fn is_count(&self) -> bool {
        matches!(self, Measure::Count { .. })
    }

    /// Its value, once all is known: from the number of values, and their sum or (of a variance) itself.
    pub fn exact(&self, count: f64, sum: Option<f64>) -> Option<f64> {
        match self {
            Measure::Count { .. } => Some(count),
            Measure::Sum { .. } => sum.filter(|_| count > 0.0),
            Measure::Average { .. } => sum.filter(|_| count > 0.0).map(|sum| sum / count),
            Measure::Spread { .. } => sum,
        }
    }

    /// Its values in a batch.
    ///
    /// # Errors
    /// Internal, if a value is no number.
    pub fn values(&self, batch: &RecordBatch) -> Result<Values> {
        let (Measure::Sum { filter, .. }
        | Measure::Average { filter, .. }
        | Measure::Count { filter, .. }
        | Measure::Spread { filter, .. }) = *self;
        let filter = filter.map(|filter| batch.column(filter).as_boolean().clone());
        Ok(match *self {
            Measure::Count { argument, .. } => {
                let valid = argument.map(|argument| batch.column(argument).clone());
                Values { numbers: None, valid: valid.filter(|column| column.null_count() > 0), filter }
            }
            Measure::Sum { argument, .. } | Measure::Average { argument, .. } | Measure::Spread { argument, .. } => {
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

/// What a block has of a group.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Rows, with values or not.
    pub rows: u64,
    /// What is measured of them.
    pub parts: Vec<Part>,
}

impl Tally {
    #[inline]
    fn add(&mut self, row: usize, values: &[Values]) {
        self.rows += 1;
        for (part, values) in self.parts.iter_mut().zip(values) {
            values.of(row).into_iter().for_each(|value| part.add(value));
        }
    }

    fn merge(&mut self, other: &Tally) {
        self.rows += other.rows;
        self.parts.iter_mut().zip(&other.parts).for_each(|(part, other)| part.merge(other));
    }

    fn clear(&mut self) {
        self.rows = 0;
        self.parts.fill(Part::default());
    }
}

/// Tallies of blocks (or of other clusters of rows), by group.
#[derive(Debug)]
pub struct Tallies {
    fresh: Tally,
    /// By block and group.
    whole: HashMap<(i64, u32), Tally>,
    /// Those of the block at hand, by group.
    at_hand: Vec<Tally>,
    /// Groups with rows in the block at hand.
    touched: Vec<u32>,
}

impl Tallies {
    /// For so many measures.
    pub fn new(measures: usize) -> Self {
        let fresh = Tally { rows: 0, parts: vec![Part::default(); measures] };
        Tallies { fresh, whole: HashMap::new(), at_hand: vec![], touched: vec![] }
    }

    /// Adds rows of which the groups, the blocks and the values are known.
    pub fn add(&mut self, groups: &[u32], blocks: &[i64], values: &[Values]) {
        let wanted = groups.iter().max().map_or(0, |most| *most as usize + 1);
        self.at_hand.resize(wanted.max(self.at_hand.len()), self.fresh.clone());
        let mut start = 0;
        for run in blocks.chunk_by(|one, next| one == next) {
            let end = start + run.len();
            for (row, group) in (start..end).zip(&groups[start..end]) {
                let tally = &mut self.at_hand[*group as usize];
                if tally.rows == 0 {
                    self.touched.push(*group);
                }
                tally.add(row, values);
            }
            self.put_away(run[0]);
            start = end;
        }
    }

    /// The block at hand changes.
    fn put_away(&mut self, block: i64) {
        for group in self.touched.drain(..) {
            let tally = &mut self.at_hand[group as usize];
            self.whole.entry((block, group)).or_insert_with(|| self.fresh.clone()).merge(tally);
            tally.clear();
        }
    }

    /// Takes everything out: block, group, tally. In an order of its own, on which the rounding of sums depends.
    pub fn take(&mut self) -> Vec<(i64, u32, Tally)> {
        let mut all: Vec<_> = self.whole.drain().map(|((block, group), tally)| (block, group, tally)).collect();
        all.sort_unstable_by_key(|(block, group, _)| (*block, *group));
        all
    }

    /// The number of tallies.
    pub fn len(&self) -> usize {
        self.whole.len()
    }
}
