//! Incremental fetch sessions (KIP-227).

use fleuve_wire::messages::fetch_request::{FetchRequest, ForgottenTopic};
use fleuve_wire::messages::fetch_response::FetchResponse;
use fleuve_wire::{ErrorCode, Uuid};

use crate::fetch::{request, with_partitions};
use crate::support::{World, answer, batch, session};

/// A world with a session over two partitions; what the first answer was.
fn begun() -> (World, FetchResponse) {
    let world = World::new();
    world.create("orders", 2, &[]);
    let asked = FetchRequest { session_epoch: 0, max_wait_ms: 0, ..with_partitions(request("orders", 0), 2) };
    let response = answer!(Fetch, world.ask(12, asked));
    assert!(response.session_id > 0);
    assert_eq!(response.responses[0].partitions.len(), 2);
    (world, response)
}

/// A request of the session that changes nothing.
fn next(session_id: i32, session_epoch: i32) -> FetchRequest {
    FetchRequest { session_id, session_epoch, max_wait_ms: 0, min_bytes: 1, ..Default::default() }
}

/// Partitions and their errors.
fn told(response: &FetchResponse) -> Vec<(i32, i16)> {
    assert_eq!(response.error_code, 0);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| (partition.partition_index, partition.error_code)).collect()
}

fn code(response: &FetchResponse) -> ErrorCode {
    ErrorCode(response.error_code)
}

#[test]
fn only_what_has_changed_is_told() {
    let (world, first) = begun();
    let ask = |epoch| answer!(Fetch, world.ask(12, next(first.session_id, epoch)));
    assert_eq!(told(&ask(1)), []);
    world.produced("orders", 1, &batch(&["a"]));
    assert_eq!(told(&ask(2)), [(1, 0)]);
    // The consumer has not said that it wants to go on from elsewhere, so it gets the record again.
    assert_eq!(told(&ask(3)), [(1, 0)]);
    let mut moved = next(first.session_id, 4);
    moved.topics = request("orders", 1).topics;
    moved.topics[0].partitions[0].partition = 1;
    assert_eq!(told(&answer!(Fetch, world.ask(12, moved))), []);
    world.log.topic("orders").unwrap().partition(1).unwrap().delete_before(1).unwrap();
    assert_eq!(told(&ask(5)), [(1, 0)]);
    assert_eq!(told(&ask(6)), []);
}

#[test]
fn partitions_are_forgotten_and_added() {
    let (world, first) = begun();
    world.create("more", 1, &[]);
    let mut asked = next(first.session_id, 1);
    asked.forgotten_topics_data =
        vec![ForgottenTopic { topic: "orders".to_owned(), partitions: vec![0], ..Default::default() }];
    asked.topics = request("more", 0).topics;
    let response = answer!(Fetch, world.ask(12, asked));
    assert_eq!(response.responses[0].topic, "more");
    world.produced("orders", 0, &batch(&["a"]));
    world.produced("orders", 1, &batch(&["a"]));
    assert_eq!(told(&answer!(Fetch, world.ask(12, next(first.session_id, 2)))), [(1, 0)]);
}

#[test]
fn a_session_without_partitions_ends() {
    let (world, first) = begun();
    let mut asked = next(first.session_id, 1);
    asked.forgotten_topics_data =
        vec![ForgottenTopic { topic: "orders".to_owned(), partitions: vec![0, 1], ..Default::default() }];
    assert_eq!(answer!(Fetch, world.ask(12, asked)).session_id, 0);
    let response = answer!(Fetch, world.ask(12, next(first.session_id, 2)));
    assert_eq!(code(&response), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn unknown_sessions_and_wrong_epochs_are_refused() {
    let (world, first) = begun();
    let ask = |version, id, epoch| code(&answer!(Fetch, world.ask(version, next(id, epoch))));
    assert_eq!(ask(12, first.session_id ^ 1, 1), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!(ask(12, 0, 1), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!(ask(12, first.session_id, 2), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(ask(13, first.session_id, 1), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    assert_eq!(ask(12, first.session_id, 1), ErrorCode::NONE);
    // Another connection's session is as good as none.
    let stranger = world.ask_as(&session(2), 12, next(first.session_id, 2));
    assert_eq!(code(&answer!(Fetch, stranger)), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    world.broker.disconnected(1);
    assert_eq!(ask(12, first.session_id, 2), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn a_full_request_ends_the_session_that_it_names() {
    for epoch in [0, -1] {
        let (world, first) = begun();
        let asked = FetchRequest { session_id: first.session_id, session_epoch: epoch, ..request("orders", 0) };
        let response = answer!(Fetch, world.ask(12, FetchRequest { max_wait_ms: 0, ..asked }));
        assert_eq!(response.session_id != 0, epoch == 0);
        let gone = answer!(Fetch, world.ask(12, next(first.session_id, 1)));
        assert_eq!(code(&gone), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    }
}

#[test]
fn an_error_is_told_until_it_is_gone() {
    let world = World::new();
    let id = world.create("orders", 1, &[]);
    let mut asked = FetchRequest { session_epoch: 0, max_wait_ms: 0, ..request("", 0) };
    (asked.topics[0].topic_id, asked.topics[0].partitions[0].partition) = (id, 1);
    let first = answer!(Fetch, world.ask(13, asked));
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    assert_eq!(told(&first), [(1, unknown)]);
    let ask = |epoch| told(&answer!(Fetch, world.ask(13, next(first.session_id, epoch))));
    assert_eq!(ask(1), [(1, unknown)]);
    world.log.add_partitions("orders", 2).unwrap();
    assert_eq!(ask(2), [(1, 0)]);
    assert_eq!(ask(3), []);
    world.log.delete_topic("orders").unwrap();
    assert_eq!(ask(4), [(1, ErrorCode::UNKNOWN_TOPIC_ID.0)]);
    assert_ne!(id, Uuid::NIL);
}

#[test]
fn partitions_that_gave_records_go_to_the_end_of_the_line() {
    let (world, first) = begun();
    for partition in 0..2 {
        world.produced("orders", partition, &batch(&["a"]));
    }
    let ask = |epoch| {
        let asked = FetchRequest { max_bytes: 1, ..next(first.session_id, epoch) };
        let response = answer!(Fetch, world.ask(12, asked));
        let partitions = response.responses.iter().flat_map(|topic| topic.partitions.clone());
        let full = partitions.filter(|partition| !partition.records.as_ref().unwrap().is_empty());
        full.map(|partition| partition.partition_index).collect::<Vec<_>>()
    };
    assert_eq!((ask(1), ask(2), ask(3)), (vec![0], vec![1], vec![0]));
}

#[test]
fn sessions_are_bounded_and_idle_ones_make_room() {
    let (world, first) = begun();
    let begin = |connection, partitions| {
        let asked = with_partitions(request("orders", 0), partitions);
        let asked = FetchRequest { session_epoch: 0, max_wait_ms: 0, ..asked };
        answer!(Fetch, world.ask_as(&session(connection), 12, asked)).session_id
    };
    let most = world.broker.config().fetch_sessions_max as u64;
    assert!((1..most).all(|connection| begin(10 + connection, 2) != 0));
    assert_eq!(begin(2, 2), 0);
    world.clock.advance(100_000);
    assert_eq!(answer!(Fetch, world.ask(12, next(first.session_id, 1))).error_code, 0);
    world.clock.advance(20_001);
    // One of the idle ones goes, not the one that was used.
    assert_ne!(begin(3, 1), 0);
    assert_eq!(answer!(Fetch, world.ask(12, next(first.session_id, 2))).error_code, 0);
}
