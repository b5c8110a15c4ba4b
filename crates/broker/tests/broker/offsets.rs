//! Offsets: committed, fetched, expired, deleted; by members and by others.

use fleuve_wire::messages::delete_topics_request::DeleteTopicsRequest;
use fleuve_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use fleuve_wire::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use fleuve_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use fleuve_wire::{ErrorCode, Uuid, response};

use crate::groups::{one_member, pass};
use crate::support::{Asked, World, answer};

/// A commit by nobody in particular.
pub fn commit(group: &str, topic: &str, partition_index: i32, committed_offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_leader_epoch: 0,
        committed_metadata: Some("note".to_owned()),
    };
    let topic = OffsetCommitRequestTopic { name: topic.to_owned(), partitions: vec![partition], ..Default::default() };
    OffsetCommitRequest { group_id: group.to_owned(), topics: vec![topic], ..Default::default() }
}

fn committed(asked: &Asked) -> ErrorCode {
    ErrorCode(answer!(OffsetCommit, asked).topics[0].partitions[0].error_code)
}

pub fn commit_now(world: &World, request: OffsetCommitRequest) -> ErrorCode {
    let asked = world.ask(8, request);
    world.commit();
    committed(&asked)
}

/// Offset and error of one partition.
pub fn fetch(world: &World, group: &str, topic: &str, partition: i32) -> (i64, ErrorCode) {
    let asked = OffsetFetchRequestTopic { name: topic.to_owned(), partition_indexes: vec![partition] };
    let topics = Some(vec![asked]);
    let request = OffsetFetchRequest { group_id: group.to_owned(), topics, require_stable: true, ..Default::default() };
    let response = answer!(OffsetFetch, world.ask(7, request));
    let partition = &response.topics[0].partitions[0];
    (partition.committed_offset, ErrorCode(partition.error_code))
}

const NONE: (i64, ErrorCode) = (-1, ErrorCode::NONE);

#[test]
fn a_commit_is_answered_when_it_is_durable_and_read_no_earlier() {
    let world = World::new();
    world.create("t", 2, &[]);
    assert_eq!(fetch(&world, "g", "t", 1), NONE);
    let asked = world.ask(8, commit("g", "t", 1, 7));
    assert!(asked.waits());
    let topics = Some(vec![OffsetFetchRequestTopic { name: "t".to_owned(), partition_indexes: vec![1] }]);
    let read = world.ask(7, OffsetFetchRequest { group_id: "g".to_owned(), topics, ..Default::default() });
    assert!(read.waits(), "a read tells of nothing that could be lost");
    world.commit();
    assert_eq!(committed(&asked), ErrorCode::NONE);
    assert_eq!(answer!(OffsetFetch, read).topics[0].partitions[0].committed_offset, 7);
    let world = world.power_cut();
    assert_eq!(fetch(&world, "g", "t", 1), (7, ErrorCode::NONE));
    assert_eq!(fetch(&world, "g", "t", 0), NONE);
}

#[test]
fn what_was_not_durable_is_gone_after_a_power_cut() {
    let world = World::new();
    world.create("t", 1, &[]);
    commit_now(&world, commit("g", "t", 0, 1));
    world.ask(8, commit("g", "t", 0, 2));
    let world = world.power_cut();
    assert_eq!(fetch(&world, "g", "t", 0), (1, ErrorCode::NONE));
}

