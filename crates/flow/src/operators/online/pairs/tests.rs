//! Over a join, too, intervals cover the truth as often as they claim, and what was read whole is exact.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_plan::{AggregateCall, OnlineAggregate, OnlineMethod, blocks_schema};
use fleuve_sketch::index::Shuffle;

use super::super::{Online, as_doubles};
use super::*;
use crate::operator::{EpochInfo, EpochOperator, Share};

/// Blocks of the left and of the right table.
const BLOCKS: [u64; 2] = [90, 60];

/// A joined row: group, value.
type Row = (&'static str, Option<f64>);

/// What two blocks have together. Blocks are alike within and differ from each other, on both sides; of group b only some
/// left blocks have any.
fn cell(left: u64, right: u64) -> Vec<Row> {
    let (level, rows) = ((left * 37 % 50 + right * 23 % 40) as f64, left % 4 + right % 3);
    let row = |row: u64| match row {
        0 if left.is_multiple_of(3) => ("b", Some(level + 100.0)),
        1 if right.is_multiple_of(5) => ("a", None),
        _ => ("a", Some(level + row as f64)),
    };
    (0..rows).map(row).collect()
}

/// Columns: group, value, left block, right block.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("g", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
        Field::new("left", DataType::Int64, false),
        Field::new("right", DataType::Int64, false),
    ]))
}

fn call(function: &str, args: &[usize]) -> AggregateCall {
    let data_type = if function == "count" { DataType::Int64 } else { DataType::Float64 };
    let (function, args, parameters) = (function.to_owned(), args.to_vec(), vec![]);
    AggregateCall { function, args, parameters, distinct: false, filter: None, data_type }
}

/// The average, the sum and the number of values, and the number of rows.
fn online(keys: Vec<usize>) -> Online {
    let aggregates = vec![call("avg", &[1]), call("sum", &[1]), call("count", &[1]), call("count", &[])];
    let mut fields: Vec<Field> = keys.iter().map(|_| Field::new("g", DataType::Utf8, true)).collect();
    fields.extend((0..3 * aggregates.len()).map(|i| Field::new(format!("d{i}"), DataType::Float64, true)));
    fields.push(Field::new("rows_seen", DataType::Int64, false));
    fields.push(Field::new("fraction", DataType::Float64, true));
    let unit = OnlineUnit::Pairs { left: 2, right: 3 };
    let (method, bounds) = (OnlineMethod::LargeSample, vec![None; aggregates.len()]);
    let spec = OnlineAggregate { keys, aggregates, unit, confidence: 0.9, method, bounds, interval_ms: 0 };
    Online::new(&spec, &schema(), Arc::new(Schema::new(fields)), Share { worker: 0, workers: 1 }).unwrap()
}

fn joined(left: u64, right: u64) -> Batch {
    let rows = cell(left, right);
    let number = |block: u64| -> ArrayRef { Arc::new(Int64Array::from_value(block as i64, rows.len())) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
        number(left),
        number(right),
    ];
    Batch::append(RecordBatch::try_new(schema(), columns).unwrap())
}

fn read(blocks: &[u64], of: u64) -> Vec<Batch> {
    if blocks.is_empty() {
        return vec![];
    }
    let numbers = blocks.iter().map(|block| *block as i64).collect::<Int64Array>();
    let all = |number: u64| -> ArrayRef { Arc::new(Int64Array::from_value(number as i64, blocks.len())) };
    let columns: Vec<ArrayRef> = vec![Arc::new(numbers), all(1), all(1), all(of), all(of), all(1)];
    vec![Batch::append(RecordBatch::try_new(blocks_schema(), columns).unwrap())]
}

fn info(epoch: u64, last: bool) -> EpochInfo {
    let clock_ms = epoch as i64;
    EpochInfo { epoch, clock_ms, previous_clock_ms: clock_ms - 1, watermark: 0, previous_watermark: 0, last }
}

/// The rows that were emitted last: without a key, then by group; estimates, rows seen, the fraction.
type Emitted = Vec<(String, Vec<Option<f64>>)>;

fn emitted(output: &[Batch], keyed: bool) -> Emitted {
    let Some(last) = output.iter().rfind(|batch| batch.weight(0) > 0) else { return vec![] };
    let numbers = last.columns.columns()[usize::from(keyed)..].iter().map(as_doubles).collect::<Result<Vec<_>>>();
    let numbers = numbers.unwrap();
    let key = |row: usize| if keyed { last.column(0).as_string::<i32>().value(row).to_owned() } else { String::new() };
    let number = |row: usize| move |column: &Float64Array| column.is_valid(row).then(|| column.value(row));
    let mut rows: Emitted =
        (0..last.num_rows()).map(|row| (key(row), numbers.iter().map(number(row)).collect())).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows
}

