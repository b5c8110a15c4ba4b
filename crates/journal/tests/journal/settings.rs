//! Topics that change: settings, more partitions, ids.

use std::path::Path;

use fleuve_base::Fs;
use fleuve_base::fs_memory::{Call, Unsynced};
use fleuve_journal::{Durability, SETTINGS_BYTES_MAX, Settings, Timestamps, TopicConfig};

use crate::support::{DIR, TOPIC, World, batch, batch_of, read_all, small_segments, value};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn settings_are_kept_and_changed_durably() {
    let world = World::new();
    let log = world.open().unwrap();
    let topic = log.create_topic_with(TOPIC, 1, TopicConfig::default(), settings(&[("preallocate", "true")])).unwrap();
    assert_eq!(topic.settings()["preallocate"], "true");
    let config = TopicConfig { retention_ms: Some(9), timestamps: Timestamps::Append, ..TopicConfig::default() };
    let altered = log.alter_topic(TOPIC, config, settings(&[("flush.ms", "5")])).unwrap();
    assert_eq!((altered.id(), altered.config()), (topic.id(), &config));
    assert_eq!(topic.partition(0).unwrap().config(), config, "who holds the topic sees the partitions change");
    assert_eq!(log.topic_by_id(topic.id()).unwrap().settings(), &settings(&[("flush.ms", "5")]));
    assert_eq!(log.topic_by_id(1).unwrap_err().code(), "E705");
    let world = world.crashed(Unsynced::Lost);
    let topic = world.open().unwrap().topic(TOPIC).unwrap();
    assert_eq!((topic.config(), topic.settings()), (&config, &settings(&[("flush.ms", "5")])));
    assert_eq!(topic.partition(0).unwrap().config(), config);
}

#[test]
fn settings_that_cannot_be_change_nothing() {
    let world = World::new();
    let log = world.open().unwrap();
    let config = TopicConfig::default();
    log.create_topic(TOPIC, 1, config).unwrap();
    let wrong = TopicConfig { segment_bytes: 1, ..config };
    assert_eq!(log.alter_topic(TOPIC, wrong, Settings::new()).unwrap_err().code(), "E712");
    let wrong = TopicConfig { min_cleanable_permille: 1001, ..config };
    assert_eq!(log.alter_topic(TOPIC, wrong, Settings::new()).unwrap_err().code(), "E712");
    let large = settings(&[("x", &"y".repeat(SETTINGS_BYTES_MAX))]);
    assert_eq!(log.alter_topic(TOPIC, config, large).unwrap_err().code(), "E710");
    assert_eq!(log.alter_topic("other", config, Settings::new()).unwrap_err().code(), "E705");
    assert_eq!(log.topic(TOPIC).unwrap().config(), &config);
}

#[test]
fn a_file_of_settings_without_the_newer_ones_opens_with_their_defaults() {
    let world = World::new();
    let log = world.open().unwrap();
    log.create_topic(TOPIC, 1, TopicConfig::default()).unwrap();
    log.close().unwrap();
    let json = r#"{"version":1,"name":"orders","id":"00000000000040008000000000000001","partitions":1,"config":{"retention_ms":7,"retention_bytes":null,"segment_bytes":4096,"durability":"os"}}"#;
    let path = Path::new(DIR).join("topics").join(TOPIC).join("topic.json");
    let file = world.fs.open(&path, false).unwrap();
    file.set_len(0).unwrap();
    file.write_at(format!("{json}\n{:08x}\n", fleuve_record::crc32c(json.as_bytes())).as_bytes(), 0).unwrap();
    let topic = world.open().unwrap().topic(TOPIC).unwrap();
    let expected = TopicConfig {
        retention_ms: Some(7),
        segment_bytes: 4096,
        durability: Durability::Os,
        ..TopicConfig::default()
    };
    assert_eq!((topic.config(), topic.settings().len()), (&expected, 0));
}

#[test]
fn changed_settings_hold_for_the_next_append() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    let waiting = partition.append(batch_of(0, 3)).unwrap().ticket;
    let os = TopicConfig { durability: Durability::Os, ..small_segments() };
    log.alter_topic(TOPIC, os, Settings::new()).unwrap();
    log.commit_now().unwrap();
    assert!(waiting.is_durable(), "who waited before is still told");
    for offset in 3..60 {
        assert!(partition.append(batch_of(offset, offset + 1)).unwrap().ticket.is_durable());
    }
    assert!(world.files(".log").len() > 2, "segments got small");
    log.alter_topic(TOPIC, small_segments(), Settings::new()).unwrap();
    let ticket = partition.append(batch_of(60, 61)).unwrap().ticket;
    assert!(!ticket.is_durable());
    log.commit_now().unwrap();
    let (_log, partition) = world.crashed(Unsynced::Lost).partition(small_segments());
    assert_eq!(read_all(&partition), (0..61).map(|o| (o, value(o))).collect::<Vec<_>>(), "the sync covers all before");
}

