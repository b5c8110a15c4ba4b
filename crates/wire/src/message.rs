//! What every message and every struct in one can do.

use crate::{DecodeError, EncodeError, Reader, Writer};

/// A message or a part of one.
///
/// `version` is the API's version, one of the message's `VERSIONS`; what other numbers yield is not specified,
/// except that nothing panics. [`Request`](crate::Request) and [`Response`](crate::Response) check it.
pub trait Message: Sized {
    /// Reads the message; fields that the version lacks get their default.
    ///
    /// # Errors
    /// The bytes are not such a message. The reader then stands anywhere.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes the message.
    ///
    /// # Errors
    /// A field has a value that this version cannot express. The writer then holds a part of the message.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;
}
