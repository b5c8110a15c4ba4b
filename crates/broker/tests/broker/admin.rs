//! Ordinary administration: more partitions, fewer records, and what there is to see.

use fleuve_record::BatchBuilder;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use fleuve_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use fleuve_wire::messages::describe_cluster_request::DescribeClusterRequest;
use fleuve_wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use fleuve_wire::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use fleuve_wire::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use fleuve_wire::messages::describe_topic_partitions_request::{self, DescribeTopicPartitionsRequest};

use crate::support::{World, add, answer, batch};

fn world() -> World {
    let world = World::new();
    world.create("orders", 2, &[]);
    world
}

fn extend(world: &World, count: i32, assignments: Option<Vec<i32>>) -> (ErrorCode, String) {
    let assign = |broker| CreatePartitionsAssignment { broker_ids: vec![broker] };
    let assignments = assignments.map(|brokers| brokers.into_iter().map(assign).collect());
    let topics = vec![CreatePartitionsTopic { name: "orders".to_owned(), count, assignments }];
    let response = answer!(CreatePartitions, world.ask(3, CreatePartitionsRequest { topics, ..Default::default() }));
    let result = &response.results[0];
    (ErrorCode(result.error_code), result.error_message.clone().unwrap_or_default())
}

#[test]
fn a_topic_gets_more_partitions_and_keeps_what_it_has() {
    let world = world();
    world.produced("orders", 1, &batch(&["a"]));
    assert_eq!(extend(&world, 4, None).0, ErrorCode::NONE);
    assert_eq!(world.produced("orders", 3, &batch(&["b"])), 0);
    let world = world.power_cut();
    assert_eq!(world.produced("orders", 1, &batch(&["c"])), 1);
    assert_eq!(world.produced("orders", 3, &batch(&["d"])), 1);
}

#[test]
fn wrong_numbers_of_partitions_are_refused() {
    let world = world();
    let refused = |count, assignments, code, text| {
        let (found, message) = extend(&world, count, assignments);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(text), "{message}");
    };
    refused(1, None, ErrorCode::INVALID_PARTITIONS, "currently has 2 partitions");
    refused(2, None, ErrorCode::INVALID_PARTITIONS, "already has 2 partition(s)");
    refused(-1, None, ErrorCode::INVALID_PARTITIONS, "");
    refused(5000, None, ErrorCode::INVALID_PARTITIONS, "at most");
    refused(4, Some(vec![1]), ErrorCode::INVALID_REPLICA_ASSIGNMENT, "only 1 assignment(s)");
    refused(3, Some(vec![2]), ErrorCode::INVALID_REPLICA_ASSIGNMENT, "broker 2");
    assert_eq!(extend(&world, 3, Some(vec![1])).0, ErrorCode::NONE);
}

fn delete(world: &World, topic: &str, offset: i64) -> (i64, ErrorCode) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: topic.to_owned(), partitions }];
    let response = answer!(DeleteRecords, world.ask(2, DeleteRecordsRequest { topics, ..Default::default() }));
    let partition = &response.topics[0].partitions[0];
    (partition.low_watermark, ErrorCode(partition.error_code))
}

