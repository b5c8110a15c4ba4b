//! The k-th call of every kind fails, for every k: nothing acknowledged is lost, nothing is acknowledged after
//! the failure, and a restart recovers.

use std::io::ErrorKind;
use std::sync::Arc;

use fleuve_base::Result;
use fleuve_base::fs_memory::{Call, Unsynced};
use fleuve_journal::{Log, Partition};

use crate::support::{TOPIC, World, batch, batch_of, read_from, small_segments, value};

/// What was promised by the time of the crash.
#[derive(Default)]
pub struct Promised {
    topic: bool,
    records: u64,
    epoch: Option<u64>,
    start: u64,
}

pub const LANE: i64 = 3;

/// Creates, appends, commits, writes epochs, trims and closes; stops at the first error.
pub fn workload(world: &World, promised: &mut Promised) -> Result<()> {
    let log = world.open()?;
    let topic = log.create_topic(TOPIC, 2, small_segments())?;
    promised.topic = true;
    let (records, epochs) = (topic.partition(0)?, topic.partition(1)?);
    for round in 0..10 {
        append_round(&log, records, epochs, round, promised)?;
    }
    let target = promised.records / 2;
    promised.start = target;
    records.truncate_before(target)?;
    append_round(&log, records, epochs, 10, promised)?;
    log.close()
}

fn append_round(
    log: &Log,
    records: &Arc<Partition>,
    epochs: &Arc<Partition>,
    round: u64,
    promised: &mut Promised,
) -> Result<()> {
    let appended = records.append(batch_of(round * 12, round * 12 + 7))?;
    let second = records.append(batch_of(round * 12 + 7, round * 12 + 12))?;
    let parts = (0..3).map(|part| batch(&[format!("{round}.{part}").as_bytes()])).collect();
    let epoch = epochs.append_epoch(LANE, round, parts)?;
    log.commit_now()?;
    assert!(appended.ticket.is_durable() && second.ticket.is_durable());
    if let Some(epoch) = epoch {
        epoch.ticket.wait()?;
    }
    (promised.records, promised.epoch) = (round * 12 + 12, Some(round));
    Ok(())
}

/// Everything promised is there, and nothing that was never written.
pub fn check(world: &World, promised: &Promised, what: &str) {
    let log = world.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(log.recovery().damage.is_empty(), "{what}: {:?}", log.recovery().damage);
    let Ok(topic) = log.topic(TOPIC) else {
        assert!(!promised.topic, "{what}: the topic is gone");
        return;
    };
    let records = topic.partition(0).unwrap();
    assert!(records.high_watermark() >= promised.records, "{what}: records are lost");
    assert!(records.log_start_offset() <= promised.start, "{what}: records are trimmed too far");
    let start = records.log_start_offset();
    let expected: Vec<_> = (start..records.high_watermark()).map(|offset| (offset, value(offset))).collect();
    assert_eq!(read_from(records, start).unwrap(), expected, "{what}");
    let epochs = topic.partition(1).unwrap();
    assert!(epochs.last_epoch(LANE) >= promised.epoch, "{what}: an epoch is lost");
    let whole = epochs.last_epoch(LANE).map_or(0, |last| last + 1);
    let expected: Vec<_> =
        (0..whole).flat_map(|e| (0..3).map(move |part| format!("{e}.{part}").into_bytes())).collect();
    let found: Vec<_> = read_from(epochs, 0).unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(found, expected, "{what}: epochs are whole and once");
    // Life goes on.
    let next = records.high_watermark();
    records.append(batch_of(next, next + 1)).unwrap().ticket.wait().unwrap();
    log.close().unwrap();
}

const KINDS: [(Call, ErrorKind); 9] = [
    (Call::Write, ErrorKind::StorageFull),
    (Call::Write, ErrorKind::Other),
    (Call::Sync, ErrorKind::Other),
    (Call::SetLength, ErrorKind::StorageFull),
    (Call::Open, ErrorKind::PermissionDenied),
    (Call::CreateDirectory, ErrorKind::StorageFull),
    (Call::Rename, ErrorKind::Other),
    (Call::Remove, ErrorKind::Other),
    (Call::SyncDirectory, ErrorKind::Other),
];

#[test]
fn the_kth_call_of_every_kind_may_fail() {
    for (call, error) in KINDS {
        let mut failed = 0;
        for k in 1.. {
            let world = World::new();
            world.fs.fail(call, k, error);
            let mut promised = Promised::default();
            let outcome = workload(&world, &mut promised);
            let what = |after: &str| format!("{call:?} {k} failed, {after}");
            for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Torn(k)] {
                check(&world.crashed(unsynced), &promised, &what(&format!("{unsynced:?}")));
            }
            failed += u64::from(outcome.is_err());
            if world.fs.calls(call) < k {
                outcome.unwrap();
                break;
            }
        }
        assert!(failed > 0, "no failing {call:?} was noticed");
    }
}

#[test]
fn a_failed_write_or_sync_poisons_the_log_and_reads_go_on() {
    for call in [Call::Write, Call::Sync] {
        let world = World::new();
        let (log, partition) = world.partition(small_segments());
        partition.append(batch_of(0, 3)).unwrap().ticket.wait().unwrap();
        world.fs.fail(call, 1, ErrorKind::Other);
        let outcome = partition.append(batch_of(3, 6)).and_then(|appended| {
            let (told, tell) = (Arc::new(std::sync::Mutex::new(None)), |slot: Arc<std::sync::Mutex<_>>| {
                Box::new(move |outcome: Result<()>| *slot.lock().unwrap() = Some(outcome.is_err()))
            });
            appended.ticket.on_durable(tell(told.clone()));
            let waited = appended.ticket.wait();
            assert_eq!(*told.lock().unwrap(), Some(true), "the callback is told as well");
            waited
        });
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), log.failure().map(|e| e.code())), ("E707", Some("E707")));
        assert!(error.hint().is_some_and(|hint| hint.contains("restart")), "{error}");
        assert_eq!(partition.append(batch_of(3, 6)).unwrap_err().code(), "E707");
        assert_eq!(partition.high_watermark(), 3);
        assert_eq!(read_from(&partition, 0).unwrap().len(), 3, "what was durable can be read");
        assert!(log.close().is_err());
        drop(log);
        let (log, partition) = world.partition(small_segments());
        assert!(log.failure().is_none() && partition.high_watermark() >= 3);
        let next = partition.high_watermark();
        partition.append(batch_of(next, next + 1)).unwrap().ticket.wait().unwrap();
    }
}

/// Crash point C3: after a failed sync the kernel shows bytes that are not on the disk, and later syncs succeed.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_written_again() {
    let world = World::new();
    let (_log, partition) = world.partition(small_segments());
    partition.append(batch_of(0, 3)).unwrap().ticket.wait().unwrap();
    world.fs.fail(Call::Sync, 1, ErrorKind::Other);
    assert!(partition.append(batch_of(3, 6)).unwrap().ticket.wait().is_err());
    drop((_log, partition));
    let (_log, partition) = world.partition(small_segments());
    assert_eq!(partition.high_watermark(), 6, "the cache still has the records, so they count now");
    let (_log, partition) = world.crashed(Unsynced::Lost).partition(small_segments());
    assert_eq!(read_from(&partition, 0).unwrap().len(), 6, "and then they survive a power cut");
}
