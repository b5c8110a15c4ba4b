//! Appending: offsets are assigned, producers checked, and the bytes written where the segment ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fleuve_base::{Error, Result, canary};
use fleuve_record::{Attributes, Batch, BatchHeader, EndMarker};

use crate::codes;
use crate::commit::Ticket;
use crate::options::{Durability, Timestamps, TopicConfig};
use crate::partition::Partition;
use crate::producer::{
    AppendRules, EPOCH_END, LANES_MAX, PRODUCERS_MAX, ProducerState, Producers, Verdict, epoch_fields,
};
use crate::segment::Segment;
use crate::snapshot;

/// Bytes of all batches of one epoch in one lane.
pub const EPOCH_BYTES_MAX: u64 = 1 << 30;

/// What only the one who appends may touch.
pub(crate) struct Appender {
    /// The next record's offset.
    pub(crate) end_offset: u64,
    /// Where the next batch goes in the active segment.
    pub(crate) position: u64,
    pub(crate) producers: Producers,
    /// Offset of the newest snapshot of the producers on disk.
    pub(crate) snapshot_offset: Option<u64>,
    /// Whether the next start would have nothing to read: all is synced, and index and snapshot are written.
    pub(crate) clean: bool,
    /// When the active segment was first appended to, as far as this process knows; `None` if it is empty.
    pub(crate) first_append_ms: Option<i64>,
}

/// Where records were put.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Offset of the first record.
    pub first_offset: u64,
    /// Offset of the last record.
    pub last_offset: u64,
    /// Whether they were there already: the producer had sent them before.
    pub duplicate: bool,
    /// The records' timestamp, if the topic's are the log's; for a batch that was there already, when it came again.
    pub append_time_ms: Option<i64>,
    /// Tells when they are durable.
    pub ticket: Ticket,
}

impl Partition {
    /// Appends a batch and assigns its offsets; the records are durable, and can be read, when the ticket
    /// says so.
    ///
    /// A batch of an idempotent producer that is there already is not appended again: its first offsets are
    /// given. Errors: `E708` and `E709` for producers, `E713` for a batch that breaks a rule, `E715` for one that is
    /// larger than the topic allows, `E707` after a failed write or sync, `E901` if damage was found in this partition.
    pub fn append(self: &Arc<Self>, batch: Batch) -> Result<Appended> {
        self.append_with(batch, AppendRules::default())
    }

    /// As [`Partition::append`], under rules that depend on what the producer is known to be.
    pub fn append_with(self: &Arc<Self>, mut batch: Batch, rules: AppendRules) -> Result<Appended> {
        let config = self.config();
        check_batch(batch.header())?;
        check_client_batch(batch.header(), &config)?;
        let append_time_ms = (config.timestamps == Timestamps::Append).then(|| self.shared.now_ms());
        append_time_ms.into_iter().for_each(|now_ms| batch.stamp_append_time(now_ms));
        let mut appender = self.appender.lock();
        self.check_appendable()?;
        self.make_room(&mut appender);
        if let Verdict::Duplicate(found) = appender.producers.check(batch.header(), rules)? {
            let ticket = Ticket { partition: Arc::clone(self), end_offset: found.last_offset + 1 };
            let (first_offset, last_offset) = (found.first_offset, found.last_offset);
            return Ok(Appended { first_offset, last_offset, duplicate: true, append_time_ms, ticket });
        }
        let mut appended = self.write(&mut appender, std::slice::from_mut(&mut batch), None)?;
        appended.append_time_ms = append_time_ms;
        let end = (self.active(), appender.position);
        drop(appender);
        self.after_append(&appended, end);
        Ok(appended)
    }

    /// Ends a producer's transaction with a control batch. A newer epoch than the producer's fences that off;
    /// without an open transaction the marker only does this.
    ///
    /// Errors: `E709` for an old producer epoch, `E714` for an old coordinator epoch, and as
    /// [`Partition::append`].
    pub fn append_marker(
        self: &Arc<Self>,
        producer_id: i64,
        producer_epoch: i16,
        marker: EndMarker,
        timestamp_ms: i64,
    ) -> Result<Appended> {
        if producer_id < 0 || producer_epoch < 0 {
            return Err(codes::rule("a marker needs a producer with an epoch"));
        }
        let mut batch = marker.batch(producer_id, producer_epoch, timestamp_ms)?;
        let mut appender = self.appender.lock();
        self.check_appendable()?;
        self.make_room(&mut appender);
        appender.producers.check_marker(batch.header(), marker)?;
        let appended = self.write(&mut appender, std::slice::from_mut(&mut batch), Some(marker))?;
        let end = (self.active(), appender.position);
        drop(appender);
        self.after_append(&appended, end);
        Ok(appended)
    }

