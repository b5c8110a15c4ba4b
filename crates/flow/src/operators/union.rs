//! UNION ALL: the rows of all inputs.
//!
//! Batches pass as they are; only the schema becomes the output's, whose names are those of the first input.

use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;
use fleuve_base::Result;
use fleuve_state::columns::batch_of;

use crate::batch::Batch;

/// Gives a batch the schema of the union; with `changelog`, also weights if it has none.
///
/// # Errors
/// If the batch has other types than the union.
pub fn apply(schema: &SchemaRef, changelog: bool, batch: Batch) -> Result<Batch> {
    let rows = batch.num_rows();
    let columns = match batch.columns.schema_ref() == schema {
        true => batch.columns,
        false => batch_of(schema, batch.columns.columns().to_vec(), rows)?,
    };
    let weights = batch.weights.or_else(|| changelog.then(|| Int64Array::from(vec![1; rows])));
    Ok(Batch { columns, weights })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::RecordBatch;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn takes_the_names_of_the_union_and_weights_where_needed() {
        let named = |name: &str| Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, true)]));
        let rows = RecordBatch::try_new(named("b"), vec![Arc::new(Int64Array::from(vec![7, 8]))]).unwrap();
        let plain = apply(&named("a"), false, Batch::append(rows.clone())).unwrap();
        assert_eq!((plain.schema(), plain.weights), (named("a"), None));
        let changes = apply(&named("a"), true, Batch::append(rows.clone())).unwrap();
        assert_eq!(changes.weights, Some(Int64Array::from(vec![1, 1])));
        let other = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        assert!(apply(&other, false, Batch::append(rows)).is_err());
    }
}
