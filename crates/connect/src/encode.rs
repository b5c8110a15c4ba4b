//! Rows to bytes, by the table's format.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::Schema;
use fleuve_base::{Error, Result};
use fleuve_format::{AvroEncoder, CsvEncoder, CsvOptions, DebeziumEncoder, JsonEncoder, TimestampFormat};

use crate::decode::csv_options;
use crate::options::Options;
use crate::raw::RawEncoder;

/// Encodes the rows of a table; what it writes has no newline after a row.
pub(crate) enum RowEncoder {
    Json(JsonEncoder),
    Csv(Box<CsvEncoder>),
    Avro(AvroEncoder),
    Debezium(DebeziumEncoder),
    Raw(RawEncoder),
}

impl RowEncoder {
    /// The encoder of the table's format.
    pub(crate) fn new(options: &Options, schema: &Schema) -> Result<Self> {
        Ok(match options.format() {
            Some("csv") => RowEncoder::Csv(Box::new(CsvEncoder::new(schema, csv_write_options(options)?)?)),
            Some("avro") => {
                if options.stated("avro.schema").is_some() {
                    return Err(stated_schema(options));
                }
                RowEncoder::Avro(AvroEncoder::new(schema)?)
            }
            Some("debezium-json") => {
                RowEncoder::Debezium(DebeziumEncoder::new(schema, timestamps(options, "debezium-json"))?)
            }
            Some("raw") => RowEncoder::Raw(RawEncoder::new(options, schema)?),
            _ => RowEncoder::Json(JsonEncoder::new(schema, timestamps(options, "json"))?),
        })
    }

    /// Whether a row is written as often as its weight says.
    pub(crate) fn is_changelog(&self) -> bool {
        matches!(self, RowEncoder::Debezium(_))
    }

    /// Appends the rows, and the position after each; a row of weight *n* stands there |*n*| times.
    pub(crate) fn encode(
        &self,
        rows: &RecordBatch,
        weights: Option<&Int64Array>,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<()> {
        match self {
            RowEncoder::Json(encoder) => encoder.encode_records(rows, out, ends),
            RowEncoder::Csv(encoder) => encoder.encode_records(rows, out, ends),
            RowEncoder::Avro(encoder) => encoder.encode_records(rows, out, ends),
            RowEncoder::Debezium(encoder) => encoder.encode_records(rows, weights, out, ends),
            RowEncoder::Raw(encoder) => encoder.encode_records(rows, out, ends),
        }
    }

    /// Appends the rows as lines.
    pub(crate) fn lines(&self, rows: &RecordBatch, weights: Option<&Int64Array>, out: &mut Vec<u8>) -> Result<()> {
        match self {
            RowEncoder::Json(encoder) => encoder.encode(rows, out),
            RowEncoder::Csv(encoder) => encoder.encode(rows, out),
            RowEncoder::Debezium(encoder) => encoder.encode(rows, weights, out),
            RowEncoder::Avro(_) => Err(Error::unsupported("E504", "Avro records are not lines")),
            RowEncoder::Raw(encoder) => {
                let (mut bytes, mut ends, mut start) = (Vec::new(), Vec::new(), 0);
                encoder.encode_records(rows, &mut bytes, &mut ends)?;
                for end in ends {
                    out.extend_from_slice(&bytes[start..end]);
                    out.push(b'\n');
                    start = end;
                }
                Ok(())
            }
        }
    }
}

fn stated_schema(options: &Options) -> Error {
    let message = format!("table `{}`: 'avro.schema' is for reading", options.table());
    Error::unsupported("E504", message).with_hint("leave it out: records are written by the table's own columns")
}

fn timestamps(options: &Options, prefix: &str) -> TimestampFormat {
    match options.text(&format!("{prefix}.timestamp-format.standard")) {
        Some("ISO-8601") => TimestampFormat::Iso8601,
        _ => TimestampFormat::Sql,
    }
}

/// The CSV dialect for writing; a header is written by whoever begins a file.
pub(crate) fn csv_write_options(options: &Options) -> Result<CsvOptions> {
    Ok(CsvOptions { header: false, ..csv_options(options)? })
}

/// Some columns of a schema.
pub(crate) fn project(schema: &Schema, columns: &[usize]) -> Result<Arc<Schema>> {
    let projected = schema.project(columns).map_err(|error| Error::internal(format!("columns of a table: {error}")))?;
    Ok(Arc::new(projected))
}
