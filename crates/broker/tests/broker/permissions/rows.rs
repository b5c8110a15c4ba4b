//! The table: each API, what is needed for it, and the error for who lacks it.

use fleuve_broker::security::Operation::{self, *};
use fleuve_broker::security::{PatternType, Permission, ResourceType};
use fleuve_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use fleuve_wire::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use fleuve_wire::messages::alter_client_quotas_request::{self, AlterClientQuotasRequest};
use fleuve_wire::messages::alter_configs_request::{self, AlterConfigsRequest};
use fleuve_wire::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use fleuve_wire::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion,
};
use fleuve_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use fleuve_wire::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use fleuve_wire::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use fleuve_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use fleuve_wire::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use fleuve_wire::messages::delete_groups_request::DeleteGroupsRequest;
use fleuve_wire::messages::delete_records_request::{DeleteRecordsRequest, DeleteRecordsTopic};
use fleuve_wire::messages::delete_topics_request::DeleteTopicsRequest;
use fleuve_wire::messages::describe_acls_request::DescribeAclsRequest;
use fleuve_wire::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use fleuve_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use fleuve_wire::messages::describe_groups_request::DescribeGroupsRequest;
use fleuve_wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use fleuve_wire::messages::describe_producers_request::{self, DescribeProducersRequest};
use fleuve_wire::messages::describe_quorum_request::DescribeQuorumRequest;
use fleuve_wire::messages::describe_topic_partitions_request::{self, DescribeTopicPartitionsRequest};
use fleuve_wire::messages::describe_transactions_request::DescribeTransactionsRequest;
use fleuve_wire::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use fleuve_wire::messages::elect_leaders_request::ElectLeadersRequest;
use fleuve_wire::messages::end_txn_request::EndTxnRequest;
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use fleuve_wire::messages::heartbeat_request::HeartbeatRequest;
use fleuve_wire::messages::incremental_alter_configs_request::{self, IncrementalAlterConfigsRequest};
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use fleuve_wire::messages::leave_group_request::LeaveGroupRequest;
use fleuve_wire::messages::list_config_resources_request::ListConfigResourcesRequest;
use fleuve_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use fleuve_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use fleuve_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use fleuve_wire::messages::offset_commit_request::{self, OffsetCommitRequest};
use fleuve_wire::messages::offset_delete_request::{OffsetDeleteRequest, OffsetDeleteRequestTopic};
use fleuve_wire::messages::offset_fetch_request::{self, OffsetFetchRequest};
use fleuve_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use fleuve_wire::messages::produce_request::ProduceRequest;
use fleuve_wire::messages::sync_group_request::SyncGroupRequest;
use fleuve_wire::messages::txn_offset_commit_request::{self, TxnOffsetCommitRequest};
use fleuve_wire::{ErrorCode, Request};

use crate::producer::{Producer, TOPIC};
use crate::support::{batch, bytes_of, create_request, produce_request};

pub(super) const ID: &str = "x";

const TOPIC_DENIED: ErrorCode = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
const CLUSTER_DENIED: ErrorCode = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
const ID_DENIED: ErrorCode = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;

pub(super) const DENIALS: [ErrorCode; 4] =
    [TOPIC_DENIED, CLUSTER_DENIED, ID_DENIED, ErrorCode::GROUP_AUTHORIZATION_FAILED];

/// An operation on the topic, the cluster or the transactional id of this test.
pub(super) type Grant = (Operation, ResourceType);

/// A request, and what is needed for it: all of `needs`, or instead of the first of them any of `instead`.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) version: i16,
    pub(super) request: Request,
    pub(super) needs: Vec<(Grant, ErrorCode)>,
    pub(super) instead: Vec<Grant>,
}

fn row(name: &'static str, version: i16, request: impl Into<Request>, needs: &[(Grant, ErrorCode)]) -> Row {
    Row { name, version, request: request.into(), needs: needs.to_vec(), instead: vec![] }
}

fn topic(operation: Operation) -> (Grant, ErrorCode) {
    ((operation, ResourceType::Topic), TOPIC_DENIED)
}

fn cluster(operation: Operation) -> (Grant, ErrorCode) {
    ((operation, ResourceType::Cluster), CLUSTER_DENIED)
}

fn id(operation: Operation) -> (Grant, ErrorCode) {
    ((operation, ResourceType::TransactionalId), ID_DENIED)
}

