//! NDJSON.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use fleuve_base::Result;
use fleuve_format::{JsonEncoder, TimestampFormat};

use super::{Printer, io_error};

/// One object a line.
pub struct JsonPrinter {
    encoder: JsonEncoder,
    buffer: Vec<u8>,
}

impl JsonPrinter {
    /// A printer for rows of a schema.
    pub fn new(schema: &Schema) -> Result<Self> {
        Ok(JsonPrinter { encoder: JsonEncoder::new(schema, TimestampFormat::Sql)?, buffer: vec![] })
    }
}

impl Printer for JsonPrinter {
    fn print(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        self.buffer.clear();
        self.encoder.encode(rows, &mut self.buffer)?;
        out.write_all(&self.buffer).map_err(|e| io_error(&e))
    }
}
