//! APPROX_TOP_K: the most frequent values, as an array of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Decimal128Array, Float64Array, Int64Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};
use fleuve_sketch::frequency::{Float, SpaceSaving};

use super::super::accumulator::Accumulator;
use super::held::{Answer, Groups};
use super::sorted::{Kept, Sorted};
use super::spec::top_type;

/// Items that are watched for each that is answered: those that come and go among the last do not push out the first.
const WATCHED_FOR_EACH: u64 = 10;

/// The most values that can be asked for.
const TOP_MAX: u64 = 10_000;

/// The accumulator over a column of this type.
pub(super) fn create(item: &DataType, k: u64) -> Result<Box<dyn Accumulator>> {
    if k > TOP_MAX {
        return Err(Error::input("E304", format!("APPROX_TOP_K gives at most {TOP_MAX} values, not {k}")));
    }
    use fleuve_state::key_table::values::is_bytes;
    Ok(match item {
        DataType::Float32 | DataType::Float64 => {
            watch::<Float>(item, k, |items| Arc::new(Float64Array::from_iter_values(items.iter().map(|item| item.0))))?
        }
        DataType::Decimal128(..) => {
            let decimal = item.clone();
            watch::<Vec<u8>>(item, k, move |items| {
                let unscaled =
                    items.iter().map(|item| i128::from_be_bytes(item.as_slice().try_into().unwrap_or_default()));
                Arc::new(Decimal128Array::from_iter_values(unscaled).with_data_type(decimal.clone()))
            })?
        }
        bytes if is_bytes(bytes) => watch::<Vec<u8>>(item, k, |items| Arc::new(BinaryArray::from_iter_values(items)))?,
        _ => watch::<i64>(item, k, |items| Arc::new(Int64Array::from(items.to_vec())))?,
    })
}

fn watch<T: Kept>(
    item: &DataType,
    k: u64,
    column: impl Fn(&[T]) -> ArrayRef + Send + 'static,
) -> Result<Box<dyn Accumulator>> {
    let summary = SpaceSaving::<T>::new((k * WATCHED_FOR_EACH) as usize)?;
    let item = item.clone();
    let answer: Answer<SpaceSaving<T>> = Box::new(move |groups| top(groups, k as usize, &item, &column));
    Ok(Box::new(Sorted::new(Groups::new(summary, answer))))
}

fn top<T: Kept>(
    groups: &mut dyn Iterator<Item = Option<&SpaceSaving<T>>>,
    k: usize,
    item: &DataType,
    column: &dyn Fn(&[T]) -> ArrayRef,
) -> Result<ArrayRef> {
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    let (mut items, mut highs, mut lows) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        let counted = group.map_or_else(Vec::new, |summary| summary.top(k));
        lengths.push(counted.len());
        valid.push(group.is_some());
        for entry in counted {
            highs.push(entry.count as i64);
            lows.push((entry.count - entry.error) as i64);
            items.push(entry.item);
        }
    }
    let items = from_stored(&column(&items), item)?;
    let DataType::List(field) = top_type(item) else {
        return Err(Error::internal("the most frequent values are an array"));
    };
    let DataType::Struct(fields) = field.data_type() else {
        return Err(Error::internal("the most frequent values are rows"));
    };
    let counts: ArrayRef = Arc::new(Int64Array::from(highs));
    let columns = vec![items, Arc::clone(&counts), Arc::new(Int64Array::from(lows)) as ArrayRef, counts];
    let rows = StructArray::new(fields.clone(), columns, None);
    let nulls = Some(NullBuffer::from(valid));
    Ok(Arc::new(ListArray::new(Arc::clone(&field), OffsetBuffer::from_lengths(lengths), Arc::new(rows), nulls)))
}

/// Back from what a summary keeps to the column's own type.
fn from_stored(items: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let through = match to {
        DataType::Time32(_) => cast(items, &DataType::Int32),
        DataType::Utf8View => cast(items, &DataType::Utf8),
        _ => Ok(Arc::clone(items)),
    };
    let broken = |e| Error::internal(format!("values of type {to} could not be made again: {e}"));
    cast(&through.map_err(broken)?, to).map_err(broken)
}