    /// The idempotent producers that are known here, by id.
    pub fn producers(&self) -> Vec<ProducerState> {
        self.appender.lock().producers.describe()
    }

    /// What is known of one idempotent producer.
    pub fn producer(&self, producer_id: i64) -> Option<ProducerState> {
        let appender = self.appender.lock();
        appender.producers.producers.get(&producer_id).map(|producer| producer.describe(producer_id))
    }

    fn make_room(&self, appender: &mut Appender) {
        if appender.producers.producers.len() >= PRODUCERS_MAX {
            appender.producers.expire(self.shared.now_ms());
        }
    }

    /// Appends all that a lane writes in `epoch`, whole or not at all.
    ///
    /// `None` if there is nothing to write: no batches, or the lane holds this epoch already (then
    /// [`Partition::ticket`] tells when it is durable). The batches get the lane's mark: bits
    /// [`Attributes::LANE`] and, on all but the last, [`Attributes::EPOCH_CONTINUES`]; recovery cuts off an
    /// epoch whose last batch is not there (crash point C7).
    pub fn append_epoch(self: &Arc<Self>, lane: i64, epoch: u64, mut batches: Vec<Batch>) -> Result<Option<Appended>> {
        check_epoch(epoch, &batches)?;
        stamp_epoch(lane, epoch, &mut batches);
        let mut appender = self.appender.lock();
        self.check_appendable()?;
        let lanes = &appender.producers.lanes;
        if batches.is_empty() || lanes.get(&lane).is_some_and(|held| held.epoch >= epoch) {
            return Ok(None);
        }
        if lanes.len() >= LANES_MAX && !lanes.contains_key(&lane) {
            return Err(codes::limit(format!("{} has {LANES_MAX} lanes, which is the limit", self.id())));
        }
        let appended = self.write(&mut appender, &mut batches, None)?;
        let end = (self.active(), appender.position);
        drop(appender);
        self.after_append(&appended, end);
        Ok(Some(appended))
    }

