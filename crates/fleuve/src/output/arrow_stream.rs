//! An Arrow IPC stream.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use fleuve_base::Result;

use super::{Printer, internal, io_error};

/// Encodes into memory and passes on what is complete.
#[derive(Default)]
pub struct ArrowPrinter {
    writer: Option<StreamWriter<Vec<u8>>>,
}

impl Printer for ArrowPrinter {
    fn print(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => StreamWriter::try_new(vec![], &rows.schema()).map_err(internal)?,
        };
        writer.write(rows).map_err(internal)?;
        out.write_all(&std::mem::take(writer.get_mut())).map_err(|e| io_error(&e))?;
        self.writer = Some(writer);
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<()> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        writer.finish().map_err(internal)?;
        out.write_all(&std::mem::take(writer.get_mut())).map_err(|e| io_error(&e))
    }
}
