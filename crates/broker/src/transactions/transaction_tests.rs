//! Every transition of one transactional id, after KIP-98, KIP-360 and KIP-890.

use super::*;

const P: Participant = Participant::Partition(TxnPartition { topic_id: 1, partition: 0 });

fn fresh(epoch: i16) -> Transaction {
    let first = Transaction::new(0).rotated(7, None, 1000, 0);
    Transaction { producer: Producer { id: 7, epoch }, ..first }
}

fn ongoing(epoch: i16) -> Transaction {
    let mut transaction = fresh(epoch);
    transaction.add([P], 10).unwrap();
    transaction
}

fn ended(epoch: i16, commit: bool, bumps: bool) -> Transaction {
    ongoing(epoch).prepared(commit, bumps, NO_ID, 20).completed(30)
}

fn producer(epoch: i16) -> Producer {
    Producer { id: 7, epoch }
}

fn stored(init: Result<Init, ErrorCode>) -> Transaction {
    match init {
        Ok(Init::Store(transaction)) => transaction,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_init_gets_an_id_and_epoch_zero() {
    let new = Transaction::new(0);
    assert_eq!(new.init(None, 1000, 0), Ok(Init::Rotate));
    // A client may bring a producer that has been forgotten here (KIP-360).
    assert_eq!(new.init(Some(producer(3)), 1000, 0), Ok(Init::Rotate));
    assert_eq!(fresh(0).producer, producer(0));
}

#[test]
fn another_init_bumps_the_epoch_and_forgets_the_old_client() {
    let next = stored(ended(4, true, false).init(None, 5000, 50));
    assert_eq!((next.producer, next.last_epoch, next.timeout_ms), (producer(5), NO_EPOCH, 5000));
    assert_eq!(next.state, State::Empty);
    assert!(!next.has_participants());
}

#[test]
fn a_client_that_goes_on_bumps_its_own_epoch_once() {
    let next = stored(ended(4, true, false).init(Some(producer(4)), 1000, 50));
    assert_eq!((next.producer, next.last_epoch), (producer(5), 4));
    // The answer was lost.
    assert_eq!(stored(next.init(Some(producer(4)), 1000, 60)).producer, producer(5));
    // Somebody older.
    assert_eq!(next.init(Some(producer(3)), 1000, 60), Err(ErrorCode::PRODUCER_FENCED));
    assert_eq!(next.init(Some(Producer { id: 6, epoch: 5 }), 1000, 60), Err(ErrorCode::PRODUCER_FENCED));
    // After another client's init the first one cannot go on.
    let other = stored(next.init(None, 1000, 70));
    assert_eq!(other.init(Some(producer(5)), 1000, 80), Err(ErrorCode::PRODUCER_FENCED));
}

#[test]
fn used_up_epochs_lead_to_another_id() {
    let last = fresh(EPOCH_LAST);
    assert_eq!(last.init(None, 1000, 0), Ok(Init::Rotate));
    assert_eq!(last.init(Some(producer(EPOCH_LAST)), 1000, 0), Ok(Init::Rotate));
    let next = last.rotated(8, Some(producer(EPOCH_LAST)), 1000, 0);
    assert_eq!((next.producer, next.previous_id), (Producer { id: 8, epoch: 0 }, 7));
    // The answer was lost: the client asks with the producer that it has.
    assert_eq!(stored(next.init(Some(producer(EPOCH_LAST)), 1000, 0)).producer, next.producer);
    // The epoch above the last is for fencing, and nobody goes on from it.
    let fenced = Transaction { state: State::Ongoing, ..fresh(EPOCH_LAST) }.fenced(0);
    assert_eq!(fenced.producer.epoch, i16::MAX);
    assert_eq!(fenced.completed(0).init(None, 1000, 0), Ok(Init::Rotate));
}

#[test]
fn init_waits_for_what_is_open_or_prepared() {
    assert_eq!(ongoing(0).init(None, 1000, 0), Ok(Init::AbortFirst));
    assert_eq!(ongoing(1).init(Some(producer(1)), 1000, 0), Ok(Init::AbortFirst));
    assert_eq!(ongoing(1).init(Some(producer(0)), 1000, 0), Err(ErrorCode::PRODUCER_FENCED));
    for commit in [true, false] {
        let prepared = ongoing(0).prepared(commit, false, NO_ID, 0);
        assert_eq!(prepared.init(None, 1000, 0), Err(ErrorCode::CONCURRENT_TRANSACTIONS));
    }
}

#[test]
fn version_one_keeps_the_epoch() {
    for commit in [true, false] {
        let open = ongoing(3);
        assert_eq!(open.end(producer(3), commit, false), Ok(End::Prepare));
        let prepared = open.prepared(commit, false, NO_ID, 20);
        assert_eq!(prepared.end(producer(3), commit, false), Err(ErrorCode::CONCURRENT_TRANSACTIONS));
        assert_eq!(prepared.end(producer(3), !commit, false), Err(ErrorCode::INVALID_TXN_STATE));
        let done = prepared.completed(30);
        assert_eq!(done.producer, producer(3));
        assert_eq!(done.end(producer(3), commit, false), Ok(End::Already));
        assert_eq!(done.end(producer(3), !commit, false), Err(ErrorCode::INVALID_TXN_STATE));
    }
    assert_eq!(fresh(0).end(producer(0), true, false), Err(ErrorCode::INVALID_TXN_STATE));
    assert_eq!(fresh(0).end(producer(0), false, false), Err(ErrorCode::INVALID_TXN_STATE));
}

#[test]
fn version_two_bumps_the_epoch_with_each_end() {
    for commit in [true, false] {
        let prepared = ongoing(3).prepared(commit, true, NO_ID, 20);
        assert_eq!((prepared.producer, prepared.last_epoch), (producer(4), 3));
        assert_eq!(prepared.end(producer(3), commit, true), Err(ErrorCode::CONCURRENT_TRANSACTIONS));
        assert_eq!(prepared.end(producer(3), !commit, true), Err(ErrorCode::INVALID_TXN_STATE));
        let done = prepared.completed(30);
        assert_eq!(done.end(producer(3), commit, true), Ok(End::Already));
        assert_eq!(done.end(producer(3), !commit, true), Err(ErrorCode::INVALID_TXN_STATE));
        assert_eq!(done.end(producer(2), commit, true), Err(ErrorCode::PRODUCER_FENCED));
        // With the new epoch it is the end of the next transaction, in which nothing was written.
        assert_eq!(done.end(producer(4), true, true), Err(ErrorCode::INVALID_TXN_STATE));
        assert_eq!(done.end(producer(4), false, true), Ok(End::Prepare));
        let nothing = done.prepared(false, true, NO_ID, 40);
        assert!(!nothing.has_participants());
        assert_eq!(nothing.completed(50).producer, producer(5));
    }
    assert_eq!(fresh(0).end(producer(0), false, true), Ok(End::Prepare));
    assert_eq!(fresh(0).end(producer(0), true, true), Err(ErrorCode::INVALID_TXN_STATE));
}

#[test]
fn version_two_changes_the_id_when_the_epochs_are_used_up() {
    let open = ongoing(EPOCH_LAST);
    assert_eq!(open.end(producer(EPOCH_LAST), true, true), Ok(End::PrepareAndRotate));
    let prepared = open.prepared(true, true, 8, 20);
    assert_eq!(prepared.producer, producer(i16::MAX));
    let done = prepared.completed(30);
    assert_eq!((done.producer, done.previous_id, done.last_epoch), (Producer { id: 8, epoch: 0 }, 7, EPOCH_LAST));
    assert_eq!(done.end(producer(EPOCH_LAST), true, true), Ok(End::Already));
    assert_eq!(done.end(producer(EPOCH_LAST), false, true), Err(ErrorCode::INVALID_TXN_STATE));
    // Version 1 has no end that bumps.
    assert_eq!(open.end(producer(EPOCH_LAST), true, false), Ok(End::Prepare));
}

#[test]
fn others_are_refused() {
    let open = ongoing(3);
    for bumps in [true, false] {
        assert_eq!(open.end(producer(2), true, bumps), Err(ErrorCode::PRODUCER_FENCED));
        assert_eq!(open.end(producer(4), true, bumps), Err(ErrorCode::PRODUCER_FENCED));
        let other = Producer { id: 9, epoch: 3 };
        assert_eq!(open.end(other, true, bumps), Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING));
    }
}

#[test]
fn who_was_fenced_off_cannot_end_anything() {
    for bumps in [true, false] {
        let done = ongoing(3).fenced(20).completed(30);
        assert_eq!((done.state, done.producer), (State::CompleteAbort, producer(4)));
        // Not even by what would look like the same request again.
        assert_eq!(done.end(producer(3), false, bumps), Err(ErrorCode::PRODUCER_FENCED));
        assert_eq!(done.init(Some(producer(3)), 1000, 40), Err(ErrorCode::PRODUCER_FENCED));
    }
}

#[test]
fn writing_opens_a_transaction_and_more_writing_extends_it() {
    let mut transaction = ended(0, true, false);
    assert!(!transaction.has(&P));
    transaction.add([P], 100).unwrap();
    assert_eq!((transaction.state, transaction.start_ms), (State::Ongoing, 100));
    transaction.add([Participant::Group("g".to_owned())], 200).unwrap();
    assert_eq!((transaction.start_ms, transaction.last_update_ms), (100, 200));
    assert!(transaction.has(&P) && transaction.has(&Participant::Group("g".to_owned())));
    let mut prepared = transaction.prepared(true, false, NO_ID, 300);
    assert_eq!(prepared.add([P], 400), Err(ErrorCode::CONCURRENT_TRANSACTIONS));
    assert!(prepared.has_participants() && !prepared.has(&P));
}

#[test]
fn what_a_transaction_writes_to_is_bounded() {
    let many =
        (0..=PARTITIONS_MAX as u32).map(|partition| Participant::Partition(TxnPartition { topic_id: 1, partition }));
    assert_eq!(fresh(0).add(many, 0), Err(ErrorCode::POLICY_VIOLATION));
}