#[test]
fn every_version_can_be_answered() {
    let world = World::new();
    let id = world.create("t", 1, &[]);
    for version in 2..=10 {
        let mut request = commit("g", "t", 0, i64::from(version));
        request.topics[0].topic_id = id;
        let asked = world.ask(version, request);
        world.commit();
        assert_eq!(committed(&asked), ErrorCode::NONE, "version {version}");
        response::encode(1, version, &asked.answer()).unwrap();
    }
    for version in 1..=10 {
        let name = "t".to_owned();
        let topics = vec![OffsetFetchRequestTopic { name: name.clone(), partition_indexes: vec![0] }];
        let by_group = vec![OffsetFetchRequestTopics { name, topic_id: id, partition_indexes: vec![0] }];
        let group = OffsetFetchRequestGroup { group_id: "g".to_owned(), topics: Some(by_group), ..Default::default() };
        let request = OffsetFetchRequest {
            group_id: "g".to_owned(),
            topics: Some(topics),
            groups: vec![group],
            ..Default::default()
        };
        let response = answer!(OffsetFetch, world.ask(version, request));
        let offset = match version {
            ..8 => response.topics[0].partitions[0].committed_offset,
            _ => response.groups[0].topics[0].partitions[0].committed_offset,
        };
        assert_eq!(offset, 10, "version {version}");
        response::encode(1, version, &response.into()).unwrap();
    }
}

#[test]
fn all_topics_of_several_groups_are_fetched_together() {
    let world = World::new();
    let id = world.create("t", 2, &[]);
    world.create("u", 1, &[]);
    for (group, topic, partition) in [("g", "t", 0), ("g", "t", 1), ("g", "u", 0), ("h", "u", 0)] {
        commit_now(&world, commit(group, topic, partition, 5));
    }
    let group = |name: &str| OffsetFetchRequestGroup { group_id: name.to_owned(), topics: None, ..Default::default() };
    let groups = vec![group("g"), group("none"), group("h"), group("")];
    let response = answer!(OffsetFetch, world.ask(10, OffsetFetchRequest { groups, ..Default::default() }));
    let counts: Vec<usize> = response.groups.iter().map(|group| group.topics.len()).collect();
    assert_eq!(counts, [2, 0, 1, 0]);
    assert_eq!(response.groups[0].topics[0].topic_id, id);
    assert_eq!(response.groups[0].topics[0].partitions.len(), 2);
    assert_eq!(ErrorCode(response.groups[3].error_code), ErrorCode::INVALID_GROUP_ID);
}

