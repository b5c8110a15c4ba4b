//! Assembling batches: the part of decoding that JSON and CSV share. A walker leaves the spans of a block's rows
//! in the table; here they become columns, and bad rows are dealt with as the policy says.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use fleuve_base::{Error, ErrorKind, Result};

use crate::bad::{BadRecord, BadValue, Faults, OnBad};
use crate::column::{Column, Source, timestamp_of};
use crate::span::{Kind, Span, Table};
use crate::time::TimestampReader;

/// Bytes of text that one column may gather between two flushes: Arrow's string offsets have 31 bits.
const COLUMN_BYTES_MAX: usize = 1 << 30;

/// Spans of the rows that are converted together. A block of very short lines may hold very many wide rows.
const TABLE_SPANS_MAX: usize = 1 << 20;

/// What a decoder gathered since the last flush.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The rows.
    pub batch: RecordBatch,
    /// For each row the number of the line (or record) it came from; empty unless lines are tracked.
    pub lines: Vec<u64>,
    /// For each row +1 or −1; `None` if all are +1. Only changelog formats give weights.
    pub weights: Option<Int64Array>,
    /// The greatest of the `max_of` timestamps in all lines, in milliseconds since 1970 (an integer as it
    /// stands); `None` if there was none.
    pub max_timestamp: Option<i64>,
    /// Lines (or records) read, blank ones included.
    pub lines_read: u64,
    /// Rows that a prefilter dropped.
    pub filtered: u64,
    /// Bad rows that were left out.
    pub skipped: u64,
    /// Values that became NULL by `ignore-parse-errors`.
    pub nulled: u64,
    /// The bad rows, if they are collected.
    pub bad: Vec<BadRecord>,
}

/// A line within the current block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Position of its first byte in the block.
    pub(crate) start: u32,
    /// Its number within the block, from 0.
    pub(crate) number: u32,
    /// Where it ends, without its newline; 0 if nothing says but the newline.
    pub(crate) end: u32,
}

/// A line of the current block that is bad: where, and why.
#[derive(Debug)]
struct BadLine {
    line: Line,
    position: Option<u32>,
    reason: String,
}

/// What a decoder hands over to its assembly.
pub(crate) struct Settings {
    /// Its name in errors: `JSON`.
    pub(crate) format: &'static str,
    pub(crate) on_bad: OnBad,
    pub(crate) ignore_parse_errors: bool,
    pub(crate) track_lines: bool,
    /// Slots of the watermark's timestamps.
    pub(crate) max_slots: Vec<usize>,
    /// Slots whose field must be there, and their names.
    pub(crate) required: Vec<(usize, String)>,
    /// Slots of a row, counting those that only the walker needs.
    pub(crate) width: usize,
}

/// Columns under construction, and the table that feeds them.
pub(crate) struct Assembly {
    schema: SchemaRef,
    columns: Vec<Column>,
    settings: Settings,
    /// The current block's rows. The walker fills it.
    pub(crate) table: Table,
    /// The line of each of them.
    pub(crate) lines: Vec<Line>,
    /// Watermark timestamps of the current block's rows that were filtered away.
    outside: Vec<Span>,
    bad_lines: Vec<BadLine>,
    faults: Faults,
    reader: TimestampReader,
    rows: usize,
    origin: String,
    line: u64,
    position: u64,
    done: Done,
}

/// What goes into [`Decoded`] besides the rows.
#[derive(Default)]
struct Done {
    lines: Vec<u64>,
    max: Option<i64>,
    lines_read: u64,
    filtered: u64,
    skipped: u64,
    bad: Vec<BadRecord>,
}

impl Assembly {
    pub(crate) fn new(fields: Vec<Field>, columns: Vec<Column>, settings: Settings) -> Self {
        let null_instead = settings.ignore_parse_errors;
        Assembly {
            schema: Arc::new(Schema::new(fields)),
            columns,
            table: Table::new(settings.width),
            lines: Vec::new(),
            outside: Vec::new(),
            bad_lines: Vec::new(),
            faults: Faults { null_instead, ..Faults::default() },
            reader: TimestampReader::new(),
            rows: 0,
            origin: String::new(),
            line: 1,
            position: 0,
            done: Done::default(),
            settings,
        }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn seek(&mut self, origin: &str, line: u64, position: u64) {
        origin.clone_into(&mut self.origin);
        self.line = line;
        self.position = position;
    }

    /// Whether nothing was read yet of a file.
    pub(crate) fn is_at_start(&self) -> bool {
        self.position == 0
    }

    /// The input without the byte order mark that a file may begin with.
    pub(crate) fn strip_mark<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        match input.strip_prefix(MARK) {
            Some(rest) if self.is_at_start() => {
                self.position += MARK.len() as u64;
                rest
            }
            _ => input,
        }
    }

