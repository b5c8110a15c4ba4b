//! Requests and answers: their order, their pieces, their sizes, and what is no request.

use std::io::Write;

use fleuve_broker::security::{QuotaEntity, QuotaKey, QuotaLimits, QuotaName};
use fleuve_server::Limits;
use fleuve_wire::messages::api_versions_response::ApiVersionsResponse;
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use fleuve_wire::{ApiKey, ErrorCode, Response, response};

use crate::world::{Client, World, metadata, versions};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::plain();
    let mut client = world.connect();
    let mut bytes = vec![];
    let mut asked = vec![];
    for n in 0..200 {
        // Those for producer ids are answered by a commit round, the others at once.
        let (api, version, (id, frame)) = match n % 3 {
            0 => (ApiKey::InitProducerId, 1, client.frame(1, producer_id())),
            1 => (ApiKey::Metadata, 9, client.frame(9, metadata())),
            _ => (ApiKey::ApiVersions, 3, client.frame(3, versions())),
        };
        bytes.extend_from_slice(&frame);
        asked.push((api, version, id));
    }
    client.stream.write_all(&bytes).expect("is sent");
    for (api, version, id) in asked {
        client.receive(api, version, id);
    }
    assert_eq!(world.metric("fleuve_request_bytes_held"), 0);
}

fn producer_id() -> InitProducerIdRequest {
    InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 1000, ..Default::default() }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let world = World::plain();
    let mut client = world.connect();
    client.stream.set_nodelay(true).expect("a socket");
    let (id, frame) = client.frame(9, metadata());
    for byte in &frame {
        client.stream.write_all(&[*byte]).expect("is sent");
    }
    assert!(matches!(client.receive(ApiKey::Metadata, 9, id), Response::Metadata(_)));
}

#[test]
fn api_versions_of_an_unknown_version_is_answered_in_version_0() {
    let world = World::plain();
    let mut client = world.connect();
    client.stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]).expect("is sent");
    let (id, answer) = response::decode(ApiKey::ApiVersions, 0, client.receive_frame()).expect("version 0");
    let Response::ApiVersions(ApiVersionsResponse { error_code, api_keys, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((id, ErrorCode(error_code)), (7, ErrorCode::UNSUPPORTED_VERSION));
    assert!(api_keys.iter().any(|api| api.api_key == ApiKey::Metadata.to_i16()));
    client.assert_served();
}

#[test]
fn what_is_no_request_ends_its_connection_and_no_other() {
    let world = World::plain();
    let mut other = world.connect();
    other.assert_served();
    let wrong: [(&str, &[u8]); 6] = [
        ("an unknown API", &[0, 0, 0, 10, 3, 0, 0, 0, 0, 0, 0, 7, 0xff, 0xff]),
        ("a version of Metadata that there is not", &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 7, 0xff, 0xff]),
        ("a negative length", &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        ("a length over the limit", &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        ("a frame without a header", &[0, 0, 0, 2, 0, 3]),
        (
            "a count of two thousand million topics",
            &[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
        ),
    ];
    for (what, bytes) in wrong {
        let mut client = world.connect();
        client.stream.write_all(bytes).expect("is sent");
        assert!(client.is_closed(), "{what}");
        other.assert_served();
    }
    world.wait_for_metric("fleuve_protocol_errors_total", wrong.len() as u64);
    world.wait_for_metric("fleuve_connections", 1);
}

#[test]
fn a_request_over_the_limit_is_refused_before_its_bytes_are_kept() {
    let world = World::with_limits(Limits { request_bytes: 1000, ..Limits::default() });
    let mut client = world.connect();
    client.assert_served();
    client.stream.write_all(&1001_i32.to_be_bytes()).expect("is sent");
    assert!(client.is_closed());
}

#[test]
fn a_producer_that_wants_no_answer_gets_none_and_an_error_ends_its_connection() {
    let world = World::plain();
    world.broker.log().create_topic("orders", 1, Default::default()).expect("is new");
    let mut client = world.connect();
    let produce = |records: &[u8]| ProduceRequest {
        acks: 0,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: "orders".to_owned(),
            partition_data: vec![PartitionProduceData { index: 0, records: Some(records.to_vec().into()) }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut batch = fleuve_record::BatchBuilder::new();
    batch.append(1_000, None, Some(b"lamp"), &[]).expect("is small");
    client.send(7, produce(batch.finish().expect("is whole").as_bytes()));
    // The next answer is that of the next request.
    client.assert_served();
    let partition = world.broker.log().topic("orders").and_then(|topic| topic.partition(0).cloned()).expect("is there");
    assert!(partition.wait_for(0, std::time::Duration::from_secs(20)).expect("the log lives"));
    client.send(7, produce(b"no batch"));
    assert!(client.is_closed());
}

/// Answers wait for a reader in a bounded amount, and none is lost.
#[test]
fn who_does_not_read_is_not_read_from() {
    let limits = Limits { responses_bytes_per_connection: 64 << 10, ..Limits::default() };
    let world = World::with_limits(limits);
    for n in 0..200 {
        let name = format!("a-topic-with-a-long-name-that-makes-answers-large-{n}");
        world.broker.log().create_topic(&name, 1, Default::default()).expect("is new");
    }
    let (mut sender, mut reader) = (world.connect(), world.socket());
    std::mem::swap(&mut sender.stream, &mut reader);
    drop(reader);
    let mut reader = Client::new(sender.stream.try_clone().expect("a socket"));
    let requests = 3000;
    let sending = std::thread::spawn(move || (0..requests).map(|_| sender.send(9, metadata())).collect::<Vec<_>>());
    // The kernel's buffers fill up, then ours, then it stops.
    let held = || world.metric("fleuve_response_bytes_held");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while held() < (64 << 10) && !sending.is_finished() {
        assert!(std::time::Instant::now() < deadline, "{} bytes wait", held());
        std::thread::yield_now();
    }
    let one_answer = 64 << 10;
    for _ in 0..1000 {
        assert!(held() < (64 << 10) + one_answer, "{} bytes wait", held());
    }
    for id in 1..=requests {
        reader.receive(ApiKey::Metadata, 9, id);
    }
    assert_eq!(sending.join().expect("has sent").len(), requests as usize);
}

#[test]
fn a_client_that_used_too_much_time_is_told_so_in_every_answer() {
    let world = World::plain();
    let mut limits = QuotaLimits::default();
    limits.set(QuotaKey::RequestPercentage, Some(0.001));
    let entity = QuotaEntity { user: None, client_id: Some(QuotaName::Default) };
    world.broker.security().quotas().set(entity, limits);
    // What may be used at once is soon used up; then each answer tells of a pause.
    let mut client = world.connect();
    let mut told = 0;
    for _ in 0..500 {
        let Response::Metadata(answer) = client.ask(9, metadata()) else { panic!("not what was asked for") };
        told = answer.throttle_time_ms;
        if told > 0 {
            break;
        }
    }
    assert!(told > 0);
}
