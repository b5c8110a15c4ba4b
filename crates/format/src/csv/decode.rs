//! CSV to batches.

use arrow::datatypes::{DataType, Schema, SchemaRef};
use fleuve_base::limits::LINE_BYTES_MAX;
use fleuve_base::{Error, Result};

use super::CsvOptions;
use crate::assembly::{Assembly, Decoded, Line, Settings};
use crate::blocks::{BLOCK_BYTES, Pending};
use crate::column::{Column, Dialect, Source};
use crate::decode::Decode;
use crate::index::Index;
use crate::simd::Stops;
use crate::span::{Kind, Span};

/// Decodes CSV with a known schema.
///
/// A quoted field may hold line ends; `decode` must then be given whole rows ([`crate::lines::whole_csv_rows`]
/// finds where they end). Blank lines are passed over, unless the file has one column only.
///
/// ```
/// use arrow::array::{AsArray, types::Int64Type};
/// use arrow::datatypes::{DataType, Field, Schema};
/// use fleuve_format::{CsvDecoder, CsvOptions, Decode};
///
/// let file = Schema::new(vec![
///     Field::new("name", DataType::Utf8, true),
///     Field::new("amount", DataType::Int64, true),
/// ]);
/// let mut decoder = CsvDecoder::new(&file, &[1], CsvOptions::default())?;
/// decoder.decode(b"\"Smith, J.\",42\nJones,\n")?;
/// let batch = decoder.flush()?.batch;
/// assert_eq!(batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(42), None]);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
pub struct CsvDecoder {
    layout: Layout,
    header: bool,
    index: Index,
    assembly: Assembly,
    pending: Pending,
}

/// What the walker knows of the file.
struct Layout {
    stops: Stops,
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    comment: Option<u8>,
    null: Option<Vec<u8>>,
    elements: u8,
    /// For each column of the file the slot that it goes to (an unwanted one goes to the last slot).
    columns: Vec<Target>,
    /// Rows may have fewer or more columns than the file should have.
    ragged: bool,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    slot: u16,
    /// The empty field is a value of its own.
    text: bool,
}

/// A row that was found: where it ends, and how many lines it takes.
struct Row {
    end: usize,
    lines: u32,
}

/// Why a row cannot be taken apart.
struct Wrong {
    position: usize,
    reason: String,
    /// It may be whole if there is more of the input.
    unclosed: bool,
}

impl CsvDecoder {
    /// A decoder of a file with these columns, of which those in `projection` are wanted, in that order. Fails if a
    /// type cannot be read from text.
    pub fn new(file: &Schema, projection: &[usize], options: CsvOptions) -> Result<Self> {
        let trash = file.fields().len() as u16;
        let mut columns = vec![Target { slot: trash, text: true }; file.fields().len()];
        for column in projection.iter().chain(&options.max_of) {
            let field =
                file.fields().get(*column).ok_or_else(|| Error::internal("a wanted column is not in the file"))?;
            columns[*column] = Target { slot: *column as u16, text: *field.data_type() == DataType::Utf8 };
        }
        let fields = projection.iter().map(|column| file.field(*column).clone()).collect::<Vec<_>>();
        let builders = projection
            .iter()
            .zip(&fields)
            .map(|(column, field)| Column::new(field.name(), field.data_type(), field.is_nullable(), *column));
        let builders = builders.collect::<Result<Vec<_>>>()?;
        let settings = Settings {
            format: "CSV",
            on_bad: options.on_bad,
            ignore_parse_errors: options.ignore_parse_errors,
            track_lines: options.track_lines,
            max_slots: options.max_of.clone(),
            required: Vec::new(),
            width: file.fields().len() + 1,
        };
        let assembly = Assembly::new(fields, builders, settings);
        let (index, pending) = Default::default();
        let header = options.header;
        Ok(CsvDecoder { layout: Layout::new(columns, options), header, index, assembly, pending })
    }

