//! Kafka's primitive types at their edges.

use bytes::Bytes;
use fleuve_wire::{ApiKey, DecodeErrorKind, ErrorCode, Reader, Source, Uuid, Writer};

fn reader(bytes: &[u8]) -> Reader {
    Reader::new(Bytes::copy_from_slice(bytes))
}

#[test]
fn varints_at_their_edges() {
    let edges = [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX - 1, u32::MAX];
    for value in edges {
        let mut writer = Writer::new();
        writer.uvarint(value);
        let mut back = Reader::new(writer.into_bytes().expect("in memory"));
        assert_eq!((back.uvarint(), back.remaining()), (Ok(value), 0));
    }
    assert_eq!(reader(&[0x80; 5]).uvarint().map_err(|e| e.kind), Err(DecodeErrorKind::WrongVarint));
    assert_eq!(reader(&[0x80; 4]).uvarint().map_err(|e| e.kind), Err(DecodeErrorKind::Truncated));
}

#[test]
fn lengths_that_are_negative_or_too_large() {
    let wrong = Err(DecodeErrorKind::WrongLength);
    assert_eq!(reader(&[0xff, 0xfe]).nullable_string(false).map_err(|e| e.kind), wrong);
    assert_eq!(reader(&[0xff, 0xff]).nullable_string(false), Ok(None));
    assert_eq!(reader(&[0xff, 0xff]).string(false).map_err(|e| e.kind), Err(DecodeErrorKind::Null));
    assert_eq!(reader(&[0]).nullable_string(true), Ok(None));
    assert_eq!(reader(&[3, b'a']).nullable_string(true).map_err(|e| e.kind), wrong);
    assert_eq!(
        reader(&[0xff, 0xff, 0xff, 0xfe]).nullable_bytes(false).map(|_| ()).map_err(|e| e.kind),
        Err(DecodeErrorKind::WrongLength)
    );
    assert_eq!(reader(&[0, 2, 0xc3, 0x28]).string(false).map_err(|e| e.kind), Err(DecodeErrorKind::NotUtf8));
}

#[test]
fn strings_as_long_as_the_protocol_allows() {
    let longest = "x".repeat(i16::MAX as usize);
    for flexible in [false, true] {
        let mut writer = Writer::new();
        assert!(writer.string(&(longest.clone() + "x"), flexible).is_err());
        writer.string(&longest, flexible).expect("not longer than allowed");
        let mut back = Reader::new(writer.into_bytes().expect("in memory"));
        assert_eq!(back.string(flexible).as_deref(), Ok(&longest[..]));
    }
}

#[test]
fn ids_are_written_as_kafka_does() {
    assert_eq!(Uuid::NIL.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(Uuid::from_u128(1).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    let mut source = Source::new(1);
    for _ in 0..1_000 {
        let id = source.uuid();
        assert_eq!(id.to_string().parse::<Uuid>().ok(), Some(id));
        assert_eq!(Uuid::from_bytes(id.to_bytes()), id);
    }
    for wrong in
        ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAR", "AAAAAAAAAAAAAAAAAAAA+A", "AAAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
    }
}

#[test]
fn error_codes_have_kafkas_names() {
    assert_eq!(ErrorCode::from(35), ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(ErrorCode::UNKNOWN_SERVER_ERROR.to_string(), "UNKNOWN_SERVER_ERROR (-1)");
    assert_eq!(ErrorCode::from(9_999).name(), "UNKNOWN");
    let codes: Vec<i16> = ErrorCode::ALL.iter().map(|&code| code.into()).collect();
    assert_eq!(codes, (-1..codes.len() as i16 - 1).collect::<Vec<_>>(), "no gap, no code twice");
    assert!(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.is_retriable() && !ErrorCode::INVALID_REQUEST.is_retriable());
}

#[test]
fn apis_have_kafkas_numbers() {
    for &api in ApiKey::ALL {
        assert_eq!(ApiKey::from_i16(api.to_i16()), Some(api));
        assert!(api.versions().start() <= api.versions().end());
    }
    assert_eq!((ApiKey::Fetch.name(), ApiKey::Fetch.versions()), ("Fetch", 4..=18));
    assert_eq!(ApiKey::SaslHandshake.flexible_from(), None);
    assert_eq!(ApiKey::from_i16(-1), None);
}
