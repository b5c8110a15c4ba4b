//! All messages, a module each, with Kafka's names in Rust's spelling. Generated from the tables in `messages/`.
//!
//! A field that a version lacks decodes to its default. `Default` gives the defaults of Kafka's schemas.
#![allow(clippy::manual_range_contains, clippy::nonminimal_bool, clippy::redundant_closure)]

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
