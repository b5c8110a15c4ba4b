//! MurmurHash3, the variant of 128 bits for 64-bit machines (Appleby 2011): what Apache DataSketches hashes items with.
//!
//! It has no proven independence; it is here because summaries whose stored form others read must hash as they do.

use super::fold::little_endian;

/// The seed that Apache DataSketches uses unless told otherwise.
pub const DEFAULT_SEED: u64 = 9001;

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

#[inline(always)]
fn mix_first(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

#[inline(always)]
fn mix_second(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

#[inline(always)]
fn finish(k: u64) -> u64 {
    let k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

#[inline(always)]
fn finish_both(h1: u64, h2: u64, length: u64) -> (u64, u64) {
    let (h1, h2) = (h1 ^ length, h2 ^ length);
    let h1 = h1.wrapping_add(h2);
    let h2 = h2.wrapping_add(h1);
    let (h1, h2) = (finish(h1), finish(h2));
    let h1 = h1.wrapping_add(h2);
    (h1, h2.wrapping_add(h1))
}

/// The hash of the 8 bytes of a number, least first; free of branches, so that loops over it become vector instructions.
#[inline(always)]
pub fn murmur_number(x: u64, seed: u64) -> (u64, u64) {
    finish_both(seed ^ mix_first(x), seed, 8)
}

/// The hash of a byte string.
pub fn murmur_bytes(bytes: &[u8], seed: u64) -> (u64, u64) {
    let (mut h1, mut h2) = (seed, seed);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        let (first, second) = block.split_at(8);
        h1 = (h1 ^ mix_first(little_endian(first))).rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 = (h2 ^ mix_second(little_endian(second))).rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (first, second) = blocks.remainder().split_at(blocks.remainder().len().min(8));
    finish_both(h1 ^ mix_first(little_endian(first)), h2 ^ mix_second(little_endian(second)), bytes.len() as u64)
}

/// The 16 bits by which a stored summary tells which seed its items were hashed with. A seed for which they are 0 is not used.
pub fn seed_hash(seed: u64) -> u16 {
    murmur_number(seed, 0).0 as u16
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_SEED, murmur_bytes, murmur_number, seed_hash};
    use proptest::prelude::*;

    /// Values of the reference implementation, as the tests of DataSketches in C++ have them.
    #[test]
    fn follows_the_reference() {
        let fox = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(murmur_bytes(fox, 0), (0xe34b_bc7b_bc07_1b6c, 0x7a43_3ca9_c49a_9347));
        assert_eq!(murmur_bytes(b"", 0), (0, 0));
        assert_eq!(seed_hash(DEFAULT_SEED), 37836);
    }

    proptest! {
        #[test]
        fn a_number_is_its_bytes(x: u64, seed: u64) {
            prop_assert_eq!(murmur_number(x, seed), murmur_bytes(&x.to_le_bytes(), seed));
        }
    }
}
