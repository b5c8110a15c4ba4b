//! Joins of the rows of two streams that fall into the same window.
//!
//! Rows wait until the watermark passes the end of their window. All windows that close in an epoch, be it one or ten
//! thousand, are then joined at once: the bounds of the window are part of the key. Results are never retracted.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use fleuve_base::{Error, Result};
use fleuve_functions::compile::CompileContext;
use fleuve_plan::{Expr, JoinKind};
use fleuve_state::columns::{arrow_error, concat_owned, slabs, time_values};
use fleuve_state::deferred::Deferred;
use fleuve_state::multimap::{CHUNK_ROWS_MAX, Keys, Layout, Multimap};

use super::join::{JoinInput, Output, PairFilter, PairStream, Probing, append_only, check_keys, without_nulls};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable, WATERMARK_MAX};

/// What a [`WindowJoin`] is made from.
#[derive(Debug, Clone)]
pub struct WindowJoinSpec {
    /// Inner, left, semi or anti.
    pub kind: JoinKind,
    /// The left input; its keys are those other than the window's bounds.
    pub left: JoinInput,
    /// The right input; its keys are those other than the window's bounds.
    pub right: JoinInput,
    /// `window_start` and `window_end` of the left input (positions).
    pub left_window: (usize, usize),
    /// `window_start` and `window_end` of the right input (positions).
    pub right_window: (usize, usize),
    /// A further condition over the concatenated columns.
    pub filter: Option<Expr>,
    /// Left columns, then right ones; only left ones of a semi or anti join.
    pub output: SchemaRef,
}

/// A join by window.
pub struct WindowJoin {
    kind: JoinKind,
    context: CompileContext,
    filter: Option<PairFilter>,
    left: Side,
    right: Side,
    output: SchemaRef,
    late_rows: u64,
}

/// What waits of one input.
struct Side {
    schema: SchemaRef,
    /// Keys by which rows are dealt out to workers.
    keys: Vec<usize>,
    /// The window's bounds, then the keys.
    window_keys: Vec<usize>,
    window_end: usize,
    waiting: Deferred,
    /// Whether rows without a match are of use.
    keeps_unmatched: bool,
}

impl Side {
    fn new(input: JoinInput, window: (usize, usize), keeps_unmatched: bool) -> Result<Self> {
        for bound in [window.0, window.1] {
            let data_type = input.schema.field(bound).data_type();
            if !matches!(data_type, DataType::Timestamp(TimeUnit::Millisecond, _)) {
                return Err(Error::internal(format!("the bounds of a window are of type {data_type}")));
            }
        }
        if input.changelog {
            return Err(Error::internal("a window join of a changelog"));
        }
        let window_keys = [window.0, window.1].into_iter().chain(input.keys.iter().copied()).collect();
        let waiting = Deferred::new(input.schema.clone(), window.1);
        Ok(Side { schema: input.schema, keys: input.keys, window_keys, window_end: window.1, waiting, keeps_unmatched })
    }

    /// Takes in the rows of an epoch and hands out those whose windows end before a bound; counts the late ones.
    fn advance(
        &mut self,
        batches: &mut Vec<Batch>,
        late: i64,
        bound: i64,
        late_rows: &mut u64,
    ) -> Result<Vec<RecordBatch>> {
        let mut due = self.waiting.take_due(bound)?;
        let mut early = Vec::new();
        for batch in batches.drain(..) {
            let rows = append_only(batch)?;
            let rows = if self.keeps_unmatched { rows } else { without_nulls(rows, &self.keys)? };
            let ends = time_values(rows.column(self.window_end))?;
            *late_rows += ends.iter().filter(|&&end| end < late).count() as u64;
            let select = |condition: &dyn Fn(i64) -> bool| select(&rows, ends, condition);
            due.extend(select(&|end| late <= end && end < bound)?);
            early.extend(select(&|end| late <= end && end >= bound)?);
        }
        self.waiting.insert(&early)?;
        Ok(due)
    }

    fn key_columns(&self, rows: &RecordBatch) -> Result<Keys> {
        Keys::new(self.window_keys.iter().map(|&key| rows.column(key).clone()).collect(), rows.num_rows())
    }

    /// Rows in large batches.
    fn slabs<'a>(&self, batches: &'a [RecordBatch]) -> impl Iterator<Item = Result<RecordBatch>> + use<'a> {
        let schema = self.schema.clone();
        slabs(batches, CHUNK_ROWS_MAX).map(move |slab| concat_owned(&schema, slab))
    }

    /// A table of rows by window and key. Rows with a NULL among their keys are left out, since none matches them.
    fn table(&self, batches: &[RecordBatch]) -> Result<Multimap> {
        let (schema, keys) = (self.schema.clone(), self.window_keys.clone());
        let mut table = Multimap::new(Layout { schema, keys, time: None, retractable: false, counted: false });
        for slab in self.slabs(batches) {
            let rows = without_nulls(slab?, &self.keys)?;
            let keys = self.key_columns(&rows)?;
            table.insert(rows, &keys, &[])?;
        }
        Ok(table)
    }
}

