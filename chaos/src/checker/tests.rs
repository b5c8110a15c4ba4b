//! Each kind of anomaly is found in a history that has it, and a right history has none.

use std::time::Duration;

use super::*;
use crate::contents::{Extent, Partition, Stored};
use crate::history::{Batch, Place};
use crate::value::Value;

const PLACE: Place = Place { topic: 0, partition: 0 };

fn value(number: u64) -> Value {
    Value { writer: 1, number }
}

fn send(first: u64, transaction: Option<u64>) -> Event {
    Event::Send(Batch { writer: 1, place: PLACE, first, count: 1, transaction })
}

fn acked(first: u64, base_offset: i64) -> Event {
    Event::Acked { writer: 1, first, base_offset }
}

fn read(committed: bool, records: &[(i64, u64)], next: i64) -> Event {
    let records = records.iter().map(|(offset, number)| (*offset, value(*number))).collect();
    Event::Read { reader: 7, place: PLACE, committed, records, next }
}

fn ending(commit: bool) -> Event {
    Event::Ending { writer: 1, transaction: 5, commit }
}

fn ended(commit: bool) -> Event {
    Event::Ended { writer: 1, transaction: 5, commit }
}

/// A log of these numbers, one batch each; `committed` are the offsets that are visible.
fn log(numbers: &[u64], committed: &[i64]) -> Contents {
    let extents = (0..numbers.len() as i64).map(|at| Extent { first: at, last: at }).collect();
    let all: Vec<Stored> = numbers
        .iter()
        .enumerate()
        .map(|(at, number)| Stored { offset: at as i64, value: Some(value(*number)) })
        .collect();
    let visible = all.iter().copied().filter(|stored| committed.contains(&stored.offset)).collect();
    let partition = Partition { extents, all, committed: visible };
    Contents { partitions: [(PLACE, partition)].into(), ..Contents::default() }
}

fn kinds(events: Vec<Event>, contents: &Contents) -> Vec<Kind> {
    let events: Vec<Moment> = events.into_iter().map(|event| Moment { at: Duration::ZERO, event }).collect();
    check(&events, contents).into_iter().map(|anomaly| anomaly.kind).collect()
}

#[test]
fn a_right_history_has_no_anomalies() {
    let events = vec![send(0, None), acked(0, 0), send(1, None), read(false, &[(0, 0)], 1), read(false, &[(1, 1)], 2)];
    assert_eq!(kinds(events, &log(&[0, 1], &[0, 1])), []);
}

#[test]
fn what_was_not_answered_may_be_there_or_not() {
    assert_eq!(kinds(vec![send(0, None)], &log(&[], &[])), []);
    assert_eq!(kinds(vec![send(0, None)], &log(&[0], &[0])), []);
}

#[test]
fn lost_doubled_moved_and_refused_values_are_found() {
    let once = || vec![send(0, None), acked(0, 0)];
    assert_eq!(kinds(once(), &log(&[], &[])), [Kind::Lost, Kind::Unseen]);
    assert_eq!(kinds(once(), &log(&[0, 0], &[0, 1])), [Kind::Duplicate, Kind::InconsistentOffset]);
    assert_eq!(kinds(vec![send(0, None), acked(0, 5)], &log(&[0], &[0])), [Kind::InconsistentOffset]);
    let refused = Event::Refused { writer: 1, first: 0 };
    assert_eq!(kinds(vec![send(0, None), refused], &log(&[0], &[0])), [Kind::Refused]);
}

#[test]
fn reordered_and_foreign_values_and_gaps_are_found() {
    let events = vec![send(0, None), send(1, None)];
    assert_eq!(kinds(events, &log(&[1, 0], &[0, 1])), [Kind::Reordered]);
    assert_eq!(kinds(vec![], &log(&[0], &[0])), [Kind::Foreign]);
    let mut gap = log(&[0], &[0]);
    gap.partitions.entry(PLACE).or_default().extents[0] = Extent { first: 1, last: 1 };
    assert_eq!(kinds(vec![send(0, None)], &gap), [Kind::Gap]);
}

