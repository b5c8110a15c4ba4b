//! Messages that lie inside byte fields, with their version in front: what consumers put into JoinGroup and
//! SyncGroup ([`ConsumerProtocolSubscription`], [`ConsumerProtocolAssignment`]).
//!
//! [`ConsumerProtocolSubscription`]: crate::messages::consumer_protocol_subscription::ConsumerProtocolSubscription
//! [`ConsumerProtocolAssignment`]: crate::messages::consumer_protocol_assignment::ConsumerProtocolAssignment

use bytes::{Bytes, BytesMut};
use fleuve_base::Stored;

use crate::{DecodeError, DecodeErrorKind, EncodeError, Message, Reader, Writer};

/// Decodes a version and a message of that version, or of `version_max` if it is newer: later versions only add
/// fields at the end.
///
/// # Errors
/// The version is negative, or the bytes are not such a message.
pub fn decode<T: Message>(bytes: Bytes, version_max: i16) -> Result<(i16, T), DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    if version < 0 {
        return Err(reader.error(DecodeErrorKind::WrongLength));
    }
    Ok((version, T::decode(&mut reader, version.min(version_max))?))
}

/// Encodes the version and the message.
///
/// # Errors
/// The version cannot express a value.
pub fn encode<T: Message>(message: &T, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(version);
    message.encode(&mut writer, version)?;
    let mut out = BytesMut::with_capacity(writer.len());
    for chunk in writer.into_chunks() {
        let Stored::Memory(bytes) = chunk else { unreachable!("only answers to fetches have chunks in files") };
        out.extend_from_slice(&bytes);
    }
    Ok(out.freeze())
}
