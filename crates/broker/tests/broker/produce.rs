//! Producing: what is taken, what is refused, and when it is acknowledged.

use bytes::Bytes;
use fleuve_base::fs_memory::Call;
use fleuve_record::{BatchBuilder, BatchHeader, Codec};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::produce_request::PartitionProduceData;

use crate::fetch::{only, request, values};
use crate::support::{START_MS, World, add, answer, batch, builder, bytes_of, error_of, partition_of, produce_request};

fn world_with(settings: &[(&str, &str)]) -> World {
    let world = World::new();
    world.create("orders", 1, settings);
    world
}

#[test]
fn a_batch_is_acknowledged_when_it_is_durable_and_not_before() {
    for acks in [1, -1] {
        let world = world_with(&[]);
        let asked = world.ask(12, produce_request("orders", 0, acks, Some(bytes_of(&batch(&["a", "b"])))));
        assert!(asked.waits());
        world.commit();
        let response = partition_of(&asked);
        assert_eq!((response.error_code, response.base_offset, response.log_start_offset), (0, 0, 0));
        assert_eq!(response.log_append_time_ms, -1);
        assert_eq!(world.produced("orders", 0, &batch(&["c"])), 2);
    }
}

#[test]
fn a_topic_without_syncs_is_acknowledged_at_once() {
    let world = world_with(&[("durability", "os")]);
    let asked = world.produce("orders", 0, &batch(&["a"]));
    assert_eq!(error_of(&asked), ErrorCode::NONE);
}

#[test]
fn one_answer_for_many_partitions() {
    let world = World::new();
    world.create("orders", 3, &[]);
    let mut request = produce_request("orders", 0, -1, Some(bytes_of(&batch(&["a"]))));
    for index in [1, 7] {
        let records = Some(bytes_of(&batch(&["a"])));
        request.topic_data[0].partition_data.push(PartitionProduceData { index, records });
    }
    let asked = world.ask(12, request);
    assert!(asked.waits());
    world.commit();
    let partitions = answer!(Produce, asked).responses[0].partition_responses.clone();
    let codes: Vec<_> = partitions.iter().map(|partition| (partition.index, ErrorCode(partition.error_code))).collect();
    assert_eq!(codes, [(0, ErrorCode::NONE), (1, ErrorCode::NONE), (7, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)]);
}

#[test]
fn topics_are_named_by_id_from_version_13_on() {
    let world = World::new();
    let id = world.create("orders", 1, &[]);
    let mut request = produce_request("", 0, -1, Some(bytes_of(&batch(&["a"]))));
    request.topic_data[0].topic_id = id;
    let asked = world.ask(13, request.clone());
    world.commit();
    assert_eq!(error_of(&asked), ErrorCode::NONE);
    request.topic_data[0].topic_id = fleuve_wire::Uuid::from_u128(1);
    assert_eq!(error_of(&world.ask(13, request)), ErrorCode::UNKNOWN_TOPIC_ID);
}

