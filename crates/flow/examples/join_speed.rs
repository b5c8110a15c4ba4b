//! How fast the joins are, on one core, in the shapes of Nexmark's queries 3, 7, 8 and 13 and of a changelog.
//!
//! Prints input rows per second; making the input is not counted. `cargo run --release -p fleuve-flow --example join_speed`

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use fleuve_base::{Result, limits::BATCH_ROWS};
use fleuve_flow::operators::join::{Join, JoinInput, JoinSpec};
use fleuve_flow::operators::lookup_join::LookupJoin;
use fleuve_flow::operators::window_join::{WindowJoin, WindowJoinSpec};
use fleuve_flow::{Batch, EpochInfo, EpochOperator};
use fleuve_functions::compile::CompileContext;
use fleuve_plan::{BinaryOp, Expr, Interval, JoinKind};

const EPOCH_ROWS: i64 = 100_000;
const EPOCHS: i64 = 18;

/// Columns made from a row's number.
enum Column {
    Int(fn(i64) -> i64),
    Time(fn(i64) -> i64),
    Text(fn(i64) -> String),
}

fn schema(columns: &[(&str, Column)]) -> SchemaRef {
    let data_type = |column: &Column| match column {
        Column::Int(_) => DataType::Int64,
        Column::Time(_) => DataType::Timestamp(TimeUnit::Millisecond, None),
        Column::Text(_) => DataType::Utf8,
    };
    Arc::new(Schema::new(columns.iter().map(|(name, c)| Field::new(*name, data_type(c), true)).collect::<Vec<_>>()))
}

fn batch(columns: &[(&str, Column)], from: i64, to: i64) -> RecordBatch {
    let array = |(_, column): &(&str, Column)| -> ArrayRef {
        match column {
            Column::Int(of) => Arc::new((from..to).map(|row| Some(of(row))).collect::<Int64Array>()),
            Column::Time(of) => Arc::new((from..to).map(|row| Some(of(row))).collect::<TimestampMillisecondArray>()),
            Column::Text(of) => Arc::new((from..to).map(|row| Some(of(row))).collect::<StringArray>()),
        }
    };
    RecordBatch::try_new(schema(columns), columns.iter().map(array).collect()).expect("columns of one length")
}

/// The rows of an epoch, in batches as they come.
fn epoch(columns: &[(&str, Column)], epoch: i64, rows: i64) -> Vec<Batch> {
    let (from, to) = (epoch * rows, (epoch + 1) * rows);
    let starts = (from..to).step_by(BATCH_ROWS);
    starts.map(|start| Batch::append(batch(columns, start, to.min(start + BATCH_ROWS as i64)))).collect()
}

fn input(columns: &[(&str, Column)], key: usize) -> JoinInput {
    JoinInput { schema: schema(columns), keys: vec![key], changelog: false }
}

fn both(left: &SchemaRef, right: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(left.fields().iter().chain(right.fields()).cloned().collect::<Vec<_>>()))
}

