//! Rows to records: what a sink writes into a topic, whoever keeps it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit, TimestampMillisecondType};
use fleuve_base::{Error, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::sink::{ChooseLanes, Chooser, Lanes};
use fleuve_plan::SinkSpec;

use super::fields::RecordFields;
use crate::changelog::deletions_first;
use crate::encode::{RowEncoder, project};
use crate::kafka::client::partition_of;
use crate::nearest::nearest;
use crate::options::Options;

/// Metadata that a row may bring along.
const WRITABLE: &[&str] = &["timestamp", "headers"];

/// Metadata that only the log knows.
const READ_ONLY: &[&str] = &["topic", "partition", "offset", "timestamp-type", "leader-epoch", "key"];

/// How the rows of a table become records.
#[derive(Debug, Clone)]
pub(crate) struct RecordShape {
    options: Options,
    /// The columns that are data, in the order in which `fields` counts them.
    data: Vec<usize>,
    schema: Arc<Schema>,
    fields: RecordFields,
    timestamp: Option<usize>,
    headers: Option<usize>,
}

impl RecordShape {
    /// Checks that records of these options can hold the table.
    pub(crate) fn new(options: &Options, spec: &SinkSpec) -> Result<Self> {
        let (mut timestamp, mut headers) = (None, None);
        for (position, key) in &spec.metadata {
            match key.as_str() {
                "timestamp" => timestamp = Some(*position),
                "headers" => headers = Some(*position),
                key => return Err(not_writable(options, key)),
            }
        }
        let is_metadata = |column: &usize| spec.metadata.iter().any(|(position, _)| position == column);
        let data: Vec<usize> = (0..spec.schema.fields().len()).filter(|column| !is_metadata(column)).collect();
        let schema = project(&spec.schema, &data)?;
        let place = |column: &usize| data.iter().position(|own| own == column);
        let primary_key: Vec<usize> = spec.primary_key.iter().filter_map(place).collect();
        let fields = RecordFields::new(options, &schema, &primary_key)?;
        let shape = RecordShape { options: options.clone(), data, schema, fields, timestamp, headers };
        shape.encoder()?;
        shape.check_changelog(spec)?;
        Ok(shape)
    }

    fn check_changelog(&self, spec: &SinkSpec) -> Result<()> {
        let format = self.options.format().unwrap_or("json");
        if !spec.changelog || self.fields.upsert || format == "debezium-json" {
            return Ok(());
        }
        let message = format!("table `{}` cannot hold rows that are updated or deleted", spec.table);
        Err(Error::input("E508", message)
            .with_detail(format!("its records are `{format}`, and nothing in them says which row they replace"))
            .with_hint("declare PRIMARY KEY (…) NOT ENFORCED, or use 'format' = 'debezium-json'"))
    }

    /// How rows are dealt out to the partitions of a topic: by `sink.partitioner`, which is by the key unless it says
    /// otherwise, as Kafka's own clients deal them out; without a key, evenly.
    pub(crate) fn partitioned(&self, count: usize) -> Result<Lanes> {
        match (self.options.text("sink.partitioner"), &self.fields.key) {
            (Some("fixed"), _) => Ok(Lanes::Fixed { count, by: vec![] }),
            (Some("round-robin"), _) | (_, None) => Ok(Lanes::Fixed { count, by: self.plain() }),
            (_, Some(key)) => {
                let schema = key.schema(&self.schema);
                let encoder = RowEncoder::new(&key.options, &schema)?;
                let by_key = ByKey { shape: self.clone(), columns: key.columns.clone(), schema, encoder, count };
                Ok(Lanes::Chosen { count, chooser: Chooser(Arc::new(by_key)) })
            }
        }
    }

    /// The columns that choose a row's lane: the key's, or all that can be hashed.
    #[cfg(feature = "foreign-kafka")]
    pub(crate) fn by(&self) -> Vec<usize> {
        match &self.fields.key {
            Some(key) => key.columns.iter().map(|column| self.data[*column]).collect(),
            None => self.plain(),
        }
    }

    /// The columns that can be hashed.
    fn plain(&self) -> Vec<usize> {
        let plain = |column: &usize| !self.schema.field(*column).data_type().is_nested();
        let plain = (0..self.schema.fields().len()).filter(plain);
        plain.map(|column| self.data[column]).collect()
    }

    /// An encoder for one lane.
    pub(crate) fn encoder(&self) -> Result<RecordEncoder> {
        let key = self.fields.key.as_ref().map(|key| RowEncoder::new(&key.options, &key.schema(&self.schema)));
        Ok(RecordEncoder {
            values: RowEncoder::new(&self.options, &self.value_schema()?)?,
            key: key.transpose()?,
            shape: self.clone(),
            value_bytes: Encoded::default(),
            key_bytes: Encoded::default(),
        })
    }
}

fn not_writable(options: &Options, key: &str) -> Error {
    let table = options.table();
    if READ_ONLY.contains(&key) {
        let message = format!("table `{table}`: metadata '{key}' cannot be written");
        return Error::input("E505", message).with_hint("declare the column VIRTUAL: … METADATA VIRTUAL");
    }
    Error::input("E505", format!("table `{table}`: its connector has no metadata '{key}'"))
        .with_hint(nearest(key, WRITABLE.iter().copied()))
}

/// Chooses the partition of each row by its encoded key.
struct ByKey {
    shape: RecordShape,
    columns: Vec<usize>,
    schema: Arc<Schema>,
    encoder: RowEncoder,
    count: usize,
}

impl ChooseLanes for ByKey {
    fn lanes(&self, rows: &RecordBatch) -> Result<Vec<usize>> {
        let keys = self.shape.columns(rows, &self.columns, &self.schema)?;
        let mut encoded = Encoded::default();
        self.encoder.encode(&keys, None, &mut encoded.bytes, &mut encoded.ends)?;
        let lane = |row| partition_of(encoded.get(row), self.count) as usize;
        Ok((0..rows.num_rows()).map(lane).collect())
    }
}

/// A header of a record: its name and value.
pub(crate) type Header = (String, Option<Vec<u8>>);

/// One record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Out<'a> {
    /// When it happened, in ms since 1970; when it is written if nothing says.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header],
}

