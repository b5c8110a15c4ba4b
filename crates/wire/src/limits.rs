//! The limits of the codec.

/// Bytes of a frame before its sender is authenticated.
pub const FRAME_BYTES_MAX_UNAUTHENTICATED: usize = 16 << 10;

/// Bytes of a frame after that; Kafka's default (`socket.request.max.bytes`).
pub const FRAME_BYTES_MAX: usize = 100 << 20;

/// A byte field of this length or more becomes a chunk of its own when it is encoded, instead of being copied.
pub const CHUNK_BYTES_MIN: usize = 1 << 10;

/// Bytes of a string on the wire.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Heap bytes that decoding may take for each byte of the frame: a struct in memory is larger than on the wire.
///
/// A partition in a Metadata response, for example, is 26 bytes on the wire and 88 in memory. Only arrays of
/// empty strings and the like come near the limit.
pub const HEAP_BYTES_PER_FRAME_BYTE: usize = 8;

/// Heap bytes that any frame may take, so that small ones need not count.
pub const HEAP_BYTES_MIN: usize = 64 << 10;

/// Heap bytes that no frame may exceed, however large: only records make large frames, and they are not copied.
pub const HEAP_BYTES_MAX: usize = 64 << 20;

/// Heap bytes that decoding a frame of `frame_bytes` may allocate at most; over it, decoding is an error.
pub fn heap_bytes_max(frame_bytes: usize) -> usize {
    frame_bytes.saturating_mul(HEAP_BYTES_PER_FRAME_BYTE).saturating_add(HEAP_BYTES_MIN).min(HEAP_BYTES_MAX)
}
