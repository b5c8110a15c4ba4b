//! Group commit: one sync makes the records of many appends durable, and tells all who wait.
//!
//! Appends only write. A round takes every partition that was written to since the last one, syncs its file
//! once, writes down how far it is durable (`checkpoint`), moves its high watermark and completes its tickets,
//! in this order (crash points C1 to C3).

use std::sync::Arc;
use std::thread::JoinHandle;

use fleuve_base::{Error, Result};
use parking_lot::{Condvar, Mutex};

use crate::options::CommitMode;
use crate::partition::Partition;
use crate::shared::Shared;

/// Called once with the outcome of an append.
pub type OnDurable = Box<dyn FnOnce(Result<()>) + Send>;

/// The queue of partitions to sync.
pub(crate) struct Committer {
    mode: CommitMode,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Rounds do not overlap: a later one must not overtake an earlier one's checkpoint.
    round: Mutex<()>,
}

#[derive(Default)]
struct Queue {
    dirty: Vec<Arc<Partition>>,
    stopping: bool,
}

impl Committer {
    pub(crate) fn new(mode: CommitMode) -> Self {
        Committer { mode, queue: Mutex::default(), changed: Condvar::new(), round: Mutex::default() }
    }

    /// Puts a partition into the next round; it must not be in the queue already.
    pub(crate) fn enqueue(&self, partition: Arc<Partition>) {
        self.queue.lock().dirty.push(partition);
        self.changed.notify_one();
    }

    /// Runs one round on the caller's thread. An error has poisoned the log.
    pub(crate) fn run_round(&self, shared: &Shared) -> Result<()> {
        let _one_at_a_time = self.round.lock();
        let dirty = std::mem::take(&mut self.queue.lock().dirty);
        for partition in &dirty {
            let committed = shared
                .health
                .check_failure()
                .and_then(|()| partition.commit().map_err(|cause| shared.health.poison(&cause)));
            if let Err(error) = committed {
                partition.fail_tickets(&error);
            }
        }
        shared.health.check_failure()
    }

    fn wait_for_work(&self) -> bool {
        let mut queue = self.queue.lock();
        while queue.dirty.is_empty() && !queue.stopping {
            self.changed.wait(&mut queue);
        }
        !queue.dirty.is_empty()
    }

    pub(crate) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.changed.notify_all();
    }
}

/// Starts the log's thread, if it is to have one.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<Option<JoinHandle<()>>> {
    if shared.committer.mode == CommitMode::Manual {
        return Ok(None);
    }
    let shared = Arc::clone(shared);
    let run = move || {
        while shared.committer.wait_for_work() {
            // The error stays in the log's health, and every ticket has been told.
            let _ = shared.committer.run_round(&shared);
        }
    };
    let thread = std::thread::Builder::new().name("journal-commit".to_owned()).spawn(run);
    thread.map(Some).map_err(|e| Error::io("start the journal's commit thread", &e))
}

/// A promise that an append will be durable, or that it will be known not to be.
#[derive(Clone)]
pub struct Ticket {
    pub(crate) partition: Arc<Partition>,
    pub(crate) end_offset: u64,
}

impl Ticket {
    /// Waits until the append is durable.
    pub fn wait(&self) -> Result<()> {
        if self.partition.shared.committer.mode == CommitMode::Manual && !self.is_durable() {
            self.partition.shared.committer.run_round(&self.partition.shared)?;
        }
        self.partition.wait_durable(self.end_offset)
    }

    /// Whether the append is durable by now.
    pub fn is_durable(&self) -> bool {
        self.partition.high_watermark() >= self.end_offset
    }

    /// Calls `callback` when the append is durable or has failed: at once if that is known, else from the
    /// thread that runs the commit round, which it must not block.
    pub fn on_durable(&self, callback: OnDurable) {
        self.partition.when_durable(self.end_offset, callback);
    }

    /// The high watermark that this ticket waits for.
    pub fn end_offset(&self) -> u64 {
        self.end_offset
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ticket({} up to {})", self.partition.id(), self.end_offset)
    }
}
