//! From joining to an assignment, and again.

use super::*;

#[test]
fn a_first_member_leads_and_gets_what_it_assigns() {
    let mut world = World::new();
    let joined = world.join_now(dynamic("a"));
    assert_eq!((joined.error, joined.generation), (ErrorCode::NONE, 1));
    assert_eq!(joined.leader, joined.member_id);
    assert!(joined.member_id.starts_with("a-") && joined.member_id.len() == 2 + 36, "{}", joined.member_id);
    assert_eq!(joined.protocol.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
    assert!(world.dirty.contains(&Key::Group), "the generation is stored before it is told");

    let token = world.sync(&joined.member_id, 1, &[(&joined.member_id, "all")]);
    let synced = world.synced(token).unwrap();
    assert_eq!((synced.error, &synced.assignment[..]), (ErrorCode::NONE, &b"all"[..]));
    assert_eq!(world.group.state, State::Stable);
    assert_eq!(world.heartbeat(&joined.member_id, 1), Ok(()));
}

#[test]
fn a_client_that_can_is_given_its_id_first() {
    let mut world = World::new();
    let refused = world.join_now(Join { takes_member_id: true, ..dynamic("a") });
    assert_eq!(refused.error, ErrorCode::MEMBER_ID_REQUIRED);
    assert_eq!(world.group.state, State::Empty);
    let joined = world.join_now(again(&refused.member_id));
    assert_eq!((joined.error, joined.member_id), (ErrorCode::NONE, refused.member_id));
}

#[test]
fn an_id_that_nobody_has_given_out_is_refused() {
    let mut world = World::new();
    assert_eq!(world.join_now(again("stranger")).error, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_second_member_waits_until_the_first_joins_again() {
    let mut world = World::new();
    let first = world.stable(&["a"]).remove(0);
    let second = world.join(dynamic("b"));
    assert_eq!(world.joined(second), None);
    assert_eq!(world.heartbeat(&first, 1), Err(ErrorCode::REBALANCE_IN_PROGRESS));
    let joined = world.join_now(again(&first));
    let other = world.joined(second).unwrap();
    assert_eq!((joined.generation, other.generation), (2, 2));
    assert_eq!((&joined.leader, &other.leader), (&first, &first));
    assert_eq!((joined.members.len(), other.members.len()), (2, 0));
}

#[test]
fn followers_wait_for_the_leaders_assignment() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    let leader = world.join(again(&ids[0]));
    let follower = world.join(again(&ids[1]));
    let generation = world.joined(leader).unwrap().generation;
    assert_eq!(world.joined(follower).unwrap().generation, generation);
    let waiting = world.sync(&ids[1], generation, &[]);
    assert_eq!(world.synced(waiting), None);
    assert_eq!(world.heartbeat(&ids[1], generation), Ok(()));
    world.sync(&ids[0], generation, &[(&ids[1], "yours")]);
    assert_eq!(&world.synced(waiting).unwrap().assignment[..], b"yours");
    let late = world.sync(&ids[0], generation, &[]);
    assert_eq!(&world.synced(late).unwrap().assignment[..], b"", "the leader left itself out");
}

#[test]
fn whoever_is_of_another_generation_is_told_so() {
    let mut world = World::new();
    let id = world.stable(&["a"]).remove(0);
    assert_eq!(world.heartbeat(&id, 0), Err(ErrorCode::ILLEGAL_GENERATION));
    let token = world.sync(&id, 2, &[]);
    assert_eq!(world.synced(token).unwrap().error, ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(world.group.check_commit(&id, None, 0, false), Err(ErrorCode::ILLEGAL_GENERATION));
    assert_eq!(world.group.check_commit(&id, None, 1, false), Ok(()));
    assert_eq!(world.group.check_commit("", None, -1, false), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(world.group.check_commit("", None, -1, true), Ok(()));
}

#[test]
fn a_sync_meets_a_rebalance() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    world.join(again(&ids[0]));
    world.join(again(&ids[1]));
    let generation = world.group.generation;
    let waiting = world.sync(&ids[1], generation, &[]);
    world.leave(&ids[0], None).unwrap();
    assert_eq!(world.synced(waiting).unwrap().error, ErrorCode::REBALANCE_IN_PROGRESS);
    let token = world.sync(&ids[1], generation, &[]);
    assert_eq!(world.synced(token).unwrap().error, ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn the_protocol_that_most_prefer_is_taken() {
    let mut world = World::new();
    world.config.initial_rebalance_delay = Duration::from_secs(1);
    let wants = |name: &str, order: &[&str]| Join { protocols: protocols(order), ..dynamic(name) };
    let tokens = [
        world.join(wants("a", &["x", "y", "z"])),
        world.join(wants("b", &["z", "y", "x"])),
        world.join(wants("c", &["z", "x"])),
    ];
    let stranger = world.join_now(wants("d", &["w", "y"]));
    assert_eq!(stranger.error, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let other = world.join_now(Join { protocol_type: "connect".to_owned(), ..wants("e", &["x"]) });
    assert_eq!(other.error, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    world.pass(Duration::from_secs(5));
    for token in tokens {
        assert_eq!(world.joined(token).unwrap().protocol.as_deref(), Some("z"));
    }
}

#[test]
fn the_first_rebalance_waits_for_more_members_but_not_for_ever() {
    let mut world = World::new();
    world.config.initial_rebalance_delay = Duration::from_secs(3);
    let first = world.join(dynamic("a"));
    world.pass(Duration::from_secs(2));
    let second = world.join(dynamic("b"));
    world.pass(Duration::from_secs(3));
    assert_eq!(world.joined(first), None, "the second prolonged the wait");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.joined(first).unwrap().generation, 1);
    assert_eq!(world.joined(second).unwrap().generation, 1);
}

#[test]
fn a_follower_whose_answer_was_lost_is_answered_again() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    let joined = world.join_now(again(&ids[1]));
    assert_eq!((joined.error, joined.generation), (ErrorCode::NONE, world.group.generation));
    assert_eq!(world.group.state, State::Stable);
    // With another subscription it is a rebalance.
    let token = world.join(Join { protocols: vec![("range".to_owned(), "new".into())], ..again(&ids[1]) });
    assert_eq!(world.joined(token), None);
    assert_eq!(world.group.state, State::PreparingRebalance);
}

#[test]
fn a_join_sent_twice_answers_both() {
    let mut world = World::new();
    let ids = world.stable(&["a", "b"]);
    let lost = world.join(again(&ids[0]));
    let second = world.join(again(&ids[0]));
    assert_eq!(world.joined(lost).unwrap().error, ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(world.joined(second), None);
}

#[test]
fn a_full_group_takes_nobody_in() {
    let mut world = World::new();
    world.config.members_max = 1;
    world.stable(&["a"]);
    let refused = world.join_now(dynamic("b"));
    assert_eq!((refused.error, refused.member_id.as_str()), (ErrorCode::GROUP_MAX_SIZE_REACHED, ""));
    assert_eq!(world.group.state, State::Stable);
}

#[test]
fn a_thousand_members_come_to_a_generation() {
    let mut world = World::new();
    world.config.initial_rebalance_delay = Duration::from_secs(1);
    let tokens: Vec<Token> = (0..1000).map(|number| world.join(dynamic(&format!("m{number}")))).collect();
    world.pass(Duration::from_secs(10));
    let joined: Vec<Joined> = tokens.into_iter().map(|token| world.joined(token).unwrap()).collect();
    assert_eq!(joined.iter().filter(|joined| joined.members.len() == 1000).count(), 1);
    assert!(joined.iter().all(|joined| joined.generation == 1));
}
