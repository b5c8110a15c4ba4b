//! Compaction against the original: the last value of each key, whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fleuve_base::fs_memory::{Call, Unsynced};
use fleuve_base::{ErrorKind as Kind, Fs};
use fleuve_journal::{COMPACTION_KEYS_MAX, Cleanup, Log, Partition, TopicConfig};
use fleuve_record::{Attributes, Batch, BatchBuilder, Codec, EndMarker};
use proptest::prelude::*;

use crate::support::{TOPIC, World};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn config() -> TopicConfig {
    TopicConfig { cleanup: Cleanup::Compact, segment_bytes: 1 << 10, ..TopicConfig::default() }
}

/// A record: key and value; a key of `None` cannot be compacted, a value of `None` deletes.
type Pair = (Option<u8>, Option<u32>);

/// What a reader of committed records sees, by offset.
type Seen = BTreeMap<u64, (i64, Pair)>;

fn builder(pairs: &[Pair], time: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for (key, value) in pairs {
        // Values of some length: so that segments fill, and all differ.
        let value = value.map(|value| format!("{value:020}"));
        let key = key.map(|key| [key]);
        builder.append(time, key.as_ref().map(|key| &key[..]), value.as_ref().map(|v| v.as_bytes()), &[]).unwrap();
    }
    builder
}

fn read_committed(partition: &Partition) -> fleuve_base::Result<Seen> {
    let (mut seen, mut next) = (Seen::new(), partition.log_start_offset());
    while next < partition.last_stable_offset() {
        let fetched = partition.read_committed(next, 700)?;
        for batch in fetched.batches() {
            let batch = batch?;
            batch.verify_crc()?;
            let (header, offset) = (*batch.header(), batch.header().base_offset as u64);
            let aborted = fetched.aborted.iter().any(|aborted| {
                aborted.producer_id == header.producer_id
                    && (aborted.first_offset..aborted.last_offset).contains(&offset)
            });
            let transactional = header.attributes.has(Attributes::TRANSACTIONAL);
            if header.attributes.has(Attributes::CONTROL) || transactional && aborted {
                continue;
            }
            for record in &batch.records()? {
                let record = record?;
                let value = record.value.map(|value| std::str::from_utf8(value).unwrap().parse().unwrap());
                if record.offset as u64 >= next {
                    seen.insert(record.offset as u64, (record.timestamp_ms, (record.key.map(|key| key[0]), value)));
                }
            }
        }
        assert!(fetched.next_offset > next, "a read makes progress");
        next = fetched.next_offset;
    }
    Ok(seen)
}

/// The last value of each key; a key whose last record deletes it is not there.
fn table(seen: &Seen) -> BTreeMap<u8, u32> {
    let mut table = BTreeMap::new();
    for (_, (key, value)) in seen.values() {
        match (key, value) {
            (Some(key), Some(value)) => drop(table.insert(*key, *value)),
            (Some(key), None) => drop(table.remove(key)),
            (None, _) => {}
        }
    }
    table
}

/// Nothing was invented, moved or altered, and the table is the same.
fn check_same(original: &Seen, compacted: &Seen, what: &str) {
    for (offset, record) in compacted {
        assert_eq!(original.get(offset), Some(record), "{what}: offset {offset}");
    }
    assert_eq!(table(original), table(compacted), "{what}");
}

fn file_names(world: &World) -> Vec<String> {
    let name = |path: std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    world.files(".log").into_iter().map(name).collect()
}

fn filled(batches: u64) -> (World, Arc<Log>, Arc<Partition>) {
    let world = World::new();
    let (log, partition) = world.partition(config());
    for number in 0..batches {
        let pairs: Vec<_> =
            (0..3).map(|i| (Some(((number * 3 + i) % 7) as u8), Some((number * 3 + i) as u32))).collect();
        partition.append(builder(&pairs, number as i64).finish().unwrap()).unwrap();
    }
    log.commit_now().unwrap();
    (world, log, partition)
}

