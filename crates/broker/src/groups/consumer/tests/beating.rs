//! Members come, get partitions, give them back and go.

use super::*;

#[test]
fn a_first_member_gets_everything_at_once() {
    let mut world = World::new();
    let mut client = Client::new("a");
    client.beat(&mut world).unwrap();
    assert_eq!(client.owned, partitions(1, 0..6));
    assert!(client.epoch > 0);
    assert_eq!(world.group.state_name(), "Stable");
    assert!(world.dirty.contains(&Key::Group) && world.dirty.contains(&Key::Member("a".to_owned())));
    world.dirty.clear();
    let told = world.beat(&client.says()).unwrap();
    assert_eq!(told.assignment, None, "nothing has changed");
    assert!(world.dirty.is_empty(), "so nothing is stored");
}

#[test]
fn a_partition_is_given_only_when_it_was_given_back() {
    let mut world = World::new();
    let mut first = Client::new("a");
    first.beat(&mut world).unwrap();
    let epoch = first.epoch;
    let mut second = Client::new("b");
    second.beat(&mut world).unwrap();
    assert_eq!(second.owned.len(), 0);
    assert_eq!(second.epoch, world.group.epoch);
    assert_eq!(world.group.state_name(), "Reconciling");

    let told = world.beat(&first.says()).unwrap();
    assert_eq!(told.epoch, epoch, "it must give back before it goes on");
    assert_eq!(told.assignment.as_ref().map(Assignment::len), Some(3));
    world.beat(&first.says()).unwrap();
    second.beat(&mut world).unwrap();
    assert_eq!(second.owned.len(), 0, "the first says that it still has them");

    first.take(told);
    first.beat(&mut world).unwrap();
    assert_eq!(first.epoch, world.group.epoch);
    second.beat(&mut world).unwrap();
    assert_eq!((first.owned.len(), second.owned.len()), (3, 3));
    assert!(first.owned.is_disjoint(&second.owned));
    assert_eq!(world.group.state_name(), "Stable");
}

#[test]
fn whoever_does_not_give_back_in_time_is_out() {
    let mut world = World::new();
    let mut first = Client::new("a");
    first.beat(&mut world).unwrap();
    let mut second = Client::new("b");
    second.beat(&mut world).unwrap();
    let stuck = first.says();
    for _ in 0..7 {
        let _ = world.beat(&stuck);
        second.beat(&mut world).unwrap();
        world.pass(Duration::from_secs(5));
    }
    assert_eq!(world.beat(&stuck), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    second.beat(&mut world).unwrap();
    assert_eq!(second.owned, partitions(1, 0..6));
}

#[test]
fn whoever_is_silent_is_out() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    settle(&mut world, &mut clients);
    for _ in 0..10 {
        clients[0].beat(&mut world).unwrap();
        world.pass(Duration::from_secs(5));
    }
    assert_eq!(world.beat(&clients[1].says()), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    settle(&mut world, &mut clients[..1]);
    assert_eq!(clients[0].owned.len(), 6);
}

#[test]
fn a_member_that_leaves_frees_its_partitions() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    settle(&mut world, &mut clients);
    let told = world.beat(&Heartbeat { epoch: -1, ..clients[1].says() }).unwrap();
    assert_eq!(told.epoch, -1);
    settle(&mut world, &mut clients[..1]);
    assert_eq!(clients[0].owned.len(), 6);
    world.beat(&Heartbeat { epoch: -1, ..clients[0].says() }).unwrap();
    assert_eq!(world.group.state_name(), "Empty");
}

#[test]
fn epochs_that_do_not_fit_are_fenced_off() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    settle(&mut world, &mut clients);
    let ahead = Heartbeat { epoch: clients[0].epoch + 1, ..clients[0].says() };
    assert_eq!(world.beat(&ahead), Err(ErrorCode::FENCED_MEMBER_EPOCH));
    let stranger = Heartbeat { member_id: "x".to_owned(), ..clients[0].says() };
    assert_eq!(world.beat(&stranger), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    let epoch = clients[0].epoch;
    assert_eq!(world.group.check_commit("a", epoch, false), Ok(()));
    assert_eq!(world.group.check_commit("a", epoch - 1, false), Err(ErrorCode::STALE_MEMBER_EPOCH));
    assert_eq!(world.group.check_commit("x", epoch, false), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(world.group.check_commit("", -1, false), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(world.group.check_commit("", -1, true), Ok(()));
}

#[test]
fn a_member_whose_answer_was_lost_may_say_its_last_epoch() {
    let mut world = World::new();
    let mut first = Client::new("a");
    first.beat(&mut world).unwrap();
    world.topics.set("t", 1, 8);
    let before = first.clone();
    first.beat(&mut world).unwrap();
    assert!(first.epoch > before.epoch);
    assert!(world.beat(&before.says()).is_ok());
    let too_much = Heartbeat { owned: Some(partitions(1, 0..9)), ..before.says() };
    assert_eq!(world.beat(&too_much), Err(ErrorCode::FENCED_MEMBER_EPOCH));
}

#[test]
fn a_member_that_joins_anew_has_nothing_any_more() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    settle(&mut world, &mut clients);
    clients[0].reset();
    settle(&mut world, &mut clients);
    assert_eq!(counts(&clients), [3, 3]);
}

#[test]
fn topics_that_grow_come_and_go_change_the_targets() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    clients.iter_mut().for_each(|client| client.topics = vec!["t", "u"]);
    settle(&mut world, &mut clients);
    assert_eq!(counts(&clients), [3, 3]);
    world.topics.set("t", 1, 8);
    settle(&mut world, &mut clients);
    assert_eq!(counts(&clients), [4, 4]);
    world.topics.set("u", 2, 2);
    settle(&mut world, &mut clients);
    assert_eq!(counts(&clients), [5, 5]);
    world.topics.remove("t");
    settle(&mut world, &mut clients);
    assert_eq!(counts(&clients), [1, 1]);
}

