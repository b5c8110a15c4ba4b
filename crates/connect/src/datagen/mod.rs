//! Made-up rows. A row depends on the seed and its number alone, so any range can be made again.
//!
//! Times are the exception: a random timestamp lies before the moment at which its row is due, which is the start of the
//! run plus the row's number over the rate. The start, in seconds since 1970, is the *item* of every range.

mod column;
mod random;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::compute::max;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Env, Error, Result};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, Source, Waker};
use fleuve_plan::SourceSpec;
use parking_lot::Mutex;

use crate::alarm::Alarm;
use crate::decode::{Assemble, Constants};
use crate::options::Options;
use column::{Column, Rows};

/// A pause between two releases of rows: shorter ones cost more than they help.
const RELEASE_MS: u64 = 5;

/// A `datagen` table.
pub(crate) struct Datagen {
    env: Env,
    shape: Arc<Shape>,
    rows: Option<u64>,
    rate: u64,
    alarm: Alarm,
    state: Mutex<State>,
}

/// What the source and its decoders share.
struct Shape {
    scan: Scan,
    /// For each data column of the scan: the physical column that it is made from, and the path inside it.
    columns: Vec<(Column, Vec<String>)>,
    max_of: Option<(Column, Vec<String>)>,
    table: String,
    rate: u64,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Start of the run, in seconds since 1970.
    start_seconds: Option<u32>,
    /// The clock and the row at which this process began.
    begun: Option<(Duration, u64)>,
}

impl Datagen {
    /// Checks the columns' options.
    pub(crate) fn check(options: &Options, spec: &SourceSpec) -> Result<()> {
        for (key, _) in options.all() {
            let column = key.strip_prefix("fields.").and_then(|rest| rest.rsplit_once('.')).map(|(column, _)| column);
            if let Some(column) = column.filter(|column| spec.physical.index_of(column).is_err()) {
                let names = spec.physical.fields().iter().map(|field| field.name().as_str());
                let message = format!("table `{}`: '{key}' names `{column}`, which is no column", spec.table);
                return Err(Error::input("E502", message).with_hint(crate::nearest::nearest(column, names)));
            }
        }
        spec.physical.fields().iter().try_for_each(|field| Column::new(options, field).map(drop))
    }

    pub(crate) fn open(env: &Env, options: &Options, spec: &SourceSpec, scan: Scan) -> Result<Self> {
        Self::check(options, spec)?;
        let rate = options.integer("rows-per-second")?.unwrap_or(10_000).max(1).unsigned_abs();
        let shape = Arc::new(Shape::new(options, spec, scan, rate)?);
        let stated = options.integer("number-of-rows")?.map(i64::unsigned_abs);
        let mut rows = stated;
        for field in spec.physical.fields() {
            let end = Column::new(options, field)?.rows();
            rows = rows.into_iter().chain(end).min();
        }
        let (env, alarm) = (env.clone(), Alarm::new(env.clone()));
        Ok(Datagen { env, shape, rows, rate, alarm, state: Mutex::default() })
    }

    /// Rows that are due by now, the clock of this process counting from its first claim.
    fn due(&self, state: &mut State) -> (u64, Duration) {
        let now = self.env.clock.monotonic();
        let (since, first) = *state.begun.get_or_insert((now, state.next));
        let released = (now - since).as_secs_f64() * self.rate as f64;
        (first + released as u64 + 1, since)
    }

    /// When the next release is: some milliseconds on, or when the next row is due.
    fn next_release(&self, state: &State, since: Duration) -> Duration {
        let first = state.begun.map_or(0, |(_, first)| first);
        let due = since + Duration::from_secs_f64((state.next - first) as f64 / self.rate as f64);
        due.max(self.env.clock.monotonic() + Duration::from_millis(RELEASE_MS))
    }
}

impl Shape {
    fn new(options: &Options, spec: &SourceSpec, scan: Scan, rate: u64) -> Result<Self> {
        let column = |path: &[String]| {
            let field = spec.physical.field_with_name(&path[0]);
            let field = field.map_err(|_| Error::internal(format!("`{}` is no column of the table", path[0])))?;
            Ok::<_, Error>((Column::new(options, field)?, path[1..].to_vec()))
        };
        let mut columns = Vec::new();
        for wanted in &scan.columns {
            if let fleuve_flow::source::ScanField::Data(path) = &wanted.field {
                columns.push(column(path)?);
            }
        }
        let max_of = scan.max_of.as_deref().map(column).transpose()?;
        Assemble::new(&spec.table, &scan, &[])?;
        Ok(Shape { scan, columns, max_of, table: spec.table.clone(), rate })
    }
}

