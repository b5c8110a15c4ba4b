//! JSON lines to batches.

use arrow::datatypes::SchemaRef;
use fleuve_base::Result;
use fleuve_base::limits::LINE_BYTES_MAX;

use super::options::JsonOptions;
use super::plan::Plan;
use super::row::{Outcome, Progress, RowScanner, Trace};
use super::scan::{Scanner, Syntax};
use super::shape::{Shapes, Walk};
use crate::assembly::{Assembly, Decoded, Line, Settings};
use crate::blocks::{self, BLOCK_BYTES, Block, Pending};
use crate::column::{Dialect, Source};
use crate::decode::Decode;
use crate::index::{Extent, Index};
use crate::simd::{self, Stops};
use crate::wanted::Wanted;

/// Decodes JSON lines, one object a line.
///
/// Blank lines are passed over. Of a key that stands twice in an object the last value counts. A line is read
/// only up to the last wanted value, unless [`JsonOptions::strict`] is set; but it must end with a `}`, so that one that
/// was cut off is noticed.
///
/// ```
/// use arrow::array::{AsArray, types::Int64Type};
/// use arrow::datatypes::DataType;
/// use fleuve_format::{Decode, JsonDecoder, JsonOptions, Wanted};
///
/// let price = Wanted::path("price", ["bid", "price"], DataType::Int64);
/// let mut decoder = JsonDecoder::new(&[price], JsonOptions::default())?;
/// decoder.decode(b"{\"id\":1,\"bid\":{\"price\":42}}\n{\"id\":2,\"bid\":null}\n")?;
/// let batch = decoder.flush()?.batch;
/// assert_eq!(batch.num_rows(), 2);
/// assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 42);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
pub struct JsonDecoder {
    plan: Plan,
    shapes: Shapes,
    walker: Walker,
    index: Index,
    lines: Vec<Extent>,
    assembly: Assembly,
    pending: Pending,
}

/// What the general scanner keeps from line to line.
#[derive(Default)]
struct Walker {
    progress: Progress,
    trace: Trace,
}

impl JsonDecoder {
    /// A decoder of the wanted columns. Fails if a type cannot be read from text.
    pub fn new(wanted: &[Wanted], options: JsonOptions) -> Result<Self> {
        let (plan, columns) = Plan::new(wanted, &options)?;
        let required = if options.fail_on_missing_field { plan.top_level_slots() } else { Vec::new() };
        let settings = Settings {
            format: "JSON",
            on_bad: options.on_bad,
            ignore_parse_errors: options.ignore_parse_errors,
            track_lines: options.track_lines,
            max_slots: plan.max_slots.clone(),
            required,
            // One more, where unwanted values go.
            width: plan.slots + 1,
        };
        let assembly = Assembly::new(wanted.iter().map(Wanted::field).collect(), columns, settings);
        let (shapes, walker, index, lines, pending) = Default::default();
        Ok(JsonDecoder { plan, shapes, walker, index, lines, assembly, pending })
    }

    fn decode_all(&mut self, lines: &[u8]) -> Result<()> {
        let mut rest = lines;
        while !rest.is_empty() {
            let length = match blocks::cut(rest) {
                Block::Lines(length) => {
                    self.decode_block(rest, length)?;
                    length
                }
                Block::LongLine(length) => {
                    self.assembly.reject_whole(&rest[..length], blocks::TOO_LONG)?;
                    length
                }
            };
            rest = &rest[length..];
        }
        Ok(())
    }

    /// Decodes the lines in the first `length` bytes. What follows them may be looked at, but does not count.
    fn decode_block(&mut self, bytes: &[u8], length: usize) -> Result<()> {
        debug_assert!(length <= LINE_BYTES_MAX + 1);
        self.assembly.check_room(length)?;
        self.index.build(&bytes[..length], Stops::JSON);
        // The lines are known beforehand, so that the processor may begin one before it is through with the last.
        self.index.lines(length, &mut self.lines);
        self.decode_indexed(bytes, length)
    }

    /// Decodes the indexed lines.
    fn decode_indexed(&mut self, bytes: &[u8], length: usize) -> Result<()> {
        // Looking a little further than the block makes its last line as fast as the others.
        let source = Source { block: bytes, index: &self.index, dialect: Dialect::Json };
        let JsonDecoder { plan, shapes, walker, assembly, lines, .. } = self;
        let mut number = 0;
        let mut decoded = Ok(());
        for part in lines.chunks(assembly.rows_at_a_time()) {
            simd::with_bit_instructions(
                #[inline(always)]
                || {
                    for (start, end) in part {
                        let line = Line { start: *start, number, end: *end };
                        walk_line(plan, shapes, walker, assembly, source, line);
                        number += 1;
                    }
                },
            );
            decoded = decoded.and(assembly.convert(source));
        }
        assembly.advance(u64::from(number), length);
        decoded
    }

