//! Transactions: what is decided, what was aborted, who is fenced off.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleuve_base::fs_memory::Unsynced;
use fleuve_journal::{AbortedTransaction, Log, Partition, TopicConfig};
use fleuve_record::{Attributes, Batch, EndMarker};
use proptest::prelude::*;

use crate::support::{World, batch, builder, small_segments};

const COMMIT: EndMarker = EndMarker { commit: true, coordinator_epoch: 0 };
const ABORT: EndMarker = EndMarker { commit: false, coordinator_epoch: 0 };

pub fn data(producer: i64, epoch: i16, sequence: i32) -> Batch {
    builder(&[b"t"]).producer(producer, epoch, sequence).transactional().finish().unwrap()
}

fn aborted(producer_id: i64, first_offset: u64, last_offset: u64) -> AbortedTransaction {
    AbortedTransaction { producer_id, first_offset, last_offset }
}

#[test]
fn the_last_stable_offset_waits_for_open_transactions() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    partition.append(batch(&[b"1", b"2"])).unwrap();
    partition.append(data(1, 0, 0)).unwrap();
    partition.append(data(2, 0, 0)).unwrap();
    log.commit_now().unwrap();
    assert_eq!((partition.last_stable_offset(), partition.high_watermark()), (2, 4));
    assert_eq!(partition.producer(2).unwrap().transaction_start, Some(3));
    partition.append_marker(1, 0, COMMIT, 5).unwrap();
    assert_eq!(partition.last_stable_offset(), 2, "the marker is not durable yet");
    log.commit_now().unwrap();
    assert_eq!(partition.read(0, 10).unwrap().last_stable_offset, 3);
    let world = world.crashed(Unsynced::Lost);
    let (log, partition) = world.partition(TopicConfig::default());
    assert_eq!(partition.last_stable_offset(), 3, "known after a restart");
    partition.append_marker(2, 0, ABORT, 5).unwrap();
    log.commit_now().unwrap();
    assert_eq!(partition.last_stable_offset(), partition.high_watermark());
    assert_eq!(partition.aborted(0..9).unwrap(), [aborted(2, 3, 5)]);
}

#[test]
fn a_subscriber_that_is_woken_finds_the_last_stable_offset_moved() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let _subscription = partition.subscribe({
        let (seen, partition) = (Arc::clone(&seen), Arc::clone(&partition));
        Arc::new(move || seen.lock().unwrap().push(partition.last_stable_offset()))
    });
    partition.append(data(1, 0, 0)).unwrap();
    log.commit_now().unwrap();
    partition.append_marker(1, 0, COMMIT, 5).unwrap();
    log.commit_now().unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 2]);
}

#[test]
fn a_marker_is_a_control_batch_and_fences_older_epochs() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    partition.append(data(1, 4, 0)).unwrap();
    let marker = EndMarker { commit: true, coordinator_epoch: 7 };
    assert_eq!(partition.append_marker(1, 3, marker, 0).unwrap_err().code(), "E709");
    partition.append_marker(1, 5, marker, 0).unwrap();
    assert_eq!(partition.append_marker(1, 5, COMMIT, 0).unwrap_err().code(), "E714");
    assert_eq!(partition.append(data(1, 4, 1)).unwrap_err().code(), "E709");
    assert_eq!(partition.append(data(1, 5, 1)).unwrap_err().code(), "E708", "an epoch begins with 0");
    partition.append(data(1, 5, 0)).unwrap();
    let known = partition.producer(1).unwrap();
    assert_eq!((known.epoch, known.coordinator_epoch, known.last_sequence), (5, 7, 0));
    log.commit_now().unwrap();
    let fetched = partition.read(0, 1000).unwrap();
    let control = fetched.batches().nth(1).unwrap().unwrap();
    assert!(control.header().attributes.has(Attributes::CONTROL));
    assert_eq!(EndMarker::parse(&control), Some(marker));
    assert_eq!(partition.append_marker(-1, 0, marker, 0).unwrap_err().code(), "E713");
}

#[test]
fn clients_cannot_write_what_is_the_logs() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig::default());
    let control = builder(&[b"x"]).producer(1, 0, 0).transactional().control().finish().unwrap();
    assert_eq!(partition.append(control).unwrap_err().code(), "E713");
    let nobodys = builder(&[b"x"]).transactional().finish().unwrap();
    assert_eq!(partition.append(nobodys).unwrap_err().code(), "E713");
    let mut horizon = batch(&[b"x"]);
    horizon.stamp(-1, -1, -1, Attributes::DELETE_HORIZON, Attributes::DELETE_HORIZON);
    assert_eq!(partition.append(horizon).unwrap_err().code(), "E713");
}

#[test]
fn a_marker_without_a_transaction_decides_nothing() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    partition.append_marker(1, 0, ABORT, 0).unwrap();
    log.commit_now().unwrap();
    assert_eq!(partition.aborted(0..9).unwrap(), []);
    assert_eq!((partition.last_stable_offset(), partition.read_committed(0, 100).unwrap().next_offset), (1, 1));
}

