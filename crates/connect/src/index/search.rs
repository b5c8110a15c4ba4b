//! The part of an index that a query needs: from conditions on the key's columns to ranges of bytes, and to ranks.
//!
//! A range of bytes never leaves out a row that fulfils the conditions; where a text was cut, or numbers are floating-point ones, it
//! may have more. Whoever reads the rows evaluates the predicate on them.

use std::ops::Range;

use fleuve_plan::{FirstRows, IndexRead, KeyBound, KeyColumn, KeyInterval};
use fleuve_sketch::index::{Tree, key};

use super::key::{KeyShape, Part};

/// Ranges of one search; a column whose conditions would give more is left to the predicate.
const RANGES_MAX: usize = 1_024;

/// Keys from `low` on and before `high`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    low: Vec<u8>,
    high: Vec<u8>,
}

/// What a search finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Ranges of ranks, in order, none of which overlap.
    pub(super) ranks: Vec<Range<u64>>,
}

impl Found {
    /// The number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.ranks.iter().map(|range| range.end - range.start).sum()
    }
}

/// The rows that a read needs. If only the first are wanted, and the conditions decide exactly, these and those tied with the last.
pub(super) fn search(tree: &Tree, keys: &KeyShape, read: &IndexRead) -> Found {
    let (spans, exact) = spans(keys, &read.key);
    let ranks = spans.iter().map(|span| tree.rank(&span.low, 0)..tree.rank(&span.high, 0));
    let mut found = Found { ranks: ranks.filter(|range| range.start < range.end).collect() };
    if let Some(first) = read.first.filter(|_| exact) {
        // Sorting tells NaN from NaN, and puts those with a sign before all numbers.
        let has_nan = keys.is_double(0) && tree.rank(&key::of_f64(f64::NAN), 0) < tree.len();
        if !has_nan {
            found.ranks = first_ranks(tree, keys, found.ranks, &first);
        }
    }
    found
}

/// The conditions as ranges of keys, in order and apart; whether these say all that the conditions say.
fn spans(keys: &KeyShape, columns: &[KeyColumn]) -> (Vec<Span>, bool) {
    let mut prefixes = vec![vec![]];
    let mut exact = true;
    for (at, column) in columns.iter().enumerate() {
        let (mut own, mut points) = (vec![Span { low: vec![], high: vec![u8::MAX] }], false);
        for list in &column.all_of {
            let Some(listed) = list.iter().map(|interval| span(keys, at, interval)).collect::<Option<Vec<_>>>() else {
                exact = false;
                continue;
            };
            // NaN is found whatever a list of doubles says.
            exact &= !keys.is_double(at) && listed.iter().all(|(_, exact)| *exact);
            points |= list.iter().all(|interval| matches!(interval, KeyInterval::Is(_) | KeyInterval::Null));
            own = both(&own, &united(listed.into_iter().map(|(span, _)| span).chain(not_a_number(keys, at)).collect()));
        }
        if prefixes.len() * own.len() > RANGES_MAX {
            exact = false;
            break;
        }
        let joined = |prefix: &Vec<u8>, end: &Vec<u8>| [prefix.as_slice(), end.as_slice()].concat();
        let below = |prefix| own.iter().map(move |span: &Span| (prefix, span));
        if !points || at + 1 == columns.len() {
            exact &= at + 1 == columns.len();
            let spans = prefixes.iter().flat_map(below);
            let spans = spans.map(|(p, span)| Span { low: joined(p, &span.low), high: joined(p, &span.high) });
            return (spans.collect(), exact);
        }
        prefixes = prefixes.iter().flat_map(below).map(|(p, span)| joined(p, &span.low)).collect();
    }
    let whole = |prefix: Vec<u8>| Span { high: after(&prefix), low: prefix };
    (united(prefixes.into_iter().map(whole).collect()), exact)
}

/// Where NaN stands: comparisons take it for greater than all numbers, or with a sign for less, and a key does not tell.
fn not_a_number(keys: &KeyShape, column: usize) -> Option<Span> {
    let low = key::of_f64(f64::NAN);
    keys.is_double(column).then(|| Span { high: after(&low), low })
}