#[test]
fn the_last_record_of_each_key_stays_at_its_offset() {
    let (world, log, partition) = filled(60);
    let original = read_committed(&partition).unwrap();
    let segments = world.files(".log").len();
    let report = log.apply_compaction().unwrap();
    assert_eq!((report.partitions, report.segments), (1, segments - 1));
    assert!(report.bytes_after < report.bytes_before / 2, "{report:?}");
    let compacted = read_committed(&partition).unwrap();
    check_same(&original, &compacted, "compacted");
    assert_eq!(report.records as usize, original.len() - compacted.len());
    assert_eq!(world.files(".log").len(), 2, "{:?}", file_names(&world));
    assert_eq!(log.apply_compaction().unwrap(), Default::default(), "there is nothing more to do");
    assert_eq!(partition.compact().unwrap().segments, 0);
    // A read at any offset gives the next record that is left.
    for offset in 0..partition.high_watermark() {
        let fetched = partition.read(offset, 1).unwrap();
        let first = fetched.batches().next().unwrap().unwrap();
        let records = first.records().unwrap();
        let found = records.iter().map(|r| r.unwrap().offset as u64).find(|found| *found >= offset);
        let expected = compacted.range(offset..).next().map(|(offset, _)| *offset);
        assert!(found.is_none() || found == expected, "offset {offset}: {found:?}");
        assert!(first.header().next_offset() as u64 > offset);
    }
    for close in [true, false] {
        if close {
            log.close().unwrap();
        }
        let unsynced = if close { Unsynced::Kept } else { Unsynced::Lost };
        let (log, partition) = world.crashed(unsynced).partition(config());
        assert!(!close || log.recovery().scanned_bytes == 0);
        assert!(log.recovery().damage.is_empty() && log.recovery().cuts.is_empty());
        assert_eq!(read_committed(&partition).unwrap(), compacted);
    }
}

#[test]
fn tombstones_stay_for_their_time_and_what_they_delete_goes() {
    let (world, log, partition) = filled(30);
    let delete = |key| partition.append(builder(&[(Some(key), None)], 5).finish().unwrap()).unwrap();
    (0..4).for_each(|key| drop(delete(key)));
    let fill = |from: u32| {
        for number in from..from + 60 {
            partition.append(builder(&[(Some(6), Some(number))], 5).finish().unwrap()).unwrap();
        }
        log.commit_now().unwrap();
    };
    fill(1000);
    let original = read_committed(&partition).unwrap();
    partition.compact().unwrap();
    let compacted = read_committed(&partition).unwrap();
    check_same(&original, &compacted, "with tombstones");
    let tombstones = |seen: &Seen| seen.values().filter(|(_, (_, value))| value.is_none()).count();
    assert_eq!(tombstones(&compacted), 4);
    world.clock.advance(DAY_MS - 1);
    partition.compact().unwrap();
    assert_eq!(tombstones(&read_committed(&partition).unwrap()), 4);
    world.clock.advance(1);
    partition.compact().unwrap();
    let gone = read_committed(&partition).unwrap();
    assert_eq!(tombstones(&gone), 0);
    check_same(&original, &gone, "without tombstones");
}

#[test]
fn the_share_of_what_is_new_decides_and_so_does_its_age() {
    let (world, log, partition) = filled(60);
    log.apply_compaction().unwrap();
    let half = |permille, lag| {
        let config = TopicConfig { min_cleanable_permille: permille, max_compaction_lag_ms: lag, ..config() };
        log.alter_topic(TOPIC, config, Default::default()).unwrap();
        log.apply_compaction().unwrap().partitions
    };
    for number in 0..20 {
        partition.append(builder(&[(Some(1), Some(number))], 0).finish().unwrap()).unwrap();
    }
    log.commit_now().unwrap();
    assert_eq!(half(1000, None), 0);
    world.clock.advance(100);
    assert_eq!(half(1000, Some(100)), 0);
    world.clock.advance(1);
    assert_eq!(half(1000, Some(100)), 1);
    assert_eq!(read_committed(&partition).unwrap().len(), 7, "the active segment was sealed and compacted, too");
}

#[test]
fn pins_lags_and_open_transactions_stop_it() {
    let (world, log, partition) = filled(60);
    log.pin(TOPIC, 0, 0, "reader").unwrap();
    assert_eq!(partition.compact().unwrap().segments, 0);
    log.pin(TOPIC, 0, 50, "reader").unwrap();
    let before = read_committed(&partition).unwrap();
    assert!(partition.compact().unwrap().segments > 0);
    let after = read_committed(&partition).unwrap();
    assert!(before.range(50..).eq(after.range(50..)), "what is pinned stays");
    log.unpin(TOPIC, 0, "reader").unwrap();
    let lag = TopicConfig { min_compaction_lag_ms: 10, ..config() };
    log.alter_topic(TOPIC, lag, Default::default()).unwrap();
    assert_eq!(partition.compact().unwrap().segments, 0);
    world.clock.advance(10);
    let open = builder(&[(Some(1), Some(1))], 0).producer(1, 0, 0).transactional().finish().unwrap();
    let start = partition.append(open).unwrap().first_offset;
    for number in 0..100 {
        partition.append(builder(&[(Some(1), Some(number))], 0).finish().unwrap()).unwrap();
    }
    log.commit_now().unwrap();
    world.clock.advance(10);
    partition.compact().unwrap();
    assert!(read_committed(&partition).unwrap().len() < 30);
    let marker = EndMarker { commit: true, coordinator_epoch: 0 };
    let offset = partition.append_marker(1, 0, marker, 0).unwrap().first_offset;
    log.commit_now().unwrap();
    assert_eq!(read_committed(&partition).unwrap().range(start..offset).count(), 101);
}

