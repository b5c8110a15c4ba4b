//! Transactions are visible whole or not at all, and what belongs to none always.

use std::collections::{BTreeMap, HashSet};

use super::book::{Book, End};
use super::{Anomaly, Kind};
use crate::contents::Contents;
use crate::value::Value;

/// Of a transaction's values, how many can be seen, and one that can and one that cannot.
#[derive(Default)]
struct Seen {
    visible: Option<Value>,
    hidden: Option<Value>,
}

pub(super) fn check(book: &Book, contents: &Contents, out: &mut Vec<Anomaly>) {
    let values = |partition: &crate::contents::Partition| {
        partition.committed.iter().filter_map(|stored| stored.value).collect::<Vec<_>>()
    };
    let visible: HashSet<Value> = contents.partitions.values().flat_map(values).collect();
    let mut transactions: BTreeMap<(u32, u64), Seen> = BTreeMap::new();
    for sent in book.batches() {
        let acked = sent.acked.is_some();
        for value in sent.batch.values() {
            match sent.batch.transaction {
                Some(transaction) => {
                    let seen = transactions.entry((value.writer, transaction)).or_default();
                    match visible.contains(&value) {
                        true => seen.visible = Some(value),
                        false if acked => seen.hidden = Some(value),
                        false => {}
                    }
                }
                None if acked && !visible.contains(&value) => {
                    out.push(Anomaly::new(Kind::Unseen, format!("{value}, which belongs to no transaction")));
                }
                None => {}
            }
        }
    }
    transactions.iter().for_each(|(key, seen)| judge(*key, seen, book, out));
}

fn judge(key: (u32, u64), seen: &Seen, book: &Book, out: &mut Vec<Anomaly>) {
    let (writer, transaction) = key;
    let name = format!("transaction {transaction} of writer {writer}");
    match (book.ending(writer, transaction).end, seen.visible, seen.hidden) {
        (End::Committed, _, Some(hidden)) => {
            out.push(Anomaly::new(Kind::Unseen, format!("{hidden} of the committed {name}")));
        }
        (End::Aborted, Some(visible), _) => {
            out.push(Anomaly::new(Kind::AbortedRead, format!("{visible} of the aborted {name}")));
        }
        (End::Unknown, Some(visible), Some(hidden)) => {
            out.push(Anomaly::new(Kind::TornTransaction, format!("{visible} is visible, {hidden} is not, of {name}")));
        }
        _ => {}
    }
}
