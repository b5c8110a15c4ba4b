//! Letting old records go: whole segments, by age or size, never what someone has pinned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fleuve_base::{Error, Result};
use parking_lot::MutexGuard;

use crate::append::Appender;
use crate::codes;
use crate::partition::Partition;
use crate::segment::Segment;

/// Pinned offsets by the pins' names.
pub(crate) type Pins = BTreeMap<String, u64>;

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

impl RetentionReport {
    pub(crate) fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.bytes += other.bytes;
    }
}

impl Partition {
    /// Lets go of all records before `offset`, whether or not their age or size asks for it, except what is
    /// pinned or not durable yet. Gives the new log start.
    ///
    /// The new start is durable when this returns; files go as soon as all of their records are before it.
    pub fn truncate_before(&self, offset: u64) -> Result<u64> {
        self.check_writable()?;
        self.release(offset)?;
        Ok(self.log_start_offset())
    }

    /// Deletes all records before `offset`, which may be at most the high watermark; nothing happens if they
    /// are gone. Gives the new log start, which is durable when this returns.
    ///
    /// Errors: `E706` beyond the high watermark; `E716`, and nothing is deleted, if a pin keeps any of them: who
    /// deletes records wants them to be gone, so less than that is not done silently.
    pub fn delete_before(&self, offset: u64) -> Result<u64> {
        self.check_writable()?;
        let (start, end) = (self.log_start_offset(), self.high_watermark());
        if offset > end {
            return Err(codes::offset_out_of_range(offset, start, end).at(self.id().at(offset)));
        }
        let _appender = self.appender.lock();
        let pins = self.pins.lock();
        if let Some((name, pin)) = pins.iter().find(|(_, pin)| **pin < offset && offset > start) {
            return Err(codes::pinned(offset, name, *pin));
        }
        self.move_start(offset, pins)?;
        Ok(self.log_start_offset())
    }

    fn check_writable(&self) -> Result<()> {
        self.check_alive()?;
        self.read_only.as_ref().map_or(Ok(()), |error| Err(error.clone()))
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
    pub(crate) fn releasable(&self) -> u64 {
        self.unpinned_before(&self.pins.lock())
    }

    fn unpinned_before(&self, pins: &Pins) -> u64 {
        pins.values().copied().min().unwrap_or(u64::MAX).min(self.high_watermark())
    }

    /// Removes the segments whose time has come.
    pub(crate) fn apply_retention(&self) -> Result<RetentionReport> {
        let config = self.config();
        if self.read_only.is_some() {
            return Ok(RetentionReport::default());
        }
        // A full disk may keep the active segment from being sealed; others can go all the same, and make room.
        let rolled = self.roll_expired();
        rolled.or_else(|error| if error.is_no_space() { Ok(()) } else { Err(error) })?;
        if !config.cleanup.deletes() {
            return Ok(RetentionReport::default());
        }
        let segments = self.segments.read().clone();
        let mut excess = config.retention_bytes.map_or(0, |limit| self.size_bytes().saturating_sub(limit));
        let mut start = self.log_start_offset();
        for pair in segments.windows(2) {
            let (segment, end) = (&pair[0], pair[1].base_offset);
            let oversize = segment.readable_bytes() <= excess && config.retention_bytes.is_some();
            if end > self.releasable() || !(oversize || self.has_expired(segment)?) {
                break;
            }
            excess = excess.saturating_sub(segment.readable_bytes());
            start = end;
        }
        self.release(start)
    }

    fn has_expired(&self, segment: &Segment) -> Result<bool> {
        let config = self.config();
        let Some(retention_ms) = config.retention_ms.filter(|_| config.cleanup.deletes()) else { return Ok(false) };
        let last_append_ms = segment.with_index(|index| index.last_append_ms)?;
        let age_ms = self.shared.now_ms().saturating_sub(last_append_ms);
        Ok(u64::try_from(age_ms).is_ok_and(|age_ms| age_ms > retention_ms))
    }

    /// The active segment is sealed once it or all of it is too old, or a quiet topic would keep it for ever.
    pub(crate) fn roll_expired(&self) -> Result<()> {
        let mut appender = self.appender.lock();
        let appender: &mut Appender = &mut appender;
        if appender.position == 0
            || self.check_alive().is_err()
            || !(self.is_old(appender) || self.has_expired(&self.active())?)
        {
            return Ok(());
        }
        self.roll(appender).map_err(|error| self.shared.refuse(error))
    }

    /// Lets go of what is before `offset` and may go.
    fn release(&self, offset: u64) -> Result<RetentionReport> {
        // The lock keeps two releases apart, and rolls away from the list of segments.
        let _appender = self.appender.lock();
        let pins = self.pins.lock();
        self.move_start(offset.min(self.unpinned_before(&pins)), pins)
    }

    /// Moves the log start, makes that durable, and only then removes files (crash point C8). The appender is
    /// locked. The pins are until the start has moved, so that none is set behind it.
    fn move_start(&self, offset: u64, pins: MutexGuard<'_, Pins>) -> Result<RetentionReport> {
        if offset <= self.log_start_offset() {
            return Ok(RetentionReport::default());
        }
        let failed = |e| Error::io(format_args!("write the checkpoint of {}", self.id()), &e);
        let moved = self.checkpoint.update(|checkpoint| checkpoint.log_start = offset);
        moved.map_err(|error| self.shared.refuse(failed(error)))?;
        self.log_start.store(offset, Ordering::Release);
        drop(pins);
        self.checkpoint.sync().map_err(|error| self.shared.health.poison(&failed(error)))?;
        self.transactions.lock().forget_before(offset);
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
