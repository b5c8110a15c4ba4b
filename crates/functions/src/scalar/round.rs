//! Rounding: ROUND, TRUNCATE, FLOOR and CEIL of numbers.
//!
//! Decimals are rounded exactly, halves away from zero. A DOUBLE is rounded as the shortest decimal text that stands
//! for it, as Java's `BigDecimal.valueOf` does, so that `ROUND(2.675, 2)` is 2.68 although the double lies below.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use arrow::compute::{cast, unary};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion_common::Result;

use super::args::{Args, integers};
use super::function::{Param, Returns, Spec};

const NUMBER: &[Param] = &[Param::Number];
const NUMBER_DIGITS: &[Param] = &[Param::Number, Param::Integer];
/// Most digits of a DECIMAL.
const DIGITS_MAX: u8 = 38;

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("round", NUMBER_DIGITS, Returns::Argument(0), |args| rounded(args, Mode::HalfUp)).optional(1).doc(
        "ROUND(number[, digits])",
        "the number rounded to so many digits after the point (default 0), halves away from zero",
        "ROUND(2.675e0, 2) = 2.68e0",
    ),
    Spec::new("truncate", NUMBER_DIGITS, Returns::Argument(0), |args| rounded(args, Mode::Down))
        .aliases(&["trunc"])
        .optional(1)
        .doc(
            "TRUNCATE(number[, digits])",
            "the number cut after so many digits behind the point (default 0)",
            "TRUNCATE(42.345e0, 2) = 42.34e0",
        ),
    Spec::new("floor", NUMBER, Returns::From(whole_type), |args| whole(args, Mode::Floor)).doc(
        "FLOOR(number)",
        "the greatest whole number that is not greater",
        "FLOOR(-1.5e0) = -2e0",
    ),
    Spec::new("ceil", NUMBER, Returns::From(whole_type), |args| whole(args, Mode::Ceil)).aliases(&["ceiling"]).doc(
        "CEIL(number)",
        "the least whole number that is not less",
        "CEIL(1.2e0) = 2e0",
    ),
];

/// Where what is cut off goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    HalfUp,
    Down,
    Floor,
    Ceil,
}

impl Mode {
    /// `value / unit`, rounded to a whole number.
    fn divide(self, value: i128, unit: i128) -> i128 {
        let (quotient, rest) = (value / unit, value % unit);
        let away = match self {
            Mode::Down => false,
            Mode::HalfUp => rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2),
            Mode::Floor => rest < 0,
            Mode::Ceil => rest > 0,
        };
        if away { quotient + value.signum() } else { quotient }
    }

    fn double(self, value: f64) -> f64 {
        match self {
            // `round` goes away from zero at halves.
            Mode::HalfUp => value.round(),
            Mode::Down => value.trunc(),
            Mode::Floor => value.floor(),
            Mode::Ceil => value.ceil(),
        }
    }
}

/// FLOOR and CEIL of a decimal have no digits after the point.
fn whole_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types {
        [DataType::Decimal128(precision, scale @ 1..)] => {
            let digits = precision.saturating_sub(scale.unsigned_abs());
            DataType::Decimal128((digits + 1).min(DIGITS_MAX), 0)
        }
        [other] => other.clone(),
        _ => DataType::Null,
    })
}

fn whole(args: &Args<'_>, mode: Mode) -> Result<ArrayRef> {
    let array = args.array(0)?;
    match array.data_type() {
        DataType::Decimal128(_, scale @ 1..) => {
            let unit = power_of_ten(i64::from(*scale));
            let values: Decimal128Array = unary(array.as_primitive::<Decimal128Type>(), |v| mode.divide(v, unit));
            Ok(Arc::new(values.with_data_type(args.return_type().clone())))
        }
        from if from.is_floating() => {
            let wide = cast(&array, &DataType::Float64)?;
            let values: Float64Array = unary(wide.as_primitive::<Float64Type>(), |v| mode.double(v));
            Ok(cast(&values, from)?)
        }
        _ => Ok(array),
    }
}

fn power_of_ten(exponent: i64) -> i128 {
    10_i128.pow(u32::try_from(exponent.clamp(0, i64::from(DIGITS_MAX))).unwrap_or(0))
}

fn rounded(args: &Args<'_>, mode: Mode) -> Result<ArrayRef> {
    let (array, digits) = (args.array(0)?, args.integer_or(1, 0)?);
    let nulls = args.nulls();
    match array.data_type() {
        DataType::Decimal128(precision, scale) => {
            let values = array.as_primitive::<Decimal128Type>();
            let limit = power_of_ten(i64::from(*precision));
            let round = |row: usize| {
                let cut = i64::from(*scale).saturating_sub(digits.at(row));
                let rounded = round_unscaled(values.value(row), cut, mode);
                // 9.9 of DECIMAL(2, 1) has no room to become 10.0; it is then kept at the type's greatest value.
                rounded.clamp(1 - limit, limit - 1)
            };
            let result: Vec<i128> = (0..args.rows).map(|row| if array.is_null(row) { 0 } else { round(row) }).collect();
            let result = Decimal128Array::new(result.into(), nulls);
            Ok(Arc::new(result.with_precision_and_scale(*precision, *scale)?))
        }
        from if from.is_floating() => {
            let wide = cast(&array, &DataType::Float64)?;
            let values = wide.as_primitive::<Float64Type>();
            let result: Vec<f64> =
                (0..args.rows).map(|row| round_double(values.value(row), digits.at(row), mode)).collect();
            Ok(cast(&Float64Array::new(result.into(), nulls), from)?)
        }
        from => {
            let wide = cast(&array, &DataType::Int64)?;
            let values = wide.as_primitive::<Int64Type>();
            let round = |row: usize| {
                let rounded = round_unscaled(values.value(row).into(), digits.at(row).saturating_neg(), mode);
                i64::try_from(rounded).unwrap_or(values.value(row))
            };
            Ok(cast(&integers(args.rows, nulls, round), from)?)
        }
    }
}

/// Rounds away the last `cut` digits.
fn round_unscaled(value: i128, cut: i64, mode: Mode) -> i128 {
    match cut {
        ..=0 => value,
        1..=38 => {
            let unit = power_of_ten(cut);
            mode.divide(value, unit).checked_mul(unit).unwrap_or(value)
        }
        _ => 0,
    }
}

fn round_double(value: f64, digits: i64, mode: Mode) -> f64 {
    if !value.is_finite() || value == 0.0 || digits > 300 {
        return value;
    }
    let unit = 10_f64.powi(i32::try_from(digits.max(-400)).unwrap_or(0));
    let scaled = value * unit;
    if scaled.is_infinite() || scaled.abs() >= 9e15 {
        return value;
    }
    // Only where the product is about halfway (or, cutting, about whole) can its own rounding error matter.
    let fraction = (scaled - scaled.trunc()).abs();
    let critical = if mode == Mode::HalfUp { (fraction - 0.5).abs() } else { fraction.min(1.0 - fraction) };
    if critical > 1e-3 {
        return mode.double(scaled) / unit;
    }
    round_shortest(value, digits, mode).unwrap_or_else(|| mode.double(scaled) / unit)
}

/// Rounds the shortest decimal text of a double.
fn round_shortest(value: f64, digits: i64, mode: Mode) -> Option<f64> {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i64 = exponent.parse().ok()?;
    let fraction_digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let unscaled: i128 = mantissa.replace('.', "").parse().ok()?;
    let scale = i64::try_from(fraction_digits).ok()? - exponent;
    let rounded = round_unscaled(unscaled, scale - digits, mode);
    format!("{rounded}e{}", -scale).parse().ok()
}
