//! The disk is full at any moment, then it is not: what does not fit is refused and leaves no trace, all else goes on, and
//! nothing needs a restart. Only a failed sync does.

use std::io::ErrorKind;
use std::sync::Arc;

use fleuve_base::fs_memory::{Call, Unsynced};
use fleuve_base::{Error, Result};
use fleuve_journal::{Cleanup, Log, Partition, TopicConfig};
use fleuve_record::EndMarker;

use crate::support::{TOPIC, World, batch, batch_of, read_all, read_from, small_segments, value};
use crate::transactions::data;

/// A record with a value that no other test has.
fn own(number: u64) -> Vec<u8> {
    format!("{number} {}", "y".repeat((number % 90) as usize)).into_bytes()
}

/// What a partition must hold.
#[derive(Default)]
struct Model {
    values: Vec<Vec<u8>>,
    epochs: u64,
    refused: u64,
}

impl Model {
    /// Notes the outcome of an append; whatever is refused must be refused for the right reason.
    fn note<T>(&mut self, outcome: Result<T>, values: Vec<Vec<u8>>) -> bool {
        match outcome {
            Ok(_) => self.values.extend(values),
            Err(error) => {
                assert_eq!(error.code(), "E905", "{error}");
                assert!(error.hint().is_some_and(|hint| hint.contains("room")));
                self.refused += 1;
                return false;
            }
        }
        true
    }

    fn append(&mut self, partition: &Arc<Partition>, number: u64) {
        let values = vec![own(number), own(number + 1)];
        let slices: Vec<_> = values.iter().map(Vec::as_slice).collect();
        let outcome = partition.append(batch(&slices)).map(|appended| assert_eq!(appended.first_offset, self.end()));
        self.note(outcome, values);
    }

    fn append_epoch(&mut self, partition: &Arc<Partition>) {
        let values: Vec<_> = (0..3).map(|part| own(self.epochs * 3 + part)).collect();
        let parts = values.iter().map(|value| batch(&[value])).collect();
        let outcome = partition.append_epoch(7, self.epochs, parts);
        self.epochs += u64::from(self.note(outcome.map(|appended| assert!(appended.is_some())), values));
    }

    fn end(&self) -> u64 {
        self.values.len() as u64
    }

    fn check(&self, partition: &Partition, what: &str) {
        assert_eq!(partition.last_epoch(7), self.epochs.checked_sub(1), "{what}");
        let found: Vec<_> = read_all(partition).into_iter().map(|(_, value)| value).collect();
        assert_eq!(found, self.values, "{what}");
    }
}

fn work(log: &Log, partition: &Arc<Partition>, model: &mut Model, numbers: std::ops::Range<u64>) {
    for number in numbers {
        model.append(partition, number);
        model.append_epoch(partition);
        log.commit_now().unwrap();
    }
}

