//! Streams that cannot be read again: standard input, sockets, files that are followed.
//!
//! A thread appends what arrives to an internal topic, and the pipeline reads it from there like any other topic: so a
//! restart reads the same lines again. Without a log they wait in memory, up to a limit that stops the sender.

mod feed;
mod follow;
mod memory;
mod socket;
mod source;
mod stdin;

pub(crate) use source::IngestSource;
pub(crate) use stdin::Stdin;

use std::sync::Arc;

use fleuve_base::{Env, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::source::{Scan, Source};
use fleuve_journal::Log;
use fleuve_plan::SourceSpec;

use crate::options::Options;
use feed::Feeder;
use memory::MemorySource;

/// Opens a table whose lines are made by a feeder.
pub(crate) fn open(
    env: &Env,
    log: Option<&Arc<Log>>,
    reader: &Reader<'_>,
    options: &Options,
    spec: &SourceSpec,
    scan: Scan,
    stdin: &Stdin,
) -> Result<Arc<dyn Source>> {
    let feeder: Box<dyn Feeder> = match options.connector() {
        "stdin" => Box::new(stdin.feeder(options)?),
        "socket" => Box::new(socket::SocketFeeder::new(options)?),
        _ => Box::new(follow::FollowFeeder::new(options)?),
    };
    match log {
        Some(log) => Ok(Arc::new(IngestSource::open(env, log, reader, options, spec, scan, feeder)?)),
        None => Ok(Arc::new(MemorySource::open(env, options, spec, scan, feeder)?)),
    }
}

/// Checks what can be checked before anything is opened.
pub(crate) fn check(options: &Options) -> Result<()> {
    match options.connector() {
        "socket" => socket::SocketFeeder::new(options).map(drop),
        "filesystem" => follow::FollowFeeder::new(options).map(drop),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
