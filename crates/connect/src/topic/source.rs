//! Topics as a source: each partition is a split, and a chunk is stretches of it as the log holds them.
//!
//! Partition *p* of the *t*-th of *n* topics is the split *p*·*n* + *t*, so that splits keep their numbers when a topic
//! gets more partitions.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::source::{Chunk, Claim, Decoder, Range, Scan, Source, Waker};
use fleuve_journal::{Log, Partition, Subscription, Topic};
use fleuve_plan::SourceSpec;
use fleuve_record::{Attributes, Batches};
use parking_lot::Mutex;

use super::bounds::{Bound, Ending, GroupOffsets, Start};
use super::committed::committed;
use super::decoder::TopicDecoder;
use super::fields::RecordFields;
use super::shape::{Origin, TopicShape};
use super::{need_log, topics_to_read};
use crate::internal;
use crate::options::Options;

/// Bytes that are fetched at a time, unless the engine wants fewer.
const FETCH_BYTES: usize = 1 << 20;

/// Bytes of a writer's epoch that are read together; a larger epoch is cut after all.
const EPOCH_BYTES_JOINED_MAX: usize = 64 << 20;

/// A `topic` table that is being read, or a table that is kept in an internal topic.
pub(crate) struct TopicSource {
    log: Arc<Log>,
    splits: Vec<Option<Arc<Partition>>>,
    shape: Arc<TopicShape>,
    pin: String,
    start: Start,
    groups: Option<Arc<dyn GroupOffsets>>,
    /// The group that shows how far the pipeline is.
    group: Option<String>,
    ending: Ending,
    /// The topic is this source's own: what is released may be deleted.
    own: bool,
    state: Mutex<State>,
    subscriptions: Mutex<Vec<Subscription>>,
}

struct State {
    cursors: Vec<Cursor>,
    /// The split whose turn it is.
    turn: usize,
}

/// How far a split has been handed out.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    next: Option<u64>,
    /// The start has been handed out as an empty range, so that the journal holds it.
    fixed: bool,
}

/// What a source reads, and how.
pub(crate) struct Opened {
    pub(crate) topics: Vec<Arc<Topic>>,
    pub(crate) fields: RecordFields,
    pub(crate) origin: Origin,
    pub(crate) start: Start,
    pub(crate) groups: Option<Arc<dyn GroupOffsets>>,
    pub(crate) ending: Ending,
    pub(crate) own: bool,
}

impl TopicSource {
    /// Opens the topics that a table names.
    pub(crate) fn open(
        log: Option<&Arc<Log>>,
        groups: Option<Arc<dyn GroupOffsets>>,
        reader: &Reader<'_>,
        options: &Options,
        spec: &SourceSpec,
        scan: Scan,
    ) -> Result<Self> {
        let log = need_log(&spec.table, log)?;
        let topics = topics_to_read(log, options)?;
        let opened = Opened {
            origin: Origin::Topic,
            fields: RecordFields::new(options, &spec.physical, &spec.primary_key)?,
            start: Start::of(options)?,
            groups,
            ending: Ending::of(&Bound::of(options)?, &splits_of(&topics))?,
            own: false,
            topics,
        };
        Self::over(log, reader, options, spec, scan, opened)
    }

    /// Reads given topics.
    pub(crate) fn over(
        log: &Arc<Log>,
        reader: &Reader<'_>,
        options: &Options,
        spec: &SourceSpec,
        scan: Scan,
        opened: Opened,
    ) -> Result<Self> {
        let Opened { topics, fields, origin, start, groups, ending, own } = opened;
        let names = topics.iter().map(|topic| topic.name().to_owned()).collect();
        let shape = Arc::new(TopicShape::new(options, spec, &fields, scan, names, origin)?);
        TopicDecoder::new(shape.clone())?;
        let (pin, splits) = (internal::name("pin", reader), splits_of(&topics));
        for partition in splits.iter().flatten() {
            log.pin(&partition.id().topic, partition.id().partition, partition.log_start_offset(), &pin)?;
        }
        let state = State { cursors: vec![Cursor::default(); splits.len()], turn: 0 };
        let log = log.clone();
        let (state, subscriptions) = (Mutex::new(state), Mutex::default());
        let group = options.stated("properties.group.id").map(str::to_owned);
        Ok(TopicSource { log, splits, shape, pin, start, groups, group, ending, own, state, subscriptions })
    }

