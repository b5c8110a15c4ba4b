//! How many rows a second the aggregating operators take on one core, over bids like Nexmark's.
//!
//! `cargo run --release -p fleuve-flow --example operator_speed [NAME…]`: rows are made beforehand; only `apply` is timed.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use fleuve_base::Result;
use fleuve_base::limits::BATCH_ROWS;
use fleuve_flow::Batch;
use fleuve_flow::operator::{EpochInfo, EpochOperator, Share};
use fleuve_flow::operators::aggregate::Aggregate;
use fleuve_flow::operators::window_aggregate::WindowAggregate;
use fleuve_plan::{AggregateCall, Changelog, Settings, TimeAttribute, Window, WindowInput};

const ROWS: usize = 2_000_000;
const EPOCH_ROWS: usize = 200_000;
/// Event time: 2015-07-15, at 9,200 bids a second.
const BASE_MS: i64 = 1_436_918_400_000;
const BIDS_PER_S: i64 = 9_200;
const WATERMARK_DELAY_MS: i64 = 4_000;

// Columns.
const AUCTION: usize = 0;
const BIDDER: usize = 1;
const PRICE: usize = 2;
const CHANNEL: usize = 3;
const TIME: usize = 4;
const DAY: usize = 5;
const MINUTE: usize = 6;
const RANKS: [usize; 3] = [7, 8, 9];

const TIME_TYPE: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

fn schema() -> SchemaRef {
    let columns = [
        ("auction", DataType::Int64),
        ("bidder", DataType::Int64),
        ("price", DataType::Int64),
        ("channel", DataType::Utf8),
        ("dateTime", TIME_TYPE),
        ("day", DataType::Utf8),
        ("minute", DataType::Utf8),
        ("rank1", DataType::Boolean),
        ("rank2", DataType::Boolean),
        ("rank3", DataType::Boolean),
    ];
    Arc::new(Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as i64
    }
}

/// Bids in order of time, `spread_ms` apart on top of their usual distance.
fn bids(spread_ms: i64) -> Vec<Batch> {
    let mut random = Random(88_172_645_463_325_252);
    let starts = (0..ROWS).step_by(BATCH_ROWS);
    starts.map(|start| Batch::append(bids_of(start, BATCH_ROWS.min(ROWS - start), spread_ms, &mut random))).collect()
}

fn bids_of(start: usize, rows: usize, spread_ms: i64, random: &mut Random) -> RecordBatch {
    let numbers = start as i64..(start + rows) as i64;
    let time = |n: i64| BASE_MS + n * 1000 / BIDS_PER_S + n * spread_ms;
    // Half of all bids are on a hot auction, three quarters by a hot bidder; the others choose among the recent ones.
    let auctions: Vec<i64> = numbers.clone().map(|n| recent(n * 3 / 46, 2, random)).collect();
    let bidders: Vec<i64> = numbers.clone().map(|n| recent(n / 46, 4, random)).collect();
    let prices: Vec<i64> = auctions.iter().map(|_| 10i64.pow(2 + random.below(6) as u32) + random.below(100)).collect();
    let names = ["Google", "Facebook", "Baidu", "Apple"];
    let channels = auctions.iter().map(|_| match random.below(2) {
        0 => names[random.below(4) as usize].to_owned(),
        _ => format!("channel-{}", random.below(10_000)),
    });
    let minutes = numbers.clone().map(|n| (time(n) / 60_000) % 1440);
    let rank = |test: fn(i64) -> bool| -> ArrayRef {
        Arc::new(prices.iter().map(|p| Some(test(*p))).collect::<BooleanArray>())
    };
    let ranks = [rank(|p| p < 10_000), rank(|p| (10_000..1_000_000).contains(&p)), rank(|p| p >= 1_000_000)];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(auctions.clone())),
        Arc::new(Int64Array::from(bidders)),
        Arc::new(Int64Array::from(prices.clone())),
        Arc::new(StringArray::from_iter_values(channels)),
        Arc::new(TimestampMillisecondArray::from_iter_values(numbers.clone().map(time))),
        Arc::new(StringArray::from_iter_values(
            numbers.map(|n| format!("2015-07-{}", 15 + (time(n) - BASE_MS) / 86_400_000)),
        )),
        Arc::new(StringArray::from_iter_values(minutes.map(|m| format!("{:02}:{:02}", m / 60, m % 60)))),
    ];
    RecordBatch::try_new(schema(), columns.into_iter().chain(ranks).collect()).expect("the columns fit the schema")
}

/// An id near the newest: the last round one, but for one time in `hot`.
fn recent(newest: i64, hot: i64, random: &mut Random) -> i64 {
    1000 + if random.below(hot) > 0 { newest / 100 * 100 } else { (newest - random.below(100)).max(0) }
}

fn call(function: &str, arg: Option<usize>, filter: Option<usize>) -> AggregateCall {
    let args = arg.into_iter().collect();
    let data_type = if arg == Some(MINUTE) { DataType::Utf8 } else { DataType::Int64 };
    AggregateCall { function: function.into(), args, parameters: vec![], distinct: false, filter, data_type }
}

/// One plain call and one for each rank.
fn ranked(function: &str, arg: Option<usize>) -> Vec<AggregateCall> {
    let distinct = arg.is_some();
    let filters = [None, Some(RANKS[0]), Some(RANKS[1]), Some(RANKS[2])];
    filters.map(|filter| AggregateCall { distinct, ..call(function, arg, filter) }).to_vec()
}