/// The rows whose window's end fulfils a condition; none if there are none.
fn select(rows: &RecordBatch, ends: &[i64], condition: &dyn Fn(i64) -> bool) -> Result<Option<RecordBatch>> {
    let mask = BooleanBuffer::collect_bool(ends.len(), |row| condition(ends[row]));
    match mask.count_set_bits() {
        0 => Ok(None),
        count if count == ends.len() => Ok(Some(rows.clone())),
        _ => filter_record_batch(rows, &BooleanArray::from(mask)).map(Some).map_err(arrow_error),
    }
}

impl WindowJoin {
    /// A join without state.
    ///
    /// # Errors
    /// If keys differ in type, an input is a changelog, or the filter does not fit the columns.
    pub fn new(spec: WindowJoinSpec, context: &CompileContext) -> Result<Self> {
        check_keys(&spec.left, &spec.right)?;
        let filter = spec
            .filter
            .as_ref()
            .map(|filter| PairFilter::new(filter, &spec.left.schema, &spec.right.schema, &Some, context));
        let keeps_unmatched = matches!(spec.kind, JoinKind::Left | JoinKind::Anti);
        Ok(WindowJoin {
            kind: spec.kind,
            context: context.clone(),
            filter: filter.transpose()?,
            left: Side::new(spec.left, spec.left_window, keeps_unmatched)?,
            right: Side::new(spec.right, spec.right_window, false)?,
            output: spec.output,
            late_rows: 0,
        })
    }

    fn join(&self, left: &[RecordBatch], right: &[RecordBatch], output: &mut Output) -> Result<()> {
        let rows = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        match self.kind {
            JoinKind::Inner if left.is_empty() || right.is_empty() => Ok(()),
            JoinKind::Inner if rows(left) < rows(right) => {
                self.probe(Probing::Right, &self.right, right, &self.left.table(left)?, output)
            }
            _ => self.probe(Probing::Left, &self.left, left, &self.right.table(right)?, output),
        }
    }

    fn probe(
        &self,
        probing: Probing,
        side: &Side,
        batches: &[RecordBatch],
        table: &Multimap,
        output: &mut Output,
    ) -> Result<()> {
        for slab in side.slabs(batches) {
            let rows = slab?;
            let mut stream = PairStream::new(probing, rows.clone(), side.key_columns(&rows)?);
            let mut matched = vec![false; rows.num_rows()];
            while stream.advance(table, self.filter.as_ref())? {
                stream.pairs().probe.iter().for_each(|&row| matched[row as usize] = true);
                if matches!(self.kind, JoinKind::Inner | JoinKind::Left) {
                    output.pairs(&stream, table, None)?;
                }
            }
            output.flush(&stream, table)?;
            let alone = match self.kind {
                JoinKind::Inner => continue,
                JoinKind::Semi => true,
                JoinKind::Left | JoinKind::Anti => false,
            };
            let alone: Vec<u32> = (0..matched.len() as u32).filter(|&row| matched[row as usize] == alone).collect();
            output.left_rows(&rows, &alone)?;
        }
        Ok(())
    }
}

impl EpochOperator for WindowJoin {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        self.context.clock().set(info.clock_ms);
        let [left, right] = inputs else {
            return Err(Error::internal("a window join has two inputs"));
        };
        // A window is closed when the watermark has reached its last millisecond.
        let closed_before = |watermark: i64| watermark.saturating_add(2);
        let bound = if info.last { WATERMARK_MAX } else { closed_before(info.watermark) };
        let late = closed_before(info.previous_watermark);
        let left = self.left.advance(left, late, bound, &mut self.late_rows)?;
        let right = self.right.advance(right, late, bound, &mut self.late_rows)?;
        let mut out = Output::new(self.output.clone(), false);
        self.join(&left, &right, &mut out)?;
        output.extend(out.finish(false)?);
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        let mut tables = Vec::new();
        for (side, name) in [(&self.left, "left"), (&self.right, "right")] {
            let saved = side.waiting.save().into_iter().enumerate();
            tables.extend(saved.map(|(number, rows)| StateTable { name: format!("{name}-{number}"), rows }));
        }
        Ok(tables)
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        for table in tables {
            let side = match table.name.split_once('-') {
                Some(("left", _)) => &mut self.left,
                Some(("right", _)) => &mut self.right,
                _ => return Err(Error::corrupt(format!("a window join has no state `{}`", table.name))),
            };
            if table.rows.schema().fields() != side.schema.fields() {
                return Err(Error::corrupt("the saved state of a window join has other columns"));
            }
            side.waiting.load(&table.rows, &side.keys, |group| share.owns(group))?;
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        OperatorStats {
            late_rows: self.late_rows,
            state_bytes: self.left.waiting.bytes() + self.right.waiting.bytes(),
            state_rows: self.left.waiting.len() + self.right.waiting.len(),
        }
    }
}

#[cfg(test)]
mod tests;
