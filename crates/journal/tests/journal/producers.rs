//! Idempotent producers and transactions.

use fleuve_base::fs_memory::Unsynced;
use fleuve_journal::{AppendRules, Partition, TopicConfig};
use fleuve_record::Batch;

use crate::support::{World, builder, small_segments};

fn of(producer: i64, epoch: i16, sequence: i32) -> Batch {
    builder(&[b"1", b"2"]).producer(producer, epoch, sequence).finish().unwrap()
}

fn offsets(partition: &std::sync::Arc<Partition>, batch: Batch) -> (u64, u64, bool) {
    let appended = partition.append(batch).unwrap();
    (appended.first_offset, appended.last_offset, appended.duplicate)
}

fn code(partition: &std::sync::Arc<Partition>, batch: Batch) -> &'static str {
    partition.append(batch).unwrap_err().code()
}

#[test]
fn a_repeated_batch_is_answered_with_its_first_offsets() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    for batch in 0..6 {
        assert_eq!(offsets(&partition, of(7, 0, batch * 2)), (batch as u64 * 2, batch as u64 * 2 + 1, false));
    }
    for batch in 1..6 {
        assert_eq!(offsets(&partition, of(7, 0, batch * 2)), (batch as u64 * 2, batch as u64 * 2 + 1, true));
    }
    assert_eq!(code(&partition, of(7, 0, 0)), "E708", "only five batches are remembered");
    assert_eq!(code(&partition, of(7, 0, 14)), "E708", "a gap");
    assert_eq!(partition.log_end_offset(), 12);
    log.commit_now().unwrap();
    assert_eq!(partition.high_watermark(), 12);
}

#[test]
fn a_newer_epoch_fences_the_older_and_starts_at_zero() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig::default());
    partition.append(of(7, 0, 40)).unwrap();
    assert_eq!(code(&partition, of(7, 1, 42)), "E708");
    partition.append(of(7, 1, 0)).unwrap();
    assert_eq!(code(&partition, of(7, 0, 42)), "E709");
    assert_eq!(offsets(&partition, of(8, 0, 0)), (4, 5, false), "other producers are others");
}

#[test]
fn sequences_wrap() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig::default());
    partition.append(of(7, 0, i32::MAX - 1)).unwrap();
    assert_eq!(code(&partition, of(7, 0, 1)), "E708");
    assert_eq!(offsets(&partition, of(7, 0, 0)), (2, 3, false));
}

#[test]
fn what_producers_wrote_is_known_after_every_kind_of_stop() {
    for unsynced in [Unsynced::Lost, Unsynced::Kept] {
        for segments in [TopicConfig::default(), small_segments()] {
            for close in [false, true] {
                let world = World::new();
                let (log, partition) = world.partition(segments);
                for batch in 0..20 {
                    partition.append(of(batch % 3, 0, (batch / 3 * 2) as i32)).unwrap();
                }
                log.commit_now().unwrap();
                if close {
                    log.close().unwrap();
                }
                let (_log, partition) = world.crashed(unsynced).partition(segments);
                assert_eq!(offsets(&partition, of(1, 0, 12)), (38, 39, true));
                assert_eq!(code(&partition, of(1, 0, 16)), "E708");
                assert_eq!(offsets(&partition, of(1, 0, 14)), (40, 41, false));
            }
        }
    }
}

#[test]
fn silent_producers_are_forgotten_and_only_they() {
    let world = World::new();
    let (log, partition) = world.partition(small_segments());
    partition.append(of(1, 0, 0)).unwrap();
    let open = builder(&[b"t"]).producer(2, 0, 0).transactional().finish().unwrap();
    partition.append(open).unwrap();
    world.clock.advance(25 * 60 * 60 * 1000);
    for sequence in 0..20 {
        partition.append(of(3, 0, sequence * 2)).unwrap();
    }
    log.commit_now().unwrap();
    assert!(offsets(&partition, of(1, 0, 100)).0 > 2, "any sequence is new again");
    assert_eq!(code(&partition, of(2, 0, 100)), "E708", "an open transaction keeps its producer");
}

#[test]
fn an_unknown_producer_begins_where_the_rules_say() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig::default());
    let strict = AppendRules { unknown_producer_begins_at_zero: true };
    assert_eq!(partition.append_with(of(1, 0, 4), strict).unwrap_err().code(), "E708");
    partition.append_with(of(1, 0, 0), strict).unwrap();
    partition.append_with(of(1, 0, 2), strict).unwrap();
    partition.append(of(2, 0, 4)).unwrap();
    let known: Vec<_> = partition.producers().iter().map(|p| (p.producer_id, p.epoch, p.last_sequence)).collect();
    assert_eq!(known, [(1, 0, 3), (2, 0, 5)]);
    assert_eq!(partition.producer(2).unwrap().last_append_ms, 1_000_000);
    assert_eq!(partition.producer(3), None);
}

#[test]
fn a_batch_that_is_repeated_across_the_wrap_is_a_duplicate() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig::default());
    partition.append(of(7, 0, i32::MAX)).unwrap();
    assert_eq!(offsets(&partition, of(7, 0, i32::MAX)), (0, 1, true));
    assert_eq!(offsets(&partition, of(7, 0, 1)), (2, 3, false));
}
