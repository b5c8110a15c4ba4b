//! Transactions, step by step: what a client sees, and what a crash at any point leaves.

use fleuve_base::fs_memory::Unsynced;
use fleuve_broker::BrokerConfig;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::describe_transactions_request::DescribeTransactionsRequest;
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::list_transactions_request::ListTransactionsRequest;

use crate::producer::{Producer, TIMEOUT_MS, TOPIC, all_committed, all_stable, code_of, offset_of, rounds};
use crate::support::{World, answer, builder, error_of};

const BOTH: [bool; 2] = [false, true];

fn world() -> World {
    let world = World::new();
    world.create(TOPIC, 2, &[]);
    world
}

fn started(world: &World, version_two: bool) -> Producer {
    let mut producer = Producer::new("id", version_two);
    producer.init(world);
    producer
}

/// With a transaction open that wrote `a` and `b` into the two partitions.
fn opened(world: &World, version_two: bool) -> Producer {
    let mut producer = started(world, version_two);
    assert_eq!(producer.write(world, 0, "a"), ErrorCode::NONE);
    assert_eq!(producer.write(world, 1, "b"), ErrorCode::NONE);
    producer
}

#[test]
fn a_committed_transaction_is_seen_and_an_aborted_one_is_not() {
    for version_two in BOTH {
        let world = world();
        let mut producer = opened(&world, version_two);
        assert!(all_committed(&world).is_empty());
        let epoch = producer.epoch;
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert_eq!(all_committed(&world), ["a", "b"]);
        assert_eq!(producer.epoch, epoch + i16::from(version_two));
        assert_eq!(producer.write(&world, 0, "c"), ErrorCode::NONE);
        assert_eq!(producer.end(&world, false), ErrorCode::NONE);
        assert_eq!(producer.write(&world, 1, "d"), ErrorCode::NONE);
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert_eq!(all_committed(&world), ["a", "b", "d"]);
        assert!(all_stable(&world));
    }
}

