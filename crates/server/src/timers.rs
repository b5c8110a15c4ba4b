//! Drives the broker's timers: sleeps until the next one is due, or until an earlier one comes in.

use std::sync::Arc;

use fleuve_broker::Broker;
use tokio::sync::Notify;
use tokio::time;

/// Runs what is due, for ever.
pub(crate) async fn drive(broker: Arc<Broker>) {
    let earlier = Arc::new(Notify::new());
    let alarm = Arc::clone(&earlier);
    broker.run_long_jobs_with(|job| drop(tokio::task::spawn_blocking(job)));
    broker.timers().on_earlier(move |_| alarm.notify_one());
    loop {
        let now = broker.env().clock.monotonic();
        match broker.timers().run_due(now) {
            None => earlier.notified().await,
            Some(next) => {
                // An alarm that came in since is stored, so nothing is slept through.
                let _ = time::timeout(next.saturating_sub(now), earlier.notified()).await;
            }
        }
    }
}
