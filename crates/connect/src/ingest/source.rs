//! A stream that is kept in a topic of its own.

use std::ops::ControlFlow;
use std::sync::Arc;

use fleuve_base::{Env, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::source::{Chunk, Claim, Decoder, Range, Scan, Source, Waker};
use fleuve_journal::{Log, Partition};
use fleuve_plan::SourceSpec;
use parking_lot::Mutex;

use super::feed::{END_HEADER, Feeder, Lines, PLACE_HEADER, Session, Store, TopicStore, start};
use crate::internal;
use crate::options::Options;
use crate::topic::{Ending, Opened, Origin, RecordFields, Start, TopicSource};

/// A stream whose lines are journalled before they are read.
pub(crate) struct IngestSource {
    topic: TopicSource,
    partition: Arc<Partition>,
    bounded: bool,
    session: Arc<Session>,
    /// Offset of the mark that ends the stream.
    end: Arc<Mutex<Option<u64>>>,
    state: Mutex<State>,
}

struct State {
    feeder: Option<(Box<dyn Feeder>, Lines)>,
    resumed: bool,
    placed: bool,
}

impl IngestSource {
    pub(super) fn open(
        env: &Env,
        log: &Arc<Log>,
        reader: &Reader<'_>,
        options: &Options,
        spec: &SourceSpec,
        scan: Scan,
        feeder: Box<dyn Feeder>,
    ) -> Result<Self> {
        let topic = internal::topic(log, &internal::name(internal::INGEST, reader))?;
        let partition = topic.partition(0)?.clone();
        let (session, end) = (Session::new(env), Arc::new(Mutex::new(None)));
        let opened = Opened {
            topics: vec![topic],
            fields: RecordFields::all_in_value(&spec.physical),
            origin: Origin::Lines { name: feeder.name(), first: partition.log_end_offset() },
            start: Start::Earliest,
            groups: None,
            ending: if feeder.bounded() { Ending::WhenClosed(end.clone()) } else { Ending::Never },
            own: true,
        };
        let store = Store::Topic(TopicStore::new(env, &partition));
        let lines = Lines::new(&session, store, feeder.name(), options);
        let bounded = feeder.bounded();
        let state = State { feeder: Some((feeder, lines)), resumed: false, placed: false };
        let topic = TopicSource::over(log, reader, options, spec, scan, opened)?;
        Ok(IngestSource { topic, partition, bounded, session, end, state: Mutex::new(state) })
    }

    /// Decides what of the stream is still to come, and starts reading it.
    fn start(&self, state: &mut State) -> Result<()> {
        let Some((feeder, lines)) = state.feeder.take() else { return Ok(()) };
        let last = LastRecord::of(&self.partition)?;
        match last.end {
            // The stream had ended before the restart; only what was not yet read remains.
            Some(mark) if state.resumed => {
                *self.end.lock() = Some(mark);
                return Ok(());
            }
            _ if state.resumed => {}
            _ => self.pass_over_finished_runs()?,
        }
        let end = self.end.clone();
        start(feeder, lines, state.resumed, last.place, move |lines| {
            *end.lock() = lines.end()?;
            Ok(())
        })
    }
}

impl IngestSource {
    /// Begins behind the last mark that ends a stream: what stands before it belongs to runs that have finished.
    fn pass_over_finished_runs(&self) -> Result<()> {
        let (mut behind, partition) = (None, &self.partition);
        internal::for_range(partition, partition.log_start_offset(), partition.high_watermark(), |record| {
            if record.headers.into_iter().any(|header| header.key == END_HEADER) {
                behind = Some(record.offset as u64 + 1);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let Some(behind) = behind else { return Ok(()) };
        self.topic.begin_at(behind);
        // Whole segments can go only; what stays is passed over all the same.
        partition.truncate_before(behind).map(drop)
    }
}

/// What the last record of the topic says.
#[derive(Default)]
struct LastRecord {
    /// It is the mark that ends a stream, at this offset.
    end: Option<u64>,
    /// Where its line stood in a followed file.
    place: Option<String>,
}

impl LastRecord {
    fn of(partition: &Partition) -> Result<Self> {
        let (mut last, end) = (LastRecord::default(), partition.high_watermark());
        let first = end.saturating_sub(1).max(partition.log_start_offset());
        internal::for_range(partition, first, end, |record| {
            for header in record.headers {
                match header.key {
                    END_HEADER => last.end = Some(record.offset as u64),
                    PLACE_HEADER => last.place = header.value.map(|v| String::from_utf8_lossy(v).into_owned()),
                    _ => {}
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(last)
    }
}

impl Source for IngestSource {
    fn bounded(&self) -> bool {
        self.bounded
    }

    fn splits(&self) -> Vec<String> {
        self.topic.splits()
    }

    fn claim(&self, bytes_max: usize) -> Result<Claim> {
        self.session.check()?;
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.placed, true) {
            self.start(&mut state)?;
        }
        drop(state);
        self.topic.claim(bytes_max)
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        self.topic.reclaim(range)
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        self.state.lock().resumed = !last.is_empty();
        self.topic.resume(last)
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        self.topic.decoder()
    }

    fn subscribe(&self, waker: Waker) {
        self.session.alarm.subscribe(waker.clone());
        self.topic.subscribe(waker);
    }

    fn release(&self, before: &[Range]) {
        self.topic.release(before);
    }

    fn lag(&self) -> Option<u64> {
        self.topic.lag()
    }
}

impl Drop for IngestSource {
    fn drop(&mut self) {
        self.session.stop();
    }
}
