//! Reading and writing our own fixed-width little-endian formats, each closed by its CRC32C.

/// Takes fields off the front of a slice; `None` as soon as it is too short.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Checks the CRC32C in the last four bytes and gives what is before it.
    pub(crate) fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        (fleuve_record::crc32c(body) == u32::from_le_bytes(*crc)).then_some(Reader(body))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    /// `Some` if the next four bytes are `magic` and the version after them is `version`.
    pub(crate) fn expect(&mut self, magic: [u8; 4], version: u32) -> Option<()> {
        (self.take()? == magic && self.u32()? == version).then_some(())
    }

    /// A count of items of at least `item_bytes` each, if that many can be there.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Option<usize> {
        let count = usize::try_from(self.u32()?).ok()?;
        (count <= self.0.len() / item_bytes).then_some(count)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends the CRC32C of all that is there.
pub(crate) fn close(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = fleuve_record::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Starts a file with its magic and version.
pub(crate) fn start(magic: [u8; 4], version: u32) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes
}
