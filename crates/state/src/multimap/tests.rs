//! A multimap against a plain list of rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::types::{Int64Type, TimestampMillisecondType};
use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;

use super::*;

type Row = (i64, Option<String>, i64);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, None), false),
    ]))
}

fn batch(rows: &[Row]) -> RecordBatch {
    let k: Int64Array = rows.iter().map(|row| Some(row.0)).collect();
    let s: StringArray = rows.iter().map(|row| row.1.clone()).collect();
    let t: TimestampMillisecondArray = rows.iter().map(|row| Some(row.2)).collect();
    RecordBatch::try_new(schema(), vec![Arc::new(k), Arc::new(s), Arc::new(t)]).unwrap()
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let (k, s) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_string::<i32>());
    let t = batch.column(2).as_primitive::<TimestampMillisecondType>();
    (0..batch.num_rows()).map(|i| (k.value(i), s.iter().nth(i).unwrap().map(str::to_owned), t.value(i))).collect()
}

fn layout(keys: &[usize], time: Option<usize>, retractable: bool) -> Layout {
    Layout { schema: schema(), keys: keys.to_vec(), time, retractable, counted: true }
}

/// All (probing row, stored row, weight), in order.
fn probe_all(map: &Multimap, probing: &[Row], limit: usize) -> Vec<(Row, Row, i64)> {
    let rows = batch(probing);
    let keys = map.keys_of(&rows).unwrap();
    let (mut cursor, mut pairs, mut found) = (Cursor::start(), Pairs::default(), Vec::new());
    loop {
        let more = map.probe(&keys, &mut cursor, limit, &mut pairs).unwrap();
        assert!(pairs.len() <= limit);
        let stored = batch_of_columns(map.gather(&[0, 1, 2], &pairs.stored).unwrap());
        for ((&row, &id), stored) in pairs.probe.iter().zip(&pairs.stored).zip(rows_of(&stored)) {
            found.push((probing[row as usize].clone(), stored, map.weight(id)));
        }
        if !more {
            found.sort();
            return found;
        }
    }
}

fn batch_of_columns(columns: Vec<arrow::array::ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn same_key(keys: &[usize], left: &Row, right: &Row) -> bool {
    keys.iter().all(|&key| match key {
        0 => left.0 == right.0,
        1 => left.1.is_some() && left.1 == right.1,
        _ => left.2 == right.2,
    })
}

fn row() -> impl Strategy<Value = Row> {
    (0i64..6, proptest::option::weighted(0.8, "[a-c]{0,2}"), 0i64..20)
}

fn keys() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![]), Just(vec![0]), Just(vec![2]), Just(vec![1]), Just(vec![0, 1]), Just(vec![2, 0])]
}

/// A new multimap from the saved state of `map`, once through every owner of a share.
fn reloaded(map: &mut Multimap, shares: u8) -> Vec<Multimap> {
    let saved = map.save().unwrap();
    let load = |share: u8| {
        let mut new = Multimap::new(map.layout().clone());
        saved.iter().for_each(|batch| new.load(batch, |group| group % shares == share).unwrap());
        new
    };
    (0..shares).map(load).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..Default::default() })]

    #[test]
    fn retractable_agrees_with_a_list(
        keys in keys(),
        epochs in proptest::collection::vec(proptest::collection::vec((row(), -2i64..3), 0..40), 1..12),
        limit in 1usize..9,
    ) {
        let mut map = Multimap::new(layout(&keys, None, true));
        let mut model: BTreeMap<Row, i64> = BTreeMap::new();
        for changes in epochs {
            let mut net: BTreeMap<Row, i64> = BTreeMap::new();
            changes.into_iter().for_each(|(row, weight)| *net.entry(row).or_default() += weight);
            net.retain(|row, weight| *weight != 0 && !(keys.contains(&1) && row.1.is_none()));
            let (rows, weights): (Vec<Row>, Vec<i64>) = net.into_iter().unzip();
            let columns = batch(&rows);
            map.update(&columns, &map.keys_of(&columns).unwrap(), &weights, &vec![0; rows.len()]).unwrap();
            rows.into_iter().zip(weights).for_each(|(row, weight)| *model.entry(row).or_default() += weight);
            model.retain(|_, weight| *weight != 0);
            prop_assert_eq!(map.len(), model.len());
        }
        map.compact().unwrap();
        prop_assert_eq!(map.stored, model.len());
        let asked: Vec<Row> = (0..6).map(|k| (k, Some(format!("{}", ['a', 'b', 'c'][k as usize % 3])), k)).collect();
        let mut expected = Vec::new();
        for ask in &asked {
            expected.extend(model.iter().filter(|(row, _)| same_key(&keys, ask, row)).map(|(r, w)| (ask.clone(), r.clone(), *w)));
        }
        expected.sort();
        prop_assert_eq!(&probe_all(&map, &asked, limit), &expected);
        let mut parts: Vec<_> = reloaded(&mut map, 3).iter().flat_map(|part| probe_all(part, &asked, limit)).collect();
        parts.sort();
        prop_assert_eq!(parts, expected);
    }

    #[test]
    fn expiring_agrees_with_a_list(
        keys in keys(),
        epochs in proptest::collection::vec((proptest::collection::vec(row(), 0..60), 0i64..6), 1..12),
        limit in 1usize..9,
    ) {
        let mut map = Multimap::new(layout(&keys, Some(2), false));
        let (mut model, mut bound): (Vec<Row>, i64) = (vec![], 0);
        for (rows, step) in epochs {
            let base = bound;
            let rows: Vec<Row> = rows.into_iter().map(|row| (row.0, row.1, row.2 + base))
                .filter(|row| !(keys.contains(&1) && row.1.is_none())).collect();
            let columns = batch(&rows);
            let prepared = map.keys_of(&columns).unwrap();
            map.insert(columns, &prepared, &vec![0; rows.len()]).unwrap();
            model.extend(rows);
            bound += step;
            let ids = map.rows_between(base, bound).unwrap();
            prop_assert_eq!(ids.len(), model.iter().filter(|row| row.2 >= base && row.2 < bound).count());
            map.expire(bound).unwrap();
            map.maintain().unwrap();
            model.retain(|row| row.2 >= bound);
        }
        let asked: Vec<Row> = (0..30).map(|k| (k % 6, Some(format!("{}", ['a', 'b', 'c'][k as usize % 3])), k)).collect();
        let mut expected = Vec::new();
        for ask in &asked {
            expected.extend(model.iter().filter(|row| same_key(&keys, ask, row)).map(|row| (ask.clone(), row.clone(), 1)));
        }
        expected.sort();
        let alive = |found: Vec<(Row, Row, i64)>| found.into_iter().filter(|pair| pair.1.2 >= bound).collect::<Vec<_>>();
        prop_assert_eq!(&alive(probe_all(&map, &asked, limit)), &expected);
        let mut parts: Vec<_> = reloaded(&mut map, 2).iter().flat_map(|part| probe_all(part, &asked, limit)).collect();
        parts.sort();
        prop_assert_eq!(parts, expected);
    }
}

