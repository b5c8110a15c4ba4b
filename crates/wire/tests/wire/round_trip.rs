//! Every message in every version comes back as it was.

use bytes::Bytes;
use fleuve_wire::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use fleuve_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use fleuve_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use fleuve_wire::messages::list_offsets_request::ListOffsetsRequest;
use fleuve_wire::messages::metadata_request::MetadataRequest;
use fleuve_wire::messages::produce_request::ProduceRequest;
use fleuve_wire::{ApiKey, Arbitrary, Message, Reader, Request, Response, Source, Writer};
use fleuve_wire::{request, response, versioned};

use crate::each::{each, request_frame, response_frame};

#[test]
fn requests() {
    each(30, |api, version, source| {
        let sent = Request::arbitrary(api, version, source);
        let (header, received) = request::decode(request_frame(version, &sent)).expect("what was encoded");
        assert_eq!((header.api_key, header.api_version, header.correlation_id), (api, version, 7));
        assert_eq!(header.client_id.as_deref(), Some("client"));
        assert_eq!(received, sent);
    });
}

#[test]
fn responses() {
    each(30, |api, version, source| {
        let sent = Response::arbitrary(api, version, source);
        let frame = response_frame(version, &sent);
        assert_eq!(response::correlation_id(&frame), Ok(7));
        assert_eq!(response::decode(api, version, frame), Ok((7, sent)));
    });
}

#[test]
fn a_body_is_read_to_its_end() {
    each(10, |api, version, source| {
        let mut writer = Writer::new();
        let sent = Request::arbitrary(api, version, source);
        sent.encode(&mut writer, version).expect("nothing that the version lacks");
        let mut reader = Reader::new(writer.into_bytes().expect("in memory"));
        Request::decode(api, version, &mut reader).expect("what was encoded");
        assert_eq!(reader.remaining(), 0, "{} {version}", api.name());
    });
}

#[test]
fn what_lies_inside_byte_fields() {
    for (version, seed) in (0..=3).flat_map(|version| (0..100).map(move |seed| (version, seed))) {
        let source = &mut Source::new(seed);
        let subscription = ConsumerProtocolSubscription::arbitrary(source, version);
        let assignment = ConsumerProtocolAssignment::arbitrary(source, version);
        let encoded = versioned::encode(&subscription, version).expect("nothing that the version lacks");
        assert_eq!(versioned::decode(encoded, 3), Ok((version, subscription)));
        let encoded = versioned::encode(&assignment, version).expect("nothing that the version lacks");
        assert_eq!(versioned::decode(encoded, 3), Ok((version, assignment)));
    }
}

#[test]
fn a_newer_version_inside_is_read_as_the_newest_known() {
    let subscription = ConsumerProtocolSubscription { topics: vec!["orders".to_owned()], ..Default::default() };
    let mut encoded = versioned::encode(&subscription, 3).expect("all fields exist").to_vec();
    encoded[1] = 9;
    encoded.extend_from_slice(b"and more");
    assert_eq!(versioned::decode(encoded.into(), 3), Ok((9, subscription)));
    assert!(versioned::decode::<ConsumerProtocolSubscription>(Bytes::from_static(&[0xff, 0xff]), 3).is_err());
}

#[test]
fn records_are_never_copied() {
    let records = Bytes::from(vec![7; 5_000]);
    let partition = PartitionData { records: Some(records.clone().into()), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition.clone(), partition], ..Default::default() };
    let answer = Response::from(FetchResponse { responses: vec![topic], ..Default::default() });
    let frame = response::encode(1, 12, &answer).expect("all fields exist");

    let shared = |chunk: &Bytes| chunk.as_ptr() == records.as_ptr() && chunk.len() == records.len();
    let chunks = frame.clone().into_memory().expect("they are in memory");
    assert_eq!(chunks.iter().filter(|chunk| shared(chunk)).count(), 2);
    assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), frame.len());

    let flat = frame.to_bytes();
    let (_, decoded) = response::decode(ApiKey::Fetch, 12, flat.slice(4..)).expect("what was encoded");
    let Response::Fetch(decoded) = decoded else { panic!("another response") };
    let decoded = decoded.responses[0].partitions[1].records.clone().expect("records");
    let decoded = decoded.into_bytes().expect("in memory");
    assert!(flat.as_ptr_range().contains(&decoded.as_ptr()));
}

#[test]
fn a_value_that_a_version_lacks_is_refused_unless_it_may_be_lost() {
    let encode = |message: &dyn Fn(&mut Writer) -> Result<(), fleuve_wire::EncodeError>| {
        message(&mut Writer::new()).map_err(|error| error.to_string())
    };
    // IsolationLevel came with version 2.
    let request = ListOffsetsRequest { isolation_level: 1, ..Default::default() };
    assert_eq!(encode(&|writer| request.encode(writer, 2)), Ok(()));
    let refused = encode(&|writer| request.encode(writer, 1)).expect_err("there is no IsolationLevel");
    assert!(refused.contains("ListOffsetsRequest.IsolationLevel"), "{refused}");

    // A list of all topics is null from version 1 on, and empty before.
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(encode(&|writer| all.encode(writer, 1)), Ok(()));
    assert!(encode(&|writer| all.encode(writer, 0)).is_err());

    // ThrottleTimeMs and the like are ignorable.
    let produce = ProduceRequest::arbitrary(&mut Source::new(3), 13);
    assert!(Request::from(produce).encode(&mut Writer::new(), 14).is_err());
}
