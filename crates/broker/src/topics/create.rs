//! CreateTopics, and topics that are created because somebody asked for them.

use std::collections::HashMap;
use std::sync::Arc;

use fleuve_journal::{PARTITIONS_MAX, Topic, TopicConfig, check_topic_name};
use fleuve_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use fleuve_wire::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use fleuve_wire::{ErrorCode, Uuid};

use super::{TopicKey, is_hidden};
use crate::broker::Broker;
use crate::cluster::NODE_ID;
use crate::configs::{self, Settings};
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;

/// A topic to be created, all checks passed.
struct Plan {
    partitions: u32,
    settings: Settings,
    config: TopicConfig,
}

impl Broker {
    pub(crate) fn create_topics(&self, session: &Session, request: &CreateTopicsRequest) -> CreateTopicsResponse {
        let mut times: HashMap<&str, usize> = HashMap::new();
        request.topics.iter().for_each(|topic| *times.entry(&topic.name).or_default() += 1);
        let mut topics: Vec<CreatableTopicResult> = vec![];
        for topic in &request.topics {
            let repeated = times.get(topic.name.as_str()).is_some_and(|times| *times > 1);
            if repeated && topics.iter().any(|result| result.name == topic.name) {
                continue;
            }
            let created = match repeated {
                true => Err(Failure::new(ErrorCode::INVALID_REQUEST, "Duplicate topic name.")),
                false => self.create_asked(session, topic, request.validate_only),
            };
            topics.push(created.unwrap_or_else(|failure| refused(&topic.name, failure)));
        }
        CreateTopicsResponse { topics, ..Default::default() }
    }

    fn create_asked(
        &self,
        session: &Session,
        asked: &CreatableTopic,
        validate_only: bool,
    ) -> Outcome<CreatableTopicResult> {
        if !self.may_create(session, &asked.name) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        self.check_new_name(&asked.name)?;
        let plan = Plan::new(self, asked)?;
        let mut result = self.describe_created(session, &asked.name, &plan);
        if !validate_only {
            let topic = self.log.create_topic_with(&asked.name, plan.partitions, plan.config, plan.settings)?;
            result.topic_id = Uuid::from_u128(topic.id());
            self.groups.topics_changed();
        }
        Ok(result)
    }

    fn may_create(&self, session: &Session, name: &str) -> bool {
        self.allows(session, Operation::Create, Resource::Cluster)
            || self.allows(session, Operation::Create, Resource::Topic(name))
    }

    fn check_new_name(&self, name: &str) -> Outcome<()> {
        let invalid = |message| Err(Failure::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
        if let Err(error) = check_topic_name(name) {
            return invalid(error.message().to_owned());
        }
        if is_hidden(name) {
            return invalid(format!("The name {name} is reserved."));
        }
        if self.log.topic(name).is_ok() {
            return Err(Failure::new(ErrorCode::TOPIC_ALREADY_EXISTS, format!("Topic '{name}' already exists.")));
        }
        match self.colliding(name) {
            Some(other) => invalid(format!("Topic '{name}' collides with existing topics: {other}")),
            None => Ok(()),
        }
    }

    /// A topic whose name differs only in periods and underscores: in the names of metrics they are the same.
    fn colliding(&self, name: &str) -> Option<String> {
        let plain = |name: &str| name.replace('.', "_");
        let (wanted, may_collide) = (plain(name), name.contains(['.', '_']));
        let topics = may_collide.then(|| self.log.topics()).into_iter().flatten();
        topics.map(|topic| topic.name().to_owned()).find(|other| plain(other) == wanted)
    }

    fn describe_created(&self, session: &Session, name: &str, plan: &Plan) -> CreatableTopicResult {
        let mut result = CreatableTopicResult { name: name.to_owned(), ..Default::default() };
        if !self.allows(session, Operation::DescribeConfigs, Resource::Topic(name)) {
            result.topic_config_error_code = ErrorCode::TOPIC_AUTHORIZATION_FAILED.0;
            return result;
        }
        let config = |entry: configs::Entry| CreatableTopicConfigs {
            name: entry.name.to_owned(),
            value: Some(entry.value),
            read_only: false,
            config_source: entry.source as i8,
            is_sensitive: false,
        };
        result.num_partitions = plan.partitions as i32;
        result.replication_factor = 1;
        result.configs = Some(configs::entries(&self.config, &plan.settings).map(config).collect());
        result
    }

    /// Creates a topic that does not exist, because a client asked for its metadata.
    pub(crate) fn auto_create(&self, session: &Session, name: &str) -> Result<Arc<Topic>, ErrorCode> {
        if !self.may_create(session, name) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        self.check_new_name(name).map_err(|failure| failure.code)?;
        let asked =
            CreatableTopic { name: name.to_owned(), num_partitions: -1, replication_factor: -1, ..Default::default() };
        let plan = Plan::new(self, &asked).map_err(|failure| failure.code)?;
        match self.log.create_topic_with(name, plan.partitions, plan.config, plan.settings) {
            // Somebody else was faster.
            Err(error) if error.code() == "E704" => self.topic(TopicKey::Name(name)),
            created => created.map_err(|error| Failure::from(error).code),
        }
    }
}

impl Plan {
    fn new(broker: &Broker, asked: &CreatableTopic) -> Outcome<Plan> {
        let partitions = match asked.assignments.is_empty() {
            true => partitions(broker, asked)?,
            false => assigned_partitions(asked)?,
        };
        let settings = settings(asked)?;
        let config = configs::topic_config(&broker.config, &settings)?;
        Ok(Plan { partitions, settings, config })
    }
}

fn partitions(broker: &Broker, asked: &CreatableTopic) -> Outcome<u32> {
    match asked.replication_factor {
        -1 | 1 => {}
        2.. => {
            let factor = asked.replication_factor;
            return Err(Failure::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be \
                     reached because only 1 broker(s) are registered."
                ),
            ));
        }
        _ => {
            let message = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Failure::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
        }
    }
    match asked.num_partitions {
        -1 => Ok(broker.config.default_partitions),
        count => check_partition_count(count),
    }
}

