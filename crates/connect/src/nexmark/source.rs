//! The events as a table: made as JSON lines and decoded as a file of them would be.

use std::sync::Arc;
use std::time::Duration;

use fleuve_base::{Env, Error, Place, Result};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, Source, Waker};
use fleuve_format::Decode;
use fleuve_plan::SourceSpec;
use parking_lot::Mutex;

use super::{EventOptions, Generator};
use crate::alarm::Alarm;
use crate::decode::{Assemble, Constants, Extras, Layout, add_counts, push_batches};
use crate::options::Options;

/// Bytes of an average event: how many make a chunk.
const EVENT_BYTES: u64 = 334;

/// Events of the largest chunk.
const CHUNK_EVENTS_MAX: u64 = 2_048;

/// Events that are made and decoded at a time.
const PIECE_EVENTS: u64 = 512;

/// A pause between two releases of paced events.
const RELEASE: Duration = Duration::from_millis(2);

/// A `nexmark` table.
pub(crate) struct NexmarkSource {
    env: Env,
    shape: Arc<Shape>,
    events: Option<u64>,
    wall_rate: Option<f64>,
    alarm: Alarm,
    state: Mutex<State>,
}

struct Shape {
    layout: Layout,
    generator: Generator,
}

#[derive(Default)]
struct State {
    next: u64,
    /// The clock and the event at which this process began.
    begun: Option<(Duration, u64)>,
}

impl NexmarkSource {
    pub(crate) fn open(env: &Env, options: &Options, spec: &SourceSpec, scan: Scan) -> Result<Self> {
        let (events, event_options) = Self::check(options)?;
        let wall_rate = options.number("wall-rate")?;
        let shape = Shape {
            layout: Layout::new(options, &spec.physical, scan)?,
            generator: Generator::new(&event_options, events),
        };
        let shape = Arc::new(shape);
        NexmarkDecoder::new(shape.clone())?;
        let (env, alarm) = (env.clone(), Alarm::new(env.clone()));
        Ok(NexmarkSource { env, shape, events, wall_rate, alarm, state: Mutex::default() })
    }

    /// The number of events, and what decides them.
    pub(crate) fn check(options: &Options) -> Result<(Option<u64>, EventOptions)> {
        let wrong = |what: &str| Error::input("E502", format!("table `{}`: {what}", options.table()));
        let count = |key: &str| Ok::<_, Error>(options.integer(key)?.map(i64::unsigned_abs));
        let events = count("events")?.or(count("events.num")?.filter(|events| *events > 0));
        let (first, next) = (count("first-event.rate")?, count("next-event.rate")?);
        if first.is_some() && next.is_some() && first != next {
            return Err(wrong("'first-event.rate' and 'next-event.rate' must be equal: the rate does not change"));
        }
        let stated = options.stated("rate").is_some();
        let rate = first.or(next).filter(|_| !stated).map(|rate| rate as f64).or(options.number("rate")?);
        let rate = rate.filter(|rate| *rate > 0.0).ok_or_else(|| wrong("'rate' must be greater than 0"))?;
        if options.number("wall-rate")?.is_some_and(|rate| rate <= 0.0) {
            return Err(wrong("'wall-rate' must be greater than 0"));
        }
        let group = count("ooo-group")?.unwrap_or(1).max(1);
        let (seed, base_ms) = (count("seed")?.unwrap_or(42), options.integer("base-ms")?.unwrap_or(0));
        Ok((events, EventOptions { seed, rate, base_ms, group }))
    }

    /// Events that may be released by now.
    fn due(&self, state: &mut State) -> u64 {
        let Some(rate) = self.wall_rate else { return u64::MAX };
        let now = self.env.clock.monotonic();
        let (since, first) = *state.begun.get_or_insert((now, state.next));
        first + ((now - since).as_secs_f64() * rate) as u64 + 1
    }
}

impl Source for NexmarkSource {
    fn bounded(&self) -> bool {
        self.events.is_some()
    }

    fn splits(&self) -> Vec<String> {
        vec!["nexmark".to_owned()]
    }

    fn claim(&self, bytes_max: usize) -> Result<Claim> {
        let mut state = self.state.lock();
        if self.events.is_some_and(|events| state.next >= events) {
            return Ok(Claim::Finished);
        }
        let events = (bytes_max as u64 / EVENT_BYTES).clamp(PIECE_EVENTS, CHUNK_EVENTS_MAX);
        let end = (state.next + events).min(self.events.unwrap_or(u64::MAX)).min(self.due(&mut state));
        if end <= state.next {
            self.alarm.wake_at(self.env.clock.monotonic() + RELEASE)?;
            return Ok(Claim::Pending);
        }
        let range = Range { split: 0, item: 0, start: state.next, end };
        state.next = end;
        Ok(Claim::Chunk(Chunk { range, bytes: None }))
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        Ok(Chunk { range, bytes: None })
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        if let Some(end) = last.iter().map(|range| range.end).max() {
            *self.state.lock() = State { next: end, begun: None };
        }
        Ok(())
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(NexmarkDecoder::new(self.shape.clone())?))
    }

    fn subscribe(&self, waker: Waker) {
        self.alarm.subscribe(waker);
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.events.map(|events| (self.state.lock().next.min(events), events))
    }
}

struct NexmarkDecoder {
    shape: Arc<Shape>,
    generator: Generator,
    rows: Box<dyn Decode>,
    assemble: Assemble,
    lines: Vec<u8>,
}

impl NexmarkDecoder {
    fn new(shape: Arc<Shape>) -> Result<Self> {
        let layout = &shape.layout;
        Ok(NexmarkDecoder {
            generator: shape.generator.clone(),
            rows: layout.decoder(Extras::default())?,
            assemble: Assemble::new(layout.options().table(), layout.scan(), &[])?,
            lines: Vec::new(),
            shape,
        })
    }
}

impl Decoder for NexmarkDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        self.rows.seek("", chunk.range.start + 1, 0);
        let mut first = chunk.range.start;
        while first < chunk.range.end {
            let last = chunk.range.end.min(first + PIECE_EVENTS);
            self.lines.clear();
            (first..last).for_each(|place| self.generator.write_event(place, &mut self.lines));
            self.rows.decode(&self.lines)?;
            first = last;
        }
        let mut block = self.rows.flush()?;
        add_counts(&block, decoded);
        let (layout, bad) = (&self.shape.layout, std::mem::take(&mut block.bad));
        // A declared column that no event has, or of another type.
        let mut place = |bad: &fleuve_format::BadRecord| Ok(Place::file("nexmark", bad.line, bad.column));
        layout.policy.apply("json", bad, &mut place, decoded)?;
        let rows = block.batch.num_rows();
        let constants = Constants { rows, texts: &[], numbers: &[], times: &[], weights: None };
        push_batches(self.assemble.batch(&block.batch, &constants)?, decoded);
        Ok(())
    }
}