#[test]
fn batches_over_the_topics_limit_are_refused() {
    let world = World::new();
    let (_log, partition) = world.partition(TopicConfig { batch_bytes_max: 200, ..TopicConfig::default() });
    partition.append(batch(&[&[0; 100]])).unwrap();
    let error = partition.append(batch(&[&[0; 200]])).unwrap_err();
    assert_eq!(error.code(), "E715");
}

#[test]
fn the_log_can_stamp_the_time() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig { timestamps: Timestamps::Append, ..TopicConfig::default() });
    let appended = partition.append(batch(&[b"a", b"b"])).unwrap();
    assert_eq!(appended.append_time_ms, Some(1_000_000));
    log.commit_now().unwrap();
    let fetched = partition.read(0, 1000).unwrap();
    let batch = fetched.batches().next().unwrap().unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.header().max_timestamp_ms, 1_000_000);
    let times: Vec<_> = batch.records().unwrap().iter().map(|r| r.unwrap().timestamp_ms).collect();
    assert_eq!(times, [1_000_000; 2]);
    let mut claims = crate::support::batch(&[b"x"]);
    claims.stamp_append_time(5);
    log.alter_topic(TOPIC, TopicConfig::default(), Settings::new()).unwrap();
    assert_eq!(partition.append(claims).unwrap_err().code(), "E713");
}

#[test]
fn old_segments_are_sealed_by_time() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig { segment_ms: Some(1000), ..TopicConfig::default() });
    partition.append(batch_of(0, 1)).unwrap();
    world.clock.advance(1000);
    partition.append(batch_of(1, 2)).unwrap();
    assert_eq!(world.files(".log").len(), 1);
    world.clock.advance(1);
    partition.append(batch_of(2, 3)).unwrap();
    assert_eq!(world.files(".log").len(), 2);
    log.commit_now().unwrap();
    world.clock.advance(1001);
    log.apply_retention().unwrap();
    assert_eq!(world.files(".log").len(), 3, "a quiet topic, too");
}

#[test]
fn partitions_are_added_while_others_go_on() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    let ticket = partition.append(batch_of(0, 2)).unwrap().ticket;
    let old = log.topic(TOPIC).unwrap();
    assert_eq!(log.add_partitions(TOPIC, 1).unwrap_err().code(), "E710");
    let topic = log.add_partitions(TOPIC, 3).unwrap();
    assert_eq!((old.partitions().len(), topic.partitions().len(), topic.id()), (1, 3, old.id()));
    let appended = topic.partition(2).unwrap().append(batch_of(0, 1)).unwrap();
    log.commit_now().unwrap();
    assert!(ticket.is_durable() && appended.ticket.is_durable());
    let log = world.crashed(Unsynced::Lost).open().unwrap();
    let topic = log.topic(TOPIC).unwrap();
    assert_eq!(topic.partitions().len(), 3);
    assert_eq!(read_all(topic.partition(2).unwrap()).len(), 1);
    assert_eq!(read_all(topic.partition(0).unwrap()).len(), 2);
}

/// Crash point C10: there are as many partitions as before, or as many as were asked for, and a second try succeeds.
#[test]
fn a_change_that_crashes_anywhere_is_done_or_not() {
    for crash in 1.. {
        let world = World::new();
        let (log, partition) = world.partition(TopicConfig::default());
        partition.append(batch_of(0, 2)).unwrap().ticket.wait().unwrap();
        world.fs.halt_at(crash);
        let config = TopicConfig { retention_ms: Some(1), ..TopicConfig::default() };
        let altered = log.alter_topic(TOPIC, config, settings(&[("a", "b")])).is_ok();
        let added = altered && log.add_partitions(TOPIC, 4).is_ok();
        for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Torn(crash)] {
            let log = world.crashed(unsynced).open().unwrap();
            let topic = log.topic(TOPIC).unwrap();
            let (count, has) = (topic.partitions().len(), topic.config() == &config);
            assert_eq!(has, !topic.settings().is_empty(), "both or none");
            assert!(has || !altered, "crash {crash}, {unsynced:?}");
            assert!(count == 4 || count == 1 && !added, "crash {crash}, {unsynced:?}: {count}");
            assert_eq!(read_all(topic.partition(0).unwrap()).len(), 2);
            let topic = log.add_partitions(TOPIC, 5).unwrap();
            topic.partition(4).unwrap().append(batch_of(0, 1)).unwrap().ticket.wait().unwrap();
        }
        if added {
            return;
        }
    }
}

#[test]
fn a_failed_change_can_be_tried_again() {
    for call in [Call::Write, Call::Sync, Call::Rename, Call::SyncDirectory, Call::Open, Call::CreateDirectory] {
        for nth in 1..4 {
            let world = World::new();
            let (log, _partition) = world.partition(TopicConfig::default());
            world.fs.fail(call, nth, std::io::ErrorKind::StorageFull);
            let _ = log.add_partitions(TOPIC, 3);
            if log.topic(TOPIC).unwrap().partitions().len() == 1 {
                log.add_partitions(TOPIC, 3).unwrap();
            }
            let topic = world.crashed(Unsynced::Lost).open().unwrap().topic(TOPIC).unwrap();
            assert_eq!(topic.partitions().len(), 3, "{call:?} {nth}");
        }
    }
}
