//! Lookups in small tables.

use std::sync::Arc;

use arrow::array::types::Int64Type;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use fleuve_plan::BinaryOp;

use super::*;

fn schema(names: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(
        names.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>(),
    ))
}

fn input() -> SchemaRef {
    schema(&[("id", DataType::Int64), ("least", DataType::Int64)])
}

fn table() -> SchemaRef {
    schema(&[("name", DataType::Utf8), ("key", DataType::Int64), ("size", DataType::Int64)])
}

fn table_rows(rows: &[(Option<i64>, i64)]) -> RecordBatch {
    let name: StringArray = rows.iter().map(|(key, size)| Some(format!("{key:?}/{size}"))).collect();
    let key: Int64Array = rows.iter().map(|row| row.0).collect();
    let size: Int64Array = rows.iter().map(|row| Some(row.1)).collect();
    RecordBatch::try_new(table(), vec![Arc::new(name), Arc::new(key), Arc::new(size)]).unwrap()
}

fn join(kind: JoinKind, rows: &[RecordBatch], filtered: bool) -> LookupJoin {
    let output = Schema::new(input().fields().iter().chain(table().fields()).cloned().collect::<Vec<_>>());
    let filter = filtered.then(|| Expr::binary(BinaryOp::Lt, Expr::Column(1), Expr::Column(4)));
    let key = Expr::binary(BinaryOp::Plus, Expr::Column(0), Expr::int64(100));
    let context = CompileContext::default();
    LookupJoin::new(input(), table(), rows, kind, &[key], &[1], filter.as_ref(), Arc::new(output), &context).unwrap()
}

fn asked(ids: &[Option<i64>], weights: Option<Vec<i64>>) -> Batch {
    let id: ArrayRef = Arc::new(ids.iter().copied().collect::<Int64Array>());
    let least: ArrayRef = Arc::new(Int64Array::from(vec![1; ids.len()]));
    let columns = RecordBatch::try_new(input(), vec![id, least]).unwrap();
    Batch { columns, weights: weights.map(Int64Array::from) }
}

/// (id, size, weight), sorted.
fn answers(batch: &Batch) -> Vec<(Option<i64>, Option<i64>, i64)> {
    let (id, size) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(4).as_primitive::<Int64Type>());
    let mut answers: Vec<_> = (0..batch.num_rows())
        .map(|row| {
            (id.is_valid(row).then(|| id.value(row)), size.is_valid(row).then(|| size.value(row)), batch.weight(row))
        })
        .collect();
    answers.sort();
    answers
}

#[test]
fn finds_by_a_computed_key_across_batches() {
    let rows = [table_rows(&[(Some(101), 1), (Some(102), 2)]), table_rows(&[(None, 9), (Some(102), 3)])];
    let batch = asked(&[Some(2), None, Some(1), Some(7)], Some(vec![1, 1, -1, 2]));
    let inner = join(JoinKind::Inner, &rows, false);
    assert_eq!(inner.table_rows(), 3);
    let found = inner.apply(&batch).unwrap();
    assert_eq!(answers(&found), [(Some(1), Some(1), -1), (Some(2), Some(2), 1), (Some(2), Some(3), 1)]);
    let left = join(JoinKind::Left, &rows, false).apply(&batch).unwrap();
    let expected =
        [(None, None, 1), (Some(1), Some(1), -1), (Some(2), Some(2), 1), (Some(2), Some(3), 1), (Some(7), None, 2)];
    assert_eq!(answers(&left), expected);
}

#[test]
fn a_filter_decides_what_matches() {
    let rows = [table_rows(&[(Some(101), 1), (Some(102), 2)])];
    let batch = asked(&[Some(1), Some(2)], None);
    assert_eq!(answers(&join(JoinKind::Inner, &rows, true).apply(&batch).unwrap()), [(Some(2), Some(2), 1)]);
    let left = join(JoinKind::Left, &rows, true).apply(&batch).unwrap();
    assert!(left.weights.is_none());
    assert_eq!(answers(&left), [(Some(1), None, 1), (Some(2), Some(2), 1)]);
}

#[test]
fn an_empty_table_and_an_empty_answer_have_the_schema() {
    let batch = asked(&[Some(1)], None);
    let none = join(JoinKind::Inner, &[], false).apply(&batch).unwrap();
    assert_eq!((none.num_rows(), none.columns.num_columns()), (0, 5));
    assert_eq!(answers(&join(JoinKind::Left, &[], false).apply(&batch).unwrap()), [(Some(1), None, 1)]);
}

#[test]
fn many_matches_come_in_pieces() {
    let rows: Vec<_> = (0..1000).map(|size| (Some(101), size)).collect();
    let join = join(JoinKind::Inner, &[table_rows(&rows)], false);
    let pieces = join.apply_in_pieces(&asked(&[Some(1); 100], None)).unwrap();
    assert_eq!(pieces.iter().map(Batch::num_rows).sum::<usize>(), 100_000);
    assert!(pieces.iter().all(|piece| piece.num_rows() <= fleuve_base::limits::BATCH_ROWS));
}

#[test]
fn other_kinds_and_other_types_are_refused() {
    let make = |kind, key: usize| {
        let context = CompileContext::default();
        LookupJoin::new(input(), table(), &[], kind, &[Expr::Column(0)], &[key], None, input(), &context)
    };
    assert!(make(JoinKind::Semi, 1).is_err());
    assert!(make(JoinKind::Inner, 0).is_err());
}
