//! Avro's binary encoding, record by record, straight to and from columns.
//!
//! A record has no header: whoever reads it must know the schema that it was written with. By default that is the one
//! that a table's columns give, by the rules of Flink's `avro` format: a nullable column is a union with null, and dates,
//! times and decimals are logical types. Another writer's schema can be given as JSON; its fields are found by name.
//!
//! The decoder walks the writer's fields in their order, because nothing tells where a field ends but reading it. Fields
//! that nobody wants are stepped over without being converted.

mod column;
mod decode;
mod encode;
mod input;
mod parse;
mod schema;

pub use decode::{AvroDecoder, AvroOptions};
pub use encode::AvroEncoder;
pub use schema::AvroSchema;