/// Reads both tables at these numbers of blocks an epoch, and calls `look` with what is emitted after each epoch.
fn ripple(keys: &[usize], seed: u64, paces: [usize; 2], mut look: impl FnMut(usize, Emitted)) {
    let mut online = online(keys.to_vec());
    let orders = [0, 1].map(|side| Shuffle::new(0..BLOCKS[side], seed + side as u64 * 99_999).collect::<Vec<u64>>());
    let ends = |epoch: usize| [0, 1].map(|side| (epoch * paces[side]).min(orders[side].len()));
    let epochs = (0..2).map(|side| orders[side].len().div_ceil(paces[side])).max().unwrap();
    for epoch in 0..epochs {
        let ([left, right], [left_end, right_end]) = (ends(epoch), ends(epoch + 1));
        let pairs = |lefts: Range<usize>, rights: Range<usize>| -> Vec<Batch> {
            let lefts = orders[0][lefts].iter();
            lefts.flat_map(|l| orders[1][rights.clone()].iter().map(|r| joined(*l, *r))).collect()
        };
        let rows = [pairs(0..left_end, right..right_end), pairs(left..left_end, 0..right)].concat();
        let blocks = [read(&orders[0][left..left_end], BLOCKS[0]), read(&orders[1][right..right_end], BLOCKS[1])];
        let [lefts, rights] = blocks;
        let mut output = vec![];
        let (info, inputs) = (info(epoch as u64 + 1, epoch + 1 == epochs), &mut [rows, lefts, rights]);
        online.apply(&info, inputs, &mut output).unwrap();
        look(epoch, emitted(&output, !keys.is_empty()));
    }
}

/// The measures of a group (of all, if it has no name).
fn truth(group: &str) -> [f64; 4] {
    let cells = (0..BLOCKS[0]).flat_map(|left| (0..BLOCKS[1]).flat_map(move |right| cell(left, right)));
    let rows: Vec<Row> = cells.filter(|row| group.is_empty() || row.0 == group).collect();
    let values = rows.iter().filter_map(|row| row.1);
    let (count, sum) = (values.clone().count() as f64, values.sum::<f64>());
    [sum / count, sum, count, rows.len() as f64]
}

#[test]
fn intervals_cover_as_often_as_they_claim() {
    const SEEDS: u64 = 400;
    let truths = ["a", "b"].map(truth);
    let mut covered = [[0_u64; 4]; 2];
    for seed in 0..SEEDS {
        ripple(&[0], seed, [15, 15], |epoch, groups| {
            for (at, (_, ends)) in groups.iter().enumerate().filter(|_| epoch == 1) {
                for (measure, truth) in truths[at].into_iter().enumerate() {
                    let [low, high] = [3 * measure + 1, 3 * measure + 2].map(|end| ends[end].unwrap());
                    covered[at][measure] += u64::from(low <= truth && truth <= high);
                }
            }
        });
    }
    for covered in covered.concat() {
        let (share, noise) = (covered as f64 / SEEDS as f64, 4.0 * (0.9 * 0.1 / SEEDS as f64).sqrt());
        assert!((share - 0.9).abs() < noise, "{share} of the intervals cover, where 0.9 should");
    }
}

#[test]
fn everything_read_is_exact() {
    for (keys, groups) in [(vec![0], vec!["a", "b"]), (vec![], vec![""])] {
        let mut last = vec![];
        ripple(&keys, 7, [9, 20], |_, groups| last = groups);
        assert_eq!(last.iter().map(|(group, _)| group.as_str()).collect::<Vec<_>>(), groups);
        for (group, ends) in &last {
            let truth = truth(group);
            assert_eq!(ends[..12], truth.map(|value| [Some(value); 3]).concat(), "{group}");
            assert_eq!(ends[12..], [Some(truth[3]), Some(1.0)]);
        }
    }
}

#[test]
fn nothing_is_said_before_blocks_of_both_were_read() {
    let (mut online, mut output) = (online(vec![]), vec![]);
    online.apply(&info(1, false), &mut [vec![], read(&[1, 2], 9), vec![]], &mut output).unwrap();
    assert!(output.is_empty());
    online.apply(&info(2, false), &mut [vec![], vec![], read(&[5, 6], 4)], &mut output).unwrap();
    let [(_, ends)] = &emitted(&output, false)[..] else { panic!("one group") };
    assert_eq!((ends[0], ends[9], ends[13]), (None, Some(0.0), Some(4.0 / 13.0)));
    assert_eq!(ends[10..12], [Some(0.0); 2], "nothing varies yet");
}

#[test]
fn a_table_without_blocks_joins_nothing() {
    let (mut online, mut output) = (online(vec![]), vec![]);
    online.apply(&info(1, false), &mut [vec![], read(&[1, 2], 2), vec![]], &mut output).unwrap();
    online.apply(&info(2, true), &mut [vec![], vec![], vec![]], &mut output).unwrap();
    let [(_, ends)] = &emitted(&output, false)[..] else { panic!("one group") };
    assert_eq!((ends[0], ends[3], ends[9], ends[11], ends[13]), (None, None, Some(0.0), Some(0.0), Some(1.0)));
}
