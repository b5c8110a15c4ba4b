//! TUMBLE, HOP, and windows that rows carry already.
//!
//! One table from (pane, keys) to groups holds all panes, so an epoch over thousands of tiny panes costs no more than
//! one over few large ones; beside it every pane has the list of its groups. A pane of a TUMBLE, or of windows that rows
//! carry, is a window. The windows of a HOP share panes as long as its slide, and a window's result merges its panes:
//! keys are numbered once, so merging is indexing.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Result};
use fleuve_functions::aggregate::AggregateSet;
use fleuve_plan::{TimeAttribute, WindowInput};
use fleuve_state::key_table::{KeyTable, NO_GROUP};

use super::super::keyed_state::{arrow_error, owned_rows, select, state_table};
use super::super::window_time::{Slides, milliseconds};
use super::{Progress, Spec};
use crate::batch::Batch;
use crate::operator::{Share, StateTable};

/// The name of the saved table.
const TABLE: &str = "panes";

/// Columns before the keys in the table of groups, and after them in the saved one: start and end of the pane.
const BOUNDS: usize = 2;

/// A pane by end and start, so that panes are visited in the order in which they close.
type PaneId = (i64, i64);

/// Aggregates by pane and key.
#[derive(Debug)]
pub(super) struct Panes {
    spec: Spec,
    source: PaneSource,
    /// Keys: start of the pane; its end where the start does not tell; the grouping keys.
    table: KeyTable,
    set: AggregateSet,
    panes: BTreeMap<PaneId, Vec<u32>>,
    /// For windows of several panes.
    merge: Option<Merge>,
    groups: Vec<u32>,
}

/// Where a row's pane comes from.
#[derive(Debug, Clone, Copy)]
enum PaneSource {
    Time(Slides, TimeAttribute),
    Columns { start: usize, end: usize },
}

/// What merging panes needs.
#[derive(Debug)]
struct Merge {
    /// Numbers of keys, without panes; `None` without keys: the number is 0.
    keys: Option<KeyTable>,
    /// By group: the number of its key, or [`NO_GROUP`] if not yet known.
    numbers: Vec<u32>,
    /// By number of key: groups that have it.
    uses: Vec<u32>,
    /// By number of key: its place in the window at hand.
    places: Vec<u32>,
    result: AggregateSet,
}

/// Groups of several windows that leave together.
#[derive(Debug, Default)]
struct Pending {
    /// A group with the key of each row.
    sources: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    /// Groups to be merged, and the rows that they go into.
    from: Vec<u32>,
    to: Vec<u32>,
}

impl Panes {
    pub(super) fn new(spec: Spec, window: &WindowInput) -> Result<Self> {
        let source = match window {
            WindowInput::Assign { window, time } => PaneSource::Time(Slides::new(window)?, *time),
            WindowInput::Attached { start, end, .. } => PaneSource::Columns { start: *start, end: *end },
        };
        let bounds = std::iter::repeat_n(DataType::Int64, source.bounds());
        let table = KeyTable::new(&bounds.chain(spec.key_types.iter().cloned()).collect::<Vec<_>>())?;
        let merge = match source {
            PaneSource::Time(slides, _) if slides.windows_per_row() > 1 => Some(Merge::new(&spec)?),
            _ => None,
        };
        let set = spec.aggregates()?;
        Ok(Panes { spec, source, table, set, panes: BTreeMap::new(), merge, groups: vec![] })
    }

    pub(super) fn apply(&mut self, progress: Progress, batches: &[Batch], output: &mut Vec<Batch>) -> Result<u64> {
        let mut late = 0;
        for batch in batches {
            late += self.add(progress, batch)?;
        }
        self.set.settle()?;
        self.fire(progress, output)?;
        Ok(late)
    }

