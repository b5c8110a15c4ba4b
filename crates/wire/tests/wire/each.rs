//! Made-up messages of every API in every version.

use bytes::Bytes;
use fleuve_wire::{ApiKey, Request, Response, Source, request, response};

/// Calls `test` for all APIs, versions and `seeds` seeds.
pub fn each(seeds: u64, mut test: impl FnMut(ApiKey, i16, &mut Source)) {
    for &api in ApiKey::ALL {
        for version in api.versions() {
            (0..seeds).for_each(|seed| test(api, version, &mut Source::new(seed)));
        }
    }
}

/// A request's frame without its length.
pub fn request_frame(version: i16, request: &Request) -> Bytes {
    let frame = request::encode(version, 7, Some("client"), request).expect("nothing that the version lacks");
    body(&frame.to_bytes())
}

/// A response's frame without its length.
pub fn response_frame(version: i16, response: &Response) -> Bytes {
    body(&response::encode(7, version, response).expect("nothing that the version lacks").to_bytes())
}

/// A frame without its length, which must be right.
fn body(frame: &Bytes) -> Bytes {
    let length = i32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
    assert_eq!(length as usize, frame.len() - 4);
    frame.slice(4..)
}
