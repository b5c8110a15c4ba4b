//! Fetching: what is read, how much of it, and how long a fetch waits.

use fleuve_base::fs_memory::Call;
use fleuve_record::{Batches, EndMarker};
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::messages::fetch_response::{FetchResponse, PartitionData};
use fleuve_wire::{ErrorCode, Uuid};

use crate::support::{Asked, World, add, answer, batch, bytes_of, session};

/// A fetch from that offset of the first partition that waits 500 ms for one byte.
pub fn request(topic: &str, offset: i64) -> FetchRequest {
    let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..Default::default() };
    FetchRequest { max_wait_ms: 500, min_bytes: 1, topics: vec![topic], ..Default::default() }
}

pub fn with_partitions(mut request: FetchRequest, partitions: i32) -> FetchRequest {
    let first = request.topics[0].partitions[0].clone();
    let partition = |partition| FetchPartition { partition, ..first.clone() };
    request.topics[0].partitions = (0..partitions).map(partition).collect();
    request
}

pub fn only(response: &FetchResponse) -> PartitionData {
    assert_eq!(response.error_code, 0);
    let [topic] = &response.responses[..] else { panic!("one topic: {response:?}") };
    let [partition] = &topic.partitions[..] else { panic!("one partition: {topic:?}") };
    partition.clone()
}