    /// Adds rows; returns how many were late, or had no time.
    fn add(&mut self, progress: Progress, batch: &Batch) -> Result<u64> {
        let (bounds, kept) = self.source.panes(progress, batch)?;
        let Some(kept) = kept else { return self.add_kept(&bounds, batch).map(|()| 0) };
        let late = (batch.num_rows() - kept.true_count()) as u64;
        if kept.true_count() > 0 {
            let error = |e| arrow_error("drop late rows", &e);
            let bounds = bounds.iter().map(|column| filter(column, &kept)).collect::<Result<Vec<_>, _>>();
            let columns = filter_record_batch(&batch.columns, &kept).map_err(error)?;
            let weights = batch.weights.as_ref().map(|weights| filter(weights, &kept)).transpose().map_err(error)?;
            let weights = weights.map(|weights| weights.as_primitive::<Int64Type>().clone());
            self.add_kept(&bounds.map_err(error)?, &Batch { columns, weights })?;
        }
        Ok(late)
    }

    fn add_kept(&mut self, bounds: &[ArrayRef], batch: &Batch) -> Result<()> {
        let columns = batch.columns.columns();
        let keys: Vec<ArrayRef> = bounds.iter().cloned().chain(select(columns, &self.spec.keys)).collect();
        let mut groups = std::mem::take(&mut self.groups);
        self.table.intern(&keys, &mut groups)?;
        self.list_created(bounds, &groups);
        self.set.update(&groups, self.table.total_groups(), columns, batch.weights.as_ref())?;
        self.groups = groups;
        Ok(())
    }

    /// Lists the groups just created with their panes.
    fn list_created(&mut self, bounds: &[ArrayRef], groups: &[u32]) {
        let created = self.table.created();
        let bounds: Vec<&[i64]> = bounds.iter().map(|c| c.as_primitive::<Int64Type>().values().as_ref()).collect();
        let mut next = 0;
        let mut last: Option<(PaneId, &mut Vec<u32>)> = None;
        for (row, group) in groups.iter().enumerate() {
            // They were created in the order of their first rows.
            if created.get(next) != Some(group) {
                continue;
            }
            next += 1;
            let pane = self.source.pane_id(&bounds, row);
            match &mut last {
                Some((id, list)) if *id == pane => list.push(*group),
                _ => {
                    let list = self.panes.entry(pane).or_default();
                    list.push(*group);
                    last = Some((pane, list));
                }
            }
        }
        if let Some(merge) = &mut self.merge {
            merge.numbers.resize(self.table.total_groups(), NO_GROUP);
        }
    }

    fn fire(&mut self, progress: Progress, output: &mut Vec<Batch>) -> Result<()> {
        match self.source {
            PaneSource::Time(slides, _) if self.merge.is_some() => self.fire_merged(slides, progress, output)?,
            _ => self.fire_panes(progress.after, output)?,
        }
        self.drop_closed(progress.after)
    }

    /// Emits windows that are panes.
    fn fire_panes(&mut self, reached: i64, output: &mut Vec<Batch>) -> Result<()> {
        let mut pending = Pending::default();
        for ((end, start), groups) in self.panes.range(..=(reached.saturating_add(1), i64::MAX)) {
            pending.sources.extend(groups);
            pending.starts.extend(std::iter::repeat_n(*start, groups.len()));
            pending.ends.extend(std::iter::repeat_n(*end, groups.len()));
            if pending.sources.len() >= BATCH_ROWS {
                self.emit(&mut pending, output)?;
            }
        }
        self.emit(&mut pending, output)
    }

