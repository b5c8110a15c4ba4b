//! VALUES: rows of constants, emitted once in the first epoch.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_functions::compile::{CompileContext, compile, evaluate};
use fleuve_plan::Expr;

use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, Share, StateTable};

/// Emits its rows on worker 0, in the first epoch that it sees.
pub struct Values {
    rows: Option<RecordBatch>,
}

impl Values {
    /// Evaluates the rows.
    ///
    /// # Errors
    /// If an expression cannot be evaluated.
    pub fn new(rows: &[Vec<Expr>], output: SchemaRef, share: Share, context: &CompileContext) -> Result<Self> {
        if share.worker != 0 || rows.is_empty() {
            return Ok(Values { rows: None });
        }
        let column = |(at, field): (usize, &FieldRef)| {
            let column = column_of(rows, at, context)?;
            compute::cast(&column, field.data_type()).map_err(|e| Error::internal(format!("VALUES: {e}")))
        };
        let columns = output.fields().iter().enumerate().map(column);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let rows = RecordBatch::try_new_with_options(output, columns, &options)
            .map_err(|e| Error::internal(format!("VALUES do not fit their schema: {e}")))?;
        Ok(Values { rows: Some(rows) })
    }
}

fn column_of(rows: &[Vec<Expr>], column: usize, context: &CompileContext) -> Result<ArrayRef> {
    let schema = Arc::new(Schema::empty());
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let unit =
        RecordBatch::try_new_with_options(schema.clone(), vec![], &one).map_err(|e| Error::internal(e.to_string()))?;
    let cells = rows.iter().map(|row| evaluate(&compile(&row[column], &schema, context)?, &unit));
    let cells = cells.collect::<Result<Vec<_>>>()?;
    let cells: Vec<&dyn arrow::array::Array> = cells.iter().map(AsRef::as_ref).collect();
    compute::concat(&cells).map_err(|e| Error::internal(format!("VALUES of one column differ in type: {e}")))
}

impl EpochOperator for Values {
    fn apply(&mut self, _info: &EpochInfo, _inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        output.extend(self.rows.take().map(Batch::append));
        Ok(())
    }

    /// One row if the rows are still to be emitted.
    fn save(&mut self) -> Result<Vec<StateTable>> {
        let schema = Arc::new(Schema::new(vec![Field::new("pending", DataType::Boolean, false)]));
        let pending: ArrayRef = Arc::new(BooleanArray::from(vec![self.rows.is_some()]));
        let rows = RecordBatch::try_new(schema, vec![pending]).map_err(|e| Error::internal(e.to_string()))?;
        Ok(vec![StateTable { name: "values".to_owned(), rows }])
    }

    /// A snapshot is taken at the end of an epoch, so the rows have left before it.
    fn restore(&mut self, _tables: &[StateTable], _share: Share) -> Result<()> {
        self.rows = None;
        Ok(())
    }
}
