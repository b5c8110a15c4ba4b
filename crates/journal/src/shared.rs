//! What all partitions of a log have in common: the environment, the log's health, the committer's queue.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fleuve_base::{Env, Error, Histogram, Result};

use crate::codes;
use crate::commit::Committer;

/// Whether records may still be appended.
#[derive(Default)]
pub(crate) struct Health {
    failure: OnceLock<Error>,
    closed: AtomicBool,
    /// Whether the last write found no room.
    full: AtomicBool,
    /// When it was last told that the disk is full, in seconds of the monotonic clock; 0 before that.
    full_told_s: AtomicU64,
}

/// While some writes find room and others do not, that is told once in so many seconds.
const FULL_TOLD_EVERY_S: u64 = 10;

impl Health {
    /// An error once the log is poisoned or closed.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_failure()?;
        if self.closed.load(Ordering::Acquire) { Err(codes::closed()) } else { Ok(()) }
    }

    /// An error once the log is poisoned. Closing is none to those who wait: it commits what they wait for.
    pub(crate) fn check_failure(&self) -> Result<()> {
        self.failure.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// After a failed write or sync nothing that follows can be trusted to become durable, not even after a
    /// retry that succeeds: the kernel may have thrown the data away. The first failure is the one to tell.
    pub(crate) fn poison(&self, cause: &Error) -> Error {
        if self.failure.set(codes::poisoned(cause)).is_ok() {
            tracing::error!(%cause, "the log stops accepting records");
        }
        self.failure.get().cloned().unwrap_or_else(|| codes::poisoned(cause))
    }

    /// What has failed has had no effect, or it was undone, and no sync was part of it: a full disk is told, and nothing
    /// more; everything else poisons.
    pub(crate) fn refuse(&self, cause: Error, now: Duration) -> Error {
        if !cause.is_no_space() {
            return self.poison(&cause);
        }
        if !self.full.swap(true, Ordering::AcqRel) && self.may_tell(now) {
            tracing::warn!(%cause, "the disk is full: records are refused until there is room");
        }
        cause
    }

    fn may_tell(&self, now: Duration) -> bool {
        let (now_s, told_s) = (now.as_secs().max(1), self.full_told_s.load(Ordering::Relaxed));
        let may = told_s == 0 || now_s >= told_s + FULL_TOLD_EVERY_S;
        if may {
            self.full_told_s.store(now_s, Ordering::Relaxed);
        }
        may
    }

    /// Something was written.
    pub(crate) fn has_room(&self) {
        if self.is_full() {
            self.full.store(false, Ordering::Release);
            tracing::info!("there is room on the disk: records are accepted");
        }
    }

    /// Whether the last write found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// `false` if it was closed before.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

/// Shared by a log and its partitions.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) health: Health,
    pub(crate) committer: Committer,
    /// How long syncs of segments took.
    pub(crate) syncs: Histogram,
    opened_ms: i64,
    opened: Duration,
}

impl Shared {
    pub(crate) fn new(env: Env, committer: Committer) -> Self {
        let (opened_ms, opened) = (env.clock.now_ms(), env.clock.monotonic());
        Shared { env, health: Health::default(), committer, syncs: Histogram::default(), opened_ms, opened }
    }

    /// What became of an action that failed without a trace: see [`Health::refuse`].
    pub(crate) fn refuse(&self, cause: Error) -> Error {
        self.health.refuse(cause, self.env.clock.monotonic())
    }

    /// The log's own time: the wall clock at its opening plus what has passed since. A wall clock that jumps
    /// while the log is open makes nothing expire.
    pub(crate) fn now_ms(&self) -> i64 {
        let passed = self.env.clock.monotonic().saturating_sub(self.opened);
        self.opened_ms.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
    }
}
