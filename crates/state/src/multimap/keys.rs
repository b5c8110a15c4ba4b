//! The keys of a batch's rows.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use fleuve_base::Result;

use crate::columns::{arrow_error, hashes_of};

/// The keys of some rows, prepared for insertion and probing.
#[derive(Debug, Clone)]
pub struct Keys {
    columns: Vec<ArrayRef>,
    fingerprints: Vec<u64>,
    nulls: Option<NullBuffer>,
    exact: bool,
}

impl Keys {
    /// Prepares the key columns of `rows` rows; without columns all rows have the same key.
    pub fn new(columns: Vec<ArrayRef>, rows: usize) -> Result<Self> {
        let exact = Self::are_exact(columns.iter().map(|column| column.data_type()));
        let fingerprints = match &columns[..] {
            [] => vec![0; rows],
            [column] if exact => integer_bits(column),
            columns => hashes_of(columns, rows)?,
        };
        let nulls = columns
            .iter()
            .fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()));
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        Ok(Keys { columns, fingerprints, nulls, exact })
    }

    /// Whether equal fingerprints mean equal keys, for columns of these types.
    fn are_exact<'a>(types: impl ExactSizeIterator<Item = &'a DataType>) -> bool {
        types.len() == 0 || (types.len() == 1 && types.into_iter().all(is_integer_like))
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// Which rows have a key without NULLs; `None` if all have.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    /// The key columns.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// The keys of some rows.
    pub fn take(&self, rows: &[u32]) -> Result<Self> {
        if rows.len() == self.len() && rows.iter().enumerate().all(|(place, &row)| place == row as usize) {
            return Ok(self.clone());
        }
        let indices = UInt32Array::from(rows.to_vec());
        let take = |column: &ArrayRef| arrow::compute::take(column, &indices, None).map_err(arrow_error);
        let columns = self.columns.iter().map(take).collect::<Result<_>>()?;
        let fingerprints = rows.iter().map(|&row| self.fingerprints[row as usize]).collect();
        let valid = |nulls: &NullBuffer| rows.iter().map(|&row| nulls.is_valid(row as usize)).collect();
        Ok(Keys { columns, fingerprints, nulls: self.nulls.as_ref().map(valid), exact: self.exact })
    }

    pub(super) fn fingerprints(&self) -> &[u64] {
        &self.fingerprints
    }

    pub(super) fn is_exact(&self) -> bool {
        self.exact
    }

    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

/// Types of at most 64 bits whose values are equal exactly if their bits are.
fn is_integer_like(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Date32
                | DataType::Date64
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(_, _)
                | DataType::Duration(_)
        )
}

/// The bits of values of at most 64 bits, widened the same way for all values of a type.
fn integer_bits(column: &ArrayRef) -> Vec<u64> {
    let data = column.to_data();
    let (buffer, rows) = (&data.buffers()[0], data.offset()..data.offset() + data.len());
    match column.data_type().primitive_width() {
        Some(1) => buffer.typed_data::<u8>()[rows].iter().map(|&bits| u64::from(bits)).collect(),
        Some(2) => buffer.typed_data::<u16>()[rows].iter().map(|&bits| u64::from(bits)).collect(),
        Some(4) => buffer.typed_data::<u32>()[rows].iter().map(|&bits| u64::from(bits)).collect(),
        _ => buffer.typed_data::<u64>()[rows].to_vec(),
    }
}
