//! A topic as a sink: a lane for each partition, an epoch in one atomic append, each epoch once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use fleuve_base::{Env, Error, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::connectors::Reader;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_journal::{Log, Partition, Ticket, Topic};
use fleuve_plan::SinkSpec;
use fleuve_record::{Batch as RecordBytes, BatchBuilder};

use super::{need_log, topic_to_write};
use crate::changelog::deletions_first;
use crate::encode::{RowEncoder, project};
use crate::internal;
use crate::nearest::nearest;
use crate::options::Options;

/// Bytes of one record batch, unless a single record is larger.
const BATCH_BYTES: usize = 512 << 10;

/// A `topic` table that is being written.
pub(crate) struct TopicSink {
    env: Env,
    topic: Arc<Topic>,
    shape: Arc<SinkShape>,
    /// What marks this sink's epochs in every partition.
    mark: i64,
}

struct SinkShape {
    options: Options,
    schema: Arc<Schema>,
    /// The columns of the record's key.
    key: Vec<usize>,
    /// The key is the table's primary key: the last record of a key is its row, one without value deletes it.
    upsert: bool,
}

impl TopicSink {
    /// Whether a topic can hold such a table; opens nothing.
    pub(crate) fn check(options: &Options, spec: &SinkSpec) -> Result<()> {
        let shape = SinkShape::new(options, spec)?;
        RowEncoder::new(options, &spec.schema)?;
        let debezium = options.format() == Some("debezium-json");
        if spec.changelog && !shape.upsert && !debezium {
            let format = options.format().unwrap_or("json");
            let message = format!("table `{}` cannot hold rows that are updated or deleted", spec.table);
            return Err(Error::input("E508", message)
                .with_detail(format!("its records are `{format}`, and nothing in them says which row they replace"))
                .with_hint("declare PRIMARY KEY (…) NOT ENFORCED, or use 'format' = 'debezium-json'"));
        }
        Ok(())
    }

    pub(crate) fn open(
        env: &Env,
        log: Option<&Arc<Log>>,
        reader: &Reader<'_>,
        options: &Options,
        spec: &SinkSpec,
    ) -> Result<Self> {
        Self::check(options, spec)?;
        let topic = topic_to_write(need_log(&spec.table, log)?, options)?;
        let shape = Arc::new(SinkShape::new(options, spec)?);
        // A lane is a positive number.
        let mark = (internal::mark(reader) >> 1) as i64;
        Ok(TopicSink { env: env.clone(), topic, shape, mark })
    }
}

impl SinkShape {
    fn new(options: &Options, spec: &SinkSpec) -> Result<Self> {
        let upsert = !spec.primary_key.is_empty() && options.format() == Some("json");
        let stated =
            options.stated("key.fields").map(|fields| key_fields(options, &spec.schema, fields)).transpose()?;
        let key = if upsert { spec.primary_key.clone() } else { stated.unwrap_or_default() };
        Ok(SinkShape { options: options.clone(), schema: spec.schema.clone(), key, upsert })
    }

    /// The columns that choose the partition: the key's, or all that can be hashed.
    fn by(&self) -> Vec<usize> {
        if !self.key.is_empty() {
            return self.key.clone();
        }
        let plain = |column: &usize| !is_nested(self.schema.field(*column).data_type());
        (0..self.schema.fields().len()).filter(plain).collect()
    }
}

fn is_nested(data_type: &DataType) -> bool {
    data_type.is_nested()
}

fn key_fields(options: &Options, schema: &Schema, fields: &str) -> Result<Vec<usize>> {
    let find = |name: &str| {
        schema.index_of(name).map_err(|_| {
            let names = schema.fields().iter().map(|field| field.name().as_str());
            Error::input(
                "E502",
                format!("table `{}`: 'key.fields' names `{name}`, which is no column", options.table()),
            )
            .with_hint(nearest(name, names))
        })
    };
    fields.split(';').map(str::trim).filter(|name| !name.is_empty()).map(find).collect()
}

