//! The codec against another implementation's bytes, against itself, and against hostile input.
#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use bytes::{Bytes, BytesMut};
use fleuve_base::ErrorKind;
use fleuve_base::limits::{DECOMPRESSED_BYTES_MAX, RECORD_BYTES_MAX};
use fleuve_record::{Attributes, Batch, BatchBuilder, BatchHeader, BatchView, Batches, Codec, HEADER_BYTES, crc_of};
use proptest::prelude::*;

fn unhex(text: &str) -> BytesMut {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect::<Vec<_>>()[..].into()
}

/// Three records in a transaction of producer 4660, as kafka-python 2 encodes them.
const PLAIN: &str = "00000000000000000000005e00000000029d1242900010000000020000018bcfe568000000018bcfe5687b000000000000\
    123400070000002a0000000338000000066b65790a76616c7565040a74726163650237086e6f6e65010e00f60102010000\
    0e000104026b0100";

/// Twenty equal records under gzip, as kafka-python 2 encodes them.
const GZIP: &str = "00000000000000000000008f00000000028341639500010000001300000000000000050000000000000005ffffffffffff\
    ffffffffffffffff000000141f8b08008807056b02ff8dcad10980200045d1a74884844488444844884334807bb8ff126e60f77c9f26c97c7d46\
    4db2e03870167056703c381b38019c1d9c039c084e02e704e70227837383f380f38253c0a97f6700e21ce681d0020000";

#[test]
fn encodes_the_bytes_that_another_implementation_encodes() {
    let mut builder = BatchBuilder::new().producer(4660, 7, 42).transactional();
    builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[("trace", Some(b"7")), ("none", None)]).unwrap();
    builder.append(1_700_000_000_123, None, Some(b""), &[]).unwrap();
    builder.append(1_699_999_999_999, Some(b"k"), None, &[]).unwrap();
    let batch = builder.finish().unwrap();
    assert_eq!(batch.as_bytes(), &unhex(PLAIN)[..]);
    assert_eq!(batch.header().last_sequence(), 44);
    assert!(batch.header().attributes.has(Attributes::TRANSACTIONAL));
}

#[test]
fn decodes_what_another_implementation_compressed() {
    let records = Batch::parse(unhex(GZIP)).unwrap().view().records().unwrap();
    let records: Vec<_> = records.iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), 20);
    for (i, record) in records.iter().enumerate() {
        assert_eq!((record.offset, record.timestamp_ms, record.key), (i as i64, 5, None));
        assert_eq!(record.value, Some(&[b'a'; 29][..]));
    }
}

#[test]
fn sequences_wrap_to_zero() {
    let mut builder = BatchBuilder::new().producer(1, 0, i32::MAX);
    builder.append(0, None, None, &[]).unwrap();
    builder.append(0, None, None, &[]).unwrap();
    assert_eq!(builder.finish().unwrap().header().last_sequence(), 0);
}

#[test]
fn stamping_keeps_the_checksum_right() {
    let mut batch = Batch::parse(unhex(PLAIN)).unwrap();
    batch.assign_offset(77);
    batch.stamp(-5, 3, 9, Attributes::LANE | Attributes::EPOCH_CONTINUES, Attributes::LANE);
    let parsed = Batch::parse(batch.as_bytes().into()).unwrap();
    assert_eq!(parsed.header(), batch.header());
    assert_eq!(parsed.header().attributes.0, Attributes::TRANSACTIONAL | Attributes::LANE);
    assert_eq!((parsed.header().base_offset, parsed.header().producer_id), (77, -5));
    assert_eq!((parsed.header().producer_epoch, parsed.header().base_sequence), (3, 9));
}

#[test]
fn limits_are_named_and_leave_the_builder_usable() {
    let mut builder = BatchBuilder::new();
    let error = builder.append(0, None, Some(&vec![0; RECORD_BYTES_MAX + 1]), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    builder.append(3, None, Some(b"small"), &[]).unwrap();
    let batch = builder.finish().unwrap();
    assert_eq!((batch.header().record_count, batch.header().base_timestamp_ms), (1, 3));
    assert!(BatchBuilder::new().finish().is_err());
    let mut builder = BatchBuilder::new();
    let megabyte = vec![0; 1 << 20];
    let fitted = (0..100).take_while(|_| builder.append(0, None, Some(&megabyte), &[]).is_ok()).count();
    assert_eq!(fitted, 63);
}

/// A batch around a payload that claims whatever the caller likes, with a right checksum.
fn forged(payload: &[u8], codec: Codec, records: i32) -> BytesMut {
    let mut builder = BatchBuilder::new();
    builder.append(0, None, None, &[]).unwrap();
    let mut bytes = builder.finish().unwrap().as_bytes()[..HEADER_BYTES].to_vec();
    bytes.extend_from_slice(payload);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] = codec as u8;
    bytes[23..27].copy_from_slice(&(records - 1).max(0).to_be_bytes());
    bytes[57..61].copy_from_slice(&records.to_be_bytes());
    let crc = crc_of(&bytes).unwrap();
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes[..].into()
}

