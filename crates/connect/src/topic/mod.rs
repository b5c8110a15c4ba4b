//! Topics of the built-in log, read and written.

mod bounds;
mod decoder;
mod rows;
mod sink;
mod source;

pub(crate) use bounds::{Ending, Start};
pub(crate) use decoder::Origin;
pub(crate) use sink::TopicSink;
pub(crate) use source::{Opened, TopicSource};

use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_journal::{Log, Topic};

use crate::nearest::nearest;
use crate::options::Options;

/// The log, which a topic cannot do without.
pub(crate) fn need_log<'a>(table: &str, log: Option<&'a Arc<Log>>) -> Result<&'a Arc<Log>> {
    log.ok_or_else(|| {
        Error::input("E509", format!("table `{table}` is a topic, and there is no data directory to hold it"))
            .with_hint("give one with --data DIR, or give the table another connector: WITH ('connector' = '…')")
    })
}

/// The topic that a table names. A stated topic must be there; a table's own is created when it is first used.
pub(crate) fn topic_to_read(log: &Log, options: &Options) -> Result<Arc<Topic>> {
    let Some(stated) = options.stated("topic") else { return topic_to_write(log, options) };
    log.topic(stated).map_err(|_| {
        let topics = log.topics();
        let names = topics.iter().map(|topic| topic.name()).filter(|name| !name.starts_with("__"));
        let error = Error::input("E509", format!("table `{}`: there is no topic `{stated}`", options.table()));
        if topics.is_empty() {
            return error.with_hint("an INSERT INTO the table, or `fleuve produce`, creates it");
        }
        error.with_hint(nearest(stated, names))
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