impl Sink for TopicSink {
    fn lanes(&self) -> Lanes {
        Lanes::Fixed { count: self.topic.partitions().len(), by: self.shape.by() }
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, lane: usize) -> Result<Box<dyn Lane>> {
        let partition = self.topic.partition(lane as u32)?.clone();
        let shape = self.shape.clone();
        let key = match shape.key.as_slice() {
            [] => None,
            key => Some(RowEncoder::key(&shape.options, &*project(&shape.schema, key)?)?),
        };
        Ok(Box::new(TopicLane {
            env: self.env.clone(),
            held: partition.last_epoch(self.mark),
            partition,
            mark: self.mark,
            rows: RowEncoder::new(&shape.options, &shape.schema)?,
            key,
            shape,
            last: None,
            values: Encoded::default(),
            keys: Encoded::default(),
        }))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

struct TopicLane {
    env: Env,
    partition: Arc<Partition>,
    mark: i64,
    /// The last epoch that the partition held when the lane was opened.
    held: Option<u64>,
    shape: Arc<SinkShape>,
    rows: RowEncoder,
    key: Option<RowEncoder>,
    last: Option<Ticket>,
    values: Encoded,
    keys: Encoded,
}

/// Encoded rows, one behind the other.
#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }
}

/// Record batches of one epoch.
struct Records {
    timestamp_ms: i64,
    current: BatchBuilder,
    done: Vec<RecordBytes>,
}

impl Records {
    fn push(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<()> {
        self.current.append(self.timestamp_ms, key, value, &[])?;
        if self.current.batch_bytes() >= BATCH_BYTES {
            self.done.push(std::mem::take(&mut self.current).finish()?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RecordBytes>> {
        if !self.current.is_empty() {
            self.done.push(self.current.finish()?);
        }
        Ok(self.done)
    }
}

impl TopicLane {
    fn encode(&mut self, batch: &Batch) -> Result<()> {
        self.values.clear();
        self.keys.clear();
        let weights = batch.weights.as_ref();
        self.rows.encode(&batch.columns, weights, &mut self.values.bytes, &mut self.values.ends)?;
        if let Some(encoder) = &mut self.key {
            let keys = batch.columns.project(&self.shape.key);
            let keys: RecordBatch = keys.map_err(|error| Error::internal(format!("columns of a key: {error}")))?;
            encoder.encode(&keys, None, &mut self.keys.bytes, &mut self.keys.ends)?;
        }
        Ok(())
    }

    /// Every row is a record.
    fn append_all(&mut self, batches: &[Batch], records: &mut Records) -> Result<()> {
        for batch in batches {
            self.encode(batch)?;
            for row in 0..self.values.ends.len() {
                let key = self.key.is_some().then(|| self.keys.get(row));
                records.push(key, Some(self.values.get(row)))?;
            }
        }
        Ok(())
    }

    /// A record for each key that changed: its new row, or nothing if it has none any more.
    fn append_latest(&mut self, batches: &[Batch], records: &mut Records) -> Result<()> {
        let (mut order, mut latest) = (Vec::new(), HashMap::<Vec<u8>, Option<Vec<u8>>>::new());
        for batch in batches {
            self.encode(batch)?;
            for row in 0..batch.num_rows() {
                let key = self.keys.get(row);
                let row_is_there = batch.weight(row) > 0;
                match latest.get_mut(key) {
                    Some(value) if row_is_there => *value = Some(self.values.get(row).to_vec()),
                    Some(_) => {}
                    None => {
                        order.push(key.to_vec());
                        latest.insert(key.to_vec(), row_is_there.then(|| self.values.get(row).to_vec()));
                    }
                }
            }
        }
        for key in order {
            records.push(Some(&key), latest.get(&key).and_then(Option::as_deref))?;
        }
        Ok(())
    }
}

impl Lane for TopicLane {
    fn last_epoch(&self) -> Option<u64> {
        self.held
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let timestamp_ms = self.env.clock.now_ms();
        let mut records = Records { timestamp_ms, current: BatchBuilder::new(), done: vec![] };
        let weighted = batches.iter().any(|batch| batch.weights.is_some());
        if self.shape.upsert && weighted {
            self.append_latest(&batches, &mut records)?;
        } else {
            self.append_all(&deletions_first(batches), &mut records)?;
        }
        let appended = self.partition.append_epoch(self.mark, epoch, records.finish()?)?;
        self.last = appended.map(|appended| appended.ticket).or(self.last.take());
        Ok(())
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        // What an earlier process appended may not be durable either.
        self.last.take().unwrap_or_else(|| self.partition.ticket()).wait()?;
        Ok(String::new())
    }
}
