//! The codec against itself, against another implementation, and against hostile bytes.

mod allocator;
mod each;
mod frame;
mod golden;
mod hostile;
mod other;
mod primitives;
mod round_trip;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;