#[test]
fn aborted_transactions_go_with_their_records_and_survive_every_stop() {
    for close in [false, true] {
        let world = World::new();
        let (log, partition) = world.partition(small_segments());
        for round in 0..30 {
            partition.append(data(round, 0, 0)).unwrap();
            partition.append(batch(&[&[0; 60]])).unwrap();
            partition.append_marker(round, 0, ABORT, 0).unwrap();
        }
        log.commit_now().unwrap();
        partition.delete_before(35).unwrap();
        if close {
            log.close().unwrap();
        }
        let (_log, partition) = world.crashed(Unsynced::Lost).partition(small_segments());
        let expected: Vec<_> = (11..30).map(|round| aborted(round, round as u64 * 3, round as u64 * 3 + 2)).collect();
        assert_eq!(partition.aborted(0..90).unwrap(), expected);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Plain,
    Data(i64),
    End(i64, bool),
    Commit,
    Close,
    Crash(Unsynced),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Plain),
        6 => (0..4_i64).prop_map(Step::Data),
        4 => (0..4_i64, any::<bool>()).prop_map(|(producer, commit)| Step::End(producer, commit)),
        3 => Just(Step::Commit),
        1 => Just(Step::Close),
        1 => Just(Step::Crash(Unsynced::Lost)),
        1 => Just(Step::Crash(Unsynced::Kept)),
        1 => any::<u64>().prop_map(|seed| Step::Crash(Unsynced::Torn(seed))),
    ]
}

/// What was written, by offset.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Written {
    Plain,
    Data(i64),
    Marker(i64, bool),
}

/// The offsets that a reader of committed records sees, and the first that is not decided.
fn committed(written: &[Written]) -> (Vec<u64>, u64) {
    let (mut seen, mut open) = (Vec::new(), BTreeMap::<i64, Vec<u64>>::new());
    for (written, offset) in written.iter().zip(0..) {
        match written {
            Written::Plain => seen.push(offset),
            Written::Data(producer) => open.entry(*producer).or_default().push(offset),
            Written::Marker(producer, commit) => {
                let offsets = open.remove(producer).unwrap_or_default();
                seen.extend(offsets.into_iter().filter(|_| *commit));
            }
        }
    }
    let stable = open.values().filter_map(|offsets| offsets.first()).min().copied().unwrap_or(written.len() as u64);
    seen.retain(|offset| *offset < stable);
    seen.sort_unstable();
    (seen, stable)
}

/// Reads as Kafka's consumers do: an aborted transaction begins at its first offset and ends at its marker.
fn read_committed(partition: &Partition) -> Vec<u64> {
    let (mut seen, mut next) = (Vec::new(), 0);
    loop {
        let fetched = partition.read_committed(next, 300).unwrap();
        if fetched.is_empty() {
            return seen;
        }
        for batch in fetched.batches() {
            let batch = batch.unwrap();
            let (header, offset) = (batch.header(), batch.header().base_offset as u64);
            let aborted = fetched.aborted.iter().any(|aborted| {
                aborted.producer_id == header.producer_id
                    && (aborted.first_offset..aborted.last_offset).contains(&offset)
            });
            let control = header.attributes.has(Attributes::CONTROL);
            if offset >= next && !control && !(header.attributes.has(Attributes::TRANSACTIONAL) && aborted) {
                seen.push(offset);
            }
        }
        next = fetched.next_offset;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn readers_see_what_was_committed_and_nothing_else(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let config = small_segments();
        let (mut log, mut partition): (Arc<Log>, Arc<Partition>) = world.partition(config);
        let (mut written, mut durable, mut stable) = (Vec::new(), 0, 0);
        for step in steps {
            match step {
                Step::Plain => {
                    partition.append(batch(&[b"plain"])).unwrap();
                    written.push(Written::Plain);
                }
                Step::Data(producer) => {
                    let sequence = partition.producer(producer).map_or(0, |known| known.last_sequence + 1);
                    partition.append(data(producer, 0, sequence)).unwrap();
                    written.push(Written::Data(producer));
                }
                Step::End(producer, commit) => {
                    partition.append_marker(producer, 0, if commit { COMMIT } else { ABORT }, 0).unwrap();
                    written.push(Written::Marker(producer, commit));
                }
                Step::Commit => {
                    log.commit_now().unwrap();
                    durable = written.len();
                }
                Step::Close => {
                    log.close().unwrap();
                    (log, partition) = world.partition(config);
                    durable = written.len();
                }
                Step::Crash(unsynced) => {
                    world = world.crashed(unsynced);
                    (log, partition) = world.partition(config);
                    durable = partition.high_watermark() as usize;
                    written.truncate(durable);
                }
            }
            let (seen, expected) = committed(&written[..durable]);
            prop_assert_eq!(partition.last_stable_offset(), expected);
            prop_assert!(expected >= stable, "never back: {} after {}", expected, stable);
            stable = expected;
            prop_assert_eq!(read_committed(&partition), seen);
        }
    }
}
