//! The log as its users see it, and as crashes, failing disks and damaged files find it.
#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod behaviour;
mod compaction;
mod crashes;
mod damage;
mod disk_full;
mod faults;
mod interleaved;
mod kill;
mod lanes;
mod lookups;
mod model;
mod producers;
mod retention;
mod settings;
mod support;
mod transactions;