/// Something like a random number.
fn scatter(row: i64) -> i64 {
    ((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as i64
}

/// Runs an operator over epochs that `make` provides, each with its watermark.
fn run(name: &str, join: &mut dyn EpochOperator, make: impl Fn(i64) -> ([Vec<Batch>; 2], i64)) -> Result<()> {
    let (mut spent, mut rows, mut results, mut most) = (Duration::ZERO, 0, 0, 0);
    let mut previous_watermark = i64::MIN;
    for number in 0..EPOCHS {
        let (mut inputs, watermark) = make(number);
        rows += inputs.iter().flatten().map(Batch::num_rows).sum::<usize>();
        let last = number == EPOCHS - 1;
        let info =
            EpochInfo { epoch: number as u64, clock_ms: 0, previous_clock_ms: 0, watermark, previous_watermark, last };
        let mut output = Vec::new();
        let start = Instant::now();
        join.apply(&info, &mut inputs, &mut output)?;
        spent += start.elapsed();
        results += output.iter().map(Batch::num_rows).sum::<usize>();
        most = most.max(join.stats().state_bytes);
        previous_watermark = watermark;
    }
    let speed = rows as f64 / spent.as_secs_f64() / 1e6;
    println!("{name:32} {speed:7.2} M rows/s   {rows} rows in, {results} out, at most {} MB of state", most >> 20);
    Ok(())
}

/// Auctions with the persons who sell, for ever.
fn q3(context: &CompileContext) -> Result<()> {
    let person = [
        ("id", Column::Int(|row| row)),
        ("name", Column::Text(|row| format!("Person {}", row % 1000))),
        ("city", Column::Text(|row| format!("City {}", row % 20))),
    ];
    let auction = [("id", Column::Int(|row| row)), ("seller", Column::Int(|row| scatter(row) % (row / 4 + 1)))];
    let output = both(&schema(&auction), &schema(&person));
    let (left, right) = (input(&auction, 1), input(&person, 0));
    let spec = JoinSpec { kind: JoinKind::Inner, left, right, filter: None, interval: None, output };
    let inputs = |number| [epoch(&auction, number, EPOCH_ROWS * 3 / 4), epoch(&person, number, EPOCH_ROWS / 4)];
    run("q3 unbounded inner join", &mut Join::new(spec, context)?, |number| (inputs(number), i64::MIN))
}

/// All bids of the last 10 s by price, with the highest price of each window.
fn q7(context: &CompileContext) -> Result<()> {
    let bid = [
        ("auction", Column::Int(|row| row % 1000)),
        ("price", Column::Int(|row| scatter(row) % 1_000_000)),
        ("bidder", Column::Int(|row| row % 5000)),
        ("time", Column::Time(|row| row / 10)),
        ("time_ms", Column::Int(|row| row / 10)),
        ("extra", Column::Text(|row| format!("{row:0>60}"))),
    ];
    let highest = [
        ("price", Column::Int(|row| scatter(row * 100_000) % 1_000_000)),
        ("time", Column::Time(|row| (row + 1) * 10_000 - 1)),
        ("time_ms", Column::Int(|row| (row + 1) * 10_000 - 1)),
    ];
    let plus = |column, ms| Expr::binary(BinaryOp::Plus, Expr::Column(column), Expr::int64(ms));
    let from = Expr::binary(BinaryOp::GtEq, Expr::Column(8), Expr::Column(4));
    let filter = Expr::and_all([from, Expr::binary(BinaryOp::LtEq, Expr::Column(8), plus(4, 10_000))]);
    let interval = Some(Interval { left_time: 3, right_time: 1, lower_ms: 0, upper_ms: 10_000 });
    let output = both(&schema(&bid), &schema(&highest));
    let (left, right) = (input(&bid, 1), input(&highest, 0));
    let spec = JoinSpec { kind: JoinKind::Inner, left, right, filter, interval, output };
    let inputs = |number| [epoch(&bid, number, EPOCH_ROWS), epoch(&highest, number, 1)];
    run("q7 interval join", &mut Join::new(spec, context)?, |number| (inputs(number), (number + 1) * 10_000 - 4_000))
}

/// New persons who sell in the same window; `name` says how many windows close in an epoch.
fn q8(name: &str, window: [Column; 2], context: &CompileContext) -> Result<()> {
    let [start, end] = window;
    let person = [
        ("id", Column::Int(|row| row)),
        ("window_start", start),
        ("window_end", end),
        ("name", Column::Text(|row| format!("Person {}", row % 1000))),
    ];
    let Column::Time(start) = person[1].1 else { return Ok(()) };
    let Column::Time(end) = person[2].1 else { return Ok(()) };
    let auction = [
        ("seller", Column::Int(|row| row - scatter(row) % 3)),
        ("window_start", Column::Time(start)),
        ("window_end", Column::Time(end)),
    ];
    let output = both(&schema(&person), &schema(&auction));
    let (left, right) = (input(&person, 0), input(&auction, 0));
    let (left_window, right_window) = ((1, 2), (1, 2));
    let spec = WindowJoinSpec { kind: JoinKind::Inner, left, right, left_window, right_window, filter: None, output };
    let inputs = |number| [epoch(&person, number, EPOCH_ROWS / 2), epoch(&auction, number, EPOCH_ROWS / 2)];
    let watermark = |number: i64| (number + 1) * EPOCH_ROWS / 2 - 4_000;
    run(name, &mut WindowJoin::new(spec, context)?, |number| (inputs(number), watermark(number)))
}

/// Running counts of auctions, each change a row back and a row new, with the auctions; a left join.
fn changelog(context: &CompileContext) -> Result<()> {
    let auction = [("id", Column::Int(|row| row)), ("item", Column::Text(|row| format!("Item {}", row % 1000)))];
    // Half of an epoch's rows take back what the epoch before added.
    let counts = [("auction", Column::Int(|row| row % 50_000)), ("count", Column::Int(|row| row / 50_000))];
    let output = both(&schema(&auction), &schema(&counts));
    let right = JoinInput { changelog: true, ..input(&counts, 0) };
    let spec = JoinSpec { kind: JoinKind::Left, left: input(&auction, 0), right, filter: None, interval: None, output };
    let weighted = |batch: Batch, weight: i64| {
        let weights = Int64Array::from(vec![weight; batch.num_rows()]);
        Batch::weighted(batch.columns, weights)
    };
    let inputs = |number: i64| {
        let added = epoch(&counts, number, EPOCH_ROWS / 2).into_iter().map(|batch| weighted(batch, 1));
        let old = if number == 0 { vec![] } else { epoch(&counts, number - 1, EPOCH_ROWS / 2) };
        let changes = added.chain(old.into_iter().map(|batch| weighted(batch, -1))).collect();
        [epoch(&auction, number, EPOCH_ROWS / 10), changes]
    };
    run("left join of a changelog", &mut Join::new(spec, context)?, |number| (inputs(number), i64::MIN))
}

/// Bids with what a small table says of their auctions.
fn q13(context: &CompileContext) -> Result<()> {
    let bid = [
        ("auction", Column::Int(|row| scatter(row) % 10_000)),
        ("bidder", Column::Int(|row| row % 5000)),
        ("price", Column::Int(|row| row)),
        ("time", Column::Time(|row| row / 10)),
    ];
    let side = [("key", Column::Int(|row| row)), ("value", Column::Text(|row| row.to_string()))];
    for (name, table, columns) in [("q13 lookup, text", &side[..], 2), ("q13 lookup, key only", &side[..1], 1)] {
        let rows = batch(table, 0, 10_000);
        let output = both(&schema(&bid), &schema(table));
        let key = [Expr::Column(0)];
        let join =
            LookupJoin::new(schema(&bid), schema(table), &[rows], JoinKind::Inner, &key, &[0], None, output, context)?;
        let batches: Vec<Batch> = (0..EPOCHS).flat_map(|number| epoch(&bid, number, EPOCH_ROWS)).collect();
        let (start, mut results) = (Instant::now(), 0);
        for batch in &batches {
            results += join.apply(batch)?.num_rows();
        }
        let rows = batches.iter().map(Batch::num_rows).sum::<usize>();
        let speed = rows as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!("{name:32} {speed:7.2} M rows/s   {rows} rows in, {results} out, {columns} columns added");
    }
    Ok(())
}

fn main() -> Result<()> {
    let context = CompileContext::default();
    q3(&context)?;
    changelog(&context)?;
    q7(&context)?;
    let ten_seconds = [Column::Time(|row| row / 10_000 * 10_000), Column::Time(|row| row / 10_000 * 10_000 + 10_000)];
    q8("q8 windows of 10 s", ten_seconds, &context)?;
    let four_ms = [Column::Time(|row| row / 4 * 4), Column::Time(|row| row / 4 * 4 + 4)];
    q8("q8 12500 windows an epoch", four_ms, &context)?;
    q13(&context)
}
