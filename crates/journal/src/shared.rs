//! What all partitions of a log have in common: the environment, the log's health, the committer's queue.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleuve_base::{Env, Error, Result};

use crate::codes;
use crate::commit::Committer;

/// Whether records may still be appended.
#[derive(Default)]
pub(crate) struct Health {
    failure: OnceLock<Error>,
    closed: AtomicBool,
}

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
    opened_ms: i64,
    opened: Duration,
}

impl Shared {
    pub(crate) fn new(env: Env, committer: Committer) -> Self {
        let (opened_ms, opened) = (env.clock.now_ms(), env.clock.monotonic());
        Shared { env, health: Health::default(), committer, opened_ms, opened }
    }

    /// The log's own time: the wall clock at its opening plus what has passed since. A wall clock that jumps
    /// while the log is open makes nothing expire.
    pub(crate) fn now_ms(&self) -> i64 {
        let passed = self.env.clock.monotonic().saturating_sub(self.opened);
        self.opened_ms.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
    }
}
