//! Topics of a foreign broker as a source.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Error, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::source::{Chunk, Claim, Decoder, Range, Scan, Source, Waker};
use fleuve_plan::SourceSpec;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{TIMEOUT, consumer, partitions, refused, unreachable};
use super::feed::Feed;
use super::replay::{Replayer, is_lost, lost};
use crate::internal;
use crate::options::Options;
use crate::topic::{Bound, Origin, RecordFields, Reset, Start, TopicDecoder, TopicShape, nothing_committed};

/// How long the reading thread waits for messages before it looks whether it should stop.
const POLL: Duration = Duration::from_millis(100);

/// A table over topics of a foreign broker.
pub(crate) struct ForeignSource {
    options: Options,
    group: String,
    shape: Arc<TopicShape>,
    /// Partitions of each topic; split `n` is partition `n / topics` of topic `n % topics`.
    counts: Vec<usize>,
    start: Start,
    /// Where the splits end, by number; none if they do not.
    ends: Option<Vec<u64>>,
    feed: Arc<Feed>,
    state: Mutex<State>,
    replayer: Mutex<Option<Replayer>>,
}

#[derive(Default)]
struct State {
    cursors: Vec<Cursor>,
    turn: usize,
    reading: Vec<Reading>,
    started: bool,
}

/// How far a split has been handed out.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    next: Option<u64>,
    /// The start has been handed out as an empty range, so that the journal holds it.
    fixed: bool,
}

/// A topic that is being read, by a thread of its own.
struct Reading {
    consumer: Arc<BaseConsumer>,
    thread: Option<JoinHandle<()>>,
}

impl ForeignSource {
    pub(crate) fn open(reader: &Reader<'_>, options: &Options, spec: &SourceSpec, scan: Scan) -> Result<Self> {
        let fields = RecordFields::new(options, &spec.physical, &spec.primary_key)?;
        let topics: Vec<String> = options.required("topic")?.split(';').map(|name| name.trim().to_owned()).collect();
        let shape = Arc::new(TopicShape::new(options, spec, &fields, scan, topics.clone(), Origin::Topic)?);
        TopicDecoder::new(shape.clone())?;
        let group = match options.stated("properties.group.id") {
            Some(group) => group.to_owned(),
            None => format!("fleuve.{}.{}", internal::escaped(reader.pipeline), reader.node),
        };
        let asking = consumer(options, &group)?;
        let counts = topics.iter().map(|topic| partitions(options, &asking, topic)).collect::<Result<Vec<_>>>()?;
        let splits = counts.iter().max().copied().unwrap_or(0) * counts.len();
        let mut source = ForeignSource {
            options: options.clone(),
            group,
            shape,
            counts,
            start: Start::of(options)?,
            ends: None,
            feed: Arc::new(Feed::new(splits)),
            state: Mutex::new(State { cursors: vec![Cursor::default(); splits], ..State::default() }),
            replayer: Mutex::new(None),
        };
        source.ends = source.ends(&asking, &Bound::of(options)?)?;
        Ok(source)
    }

    fn splits_count(&self) -> usize {
        self.counts.iter().max().copied().unwrap_or(0) * self.counts.len()
    }

    /// Topic and partition of a split, if there is such a partition.
    fn located(&self, split: usize) -> Option<(&str, i32)> {
        let (topic, partition) = self.shape.located(split as u32);
        let count = self.counts[split % self.counts.len().max(1)];
        ((partition as usize) < count).then_some((topic, partition as i32))
    }

    fn ends(&self, asking: &BaseConsumer, bound: &Bound) -> Result<Option<Vec<u64>>> {
        if *bound == Bound::Never {
            return Ok(None);
        }
        let end = |split: usize| {
            let Some((topic, partition)) = self.located(split) else { return Ok(0) };
            match bound {
                Bound::Never => Ok(u64::MAX),
                Bound::Latest => self.watermarks(asking, topic, partition).map(|(_, end)| end),
                Bound::Timestamp(ms) => self.offset_for_time(asking, topic, partition, *ms),
                Bound::Specific(offsets) => Ok(offsets.get(&(partition as u32)).copied().unwrap_or(0)),
            }
        };
        (0..self.splits_count()).map(end).collect::<Result<Vec<_>>>().map(Some)
    }

    fn watermarks(&self, asking: &BaseConsumer, topic: &str, partition: i32) -> Result<(u64, u64)> {
        let marks = asking.fetch_watermarks(topic, partition, TIMEOUT);
        let (start, end) = marks.map_err(|error| unreachable(&self.options, &error))?;
        Ok((start.max(0) as u64, end.max(0) as u64))
    }

