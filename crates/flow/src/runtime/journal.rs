//! The epoch journal: one internal topic in which every pipeline of a data directory writes its epochs.

use std::sync::Arc;

use fleuve_base::{Env, Error, Result};
use fleuve_journal::{Appended, Log, Partition, TopicConfig};
use fleuve_record::{BatchBuilder, Batches};

use super::record::EpochRecord;

/// The topic's name. All pipelines share it, so that one `fdatasync` makes the epochs of all of them durable.
pub const EPOCH_TOPIC: &str = "__epochs";

/// Bytes read at once while looking for a pipeline's records.
const READ_BYTES: usize = 4 << 20;

/// One pipeline's view of the epoch journal.
pub struct EpochJournal {
    partition: Arc<Partition>,
    pipeline: String,
    env: Env,
}

impl EpochJournal {
    /// Opens the journal of a data directory, creating it in a fresh one. `pipeline` is the pipeline's identity.
    pub fn open(log: &Log, pipeline: &str, env: Env) -> Result<Self> {
        let topic = match log.topic(EPOCH_TOPIC) {
            Ok(topic) => topic,
            Err(_) => log.create_topic(EPOCH_TOPIC, 1, TopicConfig { retention_ms: None, ..TopicConfig::default() })?,
        };
        Ok(EpochJournal { partition: topic.partition(0)?.clone(), pipeline: pipeline.to_owned(), env })
    }

    /// Appends a record; the ticket tells when it is durable.
    pub fn append(&self, record: &EpochRecord) -> Result<Appended> {
        let mut batch = BatchBuilder::new();
        batch.append(self.env.clock.now_ms(), Some(self.pipeline.as_bytes()), Some(&record.encode()), &[])?;
        self.partition.append(batch.finish()?)
    }

    /// The pipeline's records at or after an offset, with their offsets, in order.
    pub fn records(&self, from_offset: u64) -> Result<Vec<(u64, EpochRecord)>> {
        let mut records = vec![];
        let mut offset = from_offset.max(self.partition.log_start_offset());
        while offset < self.partition.high_watermark() {
            let fetched = self.partition.read(offset, READ_BYTES)?;
            self.collect(fetched.batches(), offset, &mut records)?;
            if fetched.next_offset <= offset {
                return Err(Error::internal(format!("the epoch journal does not advance at offset {offset}")));
            }
            offset = fetched.next_offset;
        }
        Ok(records)
    }

    fn collect(&self, batches: Batches, from_offset: u64, records: &mut Vec<(u64, EpochRecord)>) -> Result<()> {
        for batch in batches {
            for record in batch?.records()?.iter() {
                let record = record?;
                let offset = u64::try_from(record.offset).unwrap_or(0);
                let mine = record.key == Some(self.pipeline.as_bytes()) && offset >= from_offset;
                if let (true, Some(value)) = (mine, record.value) {
                    records.push((offset, EpochRecord::decode(value)?));
                }
            }
        }
        Ok(())
    }
}