#[test]
fn a_crash_while_the_disk_is_full_loses_nothing() {
    let mut refused = 0;
    for room in (0..6000).step_by(37) {
        let world = World::new();
        let (log, partition) = world.partition(small_segments());
        let mut model = Model::default();
        work(&log, &partition, &mut model, 0..2);
        world.fs.set_room(Some(room));
        work(&log, &partition, &mut model, 2..12);
        refused += model.refused;
        for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Torn(room)] {
            let (_log, partition) = world.crashed(unsynced).partition(small_segments());
            let found: Vec<_> = read_all(&partition).into_iter().map(|(_, value)| value).collect();
            assert_eq!(found, model.values, "{room} {unsynced:?}");
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn writing_goes_on_without_a_restart_and_leaves_no_trace_of_what_was_refused() {
    for room in (0..6000).step_by(41) {
        let world = World::new();
        let (log, partition) = world.partition(small_segments());
        let mut model = Model::default();
        world.fs.set_room(Some(room));
        work(&log, &partition, &mut model, 0..12);
        model.check(&partition, "while it is full");
        world.fs.set_room(None);
        let refused = model.refused;
        work(&log, &partition, &mut model, 12..20);
        assert_eq!((model.refused, log.is_full(), log.failure().is_none()), (refused, false, true), "{room}");
        model.check(&partition, "when there is room again");
        log.close().unwrap();
        drop((log, partition));
        let (log, partition) = world.partition(small_segments());
        assert_eq!((log.recovery().scanned_bytes, log.recovery().cuts.len()), (0, 0));
        model.check(&partition, "after a restart");
    }
}

#[test]
fn an_idempotent_producer_and_a_transaction_go_on_where_they_were() {
    for room in (0..1500).step_by(13) {
        let world = World::new();
        let (log, partition) = world.partition(small_segments());
        let mut sequence = 0;
        world.fs.set_room(Some(room));
        let mut retried = 0;
        while sequence < 6 {
            match partition.append(data(5, 0, sequence)) {
                Ok(_) => sequence += 1,
                Err(error) => {
                    assert_eq!(error.code(), "E905");
                    retried += 1;
                    world.fs.set_room(Some(retried * 300));
                }
            }
        }
        world.fs.set_room(Some(0));
        let marker = EndMarker { commit: true, coordinator_epoch: 0 };
        let full = partition.append_marker(5, 0, marker, 0).map(drop);
        world.fs.set_room(None);
        if full.is_err() {
            assert!(partition.producer(5).unwrap().transaction_start.is_some());
            partition.append_marker(5, 0, marker, 0).unwrap();
        }
        log.commit_now().unwrap();
        assert_eq!(partition.producer(5).unwrap().transaction_start, None);
        assert_eq!((partition.last_stable_offset(), partition.high_watermark()), (7, 7));
    }
}

#[test]
fn retention_makes_room_on_a_full_disk() {
    let world = World::new();
    let log = world.open().unwrap();
    let config = TopicConfig { retention_bytes: Some(2 << 10), segment_ms: Some(1), ..small_segments() };
    let topics: Vec<_> = ["a", "b"].map(|name| log.create_topic(name, 1, config).unwrap()).into();
    let partitions: Vec<_> = topics.iter().map(|topic| topic.partition(0).unwrap()).collect();
    for round in 0..60 {
        partitions.iter().for_each(|partition| drop(partition.append(batch_of(round * 3, round * 3 + 3)).unwrap()));
    }
    log.commit_now().unwrap();
    world.clock.advance(10);
    world.fs.set_room(Some(0));
    let report = log.apply_retention().unwrap();
    assert!(report.segments > 4, "{report:?}");
    assert!(partitions.iter().all(|partition| partition.log_start_offset() > 0));
    partitions.iter().for_each(|partition| drop(partition.append(batch_of(180, 181)).unwrap()));
    log.commit_now().unwrap();
}

#[test]
fn compaction_and_topics_that_do_not_fit_are_refused_and_leave_nothing() {
    let world = World::new();
    let config = TopicConfig { cleanup: Cleanup::Compact, ..small_segments() };
    let (log, partition) = world.partition(config);
    for round in 0..40 {
        partition.append(batch_of(round * 3, round * 3 + 3)).unwrap();
    }
    log.commit_now().unwrap();
    for room in (0..1200).step_by(50) {
        world.fs.set_room(Some(room));
        for _ in 0..3 {
            let refused: Vec<Error> = log
                .create_topic("other", 2, small_segments())
                .err()
                .into_iter()
                .chain(partition.compact().err())
                .collect();
            assert!(refused.iter().all(|error| error.code() == "E905"), "{refused:?}");
            if log.topic("other").is_ok() {
                log.delete_topic("other").unwrap();
            }
        }
    }
    world.fs.set_room(None);
    assert!(log.failure().is_none());
    partition.append(batch_of(120, 121)).unwrap();
    log.create_topic("other", 2, small_segments()).unwrap();
    log.close().unwrap();
}

#[test]
fn a_full_disk_at_a_sync_or_at_cutting_back_poisons_the_log() {
    for (call, room) in [(Call::Sync, None), (Call::SetLength, Some(40))] {
        let world = World::new();
        let (log, partition) = world.partition(small_segments());
        partition.append(batch_of(0, 3)).unwrap().ticket.wait().unwrap();
        world.fs.fail(call, 1, ErrorKind::StorageFull);
        world.fs.set_room(room);
        let outcome = partition.append(batch_of(3, 6)).and_then(|appended| appended.ticket.wait());
        assert_eq!(outcome.unwrap_err().code(), "E707", "{call:?}");
        world.fs.set_room(None);
        assert_eq!((log.failure().is_some(), partition.append(batch_of(3, 6)).is_err()), (true, true));
    }
}

/// Some file systems write nothing in place: then even the checkpoint may find no room.
#[test]
fn records_whose_checkpoint_finds_no_room_are_acknowledged_when_it_does() {
    let world = World::new();
    let (log, partition) = world.partition(small_segments());
    let appended = partition.append(batch_of(0, 3)).unwrap();
    world.fs.fail(Call::Write, 1, ErrorKind::StorageFull);
    assert_eq!(appended.ticket.wait().unwrap_err().code(), "E905");
    assert_eq!((partition.high_watermark(), log.failure().is_none()), (0, true));
    log.commit_now().unwrap();
    assert!(appended.ticket.is_durable());
    assert_eq!(read_from(&partition, 0).unwrap()[2].1, value(2));
    assert_eq!(partition.id().topic, TOPIC);
}
