//! A small world for tests: files in memory, a clock that stands still, commit rounds by hand.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleuve_base::fs_memory::Unsynced;
use fleuve_base::{Clock, Env, MemoryFs};
use fleuve_broker::{Broker, BrokerConfig, Endpoint, Session};
use fleuve_journal::{CommitMode, Log, LogOptions};
use fleuve_wire::{Request, RequestHeader, Response};

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
}

impl World {
    pub fn new() -> Self {
        Self::start(MemoryFs::new(), Arc::new(TestClock(AtomicI64::new(1_000_000))))
    }

    fn start(fs: MemoryFs, clock: Arc<TestClock>) -> Self {
        let env = Env { fs: Arc::new(fs.clone()), clock: clock.clone(), ..Env::system() };
        let log = Log::open(env.clone(), Path::new("/data"), LogOptions { commit: CommitMode::Manual }).unwrap();
        let broker = Broker::open(env, Arc::clone(&log), BrokerConfig::default()).unwrap();
        World { fs, clock, log, broker }
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

    /// Runs the timers that are due now.
    pub fn run_timers(&self) {
        self.broker.timers().run_due(self.clock.monotonic());
    }

    /// Makes all that was appended durable, and lets those see it who wait for it.
    pub fn commit(&self) {
        self.log.commit_now().unwrap();
        self.run_timers();
    }

    /// The same machine after a clean restart.
    pub fn restart(self) -> Self {
        self.broker.close();
        self.log.close().unwrap();
        Self::start(self.fs, self.clock)
    }

    /// The same machine after its power was cut.
    pub fn power_cut(self) -> Self {
        Self::start(self.fs.crash(Unsynced::Lost), self.clock)
    }
}

/// A connection.
pub fn session(connection: u64) -> Session {
    Session::local(connection, Endpoint { host: "broker.test".to_owned(), port: 9092 })
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
