//! Producer ids: given once and never again, from blocks that are reserved durably.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::init_producer_id_response::InitProducerIdResponse;
use fleuve_wire::{ErrorCode, Response};
use parking_lot::{Mutex, MutexGuard};

use crate::broker::{Broker, Responder};
use crate::failure::error_code;
use crate::security::{Operation, Resource, ResourceType};
use crate::session::Session;
use crate::state_topic::StateTopic;

/// The key in the cluster's topic under which the first id lies that no block holds yet.
pub(crate) const NEXT_BLOCK_KEY: &[u8] = b"\x00next_producer_id";

/// Ids that are reserved at once, as in Kafka. What is left of a block is lost with a restart.
const BLOCK_IDS: i64 = 1000;

/// Requests that may wait for a block.
const WAITING_MAX: usize = 100_000;

/// Takes a producer id, or why there is none.
pub(crate) type OnProducerId = Box<dyn FnOnce(Result<i64>) + Send>;

/// Gives out producer ids.
pub(crate) struct ProducerIds {
    topic: Arc<StateTopic>,
    state: Mutex<State>,
}

struct State {
    /// Durably reserved, and not given to anybody yet.
    free: Range<i64>,
    next_block: i64,
    reserving: bool,
    waiting: VecDeque<OnProducerId>,
}

impl ProducerIds {
    /// `next_block` is the first id that no block holds yet.
    pub(crate) fn new(topic: Arc<StateTopic>, next_block: i64) -> Arc<Self> {
        let state = State { free: 0..0, next_block, reserving: false, waiting: VecDeque::new() };
        Arc::new(ProducerIds { topic, state: Mutex::new(state) })
    }

    /// Calls `then` with an id that nobody has got before; at once, or when a new block is durable.
    pub(crate) fn next(self: &Arc<Self>, then: OnProducerId) {
        let mut state = self.state.lock();
        if let Some(id) = state.free.next() {
            drop(state);
            return then(Ok(id));
        }
        if state.waiting.len() >= WAITING_MAX {
            drop(state);
            return then(Err(Error::new(ErrorKind::Limit, "E710", "too many producers want an id at once")));
        }
        state.waiting.push_back(then);
        if !state.reserving {
            self.reserve(state);
        }
    }

    /// Makes the next block durable; the lock is given back before.
    fn reserve(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.reserving = true;
        let block = state.next_block..state.next_block + BLOCK_IDS;
        drop(state);
        let entry = (Bytes::from_static(NEXT_BLOCK_KEY), Some(Bytes::copy_from_slice(&block.end.to_le_bytes())));
        let ids = Arc::clone(self);
        self.topic.append(&[entry], Box::new(move |outcome| ids.reserved(outcome.map(|()| block))));
    }

    /// Serves those who waited, and reserves again if they were more than a block holds.
    fn reserved(self: &Arc<Self>, block: Result<Range<i64>>) {
        let mut state = self.state.lock();
        state.reserving = false;
        let waiting = state.waiting.len();
        let served = match &block {
            Ok(block) => {
                (state.next_block, state.free) = (block.end, block.clone());
                waiting.min(BLOCK_IDS as usize)
            }
            Err(_) => waiting,
        };
        let answers: Vec<_> = state.waiting.drain(..served).collect();
        let ids = answers.iter().map(|_| state.free.next()).collect::<Vec<_>>();
        if state.waiting.is_empty() {
            drop(state)
        } else {
            self.reserve(state)
        }
        for (then, id) in answers.into_iter().zip(ids) {
            // A failed reservation has left nothing free.
            then(block.as_ref().map_err(Error::clone).map(|_| id.expect("a block holds an id for each")));
        }
    }
}

impl Broker {
    pub(crate) fn init_producer_id(
        &self,
        session: &Session,
        version: i16,
        request: &InitProducerIdRequest,
        respond: Responder,
    ) {
        match &request.transactional_id {
            None => self.init_idempotent_producer(session, respond),
            Some(id) => self.init_transactional_producer(session, version, id, request, respond),
        }
    }

    /// A producer id for idempotent writes, with epoch 0.
    fn init_idempotent_producer(&self, session: &Session, respond: Responder) {
        // Who may write to some topic may do so idempotently (KIP-679).
        let writes = || self.authorizer.authorize_any(session, Operation::Write, ResourceType::Topic);
        if !self.allows(session, Operation::IdempotentWrite, Resource::Cluster) && !writes() {
            return respond(refused(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
        }
        let then: OnProducerId = Box::new(move |id| {
            respond(match id {
                Ok(producer_id) => {
                    InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }.into()
                }
                // The client asks again for a limit that others' requests have filled for a moment, and on a full disk.
                Err(error) if error.code() == "E710" || error.is_no_space() => {
                    refused(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
                }
                Err(error) => refused(error_code(&error)),
            });
        });
        self.producer_ids.next(then);
    }
}

fn refused(code: ErrorCode) -> Response {
    InitProducerIdResponse { error_code: code.0, producer_id: -1, producer_epoch: -1, ..Default::default() }.into()
}
