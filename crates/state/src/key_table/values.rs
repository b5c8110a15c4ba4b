//! Column values as words, and back: what key tables compare and keep.

use std::sync::Arc;

use arrow::array::types::{BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, GenericByteArray, make_array};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, Float32Type, Float64Type};
use fleuve_base::{Error, Result};

use crate::hash::float_word;

/// Whether values of a type fit one word: integers, times, floats and booleans.
pub fn is_word(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_integer()
        || matches!(data_type, Float32 | Float64 | Boolean | Date32 | Date64)
        || matches!(data_type, Time32(_) | Time64(_) | Timestamp(..) | Duration(_))
}

/// Calls `put(row, word)` for each row of a column whose type [`is_word`]. What a NULL yields is arbitrary.
pub fn each_word(column: &dyn Array, mut put: impl FnMut(usize, u64)) {
    use DataType::*;
    match column.data_type() {
        Boolean => column.as_boolean().values().iter().enumerate().for_each(|(row, v)| put(row, u64::from(v))),
        Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            values.iter().enumerate().for_each(|(row, v)| put(row, float_word(*v)));
        }
        Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            values.iter().enumerate().for_each(|(row, v)| put(row, float_word(f64::from(*v))));
        }
        Int8 => each_int::<i8>(column, i64::from, put),
        Int16 => each_int::<i16>(column, i64::from, put),
        Int32 | Date32 | Time32(_) => each_int::<i32>(column, i64::from, put),
        UInt8 => each_int::<u8>(column, i64::from, put),
        UInt16 => each_int::<u16>(column, i64::from, put),
        UInt32 => each_int::<u32>(column, i64::from, put),
        _ => each_int::<i64>(column, |v| v, put),
    }
}

#[inline]
fn each_int<N: ArrowNativeType>(column: &dyn Array, widen: impl Fn(N) -> i64, mut put: impl FnMut(usize, u64)) {
    let data = column.to_data();
    let values = &data.buffer::<N>(0)[..column.len()];
    values.iter().enumerate().for_each(|(row, value)| put(row, widen(*value) as u64));
}

/// A column from words, the reverse of [`each_word`].
pub fn from_words(
    data_type: &DataType,
    words: impl ExactSizeIterator<Item = u64>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    use DataType::*;
    let rows = words.len();
    let buffer = match data_type {
        Boolean => return Ok(Arc::new(BooleanArray::new(words.map(|word| word != 0).collect(), nulls))),
        Float64 | Int64 | UInt64 | Timestamp(..) | Date64 | Time64(_) | Duration(_) => {
            Buffer::from_vec(words.collect::<Vec<u64>>())
        }
        Float32 => Buffer::from_vec(words.map(|word| f64::from_bits(word) as f32).collect::<Vec<f32>>()),
        Int32 | Date32 | Time32(_) | UInt32 => Buffer::from_vec(words.map(|word| word as u32).collect::<Vec<u32>>()),
        Int16 | UInt16 => Buffer::from_vec(words.map(|word| word as u16).collect::<Vec<u16>>()),
        _ => Buffer::from_vec(words.map(|word| word as u8).collect::<Vec<u8>>()),
    };
    let data = ArrayData::builder(data_type.clone()).len(rows).add_buffer(buffer).nulls(nulls).build();
    data.map(make_array).map_err(|e| Error::internal(format!("a key column could not be built: {e}")))
}

/// Calls `put(row, bytes)` for each row of a column of strings or bytes.
pub fn each_bytes(column: &dyn Array, mut put: impl FnMut(usize, &[u8])) -> Result<()> {
    let rows = 0..column.len();
    match column.data_type() {
        DataType::Utf8 => {
            let array = column.as_string::<i32>();
            rows.for_each(|row| put(row, array.value(row).as_bytes()));
        }
        DataType::LargeUtf8 => {
            let array = column.as_string::<i64>();
            rows.for_each(|row| put(row, array.value(row).as_bytes()));
        }
        DataType::Utf8View => {
            let array = column.as_string_view();
            rows.for_each(|row| put(row, array.value(row).as_bytes()));
        }
        DataType::Binary => {
            let array = column.as_binary::<i32>();
            rows.for_each(|row| put(row, array.value(row)));
        }
        DataType::LargeBinary => {
            let array = column.as_binary::<i64>();
            rows.for_each(|row| put(row, array.value(row)));
        }
        DataType::BinaryView => {
            let array = column.as_binary_view();
            rows.for_each(|row| put(row, array.value(row)));
        }
        other => return Err(Error::internal(format!("a column of type {other} holds no byte strings"))),
    }
    Ok(())
}

/// Whether values of a type are strings or bytes.
pub fn is_bytes(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
}

/// A column of strings or bytes, the reverse of [`each_bytes`].
pub fn from_bytes<'a>(
    data_type: &DataType,
    values: impl Iterator<Item = &'a [u8]>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let cast = |array: ArrayRef| arrow::compute::cast(&array, data_type).map_err(broken);
    match data_type {
        DataType::Utf8 => build::<Utf8Type>(values, nulls),
        DataType::LargeUtf8 => build::<LargeUtf8Type>(values, nulls),
        DataType::Utf8View => build::<Utf8Type>(values, nulls).and_then(cast),
        DataType::Binary => build::<BinaryType>(values, nulls),
        DataType::LargeBinary => build::<LargeBinaryType>(values, nulls),
        _ => build::<BinaryType>(values, nulls).and_then(cast),
    }
}

fn build<'a, T: ByteArrayType>(values: impl Iterator<Item = &'a [u8]>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let mut offsets = vec![T::Offset::usize_as(0)];
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(value);
        let end = T::Offset::from_usize(bytes.len());
        offsets.push(end.ok_or_else(|| Error::internal("a column of keys exceeds 2 GiB"))?);
    }
    let array = GenericByteArray::<T>::try_new(OffsetBuffer::new(offsets.into()), Buffer::from_vec(bytes), nulls);
    Ok(Arc::new(array.map_err(broken)?))
}

fn broken(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("a key column could not be built: {error}"))
}
