//! Consumer groups (KIP-848), asked as clients ask.

use std::collections::BTreeSet;

use fleuve_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use fleuve_wire::messages::consumer_group_describe_response::DescribedGroup;
use fleuve_wire::messages::consumer_group_heartbeat_request::{ConsumerGroupHeartbeatRequest, TopicPartitions};
use fleuve_wire::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use fleuve_wire::messages::list_groups_request::ListGroupsRequest;
use fleuve_wire::messages::offset_commit_request::OffsetCommitRequest;
use fleuve_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use fleuve_wire::{ErrorCode, Uuid, response};

use crate::groups::{join, one_member, pass};
use crate::offsets::{commit, fetch};
use crate::support::{World, answer};

/// A heartbeat of a member that joins and reads `t`.
fn joining(group: &str, member_id: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member_id.to_owned(),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        topic_partitions: Some(vec![]),
        ..Default::default()
    }
}

fn send(world: &World, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    let asked = world.ask(1, request);
    world.commit();
    answer!(ConsumerGroupHeartbeat, asked)
}

#[track_caller]
fn refused(world: &World, request: ConsumerGroupHeartbeatRequest, code: ErrorCode) {
    let response = send(world, request);
    assert_eq!(ErrorCode(response.error_code), code, "{response:?}");
}

fn partitions(response: &ConsumerGroupHeartbeatResponse) -> BTreeSet<(Uuid, i32)> {
    let topics = response.assignment.iter().flat_map(|assignment| &assignment.topic_partitions);
    topics.flat_map(|topic| topic.partitions.iter().map(|&partition| (topic.topic_id, partition))).collect()
}

/// A heartbeat that tells what is owned.
fn owning(group: &str, told: &ConsumerGroupHeartbeatResponse) -> ConsumerGroupHeartbeatRequest {
    let owned = told.assignment.iter().flat_map(|assignment| &assignment.topic_partitions);
    let owned = owned.map(|topic| TopicPartitions { topic_id: topic.topic_id, partitions: topic.partitions.clone() });
    ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: told.member_id.clone().unwrap(),
        member_epoch: told.member_epoch,
        topic_partitions: Some(owned.collect()),
        ..Default::default()
    }
}

fn describe(world: &World, group: &str) -> DescribedGroup {
    let request =
        ConsumerGroupDescribeRequest { group_ids: vec![group.to_owned()], include_authorized_operations: true };
    answer!(ConsumerGroupDescribe, world.ask(1, request)).groups.remove(0)
}

#[test]
fn two_members_share_a_topic() {
    let world = World::new();
    world.create("t", 4, &[]);
    let first = send(&world, joining("g", "a"));
    assert_eq!((first.error_code, first.heartbeat_interval_ms, partitions(&first).len()), (0, 5000, 4));
    let second = send(&world, joining("g", "b"));
    assert_eq!(partitions(&second).len(), 0);
    let less = send(&world, owning("g", &first));
    assert_eq!((partitions(&less).len(), less.member_epoch), (2, first.member_epoch));
    let given_back = send(&world, owning("g", &less));
    assert!(given_back.member_epoch > first.member_epoch);
    let more =
        send(&world, ConsumerGroupHeartbeatRequest { member_epoch: second.member_epoch, ..owning("g", &second) });
    assert_eq!(partitions(&more).len(), 2);
    assert!(partitions(&more).is_disjoint(&partitions(&less)));
    let group = describe(&world, "g");
    assert_eq!(
        (group.group_state.as_str(), group.assignor_name.as_str(), group.members.len()),
        ("Stable", "uniform", 2)
    );
    assert!(group.members.iter().all(|member| member.assignment == member.target_assignment));
    assert_eq!(group.members[0].assignment.topic_partitions[0].topic_name, "t");
    response::encode(
        1,
        1,
        &answer!(
            ConsumerGroupDescribe,
            world.ask(
                0,
                ConsumerGroupDescribeRequest {
                    group_ids: vec!["g".to_owned(), "none".to_owned()],
                    include_authorized_operations: false,
                }
            )
        )
        .into(),
    )
    .unwrap();
}

#[test]
fn an_answer_waits_until_it_is_durable_and_the_member_survives() {
    let world = World::new();
    world.create("t", 2, &[]);
    let asked = world.ask(1, joining("g", "a"));
    assert!(asked.waits());
    world.commit();
    let told = answer!(ConsumerGroupHeartbeat, asked);
    let world = world.power_cut();
    let again = send(&world, owning("g", &told));
    assert_eq!(again.error_code, 0);
    assert_eq!(describe(&world, "g").members[0].assignment.topic_partitions[0].partitions, [0, 1]);
    pass(&world, 60_000);
    refused(&world, owning("g", &told), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = World::new();
    world.create("t", 1, &[]);
    let base = || joining("g", "a");
    let invalid = [
        ConsumerGroupHeartbeatRequest { member_id: String::new(), ..base() },
        ConsumerGroupHeartbeatRequest { member_epoch: -3, ..base() },
        ConsumerGroupHeartbeatRequest { member_epoch: -2, ..base() },
        ConsumerGroupHeartbeatRequest { instance_id: Some(String::new()), ..base() },
        ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..base() },
        ConsumerGroupHeartbeatRequest { topic_partitions: None, ..base() },
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..base() },
    ];
    for request in invalid {
        refused(&world, request, ErrorCode::INVALID_REQUEST);
    }
    refused(&world, joining("", "a"), ErrorCode::INVALID_GROUP_ID);
    let wrong = ConsumerGroupHeartbeatRequest { server_assignor: Some("sticky".to_owned()), ..base() };
    refused(&world, wrong, ErrorCode::UNSUPPORTED_ASSIGNOR);
    let wrong = ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some("(".to_owned()), ..base() };
    refused(&world, wrong, ErrorCode::INVALID_REGULAR_EXPRESSION);
    refused(&world, ConsumerGroupHeartbeatRequest { member_epoch: 3, ..base() }, ErrorCode::GROUP_ID_NOT_FOUND);
    let named = answer!(ConsumerGroupHeartbeat, {
        let asked = world.ask(0, ConsumerGroupHeartbeatRequest { member_id: String::new(), ..base() });
        world.commit();
        asked
    });
    assert_eq!(named.member_id.map(|id| id.len()), Some(36), "version 0 lets the broker choose");
}

