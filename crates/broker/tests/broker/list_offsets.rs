//! Where partitions begin and end, and where they were at some time.

use fleuve_record::BatchBuilder;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use fleuve_wire::messages::list_offsets_response::ListOffsetsPartitionResponse;
use fleuve_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use crate::support::{START_MS, World, answer};

fn ask(world: &World, version: i16, timestamp: i64, current_leader_epoch: i32) -> ListOffsetsPartitionResponse {
    let partitions = vec![ListOffsetsPartition { partition_index: 0, current_leader_epoch, timestamp }];
    let topics = vec![ListOffsetsTopic { name: "orders".to_owned(), partitions }];
    let response = answer!(ListOffsets, world.ask(version, ListOffsetsRequest { topics, ..Default::default() }));
    response.topics[0].partitions[0].clone()
}

/// Offset and timestamp.
fn at(world: &World, timestamp: i64) -> (i64, i64) {
    let found = ask(world, 11, timestamp, -1);
    assert_eq!(found.error_code, 0, "{found:?}");
    (found.offset, found.timestamp)
}

/// Three batches of two records; the greatest timestamp is in the middle.
fn filled() -> World {
    let world = World::new();
    world.create("orders", 1, &[]);
    for times in [[0, 10], [90, 40], [50, 60]] {
        let mut batch = BatchBuilder::new();
        times.iter().for_each(|ms| batch.append(START_MS + ms, None, Some(b"v"), &[]).unwrap());
        world.produced("orders", 0, &batch.finish().unwrap());
    }
    world
}

#[test]
fn the_ends_are_found() {
    let world = filled();
    assert_eq!(at(&world, -2), (0, -1));
    assert_eq!(at(&world, -4), (0, -1));
    assert_eq!(at(&world, -1), (6, -1));
    world.log.topic("orders").unwrap().partition(0).unwrap().delete_before(3).unwrap();
    assert_eq!(at(&world, -2), (3, -1));
}

#[test]
fn nothing_is_in_another_store() {
    let world = filled();
    assert_eq!(at(&world, -5), (-1, -1));
    assert_eq!(at(&world, -6), (-1, -1));
}

#[test]
fn times_find_the_first_record_that_is_not_older() {
    let world = filled();
    assert_eq!(at(&world, 0), (0, START_MS));
    assert_eq!(at(&world, START_MS + 5), (1, START_MS + 10));
    assert_eq!(at(&world, START_MS + 11), (2, START_MS + 90));
    assert_eq!(at(&world, START_MS + 91), (-1, -1));
    assert_eq!(at(&world, -3), (2, START_MS + 90));
}

#[test]
fn an_empty_partition_has_ends_and_no_times() {
    let world = World::new();
    world.create("orders", 1, &[]);
    assert_eq!((at(&world, -2), at(&world, -1)), ((0, -1), (0, -1)));
    assert_eq!((at(&world, 0), at(&world, -3)), ((-1, -1), (-1, -1)));
}

#[test]
fn what_is_not_durable_is_not_told() {
    let world = World::new();
    world.create("orders", 1, &[]);
    let asked = world.produce("orders", 0, &crate::support::batch(&["a"]));
    assert_eq!(at(&world, -1), (0, -1));
    world.commit();
    assert!(!asked.waits());
    assert_eq!(at(&world, -1), (1, -1));
}

#[test]
fn wrong_epochs_versions_and_times_are_refused() {
    let world = filled();
    let code = |version, time, epoch| ErrorCode(ask(&world, version, time, epoch).error_code);
    assert_eq!(code(11, -1, 0), ErrorCode::NONE);
    assert_eq!(code(11, -1, 1), ErrorCode::UNKNOWN_LEADER_EPOCH);
    assert_eq!(code(6, -3, -1), ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(code(7, -4, -1), ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(code(11, -7, -1), ErrorCode::INVALID_REQUEST);
}

#[test]
fn the_only_epoch_ends_at_the_high_watermark() {
    let world = filled();
    let end = |leader_epoch| {
        let partitions = vec![OffsetForLeaderPartition { partition: 0, current_leader_epoch: -1, leader_epoch }];
        let topics = vec![OffsetForLeaderTopic { topic: "orders".to_owned(), partitions }];
        let request = OffsetForLeaderEpochRequest { topics, ..Default::default() };
        let end = answer!(OffsetForLeaderEpoch, world.ask(4, request)).topics[0].partitions[0].clone();
        (end.error_code, end.leader_epoch, end.end_offset)
    };
    assert_eq!(end(0), (0, 0, 6));
    assert_eq!(end(1), (0, -1, -1));
}
