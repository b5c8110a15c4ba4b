//! The broker driven as a server drives it: requests in, answers out, over files in memory and a clock that is told to move.
#![allow(clippy::unwrap_used)]

mod admin;
mod cluster;
mod configs;
mod consumer_groups;
mod disk_full;
mod fetch;
mod fetch_sessions;
mod groups;
mod list_offsets;
mod model;
mod offsets;
mod permissions;
mod produce;
mod producer;
mod security;
mod support;
mod topics;
mod transactions;
mod transactions_model;
