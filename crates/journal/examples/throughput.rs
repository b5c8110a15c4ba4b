//! How fast this machine appends and reads: `cargo run --release -p fleuve-journal --example throughput -- DIR`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleuve_base::{Env, Result};
use fleuve_journal::{Log, LogOptions, Partition, TopicConfig};
use fleuve_record::BatchBuilder;
use std::sync::Arc;

/// The size of a typical event.
const VALUE: [u8; 334] = [b'x'; 334];
/// Bytes written and read again.
const TOTAL_BYTES: u64 = 1 << 30;

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("throughput-data"), PathBuf::from);
    let log = Log::open(Env::system(), &directory, LogOptions::default())?;
    let topic = log.create_topic("bench", 1, TopicConfig::default())?;
    let partition = topic.partition(0)?;
    report("append batches of 1 MiB, wait at the end", TOTAL_BYTES, || append(partition, 1 << 20))?;
    report("read 1 MiB at a time, verified", TOTAL_BYTES, || read(partition))?;
    let mut latencies = (0..200).map(|_| one_record(partition)).collect::<Result<Vec<_>>>()?;
    latencies.sort();
    println!("one record until durable: p50 {:?}, p99 {:?}", latencies[100], latencies[198]);
    log.delete_topic("bench")?;
    log.close()
}

fn report(what: &str, bytes: u64, run: impl FnOnce() -> Result<u64>) -> Result<()> {
    let start = Instant::now();
    let records = run()?;
    let seconds = start.elapsed().as_secs_f64();
    let (rate, events) = (bytes as f64 / seconds / 1e9, records as f64 / seconds / 1e6);
    println!("{what}: {seconds:.2} s, {rate:.2} GB/s, {events:.2} million records/s");
    Ok(())
}

fn append(partition: &Arc<Partition>, batch_bytes: usize) -> Result<u64> {
    let mut records = 0;
    for _ in 0..TOTAL_BYTES / batch_bytes as u64 {
        let mut builder = BatchBuilder::with_capacity(batch_bytes);
        while builder.batch_bytes() + VALUE.len() + 16 < batch_bytes {
            builder.append(0, None, Some(&VALUE), &[])?;
        }
        records += builder.len() as u64;
        partition.append(builder.finish()?)?;
    }
    partition.ticket().wait()?;
    Ok(records)
}

fn read(partition: &Partition) -> Result<u64> {
    let (mut offset, mut bytes) = (0, 0);
    while offset < partition.high_watermark() {
        let fetched = partition.read(offset, 1 << 20)?;
        for batch in fetched.batches() {
            for record in &batch?.records()? {
                bytes += record?.value.map_or(0, <[u8]>::len);
            }
        }
        offset = fetched.next_offset;
    }
    assert_eq!(bytes as u64, offset * VALUE.len() as u64);
    Ok(offset)
}

fn one_record(partition: &Arc<Partition>) -> Result<Duration> {
    let start = Instant::now();
    let mut builder = BatchBuilder::new();
    builder.append(0, None, Some(&VALUE), &[])?;
    partition.append(builder.finish()?)?.ticket.wait()?;
    Ok(start.elapsed())
}
