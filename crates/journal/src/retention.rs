//! Letting old records go: whole segments, by age or size, never what someone has pinned.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fleuve_base::{Error, Result};

use crate::append::Appender;
use crate::codes;
use crate::partition::Partition;
use crate::segment::Segment;

/// Pins of one partition.
pub const PINS_MAX: usize = 1024;

/// What one run of retention removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionReport {
    /// Segments removed.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Partition {
    /// Lets go of all records before `offset`, whether or not their age or size asks for it, except what is
    /// pinned or not durable yet. Gives the new log start.
    ///
    /// The new start is durable when this returns; files go as soon as all of their records are before it.
    pub fn truncate_before(&self, offset: u64) -> Result<u64> {
        self.check_alive()?;
        self.read_only.as_ref().map_or(Ok(()), |error| Err(error.clone()))?;
        self.release(offset.min(self.releasable()))?;
        Ok(self.log_start_offset())
    }

    /// Keeps records from `offset` on, under a name; a pin of the same name is moved.
    pub(crate) fn pin(&self, offset: u64, name: &str) -> Result<()> {
        let mut pins = self.pins.lock();
        let (start, end) = (self.log_start_offset(), self.log_end_offset());
        if !(start..=end).contains(&offset) {
            return Err(codes::offset_out_of_range(offset, start, end).at(self.id().at(offset)));
        }
        if pins.len() >= PINS_MAX && !pins.contains_key(name) {
            return Err(codes::limit(format!("{} has {PINS_MAX} pins, which is the limit", self.id())));
        }
        pins.insert(name.to_owned(), offset);
        Ok(())
    }

    pub(crate) fn unpin(&self, name: &str) {
        self.pins.lock().remove(name);
    }

    /// The pins by name.
    pub fn pins(&self) -> Vec<(String, u64)> {
        self.pins.lock().iter().map(|(name, offset)| (name.clone(), *offset)).collect()
    }

    /// Offset before which nothing is pinned or unsynced.
    fn releasable(&self) -> u64 {
        let pinned = self.pins.lock().values().copied().min();
        pinned.unwrap_or(u64::MAX).min(self.high_watermark())
    }

    /// Removes the segments whose time has come.
    pub(crate) fn apply_retention(&self) -> Result<RetentionReport> {
        if self.read_only.is_some() {
            return Ok(RetentionReport::default());
        }
        self.roll_expired()?;
        let segments = self.segments.read().clone();
        let mut excess = self.config.retention_bytes.map_or(0, |limit| self.size_bytes().saturating_sub(limit));
        let mut start = self.log_start_offset();
        for pair in segments.windows(2) {
            let (segment, end) = (&pair[0], pair[1].base_offset);
            let oversize = segment.readable_bytes() <= excess && self.config.retention_bytes.is_some();
            if end > self.releasable() || !(oversize || self.has_expired(segment)?) {
                break;
            }
            excess = excess.saturating_sub(segment.readable_bytes());
            start = end;
        }
        self.release(start)
    }

    fn has_expired(&self, segment: &Segment) -> Result<bool> {
        let Some(retention_ms) = self.config.retention_ms else { return Ok(false) };
        let last_append_ms = segment.with_index(|index| index.last_append_ms)?;
        let age_ms = self.shared.now_ms().saturating_sub(last_append_ms);
        Ok(u64::try_from(age_ms).is_ok_and(|age_ms| age_ms > retention_ms))
    }

    /// The active segment is sealed once all of it is too old, or a quiet topic would keep it for ever.
    fn roll_expired(&self) -> Result<()> {
        let mut appender = self.appender.lock();
        let appender: &mut Appender = &mut appender;
        if appender.position == 0 || self.check_alive().is_err() || !self.has_expired(&self.active())? {
            return Ok(());
        }
        self.roll(appender).map_err(|error| self.shared.health.poison(&error))
    }

    /// Moves the log start, makes that durable, and only then removes files (crash point C8).
    fn release(&self, offset: u64) -> Result<RetentionReport> {
        // The lock keeps two releases apart, and rolls away from the list of segments.
        let _appender = self.appender.lock();
        if offset <= self.log_start_offset() {
            return Ok(RetentionReport::default());
        }
        let failed = |e| Error::io(format_args!("write the checkpoint of {}", self.id()), &e);
        let moved = self.checkpoint.update(|checkpoint| checkpoint.log_start = offset);
        let durable = moved.and_then(|()| self.checkpoint.sync());
        durable.map_err(|error| self.shared.health.poison(&failed(error)))?;
        self.log_start.store(offset, Ordering::Release);
        remove(self, &self.take_segments_before(offset))
    }

    fn take_segments_before(&self, offset: u64) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let gone = segments.iter().skip(1).take_while(|next| next.base_offset <= offset).count();
        segments.drain(..gone).collect()
    }
}

fn remove(partition: &Partition, segments: &[Arc<Segment>]) -> Result<RetentionReport> {
    let mut report = RetentionReport::default();
    for segment in segments {
        segment.remove().map_err(|e| segment.io("remove", &e))?;
        report.segments += 1;
        report.bytes += segment.readable_bytes();
    }
    if report.segments > 0 {
        let (fs, directory) = (&partition.home.fs, &partition.home.directory);
        fs.sync_dir(directory).map_err(|e| Error::io(format_args!("sync `{}`", directory.display()), &e))?;
    }
    Ok(report)
}
