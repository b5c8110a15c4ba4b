//! The codec against itself, against another implementation, and against hostile bytes.

mod round_trip;
