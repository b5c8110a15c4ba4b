//! Whole requests: header and body.
//!
//! A server that receives what it does not know has two ways out. For ApiVersions of an unknown version it answers
//! [`ErrorCode::UNSUPPORTED_VERSION`](crate::ErrorCode) in version 0, which every client reads before it tries
//! again; for anything else it closes the connection. [`decode`] tells the cases apart by the kind of its error,
//! and [`RequestPrefix`](crate::RequestPrefix) has the correlation id:
//!
//! ```
//! use fleuve_wire::messages::api_versions_response::ApiVersionsResponse;
//! use fleuve_wire::{ApiKey, DecodeErrorKind, ErrorCode, RequestPrefix, request, response};
//!
//! let frame = bytes::Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]);
//! let error = request::decode(frame.clone()).expect_err("there is no version 99");
//! assert_eq!(error.kind, DecodeErrorKind::UnsupportedVersion(ApiKey::ApiVersions, 99));
//!
//! let prefix = RequestPrefix::parse(&frame)?;
//! let error_code = ErrorCode::UNSUPPORTED_VERSION.into();
//! let refusal = ApiVersionsResponse { error_code, ..Default::default() }.into();
//! let answer = response::encode(prefix.correlation_id, 0, &refusal)?;
//! assert_eq!(&answer.to_bytes()[..], [0, 0, 0, 10, 0, 0, 0, 7, 0, 35, 0, 0, 0, 0]);
//! # Ok::<(), fleuve_base::Error>(())
//! ```

use bytes::Bytes;

use crate::{DecodeError, EncodeError, EncodedFrame, Reader, Request, RequestHeader, Writer};

/// Decodes a frame, without its length. Bytes behind the message are ignored, as Kafka does.
///
/// # Errors
/// The API or its version is not known, or the bytes are not such a request.
pub fn decode(frame: Bytes) -> Result<(RequestHeader, Request), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader)?;
    let request = Request::decode(header.api_key, header.api_version, &mut reader)?;
    Ok((header, request))
}

/// Encodes a request as a frame.
///
/// # Errors
/// The version does not exist or cannot express a value.
pub fn encode(
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &Request,
) -> Result<EncodedFrame, EncodeError> {
    let mut writer = Writer::frame();
    RequestHeader::encode(&mut writer, request.api_key(), api_version, correlation_id, client_id)?;
    request.encode(&mut writer, api_version)?;
    writer.into_frame()
}
