//! Bytes from strangers: cut, changed, made up. Nothing panics, nothing takes more memory than its budget.

use bytes::Bytes;
use fleuve_wire::limits::heap_bytes_max;
use fleuve_wire::{ApiKey, DecodeErrorKind, Reader, Request, Response, Source, request, response};

use crate::allocator::allocated_bytes;
use crate::each::{each, request_frame, response_frame};

/// Bytes that sharing the frame may take besides: one reference count.
const SHARING_BYTES: usize = 64;

/// Runs a decoder; fails if it allocates more than a frame of this length may.
fn bounded<T>(frame: Bytes, decode: impl FnOnce(Bytes) -> T) -> T {
    let frame_bytes = frame.len();
    let before = allocated_bytes();
    let result = decode(frame);
    let allocated = allocated_bytes() - before;
    assert!(allocated <= heap_bytes_max(frame_bytes) + SHARING_BYTES, "{allocated} bytes for {frame_bytes}");
    result
}

fn request_body(api: ApiKey, version: i16, body: &[u8]) -> Result<Request, DecodeErrorKind> {
    let decode = |frame| Request::decode(api, version, &mut Reader::new(frame)).map_err(|error| error.kind);
    bounded(Bytes::copy_from_slice(body), decode)
}

#[test]
fn four_bytes_do_not_reserve_gigabytes() {
    let most = [0x7f, 0xff, 0xff, 0xff];
    assert_eq!(request_body(ApiKey::Metadata, 1, &most), Err(DecodeErrorKind::WrongLength));
    each(1, |api, version, _| {
        let _ = request_body(api, version, &[0xff; 5]);
        let _ = request_body(api, version, &most);
        let _ = bounded(Bytes::copy_from_slice(&most), |frame| response::decode(api, version, frame));
    });
}

#[test]
fn small_elements_do_not_become_large_structs_without_end() {
    // An array of empty strings: one byte each on the wire, 24 in memory. As many as a large frame can hold.
    let count = 8u32 << 20;
    let mut body = vec![];
    (0..5).for_each(|index| body.push((((count + 1) >> (7 * index)) & 0x7f) as u8 | if index < 4 { 0x80 } else { 0 }));
    body.resize(count as usize + 8, 1);
    assert_eq!(request_body(ApiKey::DescribeGroups, 5, &body), Err(DecodeErrorKind::TooLarge));
    // Few of them are fine.
    let few = [&[201u8, 1][..], &[1; 200], &[0, 0]].concat();
    assert!(request_body(ApiKey::DescribeGroups, 5, &few).is_ok());
}

#[test]
fn large_messages_are_within_the_budget() {
    let mut largest = 0;
    for &api in ApiKey::ALL {
        for version in [*api.versions().start(), *api.versions().end()] {
            let source = &mut Source::large(version as u64);
            let frame = request_frame(version, &Request::arbitrary(api, version, source));
            largest = largest.max(frame.len());
            bounded(frame, request::decode).expect("what was encoded");
            let frame = response_frame(version, &Response::arbitrary(api, version, source));
            largest = largest.max(frame.len());
            bounded(frame, |frame| response::decode(api, version, frame)).expect("what was encoded");
        }
    }
    assert!(largest > 1 << 20, "the largest has only {largest} bytes");
}

#[test]
fn a_frame_that_ends_early_is_an_error_at_every_byte() {
    each(4, |api, version, source| {
        let frame = request_frame(version, &Request::arbitrary(api, version, source));
        for length in 0..frame.len() {
            bounded(frame.slice(..length), request::decode).expect_err("a part of a request");
        }
        let frame = response_frame(version, &Response::arbitrary(api, version, source));
        for length in 0..frame.len() {
            bounded(frame.slice(..length), |frame| response::decode(api, version, frame))
                .expect_err("a part of a response");
        }
    });
}