    /// The number of the next line.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn set_line(&mut self, line: u64) {
        self.line = line;
    }

    /// Keeps the row that the walker has just filled.
    #[inline]
    pub(crate) fn keep(&mut self, line: Line) {
        self.table.keep();
        self.lines.push(line);
    }

    /// Drops the row that the walker has just filled, but notes its timestamps.
    #[inline]
    pub(crate) fn filter(&mut self) {
        self.done.filtered += 1;
        let row = self.table.current_row();
        self.outside.extend(self.settings.max_slots.iter().map(|slot| row[*slot]).filter(|span| !span.is_null()));
    }

    /// The line cannot be read at all.
    pub(crate) fn reject(&mut self, line: Line, position: usize, reason: &str) {
        self.bad_lines.push(BadLine { line, position: Some(position as u32), reason: reason.to_owned() });
    }

    /// Fails before a block that would make a column too large for its offsets.
    pub(crate) fn check_room(&self, block: usize) -> Result<()> {
        let largest = self.columns.iter().map(Column::text_bytes).max().unwrap_or(0);
        if largest + block <= COLUMN_BYTES_MAX {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Limit, "E413", "one batch would hold more than 1 GiB of text in a column")
            .with_hint("flush the decoder more often"))
    }

    /// Rows that the table should take before it is converted.
    pub(crate) fn rows_at_a_time(&self) -> usize {
        (TABLE_SPANS_MAX / self.settings.width).max(1)
    }

    /// Converts what the walker has put into the table. Lines are still counted from the block's first one.
    pub(crate) fn convert(&mut self, source: Source<'_>) -> Result<()> {
        self.convert_columns(source);
        if !self.faults.bad.is_empty() {
            self.take_out_bad_rows(source);
        }
        self.note_max(source);
        self.rows += self.table.rows();
        if self.settings.track_lines {
            let first = self.line;
            self.done.lines.extend(self.lines.iter().map(|line| first + u64::from(line.number)));
        }
        self.table.clear();
        self.lines.clear();
        self.judge_bad_lines(source.block)
    }

    /// A block of `lines` lines in `length` bytes is through.
    pub(crate) fn advance(&mut self, lines: u64, length: usize) {
        self.done.lines_read += lines;
        self.line += lines;
        self.position += length as u64;
    }

    fn convert_columns(&mut self, source: Source<'_>) {
        for column in &mut self.columns {
            column.append(&self.table, source, &mut self.faults);
        }
        for (slot, name) in &self.settings.required {
            for (row, span) in self.table.column(*slot).enumerate() {
                if span.kind() == Kind::Missing {
                    let reason = format!("column `{name}`: the field is missing");
                    self.faults.bad.push(BadValue { row: row as u32, position: None, reason });
                }
            }
        }
    }

    /// Converts once more without the rows that turned out bad. Conversion looks at one row at a time, so no new
    /// ones can turn up.
    #[cold]
    fn take_out_bad_rows(&mut self, source: Source<'_>) {
        let bad = self.faults.take_rows();
        let rows: Vec<u32> = bad.iter().map(|value| value.row).collect();
        for value in bad {
            let line = self.lines[value.row as usize];
            self.bad_lines.push(BadLine { line, position: value.position, reason: value.reason });
        }
        self.table.remove(&rows);
        let mut row = 0;
        self.lines.retain(|_| {
            row += 1;
            rows.binary_search(&(row - 1)).is_err()
        });
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
        self.faults.nulled = self.faults.nulled_before;
        self.convert_columns(source);
        assert!(self.faults.bad.is_empty(), "rows convert independently of one another");
    }

    fn note_max(&mut self, source: Source<'_>) {
        self.faults.nulled_before = self.faults.nulled;
        let (mut max, mut known_max) = (self.done.max, None);
        let mut note = |span: Span| {
            if let Some(timestamp) = timestamp_of(span, source.block, &mut self.reader) {
                max = max.max(Some(timestamp));
            }
        };
        for slot in &self.settings.max_slots {
            // Mostly the timestamp is also a column, and so was read already.
            match self.columns.iter().find_map(|column| column.max_millis(*slot, self.rows)) {
                Some(known) => known_max = known_max.max(Some(known)),
                None => self.table.column(*slot).for_each(&mut note),
            }
        }
        self.outside.drain(..).for_each(&mut note);
        self.done.max = max.max(known_max);
    }

    fn judge_bad_lines(&mut self, block: &[u8]) -> Result<()> {
        if self.bad_lines.is_empty() {
            return Ok(());
        }
        let mut bad = std::mem::take(&mut self.bad_lines);
        bad.sort_by_key(|bad| bad.line.number);
        for bad in bad {
            let record = self.bad_record(bad, block);
            match self.settings.on_bad {
                OnBad::Fail => return Err(record.to_error_in(self.settings.format, &self.origin)),
                OnBad::Skip => {}
                OnBad::Collect => self.done.bad.push(record),
            }
            self.done.skipped += 1;
        }
        Ok(())
    }

    fn bad_record(&self, bad: BadLine, block: &[u8]) -> BadRecord {
        let start = bad.line.start as usize;
        let rest = &block[start..];
        let raw = match bad.line.end {
            0 => &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())],
            end => &block[start..end as usize],
        };
        let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let keep = self.settings.on_bad == OnBad::Collect;
        BadRecord {
            line: self.line + u64::from(bad.line.number),
            column: bad.position.map_or(0, |at| u64::from(at).saturating_sub(start as u64) + 1),
            position: self.position + start as u64,
            length: raw.len(),
            reason: bad.reason,
            raw: if keep { raw.to_vec() } else { Vec::new() },
        }
    }

    /// A bad line that is no part of any block, `length` bytes long with its newline.
    pub(crate) fn reject_whole(&mut self, raw: &[u8], reason: &str) -> Result<()> {
        let line = Line { start: 0, number: 0, end: 0 };
        self.bad_lines.push(BadLine { line, position: None, reason: reason.to_owned() });
        let judged = self.judge_bad_lines(raw);
        self.advance(1, raw.len());
        judged
    }

    /// Takes all rows.
    pub(crate) fn flush(&mut self) -> Result<Decoded> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(self.schema(), arrays, &options)
            .map_err(|error| Error::internal(format!("decoded columns do not make a batch: {error}")))?;
        let done = std::mem::take(&mut self.done);
        self.rows = 0;
        self.faults.nulled_before = 0;
        Ok(Decoded {
            batch,
            lines: done.lines,
            weights: None,
            max_timestamp: done.max,
            lines_read: done.lines_read,
            filtered: done.filtered,
            skipped: done.skipped,
            nulled: std::mem::take(&mut self.faults.nulled),
            bad: done.bad,
        })
    }
}