    fn decode_all(&mut self, rows: &[u8], header: bool) -> Result<()> {
        let mut header = header;
        let mut rest = rows;
        let mut window = BLOCK_BYTES;
        while !rest.is_empty() {
            let length = cut(rest, window);
            let taken = self.decode_block(&rest[..length], header, length == rest.len())?;
            // A row longer than the window is tried again with a larger one.
            window = if taken == 0 { window * 2 } else { BLOCK_BYTES };
            header &= taken == 0;
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// Decodes the whole rows of a block; returns how many bytes they take. The last block is taken entirely.
    fn decode_block(&mut self, block: &[u8], header: bool, last: bool) -> Result<usize> {
        self.assembly.check_room(block.len())?;
        self.index.build(block, self.layout.stops);
        let layout = &self.layout;
        let source = Source { block, index: &self.index, dialect: layout.dialect() };
        let rows_at_a_time = self.assembly.rows_at_a_time();
        let (mut header, mut decoded) = (header, Ok(()));
        let mut line = Line { start: 0, number: 0, end: 0 };
        let mut at = 0;
        while at < block.len() {
            line.start = at as u32;
            let row = self.assembly.table.next_row();
            let found = layout.row(block, &self.index, at, row);
            let (end, lines) = match found {
                Ok(Row { end, lines }) => {
                    line.end = end as u32;
                    if !std::mem::take(&mut header) && !layout.is_no_row(block, at, end) {
                        self.assembly.keep(line);
                    }
                    (end, lines)
                }
                Err(wrong) if wrong.unclosed && !last && block.len() <= LINE_BYTES_MAX => break,
                Err(wrong) => {
                    // Go on at the next line, whatever it is.
                    line.end = self.index.next_newline(at) as u32;
                    self.assembly.reject(line, wrong.position, &wrong.reason);
                    (line.end as usize + 1, 1)
                }
            };
            line.number += lines;
            at = end.min(block.len());
            if self.assembly.table.rows() >= rows_at_a_time {
                decoded = decoded.and(self.assembly.convert(source));
            }
        }
        decoded = decoded.and(self.assembly.convert(source));
        self.assembly.advance(u64::from(line.number), at);
        decoded.map(|()| at)
    }

    fn decode_pending(&mut self) -> Result<()> {
        let Some((bytes, length)) = self.pending.take() else { return Ok(()) };
        let decoded = self.decode_all(&bytes[..length], false);
        self.pending.give_back(bytes);
        decoded
    }

    /// A record with line ends in it counts as one line nevertheless.
    fn decode_long_record(&mut self, value: &[u8]) -> Result<()> {
        self.decode_pending()?;
        let line = self.assembly.line();
        self.decode_all(value, false)?;
        self.assembly.set_line(line + 1);
        Ok(())
    }
}

/// Bytes of the next block: up to the last line end in the window, or the window's first one after it.
fn cut(input: &[u8], window: usize) -> usize {
    if input.len() <= window {
        return input.len();
    }
    let before = memchr::memrchr(b'\n', &input[..window]).map(|at| at + 1);
    before.unwrap_or_else(|| memchr::memchr(b'\n', &input[window..]).map_or(input.len(), |at| window + at + 1))
}

impl Layout {
    fn new(columns: Vec<Target>, options: CsvOptions) -> Layout {
        let quote = options.quote.unwrap_or(b'\n');
        Layout {
            stops: Stops { equal: [options.delimiter, quote, b'\n'], below: 0 },
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            comment: options.allow_comments.then_some(b'#'),
            null: options.null_literal.map(String::into_bytes),
            elements: options.array_delimiter,
            columns,
            ragged: options.ignore_parse_errors,
        }
    }

    fn dialect(&self) -> Dialect {
        Dialect::Csv { quote: self.quote.unwrap_or(b'"'), escape: self.escape, elements: self.elements }
    }

    /// Whether the line is blank or a comment.
    fn is_no_row(&self, block: &[u8], start: usize, end: usize) -> bool {
        let first = block[start];
        let blank = matches!(&block[start..end], b"\n" | b"\r\n" | b"\r") && self.columns.len() > 1;
        blank || Some(first) == self.comment
    }

    /// Takes the row at `start` apart.
    fn row(&self, block: &[u8], index: &Index, start: usize, row: &mut [Span]) -> std::result::Result<Row, Wrong> {
        if self.comment.is_some_and(|comment| block[start] == comment) {
            return Ok(Row { end: (index.next_newline(start) + 1).min(block.len()), lines: 1 });
        }
        let (mut at, mut column, mut lines) = (start, 0, 1);
        loop {
            let target = self.columns.get(column).copied();
            let quoted = self.quote.is_some_and(|quote| block.get(at) == Some(&quote));
            let (span, end) =
                if quoted { self.quoted(block, index, at)? } else { self.plain(block, index, at, target) };
            if quoted {
                lines += memchr::memchr_iter(b'\n', span.of(block)).count() as u32;
            }
            if let Some(target) = target {
                row[target.slot as usize] = span;
            }
            column += 1;
            if block.get(end) != Some(&self.delimiter) {
                self.check_columns(column, block, start, end)?;
                return Ok(Row { end: (end + 1).min(block.len()), lines });
            }
            at = end + 1;
        }
    }

    fn check_columns(&self, found: usize, block: &[u8], start: usize, end: usize) -> std::result::Result<(), Wrong> {
        let wanted = self.columns.len();
        let blank = block[start..end].is_empty() || &block[start..end] == b"\r";
        if found == wanted || self.ragged || blank {
            return Ok(());
        }
        let reason = format!("expected {wanted} columns, found {found}");
        Err(Wrong { position: end.min(block.len().saturating_sub(1)), reason, unclosed: false })
    }

    /// The field at `at`, which has no quotes around it, and where it ends.
    fn plain(&self, block: &[u8], index: &Index, at: usize, target: Option<Target>) -> (Span, usize) {
        let mut end = index.next_stop(at);
        // A quote in the middle of a field is plain text.
        while block.get(end).is_some_and(|byte| *byte != self.delimiter && *byte != b'\n') {
            end = index.next_stop(end + 1);
        }
        let carriage_return = block.get(end) != Some(&self.delimiter) && end > at && block[end - 1] == b'\r';
        let mut last = end - usize::from(carriage_return);
        let mut first = at;
        let text = target.is_some_and(|target| target.text);
        if !text {
            while first < last && block[first] == b' ' {
                first += 1;
            }
            while first < last && block[last - 1] == b' ' {
                last -= 1;
            }
        }
        let null = match &self.null {
            Some(null) => block[first..last] == null[..],
            None => first == last && !text,
        };
        (Span::new(if null { Kind::Null } else { Kind::Text }, first, last), end)
    }

    /// The field within the quotes that begin at `at`, and where the field ends after them.
    fn quoted(&self, block: &[u8], index: &Index, at: usize) -> std::result::Result<(Span, usize), Wrong> {
        let start = at + 1;
        let (close, escaped) = match self.escape {
            Some(escape) => self.close_with_escapes(block, start, escape),
            None => self.close(block, index, start),
        };
        let unclosed = close >= block.len() || close - start > LINE_BYTES_MAX;
        if unclosed {
            let reason = "this quote is not closed".to_owned();
            return Err(Wrong { position: at, reason, unclosed });
        }
        let mut end = close + 1;
        if block.get(end) == Some(&b'\r') && matches!(block.get(end + 1), None | Some(b'\n')) {
            end += 1;
        }
        if block.get(end).is_some_and(|byte| *byte != self.delimiter && *byte != b'\n') {
            let reason = "expected a delimiter or the end of the line after the closing quote".to_owned();
            return Err(Wrong { position: end, reason, unclosed: false });
        }
        Ok((Span::new(if escaped { Kind::Escaped } else { Kind::Text }, start, close), end))
    }

    /// The closing quote, and whether quotes are doubled before it.
    fn close(&self, block: &[u8], index: &Index, start: usize) -> (usize, bool) {
        let (mut at, mut doubled) = (start, false);
        loop {
            at = index.next_stop(at);
            if at >= block.len() {
                return (at, doubled);
            }
            if Some(block[at]) != self.quote {
                at += 1;
            } else if block.get(at + 1).copied() == self.quote {
                doubled = true;
                at += 2;
            } else {
                return (at, doubled);
            }
        }
    }

    fn close_with_escapes(&self, block: &[u8], start: usize, escape: u8) -> (usize, bool) {
        let (mut at, mut escaped) = (start, false);
        while at < block.len() {
            let quote = Some(block[at]) == self.quote;
            if block[at] == escape || quote && block.get(at + 1).copied() == self.quote {
                escaped = true;
                at += 2;
            } else if quote {
                return (at, escaped);
            } else {
                at += 1;
            }
        }
        (block.len(), escaped)
    }
}

impl Decode for CsvDecoder {
    fn schema(&self) -> SchemaRef {
        self.assembly.schema()
    }

    fn seek(&mut self, origin: &str, line: u64, position: u64) {
        self.assembly.seek(origin, line, position);
    }

    fn decode(&mut self, lines: &[u8]) -> Result<()> {
        self.decode_pending()?;
        let header = self.header && self.assembly.is_at_start();
        let lines = self.assembly.strip_mark(lines);
        self.decode_all(lines, header)
    }

    fn push_record(&mut self, value: &[u8]) -> Result<()> {
        if memchr::memchr(b'\n', value).is_some() {
            return self.decode_long_record(value);
        }
        if self.pending.push(value) { self.decode_pending() } else { Ok(()) }
    }

    fn rows(&self) -> usize {
        self.assembly.rows() + self.pending.records()
    }

    fn flush(&mut self) -> Result<Decoded> {
        self.decode_pending()?;
        self.assembly.flush()
    }
}