#[test]
fn readers_that_skip_go_back_or_saw_something_else_are_found() {
    let sent = |read| vec![send(0, None), send(1, None), read];
    let contents = log(&[0, 1], &[0, 1]);
    assert_eq!(kinds(sent(read(false, &[(1, 1)], 2)), &contents), [Kind::Skip]);
    assert_eq!(kinds(sent(read(false, &[(1, 1), (0, 0)], 2)), &contents), [Kind::NonMonotonicPoll]);
    assert_eq!(kinds(sent(read(false, &[(0, 1)], 1)), &contents), [Kind::InconsistentOffset]);
    assert_eq!(kinds(sent(read(false, &[(0, 0)], 1)), &log(&[], &[])), [Kind::Lost]);
}

#[test]
fn transactions_are_visible_whole_after_their_commit_or_never() {
    let two = || vec![send(0, Some(5)), acked(0, 0), send(1, Some(5)), acked(1, 1)];
    let with = |more: &[Event]| [two(), more.to_vec()].concat();
    assert_eq!(kinds(with(&[ending(true), ended(true)]), &log(&[0, 1], &[0, 1])), []);
    assert_eq!(kinds(with(&[ending(true), ended(true)]), &log(&[0, 1], &[0])), [Kind::Unseen]);
    assert_eq!(kinds(with(&[ending(true)]), &log(&[0, 1], &[0])), [Kind::TornTransaction]);
    assert_eq!(kinds(with(&[ending(true)]), &log(&[0, 1], &[])), []);
    assert_eq!(kinds(with(&[ending(false), ended(false)]), &log(&[0, 1], &[0])), [Kind::AbortedRead]);
    assert_eq!(kinds(two(), &log(&[0, 1], &[1])), [Kind::AbortedRead]);
    let early = with(&[read(true, &[(0, 0), (1, 1)], 2), ending(true), ended(true)]);
    assert_eq!(kinds(early, &log(&[0, 1], &[0, 1])), [Kind::PrecommittedRead, Kind::PrecommittedRead]);
    let aborted = with(&[read(true, &[(0, 0)], 1)]);
    assert_eq!(kinds(aborted, &log(&[0, 1], &[])), [Kind::AbortedRead]);
}

#[test]
fn a_group_has_the_offset_that_was_committed_last() {
    let committing = |offset| Event::Committing { group: 2, place: PLACE, offset, transaction: None };
    let committed = |offset| Event::Committed { group: 2, place: PLACE, offset };
    let holds = |offset| Contents { groups: [((2, PLACE), offset)].into(), ..Contents::default() };
    let history = || vec![committing(1), committed(1), committing(2), committed(2), committing(3)];
    assert_eq!(kinds(history(), &holds(2)), []);
    assert_eq!(kinds(history(), &holds(3)), []);
    assert_eq!(kinds(history(), &holds(1)), [Kind::WrongCommit]);
    assert_eq!(kinds(history(), &holds(-1)), [Kind::WrongCommit]);
    assert_eq!(kinds(vec![], &holds(-1)), []);
}

#[test]
fn an_offset_goes_with_its_transaction() {
    let committing = Event::Committing { group: 2, place: PLACE, offset: 5, transaction: Some((1, 5)) };
    let holds = |offset| Contents { groups: [((2, PLACE), offset)].into(), ..Contents::default() };
    let history = |commit| vec![committing.clone(), ending(commit), ended(commit)];
    assert_eq!(kinds(history(true), &holds(5)), []);
    assert_eq!(kinds(history(true), &holds(-1)), [Kind::WrongCommit]);
    assert_eq!(kinds(history(false), &holds(5)), [Kind::WrongCommit]);
    assert_eq!(kinds(history(false), &holds(-1)), []);
}
