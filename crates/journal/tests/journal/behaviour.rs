//! Topics, appends, reads, waiting, closing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleuve_base::fs_memory::{Call, Unsynced};
use fleuve_base::{Env, ErrorKind, Fs};
use fleuve_journal::{CommitMode, Durability, Log, LogOptions, SEGMENT_BYTES, TopicConfig};
use fleuve_record::{Attributes, BatchBuilder};

use crate::support::{DIR, TOPIC, World, batch, batch_of, read_all, read_one, small_segments, value};

#[test]
fn a_record_can_be_read_once_it_is_durable_and_not_before() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    let appended = partition.append(batch(&[b"a", b"b"])).unwrap();
    assert_eq!((appended.first_offset, appended.last_offset, appended.duplicate), (0, 1, false));
    assert_eq!((partition.high_watermark(), partition.log_end_offset()), (0, 2));
    assert!(!appended.ticket.is_durable() && partition.read(0, 100).unwrap().is_empty());
    log.commit_now().unwrap();
    assert!(appended.ticket.is_durable());
    assert_eq!(read_all(&partition), [(0, b"a".to_vec()), (1, b"b".to_vec())]);
}

#[test]
fn one_sync_serves_all_appends_of_a_round() {
    let world = World::new();
    let log = world.open().unwrap();
    let topic = log.create_topic("t", 3, TopicConfig::default()).unwrap();
    let tickets: Vec<_> =
        (0..30).map(|i| topic.partition(i % 3).unwrap().append(batch(&[b"x"])).unwrap().ticket).collect();
    let before = world.fs.calls(Call::Sync);
    log.commit_now().unwrap();
    assert_eq!(world.fs.calls(Call::Sync) - before, 3, "one sync per partition that was written to");
    assert!(tickets.iter().all(|ticket| ticket.is_durable()));
}

#[test]
fn an_append_costs_one_write_and_no_read() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig::default());
    partition.append(batch(&[b"the first one opens the file"])).unwrap();
    let calls = |call| world.fs.calls(call);
    let before = (world.fs.changes(), calls(Call::Read), calls(Call::Open));
    partition.append(batch(&[&[7; 1 << 20]])).unwrap();
    assert_eq!((world.fs.changes() - before.0, calls(Call::Read), calls(Call::Open)), (1, before.1, before.2));
}

#[test]
fn reads_give_whole_batches_within_the_limit_and_at_least_one() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    for start in [0, 10, 20] {
        partition.append(batch_of(start, start + 10)).unwrap();
    }
    log.commit_now().unwrap();
    let one = partition.read(13, 1).unwrap();
    assert_eq!((one.batches().count(), one.next_offset), (1, 20));
    assert_eq!(one.batches().next().unwrap().unwrap().header().base_offset, 10);
    let two = partition.read(13, one.bytes.len() * 3).unwrap();
    assert_eq!((two.batches().count(), two.next_offset), (2, 30));
    assert!(partition.read(30, 1).unwrap().is_empty());
    assert_eq!(partition.read(31, 1).unwrap_err().code(), "E706");
}

#[test]
fn segments_are_sealed_when_full_and_read_across() {
    let world = World::new();
    let (log, partition) = world.partition(small_segments());
    for offset in 0..100 {
        partition.append(batch_of(offset, offset + 1)).unwrap();
    }
    log.commit_now().unwrap();
    assert!(world.files(".log").len() > 5);
    let all: Vec<_> = (0..100).map(|offset| (offset, value(offset))).collect();
    assert_eq!(read_all(&partition), all);
    for offset in 0..100 {
        assert_eq!(read_one(&partition, offset).unwrap(), value(offset));
    }
    log.close().unwrap();
    assert_eq!(read_all(&partition), all, "reads go on after closing");
    let (log, partition) = world.partition(small_segments());
    assert_eq!(log.recovery().scanned_bytes, 0, "a clean start reads no records");
    assert_eq!(read_all(&partition), all);
}

