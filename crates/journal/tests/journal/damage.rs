//! Flipped bytes and cut files: never a wrong record, never a silent loss.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleuve_base::fs_memory::Unsynced;
use fleuve_base::{ErrorKind, Fs, Place};
use fleuve_journal::{Log, Partition, TopicConfig};

use crate::support::{TOPIC, World, batch_of, read_all, read_one, small_segments, value};

/// Records of the log under test, in batches of three, over several segments.
const RECORDS: u64 = 60;
const BATCH: u64 = 3;

fn written(config: TopicConfig, close: bool) -> World {
    let world = World::new();
    let (log, partition) = world.partition(config);
    for start in (0..RECORDS).step_by(BATCH as usize) {
        partition.append(batch_of(start, start + BATCH)).unwrap();
        log.commit_now().unwrap();
    }
    if close {
        log.close().unwrap();
    }
    world.crashed(Unsynced::Kept)
}

/// Reads every offset by itself; every answer is right or an error that names the place.
fn unreadable(partition: &Partition) -> Vec<u64> {
    let mut unreadable = Vec::new();
    for offset in 0..RECORDS {
        match read_one(partition, offset) {
            Ok(found) => assert_eq!(found, value(offset), "a wrong record was served"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert_eq!(
                    error.place(),
                    Some(&Place::Record { topic: TOPIC.into(), partition: 0, offset }),
                    "{error}"
                );
                unreadable.push(offset);
            }
        }
    }
    unreadable
}

fn open(world: &World) -> (Arc<Log>, Arc<Partition>) {
    let log = world.open().unwrap();
    let partition = Arc::clone(log.topic(TOPIC).unwrap().partition(0).unwrap());
    (log, partition)
}

fn length(world: &World, path: &Path) -> u64 {
    world.fs.open(path, false).unwrap().len().unwrap()
}

#[test]
fn every_flipped_byte_of_a_segment_costs_one_batch_and_no_more() {
    for config in [small_segments(), TopicConfig::default()] {
        for close in [true, false] {
            let world = written(config, close);
            for path in world.files(".log") {
                for position in 0..length(&world, &path) {
                    let world = world.crashed(Unsynced::Kept);
                    world.fs.flip(&path, position, 1 << (position % 8));
                    let (_log, partition) = open(&world);
                    assert_eq!(partition.log_end_offset(), RECORDS, "{path:?} byte {position}: cut silently");
                    let lost = unreadable(&partition);
                    assert_eq!(lost.len() as u64, BATCH, "{path:?} byte {position}: {lost:?}");
                    assert_eq!(lost[0] % BATCH, 0);
                }
            }
        }
    }
}

#[test]
fn a_byte_that_flips_while_the_log_is_open_is_noticed_too() {
    let world = written(small_segments(), true);
    for path in world.files(".log") {
        let (_log, partition) = open(&world);
        assert!(unreadable(&partition).is_empty());
        for position in (0..length(&world, &path)).step_by(7) {
            world.fs.flip(&path, position, 0x40);
            assert_eq!(unreadable(&partition).len() as u64, BATCH, "{path:?} byte {position}");
            world.fs.flip(&path, position, 0x40);
        }
    }
}

#[test]
fn every_flipped_byte_of_every_other_file_is_harmless_or_named() {
    for close in [true, false] {
        let world = written(small_segments(), close);
        let topic = Path::new(crate::support::DIR).join("topics").join(TOPIC);
        let aids = ["index", "timeindex", "snapshot", "checkpoint"].iter().flat_map(|ending| world.files(ending));
        let metadata = [topic.join("topic.json"), Path::new(crate::support::DIR).join("format")];
        for path in aids.chain(metadata) {
            for position in 0..length(&world, &path) {
                let world = world.crashed(Unsynced::Kept);
                world.fs.flip(&path, position, 0x04);
                let what = format!("{path:?} byte {position}");
                match world.open() {
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Conflict), "{what}: {error}");
                        assert!(error.message().contains("data"), "{what}: {error}");
                    }
                    Ok(log) => {
                        let topic = log.topic(TOPIC).unwrap();
                        assert!(unreadable(topic.partition(0).unwrap()).is_empty(), "{what}");
                        assert_eq!(topic.partition(0).unwrap().offset_for_time(0).unwrap(), Some(0), "{what}");
                    }
                }
            }
        }
    }
}

/// Two committed batches, then two that were written but never synced; the file, and the position after each.
fn with_unsynced_tail() -> (World, PathBuf, [u64; 4]) {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    let path = world.files(".log").remove(0);
    let mut ends = [0; 4];
    for (index, start) in [0, 3, 6, 9].into_iter().enumerate() {
        if start == 6 {
            log.commit_now().unwrap();
        }
        partition.append(batch_of(start, start + 3)).unwrap();
        ends[index] = length(&world, &path);
    }
    (world.crashed(Unsynced::Kept), path, ends)
}

