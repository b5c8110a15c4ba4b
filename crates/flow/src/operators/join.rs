//! Joins of two streams on equality of keys: inner, left, semi and anti, over changelogs or within an interval of time.
//!
//! With A and B the two inputs as they were before an epoch and ΔA and ΔB its net changes, the change of A⋈B is
//! `ΔA⋈(B+ΔB) + A⋈ΔB`. So an epoch first puts ΔB into the right state, then looks its rows up in the left state (which
//! is still A), then looks ΔA up in the right state (which is B+ΔB by now), and at last puts ΔA into the left state.
//!
//! Every left row of a left, semi or anti join carries the number of its matches. The row's part in the result
//! that does not depend on *which* rows match (the row with NULLs, or the row alone) is `A(a)·[matches(a) = 0]`, and
//! changes when the number leaves or reaches 0.
//!
//! An **interval join** reads append-only inputs and forgets a row when the watermark says that no match can come any
//! more. A left or anti join then knows the answer and emits the row; nothing is ever retracted.

mod delta;
mod filter;
mod output;
mod pairs;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_functions::compile::CompileContext;
use fleuve_plan::{Expr, Interval, JoinKind};
use fleuve_state::columns::{arrow_error, time_bound, time_values};
use fleuve_state::multimap::{Layout, Multimap, RowId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable, WATERMARK_MAX};
use delta::{Delta, DeltaReader, Slab};
pub(super) use delta::{append_only, filter_batch, without_nulls};
pub(super) use filter::PairFilter;
pub(super) use output::{Output, concat_batches};
pub(super) use pairs::{PairStream, Probing};

/// One input of a join.
#[derive(Debug, Clone)]
pub struct JoinInput {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its key columns (positions), which correspond to the other input's.
    pub keys: Vec<usize>,
    /// Whether its rows carry weights.
    pub changelog: bool,
}

/// What a [`Join`] is made from.
#[derive(Debug, Clone)]
pub struct JoinSpec {
    /// Inner, left, semi or anti.
    pub kind: JoinKind,
    /// The left input.
    pub left: JoinInput,
    /// The right input.
    pub right: JoinInput,
    /// A further condition over the concatenated columns.
    pub filter: Option<Expr>,
    /// The bounds of an interval join.
    pub interval: Option<Interval>,
    /// Left columns, then right ones; only left ones of a semi or anti join.
    pub output: SchemaRef,
}

/// Left rows whose having matches changed within an epoch, and whether they had any before it.
type Flipped = HashMap<RowId, bool, FixedState>;

/// A join of two streams.
pub struct Join {
    kind: JoinKind,
    interval: Option<Interval>,
    context: CompileContext,
    filter: Option<PairFilter>,
    left: Side,
    right: Side,
    output: SchemaRef,
    /// Whether results carry weights.
    weighted: bool,
    /// Whether an input may take rows back.
    retracts: bool,
    late_rows: u64,
}

/// What is known of one input.
struct Side {
    reader: DeltaReader,
    store: Multimap,
    /// The watermark's distance to the oldest time that can still match, in milliseconds.
    reach_ms: i64,
    time_type: Option<DataType>,
}

/// How the rows of an input are remembered.
struct Memory {
    time: Option<usize>,
    reach_ms: i64,
    /// Equal rows are kept once, with a weight.
    weighted: bool,
    counted: bool,
}

impl Side {
    fn new(input: &JoinInput, columns: Vec<usize>, memory: Memory) -> Result<Self> {
        let stored = |position: &usize| columns.iter().position(|column| column == position);
        let missing = || Error::internal("a join does not store its keys");
        let keys = input.keys.iter().map(|key| stored(key).ok_or_else(missing)).collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(input.schema.project(&columns).map_err(arrow_error)?);
        let Memory { time, reach_ms, weighted, counted } = memory;
        let time_type = time.map(|time| input.schema.field(time).data_type().clone());
        let stored_time = time.and_then(|time| stored(&time));
        let layout = Layout { schema: schema.clone(), keys, time: stored_time, retractable: weighted, counted };
        let reader = DeltaReader::new(schema, columns, layout.keys.clone(), stored_time, weighted);
        Ok(Side { reader, store: Multimap::new(layout), reach_ms, time_type })
    }

