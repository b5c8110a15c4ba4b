//! A topic as a sink: a lane for each partition, an epoch in one atomic append, each epoch once.

use std::sync::Arc;

use fleuve_base::{Env, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::connectors::Reader;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_journal::{Log, Partition, Ticket, Topic};
use fleuve_plan::SinkSpec;
use fleuve_record::{Batch as RecordBytes, BatchBuilder};

use super::records::{Out, RecordEncoder, RecordShape};
use super::{need_log, topic_to_write};
use crate::internal;
use crate::options::Options;

/// Bytes of one record batch, unless a single record is larger.
const BATCH_BYTES: usize = 512 << 10;

/// A table over a topic of the log that is being written.
pub(crate) struct TopicSink {
    env: Env,
    topic: Arc<Topic>,
    shape: RecordShape,
    lanes: Lanes,
    /// What marks this sink's epochs in every partition.
    mark: i64,
}

impl TopicSink {
    /// Whether a topic can hold such a table; opens nothing.
    pub(crate) fn check(options: &Options, spec: &SinkSpec) -> Result<()> {
        RecordShape::new(options, spec).map(drop)
    }

    pub(crate) fn open(
        env: &Env,
        log: Option<&Arc<Log>>,
        reader: &Reader<'_>,
        options: &Options,
        spec: &SinkSpec,
    ) -> Result<Self> {
        let shape = RecordShape::new(options, spec)?;
        let topic = topic_to_write(need_log(&spec.table, log)?, options)?;
        // A lane is a positive number.
        let mark = (internal::mark(reader) >> 1) as i64;
        let lanes = shape.partitioned(topic.partitions().len())?;
        Ok(TopicSink { env: env.clone(), topic, shape, lanes, mark })
    }
}

impl Sink for TopicSink {
    fn lanes(&self) -> Lanes {
        self.lanes.clone()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, lane: usize) -> Result<Box<dyn Lane>> {
        let partition = self.topic.partition(lane as u32)?.clone();
        Ok(Box::new(TopicLane {
            env: self.env.clone(),
            held: partition.last_epoch(self.mark),
            partition,
            mark: self.mark,
            encoder: self.shape.encoder()?,
            last: None,
        }))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

struct TopicLane {
    env: Env,
    partition: Arc<Partition>,
    mark: i64,
    /// The last epoch that the partition held when the lane was opened.
    held: Option<u64>,
    encoder: RecordEncoder,
    last: Option<Ticket>,
}

/// Record batches of one epoch.
#[derive(Default)]
struct Records {
    now_ms: i64,
    current: BatchBuilder,
    done: Vec<RecordBytes>,
}

impl Records {
    fn push(&mut self, out: &Out<'_>) -> Result<()> {
        let headers: Vec<_> = out.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        self.current.append(out.timestamp_ms.unwrap_or(self.now_ms), out.key, out.value, &headers)?;
        if self.current.batch_bytes() >= BATCH_BYTES {
            self.done.push(std::mem::take(&mut self.current).finish()?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RecordBytes>> {
        if !self.current.is_empty() {
            self.done.push(self.current.finish()?);
        }
        Ok(self.done)
    }
}

impl Lane for TopicLane {
    fn last_epoch(&self) -> Option<u64> {
        self.held
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let mut records = Records { now_ms: self.env.clock.now_ms(), ..Records::default() };
        self.encoder.epoch(batches, &mut |out| records.push(&out))?;
        let appended = self.partition.append_epoch(self.mark, epoch, records.finish()?)?;
        self.last = appended.map(|appended| appended.ticket).or(self.last.take());
        Ok(())
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        // What an earlier process appended may not be durable either.
        self.last.take().unwrap_or_else(|| self.partition.ticket()).wait()?;
        Ok(String::new())
    }
}
