//! Kafka's record batch, version 2 (`magic` 2): build, check, read.
//!
//! **What it is.** The one format of stored streams. A batch lies in a segment file byte for byte as a Kafka
//! client sent it or will fetch it, so produce and fetch copy bytes and never encode again. [`BatchBuilder`]
//! makes a batch, [`Batch`] is an owned one that has been checked and may still be stamped (offset, producer),
//! [`BatchView`] reads one in place, [`Records`] iterates over its records without copying them.
//!
//! **What it is not.** The older message sets (magic 0 and 1), or a topic: files are `fleuve-journal`'s.
//!
//! **Invariants.** No input makes this crate panic or allocate more than the input's size plus the
//! decompression cap: every count is bounded by the bytes that are left, every decompression by
//! [`DECOMPRESSED_BYTES_MAX`](fleuve_base::limits::DECOMPRESSED_BYTES_MAX). The CRC32C covers everything from
//! the attributes on; base offset and leader epoch lie before it, since the log assigns them.
//!
//! ```
//! use fleuve_record::{BatchBuilder, Codec};
//!
//! let mut builder = BatchBuilder::new().codec(Codec::Lz4);
//! builder.append(1_000, Some(b"key"), Some(b"value"), &[("trace", Some(b"7"))])?;
//! builder.append(1_001, None, Some(b"another"), &[])?;
//! let mut batch = builder.finish()?;
//! batch.assign_offset(40);
//!
//! let records = batch.view().records()?;
//! let offsets: Vec<i64> = records.iter().map(|r| r.map(|r| r.offset)).collect::<Result<_, _>>()?;
//! assert_eq!(offsets, [40, 41]);
//! # Ok::<(), fleuve_base::Error>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod batch;
mod builder;
mod codec;
mod control;
mod header;
mod outline;
mod records;
mod rewrite;
pub mod varint;
mod xerial;

pub use batch::{Batch, BatchView, Batches};
pub use builder::BatchBuilder;
pub use codec::Codec;
pub use control::EndMarker;
pub use header::{
    Attributes, BatchHeader, CrcOfParts, HEADER_BYTES, LENGTH_PREFIX_BYTES, RECORD_BYTES_MIN, crc_of, crc32c,
};
pub use outline::Outline;
pub use records::{Record, RecordHeader, RecordHeaders, RecordIter, Records};