/// The file is right up to `right`, and has `bytes` bytes: it is cut at the last whole batch before `right`.
fn check_tail(world: &World, ends: &[u64], right: u64, bytes: u64, what: &str) {
    let whole = ends.iter().filter(|end| **end <= right).count();
    let (expected, kept) = (whole as u64 * 3, ends[whole - 1]);
    let (log, partition) = open(world);
    assert_eq!(partition.high_watermark(), expected, "{what}");
    assert_eq!(log.recovery().cuts.iter().map(|cut| cut.bytes).sum::<u64>(), bytes - kept, "{what}");
    assert_eq!(read_all(&partition), (0..expected).map(|o| (o, value(o))).collect::<Vec<_>>(), "{what}");
    partition.append(batch_of(expected, expected + 1)).unwrap().ticket.wait().unwrap();
    assert_eq!(read_one(&partition, expected).unwrap(), value(expected));
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_batch_wherever_it_tore() {
    let (world, path, ends) = with_unsynced_tail();
    let [_, durable, _, end] = ends;
    let original = fleuve_base::fs::read(&world.fs, &path).unwrap();
    for cut in durable..=end {
        let torn = world.crashed(Unsynced::Kept);
        torn.fs.open(&path, false).unwrap().set_len(cut).unwrap();
        check_tail(&torn, &ends, cut, cut, &format!("cut at {cut}"));
        // The same tear, but the file system had made room already: zeros follow, or what was there before.
        for filler in [0, 0xa5] {
            let torn = world.crashed(Unsynced::Kept);
            torn.fs.open(&path, false).unwrap().write_at(&vec![filler; (end - cut) as usize], cut).unwrap();
            let same = original[cut as usize..].iter().take_while(|byte| **byte == filler).count() as u64;
            check_tail(&torn, &ends, cut + same, end, &format!("{filler:#x} from {cut}"));
        }
    }
}

#[test]
fn unsynced_batches_that_reached_the_disk_out_of_order_are_cut_and_kept_aside() {
    let (world, path, ends) = with_unsynced_tail();
    world.fs.flip(&path, ends[1] + 70, 1);
    let (log, partition) = open(&world);
    assert_eq!(partition.high_watermark(), 6);
    let kept = log.recovery().cuts[0].kept_in.clone().expect("whole batches were behind the cut");
    assert_eq!(length(&world, &kept), log.recovery().cuts[0].bytes);
}

#[test]
fn acknowledged_records_that_are_missing_are_reported_not_forgotten() {
    let (world, path, ends) = with_unsynced_tail();
    for cut in 0..ends[1] {
        let world = world.crashed(Unsynced::Kept);
        world.fs.open(&path, false).unwrap().set_len(cut).unwrap();
        let (log, partition) = open(&world);
        assert_eq!(partition.log_end_offset(), 6, "cut at {cut}");
        let whole = if cut >= ends[0] { 3 } else { 0 };
        assert_eq!(log.recovery().damage[0].1.offsets, whole..6, "cut at {cut}");
        for offset in 0..6 {
            assert_eq!(read_one(&partition, offset).is_ok(), offset < whole, "cut at {cut}");
        }
        let error = partition.append(batch_of(6, 7)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().starts_with("orders/0: stored records are damaged"), "{error}");
    }
}

#[test]
fn truncation_of_every_file_at_every_length_is_noticed() {
    for close in [true, false] {
        let world = written(small_segments(), close);
        for path in world.files("") {
            for cut in 0..length(&world, &path) {
                let world = world.crashed(Unsynced::Kept);
                world.fs.open(&path, false).unwrap().set_len(cut).unwrap();
                let (_log, partition) = open(&world);
                assert_eq!(partition.log_end_offset(), RECORDS, "{path:?} cut at {cut}");
                let lost = unreadable(&partition).len();
                assert_eq!(lost > 0, path.extension().is_some_and(|e| e == "log"), "{path:?} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_missing_file_is_noticed() {
    for close in [true, false] {
        let world = written(small_segments(), close);
        for path in world.files("") {
            let world = world.crashed(Unsynced::Kept);
            world.fs.remove_file(&path).unwrap();
            let (log, partition) = open(&world);
            assert_eq!(partition.log_end_offset(), RECORDS, "{path:?}");
            let lost = unreadable(&partition).len();
            assert_eq!(lost > 0, path.extension().is_some_and(|e| e == "log"), "{path:?}: {:?}", log.recovery());
        }
    }
}

#[test]
fn a_zeroed_page_costs_the_batches_in_it() {
    let world = written(TopicConfig { segment_bytes: 1 << 20, ..TopicConfig::default() }, true);
    let path = world.files(".log").remove(0);
    let bytes = length(&world, &path);
    for start in (0..bytes).step_by(97) {
        let world = world.crashed(Unsynced::Kept);
        let page = vec![0; (bytes - start).min(400) as usize];
        world.fs.open(&path, false).unwrap().write_at(&page, start).unwrap();
        let (_log, partition) = open(&world);
        let lost = unreadable(&partition);
        assert!(!lost.is_empty() && lost.len() as u64 <= BATCH * 4, "zeros at {start}: {lost:?}");
        assert!(lost.windows(2).all(|pair| pair[0] + 1 == pair[1]), "one gap only");
        // Reading from the start serves what is before the damage, then says so.
        let mut next = 0;
        let error = loop {
            match partition.read(next, 200) {
                Ok(fetched) => next = fetched.next_offset,
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), next), (ErrorKind::Corrupt, lost[0]));
    }
}
