//! SESSION: windows of a key's rows that follow one another within a gap.
//!
//! A row alone makes a window `[time, time + gap)`; windows of a key that meet (their bounds may touch, as in Flink) are
//! one. An epoch's rows are put in the order of key and time and cut into runs; each run joins the open sessions that it
//! meets, or opens one. A run that meets no open session and whose own window had closed before the epoch is late. All
//! this depends on the set of the epoch's rows only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Result};
use fleuve_functions::aggregate::AggregateSet;
use fleuve_plan::TimeAttribute;
use fleuve_state::key_table::{KeyTable, NO_GROUP};

use super::super::keyed_state::{owned_rows, select, state_table};
use super::super::window_time::milliseconds;
use super::{Progress, Spec};
use crate::batch::Batch;
use crate::operator::{Share, StateTable};

/// The name of the saved table.
const TABLE: &str = "sessions";

/// The group that rows which do not count are added to; it is emptied again.
const DROPPED: u32 = 0;

/// Aggregates by session.
#[derive(Debug)]
pub(super) struct Sessions {
    spec: Spec,
    gap_ms: i64,
    time: TimeAttribute,
    /// Numbers of keys; `None` without keys: the number is 0.
    keys: Option<KeyTable>,
    /// By number of key: its open sessions, in the order of time.
    by_key: Vec<Vec<u32>>,
    /// By number of key: while an epoch's rows are sorted, its place among the keys that have rows.
    places: Vec<u32>,
    /// By session, which is also its group; the first is [`DROPPED`].
    sessions: Vec<Session>,
    free: Vec<u32>,
    /// Ends that sessions had when they were entered; those that have grown since are entered again when met.
    ends: BinaryHeap<Reverse<(i64, u32, u32)>>,
    set: AggregateSet,
}

#[derive(Debug, Clone, Copy, Default)]
struct Session {
    start: i64,
    end: i64,
    key: u32,
    /// How often its number was given out, so that old entries of `ends` are recognised.
    generation: u32,
}

/// The rows of an epoch by key and time.
#[derive(Debug, Default)]
struct Sorted {
    /// Numbers of the keys that have rows, and where their rows lie.
    keys: Vec<(u32, Range<usize>)>,
    /// Time, batch and row.
    rows: Vec<(i64, u32, u32)>,
}

impl Sessions {
    pub(super) fn new(spec: Spec, gap_ms: i64, time: TimeAttribute) -> Result<Self> {
        if spec.retractable {
            return Err(Error::unsupported("E203", "SESSION windows over rows that are retracted"));
        }
        if gap_ms <= 0 {
            return Err(Error::input("E204", "the gap of a session must be positive"));
        }
        let keys = if spec.keys.is_empty() { None } else { Some(KeyTable::new(&spec.key_types)?) };
        let by_key = if keys.is_none() { vec![vec![]] } else { vec![] };
        let set = spec.aggregates()?;
        let sessions = vec![Session::default()];
        let ends = BinaryHeap::new();
        Ok(Sessions { spec, gap_ms, time, keys, by_key, places: vec![], sessions, free: vec![], ends, set })
    }

    pub(super) fn apply(&mut self, progress: Progress, batches: &[Batch], output: &mut Vec<Batch>) -> Result<u64> {
        let mut late = 0;
        if !batches.is_empty() {
            let mut groups: Vec<Vec<u32>> = batches.iter().map(|batch| vec![DROPPED; batch.num_rows()]).collect();
            let sorted = self.sort(progress, batches)?;
            let mut merges = Vec::new();
            for (key, rows) in &sorted.keys {
                self.place_key(progress.before, *key, &sorted.rows[rows.clone()], &mut groups, &mut merges);
            }
            self.merge(&merges)?;
            late = self.add(batches, &groups)?;
        }
        self.fire(progress.after, output)?;
        Ok(late)
    }

