//! Reading partitions, as Kafka's clients read them: checksums checked, aborted transactions left out.

use std::collections::BTreeSet;

use bytes::Bytes;
use fleuve_record::{Attributes, BatchView, EndMarker};
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::messages::fetch_response::{AbortedTransaction, PartitionData};
use fleuve_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use super::{Connection, Outcome, Problem, accepted, ask};
use crate::contents::{Extent, Stored};
use crate::value::Value;

const FETCH: i16 = 11;
const LIST_OFFSETS: i16 = 5;

/// Bytes of one answer.
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// What is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    Uncommitted = 0,
    Committed = 1,
}

/// What a fetch brought.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// Records from the position on, without markers and what the isolation leaves out.
    pub(crate) records: Vec<Stored>,
    /// The batches that they came in.
    pub(crate) extents: Vec<Extent>,
    /// What to read next.
    pub(crate) next: i64,
}

impl Connection {
    /// Reads from an offset on; waits a moment if there is nothing.
    pub(crate) fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        isolation: Isolation,
        wait_ms: i32,
    ) -> Outcome<Fetched> {
        fetched(self.fetch_data(topic, partition, offset, isolation, wait_ms)?, offset)
    }

    fn fetch_data(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        isolation: Isolation,
        wait_ms: i32,
    ) -> Outcome<PartitionData> {
        let request = fetch_request(topic, partition, offset, isolation, wait_ms);
        let response = ask!(self, Fetch, FETCH, request);
        accepted(response.error_code)?;
        let data = response.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let data = data.ok_or_else(|| Problem::Odd("no partition in the answer".to_owned()))?;
        accepted(data.error_code)?;
        Ok(data)
    }

    /// All values of a partition, as text.
    pub(crate) fn texts(&mut self, topic: &str, partition: i32, isolation: Isolation) -> Outcome<Vec<String>> {
        let end = self.end_offset(topic, partition, isolation)?;
        let (mut texts, mut next) = (vec![], 0);
        while next < end {
            let data = self.fetch_data(topic, partition, next, isolation, 100)?;
            let mut bytes = data.records.unwrap_or_default().into_bytes().map_err(unreadable)?;
            while let Some(batch) = next_batch(&mut bytes)? {
                next = batch.header().next_offset();
                let records = batch.records().map_err(damaged)?;
                for record in records.iter() {
                    let value = record.map_err(damaged)?.value.unwrap_or_default();
                    texts.push(String::from_utf8_lossy(value).into_owned());
                }
            }
        }
        Ok(texts)
    }

    /// The offset after the last one that a reader may read.
    pub(crate) fn end_offset(&mut self, topic: &str, partition: i32, isolation: Isolation) -> Outcome<i64> {
        let wanted = ListOffsetsPartition { partition_index: partition, current_leader_epoch: -1, timestamp: -1 };
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: isolation as i8,
            topics: vec![ListOffsetsTopic { name: topic.to_owned(), partitions: vec![wanted] }],
            ..ListOffsetsRequest::default()
        };
        let response = ask!(self, ListOffsets, LIST_OFFSETS, request);
        let found = response.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| Problem::Odd("no partition in the answer".to_owned()))?;
        accepted(found.error_code)?;
        Ok(found.offset)
    }
}

fn fetch_request(topic: &str, partition: i32, offset: i64, isolation: Isolation, wait_ms: i32) -> FetchRequest {
    let wanted = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: FETCH_BYTES_MAX,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![wanted], ..FetchTopic::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: FETCH_BYTES_MAX,
        isolation_level: isolation as i8,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

fn fetched(data: PartitionData, offset: i64) -> Outcome<Fetched> {
    let mut fetched = Fetched { next: offset, ..Fetched::default() };
    let mut aborted = Aborted::new(data.aborted_transactions.unwrap_or_default());
    let mut bytes = data.records.unwrap_or_default().into_bytes().map_err(unreadable)?;
    while !bytes.is_empty() {
        let Some(batch) = next_batch(&mut bytes)? else { break };
        let header = *batch.header();
        fetched.extents.push(Extent { first: header.base_offset, last: header.last_offset() });
        if !aborted.leaves_out(&batch) {
            take_records(&batch, offset, &mut fetched.records)?;
        }
        fetched.next = header.next_offset().max(offset);
    }
    Ok(fetched)
}

fn unreadable(error: std::io::Error) -> Problem {
    Problem::Odd(format!("what was fetched cannot be read: {error}"))
}

fn damaged(error: fleuve_base::Error) -> Problem {
    Problem::Odd(format!("damaged records were served: {error}"))
}

/// The next whole batch; a broker may cut the last one off.
fn next_batch(bytes: &mut Bytes) -> Outcome<Option<BatchView>> {
    const LENGTH_END: usize = 12;
    let Some(length) = bytes.get(8..LENGTH_END).and_then(|field| field.try_into().ok()).map(i32::from_be_bytes) else {
        return Ok(None);
    };
    if bytes.len() < LENGTH_END + usize::try_from(length).unwrap_or(usize::MAX - LENGTH_END) {
        return Ok(None);
    }
    let batch = BatchView::parse(bytes).map_err(damaged)?;
    batch.verify_crc().map_err(damaged)?;
    *bytes = bytes.slice(batch.header().batch_bytes..);
    Ok(Some(batch))
}

fn take_records(batch: &BatchView, from: i64, out: &mut Vec<Stored>) -> Outcome {
    let records = batch.records().map_err(damaged)?;
    for record in records.iter() {
        let record = record.map_err(damaged)?;
        if record.offset >= from {
            let value = record.value.and_then(Value::parse);
            out.push(Stored { offset: record.offset, value });
        }
    }
    Ok(())
}

/// The transactions that a reader of committed records passes over.
struct Aborted {
    /// Not begun yet, the last first.
    coming: Vec<AbortedTransaction>,
    open: BTreeSet<i64>,
}

impl Aborted {
    fn new(mut coming: Vec<AbortedTransaction>) -> Self {
        coming.sort_by_key(|transaction| -transaction.first_offset);
        Aborted { coming, open: BTreeSet::new() }
    }

    /// Whether the reader does not show the records of the batch.
    fn leaves_out(&mut self, batch: &BatchView) -> bool {
        let header = batch.header();
        while let Some(begun) = self.coming.pop_if(|transaction| transaction.first_offset <= header.last_offset()) {
            self.open.insert(begun.producer_id);
        }
        if header.attributes.has(Attributes::CONTROL) {
            if EndMarker::parse(batch).is_some_and(|marker| !marker.commit) {
                self.open.remove(&header.producer_id);
            }
            return true;
        }
        header.attributes.has(Attributes::TRANSACTIONAL) && self.open.contains(&header.producer_id)
    }
}
