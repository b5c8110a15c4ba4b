//! Byte strings by slot number: up to 12 bytes lie in the slot itself, longer ones in an arena that is compacted.

/// Bytes that lie in the slot itself.
const INLINE_BYTES_MAX: usize = 12;

/// Dead bytes below which an arena is never compacted.
const COMPACT_BYTES_MIN: usize = 64 << 10;

/// Strings by slot.
///
/// A slot is 16 bytes: the length (4), then either the bytes (12, padded with zeros), or the first four bytes and the
/// position in the arena (8). So most comparisons touch one place.
#[derive(Debug, Default, Clone)]
pub struct ByteStore {
    slots: Vec<u128>,
    arena: Vec<u8>,
    dead_bytes: usize,
}

impl ByteStore {
    /// The bytes in a slot.
    #[inline]
    pub fn get(&self, slot: usize) -> &[u8] {
        let view = &self.slots[slot];
        let length = *view as u32 as usize;
        if length <= INLINE_BYTES_MAX {
            // A slot's bytes in memory are those of the little-endian number.
            &inline_bytes(view)[4..4 + length]
        } else {
            let position = (*view >> 64) as usize;
            &self.arena[position..position + length]
        }
    }

    /// Whether a slot holds these bytes.
    #[inline]
    pub fn equals(&self, slot: usize, bytes: &[u8]) -> bool {
        let view = self.slots[slot];
        if bytes.len() <= INLINE_BYTES_MAX { view == short_view(bytes) } else { self.equals_long(view, bytes) }
    }

    fn equals_long(&self, view: u128, bytes: &[u8]) -> bool {
        let position = (view >> 64) as usize;
        view as u64 == long_view(bytes, 0) as u64 && self.arena[position..position + bytes.len()] == *bytes
    }

    /// Makes room for slots below `slots`; new ones are empty.
    pub fn grow(&mut self, slots: usize) {
        if slots > self.slots.len() {
            self.slots.resize(slots, 0);
        }
    }

    /// Stores bytes in a slot, in place of what it held.
    pub fn set(&mut self, slot: usize, bytes: &[u8]) {
        self.clear(slot);
        self.slots[slot] = if bytes.len() <= INLINE_BYTES_MAX {
            short_view(bytes)
        } else {
            let position = self.arena.len();
            self.arena.extend_from_slice(bytes);
            long_view(bytes, position)
        };
    }

    /// Empties a slot.
    pub fn clear(&mut self, slot: usize) {
        let length = self.slots[slot] as u32 as usize;
        self.slots[slot] = 0;
        if length > INLINE_BYTES_MAX {
            self.dead_bytes += length;
            if self.dead_bytes > COMPACT_BYTES_MIN && self.dead_bytes > self.arena.len() / 2 {
                self.compact();
            }
        }
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.dead_bytes);
        for view in &mut self.slots {
            let length = *view as u32 as usize;
            if length > INLINE_BYTES_MAX {
                let position = (*view >> 64) as usize;
                *view = u128::from(*view as u64) | (arena.len() as u128) << 64;
                arena.extend_from_slice(&self.arena[position..position + length]);
            }
        }
        self.arena = arena;
        self.dead_bytes = 0;
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u128>() + self.arena.capacity()
    }
}

#[cfg(target_endian = "big")]
compile_error!("slots keep their bytes in little-endian order");

fn inline_bytes(view: &u128) -> &[u8; 16] {
    // SAFETY: 16 bytes without padding, every pattern of which is valid, and no stricter alignment.
    unsafe { &*std::ptr::from_ref(view).cast::<[u8; 16]>() }
}

#[inline]
fn read<const N: usize>(bytes: &[u8], position: usize) -> u128 {
    let mut word = [0; 16];
    word[..N].copy_from_slice(&bytes[position..position + N]);
    u128::from_le_bytes(word)
}

/// Reads that overlap, in place of a copy of unknown length.
#[inline]
fn short_view(bytes: &[u8]) -> u128 {
    let n = bytes.len();
    let byte = |position: usize| u128::from(bytes[position]) << (8 * position);
    let packed = match n {
        0 => 0,
        1..=3 => byte(0) | byte(n / 2) | byte(n - 1),
        4..=7 => read::<4>(bytes, 0) | read::<4>(bytes, n - 4) << (8 * (n - 4)),
        _ => read::<8>(bytes, 0) | read::<4>(bytes, n - 4) << (8 * (n - 4)),
    };
    n as u128 | packed << 32
}

#[inline]
fn long_view(bytes: &[u8], position: usize) -> u128 {
    bytes.len() as u128 | read::<4>(bytes, 0) << 32 | (position as u128) << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        let mut store = ByteStore::default();
        store.grow(40);
        let text: Vec<u8> = (1..=40).collect();
        (0..40).for_each(|n| store.set(n, &text[..n]));
        for n in 0..40 {
            assert_eq!(store.get(n), &text[..n]);
            assert!((0..40).all(|m| store.equals(m, &text[..n]) == (m == n)));
        }
        store.set(20, b"another that is not short");
        assert!(!store.equals(20, b"another that is not Short"));
        assert!(!store.equals(20, b"anoTher that is not short"));
    }

    #[test]
    fn the_arena_is_compacted() {
        let mut store = ByteStore::default();
        store.grow(2);
        store.set(0, b"kept for the whole time");
        for round in 0..100_000u32 {
            store.set(1, format!("replaced again and again {round}").as_bytes());
        }
        assert_eq!(store.get(0), b"kept for the whole time");
        assert_eq!(store.get(1), b"replaced again and again 99999");
        assert!(store.bytes() < 4 * COMPACT_BYTES_MIN);
    }
}
