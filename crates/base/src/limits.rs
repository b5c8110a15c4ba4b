//! Limits that more than one crate respects. Each count, queue, frame and recursion has one, here or beside its use.

/// Bytes of one record (key, value and headers) in a topic.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// Bytes of one record batch as it lies in a segment.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// Bytes that decompressing one record batch may yield.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// Rows of one Arrow batch between operators: small enough that a few columns of it stay in the second-level cache.
pub const BATCH_ROWS: usize = 8 << 10;

/// Bytes of a SQL script.
pub const SCRIPT_BYTES_MAX: usize = 4 << 20;

/// Bytes of one line of a text format (CSV, JSON lines).
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// Key groups that keyed state is dealt out by; fixed for ever, since it is part of the snapshot format.
pub const KEY_GROUPS: usize = 256;

/// Worker threads of one pipeline.
pub const WORKERS_MAX: usize = 256;
