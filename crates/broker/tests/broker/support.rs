//! A small world for tests: files in memory, a clock that stands still, commit rounds by hand.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::fs_memory::Unsynced;
use fleuve_base::{Clock, Env, MemoryFs};
use fleuve_broker::{Broker, BrokerConfig, Endpoint, Principal, Session};
use fleuve_journal::{CommitMode, Log, LogOptions};
use fleuve_record::{Batch, BatchBuilder};
use fleuve_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use fleuve_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use fleuve_wire::messages::produce_response::PartitionProduceResponse;
use fleuve_wire::{ErrorCode, Request, RequestHeader, Response, Uuid};

/// The answer of that kind.
macro_rules! answer {
    ($kind:ident, $asked:expr) => {
        match $asked.answer() {
            fleuve_wire::Response::$kind(response) => response,
            other => panic!("not an answer of {}: {other:?}", stringify!($kind)),
        }
    };
}
pub(crate) use answer;

/// When the world begins, in milliseconds.
pub const START_MS: i64 = 1_000_000;

/// A clock that moves when it is told to.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms() as u64)
    }
}

/// A machine with a broker on it.
pub struct World {
    pub fs: MemoryFs,
    pub clock: Arc<TestClock>,
    pub log: Arc<Log>,
    pub broker: Arc<Broker>,
    config: BrokerConfig,
    /// Timers that are always there: those that look after things now and then.
    timers_at_rest: usize,
}

impl World {
    pub fn new() -> Self {
        Self::with(BrokerConfig::default())
    }

    /// With other settings.
    pub fn with(config: BrokerConfig) -> Self {
        Self::start(MemoryFs::new(), Arc::new(TestClock(AtomicI64::new(START_MS))), config)
    }

    fn start(fs: MemoryFs, clock: Arc<TestClock>, config: BrokerConfig) -> Self {
        Self::start_with_room(fs, clock, config, None)
    }

    fn start_with_room(fs: MemoryFs, clock: Arc<TestClock>, config: BrokerConfig, room: Option<u64>) -> Self {
        let env = Env { fs: Arc::new(fs.clone()), clock: clock.clone(), ..Env::system() };
        let log = Log::open(env.clone(), Path::new("/data"), LogOptions { commit: CommitMode::Manual }).unwrap();
        fs.set_room(room);
        let broker = Broker::open(env, Arc::clone(&log), config.clone()).unwrap();
        let timers_at_rest = broker.timers().len();
        World { fs, clock, log, broker, config, timers_at_rest }
    }

    /// Asks on a connection of its own.
    pub fn ask(&self, version: i16, request: impl Into<Request>) -> Asked {
        self.ask_as(&session(1), version, request)
    }

    /// Asks on this connection.
    pub fn ask_as(&self, session: &Session, version: i16, request: impl Into<Request>) -> Asked {
        let request = request.into();
        let header =
            RequestHeader { api_key: request.api_key(), api_version: version, correlation_id: 1, client_id: None };
        let asked = Asked::default();
        let answers = Arc::clone(&asked.0);
        let respond = Box::new(move |response| answers.lock().unwrap().push(response));
        self.broker.handle(session, &header, request, respond);
        asked
    }

    /// Whether no timer waits for the sake of a request.
    pub fn is_at_rest(&self) -> bool {
        self.broker.timers().len() == self.timers_at_rest
    }

    /// Runs the timers that are due now.
    pub fn run_timers(&self) {
        self.broker.timers().run_due(self.clock.monotonic());
    }

    /// Makes all that was appended durable, and lets those see it who wait for it.
    pub fn commit(&self) {
        self.log.commit_now().unwrap();
        self.run_timers();
    }

    /// Creates a topic; the settings are pairs of name and value.
    pub fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Uuid {
        let asked = self.ask(7, create_request(name, partitions, settings));
        let [result] = &answer!(CreateTopics, asked).topics[..] else { panic!("one topic") };
        assert_eq!(result.error_code, 0, "{result:?}");
        result.topic_id
    }

    /// Produces one batch to a partition, by name.
    pub fn produce(&self, topic: &str, partition: i32, batch: &Batch) -> Asked {
        self.ask(12, produce_request(topic, partition, -1, Some(bytes_of(batch))))
    }

    /// Produces one batch and commits; gives its first offset.
    pub fn produced(&self, topic: &str, partition: i32, batch: &Batch) -> i64 {
        let asked = self.produce(topic, partition, batch);
        self.commit();
        let response = partition_of(&asked);
        assert_eq!(response.error_code, 0, "{response:?}");
        response.base_offset
    }

    /// The same machine after a clean restart.
    pub fn restart(self) -> Self {
        self.broker.close();
        self.log.close().unwrap();
        Self::start(self.fs, self.clock, self.config)
    }

    /// The same machine after a crash, which left this of what was not synced.
    pub fn crash(self, unsynced: Unsynced) -> Self {
        Self::start(self.fs.crash(unsynced), self.clock, self.config)
    }

    /// The same machine after its power was cut, and with so little room on its disk for what the broker writes.
    pub fn power_cut_with_room(self, bytes: u64) -> Self {
        Self::start_with_room(self.fs.crash(Unsynced::Lost), self.clock, self.config, Some(bytes))
    }

    /// The same machine after its power was cut.
    pub fn power_cut(self) -> Self {
        Self::start(self.fs.crash(Unsynced::Lost), self.clock, self.config)
    }
}

/// A connection.
pub fn session(connection: u64) -> Session {
    Session::local(connection, Endpoint { host: "broker.test".to_owned(), port: 9092 })
}

/// A connection of this user.
pub fn session_of(user: &str) -> Session {
    Session { principal: Principal::user(user), ..session(2) }
}

/// A request that was sent, and its answers as they come in.
#[derive(Default)]
pub struct Asked(Arc<Mutex<Vec<Response>>>);

impl Asked {
    /// Whether there is no answer yet.
    pub fn waits(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    /// The one answer, which must be there.
    pub fn answer(&self) -> Response {
        let answers = self.0.lock().unwrap();
        assert_eq!(answers.len(), 1, "a request is answered once");
        answers[0].clone()
    }
}

pub fn create_request(name: &str, partitions: i32, settings: &[(&str, &str)]) -> CreateTopicsRequest {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: -1,
        configs: settings.iter().map(config).collect(),
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], ..Default::default() }
}

pub fn produce_request(topic: &str, index: i32, acks: i16, records: Option<Bytes>) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index, records }];
    let topic = TopicProduceData { name: topic.to_owned(), partition_data, ..Default::default() };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

/// The answer of the only partition.
pub fn partition_of(asked: &Asked) -> PartitionProduceResponse {
    let response = answer!(Produce, asked);
    let [topic] = &response.responses[..] else { panic!("one topic: {response:?}") };
    let [partition] = &topic.partition_responses[..] else { panic!("one partition: {topic:?}") };
    partition.clone()
}

/// The error of the only partition.
pub fn error_of(asked: &Asked) -> ErrorCode {
    ErrorCode(partition_of(asked).error_code)
}

pub fn bytes_of(batch: &Batch) -> Bytes {
    Bytes::copy_from_slice(batch.as_bytes())
}

/// A builder with records of these values, at the clock's first time.
pub fn builder(values: &[&str]) -> BatchBuilder {
    add(BatchBuilder::new(), values)
}

pub fn add(mut builder: BatchBuilder, values: &[&str]) -> BatchBuilder {
    for value in values {
        builder.append(START_MS, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder
}

pub fn batch(values: &[&str]) -> Batch {
    builder(values).finish().unwrap()
}
