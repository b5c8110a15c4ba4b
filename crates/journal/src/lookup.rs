//! Finding records by time.

use std::sync::Arc;

use fleuve_base::Result;
use fleuve_record::BatchView;

use crate::partition::Partition;
use crate::segment::Segment;

/// Bytes read at once while looking for a timestamp.
const STEP_BYTES: usize = 1 << 20;

/// A record, found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub offset: u64,
    /// Its timestamp, in milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: i64,
}

impl Partition {
    /// Offset of the first record whose timestamp is at or after `timestamp_ms`, if there is one.
    pub fn offset_for_time(&self, timestamp_ms: i64) -> Result<Option<u64>> {
        Ok(self.find_time(timestamp_ms)?.map(|found| found.offset))
    }

    /// The first record whose timestamp is at or after `timestamp_ms`, if there is a durable one.
    pub fn find_time(&self, timestamp_ms: i64) -> Result<Option<TimedOffset>> {
        let segments = self.segments.read().clone();
        for segment in segments {
            if let Some(found) = self.find_in(&segment, timestamp_ms)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in(&self, segment: &Segment, timestamp_ms: i64) -> Result<Option<TimedOffset>> {
        let (newest, candidate) =
            segment.with_index(|index| (index.max_timestamp_ms, index.first_candidate(timestamp_ms)))?;
        if newest < timestamp_ms { Ok(None) } else { self.scan_for_time(candidate, timestamp_ms) }
    }

    /// The record with the greatest timestamp, the first of several; `None` if there is no durable record.
    pub fn max_timestamp(&self) -> Result<Option<TimedOffset>> {
        let mut segments = Vec::new();
        for segment in self.segments.read().iter().filter(|segment| segment.readable_bytes() > 0) {
            segments.push((segment.with_index(|index| index.max_timestamp_ms)?, Arc::clone(segment)));
        }
        segments.sort_by_key(|(newest_ms, _)| std::cmp::Reverse(*newest_ms));
        let mut most: Option<TimedOffset> = None;
        for (newest_ms, segment) in segments {
            if most.is_some_and(|most| most.timestamp_ms > newest_ms) {
                break;
            }
            // What the index knows of may not be durable yet, or be before the log's start.
            let found = match self.find_in(&segment, newest_ms)? {
                Some(found) => Some(found),
                None => self.newest_of(&segment)?,
            };
            let rank = |found: &TimedOffset| (found.timestamp_ms, std::cmp::Reverse(found.offset));
            most = most.into_iter().chain(found).max_by_key(rank);
        }
        Ok(most)
    }

    fn scan_for_time(&self, from: u64, timestamp_ms: i64) -> Result<Option<TimedOffset>> {
        self.scan(from, |batch| {
            if batch.header().max_timestamp_ms < timestamp_ms {
                return Ok(None);
            }
            let mut records = self.timed(batch)?.into_iter();
            Ok(records.find(|record| record.timestamp_ms >= timestamp_ms))
        })
    }

    fn newest_of(&self, segment: &Segment) -> Result<Option<TimedOffset>> {
        let end_offset = segment.with_index(|index| index.end_offset)?;
        let mut most: Option<TimedOffset> = None;
        let ended = |batch: &BatchView| batch.header().base_offset as u64 >= end_offset;
        self.scan(segment.base_offset, |batch| {
            let newest_ms = batch.header().max_timestamp_ms;
            if !ended(batch) && most.is_none_or(|most| newest_ms > most.timestamp_ms) {
                for record in self.timed(batch)? {
                    if most.is_none_or(|most| record.timestamp_ms > most.timestamp_ms) {
                        most = Some(record);
                    }
                }
            }
            Ok(ended(batch).then_some(()))
        })?;
        Ok(most)
    }

    /// Offsets and timestamps of a batch's records from the log's start on.
    fn timed(&self, batch: &BatchView) -> Result<Vec<TimedOffset>> {
        let start = self.log_start_offset();
        let mut timed = Vec::new();
        for record in &batch.records()? {
            let record = record?;
            let offset = record.offset as u64;
            if offset >= start {
                timed.push(TimedOffset { offset, timestamp_ms: record.timestamp_ms });
            }
        }
        Ok(timed)
    }

    /// Walks the durable batches until one of them gives an answer.
    fn scan<T>(&self, from: u64, mut visit: impl FnMut(&BatchView) -> Result<Option<T>>) -> Result<Option<T>> {
        let mut offset = from.max(self.log_start_offset());
        while offset < self.high_watermark() {
            let fetched = self.read(offset, STEP_BYTES)?;
            for batch in fetched.batches() {
                if let Some(answer) = visit(&batch?)? {
                    return Ok(Some(answer));
                }
            }
            offset = fetched.next_offset;
        }
        Ok(None)
    }
}
