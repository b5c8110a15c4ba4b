//! A small world for tests: files in memory, a clock that stands still, short ways to write and read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fleuve_base::fs_memory::Unsynced;
use fleuve_base::{Clock, Env, Fs, MemoryFs, Result};
use fleuve_journal::{CommitMode, Log, LogOptions, Partition, TopicConfig};
use fleuve_record::{Batch, BatchBuilder};

pub const DIR: &str = "/data";
pub const TOPIC: &str = "orders";

/// A clock that moves when it is told to.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms() as u64)
    }
}

/// One machine: its disk and its clock.
pub struct World {
    pub fs: MemoryFs,
    pub clock: Arc<TestClock>,
}

impl World {
    pub fn new() -> Self {
        World { fs: MemoryFs::new(), clock: Arc::new(TestClock(AtomicI64::new(1_000_000))) }
    }

    pub fn env(&self) -> Env {
        Env { fs: Arc::new(self.fs.clone()), clock: self.clock.clone(), ..Env::system() }
    }

    /// The same machine after a crash.
    pub fn crashed(&self, unsynced: Unsynced) -> World {
        World { fs: self.fs.crash(unsynced), clock: self.clock.clone() }
    }

    pub fn open(&self) -> Result<Arc<Log>> {
        Log::open(self.env(), Path::new(DIR), LogOptions { commit: CommitMode::Manual })
    }

    /// Opens the log and its one partition, creating both if need be.
    pub fn partition(&self, config: TopicConfig) -> (Arc<Log>, Arc<Partition>) {
        let log = self.open().unwrap();
        let topic = log.topic(TOPIC).or_else(|_| log.create_topic(TOPIC, 1, config)).unwrap();
        let partition = Arc::clone(topic.partition(0).unwrap());
        (log, partition)
    }

    /// The files of the one partition with that ending.
    pub fn files(&self, ending: &str) -> Vec<std::path::PathBuf> {
        let directory = Path::new(DIR).join("topics").join(TOPIC).join("0");
        let names = self.fs.list(&directory).unwrap_or_default();
        names.iter().filter(|name| name.ends_with(ending)).map(|name| directory.join(name)).collect()
    }
}

pub fn small_segments() -> TopicConfig {
    TopicConfig { segment_bytes: 1 << 10, ..TopicConfig::default() }
}

pub fn builder(values: &[&[u8]]) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(0, None, Some(value), &[]).unwrap();
    }
    builder
}

pub fn batch(values: &[&[u8]]) -> Batch {
    builder(values).finish().unwrap()
}

/// The value that the record of an offset has in tests that can choose: it differs from offset to offset.
pub fn value(offset: u64) -> Vec<u8> {
    format!("value of {offset}, {}", "x".repeat((offset * 7 % 50) as usize)).into_bytes()
}

/// A batch for the offsets `from..to`.
pub fn batch_of(from: u64, to: u64) -> Batch {
    let values: Vec<_> = (from..to).map(value).collect();
    batch(&values.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Offset and value of all records from `from` to the high watermark.
pub fn read_from(partition: &Partition, from: u64) -> Result<Vec<(u64, Vec<u8>)>> {
    let (mut found, mut next) = (Vec::new(), from);
    while next < partition.high_watermark() {
        let fetched = partition.read(next, 512)?;
        for batch in fetched.batches() {
            for record in &batch?.records()? {
                let record = record?;
                if record.offset as u64 >= next {
                    found.push((record.offset as u64, record.value.unwrap().to_vec()));
                }
            }
        }
        assert!(fetched.next_offset > next, "a read makes progress");
        next = fetched.next_offset;
    }
    Ok(found)
}

pub fn read_all(partition: &Partition) -> Vec<(u64, Vec<u8>)> {
    read_from(partition, partition.log_start_offset()).unwrap()
}

/// The value of one record.
pub fn read_one(partition: &Partition, offset: u64) -> Result<Vec<u8>> {
    let fetched = partition.read(offset, 1)?;
    let records = fetched.batches().next().expect("a batch")?.records()?;
    let found = records.iter().find(|record| record.as_ref().is_ok_and(|r| r.offset as u64 == offset));
    Ok(found.expect("the offset")?.value.unwrap().to_vec())
}