fn topic_rows() -> Vec<Row> {
    let records = || Some(bytes_of(&batch(&["a"])));
    let fetch = FetchTopic {
        topic: TOPIC.to_owned(),
        partitions: vec![FetchPartition { partition_max_bytes: 1000, ..Default::default() }],
        ..Default::default()
    };
    let offsets = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![ListOffsetsPartition::default()] };
    let leader = OffsetForLeaderPartition { current_leader_epoch: -1, ..Default::default() };
    let leader = OffsetForLeaderTopic { topic: TOPIC.to_owned(), partitions: vec![leader] };
    let metadata = MetadataRequestTopic { name: Some(TOPIC.to_owned()), ..Default::default() };
    vec![
        row("Produce", 12, produce_request(TOPIC, 0, -1, records()), &[topic(Write)]),
        row("Fetch", 12, FetchRequest { topics: vec![fetch], max_bytes: 1000, ..Default::default() }, &[topic(Read)]),
        row("ListOffsets", 7, ListOffsetsRequest { topics: vec![offsets], ..Default::default() }, &[topic(Describe)]),
        row(
            "OffsetForLeaderEpoch",
            4,
            OffsetForLeaderEpochRequest { topics: vec![leader], ..Default::default() },
            &[topic(Describe)],
        ),
        row("Metadata", 9, MetadataRequest { topics: Some(vec![metadata]), ..Default::default() }, &[topic(Describe)]),
        row(
            "DeleteTopics",
            4,
            DeleteTopicsRequest { topic_names: vec![TOPIC.to_owned()], ..Default::default() },
            &[topic(Delete)],
        ),
        Row {
            instead: vec![(Create, ResourceType::Cluster)],
            ..row("CreateTopics", 5, create_request(TOPIC, 1, &[]), &[topic(Create)])
        },
    ]
}

fn transaction_rows() -> Vec<Row> {
    let mut producer = Producer::new(ID, false);
    (producer.id, producer.epoch) = (0, 0);
    let add = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.to_owned(),
        v3_and_below_topics: vec![AddPartitionsToTxnTopic { name: TOPIC.to_owned(), partitions: vec![0] }],
        ..Default::default()
    };
    let init =
        InitProducerIdRequest { transactional_id: None, producer_id: -1, producer_epoch: -1, ..Default::default() };
    let transactional = InitProducerIdRequest { transactional_id: Some(ID.to_owned()), ..init.clone() };
    let produce = producer.produce_request(0, "a");
    let anonymous = match produce.1.clone() {
        Request::Produce(request) => ProduceRequest { transactional_id: None, ..request },
        other => panic!("{other:?}"),
    };
    let end = EndTxnRequest { transactional_id: ID.to_owned(), ..Default::default() };
    vec![
        Row {
            instead: vec![(Write, ResourceType::Topic)],
            ..row("InitProducerId", 4, init, &[cluster(IdempotentWrite)])
        },
        row("InitProducerId", 4, transactional, &[id(Write)]),
        row("AddPartitionsToTxn", 3, add, &[id(Write), topic(Write)]),
        row("Produce", 11, produce.1, &[id(Write), topic(Write)]),
        // Records of a transaction without its id: no permission is enough.
        row("Produce", 11, anonymous, &[((Write, ResourceType::DelegationToken), ID_DENIED)]),
        row("EndTxn", 3, end, &[id(Write)]),
        row(
            "DescribeTransactions",
            0,
            DescribeTransactionsRequest { transactional_ids: vec![ID.to_owned()] },
            &[id(Describe)],
        ),
    ]
}

fn group(operation: Operation) -> (Grant, ErrorCode) {
    ((operation, ResourceType::Group), ErrorCode::GROUP_AUTHORIZATION_FAILED)
}

