//! What readers saw on the way, against what the log holds at the end.

use std::collections::BTreeMap;

use super::book::Book;
use super::{Anomaly, Kind};
use crate::contents::{Contents, Stored};
use crate::history::{Event, Moment, Place};
use crate::value::Value;

/// What one poll brought.
struct Poll<'a> {
    index: usize,
    place: Place,
    committed: bool,
    from: i64,
    next: i64,
    records: &'a [(i64, Value)],
}

pub(super) fn check(events: &[Moment], book: &Book, contents: &Contents, out: &mut Vec<Anomaly>) {
    let mut positions: BTreeMap<(u32, Place), i64> = BTreeMap::new();
    for (index, moment) in events.iter().enumerate() {
        match &moment.event {
            Event::Seek { reader, place, offset } => _ = positions.insert((*reader, *place), *offset),
            Event::Read { reader, place, committed, records, next } => {
                let from = positions.insert((*reader, *place), *next).unwrap_or(0);
                let poll = Poll { index, place: *place, committed: *committed, from, next: *next, records };
                judge(&poll, book, contents, out);
            }
            _ => {}
        }
    }
}

fn judge(poll: &Poll<'_>, book: &Book, contents: &Contents, out: &mut Vec<Anomaly>) {
    let Poll { place, from, next, records, .. } = *poll;
    let offsets = records.iter().map(|(offset, _)| *offset);
    if !offsets.clone().is_sorted_by(|a, b| a < b) || offsets.clone().any(|offset| offset < from || offset >= next) {
        out.push(Anomaly::new(Kind::NonMonotonicPoll, format!("{place:?} from {from} to {next}: {records:?}")));
        return;
    }
    let Some(partition) = contents.partitions.get(&place) else { return };
    let expected = within(if poll.committed { &partition.committed } else { &partition.all }, from, next);
    let there: BTreeMap<i64, Option<Value>> = expected.iter().map(|stored| (stored.offset, stored.value)).collect();
    let got: BTreeMap<i64, Value> = records.iter().copied().collect();
    for (offset, value) in records {
        let at = format!("{place:?} offset {offset}");
        match there.get(offset) {
            Some(now) if *now == Some(*value) => early(poll, *value, book, &at, out),
            Some(now) => {
                out.push(Anomaly::new(Kind::InconsistentOffset, format!("{at}: was {value}, is {now:?}")));
            }
            None if poll.committed && within(&partition.all, *offset, *offset + 1).len() == 1 => {
                out.push(Anomaly::new(Kind::AbortedRead, format!("{at}: {value} was read as committed")));
            }
            None => out.push(Anomaly::new(Kind::Lost, format!("{at}: {value} was read and is gone"))),
        }
    }
    for (offset, value) in there.iter().filter(|(offset, _)| !got.contains_key(offset)) {
        out.push(Anomaly::new(Kind::Skip, format!("{place:?} offset {offset}: {value:?} was passed over")));
    }
}

/// A value must not be seen as committed before somebody asked for the commit.
fn early(poll: &Poll<'_>, value: Value, book: &Book, at: &str, out: &mut Vec<Anomaly>) {
    let transaction = book.sent(value).and_then(|sent| sent.batch.transaction);
    if let Some(transaction) = transaction
        && poll.committed
        && book.ending(value.writer, transaction).asked > poll.index
    {
        out.push(Anomaly::new(Kind::PrecommittedRead, format!("{at}: {value} of transaction {transaction}")));
    }
}

/// The records from one offset up to another.
fn within(stored: &[Stored], from: i64, to: i64) -> &[Stored] {
    let first = stored.partition_point(|stored| stored.offset < from);
    let end = stored.partition_point(|stored| stored.offset < to);
    &stored[first..end.max(first)]
}
