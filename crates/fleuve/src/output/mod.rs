//! What results look like: changes as lines, in one of five formats.

mod arrow_stream;
mod changes;
mod csv;
mod histogram;
mod json;
pub mod listing;
pub mod record;
mod table;
mod vertical;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_flow::Batch;

use crate::args::Format;

/// Prints batches of rows in one format.
pub trait Printer {
    /// Prints rows; the first call fixes headers and widths.
    fn print(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> Result<()>;
    /// Ends the output.
    fn finish(&mut self, _out: &mut dyn Write) -> Result<()> {
        Ok(())
    }
}

/// The format to use: the one asked for, or the one that suits standard output.
pub fn effective(format: Option<Format>, as_json: bool) -> Format {
    match format {
        Some(format) => format,
        None if as_json || !std::io::stdout().is_terminal() => Format::Json,
        None => Format::Table,
    }
}

/// A printer for rows of a schema.
pub fn printer(format: Format, schema: &SchemaRef) -> Result<Box<dyn Printer>> {
    Ok(match format {
        Format::Table => Box::new(table::TablePrinter::new(schema)),
        Format::Json => Box::new(json::JsonPrinter::new(schema)?),
        Format::Csv => Box::new(csv::CsvPrinter::new(schema)?),
        Format::Arrow => Box::new(arrow_stream::ArrowPrinter::default()),
        Format::Vertical => Box::new(vertical::VerticalPrinter::default()),
    })
}

/// A printer for a query's rows: as [`printer`], but on a terminal a histogram is drawn.
pub fn query_printer(format: Format, schema: &SchemaRef) -> Result<Box<dyn Printer>> {
    if format == Format::Table && histogram::is_one(schema) && std::io::stdout().is_terminal() {
        return Ok(Box::new(histogram::HistogramPrinter::new(schema)));
    }
    printer(format, schema)
}

/// Turns the epochs of a query into rows to print: as they are, or with the change's kind in an `op` column.
pub struct Presenter {
    schema: SchemaRef,
    changelog: bool,
    upsert_key: Option<Vec<usize>>,
}

impl Presenter {
    /// A presenter for a query's rows; with `changelog` they get an `op` column of `+I`, `-U`, `+U` and `-D`.
    pub fn new(rows: &Schema, changelog: bool, upsert_key: Option<Vec<usize>>) -> Self {
        let op = changelog.then(|| Arc::new(Field::new("op", DataType::Utf8, false)));
        let fields: Vec<_> = op.into_iter().chain(rows.fields().iter().cloned()).collect();
        Presenter { schema: Arc::new(Schema::new(fields)), changelog, upsert_key }
    }

    /// The schema of what is printed.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of one epoch.
    pub fn present(&self, batches: &[Batch]) -> Result<Vec<RecordBatch>> {
        if !self.changelog {
            let renamed = batches.iter().map(|b| self.renamed(b.columns.columns().to_vec(), b.num_rows()));
            return renamed.collect();
        }
        let Some(all) = changes::concat(batches)? else { return Ok(vec![]) };
        let (rows, ops) = changes::order(&all, self.upsert_key.as_deref())?;
        let count = rows.len();
        let taken = compute::take_record_batch(&all.columns, &UInt32Array::from(rows)).map_err(internal)?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(ops))];
        columns.extend(taken.columns().iter().cloned());
        Ok(vec![self.renamed(columns, count)?])
    }

    fn renamed(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(internal)
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(error.to_string())
}

/// Writes to standard output; a reader that has gone is not an error but the end.
pub fn io_error(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => {
            Error::new(fleuve_base::ErrorKind::Io, crate::result::PRINTER_CLOSED, "the reader of the output has gone")
        }
        _ => Error::io("write the result", error),
    }
}

/// Writes to standard output; that nobody reads it is an error, not a panic.
pub fn say(text: impl AsRef<str>) -> Result<()> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_ref().as_bytes()).map_err(|e| io_error(&e))
}

/// One cell as text; NULL is `NULL`.
pub fn cell(formatter: &arrow::util::display::ArrayFormatter<'_>, column: &ArrayRef, row: usize) -> String {
    use arrow::array::Array;
    if column.is_null(row) { "NULL".to_owned() } else { formatter.value(row).to_string() }
}

/// Columns and lines of the terminal; what is usual, if it does not tell.
pub fn terminal_size() -> (usize, usize) {
    const USUAL: (u16, u16) = (100, 40);
    let (width, height) = crossterm::terminal::size().unwrap_or(USUAL);
    (usize::from(width), usize::from(height))
}

/// How cells are written: timestamps as SQL has them.
pub fn cell_options() -> arrow::util::display::FormatOptions<'static> {
    arrow::util::display::FormatOptions::new()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3f"))
        .with_null("NULL")
}
