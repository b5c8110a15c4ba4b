//! Reading and writing stored summaries: fixed-width, little-endian, and every count checked against what is there.

use crate::invalid;
use fleuve_base::{Error, Result};

/// Bytes that are being read. Nothing is allocated before the bytes for it are known to be there.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
    /// Makes an error of a message: whether a user gave these bytes, or a disk.
    error: fn(String) -> Error,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which are said to be a `what`.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Reader { rest: bytes, what, error: invalid }
    }

    /// Reads `bytes`, which were written here and so are damaged if they are not a `what`.
    pub(crate) fn of_own(bytes: &'a [u8], what: &'static str) -> Self {
        Reader { rest: bytes, what, error: Error::corrupt }
    }

    /// Reads a summary of our own: its two letters and its version must be there.
    pub(crate) fn open(bytes: &'a [u8], what: &'static str, kind: [u8; 2], version: u8) -> Result<Self> {
        let mut reader = Reader::new(bytes, what);
        if reader.array::<2>()? != kind {
            return Err(reader.damaged("it begins otherwise"));
        }
        match reader.u8()? {
            found if found == version => Ok(reader),
            found => Err(invalid(format!("this {what} has version {found}; this build knows version {version}"))),
        }
    }

    /// The error that these bytes are not what they should be.
    pub(crate) fn damaged(&self, why: impl std::fmt::Display) -> Error {
        (self.error)(format!("these bytes are not a {}: {why}", self.what))
    }

    /// Demands that a condition holds of what was read.
    pub(crate) fn demand(&self, holds: bool, why: &str) -> Result<()> {
        if holds { Ok(()) } else { Err(self.damaged(why)) }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.damaged("they end too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes, a fixed number of them.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.damaged("they end too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64> {
        self.array().map(f64::from_le_bytes)
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// A count of things of `width` bytes each that follow; it is wrong if there is no room for them.
    pub(crate) fn count(&mut self, width: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        self.demand(count <= self.rest.len() / width.max(1), "a count is larger than what follows")?;
        Ok(count)
    }

    /// `count` numbers.
    pub(crate) fn u64s(&mut self, count: usize) -> Result<Vec<u64>> {
        self.demand(count <= self.rest.len() / 8, "they end too early")?;
        (0..count).map(|_| self.u64()).collect()
    }

    /// Demands that everything has been read.
    pub(crate) fn finish(self) -> Result<()> {
        self.demand(self.rest.is_empty(), "something follows its end")
    }
}

/// Begins a stored summary of our own: two letters and a version.
pub(crate) fn begin(kind: [u8; 2], version: u8) -> Vec<u8> {
    vec![kind[0], kind[1], version]
}

/// Appends numbers, least byte first.
pub(crate) fn put_u64s(bytes: &mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}