    fn offset_for_time(&self, asking: &BaseConsumer, topic: &str, partition: i32, ms: i64) -> Result<u64> {
        let mut asked = TopicPartitionList::new();
        let found = asked.add_partition_offset(topic, partition, Offset::Offset(ms));
        let found = found.and_then(|()| asking.offsets_for_times(asked, TIMEOUT));
        let found = found.map_err(|error| unreachable(&self.options, &error))?;
        match found.find_partition(topic, partition).map(|found| found.offset()) {
            Some(Offset::Offset(offset)) if offset >= 0 => Ok(offset as u64),
            _ => self.watermarks(asking, topic, partition).map(|(_, end)| end),
        }
    }

    fn begin_of(&self, asking: &BaseConsumer, topic: &str, partition: i32) -> Result<u64> {
        let marks = || self.watermarks(asking, topic, partition);
        match &self.start {
            Start::Earliest => marks().map(|(start, _)| start),
            Start::Latest => marks().map(|(_, end)| end),
            Start::Timestamp(ms) => self.offset_for_time(asking, topic, partition, *ms),
            Start::Specific(offsets) => match offsets.get(&(partition as u32)) {
                Some(offset) => Ok(*offset),
                None => marks().map(|(start, _)| start),
            },
            Start::Group { group, otherwise } => match (self.committed(asking, topic, partition)?, otherwise) {
                (Some(offset), _) => Ok(offset),
                (None, Some(Reset::Earliest)) => marks().map(|(start, _)| start),
                (None, Some(Reset::Latest)) => marks().map(|(_, end)| end),
                (None, None) => Err(nothing_committed(group, topic, partition as u32)),
            },
        }
    }

    fn committed(&self, asking: &BaseConsumer, topic: &str, partition: i32) -> Result<Option<u64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, partition);
        let found = asking.committed_offsets(asked, TIMEOUT).map_err(|error| unreachable(&self.options, &error))?;
        Ok(match found.find_partition(topic, partition).map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => u64::try_from(offset).ok(),
            _ => None,
        })
    }

    /// Finds out where splits begin that have never been read, and starts reading all of them.
    fn start(&self, state: &mut State) -> Result<()> {
        if std::mem::replace(&mut state.started, true) {
            return Ok(());
        }
        let asking = consumer(&self.options, &self.group)?;
        let mut assignments = vec![TopicPartitionList::new(); self.counts.len()];
        for split in 0..self.splits_count() {
            let Some((topic, partition)) = self.located(split) else { continue };
            let next = match state.cursors[split].next {
                Some(next) => next,
                None => self.begin_of(&asking, topic, partition)?,
            };
            state.cursors[split].next = Some(next);
            let assignment = &mut assignments[split % self.counts.len()];
            let added = assignment.add_partition_offset(topic, partition, Offset::Offset(next as i64));
            added.map_err(|error| refused(&self.options, "an offset", &error))?;
        }
        for (number, assignment) in assignments.into_iter().enumerate() {
            state.reading.push(self.read(number, &assignment)?);
        }
        Ok(())
    }

    fn read(&self, topic: usize, assignment: &TopicPartitionList) -> Result<Reading> {
        let consumer = Arc::new(consumer(&self.options, &self.group)?);
        consumer.assign(assignment).map_err(|error| refused(&self.options, "an assignment", &error))?;
        let (feed, polled, options) = (self.feed.clone(), consumer.clone(), self.options.clone());
        let (name, topics) = (self.shape.topics[topic].clone(), self.counts.len());
        let run = move || {
            let split = |partition: i32| partition.max(0) as usize * topics + topic;
            if let Err(error) = poll(&polled, &feed, &options, &name, &split) {
                feed.fail(error);
            }
        };
        let thread = std::thread::Builder::new().name("fleuve-kafka".to_owned()).spawn(run);
        let thread = thread.map_err(|error| Error::io("start a thread", &error))?;
        Ok(Reading { consumer, thread: Some(thread) })
    }

    /// The next chunk of a split; none if nothing waits.
    fn claim_from(&self, split: usize, cursor: &mut Cursor) -> Result<Option<Chunk>> {
        let Some(next) = cursor.next else { return Ok(None) };
        let number = split as u32;
        if !std::mem::replace(&mut cursor.fixed, true) && !self.start.is_fixed() {
            let range = Range { split: number, item: 0, start: next, end: next };
            return Ok(Some(Chunk { range, bytes: Some(Bytes::new()) }));
        }
        let end = self.end_of(split);
        if next >= end {
            return Ok(None);
        }
        let Some(taken) = self.feed.take(split)? else {
            // The last offsets may be markers, which nobody sees.
            if end != u64::MAX && self.feed.is_at_end(split) {
                cursor.next = Some(end);
            }
            return Ok(None);
        };
        let range = Range { split: number, item: 0, start: next, end: taken.end.min(end) };
        cursor.next = Some(range.end);
        Ok(Some(Chunk { range, bytes: Some(taken.bytes) }))
    }

    fn end_of(&self, split: usize) -> u64 {
        self.ends.as_ref().map_or(u64::MAX, |ends| ends[split])
    }

    fn finished(&self, cursors: &[Cursor]) -> bool {
        let done = |(split, cursor): (usize, &Cursor)| cursor.next.is_none_or(|next| next >= self.end_of(split));
        self.ends.is_some() && cursors.iter().enumerate().all(done)
    }
}

