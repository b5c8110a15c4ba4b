//! Rows that wait for their time: what a window join holds until the watermark passes.
//!
//! The rows lie in *runs*, each sorted by the time that they wait for, so that what is due is the front of every run. As
//! in a log-structured merge tree, runs of like size are merged, so that a row is copied a logarithmic number of times.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use fleuve_base::Result;

use crate::columns::{arrow_error, concat_owned, hashes_of, slabs, take_rows, time_values};
use crate::hash::key_group;

/// Rows of one run.
const RUN_ROWS_MAX: usize = 1 << 16;

/// Rows by the time that they wait for.
#[derive(Debug)]
pub struct Deferred {
    schema: SchemaRef,
    time: usize,
    runs: Vec<Run>,
}

/// Sorted rows, of which the first have been taken.
#[derive(Debug)]
struct Run {
    rows: RecordBatch,
    taken: usize,
}

impl Run {
    fn rest(&self) -> RecordBatch {
        self.rows.slice(self.taken, self.len())
    }

    fn len(&self) -> usize {
        self.rows.num_rows() - self.taken
    }
}

impl Deferred {
    /// An empty store; `time` is a timestamp column (position) without NULLs.
    pub fn new(schema: SchemaRef, time: usize) -> Self {
        Deferred { schema, time, runs: Vec::new() }
    }

    /// Rows that wait.
    pub fn len(&self) -> usize {
        self.runs.iter().map(Run::len).sum()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.rows.get_array_memory_size()).sum()
    }

    /// Adds rows; they are copied.
    pub fn insert(&mut self, batches: &[RecordBatch]) -> Result<()> {
        for slab in slabs(batches, RUN_ROWS_MAX) {
            let rows = concat_owned(&self.schema, slab)?;
            if rows.num_rows() > 0 {
                let rows = self.sorted(rows)?;
                self.runs.push(Run { rows, taken: 0 });
                self.merge()?;
            }
        }
        Ok(())
    }

    /// Takes the rows whose time, in the unit of its column, is below a bound.
    pub fn take_due(&mut self, bound: i64) -> Result<Vec<RecordBatch>> {
        let mut due = Vec::new();
        for run in &mut self.runs {
            let times = &time_values(run.rows.column(self.time))?[run.taken..];
            let count = times.partition_point(|&time| time < bound);
            if count > 0 {
                due.push(run.rows.slice(run.taken, count));
                run.taken += count;
            }
        }
        self.runs.retain(|run| run.len() > 0);
        for run in &mut self.runs {
            if run.taken > run.len() {
                *run = Run { rows: concat_owned(&self.schema, &[run.rest()])?, taken: 0 };
            }
        }
        Ok(due)
    }

    /// The waiting rows, in batches.
    pub fn save(&self) -> Vec<RecordBatch> {
        self.runs.iter().map(Run::rest).collect()
    }

    /// Takes up saved rows: those whose key group is owned. Rows without key columns belong to key group 0.
    pub fn load(&mut self, saved: &RecordBatch, keys: &[usize], owns: impl Fn(u8) -> bool) -> Result<()> {
        let columns: Vec<_> = keys.iter().map(|&key| saved.column(key).clone()).collect();
        let groups = match &columns[..] {
            [] => vec![0; saved.num_rows()],
            columns => hashes_of(columns, saved.num_rows())?.into_iter().map(key_group).collect(),
        };
        let owned: BooleanArray = groups.into_iter().map(|group| Some(owns(group))).collect();
        self.insert(&[filter_record_batch(saved, &owned).map_err(arrow_error)?])
    }

    /// Sorts by time; rows of equal times keep their order.
    fn sorted(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let times = time_values(rows.column(self.time))?;
        if times.is_sorted() {
            return Ok(rows);
        }
        let mut order: Vec<u32> = (0..times.len() as u32).collect();
        order.sort_by_key(|&row| times[row as usize]);
        take_rows(&rows, &order)
    }

    /// Merges the last runs while they are of like size.
    fn merge(&mut self) -> Result<()> {
        while let [.., before, last] = &self.runs[..]
            && last.len() * 2 >= before.len()
            && last.len() + before.len() <= RUN_ROWS_MAX
        {
            let both = concat_owned(&self.schema, &[before.rest(), last.rest()])?;
            let rows = self.sorted(both)?;
            self.runs.truncate(self.runs.len() - 2);
            self.runs.push(Run { rows, taken: 0 });
        }
        Ok(())
    }
}
