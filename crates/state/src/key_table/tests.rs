//! Key tables against a model: a `HashMap` from the row's text to its group.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{Field, Int64Type};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use super::*;

/// A column of a type with values drawn from a small range, so that keys meet again.
fn column(kind: usize, values: &[Option<u8>]) -> ArrayRef {
    let ints = || values.iter().map(|v| v.map(i64::from));
    let text = |v: u8| ["", "a", "abc", "twelve bytes", "thirteen byte", "a much longer text"][usize::from(v) % 6];
    match kind {
        0 => Arc::new(ints().collect::<Int64Array>()),
        1 => Arc::new(values.iter().map(|v| v.map(text)).collect::<StringArray>()),
        2 => Arc::new(values.iter().map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>()),
        3 => Arc::new(values.iter().map(|v| v.map(|v| f32::from(v) - 2.5)).collect::<Float32Array>()),
        4 => Arc::new(ints().map(|v| v.map(i128::from)).collect::<Decimal128Array>()),
        5 => Arc::new(ints().collect::<TimestampMillisecondArray>().with_timezone("+00:00")),
        6 => Arc::new(values.iter().map(|v| v.map(text)).collect::<StringViewArray>()),
        7 => Arc::new(values.iter().map(|v| v.map(|v| i8::try_from(v).unwrap() - 3)).collect::<Int8Array>()),
        8 => {
            let field = Arc::new(Field::new("a", DataType::Int64, true));
            let nulls = values.iter().map(|v| *v != Some(3)).collect();
            Arc::new(StructArray::new(vec![field].into(), vec![column(0, values)], Some(nulls)))
        }
        _ => {
            let lists = values.iter().map(|v| v.map(|v| vec![Some(i64::from(v / 2)); usize::from(v % 2)]));
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
        }
    }
}

fn texts(columns: &[ArrayRef]) -> Vec<String> {
    let text = |column: &ArrayRef, row| {
        if column.is_null(row) { "NULL".to_owned() } else { array_value_to_string(column, row).unwrap() }
    };
    (0..columns[0].len()).map(|row| columns.iter().map(|c| text(c, row)).collect::<Vec<_>>().join("|")).collect()
}

type Step = (Vec<Vec<Option<u8>>>, Vec<usize>);

fn steps(width: usize) -> impl Strategy<Value = Vec<Step>> {
    let row = prop::collection::vec(prop::option::weighted(0.85, 0u8..7), width);
    let step = (prop::collection::vec(row, 0..40), prop::collection::vec(0usize..50, 0..6));
    prop::collection::vec(step, 1..8)
}

fn check(kinds: &[usize], steps: Vec<Step>) {
    let columns = |rows: &[Vec<Option<u8>>]| -> Vec<ArrayRef> {
        let values = |i: usize| rows.iter().map(|row| row[i]).collect::<Vec<_>>();
        kinds.iter().enumerate().map(|(i, kind)| column(*kind, &values(i))).collect()
    };
    let types: Vec<DataType> = columns(&[]).iter().map(|c| c.data_type().clone()).collect();
    let mut table = KeyTable::new(&types).unwrap();
    let mut model: HashMap<String, u32> = HashMap::new();
    let mut groups = vec![];
    for (rows, removals) in steps {
        let batch = columns(&rows);
        let before: HashSet<u32> = model.values().copied().collect();
        table.intern(&batch, &mut groups).unwrap();
        for (text, group) in texts(&batch).into_iter().zip(&groups) {
            assert_eq!(model.entry(text).or_insert(*group), group);
        }
        let live: HashSet<u32> = model.values().copied().collect();
        assert_eq!((live.len(), table.len()), (model.len(), model.len()), "one number for each key");
        assert_eq!(table.created().iter().copied().collect::<HashSet<_>>(), &live - &before);
        check_reads(&mut table, &model, &batch);
        let mut doomed = table.groups();
        doomed.retain(|group| removals.contains(&(*group as usize)));
        table.remove(&doomed);
        model.retain(|_, group| !doomed.contains(group));
    }
}

fn check_reads(table: &mut KeyTable, model: &HashMap<String, u32>, batch: &[ArrayRef]) {
    let all = table.groups();
    assert_eq!(all.len(), model.len());
    if !all.is_empty() {
        let keys = table.keys(&all).unwrap();
        assert!(texts(&keys).iter().zip(&all).all(|(text, group)| model[text] == *group));
        let mut found = vec![];
        table.lookup(&keys, &mut found).unwrap();
        assert_eq!(found, all);
    }
    let mut found = vec![];
    table.lookup(batch, &mut found).unwrap();
    assert!(texts(batch).iter().zip(&found).all(|(text, group)| model[text] == *group));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn one_column_of_each_type(kind in 0usize..10, steps in steps(1)) {
        check(&[kind], steps);
    }

    #[test]
    fn several_columns(kinds in prop::collection::vec(0usize..10, 2..5), steps in steps(4)) {
        check(&kinds, steps);
    }

    #[test]
    fn several_words(kinds in prop::collection::vec(prop::sample::select(vec![0usize, 2, 3, 5, 7]), 2..4), steps in steps(3)) {
        check(&kinds, steps);
    }
}

/// Different keys with one hash stay apart, in one batch and later.
#[test]
fn colliding_hashes() {
    let mut table = KeyTable::new(&[DataType::Utf8]).unwrap();
    let texts = |texts: &[&str]| -> Vec<ArrayRef> { vec![Arc::new(StringArray::from(texts.to_vec()))] };
    let mut groups = vec![];
    table.intern_hashed(&texts(&["a", "b", "b", "a", "c"]), &[7; 5], &mut groups).unwrap();
    assert_eq!(groups, [0, 1, 1, 0, 2]);
    table.remove(&[0]);
    table.intern_hashed(&texts(&["c", "d", "b"]), &[7; 3], &mut groups).unwrap();
    assert_eq!(groups, [2, 0, 1]);
    assert_eq!(table.keys(&[0, 1, 2]).unwrap()[0].as_ref(), texts(&["d", "b", "c"])[0].as_ref());
}

#[test]
fn a_table_shrinks() {
    let mut table = KeyTable::new(&[DataType::Int64]).unwrap();
    let mut groups = vec![];
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
    table.intern(&[keys], &mut groups).unwrap();
    let full = table.bytes();
    table.remove(&groups[10..]);
    assert_eq!(table.groups(), (0..10).collect::<Vec<_>>());
    assert!(table.bytes() + 1_500_000 < full, "{} of {full}", table.bytes());
}

#[test]
fn wrong_types_are_refused() {
    let mut table = KeyTable::new(&[DataType::Int64]).unwrap();
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    assert!(table.intern(&[keys], &mut vec![]).is_err());
    assert!(KeyTable::new(&[]).is_err());
    assert!(KeyTable::new(&vec![DataType::Utf8; columns::COLUMNS_MAX + 1]).is_err());
}