#[test]
fn the_two_protocols_do_not_mix_but_follow_one_another() {
    let world = World::new();
    world.create("t", 1, &[]);
    let (id, generation) = one_member(&world, "old");
    refused(&world, joining("old", "a"), ErrorCode::GROUP_ID_NOT_FOUND);
    let told = send(&world, joining("new", "a"));
    let code = ErrorCode(answer!(JoinGroup, world.ask(3, join("new", ""))).error_code);
    assert_eq!(code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let asked = world.ask(
        5,
        fleuve_wire::messages::describe_groups_request::DescribeGroupsRequest {
            groups: vec!["new".to_owned()],
            ..Default::default()
        },
    );
    assert_eq!(answer!(DescribeGroups, asked).groups[0].group_state, "Dead");
    let types = vec!["consumer".to_owned()];
    let listed = answer!(ListGroups, world.ask(5, ListGroupsRequest { types_filter: types, ..Default::default() }));
    assert_eq!(listed.groups.iter().map(|group| group.group_id.as_str()).collect::<Vec<_>>(), ["new"]);

    pass(&world, 20_000);
    assert_ne!(crate::groups::beat(&world, "old", &id, generation), ErrorCode::NONE);
    let taken = send(&world, joining("old", "a"));
    assert_eq!(taken.error_code, 0);
    assert!(taken.member_epoch > generation);
    send(&world, ConsumerGroupHeartbeatRequest { member_epoch: -1, ..owning("new", &told) });
    let world = world.restart();
    assert!(one_member(&world, "new").1 > told.member_epoch);
    assert_eq!(describe(&world, "old").members.len(), 1);
}

#[test]
fn members_commit_and_fetch_at_their_epoch() {
    let world = World::new();
    let topic_id = world.create("t", 1, &[]);
    let told = send(&world, joining("g", "a"));
    let by = |member: &str, epoch| OffsetCommitRequest {
        member_id: member.to_owned(),
        generation_id_or_member_epoch: epoch,
        ..commit("g", "t", 0, 5)
    };
    let committed = |version, request: OffsetCommitRequest| {
        let asked = world.ask(version, request);
        world.commit();
        ErrorCode(answer!(OffsetCommit, asked).topics[0].partitions[0].error_code)
    };
    assert_eq!(committed(9, by("a", told.member_epoch)), ErrorCode::NONE);
    assert_eq!(committed(9, by("a", told.member_epoch - 1)), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(committed(9, by("x", told.member_epoch)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(committed(8, by("a", told.member_epoch)), ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(fetch(&world, "g", "t", 0), (5, ErrorCode::NONE));
    let fetched = |epoch| {
        let topic = OffsetFetchRequestTopics { topic_id, partition_indexes: vec![0], ..Default::default() };
        let (group_id, member_id) = ("g".to_owned(), Some("a".to_owned()));
        let group = OffsetFetchRequestGroup { group_id, member_id, member_epoch: epoch, topics: Some(vec![topic]) };
        answer!(OffsetFetch, world.ask(10, OffsetFetchRequest { groups: vec![group], ..Default::default() }))
            .groups
            .remove(0)
    };
    assert_eq!(fetched(told.member_epoch).topics[0].partitions[0].committed_offset, 5);
    assert_eq!(ErrorCode(fetched(told.member_epoch - 1).error_code), ErrorCode::STALE_MEMBER_EPOCH);
}

#[test]
fn topics_that_come_and_go_reach_the_members() {
    let world = World::new();
    world.create("t", 1, &[]);
    let pattern = ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some("t.*".to_owned()), ..joining("g", "a") };
    let told = send(&world, pattern);
    assert_eq!(partitions(&told).len(), 1);
    world.create("topic", 2, &[]);
    let more = send(&world, owning("g", &told));
    assert_eq!(partitions(&more).len(), 3);
    let request = fleuve_wire::messages::delete_topics_request::DeleteTopicsRequest {
        topic_names: vec!["topic".to_owned()],
        ..Default::default()
    };
    world.ask(3, request);
    let less = send(&world, owning("g", &more));
    assert_eq!(partitions(&less).len(), 1);
}
