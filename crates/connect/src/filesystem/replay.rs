//! Recorded rows released at the speed of their times.
//!
//! The files are read once to note when each record is due; a record that is older than one before it is due with that
//! one. Which ranges are claimed is all that the clock decides, so a replay of the journal gives the same rows.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, Schema, TimeUnit};
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_flow::source::{Scan, ScanColumn, ScanField};
use fleuve_format::Decode;

use super::chunks::{Cursor, End};
use super::cut::Cut;
use super::{CHUNK_BYTES, Kind, Shape};
use crate::decode::{Extras, Layout};
use crate::nearest::nearest;
use crate::options::Options;

/// Moments at which rows are released.
const STEPS_MAX: usize = 20_000_000;

/// Releases rows relative to the first one.
pub(super) struct Replay {
    table: String,
    layout: Layout,
    speed: f64,
    steps: Vec<Step>,
    /// The step that is next, and what of the clock and of the recording belongs together.
    next: usize,
    origin: Option<(Duration, i64)>,
}

/// Everything of a file up to `end` is due at `time_ms` of the recording.
struct Step {
    item: u32,
    end: u64,
    time_ms: i64,
}

impl Replay {
    pub(super) fn new(options: &Options, shape: &Shape, time: &str) -> Result<Self> {
        let table = options.table();
        if shape.kind == Kind::Parquet {
            let message =
                format!("table `{table}`: Parquet files cannot be replayed by time, since row groups hold many rows");
            return Err(Error::unsupported("E504", message).with_hint("'scan.replay.time' goes with json and csv"));
        }
        let speed = options.number("scan.replay.speed")?.unwrap_or(1.0);
        if speed <= 0.0 {
            return Err(Error::input("E502", format!("table `{table}`: 'scan.replay.speed' must be greater than 0")));
        }
        let (path, data_type) = find_column(table, shape.layout.physical(), time)?;
        let column = ScanColumn { field: ScanField::Data(path), data_type: data_type.clone(), nullable: true };
        let schema = Arc::new(Schema::new(vec![arrow::datatypes::Field::new("time", data_type, true)]));
        let scan = Scan { columns: vec![column], schema, prefilter: vec![], max_of: None };
        let layout = Layout::new(options, shape.layout.physical(), scan)?;
        Ok(Replay { table: table.to_owned(), layout, speed, steps: vec![], next: 0, origin: None })
    }

    /// Notes when every record is due.
    pub(super) fn index(&mut self, shape: &Shape) -> Result<()> {
        let Kind::Lines(cut) = shape.kind else { return Ok(()) };
        let mut decoder = self.layout.decoder(Extras { track: true })?;
        let mut latest = i64::MIN;
        for item in 0..shape.files.count() as u32 {
            let mut cursor = Cursor::at(item, 0);
            while let Some((range, bytes)) = cursor.next(&shape.files, cut, End::About(CHUNK_BYTES))? {
                let bytes = match bytes {
                    Some(bytes) => bytes,
                    None => shape.files.read(range)?,
                };
                self.index_chunk(decoder.as_mut(), cut, item, range.start, &bytes, &mut latest)?;
            }
        }
        self.date_the_untimed();
        Ok(())
    }

    /// What stands before the first time, such as a header, is due with it.
    fn date_the_untimed(&mut self) {
        let first = self.steps.iter().map(|step| step.time_ms).find(|time_ms| *time_ms > i64::MIN).unwrap_or(0);
        let untimed = self.steps.iter_mut().take_while(|step| step.time_ms == i64::MIN);
        untimed.for_each(|step| step.time_ms = first);
    }

    fn index_chunk(
        &mut self,
        decoder: &mut dyn Decode,
        cut: Cut,
        item: u32,
        start: u64,
        text: &[u8],
        latest: &mut i64,
    ) -> Result<()> {
        let (mut ends, mut used) = (Vec::new(), 0);
        decoder.seek("", 1, 0);
        while used < text.len() {
            let record = cut.first_record(&text[used..]).unwrap_or(text.len() - used);
            decoder.push_record(text[used..used + record].trim_ascii_end())?;
            used += record;
            ends.push(start + used as u64);
        }
        let block = decoder.flush()?;
        let times = milliseconds(&self.table, block.batch.column(0))?;
        let mut rows = block.lines.iter().zip(times.iter()).peekable();
        for (record, end) in ends.into_iter().enumerate() {
            // A record that cannot be decoded goes with the record before.
            while let Some((_, time)) = rows.next_if(|(line, _)| **line <= record as u64 + 1) {
                *latest = time.unwrap_or(*latest).max(*latest);
            }
            self.push(Step { item, end, time_ms: *latest })?;
        }
        Ok(())
    }