fn first_error(bytes: BytesMut) -> String {
    let result =
        Batch::parse(bytes).and_then(|batch| batch.into_view().records()?.iter().try_for_each(|r| r.map(drop)));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    error.message().to_owned()
}

#[test]
fn hostile_counts_and_lengths_are_refused_by_name() {
    for (payload, records, expected) in [
        (&[][..], i32::MAX, "claims 2147483647 records"),
        (&[], -1, "claims -1 records"),
        (&[0; 14], 3, "claims 3 records"),
        (&[0x0c, 0, 0, 0, 1, 1, 0, 0], 1, "1 bytes after its last record"),
        (&[0x0e, 0, 0, 0, 1, 1, 0, 0], 1, "1 bytes after its last header"),
        (&[0x0c, 0, 0, 2, 1, 1, 0], 1, "offset delta 1, outside"),
        (&[0x0c, 0, 0, 0, 0x7e, 1, 0], 1, "63 bytes has only 2 left"),
        (&[0x0e, 0, 0, 0, 1, 1, 0x7e, 0], 1, "claims 63 headers in 1 bytes"),
        (&[0x01, 0, 0, 0, 1, 1, 0], 1, "negative length"),
        (&[0x12, 0, 0, 0, 1, 1, 2, 2, 0xff, 1], 1, "not UTF-8"),
    ] {
        let message = first_error(forged(payload, Codec::None, records));
        assert!(message.contains(expected), "{message:?} should contain {expected:?}");
    }
}

#[test]
fn every_length_field_is_checked_before_it_is_believed() {
    let good = unhex(PLAIN);
    for length in [i32::MIN, -1, 0, 48, 93, 95, i32::MAX] {
        let mut bytes = good.clone();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        assert!(Batch::parse(bytes).is_err(), "length {length}");
    }
    for cut in 0..good.len() {
        assert!(Batch::parse(good[..cut].into()).is_err());
        assert!(BatchView::parse(&Bytes::copy_from_slice(&good[..cut])).is_err());
    }
}

#[test]
fn every_flipped_bit_after_the_length_prefix_is_noticed() {
    let good = unhex(PLAIN);
    for position in 8..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[position] ^= 1 << bit;
            // The leader epoch is the log's own and lies before the checksum: the log checks it.
            assert_eq!(Batch::parse(bytes).is_err(), !(12..16).contains(&position), "byte {position}");
        }
    }
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0_u8; DECOMPRESSED_BYTES_MAX + 1];
    let zstd = zstd::encode_all(&zeros[..], 3).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &zeros).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut lz4, &zeros).unwrap();
    let snappy = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
    for (payload, codec) in [
        (zstd, Codec::Zstd),
        (gzip.finish().unwrap(), Codec::Gzip),
        (lz4.finish().unwrap(), Codec::Lz4),
        (snappy, Codec::Snappy),
    ] {
        let message = first_error(forged(&payload, codec, 1));
        assert!(message.contains("holds more than") || message.contains("claims to hold"), "{message}");
    }
}

#[test]
fn an_unknown_codec_is_refused() {
    let mut bytes = unhex(PLAIN);
    bytes[22] = 5;
    assert!(BatchHeader::parse(&bytes).unwrap_err().message().contains("unknown compression codec 5"));
}

type Row = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn row() -> impl Strategy<Value = Row> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    let headers = proptest::collection::vec(("[a-zäß]{0,5}", bytes()), 0..3);
    (any::<i64>(), bytes(), bytes(), headers)
}

fn build(rows: &[Row], codec: Codec) -> Batch {
    let mut builder = BatchBuilder::new().codec(codec);
    for (time, key, value, headers) in rows {
        let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        builder.append(*time, key.as_deref(), value.as_deref(), &headers).unwrap();
    }
    builder.finish().unwrap()
}

