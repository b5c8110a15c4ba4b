//! Kafka's protocol as a codec: bytes to messages and back, without a socket.
//!
//! **What it is.** Every message that a broker and its clients exchange, in both directions and all versions that
//! Kafka 4 serves. [`request::decode`] and [`response::encode`] are the broker's side, [`request::encode`] and
//! [`response::decode`] a client's. [`messages`] has a module per message; they are generated from the tables in
//! `messages/`, with Kafka's names for structs and fields. [`FrameReader`] cuts a byte stream into frames.
//!
//! **What it is not.** A broker or a client: it knows no topic, keeps no state, and never looks into records,
//! which `fleuve-record` reads.
//!
//! **Invariants.**
//! - No input makes it panic. A count is believed only as far as the bytes that are left could hold it, and all
//!   memory that a frame makes it allocate is paid from a budget ([`limits::heap_bytes_max`]).
//! - Records and other long byte fields are never copied: decoded they are slices of the frame, encoded they are
//!   chunks of their own, for a vectored write. Records of a fetch may even stay in their file ([`Stored`]).
//! - A value that a version cannot express is an error, unless Kafka's schema says that it may be left out.
//!
//! Start reading at [`request`], then [`Reader`]; `build/table.rs` explains the tables.
//!
//! ```
//! use fleuve_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
//! use fleuve_wire::{ApiKey, Request, request};
//!
//! let topic = MetadataRequestTopic { name: Some("orders".to_owned()), ..Default::default() };
//! let asked = Request::from(MetadataRequest { topics: Some(vec![topic]), ..Default::default() });
//! let frame = request::encode(9, 7, Some("me"), &asked)?.to_bytes().slice(4..);
//!
//! let (header, received) = request::decode(frame)?;
//! assert_eq!((header.api_key, header.api_version, header.correlation_id), (ApiKey::Metadata, 9, 7));
//! assert_eq!(received, asked);
//! # Ok::<(), fleuve_base::Error>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod api;
#[cfg(feature = "arbitrary")]
mod arbitrary;
mod error;
mod error_code;
mod frame;
mod header;
pub mod limits;
mod message;
pub mod messages;
mod reader;
pub mod request;
pub mod response;
mod uuid;
pub mod versioned;
mod writer;

pub use api::{ApiKey, Request, Response};
#[cfg(feature = "arbitrary")]
pub use arbitrary::{Arbitrary, Source};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use error_code::ErrorCode;
pub use fleuve_base::{FileRange, Stored};
pub use frame::FrameReader;
pub use header::{RequestHeader, RequestPrefix};
pub use message::Message;
pub use reader::Reader;
pub use uuid::Uuid;
pub use writer::{EncodedFrame, Writer};