#[test]
fn lanes_and_producers_are_known_when_their_records_are_gone() {
    for damage in [false, true] {
        let world = World::new();
        let (log, partition) = world.partition(config());
        let batches =
            |epoch: u32| (0..3).map(|i| builder(&[(Some(1), Some(epoch + i))], 0).finish().unwrap()).collect();
        for epoch in 0..20_u32 {
            partition.append_epoch(5, epoch.into(), batches(epoch)).unwrap().unwrap();
            let plain = builder(&[(Some(1), Some(epoch))], 0).producer(8, 0, epoch as i32);
            partition.append(plain.finish().unwrap()).unwrap();
        }
        for number in 0..60 {
            partition.append(builder(&[(Some(1), Some(number))], 0).finish().unwrap()).unwrap();
        }
        log.commit_now().unwrap();
        partition.compact().unwrap();
        assert!(read_committed(&partition).unwrap().len() < 30);
        let world = world.crashed(Unsynced::Lost);
        if damage {
            world.files(".snapshot").iter().for_each(|path| assert!(world.fs.flip(path, 20, 1)));
        }
        let (_log, partition) = world.partition(config());
        let again = builder(&[(Some(1), Some(19))], 0).producer(8, 0, 19).finish().unwrap();
        if damage {
            // What cannot be known is not guessed.
            assert_eq!(partition.append(again).unwrap_err().kind(), Kind::Corrupt);
            assert!(!read_committed(&partition).unwrap().is_empty());
            continue;
        }
        assert_eq!(partition.last_epoch(5), Some(19));
        assert!(partition.append(again).unwrap().duplicate);
    }
}

#[test]
fn readers_go_on_while_segments_are_replaced() {
    /// Lets the readers end even if the writer fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (log, partition) = World::new().partition(config());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seen = read_committed(&partition).unwrap();
                    assert!(
                        seen.values().all(|(time, (_, value))| *value == Some(*time as u32)),
                        "aborted records were seen"
                    );
                }
            });
        }
        let _stop = Stop(&stop);
        for number in 0..300_u32 {
            let (epoch, key, commit) = (number as i16, Some((number % 5) as u8), number % 2 == 0);
            // Aborted records have a value that is not their time.
            let value = if commit { number } else { u32::MAX };
            let data = builder(&[(key, Some(value))], number.into()).producer(1, epoch, 0).transactional();
            partition.append(data.finish().unwrap()).unwrap();
            partition.append_marker(1, epoch + 1, EndMarker { commit, coordinator_epoch: 0 }, 0).unwrap();
            log.commit_now().unwrap();
            if number % 10 == 0 {
                partition.compact().unwrap();
            }
        }
    });
    assert!(read_committed(&partition).unwrap().len() < 60);
}

#[test]
fn appends_compaction_deletion_and_pins_do_not_disturb_each_other() {
    let (log, partition) = World::new().partition(config());
    let append = |number: u64| {
        let pair = (Some((number % 9) as u8), Some(number as u32));
        partition.append(builder(&[pair], number as i64).finish().unwrap()).unwrap();
    };
    let writing = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..3000).for_each(|number| {
                append(number);
                log.commit_now().unwrap();
            });
            writing.store(false, Ordering::Relaxed);
        });
        scope.spawn(|| {
            while writing.load(Ordering::Relaxed) {
                partition.compact().unwrap();
            }
        });
        scope.spawn(|| {
            while writing.load(Ordering::Relaxed) {
                let behind = partition.high_watermark().saturating_sub(500);
                if let Err(error) = partition.delete_before(behind) {
                    assert_eq!(error.code(), "E716", "{error}");
                }
            }
        });
        scope.spawn(|| {
            while writing.load(Ordering::Relaxed) {
                let end = partition.high_watermark();
                let from = end.saturating_sub(200);
                if log.pin(TOPIC, 0, from, "reader").is_err() {
                    continue;
                }
                let read = || -> Vec<u64> {
                    let seen = crate::support::read_from(&partition, from).unwrap();
                    seen.into_iter().map(|(offset, _)| offset).filter(|offset| *offset < end).collect()
                };
                let first = read();
                (0..3).for_each(|_| assert_eq!(read(), first, "what is pinned changed"));
                log.unpin(TOPIC, 0, "reader").unwrap();
            }
        });
    });
    let seen = read_committed(&partition).unwrap();
    assert!(seen.iter().all(|(offset, (time, (_, value)))| *time == *offset as i64 && *value == Some(*offset as u32)));
    assert!((2991..3000).all(|last| seen.contains_key(&last)));
}

