//! Bytes that are on their way out of a file: in memory, or still in the file, for the kernel to send from there.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;

use crate::fs::File;

/// A part of a file. It holds the file open, which keeps the part readable when the file's name is removed.
#[derive(Clone)]
pub struct FileRange {
    file: Arc<dyn File>,
    position: u64,
    length: usize,
}

impl FileRange {
    /// `length` bytes of `file` from `position` on, which must be there and must not change any more.
    pub fn new(file: Arc<dyn File>, position: u64, length: usize) -> Self {
        FileRange { file, position, length }
    }

    /// Where it begins in the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Its number of bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The file's handle; see [`File::descriptor`].
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }

    /// Leaves out the first `bytes`.
    pub fn advance(&mut self, bytes: usize) {
        assert!(bytes <= self.length, "a range of {} bytes cannot advance by {bytes}", self.length);
        self.position += bytes as u64;
        self.length -= bytes;
    }

    /// Reads it.
    ///
    /// # Errors
    /// The file cannot be read, or ends before the range does.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut buffer = Vec::new();
        self.file.read_into(&mut buffer, self.length, self.position)?;
        if buffer.len() < self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(buffer.into())
    }
}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileRange({} bytes at {})", self.length, self.position)
    }
}

/// The same part of the same open file.
impl PartialEq for FileRange {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && (self.position, self.length) == (other.position, other.length)
    }
}

impl Eq for FileRange {}

/// Bytes in memory or in a file. Two of them are equal if they are the same bytes in the same form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// In memory.
    Memory(Bytes),
    /// In a file.
    File(FileRange),
}

impl Stored {
    /// How many bytes they are.
    pub fn len(&self) -> usize {
        match self {
            Stored::Memory(bytes) => bytes.len(),
            Stored::File(range) => range.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory they hold.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Stored::Memory(bytes) => bytes.len(),
            Stored::File(_) => size_of::<Stored>(),
        }
    }

    /// Leaves out the first `bytes`.
    pub fn advance(&mut self, bytes: usize) {
        match self {
            Stored::Memory(memory) => bytes::Buf::advance(memory, bytes),
            Stored::File(range) => range.advance(bytes),
        }
    }

    /// Them in memory; read if they are in a file.
    ///
    /// # Errors
    /// Those of [`FileRange::read`].
    pub fn into_bytes(self) -> io::Result<Bytes> {
        match self {
            Stored::Memory(bytes) => Ok(bytes),
            Stored::File(range) => range.read(),
        }
    }
}

impl Default for Stored {
    fn default() -> Self {
        Stored::Memory(Bytes::new())
    }
}

impl From<Bytes> for Stored {
    fn from(bytes: Bytes) -> Self {
        Stored::Memory(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Fs, MemoryFs};

    #[test]
    fn a_range_is_read_where_it_stands_and_not_beyond_the_file() {
        let file = MemoryFs::new().open(Path::new("/a"), true).unwrap();
        file.write_at(b"0123456789", 0).unwrap();
        let mut range = FileRange::new(Arc::clone(&file), 2, 6);
        range.advance(1);
        assert_eq!((range.position(), range.len()), (3, 5));
        assert_eq!(range.read().unwrap(), "34567");
        assert_eq!(range, FileRange::new(Arc::clone(&file), 3, 5));
        let beyond = Stored::File(FileRange::new(file, 8, 5)).into_bytes();
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