    /// Emits windows of several panes: those that were open before and are closed now.
    fn fire_merged(&mut self, slides: Slides, progress: Progress, output: &mut Vec<Batch>) -> Result<()> {
        let Some(((_, first), (_, last))) =
            self.panes.first_key_value().zip(self.panes.last_key_value()).map(|(first, last)| (*first.0, *last.0))
        else {
            return Ok(());
        };
        let behind = slides.size_ms - slides.slide_ms;
        let mut start = slides.first_open(progress.before).max(first.saturating_sub(behind));
        let stop = slides.first_open(progress.after).min(last.saturating_add(slides.slide_ms));
        self.number_keys(start, stop.saturating_add(behind))?;
        let mut pending = Pending::default();
        while start < stop {
            // The first pane that this window or a later one holds.
            let next = self.panes.range((slides.end(start), start)..).next().map(|((_, pane), _)| *pane);
            let Some(next) = next else { break };
            if next > start.saturating_add(behind) {
                start = next.saturating_sub(behind);
                continue;
            }
            self.gather(slides, start, &mut pending);
            if pending.sources.len() >= BATCH_ROWS {
                self.emit_merged(&mut pending, output)?;
            }
            start = start.saturating_add(slides.slide_ms);
        }
        self.emit_merged(&mut pending, output)
    }

    /// Adds one window to those that leave.
    fn gather(&mut self, slides: Slides, start: i64, pending: &mut Pending) {
        let last = start.saturating_add(slides.size_ms - slides.slide_ms);
        let range = (slides.end(start), start)..=(slides.end(last), last);
        let merge = self.merge.as_mut().expect("a window of several panes merges them");
        let first_row = pending.sources.len();
        for groups in self.panes.range(range).map(|(_, groups)| groups) {
            for group in groups {
                let place = &mut merge.places[merge.numbers[*group as usize] as usize];
                if *place == NO_GROUP {
                    *place = pending.sources.len() as u32;
                    pending.sources.push(*group);
                }
                pending.from.push(*group);
                pending.to.push(*place);
            }
        }
        for group in &pending.sources[first_row..] {
            merge.places[merge.numbers[*group as usize] as usize] = NO_GROUP;
        }
        pending.starts.resize(pending.sources.len(), start);
        pending.ends.resize(pending.sources.len(), slides.end(start));
    }

    /// Numbers the keys of the groups in panes that start in a range.
    fn number_keys(&mut self, start: i64, stop: i64) -> Result<()> {
        let Some(merge) = self.merge.as_mut().filter(|_| start < stop) else { return Ok(()) };
        let panes = self.panes.iter().skip_while(|((_, pane), _)| *pane < start);
        let groups = panes.take_while(|((_, pane), _)| *pane < stop).flat_map(|(_, groups)| groups);
        let new = groups.copied().filter(|group| merge.numbers[*group as usize] == NO_GROUP).collect::<Vec<_>>();
        merge.number(&self.table, self.source.bounds(), &new)
    }

    fn emit_merged(&mut self, pending: &mut Pending, output: &mut Vec<Batch>) -> Result<()> {
        let rows: Vec<u32> = (0..pending.sources.len() as u32).collect();
        let merge = self.merge.as_mut().expect("a window of several panes merges them");
        for (from, to) in pending.from.chunks(BATCH_ROWS).zip(pending.to.chunks(BATCH_ROWS)) {
            merge.result.merge(to, rows.len(), &self.set.save(from)?)?;
        }
        let merge = self.merge.as_ref().expect("a window of several panes merges them");
        self.emit_rows(&merge.result, &rows, pending, output)?;
        self.merge.as_mut().expect("a window of several panes merges them").result.clear(&rows);
        Ok(())
    }

    fn emit(&self, pending: &mut Pending, output: &mut Vec<Batch>) -> Result<()> {
        let groups = pending.sources.clone();
        self.emit_rows(&self.set, &groups, pending, output)
    }

    /// Emits the values that `set` holds for `groups`, whose keys are those of the pending rows.
    fn emit_rows(
        &self,
        set: &AggregateSet,
        groups: &[u32],
        pending: &mut Pending,
        output: &mut Vec<Batch>,
    ) -> Result<()> {
        let mut pending = std::mem::take(pending);
        let mut groups = groups.to_vec();
        if let Some(counts) = self.spec.present(set, &groups)? {
            let mut present = counts.values().iter().map(|count| *count > 0);
            groups.retain(|_| present.next() == Some(true));
            pending.retain(counts.values());
        }
        if groups.is_empty() {
            return Ok(());
        }
        let keys = self.table.keys(&pending.sources)?.split_off(self.source.bounds());
        self.spec.emit(keys, set.evaluate(&groups)?, pending.starts, pending.ends, output)
    }

