//! Quotas of produce, fetch and time: what a request used is charged to its user and client, and the answer says how long
//! the connection is left alone.

use std::sync::Arc;
use std::time::Duration;

use fleuve_broker::Broker;
use fleuve_broker::security::QuotaKey;
use fleuve_wire::Response;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Who pays for a request, and what is known of its cost before it is answered.
pub(crate) struct Bill {
    pub(crate) broker: Arc<Broker>,
    pub(crate) user: Arc<str>,
    pub(crate) client_id: String,
    /// Bytes of the request.
    pub(crate) bytes: usize,
    /// When the request had arrived.
    pub(crate) arrived: Instant,
    /// The pause for the time that handling took, once that is charged.
    pub(crate) time: Mutex<Option<Duration>>,
}

impl Bill {
    /// Charges for what was produced or fetched; gives the pause for that. The answer is told the longest pause of all.
    pub(crate) fn settle(&self, response: &mut Response) -> Duration {
        let pause = self.charge_bytes(response);
        let longest = pause.max(self.charge_time());
        if let Some(throttle_ms) = response.throttle_time_ms_mut().filter(|_| !longest.is_zero()) {
            *throttle_ms = i32::try_from(longest.as_millis()).unwrap_or(i32::MAX);
        }
        pause
    }

    fn charge_bytes(&self, response: &Response) -> Duration {
        let (key, bytes) = match response {
            Response::Produce(_) => (QuotaKey::ProducerByteRate, self.bytes),
            Response::Fetch(fetch) => {
                let partitions = fetch.responses.iter().flat_map(|topic| &topic.partitions);
                let records = partitions.filter_map(|partition| partition.records.as_ref());
                (QuotaKey::ConsumerByteRate, records.map(|records| records.len()).sum())
            }
            _ => return Duration::ZERO,
        };
        let now = self.broker.env().clock.monotonic();
        self.broker.security().quotas().charge(key, &self.user, &self.client_id, bytes as f64, now)
    }

    /// Charges, once, for the time that handling took, which is not the time that an answer waited: up to the answer if
    /// there is one at once, else up to the end of handling. Gives the pause.
    pub(crate) fn charge_time(&self) -> Duration {
        *self.time.lock().get_or_insert_with(|| {
            let now = self.broker.env().clock.monotonic();
            self.broker.security().quotas().charge_time(&self.user, &self.client_id, self.arrived.elapsed(), now)
        })
    }
}
