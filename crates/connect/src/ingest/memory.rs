//! Lines that wait in memory, for a pipeline without a data directory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fleuve_base::{Env, Error, ErrorKind, Place, Result};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, Source, Waker};
use fleuve_format::Decode;
use fleuve_plan::SourceSpec;
use parking_lot::{Condvar, Mutex};

use super::feed::{Feeder, Lines, Session, Store, start};
use crate::decode::{Assemble, Constants, Extras, Layout, add_counts, push_batches};
use crate::options::Options;

/// Bytes that wait; a sender that is faster than the pipeline waits, too.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// How long a feeder waits before it looks whether it was stopped.
const WAIT: Duration = Duration::from_millis(20);

/// Blocks of whole lines between a feeder and its source.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    taken: Condvar,
}

#[derive(Default)]
struct State {
    blocks: VecDeque<Bytes>,
    bytes: usize,
    /// Number (from 0) of the first line that waits.
    next_line: u64,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&self, lines: &[u8], session: &Session) {
        let mut state = self.state.lock();
        while state.bytes > WAITING_BYTES_MAX && !session.is_stopped() {
            self.taken.wait_for(&mut state, WAIT);
        }
        state.bytes += lines.len();
        state.blocks.push_back(Bytes::copy_from_slice(lines));
        drop(state);
        session.alarm.ring();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
    }

    fn claim(&self, bytes_max: usize) -> Claim {
        let mut state = self.state.lock();
        let Some(first) = state.blocks.pop_front() else {
            return if state.closed { Claim::Finished } else { Claim::Pending };
        };
        let bytes = if state.blocks.is_empty() { first } else { join(first, &mut state.blocks, bytes_max) };
        state.bytes -= bytes.len();
        self.taken.notify_one();
        let newline_missing = u64::from(!bytes.ends_with(b"\n"));
        let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64 + newline_missing;
        let start = state.next_line;
        state.next_line += lines;
        Claim::Chunk(Chunk { range: Range { split: 0, item: 0, start, end: start + lines }, bytes: Some(bytes) })
    }
}

fn join(first: Bytes, blocks: &mut VecDeque<Bytes>, bytes_max: usize) -> Bytes {
    let mut joined = BytesMut::from(first);
    while let Some(next) = blocks.pop_front_if(|next| joined.len() + next.len() <= bytes_max) {
        joined.extend_from_slice(&next);
    }
    joined.freeze()
}

/// A stream that is kept only until it is decoded.
pub(super) struct MemorySource {
    shape: Arc<Shape>,
    bounded: bool,
    session: Arc<Session>,
    queue: Arc<Queue>,
    feeder: Mutex<Option<(Box<dyn Feeder>, Lines)>>,
}

struct Shape {
    name: String,
    layout: Layout,
}

impl MemorySource {
    pub(super) fn open(
        env: &Env,
        options: &Options,
        spec: &SourceSpec,
        scan: Scan,
        feeder: Box<dyn Feeder>,
    ) -> Result<Self> {
        let shape = Shape { name: feeder.name(), layout: Layout::new(options, &spec.physical, scan)? };
        let shape = Arc::new(shape);
        MemoryDecoder::new(shape.clone())?;
        let (session, queue) = (Session::new(env), Arc::new(Queue::default()));
        let lines = Lines::new(&session, Store::Memory(queue.clone()), feeder.name(), options);
        Ok(MemorySource { shape, bounded: feeder.bounded(), session, queue, feeder: Mutex::new(Some((feeder, lines))) })
    }
}

impl Source for MemorySource {
    fn bounded(&self) -> bool {
        self.bounded
    }

    fn splits(&self) -> Vec<String> {
        vec![self.shape.name.clone()]
    }

    fn claim(&self, bytes_max: usize) -> Result<Claim> {
        self.session.check()?;
        if let Some((feeder, lines)) = self.feeder.lock().take() {
            start(feeder, lines, false, None, |lines| lines.end().map(drop))?;
        }
        Ok(self.queue.claim(bytes_max))
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        let (name, start, end) = (&self.shape.name, range.start, range.end);
        Err(Error::new(ErrorKind::Conflict, "E507", format!("lines {start} to {end} of {name} are not kept"))
            .with_hint("with --data DIR what arrives is kept, and can be read again"))
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        last.first().map_or(Ok(()), |range| self.reclaim(*range).map(drop))
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(MemoryDecoder::new(self.shape.clone())?))
    }

    fn subscribe(&self, waker: Waker) {
        self.session.alarm.subscribe(waker);
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        self.session.stop();
    }
}

struct MemoryDecoder {
    shape: Arc<Shape>,
    rows: Box<dyn Decode>,
    assemble: Assemble,
}

impl MemoryDecoder {
    fn new(shape: Arc<Shape>) -> Result<Self> {
        let layout = &shape.layout;
        let assemble = Assemble::new(layout.options().table(), layout.scan(), &[])?;
        Ok(MemoryDecoder { rows: layout.decoder(Extras::default())?, assemble, shape })
    }
}

impl Decoder for MemoryDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let Some(bytes) = &chunk.bytes else { return Err(Error::internal("lines came without bytes")) };
        self.rows.seek("", chunk.range.start + 1, 0);
        self.rows.decode(bytes)?;
        let mut block = self.rows.flush()?;
        add_counts(&block, decoded);
        let (shape, bad) = (&self.shape, std::mem::take(&mut block.bad));
        let mut place = |bad: &fleuve_format::BadRecord| Ok(Place::file(&shape.name, bad.line, bad.column));
        shape.layout.policy.apply(shape.layout.format(), bad, &mut place, decoded)?;
        let rows = block.batch.num_rows();
        let constants = Constants { rows, texts: &[], numbers: &[], times: &[], weights: None };
        push_batches(self.assemble.batch(&block.batch, &constants)?, decoded);
        Ok(())
    }
}
