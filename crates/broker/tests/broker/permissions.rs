//! Every API against every role: what is not allowed is refused, and exactly the permission that Kafka asks for allows it.

use fleuve_broker::BrokerConfig;
use fleuve_broker::security::Operation::{self, *};
use fleuve_broker::security::{CLUSTER_NAME, PatternType, Permission, ResourceType};
use fleuve_wire::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use fleuve_wire::messages::alter_client_quotas_request::{self, AlterClientQuotasRequest};
use fleuve_wire::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion,
};
use fleuve_wire::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use fleuve_wire::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use fleuve_wire::messages::delete_topics_request::DeleteTopicsRequest;
use fleuve_wire::messages::describe_acls_request::DescribeAclsRequest;
use fleuve_wire::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use fleuve_wire::messages::describe_transactions_request::DescribeTransactionsRequest;
use fleuve_wire::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use fleuve_wire::messages::end_txn_request::EndTxnRequest;
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use fleuve_wire::messages::list_transactions_request::ListTransactionsRequest;
use fleuve_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use fleuve_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use fleuve_wire::messages::produce_request::ProduceRequest;
use fleuve_wire::{ErrorCode, Request, Response};

use crate::producer::{Producer, TOPIC, settle};
use crate::support::{World, answer, batch, bytes_of, create_request, produce_request, session_of};

const ID: &str = "x";

const TOPIC_DENIED: ErrorCode = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
const CLUSTER_DENIED: ErrorCode = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
const ID_DENIED: ErrorCode = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;

const DENIALS: [ErrorCode; 4] = [TOPIC_DENIED, CLUSTER_DENIED, ID_DENIED, ErrorCode::GROUP_AUTHORIZATION_FAILED];

/// An operation on the topic, the cluster or the transactional id of this test.
type Grant = (Operation, ResourceType);

/// A request, and what is needed for it: all of `needs`, or instead of the first of them any of `instead`.
struct Row {
    name: &'static str,
    version: i16,
    request: Request,
    needs: Vec<(Grant, ErrorCode)>,
    instead: Vec<Grant>,
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

fn creation(user: &str, operation: Operation, kind: ResourceType, name: &str) -> AclCreation {
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

/// A world in which root may do all, and eve what is granted.
fn world(grants: &[Grant]) -> World {
    let config = BrokerConfig {
        super_users: vec!["User:root".to_owned()],
        allow_everyone_if_no_acl_found: false,
        ..BrokerConfig::default()
    };
    let world = World::with(config);
    let created = world.ask_as(&session_of("root"), 7, create_request(TOPIC, 1, &[]));
    assert!(codes(&created.answer()).iter().all(|code| *code == 0));
    let name = |kind| match kind {
        ResourceType::Cluster => CLUSTER_NAME,
        ResourceType::Topic => TOPIC,
        _ => ID,
    };
    let creations: Vec<_> =
        grants.iter().map(|(operation, kind)| creation("eve", *operation, *kind, name(*kind))).collect();
    if !creations.is_empty() {
        let granted = world.ask_as(&session_of("root"), 1, CreateAclsRequest { creations });
        settle(&world, &granted);
        assert!(codes(&granted.answer()).iter().all(|code| *code == 0));
    }
    world
}

/// All error codes in an answer, wherever they stand in it.
fn codes(response: &Response) -> Vec<i16> {
    let text = format!("{response:?}");
    let numbers = text.split("error_code: ").skip(1);
    numbers.filter_map(|rest| rest.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()).collect()
}

/// The errors of permission that eve gets.
fn denials(grants: &[Grant], row: &Row) -> Vec<ErrorCode> {
    let world = world(grants);
    let asked = world.ask_as(&session_of("eve"), row.version, row.request.clone());
    settle(&world, &asked);
    codes(&asked.answer()).into_iter().map(ErrorCode).filter(|code| DENIALS.contains(code)).collect()
}

/// All there is to be allowed, but for what includes one of `without`.
fn all_but(without: &[Grant]) -> Vec<Grant> {
    let kinds = [ResourceType::Topic, ResourceType::Group, ResourceType::Cluster, ResourceType::TransactionalId];
    let all = kinds.into_iter().flat_map(|kind| kind.operations().iter().map(move |operation| (*operation, kind)));
    let includes = |(operation, kind): &Grant| {
        without.iter().any(|(missing, of)| {
            let implied = match missing {
                Describe => [Read, Write, Delete, Alter].contains(operation),
                DescribeConfigs => *operation == AlterConfigs,
                _ => false,
            };
            kind == of && (operation == missing || implied)
        })
    };
    all.filter(|grant| !includes(grant)).collect()
}

fn rows() -> Vec<Row> {
    topic_rows().into_iter().chain(transaction_rows()).chain(admin_rows()).collect()
}

#[test]
fn what_is_needed_is_enough() {
    for row in rows().iter().filter(|row| row.needs.iter().all(|((_, kind), _)| *kind != ResourceType::DelegationToken))
    {
        let needs: Vec<Grant> = row.needs.iter().map(|(grant, _)| *grant).collect();
        assert_eq!(denials(&needs, row), [], "{}", row.name);
        for instead in &row.instead {
            assert_eq!(denials(&[*instead], row), [], "{} by {instead:?}", row.name);
        }
    }
}

#[test]
fn without_any_of_it_all_else_together_is_not_enough() {
    for row in rows() {
        assert!(!denials(&[], &row).is_empty(), "{} without anything", row.name);
        for (index, (missing, code)) in row.needs.iter().enumerate() {
            let mut without = vec![*missing];
            without.extend(row.instead.iter().filter(|_| index == 0));
            let denied = denials(&all_but(&without), &row);
            assert!(denied.contains(code), "{} without {missing:?}: {denied:?}", row.name);
        }
    }
}

#[test]
fn lists_leave_out_what_may_not_be_known() {
    let list = |grants: &[Grant]| {
        let world = world(grants);
        let mut producer = Producer::new(ID, false);
        let (version, request) = producer.init_request();
        let asked = world.ask_as(&session_of("root"), version, request.clone());
        settle(&world, &asked);
        producer.learn(&request, &asked.answer());
        let eve = session_of("eve");
        let any = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
        let transactions = answer!(ListTransactions, world.ask_as(&eve, 0, any)).transaction_states.len();
        let topics =
            answer!(Metadata, world.ask_as(&eve, 9, MetadataRequest { topics: None, ..Default::default() })).topics;
        (transactions, topics.iter().filter(|topic| topic.name.as_deref() == Some(TOPIC)).count())
    };
    assert_eq!(list(&[]), (0, 0));
    assert_eq!(list(&all_but(&[(Describe, ResourceType::Topic), (Describe, ResourceType::TransactionalId)])), (0, 0));
    assert_eq!(list(&[(Describe, ResourceType::TransactionalId)]), (1, 0));
    assert_eq!(list(&[(Read, ResourceType::Topic)]), (0, 1));
}
