//! Reading partitions: fetches from each leader in turn, and no record of an aborted transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use fleuve_base::{Error, Result};
use fleuve_record::{Attributes, BatchView, Batches, Record};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::messages::fetch_response::PartitionData;

use super::topics::TopicInfo;
use super::{Client, answer, check};

/// How long a broker waits for records that are not there yet.
const WAIT_MS: i32 = 250;

/// Bytes that are fetched at a time: of all partitions, and of one.
const FETCH_BYTES: i32 = 4 << 20;
const PARTITION_BYTES: i32 = 1 << 20;

/// Kafka's isolation level that leaves out what is not decided.
const READ_COMMITTED: i8 = 1;

/// What a round of fetches found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// Whether some partition went on, be it over records that are not shown.
    pub moved: bool,
    /// Whether the visitor has seen enough.
    pub enough: bool,
}

/// Reads partitions of one topic from given offsets.
pub struct Records {
    topic: TopicInfo,
    /// The next offset of each partition.
    next: BTreeMap<i32, i64>,
}

/// Called with the partition, its batch and a record of it.
pub type Visit<'a> = &'a mut dyn FnMut(i32, &BatchView, &Record<'_>) -> Result<ControlFlow<()>>;

impl Records {
    /// Begins at these offsets, by partition.
    pub fn new(topic: TopicInfo, from: BTreeMap<i32, i64>) -> Self {
        Records { topic, next: from }
    }

    /// The next offset of each partition.
    pub fn next(&self) -> &BTreeMap<i32, i64> {
        &self.next
    }

    /// Fetches once from each leader. Records of one partition come in order.
    ///
    /// # Errors
    /// An offset that is out of range is an error that names it.
    pub fn poll(&mut self, client: &mut Client, visit: Visit<'_>) -> Result<Consumed> {
        let mut consumed = Consumed { moved: false, enough: false };
        for (leader, partitions) in self.topic.by_leader() {
            let partitions: Vec<_> = partitions.into_iter().filter(|p| self.next.contains_key(p)).collect();
            if partitions.is_empty() {
                continue;
            }
            let fetched = answer!(client.ask(leader, &self.request(&partitions).into())?, Fetch)?;
            check("Fetch", &format!("topic `{}`", self.topic.name), fetched.error_code, None)?;
            for data in fetched.responses.into_iter().flat_map(|topic| topic.partitions) {
                self.take(client, data, visit, &mut consumed)?;
                if consumed.enough {
                    return Ok(consumed);
                }
            }
        }
        Ok(consumed)
    }

    fn request(&self, partitions: &[i32]) -> FetchRequest {
        let partition = |number: &i32| FetchPartition {
            partition: *number,
            fetch_offset: self.next.get(number).copied().unwrap_or(0),
            partition_max_bytes: PARTITION_BYTES,
            ..Default::default()
        };
        let partitions = partitions.iter().map(partition).collect();
        FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            isolation_level: READ_COMMITTED,
            topics: vec![FetchTopic { topic: self.topic.name.clone(), partitions, ..Default::default() }],
            ..Default::default()
        }
    }

    fn take(
        &mut self,
        client: &mut Client,
        data: PartitionData,
        visit: Visit<'_>,
        consumed: &mut Consumed,
    ) -> Result<()> {
        let partition = data.partition_index;
        let next = self.next.get(&partition).copied().unwrap_or(0);
        if ErrorCode(data.error_code).is_retriable() && data.error_code != ErrorCode::OFFSET_OUT_OF_RANGE.0 {
            self.topic = client.topic(&self.topic.name)?;
            return Ok(());
        }
        check(
            "Fetch",
            &format!("topic `{}`, partition {partition}, offset {next}", self.topic.name),
            data.error_code,
            None,
        )?;
        let mut aborted = Aborted::new(&data);
        let records = data.records.unwrap_or_default().into_bytes();
        let records = records.map_err(|error| Error::io("read what was fetched", &error))?;
        for batch in Batches::new(whole_batches(records)) {
            let batch = batch?;
            batch.verify_crc()?;
            if !aborted.hides(&batch) {
                self.visit(partition, &batch, next, visit, consumed)?;
            }
            if consumed.enough {
                return Ok(());
            }
            self.next.insert(partition, batch.header().next_offset().max(next));
            consumed.moved = true;
        }
        Ok(())
    }

    fn visit(
        &mut self,
        partition: i32,
        batch: &BatchView,
        from: i64,
        visit: Visit<'_>,
        consumed: &mut Consumed,
    ) -> Result<()> {
        for record in &batch.records()? {
            let record = record?;
            if record.offset < from {
                continue;
            }
            self.next.insert(partition, record.offset + 1);
            if visit(partition, batch, &record)?.is_break() {
                consumed.enough = true;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The whole batches of a fetch: a broker may cut the last one off.
fn whole_batches(records: Bytes) -> Bytes {
    let mut end = 0;
    while let Ok(batch) = BatchView::parse(&records.slice(end..)) {
        end += batch.bytes().len();
    }
    records.slice(..end)
}

/// Transactions in a fetched stretch that were aborted.
struct Aborted {
    /// Where each began, and by whom; the earliest last.
    begun: Vec<(i64, i64)>,
    /// Producers inside of one.
    open: BTreeSet<i64>,
}

impl Aborted {
    fn new(data: &PartitionData) -> Self {
        let aborted = data.aborted_transactions.iter().flatten();
        let mut begun: Vec<(i64, i64)> = aborted.map(|of| (of.first_offset, of.producer_id)).collect();
        begun.sort_unstable_by(|a, b| b.cmp(a));
        Aborted { begun, open: BTreeSet::new() }
    }

    /// Whether a batch is a marker, or of an aborted transaction. To be asked of every batch, in order.
    fn hides(&mut self, batch: &BatchView) -> bool {
        let header = batch.header();
        while self.begun.last().is_some_and(|(first, _)| *first <= header.last_offset()) {
            self.open.extend(self.begun.pop().map(|(_, producer)| producer));
        }
        if header.attributes.has(Attributes::CONTROL) {
            self.open.remove(&header.producer_id);
            return true;
        }
        header.attributes.has(Attributes::TRANSACTIONAL) && self.open.contains(&header.producer_id)
    }
}
