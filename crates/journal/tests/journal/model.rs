//! The log against a `Vec`: any sequence of appends, commits, reads, trims, restarts and crashes.

use fleuve_base::fs_memory::Unsynced;
use fleuve_journal::TopicConfig;
use proptest::prelude::*;

use crate::support::{World, batch_of, read_from, value};

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Commit,
    Read(prop::sample::Index),
    Truncate(prop::sample::Index),
    Close,
    Crash(Unsynced),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..8_u64).prop_map(Step::Append),
        4 => Just(Step::Commit),
        2 => any::<prop::sample::Index>().prop_map(Step::Read),
        1 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        1 => Just(Step::Close),
        1 => Just(Step::Crash(Unsynced::Lost)),
        1 => Just(Step::Crash(Unsynced::Kept)),
        3 => any::<u64>().prop_map(|seed| Step::Crash(Unsynced::Torn(seed))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn behaves_like_a_vector(
        steps in prop::collection::vec(step(), 1..60),
        segment_bytes in prop_oneof![Just(1_u64 << 10), Just(4 << 10), Just(1 << 20)],
    ) {
        let config = TopicConfig { segment_bytes, ..TopicConfig::default() };
        let mut world = World::new();
        let (mut log, mut partition) = world.partition(config);
        // The record of offset n has value(n): the model is three numbers.
        let (mut start, mut durable, mut end) = (0_u64, 0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Append(count) => {
                    let appended = partition.append(batch_of(end, end + count)).unwrap();
                    prop_assert_eq!((appended.first_offset, appended.last_offset), (end, end + count - 1));
                    end += count;
                }
                Step::Commit => {
                    log.commit_now().unwrap();
                    durable = end;
                }
                Step::Read(at) if durable > start => {
                    let from = start + at.index((durable - start) as usize) as u64;
                    let expected: Vec<_> = (from..durable).map(|offset| (offset, value(offset))).collect();
                    prop_assert_eq!(read_from(&partition, from).unwrap(), expected);
                }
                Step::Truncate(at) if durable > start => {
                    start += at.index((durable - start) as usize) as u64;
                    prop_assert_eq!(partition.truncate_before(start).unwrap(), start);
                }
                Step::Read(_) | Step::Truncate(_) => {}
                Step::Close => {
                    log.close().unwrap();
                    (log, partition) = world.partition(config);
                    prop_assert_eq!(log.recovery().scanned_bytes, 0);
                    durable = end;
                }
                Step::Crash(unsynced) => {
                    world = world.crashed(unsynced);
                    (log, partition) = world.partition(config);
                    prop_assert!(log.recovery().damage.is_empty(), "{:?}", log.recovery().damage);
                    let found = partition.high_watermark();
                    prop_assert!((durable..=end).contains(&found), "{found} is not in {durable}..={end}");
                    prop_assert!(unsynced != Unsynced::Kept || found == end);
                    (durable, end) = (found, found);
                }
            }
            prop_assert_eq!(partition.log_start_offset(), start);
            prop_assert_eq!((partition.high_watermark(), partition.log_end_offset()), (durable, end));
        }
        let expected: Vec<_> = (start..durable).map(|offset| (offset, value(offset))).collect();
        prop_assert_eq!(read_from(&partition, start).unwrap(), expected);
    }
}
