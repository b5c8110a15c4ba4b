//! DescribeTransactions and ListTransactions: what the coordinator knows, for those who may know it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::describe_transactions_request::DescribeTransactionsRequest;
use fleuve_wire::messages::describe_transactions_response::{
    DescribeTransactionsResponse, TopicData, TransactionState as Described,
};
use fleuve_wire::messages::list_transactions_request::ListTransactionsRequest;
use fleuve_wire::messages::list_transactions_response::{ListTransactionsResponse, TransactionState as Listed};
use regex::{Regex, RegexBuilder};

use super::coordinator::Entry;
use super::transaction::{State, Transaction};
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::session::Session;

/// Bytes that a pattern of transactional ids may compile to.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// States that Kafka has and clients may filter by, but no transaction here is ever in.
const STATES_NEVER: [&str; 2] = ["Dead", "PrepareEpochFence"];

impl Broker {
    pub(crate) fn describe_transactions(
        &self,
        session: &Session,
        request: DescribeTransactionsRequest,
    ) -> DescribeTransactionsResponse {
        let ids = request.transactional_ids.into_iter();
        let transaction_states = ids.map(|id| self.describe_transaction(session, id)).collect();
        DescribeTransactionsResponse { transaction_states, ..Default::default() }
    }

    fn describe_transaction(&self, session: &Session, transactional_id: String) -> Described {
        let refused = |transactional_id, code: ErrorCode| Described {
            error_code: code.0,
            transactional_id,
            transaction_start_time_ms: -1,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        if !self.allows(session, Operation::Describe, Resource::TransactionalId(&transactional_id)) {
            return refused(transactional_id, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        }
        let Some(entry) = self.transactions.find(&transactional_id) else {
            return refused(transactional_id, ErrorCode::TRANSACTIONAL_ID_NOT_FOUND);
        };
        let transaction = entry.slot.lock().transaction.clone();
        Described {
            topics: self.topics_of(session, &transaction),
            transactional_id,
            transaction_state: transaction.state.name().to_owned(),
            transaction_timeout_ms: transaction.timeout_ms,
            transaction_start_time_ms: transaction.start_ms,
            producer_id: transaction.producer.id,
            producer_epoch: transaction.producer.epoch,
            ..Default::default()
        }
    }

    /// What the transaction writes to, without the topics that the session may not know of.
    fn topics_of(&self, session: &Session, transaction: &Transaction) -> Vec<TopicData> {
        let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for at in &transaction.partitions {
            if let Ok(topic) = self.log.topic_by_id(at.topic_id)
                && self.allows(session, Operation::Describe, Resource::Topic(topic.name()))
            {
                topics.entry(topic.name().to_owned()).or_default().push(at.partition as i32);
            }
        }
        topics.into_iter().map(|(topic, partitions)| TopicData { topic, partitions }).collect()
    }

    pub(crate) fn list_transactions(
        &self,
        session: &Session,
        request: &ListTransactionsRequest,
    ) -> ListTransactionsResponse {
        let pattern = match request.transactional_id_pattern.as_deref().map(compile).transpose() {
            Ok(pattern) => pattern,
            Err(error_code) => return ListTransactionsResponse { error_code: error_code.0, ..Default::default() },
        };
        let filter = Filter { request, pattern, now_ms: self.env.clock.now_ms() };
        let allowed = |id: &str| self.allows(session, Operation::Describe, Resource::TransactionalId(id));
        let entries = self.transactions.all();
        let entries = entries.iter().filter(|entry| allowed(&entry.id));
        let is_unknown = |name: &&String| state(name).is_none() && !STATES_NEVER.contains(&name.as_str());
        ListTransactionsResponse {
            unknown_state_filters: request.state_filters.iter().filter(is_unknown).cloned().collect(),
            transaction_states: entries.filter_map(|entry| filter.listed(entry)).collect(),
            ..Default::default()
        }
    }
}

fn state(name: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.name() == name)
}

/// The pattern must match a whole id.
fn compile(pattern: &str) -> Result<Regex, ErrorCode> {
    let whole = format!("^(?:{pattern})$");
    let compiled = RegexBuilder::new(&whole).size_limit(PATTERN_BYTES_MAX).build();
    compiled.map_err(|_| ErrorCode::INVALID_REGULAR_EXPRESSION)
}

/// What is asked for.
struct Filter<'a> {
    request: &'a ListTransactionsRequest,
    pattern: Option<Regex>,
    now_ms: i64,
}

impl Filter<'_> {
    fn listed(&self, entry: &Arc<Entry>) -> Option<Listed> {
        let slot = entry.slot.lock();
        let transaction = &slot.transaction;
        self.takes(&entry.id, transaction).then(|| Listed {
            transactional_id: entry.id.clone(),
            producer_id: transaction.producer.id,
            transaction_state: transaction.state.name().to_owned(),
        })
    }

    fn takes(&self, id: &str, transaction: &Transaction) -> bool {
        let ListTransactionsRequest { state_filters, producer_id_filters, duration_filter, .. } = self.request;
        let age_ms = self.now_ms.saturating_sub(transaction.start_ms);
        let open_for_long = transaction.start_ms >= 0 && age_ms > *duration_filter;
        (state_filters.is_empty() || state_filters.iter().any(|name| name == transaction.state.name()))
            && (producer_id_filters.is_empty() || producer_id_filters.contains(&transaction.producer.id))
            && (*duration_filter < 0 || open_for_long)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
    }
}
