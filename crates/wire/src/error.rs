//! What can be wrong with received bytes, or with a message that is to be sent.

use std::fmt;

use crate::ApiKey;

/// Received bytes are not a message, or not one that is known here. Made without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Bytes from the frame's start (behind its length) to where it is wrong.
    pub position: usize,
}

/// What is wrong with received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// The frame ends within a field.
    Truncated,
    /// A length or a count is negative, or more than the frame could hold.
    WrongLength,
    /// A varint is longer than five bytes or over 32 bits.
    WrongVarint,
    /// A field is null that may not be.
    Null,
    /// A string is not UTF-8.
    NotUtf8,
    /// Tagged fields are not in ascending order, or one is longer or shorter than it says.
    WrongTaggedField,
    /// The message would take more memory than [`heap_bytes_max`](crate::limits::heap_bytes_max) grants.
    TooLarge,
    /// A frame's length is negative or over the limit.
    WrongFrameLength,
    /// No such API is known here.
    UnknownApi(i16),
    /// The API is known, but not in this version.
    UnsupportedVersion(ApiKey, i16),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DecodeErrorKind::Truncated => write!(f, "the frame ends within a field"),
            DecodeErrorKind::WrongLength => write!(f, "a length or a count is more than the frame holds"),
            DecodeErrorKind::WrongVarint => write!(f, "a varint is too long"),
            DecodeErrorKind::Null => write!(f, "a field is null that may not be"),
            DecodeErrorKind::NotUtf8 => write!(f, "a string is not UTF-8"),
            DecodeErrorKind::WrongTaggedField => write!(f, "tagged fields are out of order or of a wrong length"),
            DecodeErrorKind::TooLarge => write!(f, "the message would take too much memory"),
            DecodeErrorKind::WrongFrameLength => write!(f, "a frame's length is negative or over the limit"),
            DecodeErrorKind::UnknownApi(key) => write!(f, "API {key} is not known"),
            DecodeErrorKind::UnsupportedVersion(api, version) => {
                let versions = api.versions();
                write!(f, "{} has versions {} to {}, not {version}", api.name(), versions.start(), versions.end())
            }
        }?;
        write!(f, ", at byte {} of the frame", self.position)
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for fleuve_base::Error {
    fn from(error: DecodeError) -> Self {
        fleuve_base::Error::input("E720", error.to_string())
    }
}

/// A message cannot be sent in the chosen version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError(String);

impl EncodeError {
    pub(crate) fn no_such_field(field: &str, version: i16) -> Self {
        EncodeError(format!("{field} does not exist in version {version}, and has a value that would be lost"))
    }

    pub(crate) fn null(field: &str, version: i16) -> Self {
        EncodeError(format!("{field} may not be null in version {version}"))
    }

    pub(crate) fn no_such_version(api: ApiKey, version: i16) -> Self {
        let versions = api.versions();
        EncodeError(format!("{} has versions {} to {}, not {version}", api.name(), versions.start(), versions.end()))
    }

    pub(crate) fn too_long(what: &str, length: usize) -> Self {
        EncodeError(format!("{what} of {length} is longer than the protocol can express"))
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EncodeError {}

impl From<EncodeError> for fleuve_base::Error {
    fn from(error: EncodeError) -> Self {
        fleuve_base::Error::new(fleuve_base::ErrorKind::Unsupported, "E721", error.0)
    }
}
