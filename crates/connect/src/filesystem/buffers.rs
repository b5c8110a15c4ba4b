//! Buffers that are used again: a fresh one costs a page fault for every 4 KiB.
//!
//! Measured on a cached 668 MB file: 80 ms of CPU by reading into used buffers, 90 ms into fresh ones, 65 ms by mapping
//! the file. A mapping kills the process when someone truncates the file, so the buffers stay.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Buffers that wait for their next use.
const KEPT_MAX: usize = 16;

/// Larger buffers are given back to the system.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Hands out buffers, and takes them back when the last reader drops them.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

struct Used {
    bytes: Vec<u8>,
    length: usize,
    pool: Buffers,
}

impl AsRef<[u8]> for Used {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let mut kept = self.pool.0.lock();
        if kept.len() < KEPT_MAX && self.bytes.len() <= KEPT_BYTES_MAX {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Buffers {
    /// Bytes of this length, filled by `fill`, which says how many it filled.
    pub(super) fn read<E>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<Bytes, E> {
        let mut bytes = self.0.lock().pop().unwrap_or_default();
        if bytes.len() < length {
            bytes.resize(length.next_power_of_two(), 0);
        }
        let length = fill(&mut bytes[..length])?;
        Ok(Bytes::from_owner(Used { bytes, length, pool: self.clone() }))
    }
}
