//! Quotas of produce, fetch and time: what a request used is charged to its user and client, and the answer says how long
//! the connection is left alone.

use std::sync::Arc;
use std::time::Duration;

use fleuve_broker::Broker;
use fleuve_broker::security::QuotaKey;
use fleuve_wire::Response;

/// Who pays for a request, and what is known of its cost before it is answered.
pub(crate) struct Bill {
    pub(crate) broker: Arc<Broker>,
    pub(crate) user: Arc<str>,
    pub(crate) client_id: String,
    /// Bytes of the request.
    pub(crate) bytes: usize,
}

impl Bill {
    /// Charges for what was produced or fetched; writes the pause into the answer, and gives it.
    pub(crate) fn settle(&self, response: &mut Response) -> Duration {
        let (key, bytes, throttle_ms) = match response {
            Response::Produce(produce) => (QuotaKey::ProducerByteRate, self.bytes, &mut produce.throttle_time_ms),
            Response::Fetch(fetch) => {
                let partitions = fetch.responses.iter().flat_map(|topic| &topic.partitions);
                let records = partitions.filter_map(|partition| partition.records.as_ref());
                (QuotaKey::ConsumerByteRate, records.map(|records| records.len()).sum(), &mut fetch.throttle_time_ms)
            }
            _ => return Duration::ZERO,
        };
        let now = self.broker.env().clock.monotonic();
        let quotas = self.broker.security().quotas();
        let pause = quotas.charge(key, &self.user, &self.client_id, bytes as f64, now);
        *throttle_ms = i32::try_from(pause.as_millis()).unwrap_or(i32::MAX);
        pause
    }
}

/// Charges for the time that handling took, which is not the time that an answer waited; gives the pause.
pub(crate) fn charge_time(broker: &Broker, user: &str, client_id: Option<&str>, took: Duration) -> Duration {
    let now = broker.env().clock.monotonic();
    broker.security().quotas().charge_time(user, client_id.unwrap_or_default(), took, now)
}
