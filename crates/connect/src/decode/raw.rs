//! Format `raw`: a record is the value of the table's only column.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_flow::source::ScanColumn;
use fleuve_format::{BadRecord, Decode, Decoded};

/// Decodes lines or records into one column of texts or bytes.
pub(super) struct RawDecoder {
    schema: SchemaRef,
    values: Values,
    /// Number of the line or record that was seen last; the numbers of those that became rows.
    line: u64,
    lines: Vec<u64>,
    position: u64,
    bad: Vec<BadRecord>,
    read: u64,
}

enum Values {
    Text(StringBuilder),
    Bytes(BinaryBuilder),
}

impl RawDecoder {
    pub(super) fn new(physical: &Schema, wanted: &[(&str, &ScanColumn, &[String])]) -> Result<Self> {
        let [column] = physical.fields().as_ref() else {
            let columns = physical.fields().len();
            return Err(Error::input("E504", format!("format `raw` needs one column, and the table has {columns}"))
                .with_hint("declare a single column of type STRING or BYTES"));
        };
        let values = match column.data_type() {
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Values::Text(StringBuilder::new()),
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => Values::Bytes(BinaryBuilder::new()),
            other => {
                let message = format!("format `raw` holds STRING or BYTES, and `{}` is {other}", column.name());
                return Err(Error::input("E504", message));
            }
        };
        let field = |(name, column, _): &(&str, &ScanColumn, &[String])| {
            Field::new(*name, column.data_type.clone(), column.nullable)
        };
        let schema = Arc::new(Schema::new(wanted.iter().map(field).collect::<Vec<_>>()));
        Ok(RawDecoder { schema, values, line: 0, lines: vec![], position: 0, bad: vec![], read: 0 })
    }

    fn push(&mut self, value: &[u8]) {
        self.line += 1;
        self.read += 1;
        match &mut self.values {
            Values::Bytes(values) => values.append_value(value),
            Values::Text(values) => match std::str::from_utf8(value) {
                Ok(text) => values.append_value(text),
                Err(error) => return self.push_bad(value, error.valid_up_to()),
            },
        }
        self.lines.push(self.line);
    }

    fn push_bad(&mut self, value: &[u8], at: usize) {
        self.bad.push(BadRecord {
            line: self.line,
            column: at as u64 + 1,
            position: self.position,
            length: value.len(),
            reason: "it is not UTF-8".to_owned(),
            raw: value.to_vec(),
        });
    }

    fn finish_values(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Text(values) => Arc::new(values.finish()),
            Values::Bytes(values) => Arc::new(values.finish()),
        }
    }
}

impl Decode for RawDecoder {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn seek(&mut self, _origin: &str, line: u64, position: u64) {
        self.line = line.saturating_sub(1);
        self.position = position;
    }

    fn decode(&mut self, lines: &[u8]) -> Result<()> {
        let mut rest = lines;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            self.push(line);
            let used = (end + 1).min(rest.len());
            self.position += used as u64;
            rest = &rest[used..];
        }
        Ok(())
    }

    fn push_record(&mut self, value: &[u8]) -> Result<()> {
        self.push(value);
        Ok(())
    }

    fn rows(&self) -> usize {
        self.lines.len()
    }

    fn flush(&mut self) -> Result<Decoded> {
        let values = self.finish_values();
        let rows = RecordBatchOptions::new().with_row_count(Some(values.len()));
        let columns = self.schema.fields().iter().map(|field| cast(&values, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(arrow_error)?;
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &rows).map_err(arrow_error)?;
        let bad = std::mem::take(&mut self.bad);
        Ok(Decoded {
            batch,
            lines: std::mem::take(&mut self.lines),
            max_timestamp: None,
            lines_read: std::mem::take(&mut self.read),
            filtered: 0,
            skipped: bad.len() as u64,
            nulled: 0,
            bad,
            weights: None,
        })
    }
}

fn arrow_error(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("columns of raw records: {error}"))
}
