//! Looks rows up in a bounded table that was read whole before the first of them came.
//!
//! It has no state of its own that changes, and answers batch by batch.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fleuve_base::{Error, Result};
use fleuve_functions::compile::{CompileContext, PhysicalExprRef, compile_all, data_type, evaluate};
use fleuve_plan::{Expr, JoinKind};
use fleuve_state::columns::{arrow_error, concat_owned, slabs};
use fleuve_state::multimap::{CHUNK_ROWS_MAX, Keys, Layout, Multimap};

use super::join::{Output, PairFilter, PairStream, Probing, concat_batches, filter_batch, without_nulls};
use crate::batch::Batch;

/// A table, and how rows are looked up in it.
pub struct LookupJoin {
    outer: bool,
    input_keys: Vec<PhysicalExprRef>,
    table: Multimap,
    filter: Option<PairFilter>,
    output: SchemaRef,
}

impl LookupJoin {
    /// Indexes the table. `table_keys` are positions in its columns, `input_keys` expressions over the input; the filter
    /// reads the concatenated columns.
    ///
    /// # Errors
    /// If expressions do not fit the columns, keys differ in type, or the join is neither inner nor left.
    #[allow(clippy::too_many_arguments, reason = "the parts of a plan's node")]
    pub fn new(
        input: SchemaRef,
        table_schema: SchemaRef,
        table: &[RecordBatch],
        kind: JoinKind,
        input_keys: &[Expr],
        table_keys: &[usize],
        filter: Option<&Expr>,
        output: SchemaRef,
        context: &CompileContext,
    ) -> Result<Self> {
        let outer = match kind {
            JoinKind::Inner => false,
            JoinKind::Left => true,
            other => return Err(Error::internal(format!("a lookup join of kind {other:?}"))),
        };
        for (expr, &key) in input_keys.iter().zip(table_keys) {
            let (asked, _) = data_type(expr, &input, context)?;
            let stored = table_schema.field(key).data_type();
            if asked != *stored {
                return Err(Error::internal(format!("a lookup of type {asked} in a column of type {stored}")));
            }
        }
        let input_keys = compile_all(input_keys, &input, context)?;
        let filter = filter.map(|filter| PairFilter::new(filter, &input, &table_schema, &Some, context)).transpose()?;
        let table = index(table_schema, table, table_keys)?;
        Ok(LookupJoin { outer, input_keys, table, filter, output })
    }

    /// The rows of a batch with what the table holds for them, as one batch; with the input's weights.
    ///
    /// # Errors
    /// If an expression fails, or the result does not fit into one batch.
    pub fn apply(&self, batch: &Batch) -> Result<Batch> {
        concat_batches(&self.output, self.apply_in_pieces(batch)?)
    }

    /// As [`LookupJoin::apply`], in batches of bounded size however many rows of the table match.
    ///
    /// # Errors
    /// If an expression fails.
    pub fn apply_in_pieces(&self, batch: &Batch) -> Result<Vec<Batch>> {
        let rows = &batch.columns;
        let columns = self.input_keys.iter().map(|key| evaluate(key, rows)).collect::<Result<_>>()?;
        let mut stream = PairStream::new(Probing::Left, rows.clone(), Keys::new(columns, rows.num_rows())?);
        let weights = batch.weights.as_ref().map(|weights| &weights.values()[..]);
        let mut output = Output::new(self.output.clone(), weights.is_some());
        let mut unmatched = vec![self.outer; rows.num_rows()];
        while stream.advance(&self.table, self.filter.as_ref())? {
            if self.outer {
                stream.pairs().probe.iter().for_each(|&row| unmatched[row as usize] = false);
            }
            output.pairs(&stream, &self.table, weights)?;
        }
        output.flush(&stream, &self.table)?;
        if unmatched.contains(&true) {
            output.batches(vec![rows_where(batch, &unmatched)?])?;
        }
        output.finish(false)
    }

    /// Bytes of the table and its index.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Rows of the table that can be found.
    pub fn table_rows(&self) -> usize {
        self.table.len()
    }
}

fn index(schema: SchemaRef, batches: &[RecordBatch], keys: &[usize]) -> Result<Multimap> {
    let layout = Layout { schema: schema.clone(), keys: keys.to_vec(), time: None, retractable: false, counted: false };
    let mut table = Multimap::new(layout);
    for slab in slabs(batches, CHUNK_ROWS_MAX) {
        let named = |batch: &RecordBatch| RecordBatch::try_new(schema.clone(), batch.columns().to_vec());
        let slab = slab.iter().map(named).collect::<Result<Vec<_>, _>>().map_err(arrow_error)?;
        let rows = without_nulls(concat_owned(&schema, &slab)?, keys)?;
        let keys = table.keys_of(&rows)?;
        table.insert(rows, &keys, &[])?;
    }
    Ok(table)
}

fn rows_where(batch: &Batch, mask: &[bool]) -> Result<Batch> {
    filter_batch(batch.clone(), mask.iter().copied().collect())
}

#[cfg(test)]
mod tests;
