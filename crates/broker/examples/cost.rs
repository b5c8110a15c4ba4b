//! What a request costs in the broker, without sockets and without waiting for the disk: `cargo run --release -p
//! fleuve-broker --example cost`. It writes to a temporary directory through the operating system's cache.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fleuve_base::{Env, Result};
use fleuve_broker::{Broker, BrokerConfig, Endpoint, Session};
use fleuve_journal::{CommitMode, Durability, Log, LogOptions, TopicConfig};
use fleuve_record::{BatchBuilder, Codec};
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use fleuve_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use fleuve_wire::{Request, RequestHeader, Response};

const TOPIC: &str = "cost";
const VALUE_BYTES: usize = 100;
const ROUNDS: u32 = 5_000;

fn main() -> Result<()> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let env = Env::system();
    let log = Log::open(env.clone(), directory.path(), LogOptions { commit: CommitMode::Manual })?;
    log.create_topic(TOPIC, 1, TopicConfig { durability: Durability::Os, ..TopicConfig::default() })?;
    let broker = Broker::open(env, Arc::clone(&log), BrokerConfig::default())?;
    let session = Session::local(1, Endpoint { host: "localhost".to_owned(), port: 9092 });
    println!("{:<36} {:>12} {:>14}", "request", "µs a request", "ns a record");
    for (records, codec) in [(1, Codec::None), (160, Codec::None), (160, Codec::Lz4), (10_000, Codec::None)] {
        let batch = batch(records, codec)?;
        let first = log.topic(TOPIC)?.partition(0)?.log_end_offset() as i64;
        let rounds = ROUNDS.min(2_000_000 / records as u32);
        let produce = || ask(&broker, &session, 12, produce_request(&batch));
        report(&format!("produce {records} records, {}", codec.name()), records, rounds, produce);
        let mut offset = first;
        let fetch = || {
            ask(&broker, &session, 12, fetch_request(offset));
            offset += records as i64;
        };
        report(&format!("fetch {records} records, {}", codec.name()), records, rounds, fetch);
    }
    let end = log.topic(TOPIC)?.partition(0)?.log_end_offset() as i64;
    report("fetch at the end, without waiting", 1, ROUNDS, || ask(&broker, &session, 12, fetch_request(end)));
    broker.close();
    log.close()
}

fn batch(records: usize, codec: Codec) -> Result<Bytes> {
    let mut batch = BatchBuilder::new().codec(codec);
    for number in 0..records {
        let value: Vec<u8> = (0..VALUE_BYTES).map(|at| (number * 31 + at * at) as u8).collect();
        batch.append(0, None, Some(&value), &[])?;
    }
    Ok(Bytes::copy_from_slice(batch.finish()?.as_bytes()))
}

/// The batch is copied, as the socket's buffer would be the request's own.
fn produce_request(batch: &Bytes) -> Request {
    let partition = PartitionProduceData { index: 0, records: Some(Bytes::copy_from_slice(batch)) };
    let topic = TopicProduceData { name: TOPIC.to_owned(), partition_data: vec![partition], ..Default::default() };
    ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() }.into()
}

/// One batch.
fn fetch_request(offset: i64) -> Request {
    let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1, ..Default::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..Default::default() };
    FetchRequest { max_wait_ms: 0, min_bytes: 1, topics: vec![topic], ..Default::default() }.into()
}

fn ask(broker: &Arc<Broker>, session: &Session, version: i16, request: Request) {
    let header = RequestHeader { api_key: request.api_key(), api_version: version, correlation_id: 1, client_id: None };
    let (sender, answers) = mpsc::channel::<Response>();
    let respond = Box::new(move |response| sender.send(response).expect("the asker waits"));
    broker.handle(session, &header, request, respond);
    let answer = answers.recv().expect("it is answered at once");
    assert!(
        !matches!(answer, Response::Produce(ref produce) if produce.responses[0].partition_responses[0].error_code != 0)
    );
}

fn report(what: &str, records: usize, rounds: u32, mut request: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        (0..rounds / 3).for_each(|_| request());
        best = best.min(start.elapsed() / (rounds / 3));
    }
    let ns = best.as_nanos() as f64;
    println!("{what:<36} {:>12.2} {:>14.1}", ns / 1000.0, ns / records as f64);
}
