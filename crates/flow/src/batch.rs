//! What flows on every edge: an Arrow batch, and weights where rows may be retracted.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;

/// Rows as columns, with optional weights.
///
/// Without weights every row counts once (append-only); operators take their fast path. With weights the batch is a
/// piece of a Z-set: a row of weight `w` is there `w` times more than before, `-1` retracts it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The rows.
    pub columns: RecordBatch,
    /// One weight for each row, without NULLs, never 0; `None` means that all are 1.
    pub weights: Option<Int64Array>,
}

impl Batch {
    /// An append-only batch.
    pub fn append(columns: RecordBatch) -> Self {
        Batch { columns, weights: None }
    }

    /// A batch with weights.
    ///
    /// # Panics
    /// If there are not as many weights as rows.
    pub fn weighted(columns: RecordBatch, weights: Int64Array) -> Self {
        assert_eq!(columns.num_rows(), weights.len(), "one weight for each row");
        Batch { columns, weights: Some(weights) }
    }

    /// The number of rows, whatever their weights.
    pub fn num_rows(&self) -> usize {
        self.columns.num_rows()
    }

    /// The column at a position.
    pub fn column(&self, index: usize) -> &ArrayRef {
        self.columns.column(index)
    }

    /// The schema of the columns.
    pub fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }

    /// The weight of a row.
    pub fn weight(&self, row: usize) -> i64 {
        self.weights.as_ref().map_or(1, |weights| weights.value(row))
    }
}
