//! A full disk: what cannot be stored is refused so that clients try again, and when there is room everything goes on, in
//! the same process. Nothing that was decided is forgotten.

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;

use crate::offsets::{commit, commit_now, fetch};
use crate::producer::{Producer, TIMEOUT_MS, TOPIC, all_committed, all_stable, offset_of, rounds};
use crate::support::{World, answer, batch, error_of};

const BOTH: [bool; 2] = [false, true];

/// Longer than anything waits before it tries again.
const RETRY_MS: i64 = 1_000;

fn world() -> World {
    let world = World::new();
    world.create(TOPIC, 2, &[]);
    world
}

/// Lets time pass in which what failed is tried again.
fn recover(world: &World) {
    world.fs.set_room(None);
    for _ in 0..3 {
        world.clock.advance(RETRY_MS);
        world.run_timers();
        rounds(world);
    }
}

#[test]
fn producers_are_refused_and_readers_are_not() {
    let world = world();
    assert_eq!(world.produced(TOPIC, 0, &batch(&["a"])), 0);
    world.fs.set_room(Some(0));
    assert_eq!(error_of(&world.produce(TOPIC, 0, &batch(&["b"]))), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(all_committed(&world), ["a"]);
    world.fs.set_room(None);
    assert_eq!(world.produced(TOPIC, 0, &batch(&["b"])), 1);
}

#[test]
fn ids_and_offsets_are_to_be_asked_for_again() {
    let world = world();
    world.fs.set_room(Some(0));
    let asked = world.ask(
        4,
        InitProducerIdRequest { transactional_id: None, producer_id: -1, producer_epoch: -1, ..Default::default() },
    );
    world.commit();
    assert_eq!(answer!(InitProducerId, asked).error_code, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0);
    let code = commit_now(&world, commit("g", TOPIC, 0, 5));
    assert!([ErrorCode::COORDINATOR_NOT_AVAILABLE, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS].contains(&code), "{code}");
    world.fs.set_room(None);
    assert_eq!(commit_now(&world, commit("g", TOPIC, 0, 6)), ErrorCode::NONE);
    assert_eq!(fetch(&world.power_cut(), "g", TOPIC, 0), (6, ErrorCode::NONE));
}

#[test]
fn a_transaction_ends_as_it_was_decided_wherever_the_disk_was_full() {
    for (version_two, room) in BOTH.into_iter().flat_map(|two| (0..700).step_by(10).map(move |room| (two, room))) {
        let world = world();
        let mut producer = Producer::new("id", version_two);
        producer.init(&world);
        assert_eq!(producer.write(&world, 0, "a"), ErrorCode::NONE);
        assert_eq!(producer.write(&world, 1, "b"), ErrorCode::NONE);
        assert_eq!(producer.commit_offset(&world, "g", 9), ErrorCode::NONE);
        world.fs.set_room(Some(room));
        let first = producer.end(&world, true);
        assert!([ErrorCode::NONE, ErrorCode::COORDINATOR_NOT_AVAILABLE].contains(&first), "{room}: {first}");
        recover(&world);
        if first.is_err() {
            assert_eq!(producer.end(&world, true), ErrorCode::NONE, "{room}");
        }
        assert!(all_stable(&world), "{room}");
        assert_eq!(
            (all_committed(&world), offset_of(&world, "g")),
            (vec!["a".to_owned(), "b".to_owned()], 9),
            "{room}"
        );
        assert_eq!(producer.write(&world, 0, "c"), ErrorCode::NONE);
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert_eq!(all_committed(&world.power_cut()), ["a", "b", "c"], "{room}");
    }
}

#[test]
fn a_transaction_whose_time_is_over_is_aborted_as_soon_as_there_is_room() {
    for (version_two, room) in BOTH.into_iter().flat_map(|two| (0..700).step_by(10).map(move |room| (two, room))) {
        let world = world();
        let mut producer = Producer::new("id", version_two);
        producer.init(&world);
        assert_eq!(producer.write(&world, 0, "a"), ErrorCode::NONE);
        world.fs.set_room(Some(room));
        world.clock.advance(i64::from(TIMEOUT_MS));
        world.run_timers();
        rounds(&world);
        recover(&world);
        assert!(all_stable(&world) && all_committed(&world).is_empty(), "{room}");
        assert!(producer.end(&world, true).is_err());
        producer.init(&world);
        assert_eq!(producer.write(&world, 0, "b"), ErrorCode::NONE);
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert_eq!(all_committed(&world), ["b"]);
    }
}

#[test]
fn a_start_on_a_full_disk_finishes_what_was_decided_when_there_is_room() {
    let mut full = 0;
    // Room for all, some, or none of what is to be written.
    for room in (0..700).step_by(16) {
        let world = world();
        let mut producer = Producer::new("id", false);
        producer.init(&world);
        assert_eq!(producer.write(&world, 0, "a"), ErrorCode::NONE);
        let ending = producer.asks(&world, producer.end_request(true));
        world.log.commit_now().unwrap();
        assert!(ending.waits());
        let world = world.power_cut_with_room(room);
        full += u64::from(world.log.is_full());
        recover(&world);
        assert!(all_stable(&world), "{room}");
        assert_eq!(all_committed(&world), ["a"], "{room}");
        assert_eq!(producer.write(&world, 1, "b"), ErrorCode::NONE, "{room}");
    }
    assert!(full > 0);
}
