//! XXH64 (Collet 2014): what Apache DataSketches' Bloom filter hashes items with.

use twox_hash::XxHash64;

const P1: u64 = 0x9e37_79b1_85eb_ca87;
const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const P3: u64 = 0x1656_67b1_9e37_79f9;
const P4: u64 = 0x85eb_ca77_c2b2_ae63;
const P5: u64 = 0x27d4_eb2f_1656_67c5;

/// The hash of the 8 bytes of a number, least first; free of branches, so that loops over it become vector instructions.
#[inline(always)]
pub(crate) fn xx_number(x: u64, seed: u64) -> u64 {
    let mixed = x.wrapping_mul(P2).rotate_left(31).wrapping_mul(P1);
    let hash = seed.wrapping_add(P5).wrapping_add(8) ^ mixed;
    let hash = hash.rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    let hash = (hash ^ hash >> 33).wrapping_mul(P2);
    let hash = (hash ^ hash >> 29).wrapping_mul(P3);
    hash ^ hash >> 32
}

/// The hash of bytes.
pub(crate) fn xx_bytes(bytes: &[u8], seed: u64) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

#[cfg(test)]
mod tests {
    use super::{xx_bytes, xx_number};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_its_bytes(x: u64, seed: u64) {
            prop_assert_eq!(xx_number(x, seed), xx_bytes(&x.to_le_bytes(), seed));
        }
    }
}
