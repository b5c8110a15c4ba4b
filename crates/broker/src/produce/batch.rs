//! A batch as a producer sent it: parsed once, checked by the rules of Kafka's `LogValidator`.

use bytes::Bytes;
use fleuve_journal::{Partition, PartitionId, Timestamps, Topic};
use fleuve_record::{Attributes, Batch, BatchHeader, Codec, Outline};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::produce_response::BatchIndexAndErrorMessage;

use crate::configs::{codec, timestamp_bounds_ms};
use crate::failure::{Failure, Outcome};

/// From this version of Produce on a batch may be compressed by Zstandard.
const ZSTD_FROM_VERSION: i16 = 7;

/// Where the magic byte lies in a batch; older formats have it there, too.
const MAGIC_AT: usize = 16;

/// Rejected records that a message tells of in words.
const REJECTED_TOLD_MAX: usize = 3;

/// Why a batch was not taken: as a whole, or because of some of its records.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) failure: Failure,
    pub(super) records: Vec<BatchIndexAndErrorMessage>,
}

impl<F: Into<Failure>> From<F> for Rejected {
    fn from(failure: F) -> Self {
        Rejected { failure: failure.into(), records: vec![] }
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::INVALID_RECORD, message)
}

fn corrupt(id: &PartitionId, reason: &str) -> Failure {
    Failure::new(ErrorCode::CORRUPT_MESSAGE, format!("Record is corrupt in topic partition {}: {reason}", name(id)))
}

fn name(id: &PartitionId) -> String {
    format!("{}-{}", id.topic, id.partition)
}

/// The one batch of a partition's records, its checksum verified.
pub(super) fn parse(id: &PartitionId, version: i16, records: Option<Bytes>) -> Outcome<Batch> {
    let exactly_one =
        || invalid(format!("Produce requests with version {version} must have exactly one record batch per partition"));
    let bytes = records.filter(|bytes| bytes.len() > MAGIC_AT).ok_or_else(exactly_one)?;
    if bytes[MAGIC_AT] != 2 {
        return Err(invalid(format!(
            "Produce requests with version {version} are only allowed to contain record batches with magic version 2"
        )));
    }
    let header = BatchHeader::parse(&bytes).map_err(|error| corrupt(id, error.message()))?;
    if header.batch_bytes < bytes.len() {
        return Err(exactly_one());
    }
    Batch::from_bytes(bytes).map_err(|error| corrupt(id, error.message()))
}

/// Whether the topic may take the batch; what its greatest timestamp must be corrected to, if that is needed.
pub(super) fn check(
    topic: &Topic,
    partition: &Partition,
    version: i16,
    now_ms: i64,
    batch: &Batch,
) -> Result<Option<i64>, Rejected> {
    let (header, config, id) = (batch.header(), topic.config(), partition.id());
    check_size(topic, id, header)?;
    check_header(id, version, header)?;
    let bounds = (config.timestamps == Timestamps::Create).then(|| Bounds::new(topic, now_ms));
    check_records(topic, bounds, batch)
}

fn check_size(topic: &Topic, id: &PartitionId, header: &BatchHeader) -> Outcome<()> {
    let most = topic.config().batch_bytes_max;
    if header.batch_bytes <= most as usize {
        return Ok(());
    }
    let message = format!(
        "The record batch size in the append to {} is {} bytes which exceeds the maximum configured value of {most}.",
        name(id),
        header.batch_bytes,
    );
    Err(Failure::new(ErrorCode::MESSAGE_TOO_LARGE, message))
}

/// A batch that was checked, compressed as the topic wants it; `None` if it is already.
pub(super) fn recompressed(topic: &Topic, partition: &Partition, batch: &Batch) -> Outcome<Option<Batch>> {
    let Some(wanted) = codec(topic.settings()) else { return Ok(None) };
    let id = partition.id();
    let unreadable = |error: fleuve_base::Error| corrupt(id, error.message());
    if batch.header().attributes.codec().map_err(unreadable)? == wanted {
        return Ok(None);
    }
    let batch = batch.recompressed(wanted).map_err(unreadable)?;
    check_size(topic, id, batch.header())?;
    Ok(Some(batch))
}