    /// Puts the rows in the order of key and time. Rows of a key mostly come in order already.
    fn sort(&mut self, progress: Progress, batches: &[Batch]) -> Result<Sorted> {
        let mut numbers: Vec<Vec<u32>> = Vec::with_capacity(batches.len());
        let mut times = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut own = vec![0; if self.keys.is_some() { 0 } else { batch.num_rows() }];
            if let Some(keys) = &mut self.keys {
                keys.intern(&select(batch.columns.columns(), &self.spec.keys), &mut own)?;
            }
            numbers.push(own);
            times.push(match self.time {
                TimeAttribute::Event(column) => milliseconds(batch.column(column))?,
                TimeAttribute::Processing => Int64Array::from(vec![progress.clock_ms; batch.num_rows()]),
            });
        }
        self.by_key.resize(self.keys.as_ref().map_or(1, KeyTable::total_groups), vec![]);
        self.places.resize(self.by_key.len(), NO_GROUP);
        let mut sorted = counting_sort(&mut self.places, &numbers, &times);
        for (_, rows) in &sorted.keys {
            let rows = &mut sorted.rows[rows.clone()];
            if !rows.is_sorted_by_key(|row| row.0) {
                rows.sort_unstable();
            }
        }
        Ok(sorted)
    }

    /// Finds the session of each row of a key, whose rows are in the order of time.
    fn place_key(
        &mut self,
        before: i64,
        key: u32,
        rows: &[(i64, u32, u32)],
        groups: &mut [Vec<u32>],
        merges: &mut Vec<(u32, u32)>,
    ) {
        let gap_ms = self.gap_ms;
        for run in rows.chunk_by(|a, b| b.0 <= a.0.saturating_add(gap_ms)) {
            let (first, last) = (run[0].0, run[run.len() - 1].0);
            let session = self.session(before, key, first, last.saturating_add(gap_ms), merges);
            run.iter().for_each(|(_, batch, row)| groups[*batch as usize][*row as usize] = session);
        }
        if self.by_key[key as usize].is_empty()
            && let Some(keys) = &mut self.keys
        {
            keys.remove(&[key]);
        }
    }

    /// The session that a run of rows belongs to: those it meets, made one, or a new one, or [`DROPPED`].
    fn session(&mut self, before: i64, key: u32, start: i64, end: i64, merges: &mut Vec<(u32, u32)>) -> u32 {
        let open = &self.by_key[key as usize];
        let meets = |id: &u32| {
            let session = &self.sessions[*id as usize];
            session.start <= end && session.end >= start
        };
        let from = open.iter().position(meets).unwrap_or(open.len());
        let count = open[from..].iter().take_while(|id| meets(id)).count();
        if count == 0 {
            return if end.saturating_sub(1) <= before { DROPPED } else { self.open(key, start, end) };
        }
        let target = open[from];
        let absorbed: Vec<u32> = open[from + 1..from + count].to_vec();
        self.by_key[key as usize].drain(from + 1..from + count);
        let reached = absorbed.iter().map(|id| self.sessions[*id as usize].end).max();
        let session = &mut self.sessions[target as usize];
        session.start = session.start.min(start);
        session.end = session.end.max(end).max(reached.unwrap_or(end));
        for id in absorbed {
            merges.push((id, target));
            self.sessions[id as usize].generation += 1;
        }
        target
    }

    fn open(&mut self, key: u32, start: i64, end: i64) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(Session::default());
            self.sessions.len() as u32 - 1
        });
        let session = &mut self.sessions[id as usize];
        *session = Session { start, end, key, generation: session.generation };
        self.ends.push(Reverse((end, id, session.generation)));
        let sessions = &self.sessions;
        let open = &mut self.by_key[key as usize];
        let place = open.partition_point(|other| sessions[*other as usize].start < start);
        open.insert(place, id);
        id
    }

    /// Adds sessions to those that absorbed them. A session that absorbs is never absorbed later in the same epoch: runs
    /// come in the order of time, and the earliest session absorbs.
    fn merge(&mut self, merges: &[(u32, u32)]) -> Result<()> {
        if merges.is_empty() {
            return Ok(());
        }
        let (from, to): (Vec<u32>, Vec<u32>) = merges.iter().copied().unzip();
        let saved = self.set.save(&from)?;
        self.set.clear(&from);
        self.set.merge(&to, self.sessions.len(), &saved)?;
        self.free.extend(from);
        Ok(())
    }

    /// Adds the rows; returns how many did not count.
    fn add(&mut self, batches: &[Batch], groups: &[Vec<u32>]) -> Result<u64> {
        for (batch, groups) in batches.iter().zip(groups) {
            self.set.update(groups, self.sessions.len(), batch.columns.columns(), batch.weights.as_ref())?;
        }
        self.set.settle()?;
        let dropped = groups.iter().flatten().filter(|group| **group == DROPPED).count() as u64;
        if dropped > 0 {
            self.set.clear(&[DROPPED]);
        }
        Ok(dropped)
    }

    /// Emits sessions whose last millisecond has been reached.
    fn fire(&mut self, reached: i64, output: &mut Vec<Batch>) -> Result<()> {
        let mut closed = Vec::new();
        while let Some(Reverse((end, id, generation))) = self.ends.peek().copied() {
            if end.saturating_sub(1) > reached {
                break;
            }
            self.ends.pop();
            let session = self.sessions[id as usize];
            if session.generation != generation {
                continue;
            }
            if session.end.saturating_sub(1) > reached {
                self.ends.push(Reverse((session.end, id, generation)));
            } else {
                closed.push(id);
            }
        }
        closed.sort_by_key(|id| (self.sessions[*id as usize].end, self.sessions[*id as usize].start));
        closed.chunks(BATCH_ROWS).try_for_each(|ids| self.emit(ids, output))?;
        self.close(&closed);
        Ok(())
    }

    fn emit(&self, ids: &[u32], output: &mut Vec<Batch>) -> Result<()> {
        let sessions = || ids.iter().map(|id| &self.sessions[*id as usize]);
        let (starts, ends) = (sessions().map(|s| s.start).collect(), sessions().map(|s| s.end).collect());
        self.spec.emit(self.keys_of(ids)?, self.set.evaluate(ids)?, starts, ends, output)
    }

    fn keys_of(&self, ids: &[u32]) -> Result<Vec<ArrayRef>> {
        let Some(keys) = &self.keys else { return Ok(vec![]) };
        keys.keys(&ids.iter().map(|id| self.sessions[*id as usize].key).collect::<Vec<_>>())
    }

    fn close(&mut self, closed: &[u32]) {
        let mut gone = Vec::new();
        for id in closed {
            let session = &mut self.sessions[*id as usize];
            session.generation += 1;
            let open = &mut self.by_key[session.key as usize];
            open.retain(|other| other != id);
            if open.is_empty() {
                gone.push(session.key);
            }
        }
        if let Some(keys) = &mut self.keys {
            keys.remove(&gone);
        }
        self.set.clear(closed);
        self.free.extend(closed);
    }

    fn open_sessions(&self) -> Vec<u32> {
        self.by_key.iter().flatten().copied().collect()
    }

    pub(super) fn save(&self) -> Result<Vec<StateTable>> {
        let ids = self.open_sessions();
        let bound = |pick: fn(&Session) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| pick(&self.sessions[*id as usize]))))
        };
        let bounds = [bound(|session| session.start), bound(|session| session.end)];
        let states = bounds.into_iter().chain(self.set.save(&ids)?).collect();
        Ok(vec![state_table(TABLE, ids.len(), self.keys_of(&ids)?, states)?])
    }

    pub(super) fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        let width = self.spec.keys.len();
        let columns = width + 2 + self.set.saved_types().len();
        let Some(rows) = owned_rows(tables, TABLE, width, columns, share)? else { return Ok(()) };
        let (keys, states) = rows.columns().split_at(width);
        let bound = |i: usize| states[i].as_primitive_opt::<Int64Type>();
        let bounds = bound(0).zip(bound(1)).ok_or_else(|| Error::corrupt("stored sessions have no bounds"))?;
        let mut numbers = vec![0; rows.num_rows()];
        if let Some(table) = &mut self.keys {
            table.intern(keys, &mut numbers)?;
            self.by_key.resize(table.total_groups(), vec![]);
        }
        let bounds = bounds.0.values().iter().zip(bounds.1.values());
        let ids = numbers.iter().zip(bounds).map(|(key, (start, end))| self.open(*key, *start, *end));
        let ids: Vec<u32> = ids.collect();
        self.set.merge(&ids, self.sessions.len(), &states[2..])
    }

    /// Bytes and rows of state.
    pub(super) fn size(&self) -> (usize, usize) {
        let open = self.sessions.len() - 1 - self.free.len();
        let lists = self.by_key.capacity() * (size_of::<Vec<u32>>() + 4) + open * 4 * size_of::<u32>();
        let sessions = self.sessions.capacity() * size_of::<Session>() + self.ends.len() * size_of::<(i64, u32, u32)>();
        (self.keys.as_ref().map_or(0, KeyTable::bytes) + lists + sessions + self.set.bytes(), open)
    }
}

