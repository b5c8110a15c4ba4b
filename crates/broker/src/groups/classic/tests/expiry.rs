//! Members that go: by leaving, by silence, by missing a rebalance; and what a restart keeps.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_silent_member_is_given_up_and_a_speaking_one_is_not() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    let generation = world.group.generation;
    world.pass(SESSION - SECOND);
    world.heartbeat(&ids[0], generation).unwrap();
    world.pass(2 * SECOND);
    assert_eq!(world.group.state, State::PreparingRebalance);
    assert!(!world.group.members.contains_key(&ids[1]));
    let joined = world.join_now(again(&ids[0]));
    assert_eq!((joined.generation, joined.members.len()), (generation + 1, 1));
}

#[test]
fn a_group_whose_last_member_is_silent_becomes_empty() {
    let mut world = World::new();
    world.stable(&["a"]);
    world.pass(SESSION);
    assert_eq!((world.group.state, world.group.generation), (State::Empty, 2));
    assert_eq!(world.wake, None, "nothing is left to be done");
}

#[test]
fn a_member_whose_join_waits_does_not_expire() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    let token = world.join(again(&ids[0]));
    for _ in 0..5 {
        world.pass(SESSION - SECOND);
        let _ = world.heartbeat(&ids[1], world.group.generation);
    }
    assert!(world.group.members.contains_key(&ids[0]));
    world.join(again(&ids[1]));
    assert_eq!(world.joined(token).unwrap().error, ErrorCode::NONE);
}

#[test]
fn a_rebalance_goes_on_without_those_who_do_not_come() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    let token = world.join(again(&ids[0]));
    for _ in 0..REBALANCE.as_secs() / 5 {
        world.pass(5 * SECOND);
        let _ = world.heartbeat(&ids[1], world.group.generation);
    }
    let joined = world.joined(token).unwrap();
    assert_eq!((joined.error, joined.members.len()), (ErrorCode::NONE, 1));
    assert_eq!(world.heartbeat(&ids[1], joined.generation), Err(ErrorCode::UNKNOWN_MEMBER_ID));
}

#[test]
fn whoever_does_not_ask_for_its_assignment_in_time_is_gone() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    world.join(again(&ids[0]));
    world.join(again(&ids[1]));
    let generation = world.group.generation;
    world.sync(&ids[0], generation, &[]);
    for _ in 0..REBALANCE.as_secs() / 5 {
        world.pass(5 * SECOND);
        let _ = world.heartbeat(&ids[0], generation);
        let _ = world.heartbeat(&ids[1], generation);
    }
    assert_eq!(world.group.state, State::PreparingRebalance);
    assert_eq!(world.group.members.keys().collect::<Vec<_>>(), [&ids[0]]);
}

#[test]
fn a_new_member_waits_longer_than_its_session_but_not_for_ever() {
    let mut world = World::new();
    let ids = world.stable(&["a"]);
    let rebalance_timeout = Duration::from_secs(3600);
    world.join(Join { rebalance_timeout, ..again(&ids[0]) });
    world.sync(&ids[0], world.group.generation, &[]);
    world.answers.clear();
    let newcomer = world.join(dynamic("b"));
    for _ in 0..60 {
        world.pass(5 * SECOND);
        let _ = world.heartbeat(&ids[0], world.group.generation);
    }
    assert_eq!(world.joined(newcomer).unwrap().error, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn an_id_that_is_not_used_holds_up_the_rebalance_only_for_its_session() {
    let mut world = World::new();
    let ids = world.stable(&["a"]);
    world.join_now(Join { takes_member_id: true, ..dynamic("b") });
    let token = world.join(again(&ids[0]));
    assert_eq!(world.joined(token), None);
    world.pass(SESSION);
    assert_eq!(world.joined(token).unwrap().members.len(), 1);
}

#[test]
fn leaving_begins_a_rebalance_and_a_stranger_cannot_leave() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    assert_eq!(world.leave("stranger", None), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(world.leave(&ids[0], None), Ok(()));
    assert_eq!(world.group.leader.as_ref(), Some(&ids[1]));
    assert!(world.dirty.contains(&Key::Member(ids[0].clone())));
    assert_eq!(world.leave(&ids[1], None), Ok(()));
    assert_eq!(world.group.state, State::Empty);
}

#[test]
fn members_go_on_after_a_restart() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    let generation = world.group.generation;
    world.restart();
    assert_eq!(world.group.state, State::Stable);
    assert_eq!(world.heartbeat(&ids[1], generation), Ok(()));
    let token = world.sync(&ids[1], generation, &[]);
    assert_eq!(world.synced(token).unwrap().assignment, ids[1].as_bytes());
    world.pass(SESSION - SECOND);
    world.heartbeat(&ids[1], generation).unwrap();
    world.pass(SECOND);
    assert_eq!(world.group.members.keys().collect::<Vec<_>>(), [&ids[1]], "the other one never came back");
}

#[test]
fn a_generation_without_assignments_is_begun_anew_after_a_restart() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    world.join(again(&ids[0]));
    world.join(again(&ids[1]));
    let generation = world.group.generation;
    world.restart();
    assert_eq!(world.heartbeat(&ids[0], generation), Err(ErrorCode::REBALANCE_IN_PROGRESS));
    world.join(again(&ids[0]));
    let joined = world.join_now(again(&ids[1]));
    assert_eq!(joined.generation, generation + 1);
}
