//! Lines into a topic, for the command line.

use std::collections::VecDeque;
use std::io::BufRead;
use std::sync::Arc;

use fleuve_base::limits::LINE_BYTES_MAX;
use fleuve_base::{Env, Error, ErrorKind, Place, Result};
use fleuve_journal::{Log, Partition, Ticket, Topic, TopicConfig};
use fleuve_record::BatchBuilder;

use crate::internal::hash;

/// Bytes of a record batch.
const BATCH_BYTES: usize = 256 << 10;

/// Appends that may wait for their sync.
const APPENDS_IN_FLIGHT_MAX: usize = 16;

/// How lines become records.
#[derive(Debug, Clone, Default)]
pub struct ProduceOptions {
    /// The path of the field of a JSON line that becomes the record's key and chooses its partition, outermost first;
    /// without it records have no key and go to the partitions in turn.
    pub key: Option<Vec<String>>,
    /// Partitions of the topic if it has to be created; 0 is one.
    pub partitions: u32,
    /// Write each batch as soon as it holds this many records: 1 for a terminal, 0 as many as fit.
    pub batch_records: usize,
}

/// Appends every line as a record and waits until all are durable; returns how many. The topic is created if it is
/// missing. Empty lines are skipped. A line without its key is an error that names it; what came before it is kept.
pub fn produce_lines(
    env: &Env,
    log: &Log,
    topic: &str,
    input: &mut dyn BufRead,
    options: &ProduceOptions,
) -> Result<u64> {
    let topic = match log.topic(topic) {
        Ok(topic) => topic,
        Err(_) => log.create_topic(topic, options.partitions.max(1), TopicConfig::default())?,
    };
    let mut producer = Producer::new(env, &topic, options);
    let produced = producer.lines(input);
    producer.finish()?;
    produced
}

struct Producer<'a> {
    env: &'a Env,
    options: &'a ProduceOptions,
    partitions: Vec<Open>,
    turn: usize,
}

/// A partition with the batch that is being filled.
struct Open {
    partition: Arc<Partition>,
    batch: BatchBuilder,
    in_flight: VecDeque<Ticket>,
}

impl<'a> Producer<'a> {
    fn new(env: &'a Env, topic: &Topic, options: &'a ProduceOptions) -> Self {
        let open = |partition: &Arc<Partition>| Open {
            partition: partition.clone(),
            batch: BatchBuilder::new(),
            in_flight: VecDeque::new(),
        };
        Producer { env, options, partitions: topic.partitions().iter().map(open).collect(), turn: 0 }
    }

    fn lines(&mut self, input: &mut dyn BufRead) -> Result<u64> {
        let (mut line, mut number, mut records) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read = std::io::BufRead::read_until(&mut std::io::Read::take(&mut *input, limit), b'\n', &mut line);
            if read.map_err(|error| Error::io("read the input", &error))? == 0 {
                return Ok(records);
            }
            number += 1;
            if line.len() > LINE_BYTES_MAX {
                let message = format!("a line is longer than {LINE_BYTES_MAX} bytes");
                return Err(Error::new(ErrorKind::Limit, "E512", message).at(Place::file("stdin", number, 0)));
            }
            let value = line.trim_ascii_end();
            if !value.is_empty() {
                self.record(value).map_err(|error| error.at(Place::file("stdin", number, 0)))?;
                records += 1;
            }
        }
    }

    fn record(&mut self, value: &[u8]) -> Result<()> {
        let key = self.options.key.as_deref().map(|path| key_of(value, path)).transpose()?;
        let count = self.partitions.len();
        let number = match &key {
            Some(key) => (hash(key) % count as u64) as usize,
            None => self.turn % count,
        };
        let open = &mut self.partitions[number];
        open.batch.append(self.env.clock.now_ms(), key.as_deref(), Some(value), &[])?;
        let full = self.options.batch_records > 0 && open.batch.len() >= self.options.batch_records;
        if full || open.batch.batch_bytes() >= BATCH_BYTES {
            self.turn += 1;
            open.push()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for open in &mut self.partitions {
            open.push()?;
            open.in_flight.drain(..).try_for_each(|ticket| ticket.wait())?;
        }
        Ok(())
    }
}

impl Open {
    fn push(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.in_flight.len() >= APPENDS_IN_FLIGHT_MAX
            && let Some(oldest) = self.in_flight.pop_front()
        {
            oldest.wait()?;
        }
        let batch = std::mem::take(&mut self.batch).finish()?;
        self.in_flight.push_back(self.partition.append(batch)?.ticket);
        Ok(())
    }
}

/// The field of a JSON line at this path as a key: a JSON string without its quotes, anything else as it is written.
pub fn key_of(value: &[u8], path: &[String]) -> Result<Vec<u8>> {
    let name = || path.join(".");
    let mut found: serde_json::Value = serde_json::from_slice(value).map_err(|error| {
        Error::input("E410", format!("this line is not JSON, so it has no key `{}`: {error}", name()))
    })?;
    for part in path {
        found = found.get_mut(part).map(serde_json::Value::take).unwrap_or_default();
    }
    match found {
        serde_json::Value::Null => Err(Error::input("E410", format!("this line has no key `{}`", name()))
            .with_hint("leave out --key, or give the path of a field that every line has")),
        serde_json::Value::String(text) => Ok(text.into_bytes()),
        other => Ok(other.to_string().into_bytes()),
    }
}