#[test]
fn large_batches_are_found_by_the_sparse_index() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    for (offset, bytes) in [100_000, 10, 10, 20_000, 1 << 20, 10, 15_000, 2_000, 10].into_iter().enumerate() {
        partition.append(batch(&[&vec![offset as u8; bytes]])).unwrap();
    }
    log.commit_now().unwrap();
    for offset in 0..9 {
        assert_eq!(read_one(&partition, offset).unwrap()[0], offset as u8);
    }
}

#[test]
fn offsets_are_found_by_time() {
    let world = World::new();
    let (log, partition) = world.partition(small_segments());
    for start in (0..200).step_by(4) {
        let mut builder = BatchBuilder::new().codec(fleuve_record::Codec::Zstd);
        // Times jump back within a batch: the first record at or after a time counts, not the smallest.
        for i in [0, 3, 1, 2] {
            builder.append((start + i) * 10, None, Some(b"v"), &[]).unwrap();
        }
        partition.append(builder.finish().unwrap()).unwrap();
    }
    assert_eq!(partition.offset_for_time(0).unwrap(), None, "nothing is durable yet");
    log.commit_now().unwrap();
    for (time, offset) in
        [(-5, Some(0)), (0, Some(0)), (1, Some(1)), (30, Some(1)), (31, Some(4)), (1990, Some(197)), (1991, None)]
    {
        assert_eq!(partition.offset_for_time(time).unwrap(), offset, "time {time}");
    }
}

#[test]
fn names_and_settings_are_checked() {
    let log = World::new().open().unwrap();
    let config = TopicConfig::default();
    assert_eq!(log.create_topic("a/b", 1, config).unwrap_err().code(), "E703");
    assert_eq!(log.create_topic("t", 0, config).unwrap_err().code(), "E710");
    let wrong = TopicConfig { segment_bytes: SEGMENT_BYTES.end() + 1, ..config };
    assert_eq!(log.create_topic("t", 1, wrong).unwrap_err().code(), "E712");
    assert_eq!(log.topic("t").unwrap_err().message(), "there is no topic `t`");
    log.create_topic("t", 2, config).unwrap();
    assert_eq!(log.create_topic("t", 1, config).unwrap_err().code(), "E704");
    let error = log.topic("t").unwrap().partition(2).unwrap_err();
    assert_eq!(error.message(), "the topic `t` has 2 partitions, and no number 2");
}

#[test]
fn batches_that_break_a_rule_are_refused() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig::default());
    let mut reserved = batch(&[b"x"]);
    reserved.stamp(-1, -1, -1, Attributes::LANE, Attributes::LANE);
    assert_eq!(partition.append(reserved).unwrap_err().code(), "E713");
    let nameless = crate::support::builder(&[b"x"]).producer(5, -1, 0).finish().unwrap();
    assert_eq!(partition.append(nameless).unwrap_err().code(), "E713");
    assert_eq!(partition.log_end_offset(), 0);
}

#[test]
fn topics_survive_with_id_and_settings_and_vanish_when_deleted() {
    let world = World::new();
    let log = world.open().unwrap();
    let config = TopicConfig { retention_ms: Some(5), durability: Durability::Os, ..TopicConfig::default() };
    let id = log.create_topic("a", 3, config).unwrap().id();
    log.create_topic("b", 1, TopicConfig::default()).unwrap();
    drop(log);
    let world = world.crashed(Unsynced::Lost);
    let log = world.open().unwrap();
    let topic = log.topic("a").unwrap();
    assert_eq!((topic.id(), topic.config(), topic.partitions().len()), (id, &config, 3));
    assert_eq!((id >> 76 & 0xf, id >> 62 & 0b11), (4, 0b10), "a UUID of version 4");
    log.delete_topic("a").unwrap();
    let error = topic.partition(0).unwrap().append(batch(&[b"late"])).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("E705", Some("it was deleted")));
    assert_ne!(log.create_topic("a", 1, config).unwrap().id(), id);
    log.delete_topic("a").unwrap();
    drop(log);
    let log = world.crashed(Unsynced::Lost).open().unwrap();
    assert_eq!(log.topics().iter().map(|topic| topic.name().to_owned()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn os_durability_reveals_at_once_and_syncs_nothing() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig { durability: Durability::Os, ..TopicConfig::default() });
    let before = world.fs.calls(Call::Sync);
    let ticket = partition.append(batch(&[b"a"])).unwrap().ticket;
    assert!(ticket.is_durable());
    assert_eq!(read_all(&partition).len(), 1);
    assert_eq!(world.fs.calls(Call::Sync), before);
    let (_log, partition) = world.crashed(Unsynced::Kept).partition(TopicConfig::default());
    assert_eq!(read_all(&partition).len(), 1, "it survives the process");
}

