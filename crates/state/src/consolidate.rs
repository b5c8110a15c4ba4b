//! The net change of many changes: equal rows become one, with the sum of their weights.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fleuve_base::Result;

use crate::columns::{NullEquality, SLAB_BYTES_MAX, concat_owned, equal_rows, hashes_of, slice_bytes, take_rows};

/// Rows that are put together at a time, at most (except that equal rows always are).
pub const ROWS_MAX: usize = 1 << 16;

/// Rows and their weights.
pub type Weighted = (RecordBatch, Vec<i64>);

/// No row.
const NONE: u32 = u32::MAX;

/// Adds up the weights of equal rows (NULLs being equal) and drops what comes to 0. Rows keep the order of their first
/// occurrence.
///
/// # Panics
/// If there are not as many weights as rows.
pub fn consolidate(rows: RecordBatch, weights: Vec<i64>) -> Result<Weighted> {
    assert_eq!(rows.num_rows(), weights.len(), "one weight for each row");
    let mut sums = weights;
    for (row, first) in first_occurrences(&rows)?.into_iter().enumerate() {
        if first as usize != row {
            sums[first as usize] += std::mem::take(&mut sums[row]);
        }
    }
    if !sums.contains(&0) {
        return Ok((rows, sums));
    }
    let kept: Vec<u32> = (0..sums.len() as u32).filter(|&row| sums[row as usize] != 0).collect();
    sums.retain(|&sum| sum != 0);
    Ok((take_rows(&rows, &kept)?, sums))
}

/// [`consolidate`] over several batches. The result has no two equal rows, in batches of about [`ROWS_MAX`] rows.
pub fn consolidate_batches(schema: &SchemaRef, parts: Vec<Weighted>) -> Result<Vec<Weighted>> {
    let rows: usize = parts.iter().map(|(rows, _)| rows.num_rows()).sum();
    let bytes: usize = parts.iter().map(|(rows, _)| slice_bytes(rows)).sum();
    let shares = (rows / ROWS_MAX).max(bytes / SLAB_BYTES_MAX) + 1;
    let mut net = Vec::with_capacity(shares);
    for share in deal(parts, shares)? {
        let (batches, weights): (Vec<RecordBatch>, Vec<Vec<i64>>) = share.into_iter().unzip();
        let (rows, weights) = consolidate(concat_owned(schema, &batches)?, weights.concat())?;
        if rows.num_rows() > 0 {
            net.push((rows, weights));
        }
    }
    Ok(net)
}

/// Deals rows out by hash, so that equal rows come together.
fn deal(parts: Vec<Weighted>, shares: usize) -> Result<Vec<Vec<Weighted>>> {
    if shares == 1 {
        return Ok(vec![parts]);
    }
    let mut dealt = vec![Vec::with_capacity(parts.len()); shares];
    for (rows, weights) in parts {
        let mut places = vec![Vec::new(); shares];
        for (row, hash) in hashes_of(rows.columns(), rows.num_rows())?.into_iter().enumerate() {
            places[((u128::from(hash) * shares as u128) >> 64) as usize].push(row as u32);
        }
        for (share, places) in dealt.iter_mut().zip(places) {
            let weights = places.iter().map(|&row| weights[row as usize]).collect();
            share.push((take_rows(&rows, &places)?, weights));
        }
    }
    Ok(dealt)
}

/// For each row the first row that equals it, which may be itself.
fn first_occurrences(rows: &RecordBatch) -> Result<Vec<u32>> {
    let count = rows.num_rows();
    let hashes = hashes_of(rows.columns(), count)?;
    let mut seen = Seen::for_rows(count);
    let mut firsts: Vec<u32> = (0..count as u32).map(|row| seen.first_of_hash(row, &hashes)).collect();
    // Equal hashes say "probably". Compare; rows that differ after all look on among the later rows of that hash.
    let mut open: Vec<u32> = (0..count as u32).filter(|&row| firsts[row as usize] != row).collect();
    while !open.is_empty() {
        let candidates: Vec<u32> = open.iter().map(|&row| firsts[row as usize]).collect();
        let (left, right) = (take_rows(rows, &open)?, take_rows(rows, &candidates)?);
        let equal = equal_rows(left.columns(), right.columns(), open.len(), NullEquality::NullIsValue)?;
        open = (0..open.len()).filter(|&place| !equal.value(place)).map(|place| open[place]).collect();
        // Of rows that collided, the first becomes a candidate for those behind it.
        let mut seen = Seen::for_rows(open.len());
        for &row in &open {
            firsts[row as usize] = seen.first_of_hash(row, &hashes);
        }
        open.retain(|&row| firsts[row as usize] != row);
    }
    Ok(firsts)
}

