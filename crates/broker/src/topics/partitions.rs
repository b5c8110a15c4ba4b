//! CreatePartitions: a topic gets more of them. They never become fewer.

use fleuve_journal::Topic;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use fleuve_wire::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};

use super::create::{check_assignment, check_partition_count};
use super::{TopicKey, is_internal};
use crate::broker::Broker;
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;

impl Broker {
    pub(crate) fn create_partitions(
        &self,
        session: &Session,
        request: &CreatePartitionsRequest,
    ) -> CreatePartitionsResponse {
        let results = request.topics.iter().map(|asked| {
            let repeated = request.topics.iter().filter(|other| other.name == asked.name).count() > 1;
            let created = match repeated {
                true => Err(Failure::new(ErrorCode::INVALID_REQUEST, "Duplicate topic name.")),
                false => self.extend_topic(session, asked, request.validate_only),
            };
            let (code, message) =
                created.err().map_or((ErrorCode::NONE, None), |failure| (failure.code, failure.message));
            CreatePartitionsTopicResult { name: asked.name.clone(), error_code: code.0, error_message: message }
        });
        CreatePartitionsResponse { results: results.collect(), ..Default::default() }
    }

    fn extend_topic(&self, session: &Session, asked: &CreatePartitionsTopic, validate_only: bool) -> Outcome<()> {
        if !self.allows(session, Operation::Alter, Resource::Topic(&asked.name)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        let _one_at_a_time = self.altering.lock();
        let topic = self.topic(TopicKey::Name(&asked.name))?;
        if is_internal(&asked.name) {
            let message = format!("The topic {} is internal.", asked.name);
            return Err(Failure::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
        }
        let total = new_total(&topic, asked)?;
        if !validate_only {
            self.log.add_partitions(&asked.name, total)?;
        }
        Ok(())
    }
}

/// The number of partitions, if it can be had.
fn new_total(topic: &Topic, asked: &CreatePartitionsTopic) -> Outcome<u32> {
    let present = topic.partitions().len();
    let invalid = |message| Err(Failure::new(ErrorCode::INVALID_PARTITIONS, message));
    let added = match usize::try_from(asked.count).unwrap_or(0) {
        count if count < present => {
            return invalid(format!(
                "The topic currently has {present} partitions, which is higher than the requested {}.",
                asked.count
            ));
        }
        count if count == present => return invalid(format!("Topic already has {present} partition(s).")),
        count => count - present,
    };
    let total = check_partition_count(asked.count)?;
    if let Some(assignments) = &asked.assignments {
        if assignments.len() != added {
            let message = format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(Failure::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        }
        assignments.iter().try_for_each(|assignment| check_assignment(&assignment.broker_ids))?;
    }
    Ok(total)
}
