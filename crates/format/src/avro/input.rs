//! Reading Avro's primitives from bytes that may hold anything.

use super::schema::Schema;

/// Why a record cannot be decoded.
pub(super) type Fault = String;

/// The bytes of a record that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Input<'a> {
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or_else(ended)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(ended)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag varint of up to 64 bits.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }

    pub(super) fn float(&mut self) -> Result<f32, Fault> {
        let bytes = self.take(4)?;
        Ok(f32::from_le_bytes(bytes.try_into().expect("four bytes were taken")))
    }

    pub(super) fn double(&mut self) -> Result<f64, Fault> {
        let bytes = self.take(8)?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("a boolean is {other}")),
        }
    }

    /// Bytes behind their length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| format!("a length is {length}"))?;
        self.take(length)
    }

    /// The number of a union's branch.
    #[inline]
    pub(super) fn branch<'s>(&mut self, branches: &'s [Schema]) -> Result<&'s Schema, Fault> {
        let number = self.long()?;
        let branch = usize::try_from(number).ok().and_then(|number| branches.get(number));
        branch.ok_or_else(|| format!("a union of {} has no branch {number}", branches.len()))
    }

    /// The size of the next block of an array or map; 0 ends it.
    pub(super) fn block(&mut self) -> Result<usize, Fault> {
        let mut count = self.long()?;
        if count < 0 {
            // The block's size in bytes follows, for those who step over it.
            self.long()?;
            count = count.checked_neg().ok_or_else(|| "a block's count is out of range".to_owned())?;
        }
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(format!("a block claims {count} items in {} bytes", self.rest.len())),
        }
    }

    /// Steps over a value.
    pub(super) fn skip(&mut self, schema: &Schema) -> Result<(), Fault> {
        match schema {
            Schema::Null => {}
            Schema::Boolean => drop(self.byte()?),
            Schema::Int | Schema::Long | Schema::Enum(_) | Schema::Date | Schema::Time(_) | Schema::Timestamp(_) => {
                self.long()?;
            }
            Schema::Float => drop(self.take(4)?),
            Schema::Double => drop(self.take(8)?),
            Schema::Bytes | Schema::Text | Schema::Decimal { fixed: None, .. } => drop(self.bytes()?),
            Schema::Fixed(size) | Schema::Decimal { fixed: Some(size), .. } => drop(self.take(*size)?),
            Schema::Array(item) => self.skip_blocks(|input| input.skip(item))?,
            Schema::Map(value) => self.skip_blocks(|input| {
                input.bytes()?;
                input.skip(value)
            })?,
            Schema::Union(branches) => {
                let branch = self.branch(branches)?;
                self.skip(branch)?;
            }
            Schema::Record(fields) => fields.iter().try_for_each(|field| self.skip(&field.schema))?,
        }
        Ok(())
    }

    fn skip_blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(());
            }
            (0..count).try_for_each(|_| item(self))?;
        }
    }
}

fn ended() -> Fault {
    "it ends in the middle of a value".to_owned()
}
