//! Committed offsets: what was acknowledged is there until something later replaces it; with a transaction, or not.

use std::collections::BTreeMap;

use super::book::{Book, End};
use super::{Anomaly, Kind};
use crate::contents::Contents;
use crate::history::{Event, Moment, Place};

/// A commit: when it was asked for, and when it was acknowledged, if it was.
#[derive(Debug, Clone, Copy)]
struct Commit {
    asked: usize,
    acked: Option<usize>,
    offset: i64,
}

type Key = (u32, Place);

pub(super) fn check(events: &[Moment], book: &Book, contents: &Contents, out: &mut Vec<Anomaly>) {
    let mut commits: BTreeMap<Key, Vec<Commit>> = BTreeMap::new();
    let mut in_transactions: BTreeMap<Key, Vec<(i64, End)>> = BTreeMap::new();
    let mut found = vec![];
    for (index, moment) in events.iter().enumerate() {
        match moment.event {
            Event::Committing { group, place, offset, transaction: None } => {
                commits.entry((group, place)).or_default().push(Commit { asked: index, acked: None, offset });
            }
            Event::Committing { group, place, offset, transaction: Some((writer, transaction)) } => {
                let end = book.ending(writer, transaction).end;
                in_transactions.entry((group, place)).or_default().push((offset, end));
            }
            Event::Committed { group, place, offset } => {
                let asked = commits.entry((group, place)).or_default();
                if let Some(commit) = asked.iter_mut().rfind(|c| c.offset == offset && c.acked.is_none()) {
                    commit.acked = Some(index);
                }
            }
            Event::Found { group, place, offset, asked } => found.push(((group, place), offset, asked, index)),
            _ => {}
        }
    }
    found.extend(contents.groups.iter().map(|(key, offset)| (*key, *offset, events.len(), events.len())));
    for (key, offset, asked, told) in found {
        match in_transactions.get(&key) {
            Some(all) => in_transaction(key, offset, all, out),
            None => plain(key, offset, asked..told, commits.get(&key).map_or(&[], Vec::as_slice), out),
        }
    }
}

/// The offset is one whose commit was asked for before the answer came, and that was not replaced before the question
/// was asked; −1 only if no commit had been acknowledged before.
fn plain(key: Key, offset: i64, during: std::ops::Range<usize>, commits: &[Commit], out: &mut Vec<Anomaly>) {
    let acked_before = |c: &&Commit| c.acked.is_some_and(|acked| acked < during.start);
    let last = commits.iter().filter(acked_before).map(|c| c.asked).max();
    let replaced = |c: &Commit| match (c.acked, last) {
        (Some(acked), Some(last)) => acked < last,
        // It was never answered, so it may have come through at any time until the next one was acknowledged.
        (None, Some(last)) => c.asked < last,
        (_, None) => false,
    };
    let possible = commits.iter().any(|c| c.offset == offset && c.asked <= during.end && !replaced(c));
    if !(possible || offset == -1 && last.is_none()) {
        let what = format!("group {} at {:?}: found {offset} after {last:?}", key.0, key.1);
        out.push(Anomaly::new(Kind::WrongCommit, what));
    }
}

/// The offset is that of the last transaction that was committed, or of a later one that nobody knows of.
fn in_transaction(key: Key, offset: i64, commits: &[(i64, End)], out: &mut Vec<Anomaly>) {
    let last = commits.iter().rposition(|(_, end)| *end == End::Committed);
    let possible = commits[last.unwrap_or(0)..].iter().any(|(at, end)| *at == offset && *end != End::Aborted);
    if !(possible || offset == -1 && last.is_none()) {
        let what = format!("group {} at {:?}: found {offset}, transactions {commits:?}", key.0, key.1);
        out.push(Anomaly::new(Kind::WrongCommit, what));
    }
}
