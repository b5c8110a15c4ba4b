//! Our broker beside Apache Kafka: one driver over librdkafka, one machine, one run.
//!
//! Three brokers take turns, each over an empty directory: ours (synced before it is acknowledged), Kafka that flushes every
//! append, and Kafka as it comes, which leaves the records to the operating system. The driver shares the machine with the
//! broker, so the broker's own CPU time tells more than the throughput of small records.

use std::path::PathBuf;
use std::time::Duration;

use super::ceiling;
use super::driver::{Driver, figure};
use super::process::{binary, cpu, memory};
use super::{flag, number};
use crate::e2e::broker::Broker;
use crate::e2e::reference;

/// Records of a run, by their bytes.
const RECORDS: [(u64, u64); 2] = [(100, 2_000_000), (1024, 400_000)];

/// Seconds of the run at a fixed rate, and records in each.
const LATENCY: (u64, u64) = (20, 1_000);

/// The memory that Kafka's own start script gives it, and its collector.
const KAFKA_MACHINE: [&str; 4] = ["-Xmx1G", "-Xms1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];

/// How long a broker is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// What to measure.
pub struct Options {
    rounds: u64,
    only: Option<String>,
    binary: Option<PathBuf>,
}

impl Options {
    /// Reads the flags.
    pub fn parse(arguments: &[&str]) -> Result<Self, String> {
        Ok(Options {
            rounds: number(arguments, "--rounds", 3)?.max(1),
            only: flag(arguments, "--only")?.map(str::to_owned),
            binary: flag(arguments, "--binary")?.map(PathBuf::from),
        })
    }
}

/// Starts a broker over an empty directory.
type Start<'a> = &'a dyn Fn() -> Result<Broker, String>;

/// One figure of one broker: what was measured, in which unit, and the medians.
struct Row {
    what: String,
    values: Vec<f64>,
}

/// Measures all brokers and prints a table of medians.
pub fn run(options: &Options) -> Result<(), String> {
    let ours = options.binary.clone().map_or_else(binary, Ok)?;
    let driver = Driver::compile()?;
    println!("{}", ceiling::measure()?);
    let starts: [(&str, Start<'_>); 3] = [
        ("fleuve", &|| Broker::fleuve(Some(&ours))),
        ("kafka-fsync", &|| reference::start_with(&KAFKA_MACHINE, "log.flush.interval.messages=1\n")),
        ("kafka", &|| reference::start_with(&KAFKA_MACHINE, "")),
    ];
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let mut columns = vec![];
    for (name, start) in starts.into_iter().filter(|(name, _)| wanted(name)) {
        columns.push((name, measure(&driver, start, options.rounds)?));
    }
    print_table(&columns);
    Ok(())
}

fn print_table(columns: &[(&str, Vec<Row>)]) {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    println!("\n| | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    let Some((_, first)) = columns.first() else { return };
    for (index, row) in first.iter().enumerate() {
        let cells = columns.iter().map(|(_, rows)| rows.get(index).map_or_else(String::new, |row| shown(&row.values)));
        println!("| {} | {} |", row.what, cells.collect::<Vec<_>>().join(" | "));
    }
}

/// The median, and the spread if there were several runs.
fn shown(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let digits = |value: f64| if value < 10.0 { format!("{value:.3}") } else { format!("{value:.0}") };
    match sorted.as_slice() {
        [] => String::new(),
        [one] => digits(*one),
        [least, .., most] => format!("{} ({}–{})", digits(sorted[sorted.len() / 2]), digits(*least), digits(*most)),
    }
}

/// Everything about one broker.
fn measure(driver: &Driver, start: Start<'_>, rounds: u64) -> Result<Vec<Row>, String> {
    let mut rows = vec![];
    let broker = start()?;
    let pid = broker.pid().ok_or("the broker is not a process of ours")?;
    driver.run(&["first", &broker.bootstrap, "first", "100"])?;
    row(&mut rows, "start to the first acknowledged record, ms".to_owned(), broker.age().as_secs_f64() * 1e3);
    std::thread::sleep(IDLE);
    let mebibytes = |kind: &str| memory(pid, kind).map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20));
    row(&mut rows, "resident memory idle, MiB".to_owned(), mebibytes("VmRSS:"));
    for round in 0..rounds {
        for (bytes, records) in RECORDS {
            for (partitions, codec) in [(1, "none"), (4, "none"), (1, "lz4"), (4, "lz4")] {
                let load = Load { bytes, records, partitions, codec, round };
                load.run(driver, &broker.bootstrap, pid, &mut rows)?;
            }
        }
        let topic = format!("latency-{round}");
        driver.run(&["create", &broker.bootstrap, &topic, "1"])?;
        let (seconds, rate) = LATENCY;
        let at_rate = ["latency", &broker.bootstrap, &topic, &rate.to_string(), &seconds.to_string(), "100"];
        let figures = driver.run(&at_rate)?;
        row(&mut rows, format!("{rate} records/s, end to end p50, ms"), figure(&figures, "p50_ms")?);
        row(&mut rows, format!("{rate} records/s, end to end p99, ms"), figure(&figures, "p99_ms")?);
    }
    row(&mut rows, "peak resident memory, MiB".to_owned(), mebibytes("VmHWM:"));
    Ok(rows)
}

fn row(rows: &mut Vec<Row>, what: String, value: f64) {
    match rows.iter_mut().find(|row| row.what == what) {
        Some(row) => row.values.push(value),
        None => rows.push(Row { what, values: vec![value] }),
    }
}

/// One topic, filled and read.
struct Load {
    bytes: u64,
    records: u64,
    partitions: u64,
    codec: &'static str,
    round: u64,
}

impl Load {
    fn run(&self, driver: &Driver, bootstrap: &str, pid: u32, rows: &mut Vec<Row>) -> Result<(), String> {
        let Load { bytes, records, partitions, codec, round } = self;
        let topic = format!("t-{bytes}-{partitions}-{codec}-{round}");
        driver.run(&["create", bootstrap, &topic, &partitions.to_string()])?;
        let (count, size, partitions) = (records.to_string(), bytes.to_string(), partitions.to_string());
        let produce = ["produce", bootstrap, &topic, &count, &size, codec];
        let consume = ["consume", bootstrap, &topic, &count, &partitions];
        for command in [&produce[..], &consume[..]] {
            let before = cpu(pid).ok_or("the broker has ended")?;
            let figures = driver.run(command)?;
            let spent = cpu(pid).ok_or("the broker has ended")? - before;
            let what = format!("{} {bytes} B, {partitions} partitions, {codec}", command[0]);
            let seconds = figure(&figures, "seconds")?;
            row(rows, format!("{what}, thousand records/s"), *records as f64 / seconds / 1e3);
            row(rows, format!("{what}, broker CPU s per million"), spent / *records as f64 * 1e6);
        }
        Ok(())
    }
}
