//! Format `raw`: a record is the value of the table's only column, as it stands.
//!
//! Texts are UTF-8; numbers have the bytes of their type, the most significant first unless `raw.endianness` says
//! otherwise; a boolean is one byte.

use std::sync::Arc;

use arrow::array::RecordBatchOptions;
use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryBuilder, BooleanArray, RecordBatch, StringBuilder, make_array,
};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_flow::source::ScanColumn;
use fleuve_format::{BadRecord, Decode, Decoded};

use crate::options::Options;

/// How values of a type stand in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bytes,
    Boolean,
    /// A number of so many bytes.
    Number(usize),
}

/// The only column of a table, and whether the least significant byte of a number comes first.
fn layout(options: &Options, schema: &Schema) -> Result<(Kind, bool)> {
    let [column] = schema.fields().as_ref() else {
        let (table, columns) = (options.table(), schema.fields().len());
        let message = format!("table `{table}`: format `raw` holds one column, and there are {columns}");
        return Err(
            Error::input("E504", message).with_hint("declare a single column, for example of type STRING or BYTES")
        );
    };
    let kind = match column.data_type() {
        DataType::Utf8 => Kind::Text,
        DataType::Binary => Kind::Bytes,
        DataType::Boolean => Kind::Boolean,
        DataType::Int8 => Kind::Number(1),
        DataType::Int16 => Kind::Number(2),
        DataType::Int32 | DataType::Float32 => Kind::Number(4),
        DataType::Int64 | DataType::Float64 => Kind::Number(8),
        other => {
            let (table, name) = (options.table(), column.name());
            let message =
                format!("table `{table}`: format `raw` holds a text, bytes or a number, and `{name}` is {other}");
            return Err(Error::input("E504", message));
        }
    };
    Ok((kind, options.text("raw.endianness") == Some("little-endian")))
}

/// Encodes the only column.
pub(crate) struct RawEncoder {
    kind: Kind,
    little_endian: bool,
}

impl RawEncoder {
    pub(crate) fn new(options: &Options, schema: &Schema) -> Result<Self> {
        let (kind, little_endian) = layout(options, schema)?;
        Ok(RawEncoder { kind, little_endian })
    }

    /// Appends the rows, and the position after each. NULL has no bytes.
    pub(crate) fn encode_records(&self, rows: &RecordBatch, out: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<()> {
        let column = rows.column(0);
        let bytes = match self.kind {
            Kind::Text | Kind::Bytes => Some(cast(column, &DataType::Binary).map_err(arrow_error)?),
            _ => None,
        };
        let data = column.to_data();
        for row in 0..column.len() {
            if column.is_valid(row) {
                match (self.kind, &bytes) {
                    (Kind::Number(width), _) => out.extend(self.number(&data, row, width)),
                    (_, Some(bytes)) => out.extend_from_slice(bytes.as_binary::<i32>().value(row)),
                    (_, None) => out.push(u8::from(column.as_boolean().value(row))),
                }
            }
            ends.push(out.len());
        }
        Ok(())
    }

    fn number(&self, data: &ArrayData, row: usize, width: usize) -> Vec<u8> {
        let start = (data.offset() + row) * width;
        let mut bytes = data.buffers()[0].as_slice()[start..start + width].to_vec();
        turn(&mut bytes, self.little_endian);
        bytes
    }
}

/// From the machine's order of bytes to the record's, or back.
fn turn(bytes: &mut [u8], little_endian: bool) {
    if little_endian != cfg!(target_endian = "little") {
        bytes.reverse();
    }
}

/// Decodes lines or records into one column.
pub(crate) struct RawDecoder {
    schema: SchemaRef,
    data_type: DataType,
    values: Values,
    little_endian: bool,
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
    Boolean(Vec<bool>),
    /// Numbers of so many bytes, in the machine's order.
    Number(usize, Vec<u8>),
}

impl RawDecoder {
    pub(crate) fn new(options: &Options, physical: &Schema, wanted: &[(&str, &ScanColumn, &[String])]) -> Result<Self> {
        let (kind, little_endian) = layout(options, physical)?;
        let values = match kind {
            Kind::Text => Values::Text(StringBuilder::new()),
            Kind::Bytes => Values::Bytes(BinaryBuilder::new()),
            Kind::Boolean => Values::Boolean(vec![]),
            Kind::Number(width) => Values::Number(width, vec![]),
        };
        let field = |(name, column, _): &(&str, &ScanColumn, &[String])| {
            Field::new(*name, column.data_type.clone(), column.nullable)
        };
        let schema = Arc::new(Schema::new(wanted.iter().map(field).collect::<Vec<_>>()));
        let data_type = physical.field(0).data_type().clone();
        let (lines, bad) = (vec![], vec![]);
        Ok(RawDecoder { schema, data_type, values, little_endian, line: 0, lines, position: 0, bad, read: 0 })
    }

    fn push(&mut self, value: &[u8]) {
        self.line += 1;
        self.read += 1;
        let little_endian = self.little_endian;
        match &mut self.values {
            Values::Bytes(values) => values.append_value(value),
            Values::Text(values) => match std::str::from_utf8(value) {
                Ok(text) => values.append_value(text),
                Err(error) => return self.push_bad(value, error.valid_up_to(), "it is not UTF-8".to_owned()),
            },
            Values::Boolean(values) if value.len() == 1 => values.push(value[0] != 0),
            Values::Boolean(_) => return self.push_bad(value, 0, format!("it has {} bytes instead of 1", value.len())),
            Values::Number(width, values) if value.len() == *width => {
                let start = values.len();
                values.extend_from_slice(value);
                turn(&mut values[start..], little_endian);
            }
            Values::Number(width, _) => {
                let reason = format!("it has {} bytes instead of {width}", value.len());
                return self.push_bad(value, 0, reason);
            }
        }
        self.lines.push(self.line);
    }

    fn push_bad(&mut self, value: &[u8], at: usize, reason: String) {
        self.bad.push(BadRecord {
            line: self.line,
            column: at as u64 + 1,
            position: self.position,
            length: value.len(),
            reason,
            raw: value.to_vec(),
        });
    }

    fn finish_values(&mut self) -> Result<ArrayRef> {
        Ok(match &mut self.values {
            Values::Text(values) => Arc::new(values.finish()),
            Values::Bytes(values) => Arc::new(values.finish()),
            Values::Boolean(values) => Arc::new(BooleanArray::from(std::mem::take(values))),
            Values::Number(width, values) => {
                let values = std::mem::take(values);
                let data = ArrayData::builder(self.data_type.clone()).len(values.len() / *width);
                make_array(data.add_buffer(Buffer::from(values)).build().map_err(arrow_error)?)
            }
        })
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
        let values = self.finish_values()?;
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