    /// Begins the only partition here, unless it goes on from somewhere else.
    pub(crate) fn begin_at(&self, offset: u64) {
        for cursor in &mut self.state.lock().cursors {
            cursor.next.get_or_insert(offset);
        }
    }

    /// The next chunk of a split; none if it is at its end for now.
    fn claim_from(&self, number: usize, cursor: &mut Cursor, bytes_max: usize) -> Result<Option<Chunk>> {
        let Some(partition) = &self.splits[number] else { return Ok(None) };
        let next = match cursor.next {
            Some(next) => next,
            None => self.start.offset(partition, self.groups.as_ref())?,
        };
        cursor.next = Some(next);
        let split = number as u32;
        if !std::mem::replace(&mut cursor.fixed, true) && !self.start.is_fixed() {
            let range = Range { split, item: 0, start: next, end: next };
            return Ok(Some(Chunk { range, bytes: Some(Bytes::new()) }));
        }
        let limit = partition.last_stable_offset().min(self.ending.of_split(number).unwrap_or(u64::MAX));
        if next >= limit {
            return Ok(None);
        }
        let (bytes, end) = fetch(partition, next, bytes_max.min(FETCH_BYTES))?;
        let end = end.min(limit);
        let bytes = committed(partition, bytes, next..end)?;
        cursor.next = Some(end);
        Ok(Some(Chunk { range: Range { split, item: 0, start: next, end }, bytes: Some(bytes) }))
    }

    fn finished(&self, cursors: &[Cursor]) -> bool {
        let done = |(number, cursor): (usize, &Cursor)| {
            self.splits[number].is_none()
                || self.ending.of_split(number).is_some_and(|end| cursor.next.is_some_and(|next| next >= end))
        };
        self.bounded() && cursors.iter().enumerate().all(done)
    }

    fn partition(&self, split: u32) -> Result<&Arc<Partition>> {
        self.splits.get(split as usize).and_then(Option::as_ref).ok_or_else(|| {
            let (topic, partition) = self.shape.located(split);
            let message = format!("topic `{topic}` has no partition {partition}, and it was read");
            Error::new(ErrorKind::Conflict, "E507", message).with_hint("the topic was deleted and created again")
        })
    }

    fn lost(&self, range: Range, partition: &Partition) -> Error {
        let (topic, number) = self.shape.located(range.split);
        let message = format!(
            "offsets {} to {} of topic `{topic}`, partition {number}, cannot be read any more",
            range.start, range.end
        );
        let (start, end) = (partition.log_start_offset(), partition.high_watermark());
        Error::new(ErrorKind::Conflict, "E507", message)
            .with_detail(format!("the partition holds offsets {start} to {end}"))
            .with_hint("the topic was deleted, or its retention is shorter than the pipeline needs")
    }
}

/// The splits of topics, by number.
fn splits_of(topics: &[Arc<Topic>]) -> Vec<Option<Arc<Partition>>> {
    let most = topics.iter().map(|topic| topic.partitions().len()).max().unwrap_or(0);
    let numbered = (0..most).flat_map(|partition| topics.iter().map(move |topic| (topic, partition)));
    numbered.map(|(topic, partition)| topic.partitions().get(partition).cloned()).collect()
}

/// Batches from an offset on, and the offset after them. A writer's epoch is not cut, so that what a pipeline wrote
/// together is read together.
fn fetch(partition: &Partition, offset: u64, bytes_max: usize) -> Result<(Bytes, u64)> {
    let mut fetched = partition.read(offset, bytes_max)?;
    if !continues(&fetched.bytes)? {
        return Ok((fetched.bytes, fetched.next_offset));
    }
    let mut joined = BytesMut::from(fetched.bytes.clone());
    while continues(&fetched.bytes)? && joined.len() < EPOCH_BYTES_JOINED_MAX {
        fetched = partition.read(fetched.next_offset, bytes_max)?;
        joined.extend_from_slice(&fetched.bytes);
    }
    Ok((joined.freeze(), fetched.next_offset))
}

