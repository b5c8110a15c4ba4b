//! Searches find every row that fulfils the conditions, and where they say so no other; the first rows are the first ones.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use fleuve_plan::{Literal, Value};
use proptest::prelude::*;

use super::*;
use crate::index::Definition;

/// A row: an integer, a text of which much may be alike, and a double.
type Row = (Option<i64>, Option<String>, Option<f64>);

fn row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        "[ab]{0,2}".prop_map(String::from),
        "[ab]{0,1}".prop_map(|end| format!("{}{end}", "a".repeat(600))),
        Just("a\0b".to_owned()),
    ];
    let double = prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(-f64::NAN), Just(f64::INFINITY), -2.0..2.0];
    (prop::option::weighted(0.9, -4_i64..4), prop::option::weighted(0.9, text), prop::option::weighted(0.9, double))
}

fn shape(key: &[usize]) -> KeyShape {
    let types = [("i", DataType::Int64), ("s", DataType::Utf8), ("d", DataType::Float64)];
    let fields = types.map(|(name, data_type)| Field::new(name, data_type, true));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    KeyShape::new(&Definition { name: "x".to_owned(), table: "t".to_owned(), schema, key: key.to_vec() })
        .expect("a key")
}

fn tree(rows: &[Row], keys: &KeyShape, key: &[usize]) -> Tree {
    let columns: [ArrayRef; 3] = [
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
    ];
    let columns: Vec<ArrayRef> = key.iter().map(|column| Arc::clone(&columns[*column])).collect();
    let mut tree = Tree::new();
    for (row, key) in keys.encode(&columns).expect("keys").iter().enumerate() {
        tree.insert(key, row as u64).expect("room");
    }
    tree
}

fn literal(row: &Row, column: usize) -> Option<Literal> {
    let (data_type, value) = match column {
        0 => (DataType::Int64, Value::Int(row.0?)),
        1 => (DataType::Utf8, Value::String(row.1.clone()?)),
        _ => (DataType::Float64, Value::Float(row.2?)),
    };
    Some(Literal { data_type, value })
}

/// What comparisons of the engine say: doubles by their total order.
fn compare(row: &Row, column: usize, to: &Literal) -> Option<std::cmp::Ordering> {
    match (column, &to.value) {
        (0, Value::Int(value)) => row.0.map(|own| own.cmp(value)),
        (1, Value::String(value)) => row.1.as_ref().map(|own| own.cmp(value)),
        (_, Value::Float(value)) => row.2.map(|own| own.total_cmp(value)),
        _ => None,
    }
}

fn lies_in(row: &Row, column: usize, interval: &KeyInterval) -> bool {
    let against = |bound: &Option<KeyBound>, wanted: std::cmp::Ordering| {
        let own = [row.0.is_some(), row.1.is_some(), row.2.is_some()][column];
        own && bound.as_ref().is_none_or(|bound| {
            compare(row, column, &bound.value)
                .is_some_and(|order| order == wanted || (bound.inclusive && order == std::cmp::Ordering::Equal))
        })
    };
    match interval {
        KeyInterval::Null => literal(row, column).is_none(),
        KeyInterval::Is(value) => compare(row, column, value) == Some(std::cmp::Ordering::Equal),
        KeyInterval::Between { low, high } => {
            against(low, std::cmp::Ordering::Greater) && against(high, std::cmp::Ordering::Less)
        }
        KeyInterval::Prefix(text) => row.1.as_ref().is_some_and(|own| own.starts_with(text)),
    }
}

fn fulfils(row: &Row, key: &[usize], columns: &[KeyColumn]) -> bool {
    columns
        .iter()
        .zip(key)
        .all(|(column, at)| column.all_of.iter().all(|list| list.iter().any(|interval| lies_in(row, *at, interval))))
}

/// An interval of a column, made of the values of two rows.
fn interval(kind: u8, a: &Row, b: &Row, column: usize) -> KeyInterval {
    let bound = |row: &Row, inclusive| literal(row, column).map(|value| KeyBound { value, inclusive });
    match (kind % 6, literal(a, column), column) {
        (0, Some(value), _) => KeyInterval::Is(value),
        (1, ..) => KeyInterval::Null,
        (2, ..) => KeyInterval::Between { low: bound(a, true), high: bound(b, false) },
        (3, ..) => KeyInterval::Between { low: bound(a, false), high: bound(b, true) },
        (4, Some(Literal { value: Value::String(text), .. }), 1) if !text.contains('\0') && !text.is_empty() => {
            KeyInterval::Prefix(text)
        }
        _ => KeyInterval::Between { low: bound(a, kind.is_multiple_of(2)), high: None },
    }
}

