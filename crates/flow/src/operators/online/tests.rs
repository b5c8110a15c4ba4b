//! Intervals cover the truth as often as they claim, and what was read whole is what the ordinary aggregate gives.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::Field;
use fleuve_plan::blocks_schema;
use fleuve_sketch::index::Shuffle;

use super::*;

const BLOCKS: u64 = 120;

/// Blocks of an epoch.
const EPOCH: usize = 12;

fn call(function: &str, args: &[usize], filter: Option<usize>) -> AggregateCall {
    let data_type = if function == "count" { DataType::Int64 } else { DataType::Float64 };
    let (function, args, parameters) = (function.to_owned(), args.to_vec(), vec![]);
    AggregateCall { function, args, parameters, distinct: false, filter, data_type }
}

/// Columns: group, x, whether it counts, block (or the group's population).
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("g", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
        Field::new("kept", DataType::Boolean, true),
        Field::new("unit", DataType::Int64, false),
    ]))
}

fn online(unit: OnlineUnit, aggregates: Vec<AggregateCall>) -> Online {
    let doubles = (0..3 * aggregates.len()).map(|i| Field::new(format!("d{i}"), DataType::Float64, true));
    let mut fields = vec![Field::new("g", DataType::Utf8, true)];
    fields.extend(doubles);
    fields.push(Field::new("rows_seen", DataType::Int64, false));
    fields.push(Field::new("fraction", DataType::Float64, true));
    let spec = OnlineAggregate { keys: vec![0], aggregates, unit, confidence: 0.9, interval_ms: 0 };
    Online::new(&spec, &schema(), Arc::new(Schema::new(fields)), Share { worker: 0, workers: 1 }).unwrap()
}

type Row = (&'static str, Option<f64>, bool);

/// The rows of a block, which are alike. Of group b only some blocks have any.
fn rows(block: u64) -> Vec<Row> {
    let level = (block * 37 % 50) as f64;
    let row = |i: u64| match (block + i) % 9 {
        0 if block.is_multiple_of(2) => ("b", Some(level + 100.0), true),
        1 => ("a", None, true),
        _ => ("a", Some(level + (i % 3) as f64), !i.is_multiple_of(4)),
    };
    (0..15 + block % 4 * 5).map(row).collect()
}

fn batch(rows: &[Row], units: &[i64]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<arrow::array::BooleanArray>()),
        Arc::new(Int64Array::from(units.to_vec())),
    ];
    Batch::append(RecordBatch::try_new(schema(), columns).unwrap())
}

fn info(epoch: u64, last: bool) -> EpochInfo {
    EpochInfo {
        epoch,
        clock_ms: epoch as i64,
        previous_clock_ms: epoch as i64 - 1,
        watermark: 0,
        previous_watermark: 0,
        last,
    }
}

/// The rows that were emitted last, by group: estimates, then rows seen and the fraction.
fn emitted(output: &[Batch]) -> Vec<(String, Vec<Option<f64>>)> {
    let Some(last) = output.iter().rfind(|batch| batch.weight(0) > 0) else { return vec![] };
    let keys = last.column(0).as_string::<i32>();
    let numbers = last.columns.columns()[1..].iter().map(as_doubles).collect::<Result<Vec<_>>>().unwrap();
    let number = |row: usize| move |column: &Float64Array| column.is_valid(row).then(|| column.value(row));
    let row = |row: usize| (keys.value(row).to_owned(), numbers.iter().map(number(row)).collect());
    let mut rows: Vec<_> = (0..last.num_rows()).map(row).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows
}

/// Reads a table's blocks in random order, and calls `look` with what is emitted after each epoch.
fn read(seed: u64, aggregates: Vec<AggregateCall>, mut look: impl FnMut(usize, &[(String, Vec<Option<f64>>)])) {
    let mut online = online(OnlineUnit::Blocks { block: 3 }, aggregates);
    let order: Vec<u64> = Shuffle::new(0..BLOCKS, seed).collect();
    let epochs = order.chunks(EPOCH);
    let count = epochs.len();
    for (epoch, blocks) in epochs.enumerate() {
        let of_block = |block: &u64| {
            let rows = rows(*block);
            // Two batches of a block are one block.
            let (one, other) = rows.split_at(rows.len() / 3);
            [one, other].map(|rows| batch(rows, &vec![*block as i64; rows.len()]))
        };
        let read: Vec<Batch> = blocks.iter().flat_map(of_block).collect();
        let numbers: ArrayRef = Arc::new(blocks.iter().map(|block| *block as i64).collect::<Int64Array>());
        let of: ArrayRef = Arc::new(Int64Array::from_value(BLOCKS as i64, blocks.len()));
        let progress = Batch::append(RecordBatch::try_new(blocks_schema(), vec![numbers, of]).unwrap());
        let mut output = vec![];
        let inputs = &mut [read, vec![progress]];
        online.apply(&info(epoch as u64 + 1, epoch + 1 == count), inputs, &mut output).unwrap();
        look(epoch, &emitted(&output));
    }
}