    /// Decodes records where they lie, if all of them can be.
    fn decode_in_place(&mut self, block: &[u8], records: &[Extent]) -> Result<bool> {
        let (Some((first, _)), Some((_, last))) = (records.first(), records.last()) else { return Ok(true) };
        let (first, length) = (*first as usize, (last - first) as usize);
        if !records.iter().all(|(start, end)| block.get(*end as usize) == Some(&0) && end > start)
            || length > LINE_BYTES_MAX
        {
            return Ok(false);
        }
        self.decode_pending()?;
        self.lines.clear();
        self.lines.extend(records.iter().map(|(start, end)| (start - first as u32, end - first as u32)));
        let bytes = &block[first..];
        if !self.index.build_records(&bytes[..length], Stops::JSON, &self.lines) {
            return Ok(false);
        }
        self.assembly.check_room(length)?;
        self.decode_indexed(bytes, length)?;
        Ok(true)
    }

    fn decode_pending(&mut self) -> Result<()> {
        let Some((bytes, length)) = self.pending.take() else { return Ok(()) };
        let decoded = self.decode_padded(&bytes, length);
        self.pending.give_back(bytes);
        decoded
    }

    fn decode_padded(&mut self, bytes: &[u8], length: usize) -> Result<()> {
        let mut start = 0;
        while start < length {
            match blocks::cut(&bytes[start..length]) {
                Block::Lines(block) => {
                    self.decode_block(&bytes[start..], block)?;
                    start += block;
                }
                Block::LongLine(long) => {
                    self.assembly.reject_whole(&bytes[start..start + long], blocks::TOO_LONG)?;
                    start += long;
                }
            }
        }
        Ok(())
    }
}

/// Reads one line into the table.
#[inline(always)]
fn walk_line(
    plan: &Plan,
    shapes: &mut Shapes,
    walker: &mut Walker,
    assembly: &mut Assembly,
    source: Source<'_>,
    line: Line,
) {
    let (start, end) = (line.start as usize, line.end as usize);
    let scanner = Scanner::of(source).until(end);
    let row = assembly.table.next_row();
    let scanned = match shapes.walk(scanner, plan, start, row) {
        Walk::Known(outcome) => Ok(outcome),
        Walk::Unknown => scan_line(plan, shapes, walker, assembly, scanner, start),
    };
    match scanned {
        // What was wanted is there, but the line is cut off: half a record is no record.
        Ok(_) if !is_closed(&source.block[start..end]) => {
            let end = start + source.block[start..end].trim_ascii_end().len();
            assembly.reject(line, end, "the line ends in the middle of the JSON value");
        }
        Ok(Outcome::Row) if plan.filters.all_present(assembly.table.current_row()) => assembly.keep(line),
        Ok(_) => assembly.filter(),
        // A blank line is no row.
        Err(_) if scanner.skip_blanks(start) >= end => {}
        Err(syntax) => assembly.reject(line, syntax.position, syntax.what),
    }
}

/// Whether the last byte of a line that is not blank closes an object.
#[inline(always)]
fn is_closed(line: &[u8]) -> bool {
    match line {
        [.., b'}'] => true,
        line => line.trim_ascii_end().last() == Some(&b'}'),
    }
}

/// Reads a line by the general scanner, and learns its shape.
#[cold]
fn scan_line(
    plan: &Plan,
    shapes: &mut Shapes,
    walker: &mut Walker,
    assembly: &mut Assembly,
    scanner: Scanner<'_>,
    start: usize,
) -> Result<Outcome, Syntax> {
    let row = assembly.table.next_row();
    let Walker { progress, trace } = walker;
    let outcome = RowScanner { scanner, plan, row, progress, trace }.line(start)?;
    shapes.learn(trace, scanner.block, plan);
    Ok(outcome)
}

impl Decode for JsonDecoder {
    fn schema(&self) -> SchemaRef {
        self.assembly.schema()
    }

    fn seek(&mut self, origin: &str, line: u64, position: u64) {
        self.assembly.seek(origin, line, position);
    }

    fn decode(&mut self, lines: &[u8]) -> Result<()> {
        self.decode_pending()?;
        let lines = self.assembly.strip_mark(lines);
        self.decode_all(lines)
    }

    fn push_record(&mut self, value: &[u8]) -> Result<()> {
        if self.pending.push(value) { self.decode_pending() } else { Ok(()) }
    }

    fn decode_records(&mut self, block: &[u8], records: &[Extent]) -> Result<()> {
        let mut rest = records;
        while let Some((first, _)) = rest.first() {
            // As many as a block of lines would have.
            let within = rest.partition_point(|(_, end)| (end - first) as usize <= BLOCK_BYTES).max(1);
            let (here, after) = rest.split_at(within);
            if !self.decode_in_place(block, here)? {
                here.iter().try_for_each(|(start, end)| self.push_record(&block[*start as usize..*end as usize]))?;
            }
            rest = after;
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        self.assembly.rows() + self.pending.records()
    }

    fn flush(&mut self) -> Result<Decoded> {
        self.decode_pending()?;
        self.assembly.flush()
    }
}