fn found_rows(tree: &Tree, found: &Found) -> Vec<u64> {
    found.ranks.iter().flat_map(|range| tree.entries(range.clone())).map(|entry| entry.row).collect()
}

fn conditions() -> impl Strategy<Value = Vec<Vec<Vec<(u8, Row, Row)>>>> {
    let list = prop::collection::vec((any::<u8>(), row(), row()), 1..4);
    prop::collection::vec(prop::collection::vec(list, 1..3), 1..3)
}

proptest! {
    #[test]
    fn no_row_is_missed_and_exact_searches_find_no_other(
        rows in prop::collection::vec(row(), 0..150),
        key in prop_oneof![Just(vec![0]), Just(vec![1]), Just(vec![2]), Just(vec![0, 1]), Just(vec![1, 0]), Just(vec![2, 0])],
        lists in conditions(),
    ) {
        let (keys, lists) = (shape(&key), &lists[..lists.len().min(key.len())]);
        let tree = tree(&rows, &keys, &key);
        let columns: Vec<KeyColumn> = lists.iter().zip(&key).map(|(all_of, column)| KeyColumn {
            name: String::new(),
            all_of: all_of.iter().map(|list| list.iter().map(|(kind, a, b)| interval(*kind, a, b, *column)).collect()).collect(),
        }).collect();
        let (_, exact) = spans(&keys, &columns);
        let found = search(&tree, &keys, &IndexRead { index: String::new(), key: columns.clone(), first: None });
        prop_assert!(found.ranks.windows(2).all(|pair| pair[0].end <= pair[1].start));
        let found = found_rows(&tree, &found);
        for (number, row) in rows.iter().enumerate() {
            let (is_found, is_right) = (found.contains(&(number as u64)), fulfils(row, &key, &columns));
            prop_assert!(is_found || !is_right, "{:?} is missed", row);
            prop_assert!(!exact || is_found == is_right, "{:?} is found", row);
        }
    }

    #[test]
    fn the_first_rows_and_those_tied_with_them_are_found(
        rows in prop::collection::vec(row(), 1..150),
        column in 0_usize..3,
        wanted in 0_u64..40,
        descending: bool,
        nulls_first: bool,
        condition in prop::option::of((any::<u8>(), row(), row())),
    ) {
        let (keys, key) = (shape(&[column, 0]), [column, 0]);
        let tree = tree(&rows, &keys, &key);
        let all_of: Vec<_> = condition.iter().map(|(kind, a, b)| vec![interval(*kind, a, b, column)]).collect();
        let columns = if all_of.is_empty() { vec![] } else { vec![KeyColumn { name: String::new(), all_of }] };
        let first = Some(FirstRows { rows: wanted, descending, nulls_first });
        let found = search(&tree, &keys, &IndexRead { index: String::new(), key: columns.clone(), first });
        let found = found_rows(&tree, &found);
        let mut all: Vec<u64> = (0..rows.len() as u64).filter(|row| fulfils(&rows[*row as usize], &key, &columns)).collect();
        all.sort_by(|a, b| {
            let (a, b) = (&rows[*a as usize], &rows[*b as usize]);
            match (literal(a, column), literal(b, column)) {
                (Some(_), Some(to)) => {
                    let order = compare(a, column, &to).expect("of one type");
                    if descending { order.reverse() } else { order }
                }
                (left, right) => {
                    let order = left.is_some().cmp(&right.is_some());
                    if nulls_first { order } else { order.reverse() }
                }
            }
        });
        prop_assert!(all.iter().take(wanted as usize).all(|row| found.contains(row)));
        // Exact searches of integers find no more than they need.
        if column == 0 && wanted > 0 && (wanted as usize) < all.len() {
            let last = rows[all[wanted as usize - 1] as usize].0;
            prop_assert!(found.iter().skip(wanted as usize).count() <= all.iter().filter(|row| rows[**row as usize].0 == last).count());
        }
    }
}
