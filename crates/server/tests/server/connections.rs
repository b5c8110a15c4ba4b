//! Many connections, slow ones, and the end of all.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use fleuve_record::BatchBuilder;
use fleuve_server::{Bound, Limits, ListenerConfig, ServerConfig};
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::{ApiKey, Response, response};

use crate::world::{Client, World, config, metadata, socket};

/// Bytes of a large batch.
const BATCH_BYTES: usize = 1 << 20;

#[test]
fn a_thousand_connections_are_served_and_forgotten() {
    let world = World::plain();
    let mut clients: Vec<_> = (0..1000).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.assert_served();
    }
    assert_eq!(world.metric("fleuve_connections"), 1000);
    assert_eq!(world.metric("fleuve_request_bytes_held"), 0, "idle connections hold no memory");
    drop(clients);
    world.wait_for_metric("fleuve_connections", 0);
}

#[test]
fn connections_over_the_limit_are_turned_away_and_the_others_go_on() {
    let world = World::with_limits(Limits { connections: 2, ..Limits::default() });
    let (mut first, mut second) = (world.connect(), world.connect());
    first.assert_served();
    second.assert_served();
    assert!(world.connect().is_closed());
    first.assert_served();
    drop(first);
    world.wait_for_metric("fleuve_connections", 1);
    world.connect().assert_served();
}

#[test]
fn an_idle_connection_is_closed() {
    let world = World::with_limits(Limits { idle: Duration::from_millis(50), ..Limits::default() });
    let mut client = world.connect();
    client.assert_served();
    assert!(client.is_closed());
}

#[test]
fn a_peer_that_takes_nothing_is_closed() {
    let limits = Limits { write: Duration::from_millis(200), ..Limits::default() };
    let world = World::with_limits(limits);
    for n in 0..200 {
        let name = format!("a-topic-with-a-long-name-that-makes-answers-large-{n}");
        world.broker.log().create_topic(&name, 1, Default::default()).expect("is new");
    }
    let mut client = world.connect();
    // Writes until the server has had enough.
    let (_, frame) = client.frame(9, metadata());
    while client.stream.write_all(&frame).is_ok() {}
    world.wait_for_metric("fleuve_connections", 0);
    world.wait_for_metric("fleuve_response_bytes_held", 0);
}

/// Halves of requests that together are over the budget hold no more than that, and give way to each other.
#[test]
fn half_requests_do_not_hold_more_than_the_budget() {
    let world = World::with_limits(Limits {
        requests_bytes: 1 << 20,
        memory_wait: Duration::from_millis(300),
        ..Limits::default()
    });
    let mut clients: Vec<_> = (0..8).map(|_| world.connect()).collect();
    let piece = vec![0; 128 << 10];
    for client in &mut clients {
        client.stream.set_nonblocking(true).expect("a socket");
        client.stream.write_all(&(90_i32 << 20).to_be_bytes()).expect("fits into the buffers");
        // What the server does not read stays in the kernel.
        while client.stream.write(&piece).is_ok() {}
    }
    let held = world.metric("fleuve_request_bytes_held");
    assert!(held <= 1 << 20, "{held} bytes are held");
    drop(clients);
    // A connection gives its place back before its memory.
    world.wait_for_metric("fleuve_connections", 0);
    world.wait_for_metric("fleuve_request_bytes_held", 0);
    world.connect().assert_served();
}

/// Answers that wait hold memory only if each counts before the next request is looked at. Seen by a topic that is made
/// while the answer to the fetch before still waits for its reader.
#[test]
fn what_comes_behind_a_fetch_is_looked_at_when_its_answer_has_been_taken() {
    let world = World::with_limits(Limits { responses_bytes: 256 << 20, ..Limits::default() });
    let log = world.broker.log();
    let topic = log.create_topic("large", 1, Default::default()).expect("is new");
    // Twice as much as the kernel's buffers take.
    for _ in 0..24 {
        let mut batch = BatchBuilder::new();
        batch.append(0, None, Some(&vec![7; BATCH_BYTES]), &[]).expect("fits");
        let partition = topic.partition(0).expect("is there");
        partition
            .append(batch.finish().expect("has a record"))
            .expect("is appended")
            .ticket
            .wait()
            .expect("is durable");
    }
    let mut client = world.connect();
    let frames = [client.frame(11, fetch("large")), client.frame(11, fetch("later"))];
    let at_once: Vec<u8> = frames.iter().flat_map(|(_, frame)| frame.to_vec()).collect();
    client.stream.write_all(&at_once).expect("is sent");
    while world.metric("fleuve_response_bytes_held") == 0 {
        std::thread::yield_now();
    }
    log.create_topic("later", 1, Default::default()).expect("is new");
    for ((id, _), least) in frames.iter().zip([20 * BATCH_BYTES, 0]) {
        let Response::Fetch(found) = client.receive(ApiKey::Fetch, 11, *id) else { panic!("not a fetch") };
        let partition = &found.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        assert!(partition.records.as_ref().map_or(0, |records| records.len()) >= least);
    }
}

