//! Topics that connectors keep for themselves.

use std::ops::ControlFlow;
use std::sync::Arc;

use fleuve_base::Result;
use fleuve_flow::connectors::Reader;
use fleuve_journal::{Log, Partition, Topic, TopicConfig};
use fleuve_record::{Batches, Record};

use crate::topic::committed;

/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// Lines that arrived at a source that cannot be read again.
pub(crate) const INGEST: &str = "__ingest";

/// The list of files that a source reads.
pub(crate) const FILES: &str = "__files";

/// Name of a reader's internal topic.
pub(crate) fn name(kind: &str, reader: &Reader<'_>) -> String {
    format!("{kind}.{}.{}", escaped(reader.pipeline), reader.node)
}

/// Characters of an escaped name; a longer one ends with its hash instead.
const ESCAPED_MAX: usize = 150;

/// A text as part of a topic's or file's name: letters, digits, `.` and `_` stay, anything else becomes its code between
/// two `-`. Different texts give different names.
pub(crate) fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' => c.to_string(),
        _ => format!("-{:x}-", u32::from(c)),
    };
    let escaped: String = text.chars().map(escape).collect();
    if escaped.len() <= ESCAPED_MAX {
        return escaped;
    }
    format!("{}-{:016x}", &escaped[..ESCAPED_MAX], hash(text.as_bytes()))
}

/// FNV-1a: part of names and marks that are stored, so it must never change.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A number that stands for one node of one pipeline, the same after every restart.
pub(crate) fn mark(reader: &Reader<'_>) -> u64 {
    hash(format!("{}\n{}", reader.pipeline, reader.node).as_bytes())
}

/// The topic of this name, with one partition; created if it is missing.
pub(crate) fn topic(log: &Log, name: &str) -> Result<Arc<Topic>> {
    match log.topic(name) {
        Ok(topic) => Ok(topic),
        Err(_) => log.create_topic(name, 1, TopicConfig::default()),
    }
}

/// Calls `visit` with every record of the topic's only partition.
pub(crate) fn for_each(topic: &Topic, mut visit: impl FnMut(&Record<'_>) -> Result<()>) -> Result<()> {
    let partition = topic.partition(0)?;
    let end = partition.high_watermark();
    for_range(partition, partition.log_start_offset(), end, |record| visit(record).map(ControlFlow::Continue))?;
    Ok(())
}

/// Calls `visit` with the records of a range of offsets until it breaks off; returns the offset after the last one.
pub(crate) fn for_range(
    partition: &Partition,
    start: u64,
    end: u64,
    mut visit: impl FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
) -> Result<u64> {
    let mut next = start;
    while next < end {
        let fetched = partition.read(next, READ_BYTES)?;
        if fetched.next_offset <= next {
            break;
        }
        let bytes = committed(partition, fetched.bytes, next..fetched.next_offset.min(end))?;
        for batch in Batches::new(bytes) {
            let batch = batch?;
            if batch.header().attributes.has(fleuve_record::Attributes::CONTROL) {
                continue;
            }
            for record in &batch.records()? {
                let record = record?;
                let offset = record.offset as u64;
                if offset < next || offset >= end {
                    continue;
                }
                if visit(&record)?.is_break() {
                    return Ok(offset + 1);
                }
            }
        }
        next = fetched.next_offset;
    }
    Ok(next.min(end))
}