fn check_header(id: &PartitionId, version: i16, header: &BatchHeader) -> Outcome<()> {
    if header.base_offset != 0 {
        return Err(invalid(format!(
            "The baseOffset of the record batch in the append to {} should be 0, but it is {}",
            name(id),
            header.base_offset
        )));
    }
    if header.record_count < 1 || header.last_offset_delta + 1 != header.record_count {
        return Err(invalid(format!(
            "Inconsistent batch offset range [0, {}] and count of records {}",
            header.last_offset_delta, header.record_count
        )));
    }
    if header.attributes.has(Attributes::CONTROL) {
        return Err(invalid("Clients are not allowed to write control records"));
    }
    if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Err(invalid(format!(
            "Invalid sequence number {} in record batch with producerId {}",
            header.base_sequence, header.producer_id
        )));
    }
    if header.attributes.has(Attributes::TRANSACTIONAL) && header.producer_id < 0 {
        return Err(invalid("A transactional record batch has no producerId"));
    }
    match header.attributes.codec() {
        Ok(Codec::Zstd) if version < ZSTD_FROM_VERSION => Err(Failure::new(
            ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            format!("Produce requests with version {version} are not allowed to use ZStandard compression"),
        )),
        _ => Ok(()),
    }
}

/// Looks over the records; gives the greatest timestamp of them where it counts and the header tells another, as clients
/// may do and Kafka corrects.
fn check_records(topic: &Topic, bounds: Option<Bounds>, batch: &Batch) -> Result<Option<i64>, Rejected> {
    let keyed = topic.config().cleanup.compacts();
    let mut checked =
        RecordChecks { id: topic.name(), keyed, bounds, rejected: vec![], index: 0, max_ms: NO_TIMESTAMP };
    batch.outline(|record| checked.check(&record)).map_err(|error| invalid(error.message()))?;
    let max_ms = checked.max_ms;
    checked.finish()?;
    Ok(bounds.map(|_| max_ms).filter(|max_ms| *max_ms != batch.header().max_timestamp_ms))
}

/// Which timestamps are allowed.
#[derive(Clone, Copy)]
struct Bounds {
    least_ms: i64,
    most_ms: i64,
}

/// A record without a timestamp.
const NO_TIMESTAMP: i64 = -1;

impl Bounds {
    fn new(topic: &Topic, now_ms: i64) -> Self {
        let (before_ms, after_ms) = timestamp_bounds_ms(topic.settings());
        let least_ms = if before_ms < i64::MAX { now_ms.saturating_sub(before_ms) } else { i64::MIN };
        Bounds { least_ms, most_ms: now_ms.saturating_add(after_ms) }
    }

    fn contain(&self, timestamp_ms: i64) -> bool {
        timestamp_ms == NO_TIMESTAMP || (self.least_ms..=self.most_ms).contains(&timestamp_ms)
    }
}

/// What is checked of every record.
struct RecordChecks<'a> {
    id: &'a str,
    keyed: bool,
    bounds: Option<Bounds>,
    rejected: Vec<(ErrorCode, BatchIndexAndErrorMessage)>,
    index: i32,
    max_ms: i64,
}

impl RecordChecks<'_> {
    fn check(&mut self, record: &Outline) -> fleuve_base::Result<()> {
        let index = self.index;
        self.index += 1;
        self.max_ms = self.max_ms.max(record.timestamp_ms);
        if record.offset_delta != index {
            return Err(fleuve_base::Error::corrupt(format!(
                "record {index} of the batch has the offset delta {}",
                record.offset_delta
            )));
        }
        if self.keyed && !record.has_key {
            let message = format!("Compacted topic cannot accept message without key in topic partition {}.", self.id);
            self.reject(ErrorCode::INVALID_RECORD, index, message);
        } else if let Some(bounds) = self.bounds.filter(|bounds| !bounds.contain(record.timestamp_ms)) {
            let message = format!(
                "Timestamp {} of message with offset {index} is out of range. The timestamp should be within [{}, {}]",
                record.timestamp_ms, bounds.least_ms, bounds.most_ms
            );
            self.reject(ErrorCode::INVALID_TIMESTAMP, index, message);
        }
        Ok(())
    }

    fn reject(&mut self, code: ErrorCode, batch_index: i32, message: String) {
        let record = BatchIndexAndErrorMessage { batch_index, batch_index_error_message: Some(message) };
        self.rejected.push((code, record));
    }

    fn finish(self) -> Result<(), Rejected> {
        let Some((code, _)) = self.rejected.first() else { return Ok(()) };
        let told: Vec<String> = self.rejected.iter().take(REJECTED_TOLD_MAX).map(|(_, record)| tell(record)).collect();
        let message = format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first three errors \
             at most: [{}]",
            self.rejected.len(),
            told.join(", ")
        );
        let failure = Failure::new(*code, message);
        Err(Rejected { failure, records: self.rejected.into_iter().map(|(_, record)| record).collect() })
    }
}

fn tell(record: &BatchIndexAndErrorMessage) -> String {
    let message = record.batch_index_error_message.as_deref().unwrap_or_default();
    format!("RecordError(batchIndex={}, message='{message}')", record.batch_index)
}
