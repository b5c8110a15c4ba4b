//! From what accumulators hold to the values of a query's types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};
use fleuve_base::{Error, ErrorKind, Result};

/// The value of an aggregate does not fit its type.
pub(super) fn out_of_range(data_type: &DataType) -> Error {
    Error::new(ErrorKind::Input, "E440", format!("the result of an aggregate is out of range for type {data_type}"))
        .with_hint("cast the argument to a wider type, for example DECIMAL(38, 0) or DOUBLE")
}

/// Converts to the query's type; what does not fit is an error.
pub(super) fn convert(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if values.data_type() == to {
        return Ok(values.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(values, to, &options).map_err(|_| out_of_range(to))
}

/// A sum, NULL where no value was summed. `scale` is that of the argument, 0 for integers.
pub(super) fn sum(sums: &ArrayRef, counts: &Int64Array, scale: i8, to: &DataType) -> Result<ArrayRef> {
    let Some(unscaled) = sums.as_primitive_opt::<Decimal128Type>() else {
        return convert(&null_where_zero(sums, counts)?, to);
    };
    let rows = || unscaled.values().iter().zip(counts.values()).map(|(sum, count)| (*count != 0).then_some(*sum));
    match to {
        DataType::Int64 => {
            let narrow = |sum: i128| i64::try_from(sum).map_err(|_| out_of_range(to));
            let values = rows().map(|sum| sum.map(narrow).transpose()).collect::<Result<Int64Array>>()?;
            Ok(Arc::new(values))
        }
        DataType::Decimal128(digits, to_scale) => {
            decimals(rows().map(|sum| sum.map(|s| (s, 1))), scale, *digits, *to_scale)
        }
        DataType::Float32 | DataType::Float64 => {
            let unit = 10f64.powi(i32::from(scale));
            let values: Float64Array = rows().map(|sum| sum.map(|sum| sum as f64 / unit)).collect();
            convert(&(Arc::new(values) as ArrayRef), to)
        }
        _ => convert(&sum_as_int64(rows(), to)?, to),
    }
}

fn sum_as_int64(rows: impl Iterator<Item = Option<i128>>, to: &DataType) -> Result<ArrayRef> {
    let narrow = |sum: i128| i64::try_from(sum).map_err(|_| out_of_range(to));
    Ok(Arc::new(rows.map(|sum| sum.map(narrow).transpose()).collect::<Result<Int64Array>>()?))
}

/// An average: of integers truncated towards zero, of decimals rounded half away from zero.
pub(super) fn average(sums: &ArrayRef, counts: &Int64Array, scale: i8, to: &DataType) -> Result<ArrayRef> {
    let Some(unscaled) = sums.as_primitive_opt::<Decimal128Type>() else {
        let sums = sums.as_primitive::<Float64Type>().values();
        let averages: Float64Array =
            sums.iter().zip(counts.values()).map(|(sum, n)| (*n != 0).then(|| sum / *n as f64)).collect();
        return convert(&(Arc::new(averages) as ArrayRef), to);
    };
    let rows = || {
        let pairs = unscaled.values().iter().zip(counts.values());
        pairs.map(|(sum, count)| (*count != 0).then_some((*sum, *count)))
    };
    match to {
        DataType::Decimal128(digits, to_scale) => decimals(rows(), scale, *digits, *to_scale),
        DataType::Float32 | DataType::Float64 => {
            let unit = 10f64.powi(i32::from(scale));
            let quotient = |(sum, count): (i128, i64)| sum as f64 / unit / count as f64;
            convert(&(Arc::new(rows().map(|row| row.map(quotient)).collect::<Float64Array>()) as ArrayRef), to)
        }
        _ => {
            let quotients = rows().map(|row| row.map(|(sum, count)| sum / i128::from(count)));
            convert(&sum_as_int64(quotients, to)?, to)
        }
    }
}

/// Quotients of unscaled sums and counts at another scale.
fn decimals(rows: impl Iterator<Item = Option<(i128, i64)>>, scale: i8, digits: u8, to_scale: i8) -> Result<ArrayRef> {
    let data_type = DataType::Decimal128(digits, to_scale);
    let limit = 10i128.pow(u32::from(digits));
    let power = |n: i8| (0..n).fold(i256::ONE, |power, _| power.wrapping_mul(i256::from(10)));
    let (up, down) = (power(to_scale - scale), power(scale - to_scale));
    let quotient = |(sum, count): (i128, i64)| {
        let value = if scale == to_scale && count == 1 {
            Some(sum)
        } else {
            let numerator = i256::from_i128(sum).checked_mul(up);
            let denominator = i256::from(count).checked_mul(down);
            numerator.zip(denominator).and_then(|(n, d)| divide(n, d)).and_then(i256::to_i128)
        };
        value.filter(|value| value.unsigned_abs() < limit.unsigned_abs()).ok_or_else(|| out_of_range(&data_type))
    };
    let values = rows.map(|row| row.map(quotient).transpose()).collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(values.with_data_type(data_type)))
}

/// Rounds half away from zero.
fn divide(numerator: i256, denominator: i256) -> Option<i256> {
    let half = denominator.checked_div(i256::from(2))?;
    let half = if numerator.is_negative() { half.wrapping_neg() } else { half };
    numerator.checked_add(half)?.checked_div(denominator)
}

fn null_where_zero(values: &ArrayRef, counts: &Int64Array) -> Result<ArrayRef> {
    let zero: arrow::array::BooleanArray = counts.values().iter().map(|count| Some(*count == 0)).collect();
    if zero.true_count() == values.len() {
        return Ok(new_null_array(values.data_type(), values.len()));
    }
    nullif(values, &zero).map_err(|e| Error::internal(format!("NULLs could not be set: {e}")))
}

/// An array of counts.
pub(super) fn counts(array: &ArrayRef) -> &Int64Array {
    array.as_primitive::<Int64Type>()
}
