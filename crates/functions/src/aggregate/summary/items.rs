//! A column as the items of a summary.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use fleuve_base::{Error, Result};

/// A column in one of the few forms that summaries tell apart.
#[derive(Debug)]
pub(crate) enum Items {
    /// Integers, BOOLEAN, dates, times and timestamps, as the numbers that they are stored as.
    Integers(Int64Array),
    /// FLOAT and DOUBLE.
    Floats(Float64Array),
    /// STRING (in UTF-8) and BYTES.
    Bytes(BinaryArray),
    /// DECIMAL, unscaled.
    Decimals(Decimal128Array),
}

impl Items {
    /// Whether a column of this type holds items.
    pub(crate) fn takes(data_type: &DataType) -> bool {
        use fleuve_state::key_table::values::{is_bytes, is_word};
        is_word(data_type) || is_bytes(data_type) || matches!(data_type, DataType::Decimal128(..) | DataType::Null)
    }

    /// The items of a column whose type [`Items::takes`].
    pub(crate) fn of(column: &ArrayRef) -> Result<Items> {
        use fleuve_state::key_table::values::is_bytes;
        Ok(match column.data_type() {
            DataType::Float32 | DataType::Float64 => Items::floats(column)?,
            DataType::Decimal128(..) => Items::Decimals(column.as_primitive::<Decimal128Type>().clone()),
            DataType::Utf8View => Items::of(&to_type(column, &DataType::Utf8)?)?,
            bytes if is_bytes(bytes) => Items::Bytes(to(column, &DataType::Binary)?.as_binary().clone()),
            _ => Items::Integers(integers(column)?),
        })
    }

    /// The numbers of a column as doubles; a DECIMAL is rounded to the nearest.
    pub(super) fn floats(column: &ArrayRef) -> Result<Items> {
        Ok(Items::Floats(to(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone()))
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Items::Integers(values) => values.len(),
            Items::Floats(values) => values.len(),
            Items::Bytes(values) => values.len(),
            Items::Decimals(values) => values.len(),
        }
    }

    /// The number in a row of [`Items::floats`].
    #[inline]
    pub(super) fn float(&self, row: usize) -> f64 {
        match self {
            Items::Floats(floats) => floats.value(row),
            Items::Integers(integers) => integers.value(row) as f64,
            Items::Bytes(_) | Items::Decimals(_) => f64::NAN,
        }
    }
}

/// Calls `$visit` with the item of a row, whatever its type.
macro_rules! with_item {
    ($items:expr, $row:expr, $item:ident => $visit:expr) => {
        match $items {
            $crate::aggregate::summary::items::Items::Integers(values) => {
                let $item = &values.value($row);
                $visit
            }
            $crate::aggregate::summary::items::Items::Floats(values) => {
                let $item = &values.value($row);
                $visit
            }
            $crate::aggregate::summary::items::Items::Bytes(values) => {
                let $item = values.value($row);
                $visit
            }
            $crate::aggregate::summary::items::Items::Decimals(values) => {
                let $item = &values.value($row).to_le_bytes()[..];
                $visit
            }
        }
    };
}
pub(crate) use with_item;

fn integers(column: &ArrayRef) -> Result<Int64Array> {
    let column = match column.data_type() {
        DataType::Time32(_) => to_type(column, &DataType::Int32)?,
        _ => Arc::clone(column),
    };
    Ok(to(&column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn to(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if column.data_type() == data_type { Ok(Arc::clone(column)) } else { to_type(column, data_type) }
}

fn to_type(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    cast(column, data_type)
        .map_err(|e| Error::internal(format!("a column of type {} gives no items: {e}", column.data_type())))
}
