//! What the log holds against what was sent: nothing lost, doubled, moved, reordered, made up.

use std::collections::{BTreeMap, HashMap};

use super::book::{Book, Sent};
use super::{Anomaly, Kind};
use crate::contents::{Contents, Partition};
use crate::history::Place;
use crate::value::Value;

pub(super) fn check(book: &Book, contents: &Contents, out: &mut Vec<Anomaly>) {
    let mut found: HashMap<Value, (Place, i64)> = HashMap::new();
    for (place, partition) in &contents.partitions {
        extents(*place, partition, out);
        values(*place, partition, book, &mut found, out);
        order(*place, partition, out);
    }
    book.batches().for_each(|sent| batch(sent, &found, out));
}

/// Offsets are dense: each batch begins where the one before ended.
fn extents(place: Place, partition: &Partition, out: &mut Vec<Anomaly>) {
    let mut next = 0;
    for extent in &partition.extents {
        if extent.first != next || extent.last < extent.first {
            out.push(Anomaly::new(Kind::Gap, format!("{place:?}: {extent:?} where {next} should follow")));
        }
        next = extent.last + 1;
    }
}

fn values(
    place: Place,
    partition: &Partition,
    book: &Book,
    found: &mut HashMap<Value, (Place, i64)>,
    out: &mut Vec<Anomaly>,
) {
    for stored in &partition.all {
        let at = format!("{place:?} offset {}", stored.offset);
        let Some((value, sent)) = stored.value.and_then(|value| Some((value, book.sent(value)?))) else {
            out.push(Anomaly::new(Kind::Foreign, format!("{at}: nobody wrote {:?}", stored.value)));
            continue;
        };
        if let Some((_, before)) = found.insert(value, (place, stored.offset)) {
            out.push(Anomaly::new(Kind::Duplicate, format!("{at}: {value}, which is at {before}, too")));
        }
        if sent.batch.place != place {
            out.push(Anomaly::new(Kind::Foreign, format!("{at}: {value}, which was sent to {:?}", sent.batch.place)));
        }
        if sent.refused {
            out.push(Anomaly::new(Kind::Refused, format!("{at}: {value} of {:?}", sent.batch)));
        }
    }
}

/// A writer's values lie in the order in which it sent them.
fn order(place: Place, partition: &Partition, out: &mut Vec<Anomaly>) {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for value in partition.all.iter().filter_map(|stored| stored.value) {
        if let Some(before) = last.insert(value.writer, value.number)
            && before > value.number
        {
            out.push(Anomaly::new(Kind::Reordered, format!("{place:?}: {value} behind number {before}")));
        }
    }
}

/// An acknowledged batch is there, at the offset that was told; any batch is there whole or not at all.
fn batch(sent: &Sent, found: &HashMap<Value, (Place, i64)>, out: &mut Vec<Anomaly>) {
    let offsets: Vec<Option<i64>> = sent.batch.values().map(|value| found.get(&value).map(|(_, at)| *at)).collect();
    let missing = offsets.iter().filter(|offset| offset.is_none()).count();
    if missing > 0 && sent.acked.is_some() {
        out.push(Anomaly::new(Kind::Lost, format!("{missing} values of {sent:?}")));
    } else if missing > 0 && missing < offsets.len() {
        out.push(Anomaly::new(Kind::Lost, format!("{missing} values of {sent:?}, of which the others are there")));
    }
    let told = sent.acked.filter(|base| *base >= 0);
    let first = offsets.first().copied().flatten();
    if let (Some(told), Some(first)) = (told, first)
        && told != first
    {
        out.push(Anomaly::new(
            Kind::InconsistentOffset,
            format!("{:?}: acknowledged at {told}, lies at {first}", sent.batch),
        ));
    }
}