/// A number of partitions that a topic can have.
pub(super) fn check_partition_count(count: i32) -> Outcome<u32> {
    match u32::try_from(count) {
        Ok(count @ 1..=PARTITIONS_MAX) => Ok(count),
        Ok(1..) => Err(Failure::new(
            ErrorCode::INVALID_PARTITIONS,
            format!("A topic has at most {PARTITIONS_MAX} partitions."),
        )),
        _ => {
            let message = "Number of partitions must be larger than 0, or -1 to use the default value.";
            Err(Failure::new(ErrorCode::INVALID_PARTITIONS, message))
        }
    }
}

/// The number of partitions of a manual assignment, which can only name this broker.
fn assigned_partitions(asked: &CreatableTopic) -> Outcome<u32> {
    for (field, value) in
        [("replicationFactor", i32::from(asked.replication_factor)), ("numPartitions", asked.num_partitions)]
    {
        if value != -1 {
            let message = format!("A manual partition assignment was specified, but {field} was not set to -1.");
            return Err(Failure::new(ErrorCode::INVALID_REQUEST, message));
        }
    }
    let mut numbers: Vec<i32> = asked.assignments.iter().map(|assignment| assignment.partition_index).collect();
    numbers.sort_unstable();
    if !numbers.iter().copied().eq((0..).take(numbers.len())) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(Failure::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    asked.assignments.iter().try_for_each(|assignment| check_assignment(&assignment.broker_ids))?;
    check_partition_count(i32::try_from(numbers.len()).unwrap_or(i32::MAX))
}

/// The replicas of a partition: this broker, and no other.
pub(super) fn check_assignment(brokers: &[i32]) -> Outcome<()> {
    let message = match brokers {
        [NODE_ID] => return Ok(()),
        [] => "The manual partition assignment includes an empty replica list.".to_owned(),
        _ => match brokers.iter().find(|id| **id != NODE_ID) {
            Some(id) => {
                format!("The manual partition assignment includes broker {id}, but no such broker is registered.")
            }
            None => format!("The manual partition assignment includes the broker {NODE_ID} more than once."),
        },
    };
    Err(Failure::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message))
}

fn settings(asked: &CreatableTopic) -> Outcome<Settings> {
    let mut settings = Settings::new();
    for config in &asked.configs {
        let Some(value) = &config.value else {
            let message = format!("Null value not supported for topic configs: {}", config.name);
            return Err(Failure::new(ErrorCode::INVALID_CONFIG, message));
        };
        configs::check(&config.name, value)?;
        settings.insert(config.name.clone(), value.clone());
    }
    Ok(settings)
}

fn refused(name: &str, failure: Failure) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.to_owned(),
        error_code: failure.code.0,
        error_message: failure.message.or_else(|| Some(failure.code.name().to_owned())),
        configs: Some(vec![]),
        ..Default::default()
    }
}
