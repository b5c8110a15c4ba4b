//! Hash functions: families with proven independence, and the one that Apache DataSketches uses.
//!
//! The algorithms of the nineties and after prove their bounds for a function drawn at random from a family: pairwise
//! independent for counting distinct items, four-wise for second moments. [`Linear`] and [`Cubic`] are those families over the
//! field of the Mersenne prime 2⁶¹ − 1, and [`Fold`] brings items of any type into that field. [`murmur`] is MurmurHash3,
//! for the summaries whose stored form others read.

mod family;
pub mod field;
mod fold;
mod item;
pub mod murmur;
mod wide;
mod xx;

pub use family::{Cubic, Linear};
pub use fold::Fold;
pub use item::Item;
pub(crate) use item::canonical_bits;
pub(crate) use wide::{Work, on_wide_vectors};
pub(crate) use xx::{xx_bytes, xx_number};

/// How many items a summary hashes before it looks at the hashes: they stay in the first cache.
pub(crate) const HASHED_AT_ONCE: usize = 256;

/// Calls `each` with the field elements of all items, so many at once.
#[inline]
pub(crate) fn fold_chunks<I: Item>(items: &[I], fold: &Fold, mut each: impl FnMut(&[u64])) {
    let mut folded = [0u64; HASHED_AT_ONCE];
    for chunk in items.chunks(HASHED_AT_ONCE) {
        folded.iter_mut().zip(chunk).for_each(|(to, item)| *to = item.fold(fold));
        each(&folded[..chunk.len()]);
    }
}