    /// The bound, in the unit of the time column, below which rows have expired under a watermark.
    fn bound(&self, watermark: i64) -> i64 {
        let data_type = self.time_type.as_ref().unwrap_or(&DataType::Null);
        match watermark {
            WATERMARK_MAX => i64::MAX,
            watermark => time_bound(data_type, watermark.saturating_sub(self.reach_ms)),
        }
    }

    /// The bound below which rows are late under the watermark of the epoch before.
    fn late_bound(&self, watermark: i64) -> Option<i64> {
        self.time_type.as_ref().map(|data_type| time_bound(data_type, watermark))
    }

    /// Stores the rows of a slab.
    fn store(&mut self, slab: Slab, matches: &[i64]) -> Result<()> {
        match slab.weights {
            Some(weights) => self.store.update(&slab.rows, &slab.keys, &weights, matches),
            None => self.store.insert(slab.rows, &slab.keys, matches),
        }
    }
}

impl Join {
    /// A join without state.
    ///
    /// # Errors
    /// If keys differ in type, an interval is asked of a changelog, or the filter does not fit the columns.
    pub fn new(spec: JoinSpec, context: &CompileContext) -> Result<Self> {
        check(&spec)?;
        let (left, right) = (&spec.left, &spec.right);
        let pairs = matches!(spec.kind, JoinKind::Inner | JoinKind::Left);
        let left_columns: Vec<usize> = (0..left.schema.fields().len()).collect();
        let right_columns = if pairs { (0..right.schema.fields().len()).collect() } else { right_columns_read(&spec) };
        let filter = pair_filter(&spec, &right_columns, context)?;
        let (upper, lower) = spec.interval.map_or((0, 0), |interval| (interval.upper_ms, interval.lower_ms));
        let left_memory = Memory {
            time: spec.interval.map(|interval| interval.left_time),
            reach_ms: upper,
            weighted: left.changelog,
            counted: spec.kind != JoinKind::Inner,
        };
        let right_memory = Memory {
            time: spec.interval.map(|interval| interval.right_time),
            reach_ms: lower.saturating_neg(),
            // Of what only has to exist, equal rows need not be kept apart.
            weighted: right.changelog || (!pairs && spec.interval.is_none()),
            counted: false,
        };
        let retracts = left.changelog || right.changelog;
        let settled = spec.interval.is_some() || matches!(spec.kind, JoinKind::Inner | JoinKind::Semi);
        Ok(Join {
            left: Side::new(left, left_columns, left_memory)?,
            right: Side::new(right, right_columns, right_memory)?,
            kind: spec.kind,
            interval: spec.interval,
            context: context.clone(),
            filter,
            output: spec.output,
            weighted: retracts || !settled,
            retracts,
            late_rows: 0,
        })
    }

    /// Whether pairs are part of the result.
    fn emits_pairs(&self) -> bool {
        matches!(self.kind, JoinKind::Inner | JoinKind::Left)
    }

    /// Whether a left row is part of the result by itself, given whether it has matches.
    fn emits_row(&self, matched: bool) -> bool {
        match self.kind {
            JoinKind::Inner => false,
            JoinKind::Left | JoinKind::Anti => !matched,
            JoinKind::Semi => matched,
        }
    }

    /// Whether a left row without matches is only known to be so when it expires.
    fn waits(&self) -> bool {
        self.interval.is_some() && self.emits_row(false)
    }

    /// New right rows meet the left rows of earlier epochs.
    fn right_changes(&mut self, right: &[Slab], output: &mut Output) -> Result<()> {
        let mut flipped = Flipped::default();
        for slab in right {
            let mut stream = PairStream::new(Probing::Right, slab.rows.clone(), slab.keys.clone());
            while stream.advance(&self.left.store, self.filter.as_ref())? {
                if self.emits_pairs() {
                    output.pairs(&stream, &self.left.store, slab.weights.as_deref())?;
                }
                if self.kind != JoinKind::Inner {
                    self.count_matches(&stream, slab, &mut flipped);
                }
            }
            output.flush(&stream, &self.left.store)?;
        }
        let mut flipped: Vec<(RowId, bool)> = flipped.into_iter().collect();
        flipped.sort_unstable();
        self.emit_flipped(&flipped, output)
    }

