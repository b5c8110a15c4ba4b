//! Saved state of keyed operators: key columns beside state columns, and which rows of it a worker takes up.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use fleuve_base::{Error, Result};
use fleuve_state::hash::{hash_rows, key_group};

use crate::operator::{Share, StateTable};

/// Builds a table of key columns, then state columns.
///
/// # Errors
/// If the columns differ in length.
pub fn state_table(name: &str, rows: usize, keys: Vec<ArrayRef>, states: Vec<ArrayRef>) -> Result<StateTable> {
    let field =
        |kind: &str, i: usize, column: &ArrayRef| Field::new(format!("{kind}_{i}"), column.data_type().clone(), true);
    let key_fields = keys.iter().enumerate().map(|(i, column)| field("key", i, column));
    let state_fields = states.iter().enumerate().map(|(i, column)| field("state", i, column));
    let schema = Arc::new(Schema::new(key_fields.chain(state_fields).collect::<Vec<_>>()));
    let columns = keys.into_iter().chain(states).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options);
    Ok(StateTable { name: name.to_owned(), rows: rows.map_err(|e| arrow_error("save state", &e))? })
}

/// The table of a name, with only the rows that a worker owns by the hash of the first `keys` columns; without keys they
/// belong to key group 0. `None` if there is no such table.
///
/// # Errors
/// If the table has fewer than `columns` columns.
pub fn owned_rows(
    tables: &[StateTable],
    name: &str,
    keys: usize,
    columns: usize,
    share: Share,
) -> Result<Option<RecordBatch>> {
    let Some(table) = tables.iter().find(|table| table.name == name) else { return Ok(None) };
    if table.rows.num_columns() != columns {
        return Err(Error::corrupt(format!("the stored table `{name}` does not fit its operator")));
    }
    if keys == 0 {
        return Ok(Some(if share.owns(0) { table.rows.clone() } else { table.rows.slice(0, 0) }));
    }
    let mut hashes = Vec::new();
    hash_rows(&table.rows.columns()[..keys], &mut hashes)?;
    let owned: BooleanArray = hashes.iter().map(|hash| Some(share.owns(key_group(*hash)))).collect();
    filter_record_batch(&table.rows, &owned).map(Some).map_err(|e| arrow_error("restore state", &e))
}

/// An error of Arrow's that no input can cause.
pub fn arrow_error(doing: &str, error: &arrow::error::ArrowError) -> Error {
    Error::internal(format!("could not {doing}: {error}"))
}

/// The types of an input's columns.
pub fn types_of(schema: &Schema) -> Vec<arrow::datatypes::DataType> {
    schema.fields().iter().map(|field| field.data_type().clone()).collect()
}

/// Columns at positions.
pub fn select(columns: &[ArrayRef], positions: &[usize]) -> Vec<ArrayRef> {
    positions.iter().map(|position| columns[*position].clone()).collect()
}

/// A batch of an operator's output.
pub fn output_batch(schema: &Arc<Schema>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| arrow_error("emit rows", &e))
}