#[test]
fn wrong_requests_are_refused() {
    let world = world_with(&[]);
    let records = || Some(bytes_of(&batch(&["a"])));
    let code = |request| error_of(&world.ask(12, request));
    assert_eq!(code(produce_request("orders", 0, 2, records())), ErrorCode::INVALID_REQUIRED_ACKS);
    assert_eq!(code(produce_request("nope", 0, -1, records())), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(code(produce_request("orders", 1, -1, records())), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(code(produce_request("orders", -1, -1, records())), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(code(produce_request("__cluster_metadata", 0, -1, records())), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(code(produce_request("orders", 0, -1, None)), ErrorCode::INVALID_RECORD);
    assert_eq!(code(produce_request("orders", 0, -1, Some(Bytes::new()))), ErrorCode::INVALID_RECORD);
}

/// The bytes of a good batch after a change.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Option<Bytes> {
    let mut bytes = batch(&["a longer value", "b"]).as_bytes().to_vec();
    change(&mut bytes);
    Some(Bytes::from(bytes))
}

/// As [`changed`], with the checksum computed again.
fn sealed(change: impl FnOnce(&mut Vec<u8>)) -> Option<Bytes> {
    changed(|bytes| {
        change(bytes);
        let crc = fleuve_record::crc_of(bytes).unwrap();
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    })
}

#[test]
fn damaged_and_malformed_batches_are_refused_and_nothing_is_stored() {
    let world = world_with(&[]);
    let code = |records| error_of(&world.ask(12, produce_request("orders", 0, -1, records)));
    assert_eq!(code(changed(|bytes| *bytes.last_mut().unwrap() ^= 1)), ErrorCode::CORRUPT_MESSAGE);
    assert_eq!(code(changed(|bytes| bytes.truncate(40))), ErrorCode::CORRUPT_MESSAGE);
    assert_eq!(code(changed(|bytes| bytes.truncate(75))), ErrorCode::CORRUPT_MESSAGE);
    assert_eq!(code(changed(|bytes| bytes[16] = 1)), ErrorCode::INVALID_RECORD);
    assert_eq!(code(changed(|bytes| bytes.extend_from_within(..))), ErrorCode::INVALID_RECORD);
    assert_eq!(code(changed(|bytes| bytes[7] = 1)), ErrorCode::INVALID_RECORD);
    // Three records are claimed, two are there.
    assert_eq!(code(sealed(|bytes| (bytes[26], bytes[60]) = (2, 3))), ErrorCode::INVALID_RECORD);
    assert_eq!(code(sealed(|bytes| bytes[60] = 1)), ErrorCode::INVALID_RECORD);
    let control = builder(&["a"]).producer(5, 0, 0).control().finish().unwrap();
    assert_eq!(code(Some(bytes_of(&control))), ErrorCode::INVALID_RECORD);
    let transactional = builder(&["a"]).producer(5, 0, 0).transactional().finish().unwrap();
    assert_eq!(code(Some(bytes_of(&transactional))), ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    world.commit();
    assert_eq!(world.produced("orders", 0, &batch(&["a"])), 0);
}

#[test]
fn size_compression_and_keys_follow_the_topics_settings() {
    let world = world_with(&[("max.message.bytes", "100")]);
    assert_eq!(error_of(&world.produce("orders", 0, &batch(&[&"x".repeat(100)]))), ErrorCode::MESSAGE_TOO_LARGE);

    let world = world_with(&[("cleanup.policy", "compact")]);
    for codec in [Codec::None, Codec::Lz4] {
        let mut mixed = BatchBuilder::new().codec(codec);
        mixed.append(START_MS, Some(b"k"), Some(b"v"), &[]).unwrap();
        let response = partition_of(&world.produce("orders", 0, &add(mixed, &["a"]).finish().unwrap()));
        assert_eq!(ErrorCode(response.error_code), ErrorCode::INVALID_RECORD);
        let [rejected] = &response.record_errors[..] else { panic!("one record: {response:?}") };
        assert_eq!(rejected.batch_index, 1);
        assert!(response.error_message.unwrap().contains("Compacted topic cannot accept message without key"));
    }

    let zstd = add(BatchBuilder::new().codec(Codec::Zstd), &["a"]).finish().unwrap();
    let world = world_with(&[]);
    let old = world.ask(6, produce_request("orders", 0, -1, Some(bytes_of(&zstd))));
    assert_eq!(error_of(&old), ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    assert_eq!(world.produced("orders", 0, &zstd), 0);
}

#[test]
fn batches_are_stored_compressed_as_the_topic_wants_them() {
    let cases = [
        ("producer", Codec::Lz4),
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ];
    let sent = add(BatchBuilder::new().codec(Codec::Lz4).producer(5, 0, 0), &["a", "b"]).finish().unwrap();
    for (setting, stored) in cases {
        let world = world_with(&[("compression.type", setting)]);
        assert_eq!(world.produced("orders", 0, &sent), 0);
        assert_eq!(world.produced("orders", 0, &sent), 0, "a batch sent twice is known by its sequence");
        let fetched = only(&answer!(Fetch, world.ask(12, request("orders", 0))));
        let found = BatchHeader::parse(&fetched.records.clone().unwrap().into_bytes().unwrap()).unwrap();
        assert_eq!(found.attributes.codec().unwrap(), stored, "{setting}");
        assert_eq!(values(&fetched), ["a", "b"], "{setting}");
    }
    // What is small only as long as it is compressed does not fit any more.
    let world = world_with(&[("compression.type", "uncompressed"), ("max.message.bytes", "1000")]);
    let much = add(BatchBuilder::new().codec(Codec::Lz4), &[&"x".repeat(5_000)]).finish().unwrap();
    assert_eq!(error_of(&world.produce("orders", 0, &much)), ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn timestamps_keep_to_the_clock() {
    let world = world_with(&[]);
    let at = |ms| {
        let mut batch = BatchBuilder::new();
        batch.append(ms, None, Some(b"v"), &[]).unwrap();
        batch.finish().unwrap()
    };
    let hour = 3_600_000;
    let late = partition_of(&world.produce("orders", 0, &at(START_MS + hour + 1)));
    assert_eq!((ErrorCode(late.error_code), late.record_errors.len()), (ErrorCode::INVALID_TIMESTAMP, 1));
    assert_eq!(world.produced("orders", 0, &at(START_MS + hour)), 0);
    assert_eq!(world.produced("orders", 0, &at(0)), 1);

    let world = world_with(&[("message.timestamp.before.max.ms", "10")]);
    assert_eq!(error_of(&world.produce("orders", 0, &at(START_MS - 11))), ErrorCode::INVALID_TIMESTAMP);
    assert_eq!(world.produced("orders", 0, &at(START_MS - 10)), 0);

    let world = world_with(&[("message.timestamp.type", "LogAppendTime")]);
    let asked = world.produce("orders", 0, &at(START_MS + 2 * hour));
    world.commit();
    assert_eq!(partition_of(&asked).log_append_time_ms, START_MS);
}

fn sequenced(epoch: i16, sequence: i32, values: &[&str]) -> fleuve_record::Batch {
    add(BatchBuilder::new().producer(7, epoch, sequence), values).finish().unwrap()
}

#[test]
fn a_repeated_batch_is_acknowledged_with_its_first_offset_and_stored_once() {
    let world = world_with(&[]);
    world.produced("orders", 0, &batch(&["before"]));
    assert_eq!(world.produced("orders", 0, &sequenced(0, 0, &["a", "b"])), 1);
    assert_eq!(world.produced("orders", 0, &sequenced(0, 2, &["c"])), 3);
    assert_eq!(world.produced("orders", 0, &sequenced(0, 0, &["a", "b"])), 1);
    assert_eq!(world.produced("orders", 0, &batch(&["after"])), 4);
}

#[test]
fn a_repeated_batch_waits_for_its_first_sync_too() {
    let world = world_with(&[]);
    let first = world.produce("orders", 0, &sequenced(0, 0, &["a"]));
    let second = world.produce("orders", 0, &sequenced(0, 0, &["a"]));
    assert!(first.waits() && second.waits());
    world.commit();
    assert_eq!((partition_of(&first).base_offset, partition_of(&second).base_offset), (0, 0));
}

#[test]
fn gaps_and_old_epochs_of_a_producer_are_refused() {
    let world = world_with(&[]);
    // Of a producer that is not known any sequence is taken: what came before may be gone.
    assert_eq!(world.produced("orders", 0, &sequenced(1, 5, &["a"])), 0);
    let code = |epoch, sequence| error_of(&world.produce("orders", 0, &sequenced(epoch, sequence, &["x"])));
    assert_eq!(code(1, 7), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(code(0, 6), ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(code(2, 1), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(world.produced("orders", 0, &sequenced(2, 0, &["b"])), 1);
    let world = world.restart();
    let code = |epoch, sequence| error_of(&world.produce("orders", 0, &sequenced(epoch, sequence, &["x"])));
    assert_eq!(code(1, 6), ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(code(2, 2), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
}

#[test]
fn a_disk_that_fails_is_a_storage_error_now_and_from_then_on() {
    let world = world_with(&[]);
    let asked = world.produce("orders", 0, &batch(&["a"]));
    world.fs.fail(Call::Sync, 1, std::io::ErrorKind::Other);
    assert!(world.log.commit_now().is_err());
    assert_eq!(error_of(&asked), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(error_of(&world.produce("orders", 0, &batch(&["b"]))), ErrorCode::KAFKA_STORAGE_ERROR);
}

#[test]
fn a_topic_that_is_deleted_meanwhile_refuses_what_waits() {
    let world = world_with(&[]);
    let asked = world.produce("orders", 0, &batch(&["a"]));
    world.log.delete_topic("orders").unwrap();
    assert_eq!(error_of(&asked), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

/// The bytes of a good, compressed batch with another count in its header.
fn counting(codec: Codec, count: i32) -> Option<Bytes> {
    let batch = add(BatchBuilder::new().codec(codec), &["a", "b", "c"]).finish().unwrap();
    let mut bytes = batch.as_bytes().to_vec();
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = fleuve_record::crc_of(&bytes).unwrap();
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(Bytes::from(bytes))
}

#[test]
fn a_batch_that_holds_other_records_than_it_says_is_refused_however_it_is_compressed() {
    let world = world_with(&[]);
    for codec in Codec::ALL {
        for count in [1, 2, 4, 400] {
            let asked = world.ask(12, produce_request("orders", 0, -1, counting(codec, count)));
            let code = error_of(&asked);
            // A count that cannot be is noticed in the header already.
            let expected = [ErrorCode::INVALID_RECORD, ErrorCode::CORRUPT_MESSAGE];
            assert!(expected.contains(&code), "{codec:?} {count}: {code}");
        }
        let asked = world.ask(12, produce_request("orders", 0, -1, counting(codec, 3)));
        world.commit();
        assert_eq!(error_of(&asked), ErrorCode::NONE, "{codec:?}");
    }
}

#[test]
fn a_wrong_greatest_timestamp_is_corrected() {
    let world = world_with(&[]);
    for (index, codec) in [Codec::None, Codec::Gzip].into_iter().enumerate() {
        let mut batch = add(BatchBuilder::new().codec(codec), &["a", "b"]).finish().unwrap();
        batch.stamp_max_timestamp(START_MS + 77);
        assert_eq!(world.produced("orders", 0, &batch), 2 * index as i64);
        let fetched = world.log.topic("orders").unwrap().partition(0).unwrap().read(2 * index as u64, 1).unwrap();
        let stored = fetched.batches().next().unwrap().unwrap();
        stored.verify_crc().unwrap();
        assert_eq!(stored.header().max_timestamp_ms, START_MS);
    }
}
