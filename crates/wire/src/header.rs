//! The headers before a request's and a response's body.

use bytes::Bytes;

use crate::{ApiKey, DecodeError, DecodeErrorKind, EncodeError, Reader, Writer};

/// The first eight bytes of every request, whatever its API and version.
///
/// What a server needs to answer a request that it does not know: see [`request`](crate::request).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPrefix {
    /// The API's number, known or not.
    pub api_key: i16,
    /// The version, supported or not.
    pub api_version: i16,
    /// What the response has to repeat.
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// The prefix of a frame, without its length.
    ///
    /// # Errors
    /// The frame has less than eight bytes.
    pub fn parse(frame: &Bytes) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(frame.clone()))
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(RequestPrefix { api_key: reader.i16()?, api_version: reader.i16()?, correlation_id: reader.i32()? })
    }

    /// The API and version, if both are known.
    ///
    /// # Errors
    /// [`DecodeErrorKind::UnknownApi`] or [`DecodeErrorKind::UnsupportedVersion`].
    pub fn api(&self) -> Result<ApiKey, DecodeError> {
        let unknown = DecodeError { kind: DecodeErrorKind::UnknownApi(self.api_key), position: 0 };
        let api = ApiKey::from_i16(self.api_key).ok_or(unknown)?;
        check_version(api, self.api_version)?;
        Ok(api)
    }
}

pub(crate) fn check_version(api: ApiKey, version: i16) -> Result<(), DecodeError> {
    match api.versions().contains(&version) {
        true => Ok(()),
        false => Err(DecodeError { kind: DecodeErrorKind::UnsupportedVersion(api, version), position: 2 }),
    }
}

/// A request's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API.
    pub api_key: ApiKey,
    /// The version of request and response.
    pub api_version: i16,
    /// What the response has to repeat.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Reads header version 2 if the API's version is flexible, version 1 otherwise.
    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, DecodeError> {
        let prefix = RequestPrefix::read(reader)?;
        let api_key = prefix.api()?;
        // The client's name has a length of two bytes even in flexible headers, so that its place never moves.
        let client_id = reader.nullable_string(false)?;
        if is_flexible(api_key, prefix.api_version) {
            reader.skip_tagged_fields()?;
        }
        let RequestPrefix { api_version, correlation_id, .. } = prefix;
        Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
    }

    pub(crate) fn encode(
        writer: &mut Writer,
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        client_id: Option<&str>,
    ) -> Result<(), EncodeError> {
        writer.i16(api.to_i16());
        writer.i16(version);
        writer.i32(correlation_id);
        writer.nullable_string(client_id, false)?;
        if is_flexible(api, version) {
            writer.tagged_count(0);
        }
        Ok(())
    }
}

/// Whether lengths are varints and structs have tagged fields.
fn is_flexible(api: ApiKey, version: i16) -> bool {
    api.flexible_from().is_some_and(|first| version >= first)
}

/// Whether the response's header has tagged fields. Never that of ApiVersions: its reader does not know yet which
/// versions the broker has.
pub(crate) fn response_header_is_flexible(api: ApiKey, version: i16) -> bool {
    api != ApiKey::ApiVersions && is_flexible(api, version)
}