    /// Joins a step to the one before if they are due together.
    fn push(&mut self, step: Step) -> Result<()> {
        match self.steps.last_mut() {
            Some(last) if last.item == step.item && last.time_ms == step.time_ms => {
                last.end = step.end;
                return Ok(());
            }
            _ => self.steps.push(step),
        }
        if self.steps.len() > STEPS_MAX {
            let message = format!("table `{}` has more than {STEPS_MAX} different times to replay", self.table);
            return Err(Error::new(ErrorKind::Limit, "E512", message));
        }
        Ok(())
    }

    /// Up to where the rows of a file are due now; or when the next ones will be.
    pub(super) fn due(&mut self, now: Duration, item: u32, position: u64, bytes_max: u64) -> Result<u64, Duration> {
        let behind = |step: &Step| (step.item, step.end) <= (item, position);
        while self.steps.get(self.next).is_some_and(behind) {
            self.next += 1;
        }
        let Some(first) = self.steps.get(self.next) else { return Ok(position) };
        if first.item > item {
            return Ok(position);
        }
        // The first row that is asked for is due at once; so a restart goes on where it stopped.
        let (since, start_ms) = *self.origin.get_or_insert((now, first.time_ms));
        let released = start_ms.saturating_add(((now.saturating_sub(since)).as_secs_f64() * 1e3 * self.speed) as i64);
        if first.time_ms > released {
            let wait_ms = first.time_ms.saturating_sub(start_ms) as f64 / self.speed;
            return Err(since + Duration::from_secs_f64((wait_ms / 1e3).clamp(0.0, WAIT_SECONDS_MAX)));
        }
        let steps = self.steps[self.next..].iter();
        let due = steps.take_while(|step| step.item == item && step.time_ms <= released);
        let end = due.map(|step| step.end).take_while(|end| end - position <= bytes_max).last();
        Ok(end.unwrap_or(first.end))
    }
}

/// The longest pause between two rows: a year.
const WAIT_SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// The path and type of a column, or of a field inside one (`properties.time`).
fn find_column(table: &str, physical: &Schema, name: &str) -> Result<(Vec<String>, DataType)> {
    if let Ok(field) = physical.field_with_name(name) {
        return Ok((vec![name.to_owned()], field.data_type().clone()));
    }
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    let mut fields = physical.fields();
    for (depth, part) in path.iter().enumerate() {
        let Some((_, field)) = fields.find(part) else { break };
        match field.data_type() {
            data_type if depth + 1 == path.len() => return Ok((path, data_type.clone())),
            DataType::Struct(inner) => fields = inner,
            _ => break,
        }
    }
    let names = physical.fields().iter().map(|field| field.name().as_str());
    Err(Error::input("E502", format!("table `{table}`: 'scan.replay.time' = '{name}' is not a column of the data"))
        .with_hint(nearest(name, names)))
}

/// Times as ms since 1970. Integers may be ms, seconds, or days as YYYYMMDD.
fn milliseconds(table: &str, times: &dyn Array) -> Result<Int64Array> {
    let wrong = || {
        let message = format!("table `{table}`: 'scan.replay.time' is a column of type {}", times.data_type());
        Error::input("E502", message).with_hint("it must be a TIMESTAMP, a DATE, a time as text, or an integer")
    };
    if times.data_type().is_integer() {
        let numbers = cast(times, &DataType::Int64).map_err(|_| wrong())?;
        return Ok(numbers.as_primitive::<Int64Type>().unary(milliseconds_of_integer));
    }
    let instants = cast(times, &DataType::Timestamp(TimeUnit::Millisecond, None)).map_err(|_| wrong())?;
    let numbers = cast(&instants, &DataType::Int64).map_err(|_| wrong())?;
    Ok(numbers.as_primitive::<Int64Type>().clone())
}

fn milliseconds_of_integer(number: i64) -> i64 {
    match number {
        19_000_101..=21_001_231 => days(number / 10_000, number / 100 % 100, number % 100) * 86_400_000,
        -99_999_999_999..=99_999_999_999 => number * 1000,
        _ => number,
    }
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms", 2013).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_milliseconds_seconds_or_days() {
        assert_eq!(milliseconds_of_integer(19_970_101), 852_076_800_000);
        assert_eq!(milliseconds_of_integer(852_076_800), 852_076_800_000);
        assert_eq!(milliseconds_of_integer(852_076_800_000), 852_076_800_000);
    }
}