    fn check_appendable(&self) -> Result<()> {
        self.check_alive()?;
        self.read_only.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Writes batches one after the other into one segment. If there is no room, they are refused, and all is as before.
    /// Another failure poisons the log: what then lies behind the end is cut or found whole by recovery, and was
    /// acknowledged to nobody (crash point C1).
    fn write(
        self: &Arc<Self>,
        appender: &mut Appender,
        batches: &mut [Batch],
        marker: Option<EndMarker>,
    ) -> Result<Appended> {
        let bytes: u64 = batches.iter().map(|batch| batch.as_bytes().len() as u64).sum();
        let records: u64 = batches.iter().map(|batch| batch.header().last_offset_delta as u64 + 1).sum();
        let first_offset = appender.end_offset;
        if self.must_roll(appender, bytes, records)? {
            self.roll(appender).map_err(|error| self.shared.refuse(error))?;
        }
        appender.clean = false;
        let segment = self.active();
        let start = appender.position;
        let mut at = Place { offset: first_offset, position: start };
        let written = batches.iter_mut().try_for_each(|batch| self.write_batch(&segment, batch, &mut at));
        written.map_err(|error| self.undo(&segment, start, error))?;
        self.shared.health.has_room();
        self.note_batches(&segment, appender, batches, start, marker)?;
        (appender.end_offset, appender.position) = (at.offset, at.position);
        self.log_end.store(at.offset, Ordering::Release);
        let ticket = Ticket { partition: Arc::clone(self), end_offset: at.offset };
        Ok(Appended { first_offset, last_offset: at.offset - 1, duplicate: false, append_time_ms: None, ticket })
    }

    /// Cuts off what was written before there was no more room. What cannot be cut off poisons the log.
    fn undo(&self, segment: &Segment, start: u64, error: Error) -> Error {
        let cut = if error.is_no_space() { segment.file().and_then(|file| file.set_len(start)) } else { Ok(()) };
        match cut {
            Ok(()) => self.shared.refuse(error),
            Err(cause) => self.shared.health.poison(&segment.io("cut back", &cause)),
        }
    }

    fn write_batch(&self, segment: &Segment, batch: &mut Batch, at: &mut Place) -> Result<()> {
        let offset = i64::try_from(at.offset).map_err(|_| codes::limit(format!("{} is full", self.id())))?;
        batch.assign_offset(offset);
        let file = segment.file().map_err(|e| segment.io("open", &e))?;
        file.write_at(batch.as_bytes(), at.position).map_err(|e| segment.io("write", &e))?;
        at.position += batch.as_bytes().len() as u64;
        at.offset = batch.header().next_offset() as u64;
        Ok(())
    }

    fn note_batches(
        &self,
        segment: &Segment,
        appender: &mut Appender,
        batches: &[Batch],
        start: u64,
        marker: Option<EndMarker>,
    ) -> Result<()> {
        let now_ms = self.shared.now_ms();
        appender.first_append_ms.get_or_insert(now_ms);
        let mut position = start;
        for batch in batches {
            segment.with_index(|index| index.note(batch.header(), position, now_ms))?;
            let decided = appender.producers.note(batch.header(), marker, now_ms);
            if batch.header().attributes.has(Attributes::TRANSACTIONAL) {
                self.note_transactions(decided, appender.producers.first_open_transaction());
            }
            position += batch.as_bytes().len() as u64;
        }
        Ok(())
    }

    /// The active segment is sealed when it is full or old, or when its indexes could not address what comes.
    fn must_roll(&self, appender: &Appender, bytes: u64, records: u64) -> Result<bool> {
        if appender.position == 0 {
            return Ok(false);
        }
        let end_position = appender.position + bytes;
        let full = end_position > self.config().segment_bytes || self.is_old(appender);
        Ok(full || !self.active().with_index(|index| index.has_room(appender.end_offset + records, end_position))?)
    }

    /// Whether the active segment began longer ago than segments may.
    pub(crate) fn is_old(&self, appender: &Appender) -> bool {
        let config = self.config();
        // What must be compacted by some time must be sealed by then.
        let lag_ms = config.max_compaction_lag_ms.filter(|_| config.cleanup.compacts());
        let limit_ms = config.segment_ms.into_iter().chain(lag_ms).min();
        let (Some(limit_ms), Some(first_ms)) = (limit_ms, appender.first_append_ms) else { return false };
        u64::try_from(self.shared.now_ms().saturating_sub(first_ms)).is_ok_and(|age_ms| age_ms > limit_ms)
    }

    /// Seals the active segment and begins the next one (crash points C4 to C6).
    ///
    /// The order is what recovery relies on: a segment that another one follows is synced to its end, and a
    /// snapshot of the producers as of the new segment's base is there before it. Without room for any of this the active
    /// segment stays; what was written for the next one is written again.
    pub(crate) fn roll(&self, appender: &mut Appender) -> Result<()> {
        let active = self.active();
        let file = active.file().map_err(|e| active.io("open", &e))?;
        file.sync().map_err(|e| active.io("sync", &e))?;
        active.write_index().map_err(|e| active.io("write the index of", &e))?;
        appender.producers.expire(self.shared.now_ms());
        self.write_snapshot(appender)?;
        let next = Segment::create(&self.home, appender.end_offset);
        let next = Arc::new(next.map_err(|e| active.io("create the segment after", &e))?);
        active.set_readable_bytes(appender.position);
        self.segments.write().push(next);
        (appender.position, appender.clean, appender.first_append_ms) = (0, false, None);
        Ok(())
    }

    /// Writes the producers' state as of the end, which must be synced, and removes older snapshots.
    pub(crate) fn write_snapshot(&self, appender: &mut Appender) -> Result<()> {
        if appender.snapshot_offset == Some(appender.end_offset) {
            return Ok(());
        }
        let (fs, directory) = (&*self.home.fs, &self.home.directory);
        let failed = |e| Error::io(format_args!("write the producer snapshot of {}", self.id()), &e);
        let aborted = self.transactions.lock().aborted.clone();
        snapshot::write(fs, directory, appender.end_offset, &appender.producers, &aborted).map_err(failed)?;
        appender.snapshot_offset = Some(appender.end_offset);
        snapshot::remove_old(fs, directory).map_err(failed)
    }

    /// Has the records synced and revealed, or reveals them at once. The appender is unlocked by now: a
    /// callback may look at the partition.
    fn after_append(self: &Arc<Self>, appended: &Appended, (segment, position): (Arc<Segment>, u64)) {
        match self.config().durability {
            _ if canary("ack_early") => self.reveal(&segment, appended.ticket.end_offset, position),
            Durability::Os => self.reveal(&segment, appended.ticket.end_offset, position),
            Durability::Sync if self.dirty.swap(true, Ordering::AcqRel) => {}
            Durability::Sync => self.shared.committer.enqueue(Arc::clone(self)),
        }
    }
}

/// The next batch's place.
struct Place {
    offset: u64,
    position: u64,
}

/// The log's own rules: offsets are dense, and nothing empty is stored.
fn check_batch(header: &BatchHeader) -> Result<()> {
    if header.record_count < 1 || header.last_offset_delta + 1 != header.record_count {
        let (records, offsets) = (header.record_count, i64::from(header.last_offset_delta) + 1);
        return Err(codes::rule(format!("a record batch has {records} records for {offsets} offsets")));
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(codes::rule("a record batch has a producer id, but no epoch or sequence number"));
    }
    Ok(())
}

/// What a client's batch must be.
fn check_client_batch(header: &BatchHeader, config: &TopicConfig) -> Result<()> {
    /// What the log alone sets.
    const LOGS_OWN: u16 = !Attributes::KAFKA | Attributes::DELETE_HORIZON;
    if header.attributes.has(LOGS_OWN) {
        return Err(codes::rule("a record batch has attribute bits that are reserved"));
    }
    if header.attributes.has(Attributes::CONTROL) {
        return Err(codes::rule("a record batch of a client is a control batch"));
    }
    if header.attributes.has(Attributes::LOG_APPEND_TIME) && config.timestamps == Timestamps::Create {
        return Err(codes::rule("a record batch claims to have the log's timestamps"));
    }
    if header.attributes.has(Attributes::TRANSACTIONAL) && header.producer_id < 0 {
        return Err(codes::rule("a record batch is part of a transaction, but has no producer id"));
    }
    let (bytes, limit) = (header.batch_bytes, config.batch_bytes_max);
    if bytes > limit as usize {
        return Err(codes::batch_too_large(bytes, limit));
    }
    Ok(())
}

fn check_epoch(epoch: u64, batches: &[Batch]) -> Result<()> {
    if epoch >= EPOCH_END {
        return Err(codes::limit(format!("epoch {epoch} is over the limit of {}", EPOCH_END - 1)));
    }
    let bytes: u64 = batches.iter().map(|batch| batch.as_bytes().len() as u64).sum();
    if bytes > EPOCH_BYTES_MAX {
        return Err(codes::limit(format!("epoch {epoch} of {bytes} bytes is over the limit of {EPOCH_BYTES_MAX}")));
    }
    let records: u64 = batches.iter().map(|batch| batch.header().record_count.max(0) as u64).sum();
    if records > u64::from(u32::MAX) {
        return Err(codes::limit(format!("epoch {epoch} of {records} records is over the limit of {}", u32::MAX)));
    }
    batches.iter().try_for_each(|batch| check_batch(batch.header()))
}

fn stamp_epoch(lane: i64, epoch: u64, batches: &mut [Batch]) {
    let (producer_epoch, sequence) = epoch_fields(epoch);
    let last = batches.len().saturating_sub(1);
    let mask = !Attributes::KAFKA | Attributes::TRANSACTIONAL | Attributes::CONTROL;
    for (index, batch) in batches.iter_mut().enumerate() {
        let continues = if index < last { Attributes::EPOCH_CONTINUES } else { 0 };
        batch.stamp(lane, producer_epoch, sequence, mask, Attributes::LANE | continues);
    }
}
