//! The server: opens its listeners, serves a broker through them, and stops in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleuve_base::{Error, Result};
use fleuve_broker::Broker;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::config::{LISTENERS_MAX, Limits, ServerConfig, THREADS_MAX, http_address};
use crate::listener::{self, Listener};
use crate::shared::Shared;
use crate::{http, timers};

/// File descriptors that are not for connections: segments, listeners, the runtime.
const OTHER_DESCRIPTORS: u64 = 1_000;

/// How long a stop waits for answers that are on their way before the broker answers all who still wait.
const GRACE: Duration = Duration::from_millis(500);

/// Listeners that are open and not served yet: clients may connect, and wait.
pub struct Bound {
    runtime: Runtime,
    listeners: Vec<Arc<Listener>>,
    http: Option<(TcpListener, SocketAddr)>,
    limits: Limits,
}

impl Bound {
    /// Opens all listeners, or none. Nothing has been done to the data when this fails.
    ///
    /// # Errors
    /// `E601` for an address that is taken, `E602` for one that is none, `E603` for what is not safe, `E604` for
    /// certificates that cannot be used.
    pub fn open(config: &ServerConfig) -> Result<Self> {
        if config.listeners.len() > LISTENERS_MAX {
            return Err(Error::input("E602", format!("there are at most {LISTENERS_MAX} listeners")));
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.threads.clamp(1, THREADS_MAX))
            .thread_name("server")
            .enable_all()
            .build()
            .map_err(|e| Error::io("start the server's threads", &e))?;
        let entered = runtime.enter();
        let listeners = config.listeners.iter().map(|config| Ok(Arc::new(Listener::open(config)?)));
        let listeners = listeners.collect::<Result<_>>()?;
        let http = http_address(config)?.map(|address| listener::open("http", address)).transpose()?;
        drop(entered);
        Ok(Bound { runtime, listeners, http, limits: within_descriptors(config.limits) })
    }

    /// The listeners: name and address.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let kafka = self.listeners.iter().map(|listener| (listener.name().to_owned(), listener.address()));
        kafka.chain(self.http.iter().map(|(_, address)| ("http".to_owned(), *address))).collect()
    }

    /// Serves the broker.
    pub fn serve(self, broker: Arc<Broker>) -> Server {
        let shared = Shared::new(Arc::clone(&broker), self.limits);
        self.runtime.spawn(timers::drive(broker));
        let mut accepting = vec![];
        for listener in self.listeners {
            accepting.push(self.runtime.spawn(listener.accept(Arc::clone(&shared))));
        }
        let http = self.http.map(|(listener, _)| self.runtime.spawn(http::accept(listener, Arc::clone(&shared))));
        accepting.extend(http);
        Server { runtime: self.runtime, shared, accepting }
    }
}

/// A running server.
pub struct Server {
    runtime: Runtime,
    shared: Arc<Shared>,
    accepting: Vec<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Accepts no more, answers what has been asked, closes the broker and all connections. What has not been
    /// answered within the time is given up.
    pub fn stop(self, within: Duration) {
        let deadline = Instant::now() + within;
        self.accepting.iter().for_each(tokio::task::JoinHandle::abort);
        self.shared.stop();
        let drained =
            |time: Duration| self.runtime.block_on(async { timeout(time, self.shared.drained()).await.is_ok() });
        let answered = drained(GRACE.min(within));
        self.shared.broker.close();
        if !answered && !drained(deadline.saturating_duration_since(Instant::now())) {
            tracing::warn!("some clients did not take their answers in time");
        }
        self.runtime.shutdown_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    /// The page that `/metrics` shows.
    pub fn metrics(&self) -> String {
        self.shared.metrics_page()
    }
}

/// Raises the limit of file descriptors as far as it goes, and has connections leave some for other uses.
fn within_descriptors(limits: Limits) -> Limits {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = raised {
        tracing::warn!("could not raise the limit of file descriptors: {error}");
    }
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return limits };
    let connections = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(descriptors / 2);
    Limits { connections: limits.connections.min(usize::try_from(connections).unwrap_or(usize::MAX)), ..limits }
}
