//! Sets to calculate with: all hashes of a set that are below a threshold θ.
//!
//! The stored form is that of Apache DataSketches' compact Theta sketch, serial version 3:
//!
//! | bytes | content |
//! |---|---|
//! | 0 | the header in 8-byte words: 1 for none or one hash, 2 if θ is 1, else 3 |
//! | 1, 2 | 3, the serial version; 3, the family Theta |
//! | 3, 4 | 0 |
//! | 5 | flags: 2 read-only, 4 empty, 8 compact, 16 ordered |
//! | 6 | 2: hash of the seed |
//! | 8 | 4: the number of hashes; 4: unused (from 2 words on) |
//! | 16 | 8: θ (from 3 words on) |
//! | then | hashes, 8 bytes each |

use crate::codec::{Reader, put_u64s};
use crate::estimate::Estimate;
use crate::hash::murmur::{DEFAULT_SEED, seed_hash};
use fleuve_base::Result;

/// θ = 1: hashes are 63 bits, and all of them are below.
pub(super) const THETA_MAX: u64 = i64::MAX as u64;

const WHAT: &str = "stored Theta sketch";
const SERIAL_VERSION: u8 = 3;
const FAMILY: u8 = 3;
const READ_ONLY: u8 = 2;
const EMPTY: u8 = 4;
const COMPACT: u8 = 8;
const ORDERED: u8 = 16;

/// A set of which all hashes below θ are known: as an answer, and for union, intersection and difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThetaSet {
    theta: u64,
    /// In ascending order, each above 0 and below θ.
    hashes: Vec<u64>,
}

impl Default for ThetaSet {
    /// The empty set.
    fn default() -> Self {
        ThetaSet { theta: THETA_MAX, hashes: Vec::new() }
    }
}

impl ThetaSet {
    pub(super) fn new(theta: u64, hashes: Vec<u64>) -> Self {
        ThetaSet { theta, hashes }
    }

    pub(super) fn theta(&self) -> u64 {
        self.theta
    }

    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    fn below(&self, theta: u64) -> &[u64] {
        &self.hashes[..self.hashes.partition_point(|hash| *hash < theta)]
    }

    /// What is in either set, keeping at most 2^`lg_k` hashes.
    pub fn union(&self, other: &Self, lg_k: u8) -> Self {
        let mut theta = self.theta.min(other.theta);
        let mut hashes = [self.below(theta), other.below(theta)].concat();
        hashes.sort_unstable();
        hashes.dedup();
        if let Some(next) = hashes.get(1usize << lg_k.min(30)) {
            theta = *next;
            hashes.retain(|hash| *hash < theta);
        }
        ThetaSet { theta, hashes }
    }

    /// What is in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.select(other, true)
    }

    /// What is in this set and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.select(other, false)
    }

    fn select(&self, other: &Self, present: bool) -> Self {
        let theta = self.theta.min(other.theta);
        let chosen = self.below(theta).iter().filter(|hash| other.hashes.binary_search(hash).is_ok() == present);
        let hashes: Vec<u64> = chosen.copied().collect();
        ThetaSet { theta, hashes }
    }

    /// The number of items, with bounds two standard errors away, about 95 %.
    ///
    /// Of n items, c have hashes below θ = p with mean np and variance np(1 − p); the bounds are the n for which c is two
    /// standard deviations away from its mean (Wilson 1927), which holds for intersections of a few hashes, too.
    pub fn estimate(&self) -> Estimate {
        let count = self.hashes.len() as f64;
        if self.theta == THETA_MAX {
            return Estimate::exact(count);
        }
        let p = self.theta as f64 / THETA_MAX as f64;
        let q = 1.0 - p;
        let spread = 2.0 * (count * q + q * q).sqrt();
        let low = ((count + 2.0 * q - spread) / p).max(count);
        Estimate { value: count / p, low, high: (count + 2.0 * q + spread) / p }
    }

    /// How many bytes this set holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.hashes.capacity() * 8
    }

    /// The stored form, as Apache DataSketches defines it for its compact Theta sketch.
    pub fn to_bytes(&self) -> Vec<u8> {
        let all = self.theta == THETA_MAX;
        let words = match self.hashes.len() {
            0 | 1 if all => 1,
            _ => 3 - u8::from(all),
        };
        let empty = if all && self.hashes.is_empty() { EMPTY } else { 0 };
        let flags = READ_ONLY | COMPACT | ORDERED | empty;
        let mut bytes = vec![words, SERIAL_VERSION, FAMILY, 0, 0, flags];
        bytes.extend(seed_hash(DEFAULT_SEED).to_le_bytes());
        if words > 1 {
            bytes.extend((self.hashes.len() as u64).to_le_bytes());
        }
        if words > 2 {
            bytes.extend(self.theta.to_le_bytes());
        }
        put_u64s(&mut bytes, self.hashes.iter().copied());
        bytes
    }

    /// Reads the stored form of Apache DataSketches, ordered or not.
    ///
    /// # Errors
    /// If the bytes are not such a form, or were made with another seed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let [words, version, family, _, _, flags] = reader.array::<6>()?;
        let seed = reader.u16()?;
        reader.demand(family == FAMILY, "they are of another family")?;
        reader.demand(version == SERIAL_VERSION, "their version is unknown, or they are compressed")?;
        reader.demand(flags & COMPACT != 0, "they are not compact")?;
        reader.demand((1..=3).contains(&words), "the header has a wrong length")?;
        if flags & EMPTY != 0 {
            return Ok(ThetaSet::default());
        }
        reader.demand(seed == seed_hash(DEFAULT_SEED), "their items were hashed with another seed")?;
        let count = if words == 1 { 1 } else { reader.u64()? as u32 as usize };
        let theta = if words == 3 { reader.u64()? } else { THETA_MAX };
        reader.demand((1..=THETA_MAX).contains(&theta), "θ is out of range")?;
        let mut hashes = reader.u64s(count)?;
        hashes.sort_unstable();
        reader.demand(hashes.iter().all(|hash| (1..theta).contains(hash)), "a hash is not below θ")?;
        reader.demand(hashes.windows(2).all(|pair| pair[0] != pair[1]), "a hash is there twice")?;
        Ok(ThetaSet { theta, hashes })
    }
}

#[cfg(test)]
mod tests {
    use super::ThetaSet;
    use crate::distinct::Theta;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(items: &BTreeSet<i64>) -> ThetaSet {
        let mut theta = Theta::new(10).unwrap();
        items.iter().for_each(|item| theta.update(item));
        theta.set()
    }

    proptest! {
        /// Below 1,024 items all is exact.
        #[test]
        fn sets_behave_as_sets(
            a in prop::collection::btree_set(0i64..400, 0..300), b in prop::collection::btree_set(0i64..400, 0..300)
        ) {
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!(x.union(&y, 10), set(&(&a | &b)));
            prop_assert_eq!(x.intersection(&y), set(&(&a & &b)));
            prop_assert_eq!(x.difference(&y), set(&(&a - &b)));
            prop_assert_eq!(ThetaSet::from_bytes(&x.to_bytes()).unwrap(), x);
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, items in 0i64..2000, at: usize, byte: u8) {
            let _ = ThetaSet::from_bytes(&bytes);
            let mut bytes = set(&(0..items).collect()).to_bytes();
            let place = at % bytes.len();
            prop_assert!(items == 0 || ThetaSet::from_bytes(&bytes[..place]).is_err());
            bytes[place] = byte;
            if let Ok(read) = ThetaSet::from_bytes(&bytes) {
                read.estimate();
                read.intersection(&ThetaSet::default());
            }
        }
    }
}
