//! Topics: created, described, deleted, created because somebody asked.

use fleuve_journal::{Cleanup, Durability, Timestamps};
use fleuve_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopicConfig, CreateTopicsRequest,
};
use fleuve_wire::messages::create_topics_response::CreatableTopicResult;
use fleuve_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use fleuve_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use fleuve_wire::messages::metadata_response::MetadataResponseTopic;
use fleuve_wire::{ErrorCode, Uuid};

use crate::support::{World, answer, create_request};

fn create(world: &World, request: CreateTopicsRequest) -> CreatableTopicResult {
    let response = answer!(CreateTopics, world.ask(7, request));
    let [result] = &response.topics[..] else { panic!("one result") };
    result.clone()
}

#[track_caller]
fn refused(world: &World, request: CreateTopicsRequest, code: ErrorCode, message: &str) {
    let result = create(world, request);
    assert_eq!(ErrorCode(result.error_code), code, "{result:?}");
    assert!(result.error_message.as_deref().is_some_and(|text| text.contains(message)), "{:?}", result.error_message);
}

fn describe(world: &World, name: &str, create: bool) -> MetadataResponseTopic {
    let asked = MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
    let request =
        MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: create, ..Default::default() };
    answer!(Metadata, world.ask(12, request)).topics[0].clone()
}

fn describe_id(world: &World, topic_id: Uuid) -> MetadataResponseTopic {
    let asked = MetadataRequestTopic { name: None, topic_id };
    answer!(Metadata, world.ask(12, MetadataRequest { topics: Some(vec![asked]), ..Default::default() })).topics[0]
        .clone()
}

#[test]
fn a_created_topic_is_described_by_name_and_id_and_survives() {
    let world = World::new();
    let id = world.create("orders", 3, &[("retention.ms", "1000")]);
    let world = world.restart().power_cut();
    for topic in [describe(&world, "orders", false), describe_id(&world, id)] {
        assert_eq!((topic.error_code, topic.name.as_deref(), topic.topic_id), (0, Some("orders"), id));
        assert_eq!(topic.partitions.len(), 3);
        assert!(topic.partitions.iter().all(|partition| partition.leader_id == 1 && partition.isr_nodes == [1]));
    }
}

#[test]
fn creation_answers_with_what_was_made() {
    let world = World::new();
    let result = create(&world, create_request("orders", -1, &[("cleanup.policy", "compact")]));
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 1, 1));
    let configs = result.configs.unwrap();
    let value = |name: &str| {
        let config = configs.iter().find(|config| config.name == name).unwrap();
        (config.value.clone().unwrap(), config.config_source)
    };
    assert_eq!(value("cleanup.policy"), ("compact".to_owned(), 1));
    assert_eq!(value("retention.ms"), ("604800000".to_owned(), 5));
}