#[test]
fn expired_chunks_give_their_memory_back() {
    let mut map = Multimap::new(layout(&[0], Some(2), false));
    let mut most = 0;
    for epoch in 0..200i64 {
        let rows: Vec<Row> = (0..2000).map(|i| (i % 700, Some("x".repeat(20)), epoch * 1000 + i % 1000)).collect();
        let columns = batch(&rows);
        let keys = map.keys_of(&columns).unwrap();
        map.insert(columns, &keys, &vec![0; rows.len()]).unwrap();
        map.expire((epoch - 5) * 1000).unwrap();
        map.maintain().unwrap();
        most = most.max(map.bytes());
    }
    assert!(most < 8 << 20, "{most}");
    map.expire(i64::MAX).unwrap();
    map.maintain().unwrap();
    assert_eq!((map.len(), map.chunks.len()), (0, 0));
    assert!(map.bytes() < 1 << 20, "{}", map.bytes());
}

#[test]
fn a_row_from_the_far_future_does_not_keep_the_others() {
    let mut map = Multimap::new(layout(&[0], Some(2), false));
    for epoch in 0..200i64 {
        let rows: Vec<Row> = (0..1000).map(|i| (i, None, if i == 0 { 1 << 40 } else { epoch })).collect();
        let columns = batch(&rows);
        let keys = map.keys_of(&columns).unwrap();
        map.insert(columns, &keys, &vec![0; rows.len()]).unwrap();
        map.expire(epoch).unwrap();
        map.maintain().unwrap();
    }
    assert!(map.stored < 20_000, "{}", map.stored);
    assert_eq!(probe_all(&map, &[(0, None, 0)], 64).len(), 200);
}

#[test]
fn chunk_numbers_start_again() {
    let mut map = Multimap::new(layout(&[0], Some(2), false));
    map.first_chunk = 65_530;
    for epoch in 0..20i64 {
        let rows: Vec<Row> = (0..5000).map(|i| (i, None, epoch)).collect();
        let columns = batch(&rows);
        let keys = map.keys_of(&columns).unwrap();
        map.insert(columns, &keys, &vec![0; rows.len()]).unwrap();
        map.expire(epoch - 1).unwrap();
        map.chunks.last_mut().unwrap().seal(&map.layout).unwrap();
        assert_eq!(probe_all(&map, &[(7, None, 0)], 64).len(), if epoch == 0 { 1 } else { 2 });
    }
    assert!(map.first_chunk < 100);
}

#[test]
fn a_big_batch_is_cut_into_chunks() {
    let rows: Vec<Row> = (0..150_000).map(|i| (i % 50_000, Some(i.to_string()), i)).collect();
    let mut map = Multimap::new(layout(&[0], None, true));
    let columns = batch(&rows);
    map.update(&columns, &map.keys_of(&columns).unwrap(), &vec![1; rows.len()], &vec![0; rows.len()]).unwrap();
    assert_eq!(map.chunks.len(), 3);
    assert_eq!(probe_all(&map, &[(7, None, 0)], 64).len(), 3);
    let minus = batch(&rows[..100_000]);
    map.update(&minus, &map.keys_of(&minus).unwrap(), &vec![-1; 100_000], &vec![0; 100_000]).unwrap();
    let before = map.bytes();
    map.maintain().unwrap();
    assert!(map.bytes() < before / 2);
    assert_eq!(probe_all(&map, &[(7, None, 0)], 64).len(), 1);
}

#[test]
fn a_slice_is_stored_without_its_batch() {
    let rows: Vec<Row> = (0..50_000).map(|i| (i, Some("long text ".repeat(4)), i)).collect();
    let mut map = Multimap::new(layout(&[0], Some(2), false));
    let slice = concat_owned(&schema(), &[batch(&rows).slice(100, 10)]).unwrap();
    let keys = map.keys_of(&slice).unwrap();
    map.insert(slice, &keys, &[0; 10]).unwrap();
    assert!(map.bytes() < 4096, "{}", map.bytes());
}
