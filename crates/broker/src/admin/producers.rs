//! DescribeProducers: who has written to a partition lately, and whose transaction holds its readers up.

use fleuve_journal::ProducerState;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::describe_producers_request::DescribeProducersRequest;
use fleuve_wire::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState as Described, TopicResponse,
};

use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, partition};

impl Broker {
    pub(crate) fn describe_producers(
        &self,
        session: &Session,
        request: &DescribeProducersRequest,
    ) -> DescribeProducersResponse {
        let topics = request.topics.iter().map(|asked| {
            let partitions = asked.partition_indexes.iter().map(|number| {
                let (code, active_producers) = match self.active_producers(session, &asked.name, *number) {
                    Ok(producers) => (ErrorCode::NONE, producers),
                    Err(code) => (code, vec![]),
                };
                PartitionResponse {
                    partition_index: *number,
                    error_code: code.0,
                    active_producers,
                    ..Default::default()
                }
            });
            TopicResponse { name: asked.name.clone(), partitions: partitions.collect() }
        });
        DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
    }

    fn active_producers(&self, session: &Session, topic: &str, number: i32) -> Result<Vec<Described>, ErrorCode> {
        if !self.allows(session, Operation::Read, Resource::Topic(topic)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        let topic = self.topic(TopicKey::Name(topic))?;
        Ok(partition(&topic, number)?.producers().iter().map(describe).collect())
    }
}

fn describe(producer: &ProducerState) -> Described {
    Described {
        producer_id: producer.producer_id,
        producer_epoch: i32::from(producer.epoch),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_append_ms,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset as i64),
    }
}