#[test]
fn settings_reach_the_log() {
    let world = World::new();
    let settings = [
        ("cleanup.policy", "compact, delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "5000"),
        ("segment.bytes", "1048576"),
        ("max.message.bytes", "2000"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("durability", "os"),
    ];
    world.create("orders", 1, &settings);
    let config = *world.log.topic("orders").unwrap().config();
    assert_eq!((config.cleanup, config.retention_ms, config.retention_bytes), (Cleanup::Both, None, Some(5000)));
    assert_eq!((config.segment_bytes, config.batch_bytes_max), (1 << 20, 2000));
    assert_eq!((config.timestamps, config.durability), (Timestamps::Append, Durability::Os));
    assert_eq!(config.min_cleanable_permille, 250);
}

#[test]
fn validation_creates_nothing() {
    let world = World::new();
    let result = create(&world, CreateTopicsRequest { validate_only: true, ..create_request("orders", 2, &[]) });
    assert_eq!((result.error_code, result.num_partitions), (0, 2));
    assert_eq!(describe(&world, "orders", false).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
}

#[test]
fn what_cannot_be_created_is_refused_with_kafkas_errors() {
    let world = World::new();
    world.create("there", 1, &[]);
    let with = |factor, partitions| {
        let mut request = create_request("t", partitions, &[]);
        request.topics[0].replication_factor = factor;
        request
    };
    refused(&world, create_request("there", 1, &[]), ErrorCode::TOPIC_ALREADY_EXISTS, "already exists");
    refused(&world, create_request("no/slash", 1, &[]), ErrorCode::INVALID_TOPIC_EXCEPTION, "");
    refused(&world, create_request("__security", 1, &[]), ErrorCode::INVALID_TOPIC_EXCEPTION, "reserved");
    refused(&world, with(1, 0), ErrorCode::INVALID_PARTITIONS, "larger than 0");
    refused(&world, with(1, 5000), ErrorCode::INVALID_PARTITIONS, "at most");
    refused(&world, with(3, 1), ErrorCode::INVALID_REPLICATION_FACTOR, "only 1 broker(s)");
    refused(&world, with(0, 1), ErrorCode::INVALID_REPLICATION_FACTOR, "larger than 0");
    refused(&world, create_request("t", 1, &[("retention.ms", "x")]), ErrorCode::INVALID_CONFIG, "type LONG");
    refused(
        &world,
        create_request("t", 1, &[("no.such", "1")]),
        ErrorCode::INVALID_CONFIG,
        "Unknown topic config name",
    );
    let mut null = create_request("t", 1, &[]);
    null.topics[0].configs.push(CreatableTopicConfig { name: "retention.ms".to_owned(), value: None });
    refused(&world, null, ErrorCode::INVALID_CONFIG, "Null value");
    let mut twice = create_request("t", 1, &[]);
    twice.topics.push(twice.topics[0].clone());
    refused(&world, twice, ErrorCode::INVALID_REQUEST, "Duplicate");
    assert_eq!(describe(&world, "t", false).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
}

#[test]
fn an_assignment_may_only_name_this_broker() {
    let world = World::new();
    let assigned = |numbers: &[i32], broker| {
        let mut request = create_request("assigned", -1, &[]);
        let assignment =
            |number: &i32| CreatableReplicaAssignment { partition_index: *number, broker_ids: vec![broker] };
        request.topics[0].assignments = numbers.iter().map(assignment).collect();
        request
    };
    refused(&world, assigned(&[0, 2], 1), ErrorCode::INVALID_REPLICA_ASSIGNMENT, "consecutive");
    refused(&world, assigned(&[0], 2), ErrorCode::INVALID_REPLICA_ASSIGNMENT, "broker 2");
    let mut counted = assigned(&[0], 1);
    counted.topics[0].num_partitions = 1;
    refused(&world, counted, ErrorCode::INVALID_REQUEST, "numPartitions");
    assert_eq!(create(&world, assigned(&[1, 0], 1)).num_partitions, 2);
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_gets_another_id() {
    let world = World::new();
    let first = world.create("orders", 1, &[]);
    let by_name = DeleteTopicsRequest { topic_names: vec!["orders".to_owned()], ..Default::default() };
    assert_eq!(answer!(DeleteTopics, world.ask(5, by_name.clone())).responses[0].error_code, 0);
    assert_eq!(describe_id(&world, first).error_code, ErrorCode::UNKNOWN_TOPIC_ID.0);
    let again = answer!(DeleteTopics, world.ask(5, by_name)).responses[0].clone();
    assert_eq!(again.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);

    let second = world.create("orders", 1, &[]);
    assert_ne!(first, second);
    let delete = |topic_id| {
        let topics = vec![DeleteTopicState { name: None, topic_id }];
        answer!(DeleteTopics, world.ask(6, DeleteTopicsRequest { topics, ..Default::default() })).responses[0].clone()
    };
    assert_eq!(delete(first).error_code, ErrorCode::UNKNOWN_TOPIC_ID.0);
    let deleted = delete(second);
    assert_eq!((deleted.error_code, deleted.name.as_deref()), (0, Some("orders")));
    assert_eq!(delete(Uuid::NIL).error_code, ErrorCode::INVALID_REQUEST.0);
}

#[test]
fn a_topic_is_created_when_asked_for_if_request_and_settings_allow_it() {
    let world = World::new();
    assert_eq!(describe(&world, "orders", false).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
    assert_eq!(describe(&world, "no/slash", true).error_code, ErrorCode::INVALID_TOPIC_EXCEPTION.0);
    assert_eq!(describe(&world, "no/slash", false).error_code, ErrorCode::INVALID_TOPIC_EXCEPTION.0);
    let created = describe(&world, "orders", true);
    assert_eq!((created.error_code, created.partitions.len()), (0, 1));
    assert_eq!(describe(&world, "orders", false).topic_id, created.topic_id);
}

#[test]
fn all_topics_are_listed_but_not_the_brokers_own() {
    let world = World::new();
    world.create("b", 1, &[]);
    world.create("a", 1, &[]);
    let names = |version, topics| -> Vec<String> {
        let response = answer!(Metadata, world.ask(version, MetadataRequest { topics, ..Default::default() }));
        response.topics.into_iter().filter(|topic| !topic.is_internal).filter_map(|topic| topic.name).collect()
    };
    assert_eq!(names(12, None), ["a", "b"]);
    assert_eq!(names(0, Some(vec![])), ["a", "b"]);
    assert_eq!(names(12, Some(vec![])), [""; 0]);
    assert_eq!(describe(&world, "__cluster_metadata", true).error_code, ErrorCode::INVALID_TOPIC_EXCEPTION.0);
    let delete = DeleteTopicsRequest { topic_names: vec!["__cluster_metadata".to_owned()], ..Default::default() };
    assert_ne!(answer!(DeleteTopics, world.ask(5, delete)).responses[0].error_code, 0);
}

#[test]
fn operations_are_told_only_if_asked_for() {
    let world = World::new();
    world.create("orders", 1, &[]);
    let ask = |asked| {
        let request =
            MetadataRequest { topics: None, include_topic_authorized_operations: asked, ..Default::default() };
        answer!(Metadata, world.ask(12, request)).topics[0].topic_authorized_operations
    };
    assert_eq!(ask(false), i32::MIN);
    assert_eq!(ask(true), 0b1101_1111_1000);
}

#[test]
fn names_that_differ_only_in_periods_and_underscores_collide() {
    let world = World::new();
    world.create("a.b", 1, &[]);
    let code = |name: &str| {
        let asked = world.ask(7, create_request(name, 1, &[]));
        ErrorCode(answer!(CreateTopics, asked).topics[0].error_code)
    };
    assert_eq!(code("a_b"), ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(code("a.b"), ErrorCode::TOPIC_ALREADY_EXISTS);
    for name in ["a-b", "ab", "a.b.", "a__b"] {
        assert_eq!(code(name), ErrorCode::NONE, "{name}");
    }
    assert_eq!(code("a_b_"), ErrorCode::INVALID_TOPIC_EXCEPTION);
}
