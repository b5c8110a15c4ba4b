//! Classic groups, asked as clients ask: members, their administration, and what a restart or a power cut keeps.

use std::net::Ipv4Addr;

use fleuve_wire::messages::delete_groups_request::DeleteGroupsRequest;
use fleuve_wire::messages::describe_groups_request::DescribeGroupsRequest;
use fleuve_wire::messages::describe_groups_response::DescribedGroup;
use fleuve_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use fleuve_wire::messages::heartbeat_request::HeartbeatRequest;
use fleuve_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use fleuve_wire::messages::join_group_response::JoinGroupResponse;
use fleuve_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use fleuve_wire::messages::list_groups_request::ListGroupsRequest;
use fleuve_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use fleuve_wire::{ErrorCode, Uuid, request, response};

use crate::support::{Asked, World, answer};

/// A JoinGroup with one protocol.
pub fn join(group: &str, member_id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata: "wish".into() };
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

pub fn sync(group: &str, member_id: &str, generation_id: i32, assignments: &[(&str, &str)]) -> SyncGroupRequest {
    let assigned = |&(id, text): &(&str, &str)| SyncGroupRequestAssignment {
        member_id: id.to_owned(),
        assignment: text.to_owned().into(),
    };
    SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: assignments.iter().map(assigned).collect(),
        ..Default::default()
    }
}

/// Lets time go by, with commits.
pub fn pass(world: &World, ms: i64) {
    for _ in 0..ms / 100 {
        world.clock.advance(100);
        world.commit();
    }
}

fn joined(world: &World, asked: &Asked) -> JoinGroupResponse {
    pass(world, 500);
    let response = answer!(JoinGroup, asked);
    assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
    response
}

/// A group with one member that has its assignment: the member's id and generation.
pub fn one_member(world: &World, group: &str) -> (String, i32) {
    let response = joined(world, &world.ask(3, join(group, "")));
    let id = response.member_id;
    let asked = world.ask(5, sync(group, &id, response.generation_id, &[(&id, "all")]));
    world.commit();
    assert_eq!(&answer!(SyncGroup, asked).assignment[..], b"all");
    (id, response.generation_id)
}

pub fn beat(world: &World, group: &str, member_id: &str, generation_id: i32) -> ErrorCode {
    let (group_id, member_id) = (group.to_owned(), member_id.to_owned());
    let request = HeartbeatRequest { group_id, member_id, generation_id, ..Default::default() };
    ErrorCode(answer!(Heartbeat, world.ask(4, request)).error_code)
}

fn describe(world: &World, version: i16, group: &str) -> DescribedGroup {
    let request = DescribeGroupsRequest { groups: vec![group.to_owned()], include_authorized_operations: version >= 3 };
    answer!(DescribeGroups, world.ask(version, request)).groups.remove(0)
}

#[test]
fn an_answer_waits_until_the_generation_is_durable() {
    let world = World::new();
    let asked = world.ask(3, join("g", ""));
    world.clock.advance(500);
    world.run_timers();
    assert!(asked.waits(), "the generation is not yet durable");
    world.commit();
    assert_eq!(answer!(JoinGroup, asked).generation_id, 1);
}

