//! Static members (KIP-345), and leaders that skip assigning (KIP-814).

use super::*;

/// Two static members in a stable group; their ids, the leader's first.
fn two(world: &mut World) -> [String; 2] {
    let first = world.join_now(with_instance("one")).member_id;
    let second = world.join(with_instance("two"));
    world.join(Join { member_id: first.clone(), ..with_instance("one") });
    let second = world.joined(second).unwrap();
    let generation = second.generation;
    world.sync(&first, generation, &[(&first, "1"), (&second.member_id, "2")]);
    world.sync(&second.member_id, generation, &[]);
    world.answers.clear();
    [first, second.member_id]
}

#[test]
fn a_follower_that_starts_anew_takes_its_place_without_a_rebalance() {
    let mut world = World::new();
    let [leader, old] = two(&mut world);
    let generation = world.group.generation;
    let joined = world.join_now(with_instance("two"));
    assert_eq!((joined.error, joined.generation, &joined.leader), (ErrorCode::NONE, generation, &leader));
    assert_ne!(joined.member_id, old);
    assert!(joined.member_id.starts_with("two-"));
    assert_eq!(world.group.state, State::Stable);
    let token = world.sync(&joined.member_id, generation, &[]);
    assert_eq!(&world.synced(token).unwrap().assignment[..], b"2");
    let fenced = world.group.check_member(&old, Some("two"));
    assert_eq!(fenced, Err(ErrorCode::FENCED_INSTANCE_ID));
    assert!(world.dirty.contains(&Key::Member(old)) && world.dirty.contains(&Key::Member(joined.member_id)));
}

#[test]
fn a_leader_that_starts_anew_leads_but_need_not_assign() {
    let mut world = World::new();
    two(&mut world);
    let joined = world.join_now(with_instance("one"));
    assert_eq!((&joined.leader, joined.skip_assignment), (&joined.member_id, true));
    assert_eq!(joined.members.len(), 2);
}

#[test]
fn an_older_leader_that_starts_anew_is_told_that_its_former_self_leads() {
    let mut world = World::new();
    let [old, _] = two(&mut world);
    let joined = world.join_now(Join { skips_assignment: false, ..with_instance("one") });
    assert_eq!((&joined.leader, joined.skip_assignment), (&old, false));
    assert!(joined.members.is_empty());
    assert_eq!(world.group.leader, Some(joined.member_id));
}

#[test]
fn another_protocol_is_a_rebalance() {
    let mut world = World::new();
    let id = world.join_now(with_instance("one")).member_id;
    world.sync(&id, 1, &[]);
    let joined = world.join_now(Join { protocols: protocols(&["other"]), ..with_instance("one") });
    assert_eq!((joined.generation, joined.protocol.as_deref()), (2, Some("other")));
}

#[test]
fn a_waiting_request_of_the_former_self_is_fenced_off() {
    let mut world = World::new();
    let [_, second] = two(&mut world);
    let waiting = world.join(Join {
        protocols: vec![("range".to_owned(), "changed".into())],
        member_id: second.clone(),
        ..with_instance("two")
    });
    let anew = world.join(with_instance("two"));
    assert_eq!(world.joined(waiting).unwrap().error, ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(world.joined(anew), None);
}

#[test]
fn a_static_member_survives_a_missed_rebalance() {
    let mut world = World::new();
    let [first, second] = two(&mut world);
    let newcomer = world.join(dynamic("new"));
    world.join(Join { member_id: first.clone(), ..with_instance("one") });
    for _ in 0..REBALANCE.as_secs() / 5 {
        world.pass(Duration::from_secs(5));
        let _ = world.heartbeat(&second, world.group.generation);
    }
    assert_eq!(world.joined(newcomer).unwrap().error, ErrorCode::NONE);
    assert!(world.group.members.contains_key(&second));
}

#[test]
fn it_is_removed_by_its_instance_and_not_by_another_id() {
    let mut world = World::new();
    let [_, second] = two(&mut world);
    assert_eq!(world.leave("other", Some("two")), Err(ErrorCode::FENCED_INSTANCE_ID));
    assert_eq!(world.leave("", Some("three")), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(world.leave("", Some("two")), Ok(()));
    assert!(!world.group.members.contains_key(&second));
}

#[test]
fn it_goes_on_after_a_restart() {
    let mut world = World::new();
    let [_, old] = two(&mut world);
    world.restart();
    let joined = world.join_now(with_instance("two"));
    assert_eq!((joined.error, world.group.state), (ErrorCode::NONE, State::Stable));
    assert_ne!(joined.member_id, old);
}