#[test]
fn nothing_is_written_outside_a_transaction() {
    let world = world();
    let mut one = started(&world, false);
    // Version 1 must say beforehand what it writes to.
    assert_eq!(one.does(&world, one.produce_request(0, "x")), ErrorCode::TRANSACTION_ABORTABLE);
    assert_eq!(one.does(&world, (9, one.produce_request(0, "x").1)), ErrorCode::INVALID_TXN_STATE);
    assert_eq!(one.write(&world, 0, "a"), ErrorCode::NONE);
    assert_eq!(one.does(&world, one.produce_request(1, "x")), ErrorCode::TRANSACTION_ABORTABLE);
    assert_eq!(one.end(&world, true), ErrorCode::NONE);
    assert_eq!(one.does(&world, one.produce_request(0, "x")), ErrorCode::TRANSACTION_ABORTABLE);
    // Nobody else's id will do.
    let mut stranger = Producer::new("other", true);
    (stranger.id, stranger.epoch) = (one.id, one.epoch);
    assert_eq!(stranger.write(&world, 0, "x"), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    let mut two = Producer::new("two", true);
    two.init(&world);
    two.id += 1000;
    assert_eq!(two.write(&world, 0, "x"), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(all_committed(&world), ["a"]);
    assert!(all_stable(&world));
}

#[test]
fn a_producer_with_an_open_transaction_writes_nothing_beside_it() {
    let world = world();
    let mut producer = opened(&world, true);
    let outside = |producer: &Producer| {
        let batch = builder(&["x"]).producer(producer.id, producer.epoch, 1).finish().unwrap();
        let asked = world.produce(TOPIC, 0, &batch);
        world.commit();
        error_of(&asked)
    };
    assert_eq!(outside(&producer), ErrorCode::INVALID_TXN_STATE);
    assert_eq!(producer.write(&world, 0, "c"), ErrorCode::NONE, "nothing was stored");
    assert_eq!(producer.end(&world, true), ErrorCode::NONE);
    assert_eq!(all_committed(&world), ["a", "b", "c"]);
}

#[test]
fn an_old_producer_is_fenced_off_everywhere() {
    for version_two in BOTH {
        let world = world();
        let mut old = opened(&world, version_two);
        let mut new = Producer::new("id", version_two);
        // The first answer is to come again: the open transaction is aborted meanwhile.
        assert_eq!(new.does(&world, new.init_request()), ErrorCode::CONCURRENT_TRANSACTIONS);
        new.init(&world);
        assert!(all_committed(&world).is_empty() && all_stable(&world));
        let code = if version_two { ErrorCode::INVALID_PRODUCER_EPOCH } else { ErrorCode::PRODUCER_FENCED };
        assert_eq!(old.write(&world, 0, "x"), code);
        assert_eq!(old.does(&world, old.produce_request(0, "x")), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(old.end(&world, true), ErrorCode::PRODUCER_FENCED);
        assert_eq!(old.does(&world, (1, old.end_request(true).1)), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(new.write(&world, 0, "n"), ErrorCode::NONE);
        assert_eq!(new.end(&world, true), ErrorCode::NONE);
        assert_eq!(all_committed(&world), ["n"]);
    }
}

#[test]
fn ending_again_is_answered_as_the_first_time() {
    for (version_two, commit) in [(false, true), (false, false), (true, true), (true, false)] {
        let world = world();
        let mut producer = opened(&world, version_two);
        let end = producer.end_request(commit);
        let other = producer.end_request(!commit);
        assert_eq!(producer.does(&world, end.clone()), ErrorCode::NONE);
        let after = producer.epoch;
        assert_eq!(producer.does(&world, end), ErrorCode::NONE);
        assert_eq!(producer.epoch, after);
        assert_eq!(producer.does(&world, other), ErrorCode::INVALID_TXN_STATE);
        assert_eq!(all_committed(&world).len(), if commit { 2 } else { 0 });
    }
}

#[test]
fn while_an_end_is_on_its_way_nothing_else_happens() {
    for version_two in BOTH {
        let world = world();
        let mut producer = opened(&world, version_two);
        let ending = producer.asks(&world, producer.end_request(true));
        for round in 0..3 {
            assert!(ending.waits(), "round {round}");
            let again = producer.asks(&world, producer.end_request(true)).answer();
            assert_eq!(code_of(&again), ErrorCode::CONCURRENT_TRANSACTIONS);
            let init = producer.asks(&world, producer.init_request()).answer();
            assert_eq!(code_of(&init), ErrorCode::CONCURRENT_TRANSACTIONS);
            let write = producer.asks(&world, producer.produce_request(0, "late")).answer();
            assert!(code_of(&write).is_err());
            world.commit();
        }
        assert_eq!(code_of(&ending.answer()), ErrorCode::NONE);
        rounds(&world);
        assert_eq!(all_committed(&world), ["a", "b"]);
        assert!(all_stable(&world));
        producer.init(&world);
    }
}

#[test]
fn a_crash_at_any_step_of_an_end_leaves_all_or_nothing() {
    for version_two in BOTH {
        for commit in [true, false] {
            for rounds_before in 0..4 {
                for unsynced in [Unsynced::Lost, Unsynced::Kept] {
                    crash_while_ending(version_two, commit, rounds_before, unsynced);
                }
            }
        }
    }
}

fn crash_while_ending(version_two: bool, commit: bool, rounds_before: usize, unsynced: Unsynced) {
    let what = format!("version two: {version_two}, commit: {commit}, after {rounds_before} rounds, {unsynced:?}");
    let world = world();
    let mut producer = opened(&world, version_two);
    let ending = producer.asks(&world, producer.end_request(commit));
    (0..rounds_before).for_each(|_| world.commit());
    let answered = !ending.waits();
    assert_eq!(answered, rounds_before == 3, "{what}");
    let world = world.crash(unsynced);
    let seen = all_committed(&world).len();
    assert!(seen == 0 || commit && seen == 2, "{what}: {seen}");
    assert!(!(answered && commit) || seen == 2, "{what}");
    // The client sends the request again, and gets the answer that it missed.
    assert_eq!(producer.end(&world, commit), ErrorCode::NONE, "{what}");
    assert_eq!(all_committed(&world).len(), if commit { 2 } else { 0 }, "{what}");
    assert!(all_stable(&world), "{what}");
    assert_eq!(producer.write(&world, 0, "next"), ErrorCode::NONE, "{what}");
    assert_eq!(producer.end(&world, true), ErrorCode::NONE, "{what}");
    assert!(all_committed(&world).contains(&"next".to_owned()), "{what}");
}

#[test]
fn offsets_are_the_groups_when_the_transaction_commits() {
    for (version_two, crash) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = world();
        let mut producer = opened(&world, version_two);
        assert_eq!(producer.commit_offset(&world, "g", 5), ErrorCode::NONE);
        assert_eq!(offset_of(&world, "g"), -1);
        if crash {
            world = world.power_cut();
        }
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert_eq!(offset_of(&world, "g"), 5);
        assert_eq!(producer.commit_offset(&world, "g", 7), ErrorCode::NONE);
        if crash {
            world = world.power_cut();
        }
        assert_eq!(producer.end(&world, false), ErrorCode::NONE);
        assert_eq!(offset_of(&world, "g"), 5);
        // Nothing is open, so nothing can be committed by version 1.
        if !version_two {
            assert_eq!(producer.does(&world, producer.offset_request("g", 9)), ErrorCode::INVALID_TXN_STATE);
        }
        assert_eq!(producer.commit_offset(&world, "g", 8), ErrorCode::NONE);
        let mut new = Producer::new("id", version_two);
        new.init(&world);
        assert_eq!(producer.does(&world, producer.offset_request("g", 9)), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(offset_of(&world.power_cut(), "g"), 5);
    }
}

#[test]
fn a_crash_at_any_step_of_an_end_leaves_records_and_offsets_alike() {
    for version_two in BOTH {
        for rounds_before in 0..6 {
            for unsynced in [Unsynced::Lost, Unsynced::Kept] {
                let world = world();
                let mut producer = opened(&world, version_two);
                assert_eq!(producer.commit_offset(&world, "g", 5), ErrorCode::NONE);
                let ending = producer.asks(&world, producer.end_request(true));
                (0..rounds_before).for_each(|_| world.commit());
                drop(ending);
                let world = world.crash(unsynced);
                let seen = all_committed(&world).len();
                let offset = offset_of(&world, "g");
                assert_eq!((seen == 2, offset == 5), (offset == 5, seen == 2), "{seen} records, offset {offset}");
                assert_eq!(producer.end(&world, true), ErrorCode::NONE);
                assert_eq!((all_committed(&world).len(), offset_of(&world, "g")), (2, 5));
            }
        }
    }
}

#[test]
fn an_open_transaction_goes_on_after_a_crash() {
    for version_two in BOTH {
        let world = world();
        let mut producer = opened(&world, version_two);
        let world = world.power_cut();
        assert!(all_committed(&world).is_empty());
        assert_eq!(producer.write(&world, 0, "c"), ErrorCode::NONE);
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert_eq!(all_committed(&world), ["a", "b", "c"]);
        let world = world.restart();
        assert_eq!(all_committed(&world), ["a", "b", "c"]);
    }
}

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced_off() {
    for (version_two, crash) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = world();
        let mut producer = opened(&world, version_two);
        if crash {
            world = world.power_cut();
        }
        world.clock.advance(i64::from(TIMEOUT_MS) - 1);
        world.run_timers();
        rounds(&world);
        assert!(!all_stable(&world));
        world.clock.advance(1);
        world.run_timers();
        rounds(&world);
        assert!(all_stable(&world));
        assert!(all_committed(&world).is_empty());
        assert_eq!(producer.end(&world, true), ErrorCode::PRODUCER_FENCED);
        assert!(producer.write(&world, 0, "x").is_err());
        producer.init(&world);
        assert_eq!(producer.write(&world, 0, "y"), ErrorCode::NONE);
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert_eq!(all_committed(&world), ["y"]);
    }
}

#[test]
fn an_open_transaction_that_belongs_to_nobody_is_aborted_at_the_start() {
    let world = world();
    let mut producer = started(&world, true);
    let old = producer.epoch;
    producer.init(&world);
    // Of an id that nobody knows, and of an epoch that is over.
    for (partition, (id, epoch)) in [(999, 3), (producer.id, old)].into_iter().enumerate() {
        let batch = builder(&["x"]).producer(id, epoch, 0).transactional().finish().unwrap();
        world.log.topic(TOPIC).unwrap().partition(partition as u32).unwrap().append(batch).unwrap();
    }
    world.commit();
    assert!(!all_stable(&world));
    let world = world.power_cut();
    assert!(all_stable(&world) && all_committed(&world).is_empty());
    assert_eq!(producer.write(&world, 0, "a"), ErrorCode::NONE);
    assert_eq!(producer.end(&world, true), ErrorCode::NONE);
    assert_eq!(all_committed(&world), ["a"]);
}

#[test]
fn a_transaction_in_a_deleted_topic_ends_all_the_same() {
    for version_two in BOTH {
        let world = world();
        let mut producer = opened(&world, version_two);
        world.log.delete_topic(TOPIC).unwrap();
        world.create(TOPIC, 2, &[]);
        assert_eq!(producer.end(&world, true), ErrorCode::NONE);
        assert!(all_committed(&world).is_empty() && all_stable(&world));
    }
}

#[test]
fn a_client_that_goes_on_after_an_error_keeps_its_place() {
    let world = world();
    let mut producer = started(&world, false);
    let (id, epoch) = (producer.id, producer.epoch);
    let request = |epoch| {
        let request = InitProducerIdRequest {
            transactional_id: Some("id".to_owned()),
            transaction_timeout_ms: TIMEOUT_MS,
            producer_id: id,
            producer_epoch: epoch,
        };
        (4, request.into())
    };
    assert_eq!(producer.does(&world, request(epoch)), ErrorCode::NONE);
    assert_eq!((producer.id, producer.epoch), (id, epoch + 1));
    // Its answer was lost.
    assert_eq!(producer.does(&world, request(epoch)), ErrorCode::NONE);
    assert_eq!(producer.epoch, epoch + 1);
    producer.init(&world);
    assert_eq!(producer.does(&world, request(epoch + 1)), ErrorCode::PRODUCER_FENCED);
    assert_eq!(producer.does(&world, (3, request(epoch + 1).1)), ErrorCode::INVALID_PRODUCER_EPOCH);
}

#[test]
fn wrong_requests_are_refused() {
    let world = world();
    let code = |id: &str, timeout: i32, producer: (i64, i16)| {
        let request = InitProducerIdRequest {
            transactional_id: Some(id.to_owned()),
            transaction_timeout_ms: timeout,
            producer_id: producer.0,
            producer_epoch: producer.1,
        };
        code_of(&world.ask(4, request).answer())
    };
    assert_eq!(code("", 1000, (-1, -1)), ErrorCode::INVALID_REQUEST);
    assert_eq!(code("id", 0, (-1, -1)), ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    assert_eq!(
        code("id", BrokerConfig::default().transaction_timeout_max_ms + 1, (-1, -1)),
        ErrorCode::INVALID_TRANSACTION_TIMEOUT
    );
    assert_eq!(code("id", 1000, (5, -1)), ErrorCode::INVALID_REQUEST);
    assert_eq!(code(&"x".repeat(5000), 1000, (-1, -1)), ErrorCode::INVALID_REQUEST);
    let mut producer = Producer::new("never", false);
    assert_eq!(producer.does(&world, producer.add_request(0)), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(producer.end(&world, true), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    producer.init(&world);
    assert_eq!(producer.does(&world, producer.add_request(9)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(producer.end(&world, true), ErrorCode::INVALID_TXN_STATE);
}

#[test]
fn transactions_are_described_and_listed() {
    let world = world();
    let producer = opened(&world, true);
    world.clock.advance(5000);
    let ids = vec!["id".to_owned(), "none".to_owned()];
    let described = world.ask(0, DescribeTransactionsRequest { transactional_ids: ids });
    let states = answer!(DescribeTransactions, described).transaction_states;
    assert_eq!(states[1].error_code, ErrorCode::TRANSACTIONAL_ID_NOT_FOUND.0);
    assert_eq!((states[0].transaction_state.as_str(), states[0].producer_id), ("Ongoing", producer.id));
    assert_eq!((states[0].topics[0].topic.as_str(), &states[0].topics[0].partitions[..]), (TOPIC, &[0, 1][..]));
    let list = |request: ListTransactionsRequest| {
        let response = answer!(ListTransactions, world.ask(2, request));
        (response.error_code, response.transaction_states.len(), response.unknown_state_filters)
    };
    let any = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
    assert_eq!(list(any.clone()), (0, 1, vec![]));
    let states = vec!["Empty".to_owned(), "Odd".to_owned(), "Dead".to_owned()];
    assert_eq!(list(ListTransactionsRequest { state_filters: states, ..any.clone() }), (0, 0, vec!["Odd".to_owned()]));
    assert_eq!(list(ListTransactionsRequest { duration_filter: 4999, ..any.clone() }), (0, 1, vec![]));
    assert_eq!(list(ListTransactionsRequest { duration_filter: 5000, ..any.clone() }), (0, 0, vec![]));
    assert_eq!(list(ListTransactionsRequest { producer_id_filters: vec![producer.id], ..any.clone() }).1, 1);
    let pattern = |pattern: &str| {
        list(ListTransactionsRequest { transactional_id_pattern: Some(pattern.to_owned()), ..any.clone() })
    };
    assert_eq!((pattern("i.").1, pattern("i").1), (1, 0));
    assert_eq!(pattern("(").0, ErrorCode::INVALID_REGULAR_EXPRESSION.0);
}

#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let world = world();
    let mut producer = started(&world, true);
    world.clock.advance(7 * DAY_MS - 1);
    world.run_timers();
    rounds(&world);
    assert_eq!(producer.end(&world, false), ErrorCode::NONE);
    world.clock.advance(8 * DAY_MS);
    world.run_timers();
    rounds(&world);
    assert_eq!(producer.end(&world, false), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    let world = world.restart();
    let id = producer.id;
    producer.init(&world);
    assert_ne!(producer.id, id);
}