/// The values of a partition's records.
pub fn values(data: &PartitionData) -> Vec<String> {
    let mut values = vec![];
    for batch in Batches::new(data.records.clone().unwrap().into_bytes().unwrap()) {
        for record in &batch.unwrap().records().unwrap() {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    values
}

fn fetched(asked: &Asked) -> Vec<String> {
    values(&only(&answer!(Fetch, asked)))
}

fn error(asked: &Asked) -> ErrorCode {
    ErrorCode(only(&answer!(Fetch, asked)).error_code)
}

fn world() -> World {
    let world = World::new();
    world.create("orders", 3, &[]);
    world
}

#[test]
fn batches_come_back_whole_and_byte_for_byte() {
    let world = world();
    let stored = batch(&["a", "b"]);
    world.produced("orders", 0, &stored);
    world.produced("orders", 0, &batch(&["c"]));
    let data = only(&answer!(Fetch, world.ask(12, request("orders", 1))));
    assert_eq!(values(&data), ["a", "b", "c"]);
    assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (3, 3, 0));
    assert_eq!((data.preferred_read_replica, data.aborted_transactions.clone()), (-1, None));
    assert_eq!(data.records.unwrap().into_bytes().unwrap()[..stored.as_bytes().len()], bytes_of(&stored));
    assert_eq!(fetched(&world.ask(4, request("orders", 2))), ["c"]);
}

#[test]
fn a_topic_is_named_by_id_from_version_13_on() {
    let world = World::new();
    let id = world.create("orders", 1, &[]);
    world.produced("orders", 0, &batch(&["a"]));
    let mut by_id = request("", 0);
    by_id.topics[0].topic_id = id;
    assert_eq!(fetched(&world.ask(13, by_id.clone())), ["a"]);
    by_id.topics[0].topic_id = Uuid::from_u128(1);
    assert_eq!(error(&world.ask(13, FetchRequest { max_wait_ms: 0, ..by_id })), ErrorCode::UNKNOWN_TOPIC_ID);
}

#[test]
fn an_empty_poll_is_answered_exactly_at_its_deadline() {
    let world = world();
    let asked = world.ask(12, request("orders", 0));
    world.clock.advance(499);
    world.run_timers();
    assert!(asked.waits());
    world.clock.advance(1);
    world.run_timers();
    assert_eq!(fetched(&asked), [""; 0]);
    assert!(world.is_at_rest());
}

#[test]
fn a_poll_that_may_not_wait_is_answered_at_once() {
    let world = world();
    assert_eq!(fetched(&world.ask(12, FetchRequest { max_wait_ms: 0, ..request("orders", 0) })), [""; 0]);
    assert_eq!(fetched(&world.ask(12, FetchRequest { min_bytes: 0, ..request("orders", 0) })), [""; 0]);
}

#[test]
fn a_waiting_poll_is_answered_by_the_commit_and_not_by_the_append() {
    let world = world();
    let asked = world.ask(12, request("orders", 0));
    world.produce("orders", 0, &batch(&["a"]));
    world.run_timers();
    assert!(asked.waits());
    world.commit();
    assert_eq!(fetched(&asked), ["a"]);
    assert!(world.is_at_rest());
}

#[test]
fn a_poll_wakes_for_its_own_partitions_only() {
    let world = world();
    let asked = world.ask(12, request("orders", 0));
    world.produced("orders", 1, &batch(&["a"]));
    assert!(asked.waits());
    let mut request = with_partitions(request("orders", 0), 2);
    request.topics[0].partitions[1].fetch_offset = 1;
    let both = world.ask(12, request);
    assert!(both.waits());
    world.produced("orders", 1, &batch(&["b"]));
    assert!(asked.waits());
    let response = answer!(Fetch, both);
    assert_eq!(response.responses[0].partitions.iter().map(values).collect::<Vec<_>>(), [vec![], vec!["b"]]);
}

#[test]
fn a_poll_waits_for_min_bytes_over_all_partitions() {
    let world = world();
    let bytes = batch(&["a"]).as_bytes().len() as i32;
    let asked = world.ask(12, FetchRequest { min_bytes: 3 * bytes, ..with_partitions(request("orders", 0), 2) });
    world.produced("orders", 0, &batch(&["a"]));
    world.produced("orders", 1, &batch(&["b"]));
    assert!(asked.waits());
    world.produced("orders", 0, &batch(&["c"]));
    let response = answer!(Fetch, asked);
    assert_eq!(response.responses[0].partitions.iter().map(values).collect::<Vec<_>>(), [vec!["a", "c"], vec!["b"]]);

    // What is there at the deadline is given, enough or not.
    let asked = world.ask(12, FetchRequest { min_bytes: 1 << 20, ..request("orders", 0) });
    world.clock.advance(500);
    world.run_timers();
    assert_eq!(fetched(&asked), ["a", "c"]);
}

#[test]
fn thousands_of_polls_wait_and_all_are_answered() {
    let world = world();
    let asked: Vec<_> = (0..5000).map(|n| world.ask_as(&session(n), 12, request("orders", 0))).collect();
    assert!(asked.iter().all(|asked| asked.waits()));
    world.produced("orders", 0, &batch(&["a"]));
    assert!(asked.iter().all(|asked| fetched(asked) == ["a"]));
    assert!(world.is_at_rest());
}

#[test]
fn the_first_batch_is_whole_and_the_rest_fits() {
    let world = world();
    for partition in 0..3 {
        world.produced("orders", partition, &batch(&["first", "batch"]));
        world.produced("orders", partition, &batch(&["second"]));
    }
    let counts = |max_bytes, partition_max_bytes| -> Vec<usize> {
        let mut asked = with_partitions(FetchRequest { max_bytes, ..request("orders", 0) }, 3);
        asked.topics[0].partitions.iter_mut().for_each(|partition| partition.partition_max_bytes = partition_max_bytes);
        let response = answer!(Fetch, world.ask(12, asked));
        response.responses[0].partitions.iter().map(|partition| values(partition).len()).collect()
    };
    let first = batch(&["first", "batch"]).as_bytes().len() as i32;
    let both = first + batch(&["second"]).as_bytes().len() as i32;
    assert_eq!(counts(i32::MAX, i32::MAX), [3, 3, 3]);
    assert_eq!(counts(1, i32::MAX), [2, 0, 0]);
    assert_eq!(counts(0, 0), [2, 0, 0]);
    assert_eq!(counts(i32::MAX, 1), [2, 0, 0]);
    assert_eq!(counts(i32::MAX, first), [2, 2, 2]);
    assert_eq!(counts(both, i32::MAX), [3, 0, 0]);
    assert_eq!(counts(both + first, i32::MAX), [3, 2, 0]);
}

#[test]
fn offsets_outside_are_refused_at_once_and_the_beginning_is_told() {
    let world = world();
    world.produced("orders", 0, &batch(&["a", "b", "c"]));
    world.log.topic("orders").unwrap().partition(0).unwrap().delete_before(2).unwrap();
    for offset in [-1, 0, 1, 4] {
        let data = only(&answer!(Fetch, world.ask(12, request("orders", offset))));
        assert_eq!((ErrorCode(data.error_code), data.log_start_offset), (ErrorCode::OFFSET_OUT_OF_RANGE, 2));
    }
}

#[test]
fn what_is_written_but_not_durable_is_neither_read_nor_out_of_range() {
    let world = world();
    world.produce("orders", 0, &batch(&["a", "b"]));
    let asked = world.ask(12, request("orders", 1));
    assert!(asked.waits());
    world.commit();
    assert_eq!(fetched(&asked), ["a", "b"]);
}

#[test]
fn wrong_topics_partitions_and_epochs_are_refused() {
    let world = world();
    let now = |request| FetchRequest { max_wait_ms: 0, ..request };
    assert_eq!(error(&world.ask(12, now(request("nope", 0)))), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(error(&world.ask(12, now(request("__cluster_metadata", 0)))), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut asked = request("orders", 0);
    asked.topics[0].partitions[0].current_leader_epoch = 1;
    assert_eq!(error(&world.ask(12, asked.clone())), ErrorCode::UNKNOWN_LEADER_EPOCH);
    asked.topics[0].partitions[0].partition = 9;
    assert_eq!(error(&world.ask(12, now(asked))), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_poll_learns_at_once_that_its_topic_was_deleted() {
    let world = world();
    let asked = world.ask(12, request("orders", 0));
    world.log.delete_topic("orders").unwrap();
    world.run_timers();
    assert_eq!(error(&asked), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_failed_disk_ends_no_poll_before_its_time() {
    let world = world();
    let asked = world.ask(12, request("orders", 0));
    world.produce("orders", 0, &batch(&["a"]));
    world.fs.fail(Call::Sync, 1, std::io::ErrorKind::Other);
    world.log.commit_now().unwrap_err();
    world.run_timers();
    assert!(asked.waits());
    world.clock.advance(500);
    world.run_timers();
    assert_eq!(fetched(&asked), [""; 0]);
}

#[test]
fn closing_and_a_lost_connection_answer_who_waits() {
    let world = world();
    let (first, second) = (session(1), session(2));
    let one = world.ask_as(&first, 12, request("orders", 0));
    let two = world.ask_as(&second, 12, request("orders", 0));
    world.broker.disconnected(1);
    assert!(!one.waits() && two.waits());
    world.broker.close();
    assert_eq!(fetched(&two), [""; 0]);
    assert!(world.is_at_rest());
}

#[test]
fn committed_readers_see_no_open_transaction_and_are_told_of_aborted_ones() {
    let world = world();
    let partition = world.log.topic("orders").unwrap().partition(0).unwrap().clone();
    let transactional = |sequence, values: &[&str]| {
        let builder = fleuve_record::BatchBuilder::new().producer(7, 0, sequence).transactional();
        partition.append(add(builder, values).finish().unwrap()).unwrap()
    };
    let committed = |offset| FetchRequest { isolation_level: 1, ..request("orders", offset) };
    world.produced("orders", 0, &batch(&["before"]));
    transactional(0, &["a", "b"]);
    world.commit();
    assert_eq!(fetched(&world.ask(12, request("orders", 0))), ["before", "a", "b"]);
    assert_eq!(fetched(&world.ask(12, committed(0))), ["before"]);

    let waiting = world.ask(12, committed(1));
    world.produced("orders", 0, &batch(&["behind"]));
    assert!(waiting.waits());
    partition.append_marker(7, 0, EndMarker { commit: false, coordinator_epoch: 0 }, 0).unwrap();
    world.commit();
    let data = only(&answer!(Fetch, waiting));
    assert_eq!(data.last_stable_offset, 5);
    let aborted = data.aborted_transactions.unwrap();
    assert_eq!(aborted.iter().map(|t| (t.producer_id, t.first_offset)).collect::<Vec<_>>(), [(7, 1)]);
}
