//! What state does with columns: copies that share nothing, comparisons of whole rows, times.

use std::sync::Arc;

use arrow::array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, MutableArrayData, RecordBatch, RecordBatchOptions, StructArray,
    UInt32Array, make_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cmp;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use fleuve_base::{Error, ErrorKind, Result};

use crate::hash::{SEED, hash_rows};

/// An Arrow error as ours: too much in one column is a limit, anything else a bug.
pub fn arrow_error(error: ArrowError) -> Error {
    match error {
        ArrowError::OffsetOverflowError(_) => {
            Error::new(ErrorKind::Limit, "E903", "a column of one batch holds more than 2 GiB of text")
                .with_hint("shorten the longest values, or read smaller batches")
        }
        other => Error::internal(format!("Arrow: {other}")),
    }
}

/// A batch of columns that has a number of rows also without columns.
pub fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(arrow_error)
}

/// The hash of each of `rows` rows.
pub fn hashes_of(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    if columns.is_empty() {
        return Ok(vec![SEED; rows]);
    }
    let mut hashes = Vec::with_capacity(rows);
    hash_rows(columns, &mut hashes)?;
    Ok(hashes)
}

/// Some rows of a batch, in the order asked for.
pub fn take_rows(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    let indices = UInt32Array::from(rows.to_vec());
    let columns = batch.columns().iter().map(|column| take(column, &indices, None).map_err(arrow_error));
    batch_of(batch.schema_ref(), columns.collect::<Result<_>>()?, rows.len())
}

/// Bytes of columns in one slab: keeps 32-bit string offsets from overflowing.
pub const SLAB_BYTES_MAX: usize = 64 << 20;

/// Cuts batches into groups of about `rows_max` rows, and not many more than [`SLAB_BYTES_MAX`] bytes. A batch is never
/// cut.
pub fn slabs(batches: &[RecordBatch], rows_max: usize) -> impl Iterator<Item = &[RecordBatch]> {
    let mut rest = batches;
    std::iter::from_fn(move || {
        let (mut rows, mut bytes) = (0, 0);
        let fits = |batch: &&RecordBatch| {
            rows += batch.num_rows();
            bytes += slice_bytes(batch);
            rows <= rows_max && bytes <= SLAB_BYTES_MAX
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (slab, after) = rest.split_at(count);
        rest = after;
        (!slab.is_empty()).then_some(slab)
    })
}

/// Bytes of the rows of a batch, whatever else lies in its buffers; 0 of a type that Arrow cannot measure.
pub(crate) fn slice_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// Copies batches into one that shares no buffer with them, so that keeping it keeps nothing else alive.
pub fn concat_owned(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let column = |index: usize| {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        concat_column(schema.field(index).data_type(), &parts)
    };
    batch_of(schema, (0..schema.fields().len()).map(column).collect::<Result<_>>()?, rows)
}

/// A batch that shares no buffer of views with others.
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().cloned().map(compact_views).collect::<Result<_>>()?;
    batch_of(batch.schema_ref(), columns, batch.num_rows())
}

fn concat_column(data_type: &DataType, parts: &[&dyn Array]) -> Result<ArrayRef> {
    let copied = match parts {
        [] => arrow::array::new_empty_array(data_type),
        [one] => {
            let data = one.to_data();
            let mut copy = MutableArrayData::new(vec![&data], false, one.len());
            copy.try_extend(0, 0, one.len()).map_err(arrow_error)?;
            make_array(copy.freeze())
        }
        parts => concat(parts).map_err(arrow_error)?,
    };
    compact_views(copied)
}

/// Copies the bytes that views point to, in place of keeping the buffers that they lie in.
fn compact_views(array: ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::Struct(fields) if !fields.is_empty() => {
            let array = array.as_struct();
            let columns = array.columns().iter().cloned().map(compact_views).collect::<Result<_>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, array.nulls().cloned()).map_err(arrow_error)?)
        }
        DataType::List(field) => {
            let array = array.as_list::<i32>();
            let values = compact_views(array.values().clone())?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            Arc::new(ListArray::try_new(field.clone(), offsets, values, nulls).map_err(arrow_error)?)
        }
        _ => array,
    })
}

