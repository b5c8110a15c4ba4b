//! Group commit: one sync makes the records of many appends durable, and tells all who wait.
//!
//! Appends only write, and put their partition into a queue unless it is there. A commit takes a partition out, syncs
//! its file once, writes down how far it is durable (`checkpoint`), moves its high watermark and completes its
//! tickets, in this order (crash points C1 to C3). What is appended meanwhile is for its next commit. A few threads
//! take partitions in turn: a file system merges syncs that wait at the same time, and no partition waits for others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use fleuve_base::{Error, Result};
use parking_lot::{Condvar, Mutex};

use crate::options::CommitMode;
use crate::partition::Partition;
use crate::shared::Shared;

/// Called once with the outcome of an append.
pub type OnDurable = Box<dyn FnOnce(Result<()>) + Send>;

/// Threads that commit; the syncs that may be in flight.
const COMMIT_THREADS: usize = 4;

/// On file systems that write nothing in place even the checkpoint may find no room; it is tried again after this.
const FULL_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// The queue of partitions to sync.
pub(crate) struct Committer {
    mode: CommitMode,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    dirty: VecDeque<Arc<Partition>>,
    /// Partitions that were taken out and are not committed yet.
    committing: Vec<Arc<Partition>>,
    stopping: bool,
}

impl Queue {
    fn take(&mut self) -> Option<Arc<Partition>> {
        let partition = self.dirty.pop_front()?;
        self.committing.push(Arc::clone(&partition));
        Some(partition)
    }
}

impl Committer {
    pub(crate) fn new(mode: CommitMode) -> Self {
        Committer { mode, queue: Mutex::default(), changed: Condvar::new() }
    }

    pub(crate) fn mode(&self) -> CommitMode {
        self.mode
    }

    /// Puts a partition into the queue; it must not be there already.
    pub(crate) fn enqueue(&self, partition: Arc<Partition>) {
        self.queue.lock().dirty.push_back(partition);
        self.changed.notify_one();
    }

    /// Commits all that was appended before, with the caller's thread. An error has poisoned the log, or says that the disk
    /// is full.
    pub(crate) fn commit_all(&self, shared: &Shared) -> Result<()> {
        let (underway, taken) = {
            let mut queue = self.queue.lock();
            let underway = queue.committing.clone();
            let taken: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
            (underway, taken)
        };
        let committed = taken.iter().map(|partition| self.commit(shared, partition)).fold(Ok(()), Result::and);
        // Another thread's commit may not cover all; after it there is little or nothing to do.
        let underway = underway.iter().map(|partition| try_commit(shared, partition));
        underway.fold(committed, Result::and).and_then(|()| shared.health.check_failure())
    }

    /// Commits one partition that was taken out of the queue. If the disk is full it comes back, unless that would keep
    /// the log from stopping.
    fn commit(&self, shared: &Shared, partition: &Arc<Partition>) -> Result<()> {
        let committed = try_commit(shared, partition);
        let mut queue = self.queue.lock();
        let place = queue.committing.iter().position(|other| Arc::ptr_eq(other, partition));
        place.into_iter().for_each(|place| drop(queue.committing.swap_remove(place)));
        let again = !queue.stopping && committed.as_ref().is_err_and(Error::is_no_space);
        if again && !partition.dirty.swap(true, Ordering::AcqRel) {
            queue.dirty.push_back(Arc::clone(partition));
        }
        committed
    }

    /// The next partition to commit; `None` once there is none and the log is to stop.
    fn wait_for_work(&self) -> Option<Arc<Partition>> {
        let mut queue = self.queue.lock();
        loop {
            let taken = queue.take();
            if taken.is_some() || queue.stopping {
                return taken;
            }
            self.changed.wait(&mut queue);
        }
    }

    pub(crate) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.changed.notify_all();
    }
}

/// A failure is told to all who wait.
fn try_commit(shared: &Shared, partition: &Partition) -> Result<()> {
    let healthy = shared.health.check_failure();
    let committed = healthy.and_then(|()| partition.commit().map_err(|cause| shared.refuse(cause)));
    if let Err(error) = &committed {
        partition.fail_tickets(error);
    }
    committed
}

/// Starts the log's threads, if it is to have any.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>> {
    if shared.committer.mode == CommitMode::Manual {
        return Ok(Vec::new());
    }
    let start_one = |number| {
        let shared = Arc::clone(shared);
        let run = move || {
            while let Some(partition) = shared.committer.wait_for_work() {
                let committed = shared.committer.commit(&shared, &partition);
                if committed.is_err_and(|error| error.is_no_space()) {
                    std::thread::sleep(FULL_PAUSE);
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("journal-commit-{number}")).spawn(run);
        thread.map_err(|e| Error::io("start the journal's commit threads", &e))
    };
    (0..COMMIT_THREADS).map(start_one).collect()
}

/// Runs `f` on all partitions: with several threads if the log has its own, since each call waits for the disk.
pub(crate) fn for_each(
    mode: CommitMode,
    partitions: &[Arc<Partition>],
    f: impl Fn(&Partition) -> Result<()> + Sync,
) -> Result<()> {
    if mode == CommitMode::Manual {
        return partitions.iter().try_for_each(|partition| f(partition));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || partitions.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take).try_for_each(|partition| f(partition))
    };
    std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().name("journal-close".to_owned()).spawn_scoped(scope, work);
        // A thread that cannot be had is one less.
        let helpers: Vec<_> = (1..COMMIT_THREADS).filter_map(|number| spawn(number).ok()).collect();
        let own = work();
        let joined = helpers.into_iter().map(|helper| {
            helper.join().unwrap_or_else(|_| Err(Error::internal("a thread that closed the journal panicked")))
        });
        joined.fold(own, Result::and)
    })
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
            self.partition.shared.committer.commit_all(&self.partition.shared)?;
        }
        self.partition.wait_durable(self.end_offset)
    }

    /// Whether the append is durable by now.
    pub fn is_durable(&self) -> bool {
        self.partition.high_watermark() >= self.end_offset
    }

    /// Calls `callback` when the append is durable or has failed: at once if that is known, else from the
    /// thread that commits, which it must not block.
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
