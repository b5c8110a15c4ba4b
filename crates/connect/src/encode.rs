//! Rows to bytes, by the table's format.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use fleuve_base::{Error, Result};
use fleuve_format::{CsvEncoder, CsvOptions, DebeziumEncoder, JsonEncoder, TimestampFormat};

use crate::decode::csv_options;
use crate::options::Options;

/// Encodes the rows of a table; what it writes has no newline after a row.
pub(crate) enum RowEncoder {
    Json(JsonEncoder),
    Csv(Box<CsvEncoder>),
    Debezium(DebeziumEncoder),
    Raw,
}

impl RowEncoder {
    /// The encoder of the table's format.
    pub(crate) fn new(options: &Options, schema: &Schema) -> Result<Self> {
        Ok(match options.format() {
            Some("csv") => RowEncoder::Csv(Box::new(CsvEncoder::new(schema, csv_write_options(options)?)?)),
            Some("debezium-json") => {
                RowEncoder::Debezium(DebeziumEncoder::new(schema, timestamps(options, "debezium-json"))?)
            }
            Some("raw") => {
                check_raw(options, schema)?;
                RowEncoder::Raw
            }
            _ => RowEncoder::Json(JsonEncoder::new(schema, timestamps(options, "json"))?),
        })
    }

    /// The encoder of a record's key: a JSON object of the key's columns.
    pub(crate) fn key(options: &Options, schema: &Schema) -> Result<Self> {
        Ok(RowEncoder::Json(JsonEncoder::new(schema, timestamps(options, "json"))?))
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
            RowEncoder::Debezium(encoder) => encoder.encode_records(rows, weights, out, ends),
            RowEncoder::Raw => encode_raw(rows, out, ends),
        }
    }

    /// Appends the rows as lines.
    pub(crate) fn lines(&self, rows: &RecordBatch, weights: Option<&Int64Array>, out: &mut Vec<u8>) -> Result<()> {
        match self {
            RowEncoder::Json(encoder) => encoder.encode(rows, out),
            RowEncoder::Csv(encoder) => encoder.encode(rows, out),
            RowEncoder::Debezium(encoder) => encoder.encode(rows, weights, out),
            RowEncoder::Raw => {
                let (mut bytes, mut ends, mut start) = (Vec::new(), Vec::new(), 0);
                encode_raw(rows, &mut bytes, &mut ends)?;
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

fn check_raw(options: &Options, schema: &Schema) -> Result<()> {
    let [column] = schema.fields().as_ref() else {
        let message = format!(
            "table `{}`: format `raw` writes one column, and there are {}",
            options.table(),
            schema.fields().len()
        );
        return Err(Error::input("E504", message));
    };
    match column.data_type() {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Ok(()),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => Ok(()),
        other => {
            let message = format!(
                "table `{}`: format `raw` writes STRING or BYTES, and `{}` is {other}",
                options.table(),
                column.name()
            );
            Err(Error::input("E504", message))
        }
    }
}

fn encode_raw(rows: &RecordBatch, out: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<()> {
    let values =
        cast(rows.column(0), &DataType::Binary).map_err(|error| Error::internal(format!("a raw column: {error}")))?;
    let values = values.as_binary::<i32>();
    for row in 0..values.len() {
        if values.is_valid(row) {
            out.extend_from_slice(values.value(row));
        }
        ends.push(out.len());
    }
    Ok(())
}

/// Some columns of a schema.
pub(crate) fn project(schema: &Schema, columns: &[usize]) -> Result<Arc<Schema>> {
    let projected = schema.project(columns).map_err(|error| Error::internal(format!("columns of a table: {error}")))?;
    Ok(Arc::new(projected))
}
