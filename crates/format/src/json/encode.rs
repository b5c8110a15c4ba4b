//! Batches to JSON lines, or to one JSON object for each record of a topic.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use fleuve_base::Result;

use crate::cells::{Cells, check_type, json_key, write_json_fields};
use crate::time::TimestampFormat;

/// Bytes that a row is expected to take at least, for the first reservation.
const ROW_BYTES_GUESS: usize = 64;

/// Encodes rows as JSON objects.
///
/// Timestamps are strings in the chosen form with as many digits as their type has, decimals are plain numbers,
/// floats have the fewest digits that read back the same (NaN and infinities are strings), bytes are base64.
///
/// ```
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use fleuve_format::{JsonEncoder, TimestampFormat};
/// use std::sync::Arc;
///
/// let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
/// let batch = RecordBatch::try_from_iter([("id", ids)])?;
/// let mut lines = Vec::new();
/// JsonEncoder::new(&batch.schema(), TimestampFormat::Sql)?.encode(&batch, &mut lines)?;
/// assert_eq!(lines, b"{\"id\":1}\n{\"id\":null}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JsonEncoder {
    format: TimestampFormat,
}

impl JsonEncoder {
    /// An encoder of batches of this schema. Fails if a type has no JSON form.
    pub fn new(schema: &Schema, format: TimestampFormat) -> Result<Self> {
        schema.fields().iter().try_for_each(|field| check_type(field.name(), field.data_type()))?;
        Ok(JsonEncoder { format })
    }

    /// Appends a line for every row.
    pub fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let mut fields = fields_of(batch, self.format)?;
        out.reserve(batch.num_rows() * ROW_BYTES_GUESS);
        for row in 0..batch.num_rows() {
            write_json_fields(&mut fields, row, out);
            out.push(b'\n');
        }
        Ok(())
    }

    /// Appends an object for every row, without newlines, and to `ends` where each ends in `out`.
    pub fn encode_records(&self, batch: &RecordBatch, out: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<()> {
        let mut fields = fields_of(batch, self.format)?;
        out.reserve(batch.num_rows() * ROW_BYTES_GUESS);
        ends.reserve(batch.num_rows());
        for row in 0..batch.num_rows() {
            write_json_fields(&mut fields, row, out);
            ends.push(out.len());
        }
        Ok(())
    }
}

/// The columns of a batch with their keys.
pub(crate) fn fields_of(batch: &RecordBatch, format: TimestampFormat) -> Result<Vec<(Vec<u8>, Cells<'_>)>> {
    let schema = batch.schema_ref();
    let pairs = schema.fields().iter().zip(batch.columns());
    pairs.map(|(field, column)| Ok((json_key(field.name()), Cells::new(field.name(), column, format)?))).collect()
}
