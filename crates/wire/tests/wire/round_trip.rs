//! Every message in every version comes back as it was.

use bytes::Bytes;
use fleuve_wire::{ApiKey, Request, Response, Source, request, response};

/// Made-up messages of each API and version.
const SEEDS: u64 = 30;

/// All APIs in all versions, with some seeds each.
fn each(mut test: impl FnMut(ApiKey, i16, &mut Source)) {
    for &api in ApiKey::ALL {
        for version in api.versions() {
            for seed in 0..SEEDS {
                test(api, version, &mut Source::new(seed));
            }
        }
    }
}

/// The frame without its length, which must be right.
fn body(frame: &Bytes) -> Bytes {
    let length = i32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
    assert_eq!(length as usize, frame.len() - 4);
    frame.slice(4..)
}

#[test]
fn requests() {
    each(|api, version, source| {
        let sent = Request::arbitrary(api, version, source);
        let frame = request::encode(version, 7, Some("client"), &sent).expect("nothing that the version lacks");
        let (header, received) = request::decode(body(&frame.to_bytes())).expect("what was encoded");
        assert_eq!((header.api_key, header.api_version, header.correlation_id), (api, version, 7));
        assert_eq!(header.client_id.as_deref(), Some("client"));
        assert_eq!(received, sent);
    });
}

#[test]
fn responses() {
    each(|api, version, source| {
        let sent = Response::arbitrary(api, version, source);
        let frame = response::encode(7, version, &sent).expect("nothing that the version lacks");
        let received = response::decode(api, version, body(&frame.to_bytes())).expect("what was encoded");
        assert_eq!(received, (7, sent));
    });
}
