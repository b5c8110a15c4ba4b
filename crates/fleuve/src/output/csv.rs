//! CSV with a header line.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use fleuve_base::Result;
use fleuve_format::{CsvEncoder, CsvOptions};

use super::{Printer, io_error};

/// Comma-separated values.
pub struct CsvPrinter {
    encoder: CsvEncoder,
    header: Option<String>,
    buffer: Vec<u8>,
}

impl CsvPrinter {
    /// A printer for rows of a schema.
    pub fn new(schema: &Schema) -> Result<Self> {
        let quoted = |name: &String| match name.contains([',', '"', '\n']) {
            true => format!("\"{}\"", name.replace('"', "\"\"")),
            false => name.clone(),
        };
        let header: Vec<String> = schema.fields().iter().map(|f| quoted(f.name())).collect();
        let encoder = CsvEncoder::new(schema, CsvOptions::default())?;
        Ok(CsvPrinter { encoder, header: Some(header.join(",") + "\n"), buffer: vec![] })
    }

    fn write_header(&mut self, out: &mut dyn Write) -> Result<()> {
        match self.header.take() {
            Some(header) => out.write_all(header.as_bytes()).map_err(|e| io_error(&e)),
            None => Ok(()),
        }
    }
}

impl Printer for CsvPrinter {
    fn print(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        self.write_header(out)?;
        self.buffer.clear();
        self.encoder.encode(rows, &mut self.buffer)?;
        out.write_all(&self.buffer).map_err(|e| io_error(&e))
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<()> {
        self.write_header(out)
    }
}