#[test]
fn commits_are_checked() {
    let world = World::new();
    world.create("t", 1, &[]);
    assert_eq!(commit_now(&world, commit("", "t", 0, 1)), ErrorCode::INVALID_GROUP_ID);
    assert_eq!(commit_now(&world, commit("g", "none", 0, 1)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(commit_now(&world, commit("g", "t", 1, 1)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(commit_now(&world, commit("g", "t", -1, 1)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut long = commit("g", "t", 0, 1);
    long.topics[0].partitions[0].committed_metadata = Some("x".repeat(4097));
    assert_eq!(commit_now(&world, long), ErrorCode::OFFSET_METADATA_TOO_LARGE);
    let unknown = OffsetCommitRequest { generation_id_or_member_epoch: 3, ..commit("none", "t", 0, 1) };
    assert_eq!(commit_now(&world, unknown.clone()), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(committed(&world.ask(9, unknown)), ErrorCode::GROUP_ID_NOT_FOUND);
    let mut lost = commit("g", "", 0, 1);
    lost.topics[0].topic_id = Uuid::from_u128(7);
    assert_eq!(committed(&world.ask(10, lost)), ErrorCode::UNKNOWN_TOPIC_ID);
    assert_eq!(fetch(&world, "g", "t", 0), NONE);
}

#[test]
fn a_group_with_members_takes_commits_of_its_members_only() {
    let world = World::new();
    world.create("t", 1, &[]);
    let (id, generation) = one_member(&world, "g");
    let by = |member_id: &str, generation_id_or_member_epoch| OffsetCommitRequest {
        member_id: member_id.to_owned(),
        generation_id_or_member_epoch,
        ..commit("g", "t", 0, 1)
    };
    assert_eq!(commit_now(&world, by(&id, generation)), ErrorCode::NONE);
    assert_eq!(commit_now(&world, by(&id, generation - 1)), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(commit_now(&world, by("x", generation)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(commit_now(&world, by("", -1)), ErrorCode::UNKNOWN_MEMBER_ID);
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[test]
fn offsets_of_an_empty_group_expire_and_those_of_a_living_one_do_not() {
    let world = World::new();
    world.create("t", 1, &[]);
    let (id, generation) = one_member(&world, "living");
    let by_member = OffsetCommitRequest {
        member_id: id.clone(),
        generation_id_or_member_epoch: generation,
        ..commit("living", "t", 0, 1)
    };
    commit_now(&world, by_member);
    commit_now(&world, commit("g", "t", 0, 1));
    world.clock.advance(6 * DAY_MS);
    world.commit();
    assert_eq!(fetch(&world, "g", "t", 0).0, 1);
    world.clock.advance(DAY_MS);
    pass(&world, 100);
    assert_eq!(fetch(&world, "g", "t", 0), NONE);
    assert_eq!(fetch(&world, "living", "t", 0).0, 1, "it became empty only lately");
    let world = world.restart();
    assert_eq!(fetch(&world, "g", "t", 0), NONE);
    world.clock.advance(8 * DAY_MS);
    pass(&world, 100);
    assert_eq!(fetch(&world, "living", "t", 0), NONE);
}

#[test]
fn offsets_go_with_their_topic() {
    let world = World::new();
    world.create("t", 1, &[]);
    commit_now(&world, commit("g", "t", 0, 9));
    world.ask(3, DeleteTopicsRequest { topic_names: vec!["t".to_owned()], ..Default::default() });
    world.create("t", 1, &[]);
    world.commit();
    assert_eq!(fetch(&world, "g", "t", 0), NONE);
    commit_now(&world, commit("g", "t", 0, 9));
    // Whoever deletes it behind the broker's back, just before a stop.
    world.log.delete_topic("t").unwrap();
    let world = world.restart();
    world.create("t", 1, &[]);
    world.commit();
    assert_eq!(fetch(&world, "g", "t", 0), NONE);
}

#[test]
fn offsets_are_deleted_unless_somebody_reads_there() {
    let world = World::new();
    world.create("t", 1, &[]);
    commit_now(&world, commit("g", "t", 0, 9));
    let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
    let delete = |group: &str| {
        let topic = |name: &str| OffsetDeleteRequestTopic { name: name.to_owned(), partitions: partitions.clone() };
        let request = OffsetDeleteRequest { group_id: group.to_owned(), topics: vec![topic("t"), topic("none")] };
        let asked = world.ask(0, request);
        world.commit();
        answer!(OffsetDelete, asked)
    };
    let response = delete("g");
    let codes: Vec<ErrorCode> = response.topics.iter().map(|topic| ErrorCode(topic.partitions[0].error_code)).collect();
    assert_eq!(codes, [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
    assert_eq!(fetch(&world, "g", "t", 0), NONE);
    assert_eq!(ErrorCode(delete("none").error_code), ErrorCode::GROUP_ID_NOT_FOUND);
    // The metadata of this member is no subscription that can be read.
    one_member(&world, "busy");
    let code = delete("busy").topics[0].partitions[0].error_code;
    assert_eq!(ErrorCode(code), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
}

#[test]
fn the_lag_is_what_is_durable_and_not_committed() {
    let world = World::new();
    world.create("t", 2, &[]);
    world.produced("t", 1, &crate::support::batch(&["a", "b", "c"]));
    for (group, offset) in [("g", 1), ("f", 3)] {
        assert_eq!(commit_now(&world, commit(group, "t", 1, offset)), ErrorCode::NONE);
    }
    let lags = |most| {
        let lags = world.broker.group_lags(most);
        lags.into_iter().map(|lag| (lag.group, lag.partition, lag.records)).collect::<Vec<_>>()
    };
    assert_eq!(lags(9), [("f".to_owned(), 1, 0), ("g".to_owned(), 1, 2)]);
    assert_eq!(lags(1).len(), 1);
}