/// Encodes the epochs of one lane.
pub(crate) struct RecordEncoder {
    shape: RecordShape,
    values: RowEncoder,
    key: Option<RowEncoder>,
    value_bytes: Encoded,
    key_bytes: Encoded,
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

/// A record that may be replaced by a later one of its key.
struct Latest {
    value: Option<Vec<u8>>,
    surroundings: (Option<i64>, Vec<Header>),
}

/// Where a record goes.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(Out<'_>) -> Result<()>;

impl RecordEncoder {
    /// Gives the records of an epoch: of an upsert table the last one of each key.
    pub(crate) fn epoch(&mut self, batches: Vec<Batch>, emit: Emit<'_>) -> Result<()> {
        let weighted = batches.iter().any(|batch| batch.weights.is_some());
        if self.shape.fields.upsert && weighted {
            return self.latest(&batches, emit);
        }
        deletions_first(batches).iter().try_for_each(|batch| self.all(batch, emit))
    }

    /// Every row is a record.
    fn all(&mut self, batch: &Batch, emit: Emit<'_>) -> Result<()> {
        self.encode(batch)?;
        let surroundings = Surroundings::of(&self.shape, &batch.columns)?;
        // A changelog format writes a row as often as its weight says.
        let times = |row: usize| if self.values.is_changelog() { batch.weight(row).unsigned_abs() as usize } else { 1 };
        let rows = (0..batch.num_rows()).flat_map(|row| std::iter::repeat_n(row, times(row)));
        for (number, row) in rows.enumerate() {
            let (timestamp_ms, headers) = surroundings.of_row(row);
            let key = self.key.is_some().then(|| self.key_bytes.get(row));
            emit(Out { timestamp_ms, key, value: Some(self.value_bytes.get(number)), headers: &headers })?;
        }
        Ok(())
    }

    /// A record for each key that changed: its new row, or nothing if it has none any more.
    fn latest(&mut self, batches: &[Batch], emit: Emit<'_>) -> Result<()> {
        let (mut order, mut latest) = (Vec::new(), HashMap::<Vec<u8>, Latest>::new());
        for batch in batches {
            self.encode(batch)?;
            let surroundings = Surroundings::of(&self.shape, &batch.columns)?;
            for row in 0..batch.num_rows() {
                let key = self.key_bytes.get(row);
                let is_there = batch.weight(row) > 0;
                if !is_there && latest.contains_key(key) {
                    continue;
                }
                let value = is_there.then(|| self.value_bytes.get(row).to_vec());
                let newest = Latest { value, surroundings: surroundings.of_row(row) };
                if latest.insert(key.to_vec(), newest).is_none() {
                    order.push(key.to_vec());
                }
            }
        }
        for key in order {
            let Some(Latest { value, surroundings: (timestamp_ms, headers) }) = latest.get(&key) else { continue };
            emit(Out { timestamp_ms: *timestamp_ms, key: Some(&key), value: value.as_deref(), headers })?;
        }
        Ok(())
    }

