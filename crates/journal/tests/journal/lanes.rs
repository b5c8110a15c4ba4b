//! Pipelines' lanes: whole epochs, each once, whatever happens.

use fleuve_base::fs_memory::{Call, Unsynced};
use fleuve_journal::{EPOCH_END, TopicConfig};
use fleuve_record::{Attributes, Batch};

use crate::support::{World, batch, read_all, small_segments};

const LANE: i64 = -4_611_686_018_427_387_905;

fn epoch_batches(epoch: u64, count: usize) -> Vec<Batch> {
    (0..count).map(|part| batch(&[format!("{epoch}.{part}").as_bytes()])).collect()
}

#[test]
fn an_epoch_is_written_once() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    assert_eq!(partition.last_epoch(LANE), None);
    assert!(partition.append_epoch(LANE, 0, Vec::new()).unwrap().is_none());
    assert_eq!(partition.last_epoch(LANE), None, "an empty epoch leaves no trace");
    let appended = partition.append_epoch(LANE, 0, epoch_batches(0, 3)).unwrap().unwrap();
    assert_eq!((appended.first_offset, appended.last_offset), (0, 2));
    assert!(partition.append_epoch(LANE, 0, epoch_batches(0, 3)).unwrap().is_none());
    assert!(partition.append_epoch(LANE, 5, epoch_batches(5, 1)).unwrap().is_some());
    assert!(partition.append_epoch(LANE, 4, epoch_batches(4, 1)).unwrap().is_none());
    assert!(partition.append_epoch(LANE + 1, 4, epoch_batches(4, 1)).unwrap().is_some(), "lanes do not share");
    assert!(!partition.ticket().is_durable());
    log.commit_now().unwrap();
    assert!(partition.ticket().is_durable());
    assert_eq!((partition.last_epoch(LANE), partition.last_epoch(LANE + 1)), (Some(5), Some(4)));
    let marks: Vec<_> = partition
        .read(0, 1 << 20)
        .unwrap()
        .batches()
        .map(|batch| batch.unwrap().header().attributes.has(Attributes::EPOCH_CONTINUES))
        .collect();
    assert_eq!(marks, [true, true, false, false, false]);
    let error = partition.append_epoch(LANE, EPOCH_END, epoch_batches(0, 1)).unwrap_err();
    assert_eq!(error.code(), "E710");
    assert!(partition.append_epoch(LANE, EPOCH_END - 1, epoch_batches(0, 1)).unwrap().is_some());
    assert_eq!(partition.last_epoch(LANE), Some(EPOCH_END - 1));
}

#[test]
fn the_last_epoch_outlives_its_records() {
    let config = TopicConfig { retention_bytes: Some(0), ..small_segments() };
    for close in [false, true] {
        let world = World::new();
        let (log, partition) = world.partition(config);
        partition.append_epoch(LANE, 77, epoch_batches(77, 2)).unwrap();
        for filler in 0..50_u64 {
            partition.append(batch(&[&filler.to_le_bytes(), &[0; 100]])).unwrap();
        }
        log.commit_now().unwrap();
        world.clock.advance(i64::from(u32::MAX) * 100);
        assert!(log.apply_retention().unwrap().segments > 0);
        assert!(partition.log_start_offset() > 2);
        if close {
            log.close().unwrap();
        }
        let (_log, partition) = world.crashed(Unsynced::Lost).partition(config);
        assert_eq!(partition.last_epoch(LANE), Some(77));
        assert!(partition.append_epoch(LANE, 77, epoch_batches(77, 2)).unwrap().is_none());
    }
}

/// Crash point C7: whichever part of an epoch reached the disk, after recovery it is there whole or not at all.
#[test]
fn a_torn_epoch_is_cut_whole() {
    for failing_write in 1..=4 {
        for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Torn(failing_write)] {
            let world = World::new();
            let (log, partition) = world.partition(TopicConfig::default());
            partition.append_epoch(LANE, 1, epoch_batches(1, 2)).unwrap().unwrap().ticket.wait().unwrap();
            world.fs.fail(Call::Write, failing_write, std::io::ErrorKind::StorageFull);
            let written = partition.append_epoch(LANE, 2, epoch_batches(2, 3));
            assert_eq!(written.is_err(), failing_write <= 3);
            drop(log);
            let (log, partition) = world.crashed(unsynced).partition(TopicConfig::default());
            let records = read_all(&partition).len();
            assert_eq!(records, if partition.last_epoch(LANE) == Some(2) { 5 } else { 2 });
            assert!(log.recovery().damage.is_empty());
            let again = partition.append_epoch(LANE, 2, epoch_batches(2, 3)).unwrap();
            assert_eq!(again.is_none(), records == 5);
            log.commit_now().unwrap();
            let values: Vec<_> =
                read_all(&partition).into_iter().map(|(_, value)| String::from_utf8(value).unwrap()).collect();
            assert_eq!(values, ["1.0", "1.1", "2.0", "2.1", "2.2"]);
        }
    }
}

#[test]
fn an_epoch_lies_in_one_segment() {
    let world = World::new();
    let (log, partition) = world.partition(small_segments());
    for epoch in 0..20 {
        partition.append_epoch(LANE, epoch, epoch_batches(epoch, 7)).unwrap().unwrap();
    }
    log.commit_now().unwrap();
    for path in world.files(".log") {
        let base: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(base % 7, 0, "{path:?}");
    }
    assert!(world.files(".log").len() > 5);
}