/// Sets some bytes to others, with a liking for what lengths are made of.
fn mutated(frame: &Bytes, source: &mut Source) -> Bytes {
    let mut bytes = frame.to_vec();
    for _ in 0..1 + source.below(4) {
        let at = source.below(bytes.len());
        bytes[at] = [0, 1, 0x7f, 0x80, 0xff, source.i8() as u8][source.below(6)];
    }
    bytes.into()
}

#[test]
fn changed_bytes_never_panic() {
    each(40, |api, version, source| {
        let frame = request_frame(version, &Request::arbitrary(api, version, source));
        let _ = bounded(mutated(&frame, source), request::decode);
        let frame = response_frame(version, &Response::arbitrary(api, version, source));
        let _ = bounded(mutated(&frame, source), |frame| response::decode(api, version, frame));
    });
}

#[test]
fn bytes_behind_a_request_are_ignored() {
    each(1, |api, version, source| {
        let sent = Request::arbitrary(api, version, source);
        let frame = [&request_frame(version, &sent)[..], b"more"].concat();
        assert_eq!(request::decode(frame.into()).map(|(_, request)| request), Ok(sent));
    });
}

#[test]
fn what_is_unknown_is_told_apart() {
    let kind = |bytes: &'static [u8]| request::decode(Bytes::from_static(bytes)).map_err(|error| error.kind);
    assert_eq!(kind(&[0x03, 0xe8, 0, 0, 0, 0, 0, 1, 0xff, 0xff]), Err(DecodeErrorKind::UnknownApi(1_000)));
    let unsupported = DecodeErrorKind::UnsupportedVersion(ApiKey::Produce, 2);
    assert_eq!(kind(&[0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff]), Err(unsupported));
    assert_eq!(kind(&[0, 0, 0, 3, 0, 0, 0]), Err(DecodeErrorKind::Truncated));
}

/// A heartbeat's tagged fields, behind its other fields.
fn heartbeat(tagged_fields: &[u8]) -> Result<Request, DecodeErrorKind> {
    let body = [&[2, b'g', 0, 0, 0, 1, 2, b'm', 0][..], tagged_fields].concat();
    request_body(ApiKey::Heartbeat, 4, &body)
}

#[test]
fn tagged_fields_are_bounded_and_in_order() {
    let plain = heartbeat(&[0]);
    assert!(plain.is_ok());
    assert_eq!(heartbeat(&[2, 3, 1, b'x', 9, 0]), plain, "unknown ones are passed over");
    let largest = [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    assert_eq!(heartbeat(&largest), plain, "the largest tag");
    assert_eq!(heartbeat(&[2, 3, 0, 3, 0]), Err(DecodeErrorKind::WrongTaggedField), "twice");
    assert_eq!(heartbeat(&[2, 3, 0, 2, 0]), Err(DecodeErrorKind::WrongTaggedField), "descending");
    assert_eq!(heartbeat(&[1, 3, 9, b'x']), Err(DecodeErrorKind::WrongLength), "longer than the frame");
    assert_eq!(heartbeat(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(DecodeErrorKind::Truncated), "four billion of them");
    assert_eq!(heartbeat(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(DecodeErrorKind::WrongVarint), "over 32 bits");
}

#[test]
fn a_known_tagged_field_has_the_length_that_it_says() {
    // A Fetch request of version 15, from MaxWaitMs to RackId, and a cluster id (tag 0).
    let fixed = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1];
    let fetch = |tagged: &[u8]| request_body(ApiKey::Fetch, 15, &[&fixed[..], tagged].concat()).map(|_| ());
    assert_eq!(fetch(&[1, 0, 3, 3, b'a', b'b']), Ok(()));
    assert_eq!(fetch(&[1, 0, 4, 3, b'a', b'b', 0]), Err(DecodeErrorKind::WrongTaggedField), "a byte too many");
    assert_eq!(fetch(&[1, 0, 2, 3, b'a', b'b']), Err(DecodeErrorKind::WrongLength), "beyond its own end");
}