fn q15() -> Vec<AggregateCall> {
    [ranked("count", None), ranked("count", Some(BIDDER)), ranked("count", Some(AUCTION))].concat()
}

fn q16() -> Vec<AggregateCall> {
    [vec![call("max", Some(MINUTE), None)], q15()].concat()
}

fn q17() -> Vec<AggregateCall> {
    let prices = ["min", "max", "avg", "sum"].map(|function| call(function, Some(PRICE), None)).to_vec();
    [ranked("count", None), prices].concat()
}

fn output(keys: &[usize], calls: &[AggregateCall], windowed: bool) -> SchemaRef {
    let input = schema();
    let keys = keys.iter().map(|key| input.field(*key).clone());
    let values = calls.iter().enumerate().map(|(i, c)| Field::new(format!("value{i}"), c.data_type.clone(), true));
    let windows = ["window_start", "window_end", "window_time"].map(|name| Field::new(name, TIME_TYPE, true));
    let windows = windows.into_iter().take(if windowed { 3 } else { 0 });
    Arc::new(Schema::new(keys.chain(values).chain(windows).collect::<Vec<_>>()))
}

fn unwindowed(keys: &[usize], calls: &[AggregateCall]) -> Result<Box<dyn EpochOperator>> {
    let share = Share { worker: 0, workers: 1 };
    let (settings, output) = (Settings::default(), output(keys, calls, false));
    Ok(Box::new(Aggregate::new(&schema(), Changelog::AppendOnly, keys, calls, output, &settings, share)?))
}

fn windowed(window: Window, keys: &[usize], calls: &[AggregateCall]) -> Result<Box<dyn EpochOperator>> {
    let window = WindowInput::Assign { window, time: TimeAttribute::Event(TIME) };
    let output = output(keys, calls, true);
    Ok(Box::new(WindowAggregate::new(&schema(), Changelog::AppendOnly, &window, keys, calls, output)?))
}

/// Time that this thread has spent on a core (Linux), so that a busy machine does not spoil the rate.
fn time_on_core() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux accounts for its threads");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("the first number is a time"))
}

/// Applies all bids, an epoch at a time, and prints the rate.
fn run(name: &str, mut operator: Box<dyn EpochOperator>, bids: &[Batch]) -> Result<()> {
    let epochs: Vec<&[Batch]> = bids.chunks(EPOCH_ROWS / BATCH_ROWS).collect();
    let (mut spent, mut rows, mut state_bytes) = (Duration::ZERO, 0, 0);
    let mut watermark = i64::MIN;
    for (epoch, batches) in epochs.iter().enumerate() {
        let times = batches.last().map(|batch| fleuve_flow::operators::window_time::milliseconds(batch.column(TIME)));
        let newest = times.transpose()?.and_then(|times| times.values().last().copied()).unwrap_or(BASE_MS);
        let previous_watermark = std::mem::replace(&mut watermark, newest - WATERMARK_DELAY_MS);
        let last = epoch + 1 == epochs.len();
        let info =
            EpochInfo { epoch: epoch as u64, clock_ms: 0, previous_clock_ms: 0, watermark, previous_watermark, last };
        let mut output = vec![];
        let mut inputs = [batches.to_vec()];
        let start = time_on_core();
        operator.apply(&info, &mut inputs, &mut output)?;
        spent += time_on_core() - start;
        rows += output.iter().map(Batch::num_rows).sum::<usize>();
        state_bytes = state_bytes.max(operator.stats().state_bytes);
    }
    let rate = ROWS as f64 / spent.as_secs_f64() / 1e6;
    println!("{name:<28}{rate:>8.1} M rows/s {rows:>10} rows out {:>8} KiB of state", state_bytes >> 10);
    Ok(())
}

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    let count = [call("count", None, None)];
    let tumble = Window::Tumble { size_ms: 10_000, offset_ms: 0 };
    let hop = Window::Hop { size_ms: 10_000, slide_ms: 2_000, offset_ms: 0 };
    let session = Window::Session { gap_ms: 10_000 };
    let dense = [
        ("tumble count", windowed(tumble, &[AUCTION], &count)?),
        ("hop count (q5)", windowed(hop.clone(), &[AUCTION], &count)?),
        ("session count (q11)", windowed(session.clone(), &[BIDDER], &count)?),
        ("group by i64", unwindowed(&[AUCTION], &count)?),
        ("q15", unwindowed(&[DAY], &q15())?),
        ("q16", unwindowed(&[CHANNEL, DAY], &q16())?),
        ("q17", unwindowed(&[AUCTION, DAY], &q17())?),
        ("distinct", unwindowed(&[AUCTION, BIDDER], &[])?),
    ];
    let bids_dense = bids(0);
    for (name, operator) in dense {
        if is_wanted(name) {
            run(name, operator, &bids_dense)?;
        }
    }
    drop(bids_dense);
    let sparse = [
        ("sparse hop count", windowed(hop, &[AUCTION], &count)?),
        ("sparse session count", windowed(session, &[BIDDER], &count)?),
    ];
    let bids_sparse = bids(500);
    for (name, operator) in sparse {
        if is_wanted(name) {
            run(name, operator, &bids_sparse)?;
        }
    }
    Ok(())
}
