//! One column a line, for wide rows.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::util::display::ArrayFormatter;
use fleuve_base::Result;

use super::{Printer, cell, cell_options, internal, io_error};

/// Numbers the rows as psql's expanded display does.
#[derive(Default)]
pub struct VerticalPrinter {
    rows: u64,
}

impl Printer for VerticalPrinter {
    fn print(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let options = cell_options();
        let schema = rows.schema();
        let width = schema.fields().iter().map(|f| f.name().chars().count()).max().unwrap_or(0);
        let formatters = rows.columns().iter().map(|c| ArrayFormatter::try_new(c, &options));
        let formatters = formatters.collect::<std::result::Result<Vec<_>, _>>().map_err(internal)?;
        for row in 0..rows.num_rows() {
            self.rows += 1;
            writeln!(out, "-[ {} ]-", self.rows).map_err(|e| io_error(&e))?;
            for (index, formatter) in formatters.iter().enumerate() {
                let (name, text) = (schema.field(index).name(), cell(formatter, rows.column(index), row));
                writeln!(out, "{name:<width$} | {text}").map_err(|e| io_error(&e))?;
            }
        }
        Ok(())
    }
}
