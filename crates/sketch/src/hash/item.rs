//! What can be an item of a summary.

use super::Fold;
use super::murmur::{murmur_bytes, murmur_number};

/// An item: a number, a text, bytes. All summaries take all of them; one summary should be given one type only.
///
/// Equal values are the same item: −0.0 is 0.0, and all NaN are one. Narrower numbers are to be widened first; a text is the
/// same item as its bytes in UTF-8.
pub trait Item {
    /// The item as an element of the field of 2⁶¹ − 1.
    fn fold(&self, fold: &Fold) -> u64;

    /// Both halves of MurmurHash3 of the item, as Apache DataSketches computes them.
    fn murmur(&self, seed: u64) -> (u64, u64);
}

impl Item for i64 {
    #[inline(always)]
    fn fold(&self, fold: &Fold) -> u64 {
        fold.number(*self as u64)
    }

    #[inline(always)]
    fn murmur(&self, seed: u64) -> (u64, u64) {
        murmur_number(*self as u64, seed)
    }
}

impl Item for u64 {
    #[inline(always)]
    fn fold(&self, fold: &Fold) -> u64 {
        fold.number(*self)
    }

    #[inline(always)]
    fn murmur(&self, seed: u64) -> (u64, u64) {
        murmur_number(*self, seed)
    }
}

/// The bits of a float, the same for all that are equal, and for all NaN.
#[inline(always)]
pub(crate) fn canonical_bits(x: f64) -> u64 {
    if x.is_nan() { 0x7ff8_0000_0000_0000 } else { (x + 0.0).to_bits() }
}

impl Item for f64 {
    #[inline(always)]
    fn fold(&self, fold: &Fold) -> u64 {
        fold.number(canonical_bits(*self))
    }

    #[inline(always)]
    fn murmur(&self, seed: u64) -> (u64, u64) {
        murmur_number(canonical_bits(*self), seed)
    }
}

impl Item for [u8] {
    fn fold(&self, fold: &Fold) -> u64 {
        fold.bytes(self)
    }

    fn murmur(&self, seed: u64) -> (u64, u64) {
        murmur_bytes(self, seed)
    }
}

impl Item for str {
    fn fold(&self, fold: &Fold) -> u64 {
        fold.bytes(self.as_bytes())
    }

    fn murmur(&self, seed: u64) -> (u64, u64) {
        murmur_bytes(self.as_bytes(), seed)
    }
}

impl<I: Item + ?Sized> Item for &I {
    #[inline(always)]
    fn fold(&self, fold: &Fold) -> u64 {
        (**self).fold(fold)
    }

    #[inline(always)]
    fn murmur(&self, seed: u64) -> (u64, u64) {
        (**self).murmur(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::canonical_bits;

    #[test]
    fn equal_floats_are_one_item() {
        assert_eq!(canonical_bits(-0.0), canonical_bits(0.0));
        assert_eq!(canonical_bits(f64::NAN), canonical_bits(-f64::NAN));
        assert_ne!(canonical_bits(1.0), canonical_bits(-1.0));
    }
}
