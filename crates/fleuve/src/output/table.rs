//! Aligned columns that can be printed while rows still come.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::ArrayFormatter;
use comfy_table::{CellAlignment, Table, presets};
use fleuve_base::Result;

use super::{Printer, cell, cell_options, internal, io_error};

/// Prints each batch as rows of one table: the header once, and columns at least as wide as they have ever been.
pub struct TablePrinter {
    names: Vec<String>,
    numeric: Vec<bool>,
    widths: Vec<usize>,
    started: bool,
}

impl TablePrinter {
    /// A printer for rows of a schema.
    pub fn new(schema: &Schema) -> Self {
        let fields = schema.fields();
        TablePrinter {
            names: fields.iter().map(|f| f.name().clone()).collect(),
            numeric: fields.iter().map(|f| is_numeric(f.data_type())).collect(),
            widths: vec![0; fields.len()],
            started: false,
        }
    }

    fn lines(&mut self, cells: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(self.names.clone());
        cells.into_iter().for_each(|row| {
            table.add_row(row);
        });
        for (index, column) in table.column_iter_mut().enumerate() {
            let width = self.widths[index];
            let lower = comfy_table::Width::Fixed(u16::try_from(width).unwrap_or(u16::MAX));
            column.set_constraint(comfy_table::ColumnConstraint::LowerBoundary(lower));
            column.set_cell_alignment(if self.numeric[index] { CellAlignment::Right } else { CellAlignment::Left });
        }
        self.widths = table
            .column_max_content_widths()
            .iter()
            .zip(&self.widths)
            .map(|(now, before)| usize::from(*now).saturating_add(2).max(*before))
            .collect();
        table.to_string()
    }
}

fn is_numeric(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

impl Printer for TablePrinter {
    fn print(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let options = cell_options();
        let formatters = rows.columns().iter().map(|c| ArrayFormatter::try_new(c, &options));
        let formatters = formatters.collect::<std::result::Result<Vec<_>, _>>().map_err(internal)?;
        let text_of = |row: usize| {
            formatters.iter().enumerate().map(|(index, f)| cell(f, rows.column(index), row)).collect::<Vec<_>>()
        };
        let text = self.lines((0..rows.num_rows()).map(text_of).collect());
        let skip = usize::from(self.started);
        self.started = true;
        for line in text.lines().skip(skip) {
            writeln!(out, "{}", line.trim_end()).map_err(|e| io_error(&e))?;
        }
        Ok(())
    }
}
