//! What is known of one measure of one group, by the unit in which rows were drawn, and what it says of all.

use fleuve_base::Result;
use fleuve_plan::OnlineUnit;
use fleuve_sketch::estimate::Estimate;
use fleuve_sketch::online::{Blocks, BlocksRead, Chance, Drawn, DrawnFrom, Method, Part, Rows, Scope};

use super::tally::Measure;

/// An estimate's three columns.
pub type Ends = [Option<f64>; 3];

/// What was read of a group.
#[derive(Debug, Clone)]
pub enum Known {
    /// In whole blocks.
    Blocks(Blocks),
    /// Row by row.
    Rows(Rows),
    /// In a sample.
    Drawn(Drawn),
    /// In blocks of two tables: [`Pairs`](super::pairs::Pairs) knows it of all groups.
    Pairs,
}

/// What was drawn of the whole that groups are parts of.
pub enum Frame<'a> {
    /// Blocks of a table.
    Blocks(&'a BlocksRead),
    /// Rows of the group.
    Rows(Scope),
    /// A sample.
    Sample(&'a DrawnFrom),
    /// Blocks of two tables.
    Pairs(Scope),
}

impl Frame<'_> {
    /// Whether it is all.
    pub fn is_complete(&self) -> bool {
        match self {
            Frame::Blocks(read) => read.scope.is_complete(),
            Frame::Rows(scope) | Frame::Pairs(scope) => scope.is_complete(),
            Frame::Sample(from) => from.is_whole(),
        }
    }

    /// The share that was drawn; of a sample its operator knows it.
    pub fn fraction(&self) -> Option<f64> {
        match self {
            Frame::Blocks(read) => Some(read.scope.fraction()),
            Frame::Rows(scope) | Frame::Pairs(scope) => Some(scope.fraction()),
            Frame::Sample(_) => None,
        }
    }

    /// How many rows there are in all, where that is known beforehand: of each group, or if there is but one.
    pub fn rows_of_all(&self, one_group: bool) -> Option<f64> {
        match self {
            Frame::Blocks(_) | Frame::Pairs(_) => None,
            Frame::Rows(scope) => Some(scope.population as f64),
            Frame::Sample(from) => from.population().filter(|_| one_group).map(|rows| rows as f64),
        }
    }
}

impl Known {
    /// Nothing yet.
    pub fn new(unit: OnlineUnit) -> Self {
        match unit {
            OnlineUnit::Blocks { .. } => Known::Blocks(Blocks::default()),
            OnlineUnit::Rows { .. } => Known::Rows(Rows::default()),
            OnlineUnit::Pairs { .. } => Known::Pairs,
            OnlineUnit::Sample(_) => Known::Drawn(Drawn::default()),
        }
    }

    /// Adds a row that was drawn by itself.
    #[inline]
    pub fn add_row(&mut self, value: f64) {
        if let Known::Rows(rows) = self {
            rows.add(value);
        }
    }

    /// Adds what a block, or a cluster of a sample, has of the group.
    pub fn add_part(&mut self, size: u64, part: &Part, chance: Option<Chance>) {
        match (self, chance) {
            (Known::Blocks(blocks), _) => blocks.add(size, part),
            (Known::Drawn(drawn), Some(chance)) => drawn.add(size, part, chance),
            _ => {}
        }
    }

    /// Whether a sample has rows of it.
    pub fn has_rows(&self) -> bool {
        !matches!(self, Known::Drawn(drawn) if drawn.rows() == 0)
    }

    /// The estimate, with an infinite interval where nothing can be said.
    ///
    /// # Errors
    /// E304, if the confidence is not between 0 and 1, or a value was outside the bounds.
    pub fn estimate(&self, measure: &Measure, frame: &Frame<'_>, method: Method, confidence: f64) -> Result<Estimate> {
        let estimate = match (self, frame) {
            (Known::Blocks(blocks), Frame::Blocks(read)) => of_blocks(blocks, measure, read, method, confidence)?,
            (Known::Rows(rows), Frame::Rows(scope)) => of_rows(rows, measure, *scope, method, confidence)?,
            (Known::Drawn(drawn), Frame::Sample(from)) => of_sample(drawn, measure, from, confidence)?,
            _ => Estimate::around(0.0, f64::INFINITY),
        };
        Ok(match measure {
            Measure::Spread { root: true, .. } => {
                let Estimate { value, low, high } = estimate;
                Estimate { value: value.sqrt(), low: low.max(0.0).sqrt(), high: high.sqrt() }
            }
            _ => estimate,
        })
    }
}

fn of_blocks(
    blocks: &Blocks,
    measure: &Measure,
    read: &BlocksRead,
    method: Method,
    confidence: f64,
) -> Result<Estimate> {
    match measure {
        Measure::Count { .. } => blocks.count(read, method),
        Measure::Sum { .. } => blocks.sum(read, method),
        Measure::Average { .. } => blocks.average(read, method),
        Measure::Spread { sample, .. } => blocks.variance(read, *sample, confidence),
    }
}

fn of_rows(rows: &Rows, measure: &Measure, scope: Scope, method: Method, confidence: f64) -> Result<Estimate> {
    match measure {
        Measure::Count { .. } => rows.count(scope, method),
        Measure::Sum { .. } => rows.sum(scope, method),
        Measure::Average { .. } => rows.average(scope, method),
        Measure::Spread { sample: true, .. } => rows.variance(scope, confidence),
        Measure::Spread { sample: false, .. } => rows.variance_population(scope, confidence),
    }
}

fn of_sample(drawn: &Drawn, measure: &Measure, from: &DrawnFrom, confidence: f64) -> Result<Estimate> {
    match measure {
        Measure::Count { .. } => drawn.count(from, confidence),
        Measure::Sum { .. } => drawn.sum(from, confidence),
        Measure::Average { .. } => drawn.average(from, confidence),
        Measure::Spread { sample, .. } => drawn.variance(from, *sample, confidence),
    }
}