#[test]
fn a_client_that_can_is_given_its_id_first() {
    let world = World::new();
    let refused = answer!(JoinGroup, world.ask(4, join("g", "")));
    assert_eq!(ErrorCode(refused.error_code), ErrorCode::MEMBER_ID_REQUIRED);
    let response = joined(&world, &world.ask(4, join("g", &refused.member_id)));
    assert_eq!(response.member_id, refused.member_id);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = World::new();
    let refused = |version, request| ErrorCode(answer!(JoinGroup, world.ask(version, request)).error_code);
    assert_eq!(refused(3, join("", "")), ErrorCode::INVALID_GROUP_ID);
    assert_eq!(refused(3, join("g", "x")), ErrorCode::UNKNOWN_MEMBER_ID);
    for session_timeout_ms in [-1, 5_999, 1_800_001] {
        let request = JoinGroupRequest { session_timeout_ms, ..join("g", "") };
        assert_eq!(refused(3, request), ErrorCode::INVALID_SESSION_TIMEOUT);
    }
    let request = JoinGroupRequest { protocols: vec![], ..join("g", "") };
    assert_eq!(refused(3, request), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(beat(&world, "nowhere", "x", 1), ErrorCode::UNKNOWN_MEMBER_ID);
    let vague = SyncGroupRequest { protocol_name: None, ..sync("g", "x", 1, &[]) };
    let code = ErrorCode(answer!(SyncGroup, world.ask(5, vague)).error_code);
    assert_eq!(code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn every_version_can_be_answered() {
    let world = World::new();
    for version in 0..=9 {
        let group = format!("g{version}");
        let mut asked = world.ask(version, join(&group, ""));
        pass(&world, 500);
        if version >= 4 {
            asked = world.ask(version, join(&group, &answer!(JoinGroup, asked).member_id));
            pass(&world, 500);
        }
        let joined = answer!(JoinGroup, asked);
        assert_eq!(joined.error_code, 0, "version {version}");
        response::encode(1, version, &joined.clone().into()).unwrap();
        let refused = answer!(JoinGroup, world.ask(version, join(&group, "x")));
        response::encode(1, version, &refused.into()).unwrap();
        for version in 0..=5 {
            let request = sync(&group, &joined.member_id, joined.generation_id, &[(&joined.member_id, "a")]);
            let asked = world.ask(version, request);
            world.commit();
            response::encode(1, version, &asked.answer()).unwrap();
        }
    }
}

#[test]
fn a_member_goes_on_after_a_restart_and_after_a_power_cut() {
    let world = World::new();
    let (id, generation) = one_member(&world, "g");
    let world = world.restart();
    assert_eq!(beat(&world, "g", &id, generation), ErrorCode::NONE);
    let world = world.power_cut();
    assert_eq!(beat(&world, "g", &id, generation), ErrorCode::NONE);
    let asked = world.ask(5, sync("g", &id, generation, &[]));
    assert_eq!(&answer!(SyncGroup, asked).assignment[..], b"all");
    pass(&world, 20_000);
    assert_eq!(beat(&world, "g", &id, generation), ErrorCode::UNKNOWN_MEMBER_ID);
    let rejoined = joined(&world, &world.ask(3, join("g", "")));
    assert!(rejoined.generation_id > generation);
}

#[test]
fn a_generation_is_never_given_twice_even_if_the_power_fails() {
    let world = World::new();
    let first = joined(&world, &world.ask(3, join("g", "")));
    let world = world.power_cut();
    let anew = world.ask(3, join("g", &first.member_id));
    assert!(joined(&world, &anew).generation_id > first.generation_id);
}

#[test]
fn an_answer_that_cannot_be_stored_is_an_error() {
    let world = World::new();
    let asked = world.ask(3, join("g", ""));
    world.clock.advance(500);
    world.log.close().unwrap();
    world.run_timers();
    assert_eq!(ErrorCode(answer!(JoinGroup, asked).error_code), ErrorCode::COORDINATOR_NOT_AVAILABLE);
}

#[test]
fn whoever_waits_is_answered_when_the_broker_stops() {
    let world = World::new();
    let asked = world.ask(3, join("g", ""));
    world.broker.close();
    assert_eq!(ErrorCode(answer!(JoinGroup, asked).error_code), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(beat(&world, "g", "x", 1), ErrorCode::COORDINATOR_NOT_AVAILABLE);
}

#[test]
fn members_leave_one_by_one_or_together() {
    let world = World::new();
    let (id, _) = one_member(&world, "g");
    let request = LeaveGroupRequest { group_id: "g".to_owned(), member_id: "x".to_owned(), ..Default::default() };
    assert_eq!(ErrorCode(answer!(LeaveGroup, world.ask(1, request)).error_code), ErrorCode::UNKNOWN_MEMBER_ID);
    let named = |id: &str| MemberIdentity { member_id: id.to_owned(), ..Default::default() };
    let members = vec![named(&id), named("x")];
    let asked = world.ask(5, LeaveGroupRequest { group_id: "g".to_owned(), members, ..Default::default() });
    world.commit();
    let response = answer!(LeaveGroup, asked);
    assert_eq!(response.error_code, 0);
    let codes: Vec<ErrorCode> = response.members.iter().map(|member| ErrorCode(member.error_code)).collect();
    assert_eq!(codes, [ErrorCode::NONE, ErrorCode::UNKNOWN_MEMBER_ID]);
    assert_eq!(describe(&world, 6, "g").group_state, "Empty");
}

#[test]
fn groups_are_listed_described_and_deleted() {
    let world = World::new();
    let (id, _) = one_member(&world, "busy");
    let left = one_member(&world, "left").0;
    world.ask(1, LeaveGroupRequest { group_id: "left".to_owned(), member_id: left, ..Default::default() });
    world.commit();
    let list = |states: &[&str], types: &[&str]| {
        let owned = |filter: &[&str]| filter.iter().map(|&text| text.to_owned()).collect();
        let request = ListGroupsRequest { states_filter: owned(states), types_filter: owned(types) };
        let groups = answer!(ListGroups, world.ask(5, request)).groups;
        groups.into_iter().map(|group| (group.group_id, group.group_state)).collect::<Vec<_>>()
    };
    let both = [("busy".to_owned(), "Stable".to_owned()), ("left".to_owned(), "Empty".to_owned())];
    assert_eq!(list(&[], &[]), both);
    assert_eq!(list(&["stable"], &["Classic"]), both[..1]);
    assert_eq!(list(&["Dead"], &[]), []);
    assert_eq!(list(&[], &["consumer"]), []);

    let group = describe(&world, 6, "busy");
    assert_eq!((group.protocol_type.as_str(), group.protocol_data.as_str()), ("consumer", "range"));
    assert_eq!(
        (group.members[0].member_id.as_str(), &group.members[0].member_assignment[..]),
        (id.as_str(), &b"all"[..])
    );
    assert_eq!(group.members[0].client_host, format!("/{}", Ipv4Addr::LOCALHOST));
    assert_ne!(group.authorized_operations, i32::MIN);
    assert_eq!(describe(&world, 5, "none").group_state, "Dead");
    assert_eq!(ErrorCode(describe(&world, 6, "none").error_code), ErrorCode::GROUP_ID_NOT_FOUND);

    let names = ["busy", "left", "none"].map(str::to_owned).to_vec();
    let asked = world.ask(2, DeleteGroupsRequest { groups_names: names });
    world.commit();
    let mut codes: Vec<_> =
        answer!(DeleteGroups, asked).results.into_iter().map(|r| (r.group_id, ErrorCode(r.error_code))).collect();
    codes.sort();
    let codes: Vec<ErrorCode> = codes.into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [ErrorCode::NON_EMPTY_GROUP, ErrorCode::NONE, ErrorCode::GROUP_ID_NOT_FOUND]);
    let world = world.restart();
    assert_eq!(describe(&world, 6, "left").group_state, "Dead");
}

#[test]
fn the_coordinator_is_always_here() {
    let world = World::new();
    let request = FindCoordinatorRequest { key: "g".to_owned(), ..Default::default() };
    for version in 0..=3 {
        let response = answer!(FindCoordinator, world.ask(version, request.clone()));
        assert_eq!((response.node_id, response.host.as_str(), response.port), (1, "broker.test", 9092));
        response::encode(1, version, &response.into()).unwrap();
    }
    let keys =
        FindCoordinatorRequest { key_type: 1, coordinator_keys: vec!["a".into(), "b".into()], ..Default::default() };
    let response = answer!(FindCoordinator, world.ask(6, keys));
    assert_eq!(
        response.coordinators.iter().map(|c| (c.key.as_str(), c.node_id)).collect::<Vec<_>>(),
        [("a", 1), ("b", 1)]
    );
    let wrong = FindCoordinatorRequest { key_type: 9, coordinator_keys: vec!["a".into()], ..Default::default() };
    let response = answer!(FindCoordinator, world.ask(6, wrong));
    assert_eq!(ErrorCode(response.coordinators[0].error_code), ErrorCode::INVALID_REQUEST);
}

#[test]
fn requests_survive_the_wire() {
    let asked = join("g", "m").into();
    let frame = request::encode(9, 1, Some("c"), &asked).unwrap().to_bytes().slice(4..);
    assert_eq!(request::decode(frame).unwrap().1, asked);
    assert_eq!(Uuid::NIL.to_u128(), 0);
}
