//! What has arrived from a broker and waits to be claimed, bounded in bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fleuve_base::{Error, Result};
use fleuve_flow::source::Waker;
use fleuve_record::{Attributes, BatchBuilder};
use parking_lot::{Condvar, Mutex};
use rdkafka::message::{BorrowedMessage, Headers, Message, Timestamp};

/// Bytes that may wait; the reading thread then waits, too.
const BUFFERED_BYTES_MAX: usize = 32 << 20;

/// Bytes of one of the batches into which messages are gathered.
const BATCH_BYTES: usize = 256 << 10;

/// How long the reading thread waits for room before it looks whether it should stop.
const WAIT: Duration = Duration::from_millis(100);

/// All splits' waiting records.
#[derive(Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    splits: Vec<Split>,
    buffered: usize,
    error: Option<Error>,
    wakers: Vec<Waker>,
    stopped: bool,
}

/// One split's waiting records.
#[derive(Default)]
struct Split {
    gathered: Gathered,
    /// Offset after the last one that has arrived.
    end: u64,
    /// The broker has nothing more for now.
    at_end: bool,
}

/// Messages as record batches, with their offsets.
///
/// Within a batch offsets are dense, so a gap begins another one; and so does another kind of timestamp.
#[derive(Default)]
pub(super) struct Gathered {
    done: BytesMut,
    current: BatchBuilder,
    base: i64,
    appended: bool,
}

impl Gathered {
    /// Adds a message; the offsets grow.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) -> Result<()> {
        let (timestamp_ms, appended) = match message.timestamp() {
            Timestamp::CreateTime(ms) => (ms, false),
            Timestamp::LogAppendTime(ms) => (ms, true),
            Timestamp::NotAvailable => (-1, false),
        };
        let follows = self.base + self.current.len() as i64 == message.offset() && self.appended == appended;
        if !self.current.is_empty() && (!follows || self.current.batch_bytes() >= BATCH_BYTES) {
            self.finish()?;
        }
        if self.current.is_empty() {
            (self.base, self.appended) = (message.offset(), appended);
        }
        let headers: Vec<(&str, Option<&[u8]>)> = match message.headers() {
            Some(headers) => headers.iter().map(|header| (header.key, header.value)).collect(),
            None => vec![],
        };
        self.current.append(timestamp_ms, message.key(), message.payload(), &headers)
    }

    fn finish(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.current).finish()?;
        batch.assign_offset(self.base);
        if self.appended {
            batch.stamp(-1, -1, -1, Attributes::LOG_APPEND_TIME, Attributes::LOG_APPEND_TIME);
        }
        self.done.extend_from_slice(batch.as_bytes());
        Ok(())
    }

    /// All that was gathered.
    pub(super) fn take(&mut self) -> Result<Bytes> {
        if !self.current.is_empty() {
            self.finish()?;
        }
        Ok(std::mem::take(&mut self.done).freeze())
    }

    pub(super) fn bytes(&self) -> usize {
        self.done.len() + if self.current.is_empty() { 0 } else { self.current.batch_bytes() }
    }
}

/// What waits of a split.
pub(super) struct Taken {
    pub(super) bytes: Bytes,
    /// Offset after the last record.
    pub(super) end: u64,
}

impl Feed {
    pub(super) fn new(splits: usize) -> Self {
        let state = State { splits: (0..splits).map(|_| Split::default()).collect(), ..State::default() };
        Feed { state: Mutex::new(state), room: Condvar::new() }
    }

    pub(super) fn subscribe(&self, waker: Waker) {
        self.state.lock().wakers.push(waker);
    }

    /// Adds a message, once there is room; false if nobody wants any more.
    pub(super) fn push(&self, split: usize, message: &BorrowedMessage<'_>) -> Result<bool> {
        let mut state = self.state.lock();
        while state.buffered >= BUFFERED_BYTES_MAX && !state.stopped {
            self.room.wait_for(&mut state, WAIT);
        }
        if state.stopped {
            return Ok(false);
        }
        let of_split = &mut state.splits[split];
        let before = of_split.gathered.bytes();
        of_split.gathered.push(message)?;
        (of_split.end, of_split.at_end) = (message.offset() as u64 + 1, false);
        let added = of_split.gathered.bytes().saturating_sub(before);
        state.buffered += added;
        // Who has found something before is not asleep.
        if before == 0 {
            wake(state);
        }
        Ok(true)
    }

    /// All that waits of a split.
    pub(super) fn take(&self, split: usize) -> Result<Option<Taken>> {
        let mut state = self.state.lock();
        if let Some(error) = &state.error {
            return Err(error.clone());
        }
        let of_split = &mut state.splits[split];
        let waiting = of_split.gathered.bytes();
        if waiting == 0 {
            return Ok(None);
        }
        let taken = Taken { bytes: of_split.gathered.take()?, end: of_split.end };
        state.buffered = state.buffered.saturating_sub(waiting);
        self.room.notify_all();
        Ok(Some(taken))
    }

    /// The broker has nothing more of a split for now.
    pub(super) fn set_at_end(&self, split: usize) {
        let mut state = self.state.lock();
        state.splits[split].at_end = true;
        wake(state);
    }

    /// Whether the broker had nothing more of a split.
    pub(super) fn is_at_end(&self, split: usize) -> bool {
        self.state.lock().splits[split].at_end
    }

    /// Everyone who claims is told.
    pub(super) fn fail(&self, error: Error) {
        let mut state = self.state.lock();
        state.error.get_or_insert(error);
        wake(state);
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.room.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }
}

/// Calls the wakers without holding the lock, since they may come back to claim.
fn wake(state: parking_lot::MutexGuard<'_, State>) {
    let wakers = state.wakers.clone();
    drop(state);
    wakers.iter().for_each(|waker| waker());
}