#[test]
fn records_are_deleted_up_to_an_offset_and_stay_deleted() {
    let world = world();
    world.produced("orders", 0, &batch(&["a", "b", "c", "d"]));
    assert_eq!(delete(&world, "orders", 2), (2, ErrorCode::NONE));
    assert_eq!(delete(&world, "orders", 1), (2, ErrorCode::NONE));
    let world = world.power_cut();
    assert_eq!(delete(&world, "orders", -1), (4, ErrorCode::NONE));
    assert_eq!(delete(&world, "orders", 5), (-1, ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(delete(&world, "orders", -2), (-1, ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(delete(&world, "nope", 0), (-1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    world.create("compacted", 1, &[("cleanup.policy", "compact")]);
    assert_eq!(delete(&world, "compacted", 0), (-1, ErrorCode::POLICY_VIOLATION));
}

#[test]
fn retention_runs_by_itself() {
    let world = World::new();
    world.create("orders", 1, &[("retention.ms", "1000")]);
    world.produced("orders", 0, &batch(&["a"]));
    world.clock.advance(world.broker.config().retention_check_interval_ms as i64);
    world.run_timers();
    let partition = world.log.topic("orders").unwrap().partition(0).unwrap().clone();
    assert_eq!((partition.log_start_offset(), partition.high_watermark()), (1, 1));
    // And again.
    world.produced("orders", 0, &batch(&["b"]));
    world.clock.advance(world.broker.config().retention_check_interval_ms as i64);
    world.run_timers();
    assert_eq!(partition.log_start_offset(), 2);
}

#[test]
fn the_cluster_and_its_quorum_are_this_broker() {
    let world = world();
    let response = answer!(DescribeCluster, world.ask(2, DescribeClusterRequest::default()));
    assert_eq!((response.error_code, response.controller_id, response.brokers.len()), (0, 1, 1));
    assert_eq!(
        (response.brokers[0].host.as_str(), response.cluster_id.as_str()),
        ("broker.test", world.broker.cluster_id())
    );
    let controllers = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let refused = answer!(DescribeCluster, world.ask(2, controllers));
    assert_eq!(ErrorCode(refused.error_code), ErrorCode::MISMATCHED_ENDPOINT_TYPE);

    let topic_name = "__cluster_metadata".to_owned();
    let topics = vec![TopicData { topic_name, partitions: vec![PartitionData { partition_index: 0 }] }];
    let response = answer!(DescribeQuorum, world.ask(2, DescribeQuorumRequest { topics }));
    let partition = &response.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.leader_id, partition.current_voters.len()), (0, 1, 1));
}

#[test]
fn log_dirs_tell_the_bytes_of_partitions() {
    let world = world();
    let stored = batch(&["a"]);
    world.produced("orders", 1, &stored);
    let response = answer!(DescribeLogDirs, world.ask(4, DescribeLogDirsRequest { topics: None }));
    let orders = response.results[0].topics.iter().find(|topic| topic.name == "orders").unwrap();
    let sizes: Vec<_> = orders.partitions.iter().map(|partition| partition.partition_size).collect();
    assert_eq!(sizes, [0, stored.as_bytes().len() as i64]);
    assert!(response.results[0].topics.iter().all(|topic| topic.name != "__cluster_metadata"));
}

#[test]
fn producers_are_described() {
    let world = world();
    world.produced("orders", 0, &add(BatchBuilder::new().producer(9, 2, 0), &["a", "b"]).finish().unwrap());
    let ask = |partition| {
        let topics = vec![TopicRequest { name: "orders".to_owned(), partition_indexes: vec![partition] }];
        answer!(DescribeProducers, world.ask(0, DescribeProducersRequest { topics })).topics[0].partitions[0].clone()
    };
    let producer = ask(0).active_producers[0].clone();
    assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (9, 2, 1));
    assert_eq!(producer.current_txn_start_offset, -1);
    assert_eq!(ErrorCode(ask(7).error_code), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn topics_are_described_page_by_page() {
    let world = World::new();
    world.create("a", 3, &[]);
    world.create("b", 2, &[]);
    world.create("c", 1, &[]);
    let named = |name: &str| describe_topic_partitions_request::TopicRequest { name: name.to_owned() };
    let (mut cursor, mut pages) = (None, vec![]);
    loop {
        let topics = ["c", "a", "b", "nope"].map(named).to_vec();
        let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: 2, cursor };
        let response = answer!(DescribeTopicPartitions, world.ask(0, request));
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        assert!(partitions.all(|p| p.eligible_leader_replicas.is_some() && p.last_known_elr.is_some()));
        let page = response.topics.iter().map(|topic| {
            let numbers: Vec<_> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            (topic.name.clone().unwrap(), numbers)
        });
        pages.push(page.collect::<Vec<_>>());
        let Some(next) = response.next_cursor else { break };
        cursor = Some(describe_topic_partitions_request::Cursor {
            topic_name: next.topic_name,
            partition_index: next.partition_index,
        });
    }
    let topic = |name: &str, numbers: &[i32]| (name.to_owned(), numbers.to_vec());
    let expected = [
        vec![topic("a", &[0, 1])],
        vec![topic("a", &[2]), topic("b", &[0])],
        vec![topic("b", &[1]), topic("c", &[0])],
        vec![topic("nope", &[])],
    ];
    assert_eq!(pages, expected);
}
