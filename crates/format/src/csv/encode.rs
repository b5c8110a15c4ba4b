//! Batches to CSV.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use fleuve_base::Result;

use super::CsvOptions;
use crate::cells::{Cells, check_type};
use crate::time::TimestampFormat;

/// Encodes rows as CSV.
///
/// A field is quoted if it holds a delimiter, a quote or a line end, or could be taken for NULL or a comment.
///
/// ```
/// use arrow::array::{ArrayRef, RecordBatch, StringArray};
/// use fleuve_format::{CsvEncoder, CsvOptions};
/// use std::sync::Arc;
///
/// let names: ArrayRef = Arc::new(StringArray::from(vec!["plain", "with, comma"]));
/// let batch = RecordBatch::try_from_iter([("name", names)])?;
/// let mut text = Vec::new();
/// CsvEncoder::new(&batch.schema(), CsvOptions::default())?.encode(&batch, &mut text)?;
/// assert_eq!(text, b"plain\n\"with, comma\"\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CsvEncoder {
    options: CsvOptions,
}

impl CsvEncoder {
    /// An encoder of batches of this schema. Fails if a type has no text form.
    pub fn new(schema: &Schema, options: CsvOptions) -> Result<Self> {
        schema.fields().iter().try_for_each(|field| check_type(field.name(), field.data_type()))?;
        Ok(CsvEncoder { options })
    }

    /// Appends the line of column names, whether or not the options ask for one.
    pub fn encode_header(&self, schema: &Schema, out: &mut Vec<u8>) {
        for (at, field) in schema.fields().iter().enumerate() {
            self.separate(at, out);
            let start = out.len();
            out.extend_from_slice(field.name().as_bytes());
            self.quote(start, at, out);
        }
        out.push(b'\n');
    }

    /// Appends a line for every row.
    pub fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.encode_each(batch, out, |out| out.push(b'\n'))
    }

    /// Appends every row without its newline, and to `ends` where each ends in `out`.
    pub fn encode_records(&self, batch: &RecordBatch, out: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<()> {
        self.encode_each(batch, out, |out| ends.push(out.len()))
    }

    fn encode_each(&self, batch: &RecordBatch, out: &mut Vec<u8>, mut end: impl FnMut(&mut Vec<u8>)) -> Result<()> {
        let schema = batch.schema_ref();
        let columns = schema.fields().iter().zip(batch.columns());
        let cells = columns.map(|(field, column)| Cells::new(field.name(), column, TimestampFormat::Sql));
        let mut cells = cells.collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            for (at, cells) in cells.iter_mut().enumerate() {
                self.separate(at, out);
                self.encode_cell(cells, row, at, out);
            }
            end(out);
        }
        Ok(())
    }

    fn separate(&self, at: usize, out: &mut Vec<u8>) {
        if at > 0 {
            out.push(self.options.delimiter);
        }
    }

    fn encode_cell(&self, cells: &mut Cells<'_>, row: usize, at: usize, out: &mut Vec<u8>) {
        if cells.is_null(row) {
            return out.extend_from_slice(self.options.null_literal.as_deref().unwrap_or("").as_bytes());
        }
        let start = out.len();
        cells.write_plain(row, out);
        self.quote(start, at, out);
    }

    /// Quotes the field that begins at `start`, if it must be. Of a single empty column the line would be blank.
    fn quote(&self, start: usize, at: usize, out: &mut Vec<u8>) {
        let Some(quote) = self.options.quote else { return };
        let field = &out[start..];
        let special = |byte: &u8| {
            [self.options.delimiter, quote, b'\n', b'\r'].contains(byte) || Some(*byte) == self.options.escape
        };
        let null = self.options.null_literal.as_deref().is_some_and(|null| null.as_bytes() == field);
        let comment = at == 0 && field.first() == Some(&b'#');
        let blank = field.is_empty() && at == 0;
        if !(null || comment || blank || field.iter().any(special)) {
            return;
        }
        let field = out.split_off(start);
        out.push(quote);
        for byte in field {
            if byte == quote || Some(byte) == self.options.escape {
                out.push(self.options.escape.unwrap_or(quote));
            }
            out.push(byte);
        }
        out.push(quote);
    }
}
