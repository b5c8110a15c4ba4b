//! What all feeders share: cutting a stream into lines and putting them where the pipeline reads them.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleuve_base::limits::LINE_BYTES_MAX;
use fleuve_base::{Env, Error, ErrorKind, Result};
use fleuve_journal::{Partition, Ticket};
use fleuve_record::BatchBuilder;
use parking_lot::Mutex;

use super::memory::Queue;
use crate::alarm::Alarm;
use crate::options::Options;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;

/// Appends that may wait for their sync; the feeder waits for the oldest before it appends one more.
const APPENDS_IN_FLIGHT_MAX: usize = 16;

/// Bytes of lines in one record batch.
const BATCH_BYTES: usize = 512 << 10;

/// The header of a record that says where its line stood in a followed file.
pub(super) const PLACE_HEADER: &str = "place";

/// Where lines come from. Runs on a thread of its own.
pub(super) trait Feeder: Send {
    /// What messages call it.
    fn name(&self) -> String;

    /// Whether it ends by itself.
    fn bounded(&self) -> bool;

    /// Puts lines into `lines` until the stream ends or the session is stopped. `last` is the place that was stored with
    /// the last line, if the stream goes on after a restart; `resumed` says whether it does.
    fn run(&mut self, lines: &mut Lines, resumed: bool, last: Option<&str>) -> Result<()>;
}

/// What the source and its feeder tell each other.
pub(super) struct Session {
    pub(super) alarm: Alarm,
    pub(super) error: Mutex<Option<Error>>,
    pub(super) stopped: AtomicBool,
    /// Unblocks a feeder that is reading.
    pub(super) interrupt: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Session {
    pub(super) fn new(env: &Env) -> Arc<Self> {
        Arc::new(Session {
            alarm: Alarm::new(env.clone()),
            error: Mutex::default(),
            stopped: AtomicBool::new(false),
            interrupt: Mutex::default(),
        })
    }

    /// The feeder's failure, once.
    pub(super) fn check(&self) -> Result<()> {
        self.error.lock().clone().map_or(Ok(()), Err)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(interrupt) = self.interrupt.lock().take() {
            interrupt();
        }
    }

    /// Sleeps in short pieces, so that a stop is seen; false if it was.
    pub(super) fn sleep(&self, duration: Duration) -> bool {
        let mut left = duration;
        while !left.is_zero() && !self.is_stopped() {
            let piece = left.min(SLEEP_PIECE);
            std::thread::sleep(piece);
            left -= piece;
        }
        !self.is_stopped()
    }
}

/// How long a stopped feeder may sleep on.
const SLEEP_PIECE: Duration = Duration::from_millis(20);

/// Starts a feeder's thread. `end` is called when the stream has ended.
pub(super) fn start(
    mut feeder: Box<dyn Feeder>,
    mut lines: Lines,
    resumed: bool,
    last: Option<String>,
    end: impl FnOnce(&mut Lines) -> Result<()> + Send + 'static,
) -> Result<()> {
    let session = lines.session.clone();
    let run = move || {
        let fed = feeder.run(&mut lines, resumed, last.as_deref());
        let ended = fed.and_then(|()| if lines.session.is_stopped() { Ok(()) } else { end(&mut lines) });
        if let Err(error) = ended {
            *session.error.lock() = Some(error);
        }
        session.alarm.ring();
    };
    let thread = std::thread::Builder::new().name("fleuve-ingest".to_owned()).spawn(run);
    thread.map(drop).map_err(|error| Error::io("start a thread", &error))
}

/// Takes a stream apart into lines.
pub(super) struct Lines {
    pub(super) session: Arc<Session>,
    store: Store,
    name: String,
    /// Bytes after the last newline.
    carry: Vec<u8>,
    buffer: Vec<u8>,
    /// Empty lines are records, too.
    keep_empty: bool,
    /// The next line is a header.
    skip_line: bool,
}

/// Where lines go.
pub(super) enum Store {
    Topic(TopicStore),
    Memory(Arc<Queue>),
}

pub(super) struct TopicStore {
    env: Env,
    partition: Arc<Partition>,
    in_flight: VecDeque<Ticket>,
}

impl TopicStore {
    pub(super) fn new(env: &Env, partition: &Arc<Partition>) -> Self {
        TopicStore { env: env.clone(), partition: partition.clone(), in_flight: VecDeque::new() }
    }