fn group_rows() -> Vec<Row> {
    let (group_id, member_id) = (ID.to_owned(), "m".to_owned());
    let protocol = JoinGroupRequestProtocol { name: "p".to_owned(), metadata: Default::default() };
    let join = JoinGroupRequest {
        group_id: group_id.clone(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let sync = SyncGroupRequest { group_id: group_id.clone(), member_id: member_id.clone(), ..Default::default() };
    let beat = HeartbeatRequest { group_id: group_id.clone(), member_id: member_id.clone(), ..Default::default() };
    let leave = LeaveGroupRequest { group_id: group_id.clone(), member_id: member_id.clone(), ..Default::default() };
    let find = |key_type| FindCoordinatorRequest { key: ID.to_owned(), key_type, ..Default::default() };
    let balanced = ConsumerGroupHeartbeatRequest {
        group_id: group_id.clone(),
        member_id: "m".to_owned(),
        rebalance_timeout_ms: 1000,
        subscribed_topic_names: Some(vec![]),
        topic_partitions: Some(vec![]),
        ..Default::default()
    };
    let described = ConsumerGroupDescribeRequest { group_ids: vec![group_id.clone()], ..Default::default() };
    vec![
        row("JoinGroup", 4, join, &[group(Read)]),
        row("SyncGroup", 2, sync, &[group(Read)]),
        row("Heartbeat", 2, beat, &[group(Read)]),
        row("LeaveGroup", 2, leave, &[group(Read)]),
        row("FindCoordinator", 3, find(0), &[group(Describe)]),
        row("FindCoordinator", 3, find(1), &[id(Describe)]),
        row("ConsumerGroupHeartbeat", 0, balanced, &[group(Read)]),
        row("ConsumerGroupDescribe", 0, described, &[group(Describe)]),
        row(
            "DescribeGroups",
            5,
            DescribeGroupsRequest { groups: vec![group_id.clone()], ..Default::default() },
            &[group(Describe)],
        ),
        row("DeleteGroups", 2, DeleteGroupsRequest { groups_names: vec![group_id] }, &[group(Delete)]),
    ]
}

fn offset_rows() -> Vec<Row> {
    let group_id = ID.to_owned();
    let name = TOPIC.to_owned();
    let commit = offset_commit_request::OffsetCommitRequestTopic {
        name: name.clone(),
        partitions: vec![Default::default()],
        ..Default::default()
    };
    let commit = OffsetCommitRequest { group_id: group_id.clone(), topics: vec![commit], ..Default::default() };
    let fetch = offset_fetch_request::OffsetFetchRequestTopic { name: name.clone(), partition_indexes: vec![0] };
    let fetch = OffsetFetchRequest { group_id: group_id.clone(), topics: Some(vec![fetch]), ..Default::default() };
    let delete = OffsetDeleteRequestTopic { name: name.clone(), partitions: vec![Default::default()] };
    let delete = OffsetDeleteRequest { group_id: group_id.clone(), topics: vec![delete] };
    let in_transaction = txn_offset_commit_request::TxnOffsetCommitRequestTopic {
        name,
        partitions: vec![Default::default()],
        ..Default::default()
    };
    let in_transaction = TxnOffsetCommitRequest {
        transactional_id: ID.to_owned(),
        group_id: group_id.clone(),
        topics: vec![in_transaction],
        ..Default::default()
    };
    let add = AddOffsetsToTxnRequest { transactional_id: ID.to_owned(), group_id, ..Default::default() };
    vec![
        row("OffsetCommit", 8, commit, &[group(Read), topic(Read)]),
        row("OffsetFetch", 7, fetch, &[group(Describe), topic(Describe)]),
        row("OffsetDelete", 0, delete, &[group(Delete), topic(Read)]),
        row("TxnOffsetCommit", 3, in_transaction, &[id(Write), group(Read), topic(Read)]),
        row("AddOffsetsToTxn", 3, add, &[id(Write), group(Read)]),
    ]
}

/// Numbers of resource types in requests about settings.
const TOPIC_CONFIGS: i8 = 2;
const BROKER_CONFIGS: i8 = 4;

fn config_rows() -> Vec<Row> {
    let describe = |resource_type, name: &str| DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: name.to_owned(),
            configuration_keys: None,
        }],
        ..Default::default()
    };
    let alter = |resource_type, name: &str| AlterConfigsRequest {
        resources: vec![alter_configs_request::AlterConfigsResource {
            resource_type,
            resource_name: name.to_owned(),
            configs: vec![],
        }],
        ..Default::default()
    };
    let increment = |resource_type, name: &str| IncrementalAlterConfigsRequest {
        resources: vec![incremental_alter_configs_request::AlterConfigsResource {
            resource_type,
            resource_name: name.to_owned(),
            configs: vec![],
        }],
        ..Default::default()
    };
    vec![
        row("DescribeConfigs", 2, describe(TOPIC_CONFIGS, TOPIC), &[topic(DescribeConfigs)]),
        row("DescribeConfigs", 2, describe(BROKER_CONFIGS, "1"), &[cluster(DescribeConfigs)]),
        row("AlterConfigs", 1, alter(TOPIC_CONFIGS, TOPIC), &[topic(AlterConfigs)]),
        row("AlterConfigs", 1, alter(BROKER_CONFIGS, "1"), &[cluster(AlterConfigs)]),
        row("IncrementalAlterConfigs", 1, increment(TOPIC_CONFIGS, TOPIC), &[topic(AlterConfigs)]),
        row("IncrementalAlterConfigs", 1, increment(BROKER_CONFIGS, "1"), &[cluster(AlterConfigs)]),
        row("ListConfigResources", 0, ListConfigResourcesRequest::default(), &[cluster(DescribeConfigs)]),
    ]
}

