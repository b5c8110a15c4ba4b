//! How states are written down: fixed-width little-endian numbers behind a kind and a version, each count bounded when read.
//!
//! Bytes that are no state give an error of [`ErrorKind::Corrupt`](fleuve_base::ErrorKind::Corrupt), never a panic, and
//! never a reservation of more memory than the bytes themselves take.

use crate::codec;
use fleuve_base::{Error, Result};

const WHAT: &str = "stored state";

/// Reads a state from its bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: codec::Reader<'a>,
}

impl<'a> Reader<'a> {
    /// Of a state that begins with `kind` and the one `version` that this build knows.
    pub fn new(bytes: &'a [u8], kind: u8, version: u8) -> Result<Self> {
        match bytes {
            [k, v, rest @ ..] if *k == kind && *v == version => Ok(Reader { bytes: codec::Reader::of_own(rest, WHAT) }),
            [k, v, ..] if *k == kind => Err(Error::corrupt(format!("a stored state has the unknown version {v}"))),
            _ => Err(Error::corrupt("stored bytes are not a state of this kind")),
        }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        self.bytes.take(count)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes.array()
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.bytes.u8()
    }

    /// A number of items, of which each takes at least `bytes_each` of what follows.
    pub fn count(&mut self, max: usize, bytes_each: usize) -> Result<usize> {
        let count = u64::read(self)? as usize;
        if count > max || count.saturating_mul(bytes_each.max(1)) > self.bytes.left() {
            return Err(wrong("counts more than it holds"));
        }
        Ok(count)
    }

    /// Items up to `max`.
    pub fn items<T: Stored>(&mut self, max: usize) -> Result<Vec<T>> {
        let count = self.count(max, T::BYTES_MIN)?;
        (0..count).map(|_| T::read(self)).collect()
    }

    /// That nothing follows.
    pub fn finish(self) -> Result<()> {
        self.bytes.finish()
    }
}

/// The error of a stored state that `what` is wrong with.
pub fn wrong(what: &str) -> Error {
    Error::corrupt(format!("a stored state {what}"))
}

/// Writes items behind their number, as [`Reader::items`] reads them.
pub fn write_items<'a, T: Stored + 'a>(items: impl ExactSizeIterator<Item = &'a T>, out: &mut Vec<u8>) {
    (items.len() as u64).write(out);
    items.for_each(|item| item.write(out));
}

/// What can be part of a stored state: an item of a sample, a key, a number.
pub trait Stored: Sized {
    /// The fewest bytes that one takes.
    const BYTES_MIN: usize;

    /// Appends the bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads what [`Stored::write`] wrote.
    fn read(from: &mut Reader<'_>) -> Result<Self>;
}

macro_rules! stored_numbers {
    ($($number:ty),*) => {$(
        impl Stored for $number {
            const BYTES_MIN: usize = size_of::<$number>();

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(from: &mut Reader<'_>) -> Result<Self> {
                Ok(Self::from_le_bytes(from.array()?))
            }
        }
    )*};
}

stored_numbers!(u32, i32, u64, i64, f64);

impl Stored for Vec<u8> {
    const BYTES_MIN: usize = 8;

    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        out.extend_from_slice(self);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self> {
        let count = from.count(usize::MAX, 1)?;
        Ok(from.take(count)?.to_vec())
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    const BYTES_MIN: usize = A::BYTES_MIN + B::BYTES_MIN;

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

impl Stored for crate::random::Generator {
    const BYTES_MIN: usize = 32;

    fn write(&self, out: &mut Vec<u8>) {
        self.state().iter().for_each(|word| word.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self> {
        let mut state = [0; 4];
        for word in &mut state {
            *word = u64::read(from)?;
        }
        Ok(Self::from_state(state))
    }
}
