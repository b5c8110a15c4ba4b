//! What the intervals of a measure claim, and the bounds of its values that they rely on.

use fleuve_base::{Error, Result};
use fleuve_plan::{OnlineAggregate, OnlineBounds, OnlineMethod};
use fleuve_sketch::online::{Bounds, Method};

use super::tally::Values;

/// How intervals are come by.
#[derive(Debug)]
pub struct Claim {
    /// For the sketches. The bounds of a number of rows do not count.
    pub method: Method,
    /// How often the truth is to be in an interval.
    pub confidence: f64,
    bounds: Option<OnlineBounds>,
}

impl Claim {
    /// What is claimed of the aggregate at a position.
    ///
    /// # Errors
    /// E304, if its bounds are not in order.
    pub fn new(spec: &OnlineAggregate, at: usize) -> Result<Self> {
        let confidence = spec.confidence;
        let bounds = spec.bounds.get(at).cloned().flatten().filter(|_| spec.method != OnlineMethod::LargeSample);
        let (low, high) = bounds.as_ref().map_or((0.0, 1.0), |bounds| (bounds.low, bounds.high));
        let known = Bounds::new(low, high)?;
        let method = match spec.method {
            OnlineMethod::LargeSample => Method::LargeSample { confidence },
            OnlineMethod::Conservative => Method::Conservative { confidence, bounds: known },
            OnlineMethod::Deterministic => Method::Deterministic { bounds: known },
        };
        Ok(Claim { method, confidence, bounds })
    }

    /// That values lie within the bounds.
    ///
    /// # Errors
    /// E304, if one does not: names the column and the value.
    pub fn check(&self, values: &Values, rows: usize) -> Result<()> {
        let Some(OnlineBounds { column, low, high }) = &self.bounds else { return Ok(()) };
        // Not a number is in no bounds.
        let is_outside = |value: &f64| !(*low..=*high).contains(value);
        let Some(value) = (0..rows).filter_map(|row| values.of(row)).find(is_outside) else { return Ok(()) };
        let message = format!("`{column}` has the value {value}, which is outside its bounds {low} to {high}");
        Err(Error::input("E304", message).with_hint(format!(
            "intervals by this method rely on the bounds: SET 'online.bounds' = '{column} low high'"
        )))
    }
}
