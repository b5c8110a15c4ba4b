//! Topics of the built-in log, read and written.

mod bounds;
mod committed;
mod decoder;
mod fields;
mod records;
mod rows;
mod shape;
mod sink;
mod source;

pub use bounds::GroupOffsets;
pub(crate) use bounds::{Bound, Ending, Start};
#[cfg(feature = "foreign-kafka")]
pub(crate) use bounds::{Reset, nothing_committed};
pub(crate) use committed::committed;
#[cfg(feature = "foreign-kafka")]
pub(crate) use decoder::TopicDecoder;
pub(crate) use fields::RecordFields;
pub(crate) use records::RecordShape;
#[cfg(feature = "foreign-kafka")]
pub(crate) use records::{Out, RecordEncoder};
pub(crate) use shape::Origin;
#[cfg(feature = "foreign-kafka")]
pub(crate) use shape::TopicShape;
pub(crate) use sink::TopicSink;
pub(crate) use source::{Opened, TopicSource};

use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_journal::{Cleanup, Log, Partition, Topic};

use crate::nearest::nearest;
use crate::options::Options;

/// The log, which a topic cannot do without.
pub(crate) fn need_log<'a>(table: &str, log: Option<&'a Arc<Log>>) -> Result<&'a Arc<Log>> {
    log.ok_or_else(|| {
        Error::input("E509", format!("table `{table}` is a topic, and there is no data directory to hold it"))
            .with_hint("give one with --data DIR, or give the table another connector: WITH ('connector' = '…')")
    })
}

/// The topics that a table names. Stated ones must be there; a table's own is created when it is first used.
pub(crate) fn topics_to_read(log: &Log, options: &Options) -> Result<Vec<Arc<Topic>>> {
    match options.stated("topic") {
        None => Ok(vec![topic_to_write(log, options)?]),
        Some(stated) => stated.split(';').map(|name| stated_topic(log, options, name.trim())).collect(),
    }
}

/// Whether so many rows, each of a record of its own, are all that a table of topics has from its beginning to its present end:
/// no record is gone, is no row, or belongs to a transaction that is open or was aborted.
pub(crate) fn has_rows(log: &Log, options: &Options, rows: u64) -> Result<bool> {
    let is_whole = options.text("scan.startup.mode") == Some("earliest-offset")
        && options.stated("scan.bounded.mode") == Some("latest-offset");
    let topics = topics_to_read(log, options)?;
    let keeps_all =
        |partition: &Arc<Partition>| partition.config().cleanup == Cleanup::Delete && partition.log_start_offset() == 0;
    let mut partitions = topics.iter().flat_map(|topic| topic.partitions());
    if !is_whole || !partitions.clone().all(keeps_all) {
        return Ok(false);
    }
    Ok(partitions.try_fold(0_u64, |sum, partition| sum.checked_add(partition.high_watermark())) == Some(rows))
}

fn stated_topic(log: &Log, options: &Options, name: &str) -> Result<Arc<Topic>> {
    log.topic(name).map_err(|_| {
        let topics = log.topics();
        let names = topics.iter().map(|topic| topic.name()).filter(|name| !name.starts_with("__"));
        let error = Error::input("E509", format!("table `{}`: there is no topic `{name}`", options.table()));
        if topics.is_empty() {
            return error.with_hint("an INSERT INTO the table, or `fleuve produce`, creates it");
        }
        error.with_hint(nearest(name, names))
    })
}

/// The topic that a table names, created if it is missing.
pub(crate) fn topic_to_write(log: &Log, options: &Options) -> Result<Arc<Topic>> {
    let name = options.stated("topic").unwrap_or(options.table());
    if let Ok(topic) = log.topic(name) {
        return Ok(topic);
    }
    let partitions = options.integer("partitions")?.unwrap_or(1).max(1);
    let partitions = u32::try_from(partitions)
        .map_err(|_| Error::input("E502", format!("table `{}`: too many 'partitions'", options.table())))?;
    log.create_topic(name, partitions, fleuve_journal::TopicConfig::default())
}

#[cfg(test)]
mod tests;