    /// Adds to the left rows' numbers of matches; notes which rows had (true) or had not (false) any before.
    fn count_matches(&mut self, stream: &PairStream, slab: &Slab, flipped: &mut Flipped) {
        for (&row, &id) in stream.pairs().probe.iter().zip(&stream.pairs().stored) {
            let weight = slab.weight(row as usize);
            let before = self.left.store.add_matches(id, weight);
            if (before > 0) != (before + weight > 0) {
                flipped.entry(id).or_insert(before > 0);
            }
        }
    }

    /// Emits what the end or the beginning of having matches means for left rows of earlier epochs.
    fn emit_flipped(&self, flipped: &[(RowId, bool)], output: &mut Output) -> Result<()> {
        if self.waits() {
            return Ok(());
        }
        let mut changed = Vec::with_capacity(flipped.len());
        let mut weights = Vec::with_capacity(flipped.len());
        for &(id, before) in flipped {
            let now = self.left.store.matches(id) > 0;
            if now != before {
                let sign = if self.emits_row(now) { 1 } else { -1 };
                changed.push(id);
                weights.push(sign * self.left.store.weight(id));
            }
        }
        output.stored_rows(&self.left.store, &changed, &weights)
    }

    /// New left rows meet all right rows, and are stored.
    fn left_changes(&mut self, left: Vec<Slab>, info: &EpochInfo, output: &mut Output) -> Result<()> {
        for slab in left {
            let mut matches = if self.kind == JoinKind::Inner { vec![] } else { vec![0; slab.rows.num_rows()] };
            let mut stream = PairStream::new(Probing::Left, slab.rows.clone(), slab.keys.clone());
            while stream.advance(&self.right.store, self.filter.as_ref())? {
                if self.emits_pairs() {
                    output.pairs(&stream, &self.right.store, slab.weights.as_deref())?;
                }
                if self.kind != JoinKind::Inner {
                    for (&row, &id) in stream.pairs().probe.iter().zip(&stream.pairs().stored) {
                        matches[row as usize] += self.right.store.weight(id);
                    }
                }
            }
            output.flush(&stream, &self.right.store)?;
            self.settle(slab, matches, info, output)?;
        }
        Ok(())
    }

    /// Emits new left rows by themselves where the kind of join wants it, and stores those that can still match.
    fn settle(&mut self, slab: Slab, matches: Vec<i64>, info: &EpochInfo, output: &mut Output) -> Result<()> {
        let bound = self.left.bound(end_watermark(info));
        let times = match self.left.store.layout().time {
            Some(time) => Some(time_values(slab.rows.column(time))?),
            None => None,
        };
        let expired = |row: usize| times.is_some_and(|times| times[row] < bound);
        // Once a semi join of append-only inputs has emitted a row, nothing more can come of it.
        let is_done = |row: usize| expired(row) || (self.kind == JoinKind::Semi && !self.retracts && matches[row] > 0);
        let rows = 0..slab.rows.num_rows();
        if self.kind != JoinKind::Inner {
            let now = |row: &usize| self.emits_row(matches[*row] > 0) && (!self.waits() || expired(*row));
            let alone: Vec<u32> = rows.clone().filter(now).map(|row| row as u32).collect();
            output.new_rows(&slab, &alone)?;
        }
        if !rows.clone().any(is_done) {
            return self.left.store(slab, &matches);
        }
        let kept: Vec<u32> = rows.filter(|&row| !is_done(row)).map(|row| row as u32).collect();
        let kept_matches: Vec<i64> = kept.iter().filter_map(|&row| matches.get(row as usize).copied()).collect();
        self.left.store(slab.take(&kept)?, &kept_matches)
    }

    /// Forgets what cannot match any more; a left or anti join emits what has had no match.
    fn expire(&mut self, info: &EpochInfo, output: &mut Output) -> Result<()> {
        if self.interval.is_none() {
            return Ok(());
        }
        let watermark = end_watermark(info);
        if self.waits() {
            let (from, to) = (self.left.bound(info.previous_watermark), self.left.bound(watermark));
            let mut unmatched = self.left.store.rows_between(from, to)?;
            unmatched.retain(|&id| self.left.store.matches(id) <= 0);
            output.stored_rows(&self.left.store, &unmatched, &[])?;
        }
        for side in [&mut self.left, &mut self.right] {
            side.store.expire(side.bound(watermark))?;
        }
        Ok(())
    }