#[test]
fn a_pattern_follows_the_topics() {
    let mut world = World::new();
    let mut client = Client { topics: vec![], regex: Some("t.*|u"), ..Client::new("a") };
    client.beat(&mut world).unwrap();
    assert_eq!(client.owned.len(), 6);
    world.topics.set("topic", 2, 1);
    world.topics.set("not_t", 3, 1);
    world.topics.set("u2", 4, 1);
    client.beat(&mut world).unwrap();
    assert_eq!(client.owned.len(), 7, "whole names must match");
    assert!(world.group.wants("topic") && !world.group.wants("u2"));
    let all = Heartbeat { regex: Some(String::new()), topics: Some(BTreeSet::new()), ..client.says() };
    let told = world.beat(&all).unwrap();
    assert_eq!(told.assignment, Some(Assignment::default()));
}

#[test]
fn patterns_that_are_none_are_refused() {
    for wrong in ["(", "a)|(b", "[", &"x".repeat(5000), "(a{1000}){1000}"] {
        assert!(super::super::compile(wrong).is_none(), "{wrong:.10}");
    }
    assert!(super::super::compile("a|b").is_some_and(|regex| regex.is_match("b") && !regex.is_match("ab")));
}

#[test]
fn a_static_member_comes_back_to_its_partitions() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    clients[1].instance = Some("one".to_owned());
    settle(&mut world, &mut clients);
    let owned = clients[1].owned.clone();
    let mut other = Client { instance: Some("one".to_owned()), ..Client::new("c") };
    assert_eq!(world.beat(&other.says()), Err(ErrorCode::UNRELEASED_INSTANCE_ID));
    let (epoch, group_epoch) = (clients[1].epoch, world.group.epoch);
    let told = world.beat(&Heartbeat { epoch: -2, ..clients[1].says() }).unwrap();
    assert_eq!(told.epoch, -2);
    clients[0].beat(&mut world).unwrap();
    assert_eq!(clients[0].owned.len(), 3, "its partitions are kept for it");
    other.beat(&mut world).unwrap();
    assert_eq!((&other.owned, other.epoch, world.group.epoch), (&owned, epoch, group_epoch));
    assert_eq!(world.beat(&clients[1].says()), Err(ErrorCode::FENCED_INSTANCE_ID));
}

#[test]
fn a_static_member_that_stays_away_is_out() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    clients[1].instance = Some("one".to_owned());
    settle(&mut world, &mut clients);
    world.beat(&Heartbeat { epoch: -2, ..clients[1].says() }).unwrap();
    for _ in 0..10 {
        clients[0].beat(&mut world).unwrap();
        world.pass(Duration::from_secs(5));
    }
    settle(&mut world, &mut clients[..1]);
    assert_eq!(clients[0].owned.len(), 6);
}

#[test]
fn a_full_group_takes_nobody_in() {
    let mut world = World::new();
    world.config.members_max = 1;
    Client::new("a").beat(&mut world).unwrap();
    assert_eq!(world.beat(&Client::new("b").says()), Err(ErrorCode::GROUP_MAX_SIZE_REACHED));
}

#[test]
fn members_go_on_after_a_restart() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    settle(&mut world, &mut clients);
    let before = clients.clone();
    world.restart();
    settle(&mut world, &mut clients);
    assert_eq!(
        clients.iter().map(|c| &c.owned).collect::<Vec<_>>(),
        before.iter().map(|c| &c.owned).collect::<Vec<_>>()
    );
}

#[test]
fn a_thousand_members_share_a_large_topic() {
    let mut world = World::new();
    world.topics.set("t", 1, 1500);
    let mut clients: Vec<Client> = (0..1000).map(|number| Client::new(&format!("m{number}"))).collect();
    for client in &mut clients {
        client.beat(&mut world).unwrap();
    }
    for _ in 0..3 {
        clients.iter_mut().for_each(|client| client.beat(&mut world).unwrap());
    }
    let counts = counts(&clients);
    assert_eq!((counts[0], counts[999], counts.iter().sum::<usize>()), (1, 2, 1500));
}