fn rows_of(batch: &BatchView) -> Vec<Row> {
    let records = batch.records().unwrap();
    let owned = |r: fleuve_record::Record<'_>| {
        let headers = r.headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
        (r.timestamp_ms, r.key.map(<[u8]>::to_vec), r.value.map(<[u8]>::to_vec), headers)
    };
    records.iter().map(|r| owned(r.unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trip(rows in proptest::collection::vec(row(), 1..30), codec in 0..5_usize, base in 0..i64::MAX / 2) {
        let mut batch = build(&rows, Codec::ALL[codec]);
        batch.assign_offset(base);
        prop_assert_eq!(batch.header().max_timestamp_ms, rows.iter().map(|r| r.0).max().unwrap());
        let parsed = Batch::parse(batch.as_bytes().into()).unwrap();
        prop_assert_eq!(&parsed, &batch);
        prop_assert_eq!(rows_of(&parsed.into_view()), rows);
    }

    #[test]
    fn batches_in_a_row_are_told_apart(rows in proptest::collection::vec(row(), 1..5), copies in 1..5_usize) {
        let batch = build(&rows, Codec::Snappy);
        let bytes = Bytes::from(batch.as_bytes().repeat(copies));
        let views: Vec<_> = Batches::new(bytes.clone()).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(views.len(), copies);
        prop_assert!(views.iter().all(|view| view.verify_crc().is_ok() && rows_of(view) == rows));
        prop_assert!(Batches::new(bytes.slice(..bytes.len() - 1)).last().unwrap().is_err());
    }

    /// Damage under a right checksum: an attacker computes checksums, too.
    #[test]
    fn damaged_payloads_never_panic(
        rows in proptest::collection::vec(row(), 1..8),
        codec in 0..5_usize,
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = build(&rows, Codec::ALL[codec]).as_bytes().to_vec();
        for (index, byte) in edits {
            let at = 21 + index.index(bytes.len() - 21);
            bytes[at] = byte;
        }
        let crc = crc_of(&bytes).unwrap();
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        if let Ok(records) = Batch::parse(bytes[..].into()).and_then(|batch| batch.into_view().records()) {
            prop_assert!(records.iter().count() <= records.len() + 1);
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), codec in 1..5_usize) {
        let _ = BatchHeader::parse(&bytes);
        let forged = Batch::parse(forged(&bytes, Codec::ALL[codec], 3)).unwrap();
        if let Ok(records) = forged.into_view().records() {
            let _ = records.iter().count();
        }
    }
}

/// What [`Batch::outline`] tells.
fn outline(batch: &Batch) -> Result<Vec<(i32, i64, bool)>, fleuve_base::Error> {
    let mut found = vec![];
    batch.outline(|record| {
        found.push((record.offset_delta, record.timestamp_ms, record.has_key));
        Ok(())
    })?;
    Ok(found)
}

/// Seals the header over another payload.
fn with_payload(batch: &Batch, payload: &[u8]) -> Batch {
    let mut bytes = batch.as_bytes()[..HEADER_BYTES].to_vec();
    bytes.extend_from_slice(payload);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc_of(&bytes).unwrap();
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Batch::parse(bytes[..].into()).unwrap()
}

#[test]
fn an_outline_tells_what_reading_tells() {
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new().codec(codec);
        for number in 0..3_000_i64 {
            // Some records are larger than what is decompressed at once.
            let value = vec![number as u8; if number % 1000 == 7 { 200_000 } else { number as usize % 90 }];
            let header = [("a header", Some(&b"value"[..])), ("null", None)];
            let headers = &header[..number as usize % 3];
            builder.append(number * 3 % 11, (number % 2 == 0).then_some(b"key"), Some(&value), headers).unwrap();
        }
        let batch = builder.finish().unwrap();
        let records = batch.view().records().unwrap();
        let read =
            |record: fleuve_record::Record<'_>| (record.offset as i32, record.timestamp_ms, record.key.is_some());
        let expected: Vec<_> = records.iter().map(|record| read(record.unwrap())).collect();
        assert_eq!(outline(&batch).unwrap(), expected, "{codec:?}");
    }
}

#[test]
fn an_outline_refuses_what_lies_behind_the_records() {
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new().codec(codec);
        builder.append(1, None, Some(b"value"), &[]).unwrap();
        let batch = builder.finish().unwrap();
        let payload = &batch.as_bytes()[HEADER_BYTES..];
        outline(&with_payload(&batch, payload)).unwrap();
        let again = if codec == Codec::Snappy { &payload[16..] } else { payload };
        for surplus in [again, &[0], &[7; 40]] {
            assert!(outline(&with_payload(&batch, &[payload, surplus].concat())).is_err(), "{codec:?} {surplus:?}");
        }
        for cut in 10..payload.len() {
            let short = with_payload(&batch, &payload[..cut]);
            assert!(outline(&short).is_err() || codec == Codec::Lz4 && cut + 8 > payload.len(), "{codec:?} {cut}");
        }
    }
}

#[test]
fn an_outline_ends_at_the_cap() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Zstd] {
        let mut builder = BatchBuilder::new().codec(codec);
        for _ in 0..40 {
            builder.append(1, None, Some(&vec![0; 1 << 20]), &[]).unwrap();
        }
        let honest = builder.finish().unwrap();
        assert_eq!(outline(&honest).unwrap().len(), 40);
        let payload = &honest.as_bytes()[HEADER_BYTES..];
        let again = if codec == Codec::Snappy { &payload[16..] } else { payload };
        let mut bytes = with_payload(&honest, &[payload, again].concat()).as_bytes().to_vec();
        bytes[23..27].copy_from_slice(&79_i32.to_be_bytes());
        bytes[57..61].copy_from_slice(&80_i32.to_be_bytes());
        let crc = crc_of(&bytes).unwrap();
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let error = outline(&Batch::parse(bytes[..].into()).unwrap()).unwrap_err();
        assert!(error.message().contains("holds more than"), "{codec:?}: {error}");
    }
}
