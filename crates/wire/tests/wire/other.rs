//! Another implementation reads what this one writes, and writes the same bytes.

use bytes::{Bytes, BytesMut};
use fleuve_wire::{ApiKey, Request, Response, Writer};
use kafka_protocol::messages::{ApiKey as OtherKey, RequestKind, ResponseKind};

use crate::each::each;

/// Made-up messages of each API and version.
const SEEDS: u64 = 20;

/// APIs and versions that are compared at least, so that the tests cannot pass by comparing nothing.
const COMPARED_MIN: u64 = 220;

fn encoded(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes().expect("in memory")
}

/// The other implementation's reading of a body; none if it does not have the API in this version.
fn read_by_other<T, E: std::fmt::Debug>(
    api: ApiKey,
    version: i16,
    body: &Bytes,
    decode: impl FnOnce(OtherKey, &mut Bytes) -> Result<T, E>,
) -> Option<T> {
    let key = OtherKey::try_from(api.to_i16()).ok()?;
    let mut rest = body.clone();
    match decode(key, &mut rest) {
        Ok(message) => {
            assert!(rest.is_empty(), "{} {version} has bytes left", api.name());
            Some(message)
        }
        Err(error) if format!("{error:?}").contains("version not supported") => None,
        Err(error) => panic!("{} {version}: {error:?}", api.name()),
    }
}

#[test]
fn requests_are_the_same_bytes() {
    let mut compared = 0;
    each(SEEDS, |api, version, source| {
        let sent = Request::arbitrary(api, version, source);
        let ours = encoded(|writer| sent.encode(writer, version).expect("nothing that the version lacks"));
        let read = read_by_other(api, version, &ours, |key, rest| RequestKind::decode(key, rest, version));
        let Some(read) = read else { return };
        let mut theirs = BytesMut::new();
        read.encode(&mut theirs, version).expect("what was decoded");
        assert_eq!(ours, theirs, "{} {version}: {sent:?}", api.name());
        compared += 1;
    });
    assert!(compared >= SEEDS * COMPARED_MIN, "{compared}");
}

#[test]
fn responses_are_the_same_bytes() {
    let mut compared = 0;
    each(SEEDS, |api, version, source| {
        let sent = Response::arbitrary(api, version, source);
        let ours = encoded(|writer| sent.encode(writer, version).expect("nothing that the version lacks"));
        let read = read_by_other(api, version, &ours, |key, rest| ResponseKind::decode(key, rest, version));
        let Some(read) = read else { return };
        let mut theirs = BytesMut::new();
        read.encode(&mut theirs, version).expect("what was decoded");
        assert_eq!(ours, theirs, "{} {version}: {sent:?}", api.name());
        compared += 1;
    });
    assert!(compared >= SEEDS * COMPARED_MIN, "{compared}");
}
