//! The decoders, and what each promises.

use bytes::Bytes;
use fleuve_base::limits::DECOMPRESSED_BYTES_MAX;
use fleuve_record::{BatchBuilder, Batches, Codec, crc_of};
use fleuve_wire::limits::{FRAME_BYTES_MAX_UNAUTHENTICATED, heap_bytes_max};
use fleuve_wire::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use fleuve_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use fleuve_wire::{ApiKey, Arbitrary, FrameReader, Message, Request, Response, Source, Writer};
use fleuve_wire::{request, response, versioned};

/// A decoder.
pub struct Target {
    pub name: &'static str,
    /// Valid inputs.
    pub corpus: fn(&mut Source) -> Vec<Vec<u8>>,
    /// Decodes an input; an error is a broken promise, not a refused input.
    pub run: fn(Bytes, &dyn Fn() -> usize) -> Result<Done, String>,
    /// Bytes of heap that decoding an input of this length may take.
    pub heap_bytes_max: fn(usize) -> usize,
}

/// A decoder has ended.
pub struct Done {
    /// Whether it took the input.
    pub decoded: bool,
    /// The allocator's count when it was through.
    pub allocated_bytes: usize,
}

/// Made-up messages per API and version.
const MESSAGES: usize = 3;

/// What sharing a frame costs: a reference count.
const SHARING_BYTES: usize = 64;

pub fn all() -> [Target; 6] {
    let message_bytes_max = |bytes| heap_bytes_max(bytes) + SHARING_BYTES;
    [
        Target { name: "request", corpus: requests, run: run_request, heap_bytes_max: message_bytes_max },
        Target { name: "response", corpus: responses, run: run_response, heap_bytes_max: message_bytes_max },
        Target { name: "inner", corpus: inner_messages, run: run_inner, heap_bytes_max: message_bytes_max },
        Target { name: "frame", corpus: streams, run: run_frame, heap_bytes_max: stream_bytes_max },
        Target { name: "batch", corpus: batches, run: run_batch, heap_bytes_max: batch_bytes_max },
        Target { name: "bomb", corpus: bombs, run: run_batch, heap_bytes_max: batch_bytes_max },
    ]
}

/// All APIs in all versions, some times.
fn versions() -> impl Iterator<Item = (ApiKey, i16)> {
    let all = ApiKey::ALL.iter().flat_map(|&api| api.versions().map(move |version| (api, version)));
    all.flat_map(|pair| [pair; MESSAGES])
}

/// A source whose arrays are not yet used up.
fn fresh(source: &mut Source) -> Source {
    Source::new(source.next_u64())
}

// Requests.

fn requests(source: &mut Source) -> Vec<Vec<u8>> {
    let frame = |(api, version)| {
        let message = Request::arbitrary(api, version, &mut fresh(source));
        let frame = request::encode(version, 1, Some("fuzz"), &message).expect("nothing that the version lacks");
        frame.to_bytes()[4..].to_vec()
    };
    versions().map(frame).collect()
}

fn run_request(frame: Bytes, allocated: &dyn Fn() -> usize) -> Result<Done, String> {
    let decoded = request::decode(frame);
    let done = Done { decoded: decoded.is_ok(), allocated_bytes: allocated() };
    if let Ok((header, request)) = decoded {
        same_again(
            |writer| request.encode(writer, header.api_version).map_err(|e| e.to_string()),
            |reader| Request::decode(header.api_key, header.api_version, reader).map_err(|e| e.to_string()),
            |writer, again| again.encode(writer, header.api_version).map_err(|e| e.to_string()),
        )?;
    }
    Ok(done)
}

fn joined(writer: Writer) -> Result<Bytes, String> {
    writer.into_bytes().map_err(|error| error.to_string())
}

/// What has been decoded encodes to bytes that decode to what encodes to the same bytes. (Bytes are compared
/// because a float may be NaN.) A string in a flexible version may be longer than what is ever sent.
fn same_again<T>(
    encode: impl Fn(&mut Writer) -> Result<(), String>,
    decode: impl Fn(&mut fleuve_wire::Reader) -> Result<T, String>,
    encode_again: impl Fn(&mut Writer, &T) -> Result<(), String>,
) -> Result<(), String> {
    let mut writer = Writer::new();
    match encode(&mut writer) {
        Err(error) if error.contains("longer than the protocol can express") => return Ok(()),
        other => other.map_err(|error| format!("what was decoded cannot be encoded: {error}"))?,
    }
    let first = joined(writer)?;
    let mut reader = fleuve_wire::Reader::new(first.clone());
    let again = decode(&mut reader).map_err(|error| format!("what was encoded cannot be decoded: {error}"))?;
    let mut writer = Writer::new();
    encode_again(&mut writer, &again)?;
    let left = reader.remaining();
    let same = left == 0 && first == joined(writer)?;
    if same { Ok(()) } else { Err(format!("encoded again it differs ({left} bytes left)")) }
}

