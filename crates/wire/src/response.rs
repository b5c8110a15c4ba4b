//! Whole responses: header and body.

use bytes::Bytes;

use crate::header::response_header_is_flexible;
use crate::{ApiKey, DecodeError, EncodeError, EncodedFrame, Reader, Response, Writer};

/// Encodes a response as a frame: the correlation id and version are those of the request.
///
/// # Errors
/// The version does not exist or cannot express a value.
pub fn encode(correlation_id: i32, api_version: i16, response: &Response) -> Result<EncodedFrame, EncodeError> {
    let mut writer = Writer::frame();
    writer.i32(correlation_id);
    if response_header_is_flexible(response.api_key(), api_version) {
        writer.tagged_count(0);
    }
    response.encode(&mut writer, api_version)?;
    writer.into_frame()
}

/// The correlation id of a frame, without its length: it tells which request is answered, hence what to decode.
///
/// # Errors
/// The frame has less than four bytes.
pub fn correlation_id(frame: &Bytes) -> Result<i32, DecodeError> {
    Reader::new(frame.clone()).i32()
}

/// Decodes a frame, without its length, that answers a request of this API and version.
///
/// # Errors
/// The bytes are not such a response.
pub fn decode(api: ApiKey, api_version: i16, frame: Bytes) -> Result<(i32, Response), DecodeError> {
    let mut reader = Reader::new(frame);
    let correlation_id = reader.i32()?;
    if response_header_is_flexible(api, api_version) {
        reader.skip_tagged_fields()?;
    }
    let response = Response::decode(api, api_version, &mut reader)?;
    Ok((correlation_id, response))
}
