//! The answer to one produce request: complete when each of its batches is durable or refused.

use std::sync::Arc;

use fleuve_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use parking_lot::Mutex;

use crate::broker::Responder;
use crate::failure::Failure;

/// Where a partition stands in the response: topic, and partition in it.
pub(super) type Place = (usize, usize);

/// Collects the outcomes.
pub(super) struct Answer(Mutex<Option<Open>>);

struct Open {
    response: ProduceResponse,
    /// Outcomes that are missing, and one more until all batches were handed to the log.
    left: usize,
    respond: Responder,
}

impl Answer {
    /// An answer that waits for that many outcomes.
    pub(super) fn new(response: ProduceResponse, outcomes: usize, respond: Responder) -> Arc<Self> {
        Arc::new(Answer(Mutex::new(Some(Open { response, left: outcomes + 1, respond }))))
    }

    /// Notes that a batch was not stored.
    pub(super) fn refuse(&self, place: Place, failure: Failure) {
        self.fill(place, |response| refuse(response, failure));
    }

    /// Notes an outcome.
    pub(super) fn fill(&self, (topic, partition): Place, note: impl FnOnce(&mut PartitionProduceResponse)) {
        self.count(|response| note(&mut response.responses[topic].partition_responses[partition]));
    }

    /// All batches are on their way.
    pub(super) fn all_begun(&self) {
        self.count(|_| {});
    }

    fn count(&self, note: impl FnOnce(&mut ProduceResponse)) {
        let mut slot = self.0.lock();
        let open = slot.as_mut().expect("an answer is given with its last outcome");
        note(&mut open.response);
        open.left -= 1;
        if open.left > 0 {
            return;
        }
        let done = slot.take();
        drop(slot);
        if let Some(Open { response, respond, .. }) = done {
            respond(response.into());
        }
    }
}

/// Makes the response tell a failure.
pub(super) fn refuse(response: &mut PartitionProduceResponse, failure: Failure) {
    response.error_code = failure.code.0;
    response.error_message = failure.message;
}
