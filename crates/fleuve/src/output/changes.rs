//! From weights to the kinds of change that a person reads.

use std::collections::HashMap;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute;
use arrow::row::{OwnedRow, RowConverter, SortField};
use fleuve_base::Result;
use fleuve_flow::Batch;

use super::internal;

/// All batches of an epoch as one.
pub fn concat(batches: &[Batch]) -> Result<Option<Batch>> {
    let Some(first) = batches.first() else { return Ok(None) };
    let columns = compute::concat_batches(&first.schema(), batches.iter().map(|b| &b.columns)).map_err(internal)?;
    let weights: Int64Array = batches.iter().flat_map(|b| (0..b.num_rows()).map(|row| b.weight(row))).collect();
    Ok(Some(Batch::weighted(columns, weights)))
}

/// The rows to print, each as often as its weight says, and the kind of each. Where a key is known, the retraction and the
/// insertion of one key stand together as an update; elsewhere retractions come first.
pub fn order(batch: &Batch, key: Option<&[usize]>) -> Result<(Vec<u32>, Vec<&'static str>)> {
    let (mut rows, mut ops) = (vec![], vec![]);
    let mut emit = |row: usize, op: &'static str| {
        for _ in 0..batch.weight(row).unsigned_abs() {
            rows.push(u32::try_from(row).expect("a batch has fewer than 2^32 rows"));
            ops.push(op);
        }
    };
    let Some(key) = key else {
        let (out, back): (Vec<usize>, Vec<usize>) = (0..batch.num_rows()).partition(|row| batch.weight(*row) < 0);
        out.into_iter().for_each(|row| emit(row, "-D"));
        back.into_iter().for_each(|row| emit(row, "+I"));
        return Ok((rows, ops));
    };
    for (out, back) in by_key(batch, key)? {
        let update = !out.is_empty() && !back.is_empty();
        out.into_iter().for_each(|row| emit(row, if update { "-U" } else { "-D" }));
        back.into_iter().for_each(|row| emit(row, if update { "+U" } else { "+I" }));
    }
    Ok((rows, ops))
}

/// Retracted and inserted rows of each key, keys in order of first appearance.
fn by_key(batch: &Batch, key: &[usize]) -> Result<Vec<(Vec<usize>, Vec<usize>)>> {
    if key.is_empty() {
        let (out, back) = (0..batch.num_rows()).partition(|row| batch.weight(*row) < 0);
        return Ok(vec![(out, back)]);
    }
    let columns: Vec<ArrayRef> = key.iter().map(|k| batch.column(*k).clone()).collect();
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let converted = RowConverter::new(fields).and_then(|c| c.convert_columns(&columns)).map_err(internal)?;
    let mut places: HashMap<OwnedRow, usize> = HashMap::new();
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = vec![];
    for row in 0..batch.num_rows() {
        let place = *places.entry(converted.row(row).owned()).or_insert_with(|| {
            groups.push((vec![], vec![]));
            groups.len() - 1
        });
        let (out, back) = &mut groups[place];
        if batch.weight(row) < 0 { out.push(row) } else { back.push(row) }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::RecordBatch;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn batch(rows: &[(i64, i64, i64)]) -> Batch {
        let schema =
            Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("v", DataType::Int64, false)]);
        let column =
            |pick: fn(&(i64, i64, i64)) -> i64| -> ArrayRef { Arc::new(rows.iter().map(pick).collect::<Int64Array>()) };
        let columns = RecordBatch::try_new(Arc::new(schema), vec![column(|r| r.0), column(|r| r.1)]).expect("valid");
        Batch::weighted(columns, rows.iter().map(|r| r.2).collect())
    }

    #[test]
    fn an_update_stands_together() {
        let (rows, ops) =
            order(&batch(&[(1, 11, 1), (2, 20, 1), (1, 10, -1), (3, 30, -1)]), Some(&[0])).expect("orders");
        assert_eq!(rows, [2, 0, 1, 3]);
        assert_eq!(ops, ["-U", "+U", "+I", "-D"]);
    }

    #[test]
    fn a_weight_of_two_is_two_lines() {
        let (rows, ops) = order(&batch(&[(1, 10, 2), (1, 9, -1)]), None).expect("orders");
        assert_eq!((rows, ops), (vec![1, 0, 0], vec!["-D", "+I", "+I"]));
    }
}