fn more_topic_rows() -> Vec<Row> {
    let name = || TOPIC.to_owned();
    let extend = CreatePartitionsTopic { name: name(), count: 2, assignments: None };
    let extend = CreatePartitionsRequest { topics: vec![extend], ..Default::default() };
    let cut = DeleteRecordsTopic { name: name(), partitions: vec![Default::default()] };
    let cut = DeleteRecordsRequest { topics: vec![cut], ..Default::default() };
    let producers = describe_producers_request::TopicRequest { name: name(), partition_indexes: vec![0] };
    let producers = DescribeProducersRequest { topics: vec![producers] };
    let partitions = describe_topic_partitions_request::TopicRequest { name: name() };
    let partitions = DescribeTopicPartitionsRequest { topics: vec![partitions], ..Default::default() };
    let directories = DescribeLogDirsRequest { topics: None };
    vec![
        row("CreatePartitions", 1, extend, &[topic(Alter)]),
        row("DeleteRecords", 1, cut, &[topic(Delete)]),
        row("DescribeProducers", 0, producers, &[topic(Read)]),
        row("DescribeTopicPartitions", 0, partitions, &[topic(Describe)]),
        row("DescribeLogDirs", 4, directories, &[cluster(Describe)]),
        row("ElectLeaders", 1, ElectLeadersRequest::default(), &[cluster(Alter)]),
        row("AlterPartitionReassignments", 1, AlterPartitionReassignmentsRequest::default(), &[cluster(Alter)]),
        row("ListPartitionReassignments", 0, ListPartitionReassignmentsRequest::default(), &[cluster(Describe)]),
        row("DescribeQuorum", 1, DescribeQuorumRequest::default(), &[cluster(Describe)]),
    ]
}

fn admin_rows() -> Vec<Row> {
    let deletion = ScramCredentialDeletion { name: "u".to_owned(), mechanism: 1 };
    let scram = AlterUserScramCredentialsRequest { deletions: vec![deletion], ..Default::default() };
    let user = alter_client_quotas_request::EntityData { entity_type: "user".to_owned(), entity_name: None };
    let quotas = alter_client_quotas_request::EntryData { entity: vec![user], ops: vec![] };
    let quotas = AlterClientQuotasRequest { entries: vec![quotas], ..Default::default() };
    let describe = DescribeAclsRequest {
        resource_type_filter: 1,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    let delete = DeleteAclsFilter {
        resource_type_filter: 7,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    let create = CreateAclsRequest { creations: vec![creation("eve", Read, ResourceType::User, "z")] };
    vec![
        row("DescribeAcls", 1, describe, &[cluster(Describe)]),
        row("CreateAcls", 1, create, &[cluster(Alter)]),
        row("DeleteAcls", 1, DeleteAclsRequest { filters: vec![delete] }, &[cluster(Alter)]),
        row("DescribeClientQuotas", 0, DescribeClientQuotasRequest::default(), &[cluster(DescribeConfigs)]),
        row("AlterClientQuotas", 0, quotas, &[cluster(AlterConfigs)]),
        row(
            "DescribeUserScramCredentials",
            0,
            DescribeUserScramCredentialsRequest { users: None },
            &[cluster(Describe)],
        ),
        row("AlterUserScramCredentials", 0, scram, &[cluster(Alter)]),
    ]
}

pub(super) fn creation(user: &str, operation: Operation, kind: ResourceType, name: &str) -> AclCreation {
    AclCreation {
        resource_type: kind.code(),
        resource_name: name.to_owned(),
        resource_pattern_type: PatternType::Literal.code(),
        principal: format!("User:{user}"),
        host: "*".to_owned(),
        operation: operation.code(),
        permission_type: Permission::Allow.code(),
    }
}

/// All rows.
pub(super) fn rows() -> Vec<Row> {
    [topic_rows(), more_topic_rows(), config_rows(), transaction_rows(), group_rows(), offset_rows(), admin_rows()]
        .into_iter()
        .flatten()
        .collect()
}
