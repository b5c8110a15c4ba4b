//! What all connections of a server share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fleuve_broker::Broker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::budget::Budget;
use crate::config::Limits;
use crate::connection::Answers;
use crate::metrics::{self, Metrics};

/// Broker, limits, counters, and the connections that are open.
pub(crate) struct Shared {
    pub(crate) broker: Arc<Broker>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    /// Bytes of requests that are being read and answered.
    pub(crate) requests: Arc<Budget>,
    /// Bytes of responses that wait for their readers.
    pub(crate) responses: Arc<Budget>,
    next_connection: AtomicU64,
    stopping: AtomicBool,
    connections: Mutex<Connections>,
    /// Told when the last connection has ended.
    empty: Notify,
}

#[derive(Default)]
struct Connections {
    by_address: HashMap<IpAddr, usize>,
    open: HashMap<u64, Arc<Answers>>,
}

impl Shared {
    /// No connections yet.
    pub(crate) fn new(broker: Arc<Broker>, limits: Limits) -> Arc<Self> {
        Arc::new(Shared {
            broker,
            limits,
            metrics: Metrics::default(),
            requests: Budget::new(limits.requests_bytes),
            responses: Budget::new(limits.responses_bytes),
            next_connection: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
            empty: Notify::new(),
        })
    }

    /// Whether connections are to end as soon as they have answered.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Takes a connection in, unless there are too many.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut connections = self.connections.lock();
        if self.stopping() || connections.open.len() >= self.limits.connections {
            return None;
        }
        let count = connections.by_address.entry(address).or_default();
        if *count >= self.limits.connections_per_address {
            return None;
        }
        *count += 1;
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let answers = Answers::new();
        connections.open.insert(number, Arc::clone(&answers));
        self.metrics.connections.store(connections.open.len() as u64, Ordering::Relaxed);
        self.metrics.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Place { shared: Arc::clone(self), number, address, answers })
    }

    /// Has all connections end when they have answered.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let open: Vec<_> = self.connections.lock().open.values().cloned().collect();
        open.iter().for_each(|answers| answers.wake());
    }

    /// Waits until no connection is left.
    pub(crate) async fn drained(&self) {
        loop {
            let empty = self.empty.notified();
            if self.connections.lock().open.is_empty() {
                return;
            }
            empty.await;
        }
    }

    /// Whether the broker can do its work.
    pub(crate) fn healthy(&self) -> Result<(), String> {
        self.broker.log().failure().map_or(Ok(()), |error| Err(error.to_string()))
    }

    /// Whether clients may come.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if self.stopping() { Err("stopping".to_owned()) } else { self.healthy() }
    }

    /// All that is counted.
    pub(crate) fn metrics_page(&self) -> String {
        let mut page = String::with_capacity(16 << 10);
        self.metrics.render(&mut page);
        let budgets = [("request", &self.requests), ("response", &self.responses)];
        for (name, budget) in budgets {
            let (name, help) = (format!("{name}_bytes_held"), format!("Bytes of the {name} budget in use."));
            metrics::sample(&mut page, &name, "gauge", &help, budget.held());
        }
        metrics::render_log(self.broker.log(), &mut page);
        metrics::render_groups(&self.broker, &mut page);
        page
    }

    fn left(&self, number: u64, address: IpAddr) {
        let mut connections = self.connections.lock();
        connections.open.remove(&number);
        if let Some(count) = connections.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                connections.by_address.remove(&address);
            }
        }
        self.metrics.connections.store(connections.open.len() as u64, Ordering::Relaxed);
        if connections.open.is_empty() {
            self.empty.notify_waiters();
        }
    }
}

/// An admitted connection's place; dropping it gives it to another and has the broker forget the connection.
pub(crate) struct Place {
    pub(crate) shared: Arc<Shared>,
    /// Never given twice.
    pub(crate) number: u64,
    pub(crate) address: IpAddr,
    pub(crate) answers: Arc<Answers>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.broker.disconnected(self.number);
        self.shared.left(self.number, self.address);
    }
}