/// Rows by hash: open addressing, at most half full.
struct Seen {
    slots: Vec<u32>,
}

impl Seen {
    fn for_rows(rows: usize) -> Self {
        Seen { slots: vec![NONE; (rows * 2).next_power_of_two()] }
    }

    /// The row of the same hash that was asked for first: from now on this one, if there was none.
    fn first_of_hash(&mut self, row: u32, hashes: &[u64]) -> u32 {
        let hash = hashes[row as usize];
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                NONE => {
                    self.slots[slot] = row;
                    return row;
                }
                seen if hashes[seen as usize] == hash => return seen,
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::types::{Float64Type, Int64Type};
    use arrow::array::{AsArray, Float64Array, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, i64);

    fn schema() -> SchemaRef {
        let nullable = |name, data_type| Field::new(name, data_type, true);
        Arc::new(Schema::new(vec![nullable("a", DataType::Int64), nullable("b", DataType::Float64)]))
    }

    fn batch(rows: &[(Row, i64)]) -> (RecordBatch, Vec<i64>) {
        let a: Int64Array = rows.iter().map(|((a, _), _)| *a).collect();
        let b: Float64Array = rows.iter().map(|((_, b), _)| Some(*b as f64)).collect();
        let columns = RecordBatch::try_new(schema(), vec![Arc::new(a), Arc::new(b)]).unwrap();
        (columns, rows.iter().map(|(_, weight)| *weight).collect())
    }

    fn check(changes: Vec<Vec<(Row, i64)>>, net: Vec<Weighted>) {
        let mut expected: BTreeMap<Row, i64> = BTreeMap::new();
        changes.into_iter().flatten().for_each(|(row, weight)| *expected.entry(row).or_default() += weight);
        expected.retain(|_, weight| *weight != 0);
        let mut found = BTreeMap::new();
        for (rows, weights) in net {
            let (a, b) = (rows.column(0).as_primitive::<Int64Type>(), rows.column(1).as_primitive::<Float64Type>());
            for (row, weight) in weights.into_iter().enumerate() {
                let key = (a.iter().nth(row).unwrap(), b.value(row) as i64);
                assert_eq!(found.insert(key, weight), None, "a row stands there twice");
            }
        }
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn sums_by_row(
            changes in proptest::collection::vec(
                proptest::collection::vec(((proptest::option::of(0i64..4), 0i64..4), -2i64..3), 0..30), 0..5)
        ) {
            let net = consolidate_batches(&schema(), changes.iter().map(|rows| batch(rows)).collect()).unwrap();
            check(changes, net);
        }
    }

    #[test]
    fn many_rows_are_dealt_out() {
        let rows = |from: i64, weight: i64| -> Vec<(Row, i64)> {
            (0..3000).map(|i| ((Some(i + from), i % 7), weight)).collect()
        };
        let changes: Vec<_> = (0..60).map(|part| rows(part * 700, if part % 3 == 0 { -1 } else { 1 })).collect();
        let net = consolidate_batches(&schema(), changes.iter().map(|rows| batch(rows)).collect()).unwrap();
        assert!(net.len() > 1);
        check(changes, net);
    }

    #[test]
    fn zeros_are_one_and_so_are_nans() {
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Float64, true)]));
        let x = Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0]);
        let rows = RecordBatch::try_new(schema, vec![Arc::new(x)]).unwrap();
        let (rows, weights) = consolidate(rows, vec![1, 2, 3, 4, -1]).unwrap();
        assert_eq!((rows.num_rows(), weights), (3, vec![3, 7, -1]));
    }
}