    /// Forgets panes whose last window has closed.
    fn drop_closed(&mut self, reached: i64) -> Result<()> {
        let mut closed = Vec::new();
        while let Some(entry) = self.panes.first_entry()
            && entry.key().0.saturating_sub(1) <= reached
        {
            closed.append(&mut entry.remove());
        }
        if let Some(merge) = &mut self.merge {
            merge.release(&closed);
        }
        self.set.clear(&closed);
        self.table.remove(&closed);
        Ok(())
    }

    pub(super) fn save(&self) -> Result<Vec<StateTable>> {
        let groups: Vec<u32> = self.panes.values().flatten().copied().collect();
        let bound = |pick: fn(&PaneId) -> i64| -> ArrayRef {
            let bounds = self.panes.iter().flat_map(|(id, groups)| std::iter::repeat_n(pick(id), groups.len()));
            std::sync::Arc::new(Int64Array::from_iter_values(bounds))
        };
        let keys = self.table.keys(&groups)?.split_off(self.source.bounds());
        let states = [bound(|id| id.1), bound(|id| id.0)].into_iter().chain(self.set.save(&groups)?).collect();
        Ok(vec![state_table(TABLE, groups.len(), keys, states)?])
    }

    pub(super) fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        let width = self.spec.keys.len();
        let columns = width + BOUNDS + self.set.saved_types().len();
        let Some(rows) = owned_rows(tables, TABLE, width, columns, share)? else { return Ok(()) };
        let (keys, states) = rows.columns().split_at(width);
        let (bounds, states) = states.split_at(BOUNDS);
        if bounds.iter().any(|column| column.data_type() != &DataType::Int64) {
            return Err(Error::corrupt("the stored panes of a window have no bounds"));
        }
        let bounds = &bounds[..self.source.bounds()];
        let keys: Vec<ArrayRef> = bounds.iter().chain(keys).cloned().collect();
        let mut groups = Vec::new();
        self.table.intern(&keys, &mut groups)?;
        self.list_created(bounds, &groups);
        self.set.merge(&groups, self.table.total_groups(), states)
    }

    /// Bytes and rows of state.
    pub(super) fn size(&self) -> (usize, usize) {
        let lists: usize = self.panes.values().map(|groups| groups.capacity() * size_of::<u32>()).sum();
        let merge = self.merge.as_ref().map_or(0, Merge::bytes);
        (self.table.bytes() + self.set.bytes() + lists + merge, self.table.len())
    }
}

impl PaneSource {
    /// Columns that tell a pane.
    fn bounds(self) -> usize {
        match self {
            PaneSource::Time(..) => 1,
            PaneSource::Columns { .. } => BOUNDS,
        }
    }

    fn pane_id(self, bounds: &[&[i64]], row: usize) -> PaneId {
        match self {
            PaneSource::Time(slides, _) => (slides.end(bounds[0][row]), bounds[0][row]),
            PaneSource::Columns { .. } => (bounds[1][row], bounds[0][row]),
        }
    }

    /// The bounds of each row's pane, and which rows to keep if not all: late rows, and those without a time, go.
    fn panes(self, progress: Progress, batch: &Batch) -> Result<(Vec<ArrayRef>, Option<BooleanArray>)> {
        match self {
            PaneSource::Time(slides, TimeAttribute::Processing) => {
                let pane = slides.pane(progress.clock_ms);
                Ok((vec![column(vec![pane; batch.num_rows()])], None))
            }
            PaneSource::Time(slides, TimeAttribute::Event(time)) => {
                let times = milliseconds(batch.column(time))?;
                let kept = kept(&[&times], slides.first_open(progress.before));
                Ok((vec![column(panes_of(slides, times.values()))], kept))
            }
            PaneSource::Columns { start, end } => {
                let (starts, ends) = (milliseconds(batch.column(start))?, milliseconds(batch.column(end))?);
                // A window is closed if its last millisecond was reached before this epoch.
                let kept = kept(&[&ends, &starts], progress.before.saturating_add(2));
                let bare = |times: Int64Array| column(times.values().to_vec());
                Ok((vec![bare(starts), bare(ends)], kept))
            }
        }
    }
}