/// Keyed records, deletions and transactions, compacted twice; what a reader saw before.
fn workload(world: &World, log: &Log, partition: &Arc<Partition>, seen: &mut Option<Seen>) -> fleuve_base::Result<()> {
    for round in 0..2_u32 {
        for number in 0..16 {
            let pairs = [(Some((number % 5) as u8), Some(round * 100 + number)), (Some((number % 3) as u8 + 10), None)];
            partition.append(builder(&pairs, 0).finish()?)?;
            let data =
                builder(&[(Some((number % 4) as u8), Some(number))], 0).producer(1, 0, (round * 16 + number) as i32);
            partition.append(data.transactional().finish()?)?;
            partition.append_marker(1, 0, EndMarker { commit: number % 2 == 0, coordinator_epoch: 0 }, 0)?;
        }
        log.commit_now()?;
        *seen = Some(read_committed(partition)?);
        partition.compact_within(if round == 0 { COMPACTION_KEYS_MAX } else { 3 })?;
        world.clock.advance(2 * DAY_MS);
    }
    Ok(())
}

fn check_table(world: &World, seen: &Option<Seen>, what: &str) {
    let (log, partition) = world.partition(config());
    assert!(log.recovery().damage.is_empty(), "{what}: {:?}", log.recovery().damage);
    let Some(seen) = seen else { return };
    let found = read_committed(&partition).unwrap_or_else(|error| panic!("{what}: {error}"));
    // More may have been written since, but no record before the end is unknown.
    let end = seen.last_key_value().map_or(0, |(last, _)| last + 1);
    let before: Seen = found.clone().into_iter().filter(|(offset, _)| *offset < end).collect();
    for (offset, record) in &before {
        if let Some(original) = seen.get(offset) {
            assert_eq!(original, record, "{what}: offset {offset}");
        }
    }
    if found.len() == before.len() {
        assert_eq!(table(seen), table(&before), "{what}");
    }
    let again = partition.compact().unwrap();
    assert!(again.segments > 0 || again.records == 0);
    assert_eq!(table(&found), table(&read_committed(&partition).unwrap()), "{what}, compacted again");
    partition.append(builder(&[(Some(1), Some(1))], 0).finish().unwrap()).unwrap().ticket.wait().unwrap();
    assert!(world.files(".tmp").is_empty(), "{what}");
}

/// Crash points C11 and C12.
#[test]
fn a_crash_at_every_change_keeps_the_table() {
    for crash in 1.. {
        let world = World::new();
        let (log, partition) = world.partition(config());
        world.fs.halt_at(crash);
        let mut seen = None;
        let finished = workload(&world, &log, &partition, &mut seen).is_ok();
        for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Torn(crash)] {
            let what = format!("crash at {crash}, {unsynced:?}");
            check_table(&world.crashed(unsynced), &seen, &what);
            let again = world.crashed(unsynced);
            for second in 1..4 {
                again.fs.halt_at(second);
                drop(again.open());
                check_table(&again.crashed(Unsynced::Torn(second)), &seen, &format!("{what}, then at {second}"));
            }
        }
        if finished {
            assert!(crash > 100, "only {crash} crashes");
            break;
        }
    }
}

