//! How fast this machine appends and reads: `cargo run --release -p fleuve-journal --example throughput -- DIR`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use fleuve_base::{Env, Result};
use fleuve_journal::{Log, LogOptions, Partition, Topic, TopicConfig};
use fleuve_record::{Batch, BatchBuilder};

/// Bytes written and read again, for each size of records and batches.
const TOTAL_BYTES: u64 = 1 << 28;
/// Batches that may be in flight, as of an idempotent producer's connection.
const IN_FLIGHT: usize = 5;

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("throughput-data"), PathBuf::from);
    let log = Log::open(Env::system(), &directory, LogOptions::default())?;
    for (record_bytes, batch_bytes) in [(1024, 16 << 10), (1024, 1 << 20), (100, 16 << 10), (100, 1 << 20)] {
        println!("records of {record_bytes} B in batches of {} KiB:", batch_bytes >> 10);
        for partitions in [1, 4] {
            let topic = log.create_topic("bench", partitions, TopicConfig::default())?;
            produce(&topic, record_bytes, batch_bytes)?;
            if partitions == 1 {
                fetch(&topic)?;
            }
            log.delete_topic("bench")?;
        }
    }
    let topic = log.create_topic("bench", 1, TopicConfig::default())?;
    let mut latencies = (0..1000).map(|_| one_record(topic.partition(0)?)).collect::<Result<Vec<_>>>()?;
    latencies.sort();
    println!("one record until durable: p50 {:?}, p99 {:?}", latencies[500], latencies[990]);
    log.delete_topic("bench")?;
    log.close()
}

/// Appends as a broker does: each batch arrives as bytes, is checked, appended, and waited for.
fn produce(topic: &Topic, record_bytes: usize, batch_bytes: usize) -> Result<()> {
    let batch = batch(record_bytes, batch_bytes)?;
    let (count, records) = (TOTAL_BYTES / batch.as_bytes().len() as u64, batch.header().record_count as u64);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let each = count / topic.partitions().len() as u64;
    std::thread::scope(|scope| {
        for partition in topic.partitions() {
            scope.spawn(|| append(partition, batch.as_bytes(), each));
        }
    });
    let millions = (records * each * topic.partitions().len() as u64) as f64 / 1e6;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "  append to {} partitions, {IN_FLIGHT} in flight each: {:.0} MB/s, {:.2} million records/s, {:.3} CPU s per million",
        topic.partitions().len(),
        TOTAL_BYTES as f64 / seconds / 1e6,
        millions / seconds,
        cpu / millions,
    );
    Ok(())
}

fn append(partition: &Arc<Partition>, bytes: &[u8], count: u64) {
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..count {
        let batch = Batch::parse(BytesMut::from(bytes)).expect("the batch is whole");
        waiting.push_back(partition.append(batch).expect("the disk works").ticket);
        if waiting.len() > IN_FLIGHT {
            waiting.pop_front().expect("there are some").wait().expect("the disk works");
        }
    }
    partition.ticket().wait().expect("the disk works");
}

/// Reads as a broker does: bytes that are verified, but not decoded.
fn fetch(topic: &Topic) -> Result<()> {
    let partition = topic.partition(0)?;
    for max_bytes in [64 << 10, 1 << 20, 8 << 20] {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let (mut offset, mut bytes) = (0, 0);
        while offset < partition.high_watermark() {
            let fetched = partition.read(offset, max_bytes)?;
            bytes += fetched.bytes.len();
            offset = fetched.next_offset;
        }
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let megabytes = bytes as f64 / 1e6;
        println!(
            "  fetch up to {} KiB: {:.0} MB/s, {:.0} µs of CPU per MB",
            max_bytes >> 10,
            megabytes / seconds,
            cpu / megabytes * 1e6
        );
    }
    Ok(())
}

fn batch(record_bytes: usize, batch_bytes: usize) -> Result<Batch> {
    let mut builder = BatchBuilder::with_capacity(batch_bytes);
    let value = vec![b'x'; record_bytes];
    while builder.batch_bytes() + record_bytes + 16 < batch_bytes {
        builder.append(0, None, Some(&value), &[])?;
    }
    builder.finish()
}

fn one_record(partition: &Arc<Partition>) -> Result<Duration> {
    let start = Instant::now();
    partition.append(batch(334, 512)?)?.ticket.wait()?;
    Ok(start.elapsed())
}

/// User and system time of this process, by Linux's count of 10 ms ticks.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
