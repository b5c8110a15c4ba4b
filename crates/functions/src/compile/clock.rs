//! The epoch's clock: the only time that an expression can see.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::ColumnarValue;

use super::PhysicalExprRef;
use super::kernel::{self, Kernel};

/// The clock of the epoch that is being evaluated, in milliseconds since 1970. A worker sets it before each epoch.
#[derive(Debug, Clone, Default)]
pub struct ClockCell(Arc<AtomicI64>);

impl ClockCell {
    /// A clock that stands at `millis`.
    pub fn new(millis: i64) -> Self {
        ClockCell(Arc::new(AtomicI64::new(millis)))
    }

    /// Sets the clock for the next evaluations.
    pub fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }

    /// The clock's milliseconds since 1970.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Kernel for ClockCell {
    fn evaluate(&self, _: &[PhysicalExprRef], _: &RecordBatch) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMillisecond(Some(self.get()), Some("UTC".into()))))
    }
}

/// An expression that reads the clock.
pub(super) fn expr(clock: &ClockCell) -> PhysicalExprRef {
    let data_type = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    kernel::expr("PROCTIME()".to_string(), vec![], data_type, false, clock.clone())
}