#[test]
fn the_kth_call_of_every_kind_may_fail() {
    for (call, error) in [
        (Call::Write, ErrorKind::StorageFull),
        (Call::Sync, ErrorKind::Other),
        (Call::SetLength, ErrorKind::StorageFull),
        (Call::Open, ErrorKind::PermissionDenied),
        (Call::Rename, ErrorKind::Other),
        (Call::Remove, ErrorKind::Other),
        (Call::SyncDirectory, ErrorKind::Other),
        (Call::Read, ErrorKind::Other),
    ] {
        for k in 1.. {
            let (world, log, partition) = filled(40);
            let original = read_committed(&partition).unwrap();
            let before = world.fs.calls(call);
            world.fs.fail(call, k, error);
            let outcome = partition.compact();
            let (reached, what) = (world.fs.calls(call) - before >= k, format!("{call:?} {k}"));
            if !reached {
                outcome.unwrap();
                break;
            }
            check_same(&original, &read_committed(&partition).unwrap(), &what);
            assert!(log.failure().is_none(), "{what}: nothing that was acknowledged is in doubt");
            for unsynced in [Unsynced::Kept, Unsynced::Lost] {
                let (_log, partition) = world.crashed(unsynced).partition(config());
                check_same(&original, &read_committed(&partition).unwrap(), &what);
            }
            partition.compact().unwrap();
            check_same(&original, &read_committed(&partition).unwrap(), &format!("{what}, again"));
        }
    }
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_compacted_segment_is_noticed() {
    let (world, log, partition) = filled(40);
    partition.compact().unwrap();
    let expected = read_committed(&partition).unwrap();
    log.close().unwrap();
    let path = world.files(".log").into_iter().find(|path| path.to_str().unwrap().contains('-')).unwrap();
    let bytes = world.fs.open(&path, false).unwrap().len().unwrap();
    assert!(bytes > 300);
    let found = |world: &World| {
        let (_log, partition) = world.partition(config());
        let (mut found, mut errors) = (Seen::new(), BTreeSet::new());
        for offset in 0..partition.high_watermark() {
            match partition.read(offset, 1) {
                Ok(fetched) => {
                    let batch = fetched.batches().next().unwrap().unwrap();
                    for record in &batch.records().unwrap() {
                        let record = record.unwrap();
                        let value = record.value.map(|value| std::str::from_utf8(value).unwrap().parse().unwrap());
                        found.insert(record.offset as u64, (record.timestamp_ms, (record.key.map(|k| k[0]), value)));
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
                    errors.insert(offset);
                }
            }
        }
        (found, errors)
    };
    let check = |world: &World, what: &str| {
        let (found, errors) = found(world);
        assert!(!errors.is_empty(), "{what}: nobody noticed");
        for (offset, record) in &expected {
            assert!(found.get(offset) == Some(record) || errors.contains(offset), "{what}: offset {offset}");
        }
        assert!(found.iter().all(|(offset, record)| expected.get(offset) == Some(record)), "{what}: a wrong record");
        let (_log, partition) = world.partition(config());
        assert!(partition.compact().is_err(), "{what}: damage is not compacted away");
    };
    for position in 0..bytes {
        for bit in [0, 3, 7] {
            let world = world.crashed(Unsynced::Kept);
            world.fs.flip(&path, position, 1 << bit);
            check(&world, &format!("byte {position}, bit {bit}"));
        }
        let world = world.crashed(Unsynced::Kept);
        world.fs.open(&path, false).unwrap().set_len(position).unwrap();
        check(&world, &format!("cut at {position}"));
    }
    let world = world.crashed(Unsynced::Kept);
    world.fs.remove_file(&path).unwrap();
    assert!(!found(&world).1.is_empty(), "a missing segment is noticed");
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Pair>, usize),
    Data(i64, Vec<Pair>),
    End(i64, bool),
    Commit,
    Compact(usize),
    Wait,
    Delete(prop::sample::Index),
    Close,
    Crash(Unsynced),
}

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let key = prop_oneof![1 => Just(None), 20 => (0..12_u8).prop_map(Some)];
    let value = prop_oneof![1 => Just(None), 4 => any::<u32>().prop_map(Some)];
    prop::collection::vec((key, value), 1..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (pairs(), 0..5_usize).prop_map(|(pairs, codec)| Step::Append(pairs, codec)),
        5 => (0..3_i64, pairs()).prop_map(|(producer, pairs)| Step::Data(producer, pairs)),
        4 => (0..3_i64, any::<bool>()).prop_map(|(producer, commit)| Step::End(producer, commit)),
        4 => Just(Step::Commit),
        2 => prop_oneof![Just(1), Just(3), Just(COMPACTION_KEYS_MAX)].prop_map(Step::Compact),
        1 => Just(Step::Wait),
        1 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => Just(Step::Close),
        1 => any::<u64>().prop_map(|seed| Step::Crash(Unsynced::Torn(seed))),
    ]
}

/// The original log, kept in memory: batches with what they are.
#[derive(Default)]
struct Original {
    batches: Vec<(u64, Written)>,
    end: u64,
}

