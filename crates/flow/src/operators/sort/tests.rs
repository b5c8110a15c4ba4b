//! Sort and limit against sorted lists.

use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use super::super::limit::Limit;
use super::super::testing::{Cluster, info, text};
use super::*;

type Row = (Option<i64>, &'static str);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("s", DataType::Utf8, true)]))
}

fn batch(rows: &[(Row, i64)], weighted: bool) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(row, _)| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(row, _)| Some(row.1)).collect::<StringArray>()),
    ];
    let columns = RecordBatch::try_new(schema(), columns).unwrap();
    let weights = Int64Array::from_iter_values(rows.iter().map(|(_, weight)| *weight));
    Batch { columns, weights: weighted.then_some(weights) }
}

fn texts(batches: &[Batch]) -> Vec<String> {
    let rows = |batch: &Batch| (0..batch.num_rows()).map(|row| text(&batch.columns, row)).collect::<Vec<_>>();
    batches.iter().flat_map(rows).collect()
}

fn line(row: &Row) -> String {
    format!("{},{}", row.0.map_or("NULL".into(), |n| n.to_string()), row.1)
}

fn epochs() -> impl Strategy<Value = Vec<(Vec<Row>, Option<usize>)>> {
    let row = (prop::option::of(0i64..5), prop::sample::select(vec!["a", "b", "cc"]));
    prop::collection::vec((prop::collection::vec(row, 0..12), prop::option::of(1usize..4)), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Largest n first, NULLs at the end, ties by the row; every row comes twice and goes once.
    #[test]
    fn sorts(epochs in epochs(), skip in 0u64..5, fetch in prop::option::of(0u64..20), weighted in any::<bool>()) {
        let keys = [SortKey { column: 0, descending: true, nulls_first: false }];
        let make = |share| Box::new(Sort::new(&keys, skip, fetch, schema(), share)) as Box<dyn EpochOperator>;
        let mut cluster = Cluster::new(&make, &[]);
        let mut all: Vec<Row> = vec![];
        for (epoch, (rows, restart)) in epochs.iter().enumerate() {
            if let Some(workers) = restart {
                cluster.restart(*workers);
            }
            all.extend(rows);
            let come: Vec<(Row, i64)> = rows.iter().map(|row| (*row, if weighted { 2 } else { 1 })).collect();
            let go: Vec<(Row, i64)> = rows.iter().map(|row| (*row, -1)).collect();
            let mut batches = vec![batch(&come, weighted)];
            if weighted {
                batches.insert(0, batch(&go, true));
            }
            prop_assert!(cluster.epoch_batches(info(epoch as u64), &batches).is_empty());
        }
        all.sort_by_key(|row| (row.0.is_none(), std::cmp::Reverse(row.0), row.1));
        let all: Vec<Row> =
            all.into_iter().skip(skip as usize).take(fetch.map_or(usize::MAX, |fetch| fetch as usize)).collect();
        let output = cluster.epoch_batches(EpochInfo { last: true, ..info(99) }, &[]);
        prop_assert_eq!(texts(&output), all.iter().map(line).collect::<Vec<_>>());
    }

    #[test]
    fn limits(epochs in epochs(), skip in 0u64..10, fetch in prop::option::of(0u64..10)) {
        let make = |share| Box::new(Limit::new(skip, fetch, schema(), share)) as Box<dyn EpochOperator>;
        let mut cluster = Cluster::new(&make, &[]);
        let (mut expected, mut output): (Vec<Row>, Vec<String>) = (vec![], vec![]);
        for (epoch, (rows, restart)) in epochs.iter().enumerate() {
            if let Some(workers) = restart {
                cluster.restart(*workers);
            }
            let mut sorted = rows.clone();
            sorted.sort_unstable();
            expected.extend(sorted);
            let rows: Vec<(Row, i64)> = rows.iter().map(|row| (*row, 1)).collect();
            let (left, right) = rows.split_at(rows.len() / 2);
            let batches = [batch(right, false), batch(left, true)];
            output.extend(texts(&cluster.epoch_batches(info(epoch as u64), &batches)));
        }
        let fetch = fetch.map_or(usize::MAX, |fetch| fetch as usize);
        let expected: Vec<String> = expected.iter().skip(skip as usize).take(fetch).map(line).collect();
        prop_assert_eq!(output, expected);
    }
}

/// With a limit, memory does not grow with the input.
#[test]
fn only_the_first_rows_are_kept() {
    let keys = [SortKey { column: 0, descending: false, nulls_first: true }];
    let mut sort = Sort::new(&keys, 0, Some(3), schema(), Share { worker: 0, workers: 1 });
    for epoch in 0..20 {
        let rows: Vec<(Row, i64)> = (0..10_000).map(|i| ((Some(i * 20 - epoch), "x"), 1)).collect();
        sort.apply(&info(epoch as u64), &mut [vec![batch(&rows, false)]], &mut vec![]).unwrap();
        assert!(sort.stats().state_rows as u64 <= SPARE_ROWS + 10_000);
    }
    let mut output = vec![];
    sort.apply(&EpochInfo { last: true, ..info(20) }, &mut [vec![]], &mut output).unwrap();
    assert_eq!(texts(&output), ["-19,x", "-18,x", "-17,x"]);
}

#[test]
fn a_limit_cannot_take_rows_back() {
    let mut limit = Limit::new(0, Some(3), schema(), Share { worker: 0, workers: 1 });
    let error = limit.apply(&info(0), &mut [vec![batch(&[((None, "a"), -1)], true)]], &mut vec![]).unwrap_err();
    assert_eq!(error.code(), "E203");
    assert!(!limit.is_full());
}