/// Takes messages from the broker until nobody wants any more.
fn poll(
    consumer: &BaseConsumer,
    feed: &Feed,
    options: &Options,
    topic: &str,
    split: &dyn Fn(i32) -> usize,
) -> Result<()> {
    while !feed.is_stopped() {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                feed.push(split(message.partition()), &message)?;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => feed.set_at_end(split(partition)),
            Some(Err(error)) if is_lost(&error) => {
                let here = Range { split: 0, item: 0, start: 0, end: 0 };
                return Err(lost(topic, -1, here).with_detail("the next offset of a partition is not there any more"));
            }
            Some(Err(error)) if is_final(&error) => return Err(refused(options, &format!("topic `{topic}`"), &error)),
            // Brokers come and go; librdkafka dials again.
            Some(Err(error)) => tracing::warn!("topic `{topic}`: {error}"),
        }
    }
    Ok(())
}

fn is_final(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    let final_codes = [
        Code::Fatal,
        Code::UnknownTopic,
        Code::UnknownTopicOrPartition,
        Code::UnknownPartition,
        Code::TopicAuthorizationFailed,
        Code::GroupAuthorizationFailed,
        Code::Authentication,
    ];
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code().is_some_and(|code| final_codes.contains(&code))
}

impl Source for ForeignSource {
    fn bounded(&self) -> bool {
        self.ends.is_some()
    }

    fn splits(&self) -> Vec<String> {
        let located = (0..self.splits_count() as u32).map(|split| self.shape.located(split));
        located.map(|(topic, partition)| format!("{topic}/{partition}")).collect()
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        let mut state = self.state.lock();
        self.start(&mut state)?;
        let state = &mut *state;
        let count = state.cursors.len();
        for _ in 0..count {
            let split = state.turn % count;
            state.turn = (split + 1) % count;
            if let Some(chunk) = self.claim_from(split, &mut state.cursors[split])? {
                return Ok(Claim::Chunk(chunk));
            }
        }
        Ok(if self.finished(&state.cursors) { Claim::Finished } else { Claim::Pending })
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        let (topic, partition) = self.shape.located(range.split);
        if range.start >= range.end {
            return Ok(Chunk { range, bytes: Some(Bytes::new()) });
        }
        if self.located(range.split as usize).is_none() {
            return Err(lost(topic, partition as i32, range));
        }
        let mut replayer = self.replayer.lock();
        if replayer.is_none() {
            *replayer = Some(Replayer::new(&self.options, &self.group)?);
        }
        let replayer = replayer.as_mut().ok_or_else(|| Error::internal("it was made a line above"))?;
        Ok(Chunk { range, bytes: Some(replayer.read(topic, partition as i32, range)?) })
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        // What was to be read again has been.
        *self.replayer.lock() = None;
        let mut state = self.state.lock();
        for range in last {
            let (topic, partition) = self.shape.located(range.split);
            let cursor = state.cursors.get_mut(range.split as usize);
            let cursor = cursor.ok_or_else(|| lost(topic, partition as i32, *range))?;
            *cursor = Cursor { next: Some(range.end), fixed: true };
        }
        Ok(())
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(TopicDecoder::new(self.shape.clone())?))
    }

    fn subscribe(&self, waker: Waker) {
        self.feed.subscribe(waker);
    }

    /// Tells the group how far the pipeline is, so that its lag can be seen; the journal does not need it.
    fn snapshotted(&self, last: &[Range]) {
        if self.options.stated("properties.group.id").is_none() {
            return;
        }
        let state = self.state.lock();
        for range in last {
            let Some((topic, partition)) = self.located(range.split as usize) else { continue };
            let Some(reading) = state.reading.get(range.split as usize % self.counts.len()) else { continue };
            let mut offsets = TopicPartitionList::new();
            let committed = offsets.add_partition_offset(topic, partition, Offset::Offset(range.end as i64));
            let committed = committed.and_then(|()| reading.consumer.commit(&offsets, CommitMode::Async));
            if let Err(error) = committed {
                tracing::warn!("topic `{topic}`, group `{}`: {error}", self.group);
            }
        }
    }
}

impl Drop for ForeignSource {
    fn drop(&mut self) {
        self.feed.stop();
        for reading in &mut self.state.lock().reading {
            // A panic of the thread is of no interest any more.
            drop(reading.thread.take().map(JoinHandle::join));
        }
    }
}
