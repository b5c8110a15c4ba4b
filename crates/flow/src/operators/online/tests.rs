//! Intervals cover the truth as often as they claim, and what was read whole is what the ordinary aggregate gives.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::Field;
use fleuve_plan::{BoundsFrom, OnlineBounds, OnlineMethod, blocks_schema};
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
    let (bounds, method) = (vec![None; aggregates.len()], OnlineMethod::LargeSample);
    let spec = OnlineAggregate { keys: vec![0], aggregates, unit, confidence: 0.9, method, bounds, interval_ms: 0 };
    operator(&spec, fields)
}

fn operator(spec: &OnlineAggregate, fields: Vec<Field>) -> Online {
    Online::new(spec, &schema(), Arc::new(Schema::new(fields)), Share { worker: 0, workers: 1 }).unwrap()
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

/// Groups with their estimates.
type Groups = [(String, Vec<Option<f64>>)];

/// Reads a table's blocks in random order, and calls `look` with what is emitted after each epoch.
fn read(seed: u64, aggregates: Vec<AggregateCall>, look: impl FnMut(usize, &Groups)) {
    read_table(seed, online(OnlineUnit::Blocks { block: 3 }, aggregates), rows, size, look);
}

/// The size of a block: its rows are of about ten bytes.
fn size(block: u64) -> u64 {
    rows(block).len() as u64 * 10 + block % 7
}

/// The same of a table whose blocks have these rows and sizes.
fn read_table(
    seed: u64,
    mut online: Online,
    rows: impl Fn(u64) -> Vec<Row>,
    size: impl Fn(u64) -> u64,
    mut look: impl FnMut(usize, &Groups),
) {
    let order: Vec<u64> = Shuffle::new(0..BLOCKS, seed).collect();
    let epochs = order.chunks(EPOCH);
    let count = epochs.len();
    let (all, max) = ((0..BLOCKS).map(&size).sum::<u64>(), (0..BLOCKS).map(&size).max().unwrap());
    for (epoch, blocks) in epochs.enumerate() {
        let of_block = |block: &u64| {
            let rows = rows(*block);
            // Two batches of a block are one block.
            let (one, other) = rows.split_at(rows.len() / 3);
            [one, other].map(|rows| batch(rows, &vec![*block as i64; rows.len()]))
        };
        let batches: Vec<Batch> = blocks.iter().flat_map(of_block).collect();
        let column = |number: &dyn Fn(u64) -> u64| -> ArrayRef {
            Arc::new(blocks.iter().map(|block| number(*block) as i64).collect::<Int64Array>())
        };
        let read = |block: u64| rows(block).len() as u64;
        let columns = [
            column(&|block| block),
            column(&size),
            column(&read),
            column(&|_| BLOCKS),
            column(&|_| all),
            column(&|_| max),
        ];
        let progress = Batch::append(RecordBatch::try_new(blocks_schema(), columns.into()).unwrap());
        let mut output = vec![];
        let inputs = &mut [batches, vec![progress]];
        online.apply(&info(epoch as u64 + 1, epoch + 1 == count), inputs, &mut output).unwrap();
        look(epoch, &emitted(&output));
    }
}

fn truth(group: &str, kept: bool) -> (f64, f64) {
    let all = (0..BLOCKS).flat_map(rows).filter(|row| row.0 == group && (row.2 || !kept)).filter_map(|row| row.1);
    all.fold((0.0, 0.0), |(count, sum), x| (count + 1.0, sum + x))
}

/// The sum of squared distances from the group's mean.
fn squares(group: &str) -> f64 {
    let (count, sum) = truth(group, false);
    let values = (0..BLOCKS).flat_map(rows).filter(|row| row.0 == group).filter_map(|row| row.1);
    values.map(|value| (value - sum / count).powi(2)).sum()
}

/// All blocks but the last have as many rows in as many bytes: the number of rows is not known before the end.
#[test]
fn blocks_that_are_alike_do_not_hide_the_last_one() {
    for (last, last_size) in [(7, 200), (7, 70), (0, 200)] {
        let rows = |block| vec![("a", Some(1.0), true); if block + 1 == BLOCKS { last } else { 20 }];
        let size = |block| if block + 1 == BLOCKS { last_size } else { 200 };
        let truth = (BLOCKS - 1) as f64 * 20.0 + last as f64;
        let (mut holds, mut looks) = (0, 0);
        for seed in 0..200 {
            let online = online(OnlineUnit::Blocks { block: 3 }, vec![call("count", &[], None)]);
            read_table(seed, online, rows, size, |_, groups| {
                let ends = groups[0].1[1].unwrap()..=groups[0].1[2].unwrap();
                (holds, looks) = (holds + u64::from(ends.contains(&truth)), looks + 1);
            });
        }
        assert!(holds as f64 >= 0.9 * looks as f64, "{holds} of {looks} hold the truth, {last} rows of {last_size}");
    }
}

/// Hoeffding's intervals cover at least as often, deterministic ones always; what is outside the bounds is named.
#[test]
fn bounds_make_intervals_and_are_checked() {
    let bounds = |low, high| Some(OnlineBounds { column: "x".to_owned(), from: BoundsFrom::Known { low, high } });
    let run = |seed, method, high, look: &mut dyn FnMut(&Groups)| {
        let aggregates = vec![call("avg", &[1], None), call("sum", &[1], None), call("count", &[1], None)];
        let fields = online(OnlineUnit::Blocks { block: 3 }, aggregates.clone()).output.fields().clone();
        let unit = OnlineUnit::Blocks { block: 3 };
        let bounds = vec![bounds(0.0, high), bounds(0.0, high), None];
        let spec = OnlineAggregate { keys: vec![0], aggregates, unit, confidence: 0.9, method, bounds, interval_ms: 0 };
        let fields = fields.iter().map(|field| field.as_ref().clone()).collect();
        read_table(seed, operator(&spec, fields), rows, |block| rows(block).len() as u64, |_, groups| look(groups));
    };
    for method in [OnlineMethod::Conservative, OnlineMethod::Deterministic] {
        let (mut holds, mut looks) = (0, 0);
        for seed in 0..60 {
            run(seed, method, 152.0, &mut |groups| {
                for (group, ends) in groups {
                    let (count, sum) = truth(group, false);
                    for (measure, truth) in [sum / count, sum, count].into_iter().enumerate() {
                        let [low, high] = [3 * measure + 1, 3 * measure + 2].map(|end| ends[end].unwrap());
                        let slack = 1e-9 * truth;
                        holds += u64::from(low <= truth + slack && truth <= high + slack);
                        looks += 1;
                    }
                }
            });
        }
        let least = if method == OnlineMethod::Deterministic { 1.0 } else { 0.9 };
        assert!(holds as f64 >= least * looks as f64, "{holds} of {looks}, {method:?}");
    }
    let (unit, method) = (OnlineUnit::Blocks { block: 3 }, OnlineMethod::Deterministic);
    let (aggregates, bounds) = (vec![call("avg", &[1], None)], vec![bounds(0.0, 40.0)]);
    let spec = OnlineAggregate { keys: vec![], aggregates, unit, confidence: 0.9, method, bounds, interval_ms: 0 };
    let claim = Claim::new(&spec, 0);
    let measure = Measure::new(&call("avg", &[1], None)).unwrap();
    let rows = batch(&[("a", Some(3.0), true), ("a", Some(41.5), true)], &[0, 0]);
    let values = measure.values(&rows.columns).unwrap();
    let error = claim.unwrap().check(&values, 2).unwrap_err();
    assert_eq!(error.message(), "`x` has the value 41.5, which is outside its bounds 0 to 40");
    // Bounds that come later than the values.
    let bounds = vec![Some(OnlineBounds { column: "x".to_owned(), from: BoundsFrom::Input(1) })];
    let mut claim = Claim::new(&OnlineAggregate { bounds, ..spec }, 0).unwrap();
    claim.check(&values, 2).unwrap();
    assert!(claim.method().is_none());
    let extremes = |low, high| {
        let columns = [low, high].map(|end| Arc::new(Float64Array::from(vec![end])) as ArrayRef);
        Batch::append(RecordBatch::try_from_iter([("low", columns[0].clone()), ("high", columns[1].clone())]).unwrap())
    };
    claim.learn(&[vec![], vec![extremes(None, None)]]).unwrap();
    claim.learn(&[vec![], vec![extremes(Some(3.0), Some(41.5))]]).unwrap();
    assert_eq!(
        claim.method(),
        Some(Method::Deterministic { bounds: fleuve_sketch::online::Bounds::new(3.0, 41.5).unwrap() })
    );
    let error = claim.learn(&[vec![], vec![extremes(Some(4.0), Some(41.5))]]).unwrap_err();
    assert_eq!(error.message(), "`x` has the value 3, which is outside its bounds 4 to 41.5");
}

#[test]
fn intervals_cover_as_often_as_they_claim() {
    const SEEDS: u64 = 400;
    let calls = || {
        let spread = [call("var_samp", &[1], None), call("stddev_pop", &[1], None)];
        [call("avg", &[1], None), call("sum", &[1], Some(2)), call("count", &[1], None)]
            .into_iter()
            .chain(spread)
            .collect()
    };
    let mut covered = [0_u64; 10];
    for seed in 0..SEEDS {
        read(seed, calls(), |epoch, groups| {
            if epoch != 4 {
                return;
            }
            for (at, (group, ends)) in groups.iter().enumerate() {
                let ((count, sum), (_, kept_sum)) = (truth(group, false), truth(group, true));
                let squares = squares(group);
                let truths = [sum / count, kept_sum, count, squares / (count - 1.0), (squares / count).sqrt()];
                for (measure, truth) in truths.into_iter().enumerate() {
                    let [low, high] = [3 * measure + 1, 3 * measure + 2].map(|end| ends[end].unwrap());
                    covered[5 * at + measure] += u64::from(low <= truth && truth <= high);
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