#[test]
fn the_directory_belongs_to_one_log_at_a_time() {
    let world = World::new();
    let log = world.open().unwrap();
    let error = world.open().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("E701", ErrorKind::Conflict));
    assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
    log.close().unwrap();
    world.open().unwrap().close().unwrap();
}

#[test]
fn a_directory_of_another_format_is_left_alone() {
    let world = World::new();
    world.open().unwrap().close().unwrap();
    let file = world.fs.open(&Path::new(DIR).join("format"), false).unwrap();
    file.write_at(b"fleuve log 9\n", 0).unwrap();
    let error = world.open().unwrap_err();
    assert_eq!(error.code(), "E702");
    assert!(error.message().contains("`fleuve log 9`"));
}

#[test]
fn a_closed_log_says_so() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    let ticket = partition.append(batch(&[b"a"])).unwrap().ticket;
    log.close().unwrap();
    ticket.wait().unwrap();
    assert_eq!(partition.append(batch(&[b"b"])).unwrap_err().code(), "E711");
    assert_eq!(partition.wait_for(5, Duration::ZERO).unwrap_err().code(), "E711");
    assert_eq!(log.create_topic("t", 1, TopicConfig::default()).unwrap_err().code(), "E711");
}

fn on_disk(mode: CommitMode) -> (tempfile::TempDir, Arc<Log>) {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Env::system(), directory.path(), LogOptions { commit: mode }).unwrap();
    (directory, log)
}

#[test]
fn threads_append_wait_and_are_woken() {
    let (directory, log) = on_disk(CommitMode::Thread);
    let topic = log.create_topic(TOPIC, 1, TopicConfig::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let (woken, called) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let subscription = partition.subscribe({
        let woken = woken.clone();
        Arc::new(move || {
            woken.fetch_add(1, Ordering::Relaxed);
        })
    });
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(partition.wait_for(399, Duration::from_secs(60)).unwrap()));
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let appended = partition.append(batch(&[b"x"])).unwrap();
                    let called = called.clone();
                    appended.ticket.on_durable(Box::new(move |outcome| {
                        outcome.unwrap();
                        called.fetch_add(1, Ordering::Relaxed);
                    }));
                    appended.ticket.wait().unwrap();
                    assert!(partition.high_watermark() > appended.last_offset);
                }
            });
        }
    });
    assert!(!partition.wait_for(400, Duration::from_millis(1)).unwrap());
    drop(subscription);
    log.close().unwrap();
    assert!((1..=400).contains(&woken.load(Ordering::Relaxed)));
    assert_eq!(called.load(Ordering::Relaxed), 400);
    let again = Log::open(Env::system(), directory.path(), LogOptions::default()).unwrap();
    assert_eq!(again.recovery().scanned_bytes, 0);
    assert_eq!(read_all(again.topic(TOPIC).unwrap().partition(0).unwrap()).len(), 400);
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let (directory, log) = on_disk(CommitMode::Thread);
    let error = Log::open(Env::system(), directory.path(), LogOptions::default()).unwrap_err();
    assert!(error.message().ends_with(&format!("in use by process {}", std::process::id())), "{error}");
    drop(log);
    Log::open(Env::system(), directory.path(), LogOptions::default()).unwrap();
}

#[test]
fn a_callback_that_panics_harms_nobody_else() {
    let (_directory, log) = on_disk(CommitMode::Thread);
    let topic = log.create_topic(TOPIC, 1, TopicConfig::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let _subscription = partition.subscribe(Arc::new(|| panic!("on purpose")));
    for _ in 0..3 {
        let ticket = partition.append(batch(&[b"x"])).unwrap().ticket;
        ticket.on_durable(Box::new(|_| panic!("on purpose")));
        ticket.wait().unwrap();
    }
    log.close().unwrap();
}
