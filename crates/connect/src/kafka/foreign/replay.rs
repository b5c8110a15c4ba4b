//! Reading ranges again that the journal names.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_flow::source::Range;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{TIMEOUT, consumer, refused, unreachable};
use super::feed::Gathered;
use crate::options::Options;

/// How long one look for messages takes.
const POLL: Duration = Duration::from_millis(100);

/// Reads ranges one after the other, mostly on and on in the same partition.
pub(super) struct Replayer {
    options: Options,
    consumer: BaseConsumer,
    /// The partition that is assigned, and the offset that comes next.
    at: Option<(String, i32, u64)>,
}

impl Replayer {
    pub(super) fn new(options: &Options, group: &str) -> Result<Self> {
        Ok(Replayer { options: options.clone(), consumer: consumer(options, group)?, at: None })
    }

    /// The records of a range, as batches.
    ///
    /// # Errors
    /// `E507` if the broker has deleted some.
    pub(super) fn read(&mut self, topic: &str, partition: i32, range: Range) -> Result<Bytes> {
        let here = self.at.as_ref().is_some_and(|(t, p, next)| t == topic && *p == partition && *next == range.start);
        if !here {
            self.move_to(topic, partition, range)?;
        }
        self.at = None;
        let (mut gathered, began) = (Gathered::default(), Instant::now());
        let next = loop {
            if began.elapsed() > TIMEOUT {
                return Err(unreachable(&self.options, &KafkaError::NoMessageReceived));
            }
            match self.consumer.poll(POLL) {
                None => continue,
                Some(Err(KafkaError::PartitionEOF(_))) => break range.end,
                Some(Err(error)) if is_lost(&error) => return Err(lost(topic, partition, range)),
                Some(Err(error)) => tracing::warn!("reading topic `{topic}` again: {error}"),
                Some(Ok(message)) if message.offset() as u64 >= range.end => break message.offset() as u64 + 1,
                Some(Ok(message)) => {
                    gathered.push(&message)?;
                    if message.offset() as u64 + 1 == range.end {
                        break range.end;
                    }
                }
            }
        };
        self.at = (next == range.end).then(|| (topic.to_owned(), partition, next));
        gathered.take()
    }

    fn move_to(&self, topic: &str, partition: i32, range: Range) -> Result<()> {
        let marks = self.consumer.fetch_watermarks(topic, partition, TIMEOUT);
        let (start, end) = marks.map_err(|error| unreachable(&self.options, &error))?;
        if (start as u64) > range.start || (end as u64) < range.end {
            return Err(
                lost(topic, partition, range).with_detail(format!("the partition holds offsets {start} to {end}"))
            );
        }
        let mut assignment = TopicPartitionList::new();
        let assigned = assignment.add_partition_offset(topic, partition, Offset::Offset(range.start as i64));
        let assigned = assigned.and_then(|()| self.consumer.assign(&assignment));
        assigned.map_err(|error| refused(&self.options, "a partition", &error))
    }
}

/// Whether the offset that was asked for is not there.
pub(super) fn is_lost(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    matches!(error.rdkafka_error_code(), Some(AutoOffsetReset | OffsetOutOfRange))
}

/// The range is gone.
pub(super) fn lost(topic: &str, partition: i32, range: Range) -> Error {
    let message = format!(
        "offsets {} to {} of topic `{topic}`, partition {partition}, cannot be read any more",
        range.start, range.end
    );
    Error::new(ErrorKind::Conflict, "E507", message)
        .with_hint("the topic was deleted, or its retention is shorter than the pipeline needs")
}
