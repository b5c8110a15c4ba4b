//! The broker: what Kafka's clients may ask for, answered from the log.
//!
//! **What it is.** Kafka's semantics as plain state machines over `fleuve_journal`: topics and their settings,
//! produce and fetch, consumer groups, transactions, users and permissions. [`Broker`] takes a request that is
//! decoded and gives its answer, at once or later: from a commit round, a [timer](Timers), or another request.
//!
//! **What it is not.** A server: no socket, no thread, no runtime, no bytes of the protocol. It reads no clock but its
//! [`Env`](fleuve_base::Env)'s, and what is to happen later happens when the owner calls [`Timers::run_due`].
//!
//! **Invariants.**
//! - Each request is answered exactly once, and never from under a lock.
//! - An answer tells nothing that is not durable (a topic with `durability = os` says so).
//! - State that must survive lies in compacted topics of the log ([`StateTopic`]); memory follows what is durable there.
//! - Nothing waits for a peer, and nothing for the disk but what changes topics themselves: their files, settings, beginnings.
//!
//! Start reading at `broker.rs`. The records of the internal topics are specified in `docs/internals/broker.md`.
//!
//! ```
//! use fleuve_base::{Env, MemoryFs};
//! use fleuve_broker::{Broker, BrokerConfig};
//! use fleuve_journal::{Log, LogOptions};
//!
//! let env = Env { fs: std::sync::Arc::new(MemoryFs::new()), ..Env::system() };
//! let log = Log::open(env.clone(), "/data".as_ref(), LogOptions::default())?;
//! let broker = Broker::open(env, log, BrokerConfig::default())?;
//! assert_eq!(broker.cluster_id().len(), 22);
//! broker.close();
//! # Ok::<(), fleuve_base::Error>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod admin;
mod apis;
mod broker;
mod cluster;
mod config;
mod configs;
mod failure;
mod fetch;
mod list_offsets;
mod metadata;
mod produce;
mod producers;
mod session;
mod state_topic;
mod timers;
mod topics;
mod trouble;
mod upkeep;

pub mod groups;
pub mod security;
pub mod transactions;

pub use broker::{Broker, Responder};
pub use cluster::{CLUSTER_TOPIC, LEADER_EPOCH, NODE_ID};
pub use config::BrokerConfig;
pub use session::{ClientSoftware, Endpoint, Principal, Session};
pub use state_topic::{Entry, StateTopic};
pub use timers::{TimerId, Timers};
pub use upkeep::LongJob;