enum Written {
    Records(Option<i64>, i64, Vec<Pair>),
    Marker(i64, bool),
}

impl Original {
    fn push(&mut self, written: Written) {
        let base = self.end;
        self.end += if let Written::Records(_, _, pairs) = &written { pairs.len() as u64 } else { 1 };
        self.batches.push((base, written));
    }

    /// What a reader of committed records sees up to `end`, without records that never were.
    fn committed(&self, start: u64, end: u64) -> Seen {
        let (mut seen, mut open) = (Seen::new(), BTreeMap::<i64, (u64, Seen)>::new());
        for (base, written) in self.batches.iter().take_while(|(base, _)| *base < end) {
            match written {
                Written::Records(producer, time, pairs) => {
                    let records = pairs.iter().zip(*base..).map(|(pair, offset)| (offset, (*time, *pair)));
                    match producer {
                        None => seen.extend(records),
                        Some(id) => open.entry(*id).or_insert((*base, Seen::new())).1.extend(records),
                    }
                }
                Written::Marker(producer, commit) => {
                    let records = open.remove(producer).unwrap_or_default().1;
                    seen.extend(records.into_iter().filter(|_| *commit));
                }
            }
        }
        let stable = open.values().map(|(first, _)| *first).min().unwrap_or(end);
        seen.retain(|offset, _| (start..stable).contains(offset));
        seen
    }
}

/// What was compacted has each key once.
fn check_unique(world: &World, seen: &Seen) {
    let end_of = |name: &String| name.split('-').nth(1).map(|end| end.parse::<u64>().unwrap());
    let end = file_names(world).iter().filter_map(end_of).max().unwrap_or(0);
    let mut keys = BTreeSet::new();
    assert!(seen.range(..end).all(|(_, (_, (key, _)))| key.is_some() && keys.insert(*key)), "before {end}: {seen:?}");
}

fn finish(builder: BatchBuilder) -> Batch {
    builder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_table_is_that_of_the_original(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        let (mut log, mut partition) = world.partition(config());
        let mut original = Original::default();
        let mut sequences = BTreeMap::<i64, i32>::new();
        for (step, time) in steps.into_iter().zip(0_i64..) {
            match step {
                Step::Append(pairs, codec) => {
                    partition.append(finish(builder(&pairs, time).codec(Codec::ALL[codec]))).unwrap();
                    original.push(Written::Records(None, time, pairs));
                }
                Step::Data(producer, pairs) => {
                    let sequence = partition.producer(producer).map_or(0, |known| known.last_sequence + 1);
                    partition.append(finish(builder(&pairs, time).producer(producer, 0, sequence).transactional())).unwrap();
                    sequences.insert(producer, sequence + pairs.len() as i32);
                    original.push(Written::Records(Some(producer), time, pairs));
                }
                Step::End(producer, commit) => {
                    partition.append_marker(producer, 0, EndMarker { commit, coordinator_epoch: 0 }, time).unwrap();
                    original.push(Written::Marker(producer, commit));
                }
                Step::Commit => log.commit_now().unwrap(),
                Step::Compact(keys_max) => {
                    partition.compact_within(keys_max).unwrap();
                    check_unique(&world, &read_committed(&partition).unwrap());
                }
                Step::Wait => world.clock.advance(DAY_MS / 2),
                Step::Delete(at) => {
                    let (start, end) = (partition.log_start_offset(), partition.last_stable_offset());
                    if end > start {
                        partition.delete_before(start + at.index((end - start) as usize) as u64 / 4).unwrap();
                    }
                }
                Step::Close => {
                    log.close().unwrap();
                    (log, partition) = world.partition(config());
                    prop_assert_eq!(log.recovery().scanned_bytes, 0);
                }
                Step::Crash(unsynced) => {
                    world = world.crashed(unsynced);
                    (log, partition) = world.partition(config());
                    prop_assert!(log.recovery().damage.is_empty(), "{:?}", log.recovery().damage);
                    original.end = partition.high_watermark();
                    let end = original.end;
                    original.batches.retain(|(base, _)| *base < end);
                }
            }
            let (start, end) = (partition.log_start_offset(), partition.high_watermark());
            let expected = original.committed(start, end);
            let found = read_committed(&partition).unwrap();
            for (offset, record) in &found {
                prop_assert_eq!(expected.get(offset), Some(record));
            }
            // Deleting the start may take a key's only tombstone or value away, but never its last record.
            prop_assert_eq!(table(&expected), table(&found));
        }
    }
}
