//! Sources and sinks: files, topics, Kafka, sockets, standard input, generators.
//!
//! **What it is.** The rim where a pipeline meets the world: [`StandardConnectors`] opens the tables that a plan names, as
//! the engine's `Source` and `Sink`. [`documentation`] lists every connector with its options, under Flink's names where
//! Flink has them. [`produce`] and [`consume`] are the topics' doors for the command line.
//!
//! **What it is not.** It listens nowhere: sockets are dialled. It decides nothing about time: which ranges are read is
//! journalled by the engine, and a connector only has to give the same rows for the same range.
//!
//! **Invariants.**
//! - A range that has been handed out can be read again, and gives the same rows, until it is released.
//! - A stream that cannot be read again (standard input, a socket, a followed file) is in the log before it is read.
//! - A file that a sink writes appears whole, under a name that is never used twice, when its snapshot is valid.
//! - An option that nobody reads is an error, with the nearest name that is known.
//!
//! To add a connector: its table of options in `options/tables.rs`, a module with a `Source` or `Sink`, a line in
//! `standard.rs`. `blackhole.rs` is the smallest sink, `datagen` the smallest source.
//!
//! ```
//! use fleuve_connect::documentation;
//!
//! let files = documentation().iter().find(|connector| connector.name == "filesystem").expect("it is built in");
//! assert!(files.options.iter().any(|option| option.name == "source.monitor-interval"));
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod alarm;
mod blackhole;
mod changelog;
pub mod consume;
mod datagen;
mod decode;
mod encode;
mod file_sink;
mod filesystem;
pub mod index;
mod ingest;
mod internal;
pub mod kafka;
mod nearest;
pub mod nexmark;
mod options;
mod print;
pub mod produce;
mod raw;
mod standard;
#[cfg(test)]
mod testing;
mod topic;

pub use options::{ConnectorDoc, OptionDoc, OptionKind, documentation};
pub use print::Output;
pub use standard::{StandardConnectors, check_sink, check_source};
pub use topic::GroupOffsets;