impl Source for Datagen {
    fn bounded(&self) -> bool {
        self.rows.is_some()
    }

    fn splits(&self) -> Vec<String> {
        vec![self.shape.table.clone()]
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        let mut state = self.state.lock();
        if self.rows.is_some_and(|rows| state.next >= rows) {
            return Ok(Claim::Finished);
        }
        let (due, since) = self.due(&mut state);
        let end = due.min(self.rows.unwrap_or(u64::MAX)).min(state.next + BATCH_ROWS as u64);
        if end <= state.next {
            self.alarm.wake_at(self.next_release(&state, since))?;
            return Ok(Claim::Pending);
        }
        let now_seconds = u32::try_from(self.env.clock.now_ms() / 1000).unwrap_or(0);
        let item = *state.start_seconds.get_or_insert(now_seconds);
        let range = Range { split: 0, item, start: state.next, end };
        state.next = end;
        Ok(Claim::Chunk(Chunk { range, bytes: None }))
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        Ok(Chunk { range, bytes: None })
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        if let Some(last) = last.iter().max_by_key(|range| range.end) {
            *self.state.lock() = State { next: last.end, start_seconds: Some(last.item), begun: None };
        }
        Ok(())
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        let assemble = Assemble::new(&self.shape.table, &self.shape.scan, &[])?;
        Ok(Box::new(DatagenDecoder { shape: self.shape.clone(), assemble }))
    }

    fn subscribe(&self, waker: Waker) {
        self.alarm.subscribe(waker);
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.rows.map(|rows| (self.state.lock().next.min(rows), rows))
    }
}

struct DatagenDecoder {
    shape: Arc<Shape>,
    assemble: Assemble,
}

impl DatagenDecoder {
    fn batch(&self, rows: &Rows, decoded: &mut Decoded) -> Result<()> {
        let make = |(column, path): &(Column, Vec<String>)| inside(column.make(rows)?, path);
        let columns = self.shape.columns.iter().map(make).collect::<Result<Vec<_>>>()?;
        if let Some(column) = &self.shape.max_of {
            decoded.max_timestamp = decoded.max_timestamp.max(latest(&make(column)?));
        }
        let count = rows.count();
        let fields = columns.iter().map(|column| arrow::datatypes::Field::new("", column.data_type().clone(), true));
        let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let data = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| Error::internal(format!("generated columns: {error}")))?;
        let constants = Constants { rows: count, texts: &[], numbers: &[], times: &[], weights: None };
        decoded.rows += count as u64;
        decoded.batches.push(self.assemble.batch(&data, &constants)?);
        Ok(())
    }
}

/// A field inside a generated row, which is never NULL where its fields are not.
fn inside(column: ArrayRef, path: &[String]) -> Result<ArrayRef> {
    let [name, rest @ ..] = path else { return Ok(column) };
    let rows: Option<&StructArray> = column.as_struct_opt();
    let field = rows.and_then(|rows| rows.column_by_name(name)).cloned();
    inside(field.ok_or_else(|| Error::internal(format!("a generated row has no field `{name}`")))?, rest)
}

/// The greatest time, in ms.
fn latest(times: &ArrayRef) -> Option<i64> {
    let times = match times.data_type() {
        DataType::Timestamp(..) => {
            arrow::compute::cast(times, &DataType::Timestamp(TimeUnit::Millisecond, None)).ok()?
        }
        _ => times.clone(),
    };
    max(arrow::compute::cast(&times, &DataType::Int64).ok()?.as_primitive::<Int64Type>())
}

impl Decoder for DatagenDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let Range { item, start, end, .. } = chunk.range;
        let mut first = start;
        while first < end {
            let last = end.min(first + BATCH_ROWS as u64);
            let rows = Rows { numbers: first..last, start_ms: i64::from(item) * 1000, rate: self.shape.rate };
            self.batch(&rows, decoded)?;
            first = last;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
