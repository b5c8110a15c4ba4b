//! JSON lines: one object a line (RFC 8259).

mod decoder;
mod encode;
mod filter;
mod options;
mod plan;
mod row;
mod scan;
mod shape;

pub use decoder::JsonDecoder;
pub use encode::JsonEncoder;
pub use options::{Condition, JsonOptions, Literal, Prefilter};

pub(crate) use encode::fields_of;
pub(crate) use scan::{Scanner, Syntax, after};
