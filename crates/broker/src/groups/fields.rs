//! The fields that records of groups are made of: fixed-width little-endian numbers, and bytes behind their length.

use bytes::{Buf, Bytes};
use fleuve_base::{Error, Result};

/// Writes fields one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// One byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Two bytes, little-endian.
    pub fn i16(mut self, value: i16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Four bytes, little-endian.
    pub fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Eight bytes, little-endian.
    pub fn i64(mut self, value: i64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Eight bytes, little-endian.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Sixteen bytes, little-endian.
    pub fn u128(mut self, value: u128) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A count or a length: none reaches 2³², for a request is at most 100 MiB.
    pub fn count(self, count: usize) -> Self {
        self.i32(i32::try_from(count).expect("a request has fewer bytes than 2^31"))
    }

    /// A count, and so many bytes.
    pub fn bytes(mut self, value: &[u8]) -> Self {
        self = self.count(value.len());
        self.0.extend(value);
        self
    }

    /// A string as its UTF-8 bytes, with their count.
    pub fn str(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// A byte that tells whether there is a string, and the string.
    pub fn optional(self, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.u8(1).str(value),
            None => self.u8(0),
        }
    }

    /// A count, and what `each` writes for every item.
    pub fn list<T>(self, items: impl ExactSizeIterator<Item = T>, mut each: impl FnMut(Self, T) -> Self) -> Self {
        let start = self.count(items.len());
        items.fold(start, &mut each)
    }

    /// All that was written.
    pub fn finish(self) -> Bytes {
        self.0.into()
    }
}

/// Reads fields one after the other. Any fault is `E901`: the log's checksums held, so nobody else wrote this.
#[derive(Debug)]
pub(crate) struct Reader(pub Bytes);

impl Reader {
    fn take(&mut self, length: usize) -> Result<Bytes> {
        if length > self.0.len() {
            return Err(Error::corrupt("a record of a group ends too early"));
        }
        Ok(self.0.split_to(length))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?.get_u8())
    }

    /// Two bytes, little-endian.
    pub fn i16(&mut self) -> Result<i16> {
        Ok(self.take(2)?.get_i16_le())
    }

    /// Four bytes, little-endian.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(self.take(4)?.get_i32_le())
    }

    /// Eight bytes, little-endian.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(self.take(8)?.get_i64_le())
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(self.take(8)?.get_u64_le())
    }

    /// Sixteen bytes, little-endian.
    pub fn u128(&mut self) -> Result<u128> {
        Ok(self.take(16)?.get_u128_le())
    }

    fn count(&mut self) -> Result<usize> {
        usize::try_from(self.i32()?).map_err(|_| Error::corrupt("a record of a group has a negative count"))
    }

    /// A copy: a slice would keep the whole batch alive.
    pub fn bytes(&mut self) -> Result<Bytes> {
        let length = self.count()?;
        Ok(Bytes::copy_from_slice(&self.take(length)?))
    }

    /// A string.
    pub fn str(&mut self) -> Result<String> {
        let length = self.count()?;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| Error::corrupt("a record of a group has a name that is not UTF-8"))
    }

    /// A string that may be absent.
    pub fn optional(&mut self) -> Result<Option<String>> {
        if self.u8()? == 0 { Ok(None) } else { self.str().map(Some) }
    }

    /// A count, and so many items as `each` reads them.
    pub fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        // No capacity is reserved: the count is not yet known to be true.
        (0..self.count()?).map(|_| each(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let items = ["a", "bc"];
        let bytes = Writer::default()
            .u8(7)
            .i16(-2)
            .i64(i64::MIN)
            .u128(u128::MAX)
            .optional(None)
            .optional(Some("x"))
            .list(items.iter(), |writer, item| writer.str(item))
            .finish();
        let mut reader = Reader(bytes);
        assert_eq!((reader.u8().unwrap(), reader.i16().unwrap()), (7, -2));
        assert_eq!((reader.i64().unwrap(), reader.u128().unwrap()), (i64::MIN, u128::MAX));
        assert_eq!((reader.optional().unwrap(), reader.optional().unwrap()), (None, Some("x".to_owned())));
        assert_eq!(reader.list(Reader::str).unwrap(), items);
        assert_eq!(reader.u8().unwrap_err().code(), "E901");
    }
}
