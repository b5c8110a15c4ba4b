//! Buffers of large reads, used again: fresh memory would have to be cleared page by page each time.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use parking_lot::Mutex;

/// Buffers that wait for their next use.
const WAITING_MAX: usize = 4;

/// Bytes of a buffer that is worth keeping; larger ones are given back to the system.
const KEPT_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=2 << 20;

/// All of the process: how much memory waits is bounded however many logs there are.
static BUFFERS: LazyLock<Arc<Buffers>> = LazyLock::new(Arc::default);

#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer of at least so many bytes, whatever they are.
    fn take(&self, length: usize) -> Vec<u8> {
        let mut waiting = self.0.lock();
        let found = waiting.iter().position(|buffer| buffer.len() >= length);
        let found = found.map(|at| waiting.swap_remove(at));
        drop(waiting);
        found.unwrap_or_else(|| vec![0; length.next_multiple_of(*KEPT_BYTES.start())])
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut waiting = self.0.lock();
        if KEPT_BYTES.contains(&buffer.len()) && waiting.len() < WAITING_MAX {
            waiting.push(buffer);
        }
    }
}

/// The filled front of a buffer, which goes back when nobody looks at it any more.
struct Lent {
    buffer: Vec<u8>,
    filled: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

/// A buffer of `length` bytes, whatever they are, for as long as it is held.
pub(crate) struct Scratch(Lent);

impl Scratch {
    pub(crate) fn new(length: usize) -> Self {
        Scratch(Lent { buffer: BUFFERS.take(length), filled: length, home: Arc::clone(&BUFFERS) })
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0.buffer[..self.0.filled]
    }
}

/// Whether a read of so many bytes should go into a buffer of these.
pub(crate) fn are_worth(length: usize) -> bool {
    KEPT_BYTES.contains(&length)
}

/// What `read` has filled a buffer of `length` bytes with; it returns how many they are.
pub(crate) fn filled<E>(length: usize, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<Bytes, E> {
    let mut lent = Lent { buffer: BUFFERS.take(length), filled: 0, home: Arc::clone(&BUFFERS) };
    lent.filled = read(&mut lent.buffer[..length])?.min(length);
    Ok(Bytes::from_owner(lent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(home: &Arc<Buffers>, byte: u8, length: usize) -> Bytes {
        let mut buffer = home.take(length);
        buffer[..length].fill(byte);
        Bytes::from_owner(Lent { buffer, filled: length, home: Arc::clone(home) })
    }

    #[test]
    fn a_buffer_is_used_again_only_when_nobody_looks_at_it() {
        let home = Arc::new(Buffers::default());
        let first = of(&home, 1, 100 << 10);
        let part = first.slice(10..20);
        drop(first);
        let second = of(&home, 2, 100 << 10);
        assert_eq!(part, vec![1; 10]);
        let at = second.as_ptr();
        drop(second);
        let third = of(&home, 3, 70 << 10);
        assert_eq!(third.as_ptr(), at, "the buffer is large enough");
        assert!(third.len() == 70 << 10 && third.iter().all(|byte| *byte == 3));
        assert_eq!(part, vec![1; 10]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let home = Arc::new(Buffers::default());
        let many: Vec<Bytes> = (0..10).map(|n| of(&home, n, (1 << 20) + usize::from(n))).collect();
        let large = of(&home, 0, 3 << 20);
        drop((many, large));
        let waiting = home.0.lock();
        assert!(waiting.len() == WAITING_MAX && waiting.iter().all(|buffer| buffer.len() <= 2 << 20));
    }
}
