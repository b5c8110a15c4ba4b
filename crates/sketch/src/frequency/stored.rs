//! Items that a summary keeps, rather than their hashes.

use crate::codec::Reader;
use crate::hash::canonical_bits;
use fleuve_base::Result;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// The longest item that is read from a stored form.
const ITEM_BYTES_MAX: usize = 1 << 24;

/// What can be kept: it can be compared, hashed, written and read.
pub trait Stored: Clone + Eq + Ord + Hash {
    /// Tells the types apart in a stored form.
    const TAG: u8;
    /// How many bytes an item holds outside itself.
    fn outside(&self) -> usize;
    /// Appends the item to a stored form.
    fn put(&self, bytes: &mut Vec<u8>);
    /// Reads an item: its number, or its bytes.
    ///
    /// # Errors
    /// If it is not an item of this type.
    fn take(bytes: &mut StoredBytes<'_, '_>) -> Result<Self>;
}

/// Where items are read from.
pub struct StoredBytes<'a, 'b>(pub(super) &'b mut Reader<'a>);

impl Stored for i64 {
    const TAG: u8 = 0;

    fn outside(&self) -> usize {
        0
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn take(bytes: &mut StoredBytes<'_, '_>) -> Result<Self> {
        bytes.0.i64()
    }
}

/// A float that can be an item: −0.0 is 0.0, and all NaN are one, above all others.
#[derive(Debug, Clone, Copy)]
pub struct Float(pub f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        canonical_bits(self.0) == canonical_bits(other.0)
    }
}

impl Eq for Float {}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        canonical_bits(self.0).hash(state);
    }
}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        f64::from_bits(canonical_bits(self.0)).total_cmp(&f64::from_bits(canonical_bits(other.0)))
    }
}

impl Stored for Float {
    const TAG: u8 = 1;

    fn outside(&self) -> usize {
        0
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend(canonical_bits(self.0).to_le_bytes());
    }

    fn take(bytes: &mut StoredBytes<'_, '_>) -> Result<Self> {
        bytes.0.f64().map(Float)
    }
}

impl Stored for Vec<u8> {
    const TAG: u8 = 2;

    fn outside(&self) -> usize {
        self.capacity()
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend((self.len() as u32).to_le_bytes());
        bytes.extend(self);
    }

    fn take(bytes: &mut StoredBytes<'_, '_>) -> Result<Self> {
        let length = bytes.0.count(1)?;
        bytes.0.demand(length <= ITEM_BYTES_MAX, "an item is too long")?;
        Ok(bytes.0.take(length)?.to_vec())
    }
}