    fn encode(&mut self, batch: &Batch) -> Result<()> {
        self.value_bytes.clear();
        self.key_bytes.clear();
        let (shape, weights) = (&self.shape, batch.weights.as_ref());
        let of_value =
            shape.columns(&batch.columns, &shape.fields.value, &*project(&shape.schema, &shape.fields.value)?)?;
        self.values.encode(&of_value, weights, &mut self.value_bytes.bytes, &mut self.value_bytes.ends)?;
        if let (Some(encoder), Some(key)) = (&self.key, &shape.fields.key) {
            let of_key = shape.columns(&batch.columns, &key.columns, &key.schema(&shape.schema))?;
            // A key's format knows no deletions, so it has no use for weights.
            encoder.encode(&of_key, None, &mut self.key_bytes.bytes, &mut self.key_bytes.ends)?;
        }
        Ok(())
    }
}

impl RecordShape {
    /// The columns of a value as its format sees them. In an upsert table a reader takes all but the key's for nullable,
    /// since a record that deletes lacks them; a format with a schema of its own must say the same.
    fn value_schema(&self) -> Result<Schema> {
        let columns = project(&self.schema, &self.fields.value)?;
        let in_key = |name: &str| {
            let mut key = self.fields.key.iter().flat_map(|key| &key.columns);
            key.any(|column| self.schema.field(*column).name() == name)
        };
        let field = |field: &Arc<Field>| {
            let nullable = field.is_nullable() || self.fields.upsert && !in_key(field.name());
            Field::clone(field).with_nullable(nullable)
        };
        Ok(Schema::new(columns.fields().iter().map(field).collect::<Vec<_>>()))
    }

    /// Some of the data columns of a batch, under the names that `schema` gives them.
    fn columns(&self, batch: &RecordBatch, columns: &[usize], schema: &Schema) -> Result<RecordBatch> {
        let arrays = columns.iter().map(|column| batch.column(self.data[*column]).clone()).collect();
        let nullable = |field: &Arc<Field>| Field::clone(field).with_nullable(true);
        let schema = Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>()));
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema, arrays, &rows).map_err(internal)
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("columns of a record: {error}"))
}

/// The metadata that the rows of a batch bring along.
struct Surroundings {
    timestamps: Option<ArrayRef>,
    headers: Option<ArrayRef>,
}

impl Surroundings {
    fn of(shape: &RecordShape, batch: &RecordBatch) -> Result<Self> {
        let convert = |column: Option<usize>, to: DataType| {
            let converted = column.map(|column| cast(batch.column(column), &to));
            converted.transpose().map_err(|error| {
                Error::input("E505", format!("table `{}`: metadata cannot be {to}: {error}", shape.options.table()))
            })
        };
        Ok(Surroundings {
            timestamps: convert(shape.timestamp, DataType::Timestamp(TimeUnit::Millisecond, None))?,
            headers: convert(shape.headers, headers_type())?,
        })
    }

    fn of_row(&self, row: usize) -> (Option<i64>, Vec<Header>) {
        let timestamps = self.timestamps.as_ref().map(|times| times.as_primitive::<TimestampMillisecondType>());
        let timestamp = timestamps.filter(|times| times.is_valid(row)).map(|times| times.value(row));
        let headers = self.headers.as_ref().map(|headers| headers.as_map()).filter(|headers| headers.is_valid(row));
        (timestamp, headers.map(|headers| entries(&headers.value(row))).unwrap_or_default())
    }
}

fn headers_type() -> DataType {
    let fields =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Binary, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields), false)), false)
}

fn entries(entries: &arrow::array::StructArray) -> Vec<Header> {
    let (names, values): (&StringArray, _) = (entries.column(0).as_string(), entries.column(1).as_binary::<i32>());
    let header = |row: usize| {
        let value = values.is_valid(row).then(|| values.value(row).to_vec());
        (names.value(row).to_owned(), value)
    };
    (0..entries.len()).map(header).collect()
}
