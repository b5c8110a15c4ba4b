//! Bytes to Arrow and back: JSON lines, CSV, Avro, debezium-json, Parquet.
//!
//! **What it is.** Decoders that take bytes and give batches ([`Decode`]: [`JsonDecoder`], [`CsvDecoder`],
//! [`AvroDecoder`], [`DebeziumDecoder`]), encoders for the way back, Parquet in both directions, [framing](lines),
//! [decompression](compress), and the [discovery](infer) of columns in data without a schema.
//!
//! **What it is not.** It does no IO: no file is opened and no socket read here. It knows neither topics nor SQL;
//! what a query needs reaches it as [`Wanted`] columns, [`Prefilter`]s and watermark paths, so that everything else in
//! a record is never converted.
//!
//! **How text is decoded.** In three passes over a block of some 64 KiB, which stays in the cache meanwhile:
//! 1. a vectorised pass makes an *index* of bits: where plain text stops, where lines end (`simd`, `index`);
//! 2. a *walker* finds the wanted values of each row and notes their *spans*; for JSON it follows the *shapes*
//!    that it learned from earlier lines, and only a line without a known shape is scanned in general (`json`, `csv`);
//! 3. each *column* converts its spans of all rows in one loop (`column`).
//!
//! **Invariants.**
//! - The same bytes give the same rows and the same errors, whatever was decoded before: what a decoder learns
//!   changes its speed only.
//! - A bad row never vanishes silently: it is an error, or counted, or handed back, as [`OnBad`] says, always with
//!   its line, its column and the reason; and it never takes a neighbour with it.
//! - No input makes it panic, recurse without bound, or take memory out of proportion.
//! - `unsafe` stands in `simd` alone.
//!
//! ```
//! use arrow::datatypes::DataType;
//! use fleuve_format::{Decode, JsonDecoder, JsonEncoder, JsonOptions, TimestampFormat, Wanted};
//!
//! let wanted = [Wanted::path("price", ["bid", "price"], DataType::Int64)];
//! let mut decoder = JsonDecoder::new(&wanted, JsonOptions::default())?;
//! decoder.decode(b"{\"kind\":2,\"bid\":{\"price\":42,\"url\":\"https://example.org\"}}\n")?;
//! let batch = decoder.flush()?.batch;
//!
//! let mut lines = Vec::new();
//! JsonEncoder::new(&batch.schema(), TimestampFormat::Sql)?.encode(&batch, &mut lines)?;
//! assert_eq!(lines, b"{\"price\":42}\n");
//! # Ok::<(), fleuve_base::Error>(())
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod assembly;
mod avro;
mod bad;
mod base64;
mod blocks;
mod cells;
mod column;
pub mod compress;
mod csv;
mod debezium;
mod decode;
mod escape;
mod index;
pub mod infer;
mod json;
pub mod lines;
mod number;
mod parquet;
mod simd;
mod span;
mod time;
mod types;
mod wanted;

pub use crate::csv::{CsvDecoder, CsvEncoder, CsvOptions};
pub use crate::parquet::{ParquetCompression, ParquetOptions, ParquetReader, ParquetSink};
pub use assembly::Decoded;
pub use avro::{AvroDecoder, AvroEncoder, AvroOptions, AvroSchema};
pub use bad::{BadRecord, OnBad};
pub use debezium::{DebeziumDecoder, DebeziumEncoder};
pub use decode::Decode;
pub use json::{Condition, JsonDecoder, JsonEncoder, JsonOptions, Literal, Prefilter};
pub use time::TimestampFormat;
pub use types::sql_type;
pub use wanted::Wanted;
