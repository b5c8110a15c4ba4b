//! What the intervals of a measure claim, and the bounds of its values that they rely on.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use fleuve_base::{Error, Result};
use fleuve_plan::{BoundsFrom, OnlineAggregate, OnlineMethod};
use fleuve_sketch::online::{Bounds, Method};

use super::tally::Values;
use crate::batch::Batch;

/// How intervals are come by.
#[derive(Debug)]
pub struct Claim {
    method: OnlineMethod,
    /// How often the truth is to be in an interval.
    pub confidence: f64,
    bounds: Option<Watched>,
}

/// Bounds of a column, and what was seen of it.
#[derive(Debug)]
struct Watched {
    column: String,
    from: BoundsFrom,
    /// None as long as the input that has them has not come.
    known: Option<Bounds>,
    least: f64,
    greatest: f64,
}

impl Claim {
    /// What is claimed of the aggregate at a position.
    ///
    /// # Errors
    /// E304, if its bounds are not in order.
    pub fn new(spec: &OnlineAggregate, at: usize) -> Result<Self> {
        let bounds = spec.bounds.get(at).cloned().flatten().filter(|_| spec.method != OnlineMethod::LargeSample);
        let watched = bounds.map(|bounds| {
            let known = match bounds.from {
                BoundsFrom::Known { low, high } => Some(Bounds::new(low, high)?),
                BoundsFrom::Input(_) => None,
            };
            let (least, greatest) = (f64::INFINITY, f64::NEG_INFINITY);
            Ok(Watched { column: bounds.column, from: bounds.from, known, least, greatest })
        });
        Ok(Claim { method: spec.method, confidence: spec.confidence, bounds: watched.transpose()? })
    }

    /// For the sketches; none as long as its bounds are not known. Those of a number of rows do not count.
    pub fn method(&self) -> Option<Method> {
        let confidence = self.confidence;
        let bounds = match &self.bounds {
            Some(watched) => watched.known?,
            None => Bounds { low: 0.0, high: 1.0 },
        };
        Some(match self.method {
            OnlineMethod::LargeSample => Method::LargeSample { confidence },
            OnlineMethod::Conservative => Method::Conservative { confidence, bounds },
            OnlineMethod::Deterministic => Method::Deterministic { bounds },
        })
    }

    /// Takes the bounds from the inputs, if they come from one of them.
    ///
    /// # Errors
    /// E304, if they are not in order, or a value that was seen lies outside.
    pub fn learn(&mut self, inputs: &[Vec<Batch>]) -> Result<()> {
        let Some(watched) = &mut self.bounds else { return Ok(()) };
        let BoundsFrom::Input(input) = watched.from else { return Ok(()) };
        for batch in inputs.get(input).into_iter().flatten().filter(|batch| batch.num_rows() > 0) {
            let [low, high] = [0, 1].map(|column| batch.column(column).as_primitive::<Float64Type>());
            if low.is_valid(0) && high.is_valid(0) {
                watched.known = Some(Bounds::new(low.value(0), high.value(0))?);
            }
        }
        watched.check()
    }

    /// That values lie within the bounds.
    ///
    /// # Errors
    /// E304, if one does not: names the column and the value.
    pub fn check(&mut self, values: &Values, rows: usize) -> Result<()> {
        let Some(watched) = &mut self.bounds else { return Ok(()) };
        for value in (0..rows).filter_map(|row| values.of(row)) {
            // What is not a number is in no bounds.
            watched.least = if value.is_nan() { f64::NEG_INFINITY } else { watched.least.min(value) };
            watched.greatest = watched.greatest.max(value);
        }
        watched.check()
    }
}

impl Watched {
    fn check(&self) -> Result<()> {
        let Some(Bounds { low, high }) = self.known else { return Ok(()) };
        if self.least >= low && self.greatest <= high {
            return Ok(());
        }
        let (column, value) = (&self.column, if self.least < low { self.least } else { self.greatest });
        let message = format!("`{column}` has the value {value}, which is outside its bounds {low} to {high}");
        let hint = format!("intervals by this method rely on the bounds: SET 'online.bounds' = '{column} low high'");
        Err(Error::input("E304", message).with_hint(hint))
    }
}
