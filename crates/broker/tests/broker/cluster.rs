//! The cluster's identity.

use fleuve_wire::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use std::collections::BTreeSet;

use fleuve_wire::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use fleuve_wire::messages::api_versions_request::ApiVersionsRequest;
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use fleuve_wire::messages::metadata_request::MetadataRequest;
use fleuve_wire::{ApiKey, ErrorCode};

use crate::support::{World, answer, session};

#[test]
fn the_cluster_id_survives_restarts_and_power_cuts() {
    let world = World::new();
    world.clock.advance(1);
    let id = world.broker.cluster_id().to_owned();
    assert_eq!(id.len(), 22);
    let world = world.restart();
    assert_eq!(world.broker.cluster_id(), id);
    let world = world.power_cut();
    assert_eq!(world.broker.cluster_id(), id);
}

#[test]
fn api_versions_lists_what_is_served_and_remembers_the_client() {
    let world = World::new();
    let session = session(1);
    let request = ApiVersionsRequest {
        client_software_name: "librdkafka".to_owned(),
        client_software_version: "2.16.0".to_owned(),
        ..Default::default()
    };
    let response = answer!(ApiVersions, world.ask_as(&session, 3, request));
    assert_eq!(response.error_code, 0);
    assert!(response.api_keys.iter().any(|key| key.api_key == ApiKey::Metadata.to_i16() && key.max_version == 13));
    assert_eq!(session.client_software.get().unwrap().name, "librdkafka");
}

#[test]
fn api_versions_refuses_a_nameless_client_in_versions_that_have_names() {
    let world = World::new();
    assert_eq!(
        answer!(ApiVersions, world.ask(3, ApiVersionsRequest::default())).error_code,
        ErrorCode::INVALID_REQUEST.0
    );
    assert_eq!(answer!(ApiVersions, world.ask(2, ApiVersionsRequest::default())).error_code, 0);
}

#[test]
fn metadata_names_one_broker_under_the_listeners_address() {
    let world = World::new();
    let response = answer!(Metadata, world.ask(12, MetadataRequest::default()));
    let [broker] = &response.brokers[..] else { panic!("one broker") };
    assert_eq!((broker.node_id, broker.host.as_str(), broker.port), (1, "broker.test", 9092));
    assert_eq!(response.cluster_id.as_deref(), Some(world.broker.cluster_id()));
    assert_eq!(response.controller_id, 1);
}

fn idempotent() -> InitProducerIdRequest {
    InitProducerIdRequest { transactional_id: None, ..Default::default() }
}

#[test]
fn producer_ids_wait_for_a_durable_block_and_are_never_given_twice() {
    let mut world = World::new();
    let mut seen = BTreeSet::new();
    for round in 0..3 {
        let asked: Vec<_> = (0..2500).map(|_| world.ask(4, idempotent())).collect();
        assert!(asked.iter().all(|asked| asked.waits()));
        // One block after the other becomes durable.
        (0..3).for_each(|_| world.commit());
        for asked in &asked {
            let response = answer!(InitProducerId, asked);
            assert_eq!((response.error_code, response.producer_epoch), (0, 0));
            assert!(seen.insert(response.producer_id), "{} was given twice", response.producer_id);
        }
        world = if round == 0 { world.restart() } else { world.power_cut() };
    }
}

#[test]
fn a_log_that_fails_gives_no_producer_ids() {
    let world = World::new();
    let asked = world.ask(4, idempotent());
    world.log.close().unwrap();
    // Closing commits; what comes after it is refused.
    assert_eq!(answer!(InitProducerId, asked).error_code, 0);
    for _ in 0..999 {
        answer!(InitProducerId, world.ask(4, idempotent()));
    }
    let response = answer!(InitProducerId, world.ask(4, idempotent()));
    assert_eq!((response.error_code, response.producer_id), (ErrorCode::KAFKA_STORAGE_ERROR.0, -1));
}

#[test]
fn every_partition_has_its_leader() {
    let world = World::new();
    world.create("t", 1, &[]);
    let named =
        |topic: &str, partitions: &[i32]| TopicPartitions { topic: topic.to_owned(), partitions: partitions.into() };
    let asked = vec![named("t", &[0, 1]), named("nope", &[0])];
    let request = ElectLeadersRequest { topic_partitions: Some(asked), ..Default::default() };
    let response = answer!(ElectLeaders, world.ask(2, request));
    let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
    let codes: Vec<_> = results.map(|partition| ErrorCode(partition.error_code)).collect();
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!((response.error_code, codes), (0, vec![ErrorCode::ELECTION_NOT_NEEDED, unknown, unknown]));
    let all = ElectLeadersRequest { topic_partitions: None, ..Default::default() };
    assert_eq!(answer!(ElectLeaders, world.ask(2, all)).replica_election_results, []);
}

#[test]
fn replicas_stay_where_they_are_and_cannot_go_elsewhere() {
    let world = World::new();
    world.create("orders", 1, &[]);
    let asked = |name: &str, partition_index, replicas: Option<Vec<i32>>| {
        let partitions = vec![ReassignablePartition { partition_index, replicas }];
        let topics = vec![ReassignableTopic { name: name.to_owned(), partitions }];
        let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        let response = answer!(AlterPartitionReassignments, world.ask(1, request));
        assert_eq!((response.error_code, response.responses[0].name.as_str()), (0, name));
        ErrorCode(response.responses[0].partitions[0].error_code)
    };
    assert_eq!(asked("orders", 0, Some(vec![1])), ErrorCode::NONE);
    assert_eq!(asked("orders", 0, None), ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
    for elsewhere in [vec![], vec![2], vec![1, 2], vec![1, 1]] {
        assert_eq!(asked("orders", 0, Some(elsewhere)), ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    }
    assert_eq!(asked("orders", 1, Some(vec![1])), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(asked("nothing", 0, Some(vec![1])), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let listed = answer!(ListPartitionReassignments, world.ask(0, ListPartitionReassignmentsRequest::default()));
    assert_eq!((listed.error_code, listed.topics), (0, vec![]));
}