    fn append(&mut self, lines: &[u8], keep_empty: bool, place: Option<&str>) -> Result<()> {
        let timestamp_ms = self.env.clock.now_ms();
        let mut batch = BatchBuilder::with_capacity(lines.len().min(2 * BATCH_BYTES));
        let mut rest = lines;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            rest = &rest[(end + 1).min(rest.len())..];
            let place = place.filter(|_| rest.is_empty()).map(|place| (PLACE_HEADER, Some(place.as_bytes())));
            if line.is_empty() && !keep_empty && place.is_none() {
                continue;
            }
            // A place must not be lost with an empty line: it goes with a record without value, which is no row.
            let value = (!line.is_empty() || keep_empty).then_some(line);
            batch.append(timestamp_ms, None, value, place.as_slice())?;
            if batch.batch_bytes() >= BATCH_BYTES {
                self.push(std::mem::take(&mut batch))?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.push(batch) }
    }

    fn push(&mut self, batch: BatchBuilder) -> Result<()> {
        if self.in_flight.len() >= APPENDS_IN_FLIGHT_MAX
            && let Some(oldest) = self.in_flight.pop_front()
        {
            oldest.wait()?;
        }
        self.in_flight.push_back(self.partition.append(batch.finish()?)?.ticket);
        Ok(())
    }

    /// Marks the end of the stream, durably; returns the mark's offset.
    fn append_end(&mut self) -> Result<u64> {
        let mut batch = BatchBuilder::new();
        batch.append(self.env.clock.now_ms(), None, None, &[(END_HEADER, None)])?;
        let appended = self.partition.append(batch.finish()?)?;
        appended.ticket.wait()?;
        Ok(appended.last_offset)
    }
}

/// The header of the record that marks the end of a stream.
pub(super) const END_HEADER: &str = "end";

impl Lines {
    pub(super) fn new(session: &Arc<Session>, store: Store, name: String, options: &Options) -> Self {
        Lines {
            session: session.clone(),
            store,
            name,
            carry: vec![],
            buffer: vec![0; READ_BYTES],
            keep_empty: options.format() == Some("raw"),
            skip_line: false,
        }
    }

    /// Reads once and stores the whole lines among what came; the number of bytes, 0 at the end. `place` is given how
    /// many of the bytes belong to whole lines, and says what is to be stored with the last one.
    pub(super) fn read(&mut self, input: &mut dyn Read, place: impl FnOnce(usize) -> Option<String>) -> Result<usize> {
        let read = loop {
            match input.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(format_args!("read from {}", self.name), &error)),
                Ok(read) => break read,
            }
        };
        let Some(newline) = memchr::memrchr(b'\n', &self.buffer[..read]) else {
            self.carry.extend_from_slice(&self.buffer[..read]);
            return self.check_length().map(|()| read);
        };
        let whole = newline + 1;
        let place = place(whole);
        let buffer = std::mem::take(&mut self.buffer);
        let stored = if self.carry.is_empty() {
            self.store(&buffer[..whole], place.as_deref())
        } else {
            let mut lines = std::mem::take(&mut self.carry);
            lines.extend_from_slice(&buffer[..whole]);
            self.store(&lines, place.as_deref())
        };
        self.carry.extend_from_slice(&buffer[whole..read]);
        self.buffer = buffer;
        stored.map(|()| read)
    }

    fn check_length(&self) -> Result<()> {
        if self.carry.len() <= LINE_BYTES_MAX {
            return Ok(());
        }
        let message = format!("a line from {} is longer than {LINE_BYTES_MAX} bytes", self.name);
        Err(Error::new(ErrorKind::Limit, "E512", message).with_hint("is it text with one record a line?"))
    }

    /// Stores the last line, which has no newline.
    pub(super) fn finish(&mut self) -> Result<()> {
        let carry = std::mem::take(&mut self.carry);
        if carry.is_empty() { Ok(()) } else { self.store(&carry, None) }
    }

    /// Forgets the beginning of a line whose end will not come.
    pub(super) fn forget(&mut self) -> usize {
        std::mem::take(&mut self.carry).len()
    }

    /// A stream or file begins; its first line may be a header.
    pub(super) fn begin(&mut self, options: &Options) {
        self.skip_line = options.format() == Some("csv") && options.flag("csv.header");
    }

    fn store(&mut self, lines: &[u8], place: Option<&str>) -> Result<()> {
        let mut lines = lines;
        if std::mem::take(&mut self.skip_line) {
            let header = memchr::memchr(b'\n', lines).map_or(lines.len(), |newline| newline + 1);
            lines = &lines[header..];
        }
        if lines.is_empty() {
            return Ok(());
        }
        match &mut self.store {
            Store::Topic(topic) => topic.append(lines, self.keep_empty, place),
            Store::Memory(queue) => {
                queue.push(lines, &self.session);
                Ok(())
            }
        }
    }

    /// Marks the end of the stream; the offset of the mark in a topic.
    pub(super) fn end(&mut self) -> Result<Option<u64>> {
        match &mut self.store {
            Store::Topic(topic) => topic.append_end().map(Some),
            Store::Memory(queue) => {
                queue.close();
                Ok(None)
            }
        }
    }
}