    /// The changes of both inputs in this epoch.
    fn deltas(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>]) -> Result<(Delta, Delta)> {
        let [left, right] = inputs else {
            return Err(Error::internal("a join has two inputs"));
        };
        let keeps_unmatched = self.emits_row(false);
        let left = self.left.reader.read(left, self.left.late_bound(info.previous_watermark), keeps_unmatched)?;
        let right = self.right.reader.read(right, self.right.late_bound(info.previous_watermark), false)?;
        self.late_rows += left.late_rows + right.late_rows;
        Ok((left, right))
    }
}

impl EpochOperator for Join {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        self.context.clock().set(info.clock_ms);
        let (left, right) = self.deltas(info, inputs)?;
        // Only where both inputs changed, and one of them may take rows back, can two changes cancel out.
        let cancels = self.retracts && !left.slabs.is_empty() && !right.slabs.is_empty();
        let mut out = Output::new(self.output.clone(), self.weighted);
        out.batches(left.unmatched)?;
        for slab in &right.slabs {
            self.right.store(slab.clone(), &[])?;
        }
        self.right_changes(&right.slabs, &mut out)?;
        self.left_changes(left.slabs, info, &mut out)?;
        self.expire(info, &mut out)?;
        self.left.store.maintain()?;
        self.right.store.maintain()?;
        output.extend(out.finish(cancels)?);
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        let mut tables = Vec::new();
        for (side, name) in [(&mut self.left, "left"), (&mut self.right, "right")] {
            let saved = side.store.save()?.into_iter().enumerate();
            tables.extend(saved.map(|(number, rows)| StateTable { name: format!("{name}-{number}"), rows }));
        }
        Ok(tables)
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        for table in tables {
            let side = match table.name.split_once('-') {
                Some(("left", _)) => &mut self.left,
                Some(("right", _)) => &mut self.right,
                _ => return Err(Error::corrupt(format!("a join has no state `{}`", table.name))),
            };
            side.store.load(&table.rows, |group| share.owns(group))?;
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        OperatorStats {
            late_rows: self.late_rows,
            state_bytes: self.left.store.bytes() + self.right.store.bytes(),
            state_rows: self.left.store.len() + self.right.store.len(),
        }
    }
}

/// The condition of a join, over left columns and those right ones that are kept.
fn pair_filter(spec: &JoinSpec, right_columns: &[usize], context: &CompileContext) -> Result<Option<PairFilter>> {
    let Some(filter) = &spec.filter else { return Ok(None) };
    let right = Arc::new(spec.right.schema.project(right_columns).map_err(arrow_error)?);
    let kept = |column: usize| right_columns.iter().position(|&kept| kept == column);
    PairFilter::new(filter, &spec.left.schema, &right, &kept, context).map(Some)
}

/// The watermark at the end of an epoch: after the last, everything has expired.
fn end_watermark(info: &EpochInfo) -> i64 {
    if info.last { WATERMARK_MAX } else { info.watermark }
}

fn check(spec: &JoinSpec) -> Result<()> {
    if spec.interval.is_some() && (spec.left.changelog || spec.right.changelog) {
        return Err(Error::internal("an interval join of a changelog"));
    }
    check_keys(&spec.left, &spec.right)
}

/// Keys are compared as they are, so their types must be the same.
pub(super) fn check_keys(left: &JoinInput, right: &JoinInput) -> Result<()> {
    let types = |input: &JoinInput| -> Vec<DataType> {
        input.keys.iter().map(|&key| input.schema.field(key).data_type().clone()).collect()
    };
    match (types(left), types(right)) {
        (left, right) if left == right => Ok(()),
        (left, right) => Err(Error::internal(format!("a join of keys of types {left:?} and {right:?}"))),
    }
}

/// The right columns that a semi or anti join needs: keys, time, and what the filter reads.
fn right_columns_read(spec: &JoinSpec) -> Vec<usize> {
    let left = spec.left.schema.fields().len();
    let mut columns = spec.right.keys.clone();
    columns.extend(spec.interval.map(|interval| interval.right_time));
    columns.extend(spec.filter.iter().flat_map(Expr::columns).filter_map(|column| column.checked_sub(left)));
    columns.sort_unstable();
    columns.dedup();
    columns
}
