//! How long opening a log takes after a clean stop: `cargo run --release -p fleuve-journal --example startup -- DIR`.
//!
//! Once with 10 GiB in few partitions, and once with many partitions of a few records.

use std::path::{Path, PathBuf};
use std::time::Instant;

use fleuve_base::{Env, Result};
use fleuve_journal::{Durability, Log, LogOptions, TopicConfig};
use fleuve_record::BatchBuilder;

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("startup-data"), PathBuf::from);
    measure(&directory.join("large"), 10, 4, 256)?;
    measure(&directory.join("many"), 1000, 3, 1)
}

/// Fills so many topics of so many partitions with so many batches of 1 MiB (or of one record, if it is one batch).
fn measure(directory: &Path, topics: usize, partitions: u32, batches: usize) -> Result<()> {
    let log = Log::open(Env::system(), directory, LogOptions::default())?;
    // What is measured is the start, so no write needs to wait for the disk.
    let config = TopicConfig { durability: Durability::Os, ..TopicConfig::default() };
    let value = vec![b'x'; if batches == 1 { 100 } else { (1 << 20) - 100 }];
    for number in 0..topics {
        let topic = log.create_topic(&format!("topic-{number}"), partitions, config)?;
        for partition in topic.partitions() {
            for _ in 0..batches {
                let mut builder = BatchBuilder::new();
                builder.append(0, None, Some(&value), &[])?;
                partition.append(builder.finish()?)?;
            }
        }
    }
    let bytes: u64 = log.topics().iter().flat_map(|topic| topic.partitions()).map(|p| p.size_bytes()).sum();
    let start = Instant::now();
    log.close()?;
    println!(
        "{topics} topics of {partitions} partitions, {:.2} GiB: closed in {:.2?}",
        bytes as f64 / 1073741824.0,
        start.elapsed()
    );
    drop(log);
    for _ in 0..3 {
        let start = Instant::now();
        let log = Log::open(Env::system(), directory, LogOptions::default())?;
        let opened = start.elapsed();
        let topics = log.topics();
        let fetched = topics[0].partition(0)?.read(0, 1)?;
        println!(
            "  opened in {opened:.2?}, first read after {:.2?}, {} bytes scanned",
            start.elapsed(),
            log.recovery().scanned_bytes
        );
        assert!(!fetched.is_empty());
        log.close()?;
    }
    Ok(())
}
