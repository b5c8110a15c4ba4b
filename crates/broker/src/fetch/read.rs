//! Reading for a fetch: as much as it may take, in its order, the first batch whole.

use std::sync::Arc;

use fleuve_journal::{Fetched, Partition};
use fleuve_wire::messages::fetch_response::{AbortedTransaction, PartitionData};
use fleuve_wire::{ErrorCode, Stored};

use super::wanted::Wanted;
use crate::cluster::check_leader_epoch;
use crate::failure::Outcome;

/// A partition that is wanted, found or not.
pub(super) struct Target {
    pub(super) wanted: Wanted,
    pub(super) found: Result<Arc<Partition>, ErrorCode>,
}

/// What limits an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_bytes: usize,
    /// Only records of decided transactions.
    pub(super) committed: bool,
    /// Records may be left in their files.
    pub(super) files: bool,
}

/// What was read.
pub(super) struct Readout {
    /// As many as there are targets, in their order.
    pub(super) partitions: Vec<PartitionData>,
    /// Bytes of all records.
    pub(super) bytes: usize,
    /// Whether a read failed, so that the consumer should not wait for more.
    pub(super) failed: bool,
}

/// Reads all targets.
pub(super) fn read(targets: &[Target], limits: Limits) -> Readout {
    let mut readout = Readout { partitions: Vec::with_capacity(targets.len()), bytes: 0, failed: false };
    for target in targets {
        let read = match &target.found {
            Ok(partition) => read_partition(partition, &target.wanted, limits, readout.bytes),
            Err(code) => Err((*code).into()),
        };
        readout.failed |= read.is_err() && target.found.is_ok();
        let data = read.unwrap_or_else(|failure| refused(target, failure.code));
        readout.bytes += data.records.as_ref().map_or(0, Stored::len);
        readout.partitions.push(data);
    }
    readout
}

/// Reads one partition after `taken` bytes of others. The first batch of an answer may be larger than any limit, or
/// a consumer with small ones would never get it; later ones may not.
fn read_partition(partition: &Partition, wanted: &Wanted, limits: Limits, taken: usize) -> Outcome<PartitionData> {
    if partition.is_deleted() {
        return Err(wanted.topic.key().missing().into());
    }
    check_leader_epoch(wanted.leader_epoch)?;
    let offset = u64::try_from(wanted.offset).map_err(|_| ErrorCode::OFFSET_OUT_OF_RANGE)?;
    let left = limits.max_bytes.saturating_sub(taken);
    let max_bytes = left.min(usize::try_from(wanted.max_bytes).unwrap_or(0));
    let is_at_end = (partition.high_watermark()..=partition.log_end_offset()).contains(&offset);
    if is_at_end || (taken > 0 && max_bytes == 0) {
        return standing(partition, wanted, offset);
    }
    let mut fetched = match (limits.files, limits.committed) {
        (true, true) => partition.read_stored_committed(offset, max_bytes)?,
        (true, false) => partition.read_stored(offset, max_bytes)?,
        (false, true) => partition.read_committed(offset, max_bytes)?.into(),
        (false, false) => partition.read(offset, max_bytes)?.into(),
    };
    if taken > 0 && fetched.bytes.len() > max_bytes {
        (fetched.bytes, fetched.aborted) = (Stored::default(), vec![]);
    }
    Ok(data(wanted, limits, fetched))
}

/// Where the partition stands, without records: there are none to be seen, or there is no room for them.
fn standing(partition: &Partition, wanted: &Wanted, offset: u64) -> Outcome<PartitionData> {
    let log_start_offset = partition.log_start_offset();
    if offset < log_start_offset || offset > partition.log_end_offset() {
        return Err(ErrorCode::OFFSET_OUT_OF_RANGE.into());
    }
    Ok(PartitionData {
        partition_index: wanted.partition,
        high_watermark: partition.high_watermark() as i64,
        last_stable_offset: partition.last_stable_offset() as i64,
        log_start_offset: log_start_offset as i64,
        aborted_transactions: None,
        records: Some(Stored::default()),
        ..Default::default()
    })
}

fn data(wanted: &Wanted, limits: Limits, fetched: Fetched<Stored>) -> PartitionData {
    let aborted = |transaction: &fleuve_journal::AbortedTransaction| AbortedTransaction {
        producer_id: transaction.producer_id,
        first_offset: transaction.first_offset as i64,
    };
    PartitionData {
        partition_index: wanted.partition,
        high_watermark: fetched.high_watermark as i64,
        last_stable_offset: fetched.last_stable_offset as i64,
        log_start_offset: fetched.log_start_offset as i64,
        aborted_transactions: limits.committed.then(|| fetched.aborted.iter().map(aborted).collect()),
        records: Some(fetched.bytes),
        ..Default::default()
    }
}

/// A partition that was not read. Where it begins is told all the same, if it is known: who is out of range learns where
/// to go on.
fn refused(target: &Target, code: ErrorCode) -> PartitionData {
    let log_start_offset = target.found.as_ref().map_or(-1, |partition| partition.log_start_offset() as i64);
    PartitionData {
        partition_index: target.wanted.partition,
        error_code: code.0,
        high_watermark: -1,
        log_start_offset,
        aborted_transactions: None,
        records: Some(Stored::default()),
        ..Default::default()
    }
}