/// Rows by key, those of a key as they came; rows without a time are left out.
fn counting_sort(places: &mut [u32], numbers: &[Vec<u32>], times: &[Int64Array]) -> Sorted {
    let mut counts: Vec<(u32, usize)> = Vec::new();
    for (numbers, times) in numbers.iter().zip(times) {
        for (row, number) in numbers.iter().enumerate() {
            let place = &mut places[*number as usize];
            if *place == NO_GROUP {
                *place = counts.len() as u32;
                counts.push((*number, 0));
            }
            counts[*place as usize].1 += usize::from(times.is_valid(row));
        }
    }
    let mut next = 0;
    let mut ends: Vec<usize> = Vec::with_capacity(counts.len());
    let keys = counts.iter().map(|(number, count)| {
        let start = next;
        next += count;
        ends.push(start);
        (*number, start..next)
    });
    let keys: Vec<(u32, Range<usize>)> = keys.collect();
    let mut rows = vec![(0, 0, 0); next];
    for (batch, (numbers, times)) in numbers.iter().zip(times).enumerate() {
        for (row, number) in numbers.iter().enumerate().filter(|(row, _)| times.is_valid(*row)) {
            let end = &mut ends[places[*number as usize] as usize];
            rows[*end] = (times.value(row), batch as u32, row as u32);
            *end += 1;
        }
    }
    keys.iter().for_each(|(number, _)| places[*number as usize] = NO_GROUP);
    Sorted { keys, rows }
}