#[test]
fn a_segment_that_is_removed_while_a_slow_reader_takes_it_arrives_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let world = World::on_disk(directory.path(), Limits { responses_bytes: 256 << 20, ..Limits::default() });
    let log = world.broker.log();
    let topic = log.create_topic("large", 1, Default::default()).expect("is new");
    let partition = topic.partition(0).expect("is there");
    let mut last = None;
    for number in 0..24 {
        let mut batch = BatchBuilder::new();
        batch.append(0, None, Some(&vec![number; BATCH_BYTES]), &[]).expect("fits");
        last = Some(partition.append(batch.finish().expect("has a record")).expect("is appended").ticket);
    }
    last.expect("there are some").wait().expect("is durable");
    let stored = partition.read(0, 20 * BATCH_BYTES).expect("is there").bytes;
    let mut client = world.connect();
    let mut asked = fetch("large");
    (asked.max_bytes, asked.topics[0].partitions[0].partition_max_bytes) = (i32::MAX, 20 * BATCH_BYTES as i32);
    let id = client.send(11, asked);
    let mut begin = [0; 4];
    client.stream.read_exact(&mut begin).expect("an answer begins");
    let held = world.metric("fleuve_response_bytes_held");
    assert!((1..4096).contains(&held), "{held} bytes of memory are held for what lies in a file");
    log.delete_topic("large").expect("is there");
    let mut frame = vec![0; u32::from_be_bytes(begin) as usize];
    for part in frame.chunks_mut(100_000) {
        client.stream.read_exact(part).expect("more of it");
        std::thread::yield_now();
    }
    let (found, response) = response::decode(ApiKey::Fetch, 11, frame.into()).expect("is a response");
    let Response::Fetch(answer) = response else { panic!("not a fetch") };
    let records = answer.responses[0].partitions[0].records.clone().expect("records");
    assert_eq!((found, records.len()), (id, stored.len()));
    assert!(records.into_bytes().expect("they are in memory") == stored);
}

/// All of a topic's first partition.
fn fetch(topic: &str) -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: i32::MAX, ..Default::default() };
    let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..Default::default() };
    FetchRequest { replica_id: -1, session_epoch: -1, topics: vec![topic], ..Default::default() }
}

#[test]
fn a_stop_answers_what_was_asked_and_closes() {
    let mut world = World::plain();
    let mut idle = world.connect();
    idle.assert_served();
    let mut asking = world.connect();
    asking.assert_served();
    let ids: Vec<i32> = (0..50).map(|_| asking.send(9, metadata())).collect();
    asking.receive(ApiKey::Metadata, 9, ids[0]);
    world.stop(Duration::from_secs(5));
    // Answers that came are whole and in order; then there is nothing more.
    assert!(idle.is_closed());
    let address = world.address(0);
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn an_address_that_is_taken_is_an_error_that_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let listeners = vec![ListenerConfig::plain("kafka", &address)];
    let error = Bound::open(&ServerConfig { listeners, ..config() }).err().expect("is taken");
    assert_eq!(error.code(), "E601");
    assert!(error.message().contains(&address) && error.hint().is_some(), "{error}");
}

#[test]
fn nothing_is_opened_for_strangers() {
    let listeners = vec![ListenerConfig::plain("kafka", "0.0.0.0:0")];
    assert_eq!(Bound::open(&ServerConfig { listeners, ..config() }).err().map(|e| e.code()), Some("E603"));
    let insecure = ListenerConfig { insecure: true, ..ListenerConfig::plain("kafka", "0.0.0.0:0") };
    let world = World::new(ServerConfig { listeners: vec![insecure], ..config() });
    let port = world.address(0).port();
    Client::new(socket(([127, 0, 0, 1], port).into())).assert_served();
}