// Responses: the API and the version in front, which a client knows from its request.

fn responses(source: &mut Source) -> Vec<Vec<u8>> {
    let input = |(api, version): (ApiKey, i16)| {
        let message = Response::arbitrary(api, version, &mut fresh(source));
        let frame = response::encode(1, version, &message).expect("nothing that the version lacks");
        [&[api.to_i16() as u8, version as u8][..], &frame.to_bytes()[4..]].concat()
    };
    versions().map(input).collect()
}

fn run_response(input: Bytes, allocated: &dyn Fn() -> usize) -> Result<Done, String> {
    let known = match input[..] {
        [key, version, ..] => ApiKey::from_i16(key.into()).map(|api| (api, i16::from(version))),
        _ => None,
    };
    let Some((api, version)) = known else { return Ok(Done { decoded: false, allocated_bytes: allocated() }) };
    let decoded = response::decode(api, version, input.slice(2..));
    let done = Done { decoded: decoded.is_ok(), allocated_bytes: allocated() };
    if let Ok((_, response)) = decoded {
        same_again(
            |writer| response.encode(writer, version).map_err(|e| e.to_string()),
            |reader| Response::decode(api, version, reader).map_err(|e| e.to_string()),
            |writer, again| again.encode(writer, version).map_err(|e| e.to_string()),
        )?;
    }
    Ok(done)
}

// What consumers put into byte fields; the first byte tells which.

/// The newest version of both.
const INNER_VERSION_MAX: i16 = 3;

fn inner_messages(source: &mut Source) -> Vec<Vec<u8>> {
    let mut inputs = vec![];
    for version in (0..=INNER_VERSION_MAX).flat_map(|version| [version; 10]) {
        let subscription = ConsumerProtocolSubscription::arbitrary(&mut fresh(source), version);
        let assignment = ConsumerProtocolAssignment::arbitrary(&mut fresh(source), version);
        let encoded = versioned::encode(&subscription, version).expect("nothing that the version lacks");
        inputs.push([&[0][..], &encoded].concat());
        let encoded = versioned::encode(&assignment, version).expect("nothing that the version lacks");
        inputs.push([&[1][..], &encoded].concat());
    }
    inputs
}

fn run_inner(input: Bytes, allocated: &dyn Fn() -> usize) -> Result<Done, String> {
    match input.first() {
        None => Ok(Done { decoded: false, allocated_bytes: allocated() }),
        Some(0) => run_inner_as::<ConsumerProtocolSubscription>(input.slice(1..), allocated),
        Some(_) => run_inner_as::<ConsumerProtocolAssignment>(input.slice(1..), allocated),
    }
}

fn run_inner_as<T: Message>(input: Bytes, allocated: &dyn Fn() -> usize) -> Result<Done, String> {
    let decoded = versioned::decode::<T>(input, INNER_VERSION_MAX);
    let done = Done { decoded: decoded.is_ok(), allocated_bytes: allocated() };
    if let Ok((version, message)) = decoded {
        let version = version.min(INNER_VERSION_MAX);
        same_again(
            |writer| message.encode(writer, version).map_err(|e| e.to_string()),
            |reader| T::decode(reader, version).map_err(|e| e.to_string()),
            |writer, again| again.encode(writer, version).map_err(|e| e.to_string()),
        )?;
    }
    Ok(done)
}

// Streams of frames, which arrive in pieces of 1 to 256 bytes, as the bytes themselves say.

fn streams(source: &mut Source) -> Vec<Vec<u8>> {
    let stream = |_| {
        let frames = 1 + source.below(4);
        let frame = |_| {
            let body = source.bytes();
            [&(body.len() as u32).to_be_bytes()[..], &body].concat()
        };
        (0..frames).flat_map(frame).collect()
    };
    (0..200).map(stream).collect()
}

/// Every frame, of which the shortest has four bytes, may take a buffer of 4 KiB with it.
fn stream_bytes_max(stream_bytes: usize) -> usize {
    (64 << 10) + stream_bytes / 4 * (4 << 10)
}

