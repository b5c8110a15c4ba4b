//! The server: sockets, TLS, logins and HTTP around a broker.
//!
//! **What it is.** The rim. It turns connections into [`Session`](fleuve_broker::Session)s and bytes into requests, and
//! sends the broker's answers back in order: the only crate that listens on a socket and spawns tasks.
//!
//! **What it is not.** Kafka's semantics: those are the broker's. It knows of a request only its API, its size, and for
//! fetches how much they may ask for.
//!
//! **Invariants.**
//! - Nothing listens beyond loopback without authentication and encryption, unless a setting says `insecure`.
//! - What comes in on a connection can end that connection, and nothing else.
//! - All memory that peers make it hold is bounded: requests and responses by budgets that connections share, each
//!   connection by its own limits ([`Limits`]). An idle connection holds no buffer.
//! - Answers leave in the order of their requests; every request is answered or its connection is closed.
//!
//! Start reading at `server.rs`, then `connection.rs`.
//!
//! ```
//! use std::time::Duration;
//! use fleuve_base::{Env, MemoryFs};
//! use fleuve_broker::{Broker, BrokerConfig};
//! use fleuve_journal::{Log, LogOptions};
//! use fleuve_server::{Bound, ListenerConfig, ServerConfig};
//!
//! let listeners = vec![ListenerConfig::plain("kafka", "127.0.0.1:0")];
//! let bound = Bound::open(&ServerConfig { listeners, http: None, ..ServerConfig::default() })?;
//! let (name, address) = bound.addresses().remove(0);
//! assert!(name == "kafka" && address.port() != 0);
//!
//! let env = Env { fs: std::sync::Arc::new(MemoryFs::new()), ..Env::system() };
//! let log = Log::open(env.clone(), "/data".as_ref(), LogOptions::default())?;
//! let server = bound.serve(Broker::open(env, log.clone(), BrokerConfig::default())?);
//! server.stop(Duration::from_secs(5));
//! log.close()?;
//! # Ok::<(), fleuve_base::Error>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod budget;
mod config;
mod connection;
mod dispatch;
mod distinguished_name;
mod ended;
mod http;
mod listener;
mod log_limit;
mod login;
mod metrics;
mod outbox;
mod quota;
mod receiver;
mod server;
mod shared;
mod stream;
mod timers;
mod tls;
mod transmitter;

pub use config::{
    LISTENERS_MAX, Limits, ListenerConfig, Mechanism, REQUEST_BYTES_MAX, STRANGER_REQUEST_BYTES_MAX, ServerConfig,
    THREADS_MAX, TlsConfig, split_address,
};
pub use server::{Bound, Server};