/// How NULLs compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullEquality {
    /// NULL equals nothing, as SQL's `=` has it.
    NullIsUnknown,
    /// NULL equals NULL, as for grouping.
    NullIsValue,
}

/// Compares row by row: whether all columns are equal. Floats are equal as the hash has it: −0.0 is 0.0, NaN is NaN.
pub fn equal_rows(left: &[ArrayRef], right: &[ArrayRef], rows: usize, nulls: NullEquality) -> Result<BooleanBuffer> {
    let mut equal = BooleanBuffer::new_set(rows);
    for (left, right) in left.iter().zip(right) {
        equal = &equal & &equal_columns(left, right, nulls)?;
    }
    Ok(equal)
}

fn equal_columns(left: &ArrayRef, right: &ArrayRef, nulls: NullEquality) -> Result<BooleanBuffer> {
    let equal = match (left.data_type(), nulls) {
        (DataType::Null, NullEquality::NullIsUnknown) => return Ok(BooleanBuffer::new_unset(left.len())),
        (DataType::Null, NullEquality::NullIsValue) => return Ok(BooleanBuffer::new_set(left.len())),
        (data_type, _) if data_type.is_nested() => return equal_nested(left, right, nulls),
        (_, NullEquality::NullIsUnknown) => cmp::eq(&one_zero(left), &one_zero(right)),
        (_, NullEquality::NullIsValue) => cmp::not_distinct(&one_zero(left), &one_zero(right)),
    };
    Ok(is_true(&equal.map_err(arrow_error)?))
}

/// Compares ARRAYs, MAPs and ROWs, in whose insides NULL always equals NULL.
fn equal_nested(left: &ArrayRef, right: &ArrayRef, nulls: NullEquality) -> Result<BooleanBuffer> {
    let converter = RowConverter::new(vec![SortField::new(left.data_type().clone())]).map_err(arrow_error)?;
    let convert = |column: &ArrayRef| converter.convert_columns(std::slice::from_ref(column)).map_err(arrow_error);
    let (left_rows, right_rows) = (convert(left)?, convert(right)?);
    let equal = BooleanBuffer::collect_bool(left.len(), |row| left_rows.row(row) == right_rows.row(row));
    let valid = NullBuffer::union(left.nulls(), right.nulls());
    match (nulls, valid) {
        (NullEquality::NullIsUnknown, Some(valid)) => Ok(&equal & valid.inner()),
        _ => Ok(equal),
    }
}

/// Floats with one zero and one NaN; other columns as they are.
fn one_zero(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float32 => {
            let one = |v: f32| if v.is_nan() { f32::NAN } else { v + 0.0 };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(one)) as ArrayRef
        }
        DataType::Float64 => {
            let one = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        _ => column.clone(),
    }
}

/// Where a BOOLEAN column is true, rather than false or NULL.
pub fn is_true(column: &BooleanArray) -> BooleanBuffer {
    match column.nulls() {
        Some(nulls) => column.values() & nulls.inner(),
        None => column.values().clone(),
    }
}

/// The values of a timestamp column, in its unit.
pub fn time_values(column: &ArrayRef) -> Result<&[i64]> {
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => Ok(column.as_primitive::<TimestampSecondType>().values()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Ok(column.as_primitive::<TimestampMillisecondType>().values()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(column.as_primitive::<TimestampMicrosecondType>().values()),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Ok(column.as_primitive::<TimestampNanosecondType>().values()),
        other => Err(Error::internal(format!("a time column is a TIMESTAMP, not {other}"))),
    }
}

/// The smallest value of a timestamp type that is not before a moment in milliseconds: `t < bound` exactly if the time
/// lies before the moment.
pub fn time_bound(data_type: &DataType, moment_ms: i64) -> i64 {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => {
            moment_ms.div_euclid(1000) + i64::from(moment_ms.rem_euclid(1000) > 0)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => moment_ms.saturating_mul(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => moment_ms.saturating_mul(1_000_000),
        _ => moment_ms,
    }
}
