//! Puts a record's surroundings (file, offset, timestamp …) beside its data, in the scan's order.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, Int64Array, MapBuilder, MapFieldNames, RecordBatch,
    RecordBatchOptions, StringArray, StringBuilder, TimestampMillisecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use fleuve_base::{Error, Result};
use fleuve_flow::source::{Scan, ScanField};

use crate::nearest::nearest;

pub(crate) use fleuve_flow::source::WEIGHT;

/// Where each of the scan's columns comes from.
pub(crate) struct Assemble {
    schema: SchemaRef,
    slots: Vec<Slot>,
}

enum Slot {
    Data(usize),
    Metadata(String, DataType),
}

/// Gives the metadata columns of one batch.
pub(crate) trait Surroundings {
    /// The column of a key; as many rows as the batch has.
    fn column(&self, key: &str) -> Option<ArrayRef>;
}

impl Assemble {
    /// Checks that every metadata key is one of `keys`.
    pub(crate) fn new(table: &str, scan: &Scan, keys: &[&str]) -> Result<Self> {
        let mut data = 0..;
        let mut slots = Vec::with_capacity(scan.columns.len());
        for column in &scan.columns {
            slots.push(match &column.field {
                ScanField::Data(_) => Slot::Data(data.next().unwrap_or(0)),
                ScanField::Metadata(key) if keys.contains(&key.as_str()) => {
                    Slot::Metadata(key.clone(), column.data_type.clone())
                }
                ScanField::Metadata(key) => return Err(unknown_key(table, key, keys)),
            });
        }
        Ok(Assemble { schema: scan.schema.clone(), slots })
    }

    /// Whether some column of `keys` is wanted.
    pub(crate) fn wants(&self, keys: &[&str]) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Metadata(key, _) if keys.contains(&key.as_str())))
    }

    /// Whether any metadata column is wanted.
    pub(crate) fn wants_any(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Metadata(..)))
    }

    /// The scan's batch, from the batch of its data columns.
    pub(crate) fn batch(&self, data: &RecordBatch, surroundings: &dyn Surroundings) -> Result<RecordBatch> {
        let columns = self.slots.iter().map(|slot| match slot {
            Slot::Data(index) => Ok(data.column(*index).clone()),
            Slot::Metadata(key, data_type) => metadata(surroundings, key, data_type, data.num_rows()),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(data.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &rows)
            .map_err(|error| Error::internal(format!("a decoded batch does not have the scan's columns: {error}")))
    }
}

fn unknown_key(table: &str, key: &str, keys: &[&str]) -> Error {
    Error::input("E505", format!("table `{table}`: its connector has no metadata '{key}'"))
        .with_hint(nearest(key, keys.iter().copied().filter(|key| !key.starts_with('$'))))
}

fn metadata(from: &dyn Surroundings, key: &str, data_type: &DataType, rows: usize) -> Result<ArrayRef> {
    let column = from.column(key).filter(|column| column.len() == rows);
    let column =
        column.ok_or_else(|| Error::internal(format!("metadata '{key}' does not have a value for each row")))?;
    // An instant declared without a time zone is the same number.
    let column = match (column.data_type(), data_type) {
        (DataType::Timestamp(..), DataType::Timestamp(TimeUnit::Millisecond, None)) => column,
        (DataType::Timestamp(..), DataType::Timestamp(_, zone)) => with_zone(column, zone.clone()),
        _ => column,
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&column, data_type, &strict)
        .map_err(|error| Error::input("E505", format!("metadata '{key}' cannot be {data_type}: {error}")))
}

fn with_zone(column: ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
    match column.as_any().downcast_ref::<TimestampMillisecondArray>() {
        Some(times) => Arc::new(times.clone().with_timezone_opt(zone)),
        None => column,
    }
}

/// Metadata that is the same for all rows of a batch.
pub(crate) struct Constants<'a> {
    pub(crate) rows: usize,
    pub(crate) texts: &'a [(&'static str, String)],
    pub(crate) numbers: &'a [(&'static str, i64)],
    pub(crate) times: &'a [(&'static str, i64)],
    pub(crate) weights: Option<&'a Int64Array>,
}

impl Surroundings for Constants<'_> {
    fn column(&self, key: &str) -> Option<ArrayRef> {
        let rows = self.rows;
        if key == WEIGHT {
            return Some(weights_or_ones(self.weights, rows));
        }
        if let Some((_, text)) = self.texts.iter().find(|(name, _)| *name == key) {
            return Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))));
        }
        if let Some((_, number)) = self.numbers.iter().find(|(name, _)| *name == key) {
            return Some(Arc::new(Int64Array::from_value(*number, rows)));
        }
        let (_, time) = self.times.iter().find(|(name, _)| *name == key)?;
        Some(Arc::new(TimestampMillisecondArray::from_value(*time, rows)))
    }
}

/// The weights as a column.
pub(crate) fn weights_or_ones(weights: Option<&Int64Array>, rows: usize) -> ArrayRef {
    Arc::new(weights.cloned().unwrap_or_else(|| Int64Array::from_value(1, rows)))
}

/// Headers of records as a MAP<STRING, BYTES>.
pub(crate) struct HeadersBuilder(MapBuilder<StringBuilder, BinaryBuilder>);

impl HeadersBuilder {
    pub(crate) fn new() -> Self {
        let names = MapFieldNames { entry: "entries".into(), key: "keys".into(), value: "values".into() };
        HeadersBuilder(MapBuilder::new(Some(names), StringBuilder::new(), BinaryBuilder::new()))
    }

    /// Adds one record's headers.
    pub(crate) fn push<'a>(&mut self, headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Result<()> {
        for (key, value) in headers {
            self.0.keys().append_value(key);
            self.0.values().append_option(value);
        }
        self.0.append(true).map_err(|error| Error::internal(format!("record headers: {error}")))
    }

    pub(crate) fn finish(mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Keys of records as BYTES.
pub(crate) fn keys_column<'a>(keys: impl Iterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    Arc::new(keys.collect::<BinaryArray>())
}
