//! What has to be done now and then: old records go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::broker::Broker;

/// Has old records removed from time to time, for as long as the broker is there.
pub(crate) fn schedule(broker: &Arc<Broker>) {
    let interval = Duration::from_millis(broker.config.retention_check_interval_ms.max(1));
    let at = broker.env.clock.monotonic() + interval;
    let broker_then: Weak<Broker> = Arc::downgrade(broker);
    broker.timers.schedule(at, Box::new(move || run(&broker_then)));
}

fn run(broker: &Weak<Broker>) {
    let Some(broker) = broker.upgrade() else { return };
    match broker.log.apply_retention() {
        Ok(report) if report.segments > 0 => {
            tracing::info!(segments = report.segments, bytes = report.bytes, "removed what retention no longer keeps");
        }
        Ok(_) => {}
        // The log is closed when the broker is about to stop.
        Err(error) if error.code() == "E711" => return,
        Err(error) => tracing::error!(%error, "old records could not be removed"),
    }
    schedule(&broker);
}
