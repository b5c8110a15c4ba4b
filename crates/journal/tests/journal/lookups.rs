//! Records by time.

use fleuve_journal::{Settings, TimedOffset, Timestamps, TopicConfig};
use fleuve_record::{Batch, BatchBuilder, Codec};
use proptest::prelude::*;

use crate::support::{TOPIC, World, small_segments};

fn timed(times: &[i64], codec: Codec) -> Batch {
    let mut builder = BatchBuilder::new().codec(codec);
    for time in times {
        builder.append(*time, None, Some(b"v"), &[]).unwrap();
    }
    builder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn times_are_found_as_by_looking_at_every_record(
        batches in prop::collection::vec((prop::collection::vec(0..50_i64, 1..6), 0..5_usize), 1..60),
        undurable in prop::collection::vec(0..60_i64, 1..4),
        start in any::<prop::sample::Index>(),
    ) {
        let world = World::new();
        let (log, partition) = world.partition(small_segments());
        let mut all = Vec::new();
        for (times, codec) in &batches {
            partition.append(timed(times, Codec::ALL[*codec])).unwrap();
            all.extend_from_slice(times);
        }
        log.commit_now().unwrap();
        partition.append(timed(&undurable, Codec::None)).unwrap();
        let start = partition.truncate_before(start.index(all.len()) as u64).unwrap();
        let records: Vec<_> =
            all.iter().zip(0..).map(|(timestamp_ms, offset)| TimedOffset { offset, timestamp_ms: *timestamp_ms }).skip(start as usize).collect();
        for time in -1..61 {
            let expected = records.iter().find(|record| record.timestamp_ms >= time).copied();
            prop_assert_eq!(partition.find_time(time).unwrap(), expected, "time {}", time);
        }
        let most = records.iter().map(|record| record.timestamp_ms).max();
        let expected = records.iter().find(|record| Some(record.timestamp_ms) == most).copied();
        prop_assert_eq!(partition.max_timestamp().unwrap(), expected);
    }
}

#[test]
fn an_empty_partition_has_no_times() {
    let world = World::new();
    let (log, partition) = world.partition(TopicConfig::default());
    assert_eq!((partition.find_time(0).unwrap(), partition.max_timestamp().unwrap()), (None, None));
    partition.append(timed(&[7], Codec::None)).unwrap();
    assert_eq!(
        (partition.find_time(0).unwrap(), partition.max_timestamp().unwrap()),
        (None, None),
        "nothing is durable"
    );
    log.commit_now().unwrap();
    assert_eq!(partition.max_timestamp().unwrap(), Some(TimedOffset { offset: 0, timestamp_ms: 7 }));
}

#[test]
fn times_of_the_log_count_where_it_stamps() {
    let world = World::new();
    let config = TopicConfig { timestamps: Timestamps::Append, ..TopicConfig::default() };
    let (log, partition) = world.partition(config);
    partition.append(timed(&[9, 3], Codec::Lz4)).unwrap();
    log.alter_topic(TOPIC, TopicConfig::default(), Settings::new()).unwrap();
    partition.append(timed(&[2_000_000], Codec::None)).unwrap();
    log.commit_now().unwrap();
    assert_eq!(partition.find_time(10).unwrap(), Some(TimedOffset { offset: 0, timestamp_ms: 1_000_000 }));
    assert_eq!(partition.find_time(1_000_001).unwrap(), Some(TimedOffset { offset: 2, timestamp_ms: 2_000_000 }));
}
