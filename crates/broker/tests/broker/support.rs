//! A small world for tests: files in memory, a clock that stands still, commit rounds by hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fleuve_base::fs_memory::Unsynced;
use fleuve_base::{Clock, Env, MemoryFs};
use fleuve_broker::{Broker, BrokerConfig};
use fleuve_journal::{CommitMode, Log, LogOptions};

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