fn truth(group: &str, kept: bool) -> (f64, f64) {
    let all = (0..BLOCKS).flat_map(rows).filter(|row| row.0 == group && (row.2 || !kept)).filter_map(|row| row.1);
    all.fold((0.0, 0.0), |(count, sum), x| (count + 1.0, sum + x))
}

#[test]
fn intervals_cover_as_often_as_they_claim() {
    const SEEDS: u64 = 400;
    let calls = || vec![call("avg", &[1], None), call("sum", &[1], Some(2)), call("count", &[1], None)];
    let mut covered = [0_u64; 6];
    for seed in 0..SEEDS {
        read(seed, calls(), |epoch, groups| {
            if epoch != 4 {
                return;
            }
            for (at, (group, ends)) in groups.iter().enumerate() {
                let ((count, sum), (_, kept_sum)) = (truth(group, false), truth(group, true));
                for (measure, truth) in [sum / count, kept_sum, count].into_iter().enumerate() {
                    let [low, high] = [3 * measure + 1, 3 * measure + 2].map(|end| ends[end].unwrap());
                    covered[3 * at + measure] += u64::from(low <= truth && truth <= high);
                }
            }
        });
    }
    for covered in covered {
        let (share, noise) = (covered as f64 / SEEDS as f64, 4.0 * (0.9 * 0.1 / SEEDS as f64).sqrt());
        assert!((share - 0.9).abs() < noise, "{share} of the intervals cover, where 0.9 should");
    }
}

#[test]
fn everything_read_is_exact() {
    let calls =
        vec![call("avg", &[1], None), call("sum", &[1], Some(2)), call("count", &[], None), call("count", &[1], None)];
    let mut last = vec![];
    read(7, calls, |_, groups| last = groups.to_vec());
    for (group, ends) in &last {
        let ((count, sum), (_, kept_sum)) = (truth(group, false), truth(group, true));
        let all = (0..BLOCKS).flat_map(rows).filter(|row| row.0 == group).count() as f64;
        let expected = [sum / count, kept_sum, all, count].map(|value| [Some(value); 3]).concat();
        assert_eq!(ends[..12], expected, "{group}");
        assert_eq!(ends[12..], [Some(all), Some(1.0)]);
    }
    assert_eq!(last.len(), 2);
}

#[test]
fn rows_drawn_one_by_one_have_the_scope_of_their_group() {
    let mut online =
        online(OnlineUnit::Rows { population: 3 }, vec![call("avg", &[1], Some(2)), call("count", &[], Some(2))]);
    let drawn = [("a", Some(1.0), true), ("a", Some(3.0), true), ("a", Some(9.0), false), ("b", Some(5.0), true)];
    let mut output = vec![];
    online.apply(&info(1, false), &mut [vec![batch(&drawn, &[6, 6, 6, 1])]], &mut output).unwrap();
    let groups = emitted(&output);
    let (a, b) = (&groups[0].1, &groups[1].1);
    assert_eq!((a[0], a[3], a[6], a[7]), (Some(2.0), Some(4.0), Some(3.0), Some(0.5)));
    assert!(a[1].unwrap() < 2.0 && a[2].unwrap() > 2.0 && a[4] == Some(2.0), "two are certain: {a:?}");
    assert_eq!(b[..6], [5.0, 5.0, 5.0, 1.0, 1.0, 1.0].map(Some), "all of it was read");
}

#[test]
fn a_group_without_values_has_none() {
    let mut online =
        online(OnlineUnit::Rows { population: 3 }, vec![call("sum", &[1], None), call("count", &[1], None)]);
    let mut output = vec![];
    online.apply(&info(1, false), &mut [vec![batch(&[("a", None, true)], &[2])]], &mut output).unwrap();
    assert_eq!(emitted(&output)[0].1[..3], [None; 3]);
    online.apply(&info(2, true), &mut [vec![batch(&[("a", None, true)], &[2])]], &mut output).unwrap();
    assert_eq!(emitted(&output)[0].1[..6], [None, None, None, Some(0.0), Some(0.0), Some(0.0)]);
}