fn run_frame(input: Bytes, allocated: &dyn Fn() -> usize) -> Result<Done, String> {
    let mut frames = FrameReader::new();
    let mut rest = &input[..];
    let mut decoded = false;
    while let Some(&first) = rest.first() {
        let buffer = frames.spare();
        let room = buffer.capacity() - buffer.len();
        if room == 0 || room > buffer.len() + FRAME_BYTES_MAX_UNAUTHENTICATED {
            return Err(format!("room for {room} bytes after {}", buffer.len()));
        }
        let piece = rest.len().min(room).min(usize::from(first) + 1);
        buffer.extend_from_slice(&rest[..piece]);
        rest = &rest[piece..];
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) if frame.len() > FRAME_BYTES_MAX_UNAUTHENTICATED => {
                    return Err(format!("a frame of {} bytes", frame.len()));
                }
                Ok(Some(_)) => decoded = true,
                Ok(None) => break,
                Err(_) => return Ok(Done { decoded, allocated_bytes: allocated() }),
            }
        }
    }
    Ok(Done { decoded, allocated_bytes: allocated() })
}

// Record batches.

/// Records of a batch in the corpus at most.
const RECORDS_MAX: usize = 8;

/// Bytes of the record that a bomb holds several times over.
const BOMB_RECORD_BYTES: usize = 15 << 20;

/// Positions in a batch's header.
const LENGTH_AT: usize = 8;
const LENGTH_END: usize = 12;
const CRC_AT: usize = 17;
const HEADER_BYTES: usize = fleuve_record::HEADER_BYTES;

fn batches(source: &mut Source) -> Vec<Vec<u8>> {
    let mut inputs = vec![];
    for index in 0..1_000 {
        let codec = Codec::ALL[index % Codec::ALL.len()];
        let mut builder = BatchBuilder::new().codec(codec);
        for _ in 0..1 + source.below(RECORDS_MAX) {
            let (key, value, name) = (source.bytes(), source.bytes(), source.string());
            let headers = [(&name[..], Some(&key[..]))];
            builder.append(source.i64(), Some(&key), Some(&value), &headers).expect("within all limits");
        }
        inputs.push(builder.finish().expect("within all limits").as_bytes().to_vec());
    }
    inputs
}

fn bombs(_: &mut Source) -> Vec<Vec<u8>> {
    [Codec::Gzip, Codec::Zstd].map(bomb).into()
}

/// A batch whose compressed payload stands there five times, which is more than may be decompressed.
fn bomb(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new().codec(codec);
    builder.append(0, None, Some(&vec![0; BOMB_RECORD_BYTES]), &[]).expect("within all limits");
    let batch = builder.finish().expect("within all limits");
    let mut bytes = batch.as_bytes().to_vec();
    (0..4).for_each(|_| bytes.extend_from_slice(&batch.as_bytes()[HEADER_BYTES..]));
    bytes
}

fn batch_bytes_max(input_bytes: usize) -> usize {
    // The vector that takes the decompressed bytes doubles; a decompressor has windows of its own.
    2 * DECOMPRESSED_BYTES_MAX + (16 << 20) + 4 * input_bytes
}

/// Length and checksum are set right first: otherwise hardly an input would come further than these.
fn run_batch(input: Bytes, allocated: &dyn Fn() -> usize) -> Result<Done, String> {
    let mut bytes = input.to_vec();
    if bytes.len() > HEADER_BYTES {
        let length = (bytes.len() - LENGTH_END) as u32;
        bytes[LENGTH_AT..LENGTH_END].copy_from_slice(&length.to_be_bytes());
        if let Some(crc) = crc_of(&bytes) {
            bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        }
    }
    let mut decoded = false;
    for batch in Batches::new(bytes.into()) {
        let Ok(batch) = batch else { break };
        let Ok(records) = batch.verify_crc().and_then(|()| batch.records()) else { break };
        if records.payload().len() > DECOMPRESSED_BYTES_MAX.max(input.len()) {
            return Err(format!("{} bytes were decompressed", records.payload().len()));
        }
        let (mut right, mut wrong) = (0, 0);
        records.iter().for_each(|record| *(if record.is_ok() { &mut right } else { &mut wrong }) += 1);
        if right > records.len() || wrong > 1 {
            return Err(format!("{right} records and {wrong} errors in a batch of {}", records.len()));
        }
        decoded = wrong == 0;
    }
    Ok(Done { decoded, allocated_bytes: allocated() })
}
