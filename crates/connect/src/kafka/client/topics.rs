//! Topics: what there is, and what is to be.

use std::collections::BTreeMap;

use fleuve_base::{Error, Result};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use fleuve_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use fleuve_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use fleuve_wire::messages::delete_topics_request::DeleteTopicsRequest;
use fleuve_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use fleuve_wire::messages::metadata_response::MetadataResponseTopic;

use super::{Client, answer, check};

/// How long a broker may take to carry something out, in ms.
const TIMEOUT_MS: i32 = 10_000;

/// Kafka's timestamps that stand for the first and the next offset.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id as Kafka writes it; empty if the broker has none.
    pub id: String,
    /// The broker keeps it for itself.
    pub internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its number.
    pub number: i32,
    /// The broker that leads it.
    pub leader: i32,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them that are up to date.
    pub in_sync: Vec<i32>,
}

/// A topic that is to be created.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; the broker's default if `None`.
    pub partitions: Option<i32>,
    /// On how many brokers; the broker's default if `None`.
    pub replicas: Option<i16>,
    /// Its settings.
    pub configs: Vec<(String, String)>,
}

impl Client {
    /// All topics.
    pub fn topics(&mut self) -> Result<Vec<TopicInfo>> {
        let mut topics: Vec<TopicInfo> = self.metadata(None)?.topics.into_iter().map(topic_info).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic.
    ///
    /// # Errors
    /// `E515` if there is none of that name.
    pub fn topic(&mut self, name: &str) -> Result<TopicInfo> {
        let found = self.again(|client| {
            let found = client.metadata(Some(&[name]))?.topics.into_iter().next();
            let found = found.ok_or_else(|| Error::internal("a topic was asked for and not answered"))?;
            let leaderless = found.partitions.iter().map(|p| ErrorCode(p.error_code)).find(|code| code.is_err());
            // That it is not there is an answer, also where Kafka takes it for something that may pass.
            let passing = leaderless.filter(|_| found.error_code == 0).unwrap_or(ErrorCode::NONE);
            Ok((passing, found))
        })?;
        check("Metadata", &format!("topic `{name}`"), found.error_code, None)?;
        Ok(topic_info(found))
    }

    /// Creates a topic.
    pub fn create_topic(&mut self, topic: &NewTopic) -> Result<()> {
        let config =
            |(name, value): &(String, String)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) };
        let creatable = CreatableTopic {
            name: topic.name.clone(),
            num_partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replicas.unwrap_or(-1),
            configs: topic.configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![creatable], timeout_ms: TIMEOUT_MS, ..Default::default() };
        let created = answer!(self.ask_controller(&request.into())?, CreateTopics)?;
        created.topics.iter().try_for_each(|result| {
            let what = format!("topic `{}`", result.name);
            check("CreateTopics", &what, result.error_code, result.error_message.as_deref())
        })
    }

    /// Deletes a topic and its records.
    pub fn delete_topic(&mut self, name: &str) -> Result<()> {
        let request =
            DeleteTopicsRequest { topic_names: vec![name.to_owned()], timeout_ms: TIMEOUT_MS, ..Default::default() };
        let deleted = answer!(self.ask_controller(&request.into())?, DeleteTopics)?;
        deleted.responses.iter().try_for_each(|result| {
            check("DeleteTopics", &format!("topic `{name}`"), result.error_code, result.error_message.as_deref())
        })
    }

    /// Raises the number of a topic's partitions.
    pub fn add_partitions(&mut self, topic: &str, count: i32) -> Result<()> {
        let topic = CreatePartitionsTopic { name: topic.to_owned(), count, assignments: None };
        let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
        let grown = answer!(self.ask_controller(&request.into())?, CreatePartitions)?;
        grown.results.iter().try_for_each(|result| {
            let what = format!("topic `{}`", result.name);
            check("CreatePartitions", &what, result.error_code, result.error_message.as_deref())
        })
    }

    /// Deletes the records of a partition before an offset; −1 is all that are there. Returns the first that is left.
    pub fn delete_records(&mut self, topic: &TopicInfo, partition: i32, before: i64) -> Result<i64> {
        let leader = topic.leader(partition)?;
        let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset: before }];
        let topics = vec![DeleteRecordsTopic { name: topic.name.clone(), partitions }];
        let request = DeleteRecordsRequest { topics, timeout_ms: TIMEOUT_MS };
        let deleted = answer!(self.ask(leader, &request.into())?, DeleteRecords)?;
        let result = deleted.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let result = result.ok_or_else(|| Error::internal("a partition was asked for and not answered"))?;
        check("DeleteRecords", &format!("topic `{}`, partition {partition}", topic.name), result.error_code, None)?;
        Ok(result.low_watermark)
    }

    /// The first offset of each partition.
    pub fn earliest_offsets(&mut self, topic: &TopicInfo) -> Result<BTreeMap<i32, i64>> {
        self.offsets_at(topic, EARLIEST)
    }

    /// The offset after the last record of each partition.
    pub fn latest_offsets(&mut self, topic: &TopicInfo) -> Result<BTreeMap<i32, i64>> {
        self.offsets_at(topic, LATEST)
    }

    /// For each partition the offset of the first record that is not older, in ms since 1970; its end if there is none.
    pub fn offsets_for_time(&mut self, topic: &TopicInfo, timestamp_ms: i64) -> Result<BTreeMap<i32, i64>> {
        let mut offsets = self.offsets_at(topic, timestamp_ms.max(0))?;
        if offsets.values().any(|offset| *offset < 0) {
            let ends = self.latest_offsets(topic)?;
            offsets.iter_mut().filter(|(_, offset)| **offset < 0).for_each(|(partition, offset)| {
                *offset = ends.get(partition).copied().unwrap_or(0);
            });
        }
        Ok(offsets)
    }

    fn offsets_at(&mut self, topic: &TopicInfo, timestamp: i64) -> Result<BTreeMap<i32, i64>> {
        let mut found = BTreeMap::new();
        for (leader, partitions) in topic.by_leader() {
            let of =
                |partition: &i32| ListOffsetsPartition { partition_index: *partition, timestamp, ..Default::default() };
            let partitions = partitions.iter().map(of).collect();
            let topics = vec![ListOffsetsTopic { name: topic.name.clone(), partitions }];
            let request = ListOffsetsRequest { replica_id: -1, topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
            let listed = answer!(self.ask(leader, &request.into())?, ListOffsets)?;
            for result in listed.topics.into_iter().flat_map(|topic| topic.partitions) {
                let what = format!("topic `{}`, partition {}", topic.name, result.partition_index);
                check("ListOffsets", &what, result.error_code, None)?;
                found.insert(result.partition_index, result.offset);
            }
        }
        Ok(found)
    }
}

impl TopicInfo {
    /// The broker that leads a partition.
    pub fn leader(&self, partition: i32) -> Result<i32> {
        let found = self.partitions.iter().find(|info| info.number == partition);
        let found = found.ok_or_else(|| {
            let (name, count) = (&self.name, self.partitions.len());
            Error::input("E705", format!("topic `{name}` has no partition {partition}: it has {count}"))
        })?;
        Ok(found.leader)
    }

    /// The partitions of each leader.
    pub(super) fn by_leader(&self) -> BTreeMap<i32, Vec<i32>> {
        let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in &self.partitions {
            leaders.entry(partition.leader).or_default().push(partition.number);
        }
        leaders
    }
}

fn topic_info(topic: MetadataResponseTopic) -> TopicInfo {
    let mut partitions: Vec<PartitionInfo> = topic
        .partitions
        .into_iter()
        .map(|partition| PartitionInfo {
            number: partition.partition_index,
            leader: partition.leader_id,
            replicas: partition.replica_nodes,
            in_sync: partition.isr_nodes,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.number);
    let id = if topic.topic_id.0 == 0 { String::new() } else { topic.topic_id.to_string() };
    TopicInfo { name: topic.name.unwrap_or_default(), id, internal: topic.is_internal, partitions }
}
