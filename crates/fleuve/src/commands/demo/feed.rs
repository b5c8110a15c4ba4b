//! The demo's topics, as they grow.

use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_flow::runtime::Handle;
use fleuve_journal::{Log, Partition};
use serde_json::Value;

/// Bytes read from a topic at once.
const READ_BYTES: usize = 1 << 20;

/// What is new since the last look.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Earthquakes, oldest first.
    pub latest: Vec<Value>,
    /// Closed hours.
    pub hourly: Vec<Value>,
    /// Strong ones.
    pub alerts: Vec<Value>,
}

/// A reader of the demo's topics.
pub struct Feed {
    quakes: Arc<Partition>,
    latest: Tail,
    hourly: Tail,
    alerts: Tail,
}

impl Feed {
    /// Reads from the beginning, so that a restarted demo shows what it had.
    pub fn open(log: &Log) -> Result<Self> {
        let tail = |name: &str| Ok::<_, Error>(Tail { partition: log.topic(name)?.partition(0)?.clone(), next: 0 });
        Ok(Feed {
            quakes: log.topic("quakes")?.partition(0)?.clone(),
            latest: tail("latest")?,
            hourly: tail("hourly")?,
            alerts: tail("alerts")?,
        })
    }

    /// Everything that has come since.
    pub fn poll(&mut self) -> Result<Fresh> {
        Ok(Fresh { latest: self.latest.poll()?, hourly: self.hourly.poll()?, alerts: self.alerts.poll()? })
    }

    /// Records ingested.
    pub fn ingested(&self) -> u64 {
        self.quakes.high_watermark()
    }

    /// Whether the answers contain everything that was ingested.
    pub fn caught_up(&self, handles: &[Handle]) -> bool {
        let lag = answering(handles).flat_map(Handle::sources).filter_map(|(_, source)| source.lag());
        lag.sum::<u64>() == 0 && self.latest.next >= self.latest.partition.high_watermark()
    }
}

/// The pipelines that read what is ingested.
pub fn answering(handles: &[Handle]) -> impl Iterator<Item = &Handle> {
    handles.iter().filter(|handle| handle.pipeline().name != super::INGEST)
}

struct Tail {
    partition: Arc<Partition>,
    next: u64,
}

impl Tail {
    fn poll(&mut self) -> Result<Vec<Value>> {
        let mut rows = vec![];
        while self.next < self.partition.high_watermark() {
            let fetched = self.partition.read(self.next, READ_BYTES)?;
            for batch in fetched.batches() {
                for record in batch?.records()?.iter() {
                    let record = record?;
                    let seen = u64::try_from(record.offset).is_ok_and(|offset| offset < self.next);
                    if let (Some(value), false) = (record.value, seen) {
                        rows.push(serde_json::from_slice(value).unwrap_or_default());
                    }
                }
            }
            if fetched.next_offset <= self.next {
                return Err(Error::internal("a topic's reader does not advance"));
            }
            self.next = fetched.next_offset;
        }
        Ok(rows)
    }
}
