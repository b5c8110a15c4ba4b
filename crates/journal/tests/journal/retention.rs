//! What may go, what must stay.

use fleuve_base::fs_memory::Unsynced;
use fleuve_journal::{Cleanup, Settings, TopicConfig};

use crate::support::{TOPIC, World, batch_of, read_all, small_segments, value};

fn filled(
    config: TopicConfig,
) -> (World, std::sync::Arc<fleuve_journal::Log>, std::sync::Arc<fleuve_journal::Partition>) {
    let world = World::new();
    let (log, partition) = world.partition(config);
    for offset in 0..100 {
        partition.append(batch_of(offset, offset + 1)).unwrap();
    }
    log.commit_now().unwrap();
    (world, log, partition)
}

fn check_rest(partition: &fleuve_journal::Partition) {
    let start = partition.log_start_offset();
    assert_eq!(read_all(partition), (start..100).map(|offset| (offset, value(offset))).collect::<Vec<_>>());
    if start > 0 {
        assert_eq!(partition.read(start - 1, 1).unwrap_err().code(), "E706");
    }
}

#[test]
fn size_is_kept_above_the_limit_by_less_than_a_segment() {
    let (_world, log, partition) = filled(TopicConfig { retention_bytes: Some(3000), ..small_segments() });
    let report = log.apply_retention().unwrap();
    assert!(report.segments > 0 && report.bytes > 0);
    assert!((3000..3000 + 1024).contains(&partition.size_bytes()), "{}", partition.size_bytes());
    check_rest(&partition);
    assert_eq!(log.apply_retention().unwrap().segments, 0);
}

#[test]
fn age_counts_from_the_last_append_and_takes_the_active_segment_too() {
    let (world, log, partition) = filled(TopicConfig { retention_ms: Some(1000), ..small_segments() });
    world.clock.advance(1000);
    assert_eq!(log.apply_retention().unwrap().segments, 0);
    world.clock.advance(1);
    assert!(log.apply_retention().unwrap().segments > 0);
    assert_eq!((partition.log_start_offset(), partition.high_watermark()), (100, 100));
    let (log, partition) = world.crashed(Unsynced::Lost).partition(small_segments());
    assert_eq!((partition.log_start_offset(), partition.log_end_offset()), (100, 100), "offsets are not given twice");
    assert!(log.recovery().damage.is_empty());
}

#[test]
fn pins_stop_retention_and_truncation() {
    let (world, log, partition) = filled(TopicConfig { retention_bytes: Some(0), ..small_segments() });
    log.pin(TOPIC, 0, 40, "snapshot").unwrap();
    log.pin(TOPIC, 0, 60, "replay").unwrap();
    log.apply_retention().unwrap();
    assert!((1..=40).contains(&partition.log_start_offset()));
    assert_eq!(partition.truncate_before(90).unwrap(), 40);
    check_rest(&partition);
    assert_eq!(partition.pins(), [("replay".to_owned(), 60), ("snapshot".to_owned(), 40)]);
    assert_eq!(log.pin(TOPIC, 0, 39, "late").unwrap_err().code(), "E706");
    log.unpin(TOPIC, 0, "snapshot").unwrap();
    assert_eq!(partition.truncate_before(90).unwrap(), 60);
    log.pin(TOPIC, 0, 100, "replay").unwrap();
    assert_eq!(partition.truncate_before(90).unwrap(), 90);
    check_rest(&partition);
    let (_log, partition) = world.crashed(Unsynced::Lost).partition(small_segments());
    assert_eq!(partition.log_start_offset(), 90, "the start is durable");
    check_rest(&partition);
}

#[test]
fn records_that_are_not_durable_do_not_go() {
    let world = World::new();
    let (log, partition) = world.partition(small_segments());
    partition.append(batch_of(0, 5)).unwrap();
    assert_eq!(partition.truncate_before(5).unwrap(), 0);
    log.commit_now().unwrap();
    assert_eq!(partition.truncate_before(3).unwrap(), 3);
    assert_eq!(partition.truncate_before(1).unwrap(), 3, "never back");
}

#[test]
fn files_go_with_their_records() {
    let (world, log, partition) = filled(small_segments());
    let before = world.files("").len();
    partition.truncate_before(100).unwrap();
    assert!(world.files("").len() < before);
    assert_eq!(world.files(".log").len(), 1);
    assert!(world.files(".snapshot").len() <= 2);
    log.close().unwrap();
}

#[test]
fn deleting_records_is_exact_durable_and_refused_where_pinned() {
    let (world, log, partition) = filled(small_segments());
    assert_eq!(partition.delete_before(101).unwrap_err().code(), "E706");
    log.pin(TOPIC, 0, 40, "snapshot").unwrap();
    let error = partition.delete_before(41).unwrap_err();
    assert_eq!(error.code(), "E716");
    assert!(error.message().contains("`snapshot` still needs offset 40"), "{error}");
    assert_eq!(partition.log_start_offset(), 0, "nothing was done");
    assert_eq!(partition.delete_before(40).unwrap(), 40);
    assert_eq!(partition.delete_before(7).unwrap(), 40, "gone is gone");
    check_rest(&partition);
    let (log, partition) = world.crashed(Unsynced::Lost).partition(small_segments());
    assert_eq!(partition.log_start_offset(), 40);
    assert_eq!(partition.delete_before(100).unwrap(), 100);
    assert_eq!(partition.append(batch_of(100, 101)).unwrap().first_offset, 100);
    log.close().unwrap();
}

#[test]
fn compacted_topics_keep_what_delete_would_take() {
    let config = TopicConfig { retention_bytes: Some(0), cleanup: Cleanup::Compact, ..small_segments() };
    let (_world, log, _partition) = filled(config);
    assert_eq!(log.apply_retention().unwrap().segments, 0);
    log.alter_topic(TOPIC, TopicConfig { cleanup: Cleanup::Both, ..config }, Settings::new()).unwrap();
    assert!(log.apply_retention().unwrap().segments > 0);
}