/// The keys of an interval of a column; none if the column cannot be compared so.
fn span(keys: &KeyShape, column: usize, interval: &KeyInterval) -> Option<(Span, bool)> {
    let bound = |bound: &KeyBound| keys.part(column, &bound.value);
    Some(match interval {
        KeyInterval::Null => (Span { low: KeyShape::null(), high: after(&KeyShape::null()) }, true),
        KeyInterval::Is(value) => {
            let Part { bytes, exact } = keys.part(column, value)?;
            (Span { high: after(&bytes), low: bytes }, exact)
        }
        KeyInterval::Prefix(text) => {
            let Part { bytes, exact } = keys.beginning(column, text)?;
            (Span { high: after(&bytes), low: bytes }, exact)
        }
        KeyInterval::Between { low, high } => {
            let (mut span, mut exact) = (Span { low: after(&KeyShape::null()), high: KeyShape::values_end() }, true);
            if let Some(end) = low {
                let part = bound(end)?;
                exact &= part.exact;
                span.low = if end.inclusive || !part.exact { part.bytes } else { after(&part.bytes) };
            }
            if let Some(end) = high {
                let part = bound(end)?;
                exact &= part.exact;
                span.high = if end.inclusive || !part.exact { after(&part.bytes) } else { part.bytes };
            }
            (span, exact)
        }
    })
}

/// The least bytes after all that begin with these.
fn after(bytes: &[u8]) -> Vec<u8> {
    let kept = bytes.iter().rposition(|byte| *byte < u8::MAX).map_or(0, |last| last + 1);
    let mut next = bytes[..kept].to_vec();
    match next.last_mut() {
        Some(last) => *last += 1,
        // No key begins with the greatest byte: its first one tells NULL from a value.
        None => next.push(u8::MAX),
    }
    next
}

/// In order, and without those that overlap. Two that touch stay two: each may be one value.
fn united(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| span.low < span.high);
    spans.sort();
    let mut apart: Vec<Span> = vec![];
    for span in spans {
        match apart.last_mut() {
            Some(last) if span.low < last.high => last.high = span.high.max(std::mem::take(&mut last.high)),
            _ => apart.push(span),
        }
    }
    apart
}

/// What lies in both lists.
fn both(left: &[Span], right: &[Span]) -> Vec<Span> {
    let common = |a: &Span| {
        let with = |b: &Span| Span { low: a.low.clone().max(b.low.clone()), high: a.high.clone().min(b.high.clone()) };
        right.iter().map(with).filter(|span| span.low < span.high).collect::<Vec<_>>()
    };
    left.iter().flat_map(common).collect()
}

/// Of these ranks the first in an order of the key's first column, and all that are tied with the last one.
fn first_ranks(tree: &Tree, keys: &KeyShape, ranks: Vec<Range<u64>>, first: &FirstRows) -> Vec<Range<u64>> {
    let nulls = tree.rank(&after(&KeyShape::null()), 0);
    let cut = |range: &Range<u64>| {
        [range.start.min(nulls)..range.end.min(nulls), range.start.max(nulls)..range.end.max(nulls)]
    };
    let [is_null, mut values] =
        [0, 1].map(|side| ranks.iter().map(|range| cut(range)[side].clone()).collect::<Vec<_>>());
    if first.descending {
        values.reverse();
    }
    let order = if first.nulls_first { [is_null, values] } else { [values, is_null] };
    let (mut left, mut taken) = (first.rows, vec![]);
    for range in order.into_iter().flatten().filter(|range| range.start < range.end) {
        let some = part_of(tree, keys, &range, left, first.descending);
        left = left.saturating_sub(some.end - some.start);
        taken.push(some);
        if left == 0 {
            break;
        }
    }
    taken.retain(|range| range.start < range.end);
    taken.sort_by_key(|range| range.start);
    taken
}

/// So many ranks from an end of a range, and those whose first column is the same as that of the last one.
fn part_of(tree: &Tree, keys: &KeyShape, range: &Range<u64>, rows: u64, from_end: bool) -> Range<u64> {
    if rows == 0 || rows >= range.end - range.start {
        return if rows == 0 { range.start..range.start } else { range.clone() };
    }
    let last = if from_end { range.end - rows } else { range.start + rows - 1 };
    let Some(tied) = tree.kth(last).map(|entry| keys.first_part(entry.key)) else { return range.clone() };
    match from_end {
        true => tree.rank(tied, 0).max(range.start)..range.end,
        false => range.start..tree.rank(&after(tied), 0).min(range.end),
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
