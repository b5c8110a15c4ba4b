//! How fast JSON lines decode: events and gigabytes a second on one core, for some sets of wanted columns.
//!
//! `cargo run --release -p fleuve-format --example json_speed -- FILE.json [LABEL]` with Nexmark events, one a line.

use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use fleuve_format::{
    Condition, Decode, JsonDecoder, JsonEncoder, JsonOptions, Literal, Prefilter, TimestampFormat, Wanted,
};

/// Bytes given to the decoder at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// The time this thread has had on a processor, so that other load does not count; elsewhere than on Linux, the clock's.
fn cpu_time(start: Instant) -> Duration {
    let scheduled = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = scheduled.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The best of so many runs is printed.
const RUNS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: json_speed FILE.json")?;
    let bytes = std::fs::read(&path)?;
    println!("{:<44} {:>10} {:>9} {:>7}", "wanted", "rows", "M ev/s", "GB/s");
    let bids = [("auction", DataType::Int64), ("bidder", DataType::Int64), ("price", DataType::Int64)];
    let rest = [("dateTime", timestamp()), ("extra", DataType::Utf8)];
    let q0: Vec<Wanted> = bids.into_iter().chain(rest).map(|(name, t)| Wanted::path(name, ["bid", name], t)).collect();
    let event_type = vec![Wanted::path("event_type", ["event_type"], DataType::Int32)];
    measure("q0: 5 of bid, event_type = 2, max_of", &bytes, &q0, only_events(2))?;
    measure("the same, every line checked to its end", &bytes, &q0, JsonOptions { strict: true, ..only_events(2) })?;
    measure("q5: auction, dateTime", &bytes, &[q0[0].clone(), q0[3].clone()], only_events(2))?;
    measure("event_type = 0 (2 %), max_of", &bytes, &persons(), only_events(0))?;
    measure("event_type alone", &bytes, &event_type, JsonOptions::default())?;
    measure(
        "event_type alone, checked to the end",
        &bytes,
        &event_type,
        JsonOptions { strict: true, ..JsonOptions::default() },
    )?;
    measure("everything", &bytes, &everything(), JsonOptions::default())?;
    if std::env::args().nth(2).is_none() {
        measure_encoding(&bytes)?
    }
    Ok(())
}

/// Encodes everything again, and checks that the very same bytes come out.
fn measure_encoding(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let clock = Instant::now();
    let (mut spent, mut rows, mut rest) = (Duration::ZERO, 0, bytes);
    while !rest.is_empty() {
        let chunk = &rest[..rest.len().min(CHUNK_BYTES)];
        let cut = if chunk.len() == rest.len() { rest.len() } else { fleuve_format::lines::whole_lines(chunk) };
        let mut decoder = JsonDecoder::new(&everything(), JsonOptions::default())?;
        decoder.decode(&rest[..cut])?;
        let batch = decoder.flush()?.batch;
        let start = cpu_time(clock);
        let mut out = Vec::new();
        JsonEncoder::new(&batch.schema(), TimestampFormat::Sql)?.encode(&batch, &mut out)?;
        spent += cpu_time(clock) - start;
        if out != rest[..cut] {
            return Err("decoded and encoded again, the lines are not the same".into());
        }
        rows += batch.num_rows();
        rest = &rest[cut..];
    }
    let (events, gigabytes) = (rows as f64 / spent.as_secs_f64() / 1e6, bytes.len() as f64 / spent.as_secs_f64() / 1e9);
    println!("{:<44} {rows:>10} {events:>9.2} {gigabytes:>7.2}", "encoding everything");
    Ok(())
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

fn only_events(kind: i64) -> JsonOptions {
    let condition = Condition::AnyOf(vec![Literal::Int(kind)]);
    let max_of = ["person", "auction", "bid"].map(|kind| vec![kind.to_owned(), "dateTime".to_owned()]);
    JsonOptions {
        prefilter: vec![Prefilter { path: vec!["event_type".to_owned()], condition }],
        max_of: max_of.into(),
        ..JsonOptions::default()
    }
}

fn persons() -> Vec<Wanted> {
    ["name", "city", "state"].map(|name| Wanted::path(name, ["person", name], DataType::Utf8)).into()
}

fn row(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Fields>())
}

fn everything() -> Vec<Wanted> {
    use DataType::{Int32, Int64, Utf8};
    let person = row(&[
        ("id", Int64),
        ("name", Utf8),
        ("emailAddress", Utf8),
        ("creditCard", Utf8),
        ("city", Utf8),
        ("state", Utf8),
        ("dateTime", timestamp()),
        ("extra", Utf8),
    ]);
    let auction = row(&[
        ("id", Int64),
        ("itemName", Utf8),
        ("description", Utf8),
        ("initialBid", Int64),
        ("reserve", Int64),
        ("dateTime", timestamp()),
        ("expires", timestamp()),
        ("seller", Int64),
        ("category", Int64),
        ("extra", Utf8),
    ]);
    let bid = row(&[
        ("auction", Int64),
        ("bidder", Int64),
        ("price", Int64),
        ("channel", Utf8),
        ("url", Utf8),
        ("dateTime", timestamp()),
        ("extra", Utf8),
    ]);
    [("event_type", Int32), ("person", person), ("auction", auction), ("bid", bid)]
        .map(|(name, t)| Wanted::column(&Field::new(name, t, true)))
        .into()
}

fn measure(label: &str, bytes: &[u8], wanted: &[Wanted], options: JsonOptions) -> fleuve_base::Result<()> {
    if std::env::args().nth(2).is_some_and(|only| !label.contains(&only)) {
        return Ok(());
    }
    let (mut best, mut rows, mut lines) = (f64::MAX, 0, 0);
    for _ in 0..RUNS {
        let clock = Instant::now();
        let start = cpu_time(clock);
        let mut decoder = JsonDecoder::new(wanted, options.clone())?;
        (rows, lines) = (0, 0);
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.len().min(CHUNK_BYTES);
            let cut = rest[..end].iter().rposition(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
            decoder.decode(&rest[..cut])?;
            let decoded = decoder.flush()?;
            rows += decoded.batch.num_rows();
            lines += decoded.lines_read;
            rest = &rest[cut..];
        }
        best = best.min((cpu_time(clock) - start).as_secs_f64());
    }
    let (events, gigabytes) = (lines as f64 / best / 1e6, bytes.len() as f64 / best / 1e9);
    println!("{label:<44} {rows:>10} {events:>9.2} {gigabytes:>7.2}");
    Ok(())
}