fn column(times: Vec<i64>) -> ArrayRef {
    std::sync::Arc::new(Int64Array::from(times))
}

/// Neighbours mostly share their pane, and dividing is slow.
fn panes_of(slides: Slides, times: &[i64]) -> Vec<i64> {
    let (mut pane, mut end) = (0, i64::MIN);
    let of = |time: &i64| {
        if *time < pane || *time >= end {
            pane = slides.pane(*time);
            end = pane.saturating_add(slides.slide_ms);
        }
        pane
    };
    times.iter().map(of).collect()
}

/// Rows whose first column is not before `open`, and where no column is NULL; `None` if that is all.
fn kept(columns: &[&Int64Array], open: i64) -> Option<BooleanArray> {
    let late = columns[0].values().iter().any(|time| *time < open);
    if !late && columns.iter().all(|column| column.null_count() == 0) {
        return None;
    }
    let valid = |row: usize| columns.iter().all(|column| column.is_valid(row));
    let rows = columns[0].values().iter().enumerate();
    Some(rows.map(|(row, time)| Some(*time >= open && valid(row))).collect())
}

impl Merge {
    fn new(spec: &Spec) -> Result<Self> {
        let keys = if spec.keys.is_empty() { None } else { Some(KeyTable::new(&spec.key_types)?) };
        let single = usize::from(keys.is_none());
        let result = spec.aggregates()?;
        Ok(Merge { keys, numbers: vec![], uses: vec![0; single], places: vec![NO_GROUP; single], result })
    }

    /// Numbers the keys of groups that have no number yet.
    fn number(&mut self, table: &KeyTable, bounds: usize, new: &[u32]) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let mut numbers = vec![0; new.len()];
        if let Some(keys) = &mut self.keys {
            keys.intern(&table.keys(new)?.split_off(bounds), &mut numbers)?;
            self.uses.resize(keys.total_groups(), 0);
            self.places.resize(keys.total_groups(), NO_GROUP);
        }
        for (group, number) in new.iter().zip(numbers) {
            self.numbers[*group as usize] = number;
            self.uses[number as usize] += 1;
        }
        Ok(())
    }

    /// Forgets the numbers of groups, and keys that no group has any more.
    fn release(&mut self, groups: &[u32]) {
        let mut unused = Vec::new();
        for group in groups {
            let number = std::mem::replace(&mut self.numbers[*group as usize], NO_GROUP);
            if number != NO_GROUP {
                self.uses[number as usize] -= 1;
                if self.uses[number as usize] == 0 {
                    unused.push(number);
                }
            }
        }
        if let Some(keys) = &mut self.keys {
            keys.remove(&unused);
        }
    }

    fn bytes(&self) -> usize {
        let numbers = self.numbers.capacity() + self.uses.capacity() + self.places.capacity();
        self.keys.as_ref().map_or(0, KeyTable::bytes) + numbers * size_of::<u32>() + self.result.bytes()
    }
}

impl Pending {
    /// Keeps the rows with a positive count.
    fn retain(&mut self, counts: &[i64]) {
        let keep = |i: usize| counts[i] > 0;
        let kept = |i: &usize| keep(*i);
        let rows: Vec<usize> = (0..counts.len()).filter(kept).collect();
        self.sources = rows.iter().map(|row| self.sources[*row]).collect();
        self.starts = rows.iter().map(|row| self.starts[*row]).collect();
        self.ends = rows.iter().map(|row| self.ends[*row]).collect();
    }
}
