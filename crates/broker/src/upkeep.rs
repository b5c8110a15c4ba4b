//! What has to be done now and then: old records go, compacted topics are compacted.
//!
//! A timer says when. The work itself may take long, so the owner can say where it is done; without that it is done on
//! the timers' thread.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use fleuve_base::Result;

use crate::broker::Broker;

/// Work that may take seconds.
pub type LongJob = Box<dyn FnOnce() + Send>;

/// Where long work is done.
#[derive(Default)]
pub(crate) struct LongJobs {
    run: OnceLock<Box<dyn Fn(LongJob) + Send + Sync>>,
}

impl Broker {
    /// Has work that may take long, such as compaction, done by `run`, which should hand it to a thread that nobody waits
    /// for. The first call counts.
    pub fn run_long_jobs_with(&self, run: impl Fn(LongJob) + Send + Sync + 'static) {
        // A second owner has no say.
        let _ = self.long_jobs.run.set(Box::new(run));
    }
}

/// Has upkeep done from time to time, for as long as the broker is there.
pub(crate) fn schedule(broker: &Arc<Broker>) {
    let interval = Duration::from_millis(broker.config.retention_check_interval_ms.max(1));
    let at = broker.env.clock.monotonic() + interval;
    let broker_then: Weak<Broker> = Arc::downgrade(broker);
    broker.timers.schedule(at, Box::new(move || begin(broker_then)));
}

fn begin(broker: Weak<Broker>) {
    let Some(strong) = broker.upgrade() else { return };
    let job: LongJob = Box::new(move || run(&broker));
    match strong.long_jobs.run.get() {
        Some(run) => run(job),
        None => job(),
    }
}

/// The next run is scheduled when this one is over, so that there is never more than one.
fn run(broker: &Weak<Broker>) {
    let Some(broker) = broker.upgrade() else { return };
    match keep_up(&broker) {
        Ok(()) => {}
        // The log is closed when the broker is about to stop.
        Err(error) if error.code() == "E711" => return,
        Err(error) => tracing::error!(%error, "old records could not be removed"),
    }
    schedule(&broker);
}

fn keep_up(broker: &Broker) -> Result<()> {
    let removed = broker.log.apply_retention()?;
    if removed.segments > 0 {
        let (segments, bytes) = (removed.segments, removed.bytes);
        tracing::info!(segments, bytes, "removed what retention no longer keeps");
    }
    let compacted = broker.log.apply_compaction()?;
    if compacted.partitions > 0 {
        let (partitions, before, after) = (compacted.partitions, compacted.bytes_before, compacted.bytes_after);
        tracing::info!(partitions, before, after, "compacted topics, in bytes before and after");
    }
    Ok(())
}