/// Whether the last batch is not the last of its writer's epoch.
fn continues(bytes: &Bytes) -> Result<bool> {
    let last = Batches::new(bytes.clone()).last().transpose()?;
    Ok(last.is_some_and(|batch| batch.header().attributes.has(Attributes::EPOCH_CONTINUES)))
}

impl Source for TopicSource {
    fn bounded(&self) -> bool {
        !matches!(self.ending, Ending::Never)
    }

    fn splits(&self) -> Vec<String> {
        let located = (0..self.splits.len() as u32).map(|split| self.shape.located(split));
        located.map(|(topic, partition)| format!("{topic}/{partition}")).collect()
    }

    fn claim(&self, bytes_max: usize) -> Result<Claim> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let count = state.cursors.len();
        for _ in 0..count {
            let number = state.turn % count;
            state.turn = (number + 1) % count;
            if let Some(chunk) = self.claim_from(number, &mut state.cursors[number], bytes_max)? {
                return Ok(Claim::Chunk(chunk));
            }
        }
        Ok(if self.finished(&state.cursors) { Claim::Finished } else { Claim::Pending })
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        let partition = self.partition(range.split)?;
        if range.start < partition.log_start_offset() || range.end > partition.high_watermark() {
            return Err(self.lost(range, partition));
        }
        let (mut bytes, mut next) = (BytesMut::new(), range.start);
        while next < range.end {
            let fetched = partition.read(next, FETCH_BYTES)?;
            if fetched.next_offset <= next {
                return Err(self.lost(range, partition));
            }
            bytes.extend_from_slice(&fetched.bytes);
            next = fetched.next_offset;
        }
        Ok(Chunk { range, bytes: Some(committed(partition, bytes.freeze(), range.start..range.end)?) })
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        let mut state = self.state.lock();
        for range in last {
            self.partition(range.split)?;
            state.cursors[range.split as usize] = Cursor { next: Some(range.end), fixed: true };
        }
        Ok(())
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(TopicDecoder::new(self.shape.clone())?))
    }

    fn subscribe(&self, waker: Waker) {
        let partitions = self.splits.iter().flatten();
        self.subscriptions.lock().extend(partitions.map(|partition| partition.subscribe(waker.clone())));
    }

    fn release(&self, before: &[Range]) {
        for range in before {
            let Ok(partition) = self.partition(range.split) else { continue };
            let id = partition.id();
            // A pin that cannot be moved only keeps more than is needed.
            let moved = self.log.pin(&id.topic, id.partition, range.start, &self.pin);
            let cut = if self.own { partition.truncate_before(range.start).map(drop) } else { Ok(()) };
            if let Err(error) = moved.and(cut) {
                tracing::warn!("topic `{}`: {error}", id.topic);
            }
        }
    }

    fn snapshotted(&self, last: &[Range]) {
        let (Some(groups), Some(group)) = (&self.groups, &self.group) else { return };
        let located = |range: &Range| {
            let (topic, partition) = self.shape.located(range.split);
            (topic.to_owned(), partition, range.end)
        };
        groups.commit(group, last.iter().map(located).collect());
    }

    fn progress(&self) -> Option<(u64, u64)> {
        let Ending::At(ends) = &self.ending else { return None };
        let state = self.state.lock();
        let spans = self.splits.iter().zip(&state.cursors).zip(ends).filter_map(|((partition, cursor), end)| {
            let start = partition.as_ref()?.log_start_offset().min(*end);
            Some((cursor.next.unwrap_or(start).saturating_sub(start), end - start))
        });
        Some(spans.fold((0, 0), |sum, span| (sum.0 + span.0, sum.1 + span.1)))
    }

    fn lag(&self) -> Option<u64> {
        let state = self.state.lock();
        let lag = self.splits.iter().zip(&state.cursors).filter_map(|(partition, cursor)| {
            let partition = partition.as_ref()?;
            let next = cursor.next.unwrap_or_else(|| self.start.offset(partition, self.groups.as_ref()).unwrap_or(0));
            Some(partition.last_stable_offset().saturating_sub(next))
        });
        Some(lag.sum())
    }
}

impl Drop for TopicSource {
    fn drop(&mut self) {
        for partition in self.splits.iter().flatten() {
            // The topic may have been deleted; then there is no pin left either.
            let _ = self.log.unpin(&partition.id().topic, partition.id().partition, &self.pin);
        }
    }
}
