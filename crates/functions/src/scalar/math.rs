//! Arithmetic functions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use arrow::compute::kernels::numeric;
use arrow::compute::{binary, cast, unary};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::Operator;
use datafusion_expr::type_coercion::binary::BinaryTypeCoercer;

use super::args::Args;
use super::function::{Param, Returns, Spec};
use crate::compile::external;

const NUMBER: &[Param] = &[Param::Number];
const DOUBLE: &[Param] = &[Param::Double];
const DOUBLES_2: &[Param] = &[Param::Double, Param::Double];

macro_rules! of_double {
    ($name:literal, $summary:literal, $example:literal, $compute:expr) => {
        Spec::new($name, DOUBLE, Returns::Double, |args| {
            let compute: fn(f64) -> f64 = $compute;
            Ok(Arc::new(args.doubles(0)?.unary::<_, Float64Type>(compute)))
        })
        .doc(concat!($name, "(number)"), $summary, $example)
    };
}

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("abs", NUMBER, Returns::Argument(0), abs).doc("ABS(number)", "the absolute value", "ABS(-3) = 3"),
    Spec::new("sign", NUMBER, Returns::Argument(0), sign).aliases(&["signum"]).doc(
        "SIGN(number)",
        "-1, 0 or 1, as the number is negative, zero or positive",
        "SIGN(-7) = -1",
    ),
    Spec::new("mod", &[Param::Number, Param::Number], Returns::Argument(0), modulo).can_fail().doc(
        "MOD(number, divisor)",
        "the remainder, with the number's sign",
        "MOD(-7, 3) = -1",
    ),
    Spec::new("power", DOUBLES_2, Returns::Double, power).aliases(&["pow"]).doc(
        "POWER(number, exponent)",
        "the number raised to a power, as DOUBLE",
        "POWER(2, 10) = 1024e0",
    ),
    Spec::new("log", DOUBLES_2, Returns::Double, log).optional(1).doc(
        "LOG([base,] number)",
        "the logarithm to a base; without one the natural logarithm",
        "LOG(2, 8) = 3e0",
    ),
    Spec::new("atan2", DOUBLES_2, Returns::Double, atan2).doc(
        "ATAN2(y, x)",
        "the angle of a point, in radians",
        "ATAN2(0, 1) = 0e0",
    ),
    Spec::new("pi", &[], Returns::Double, |_| constant(std::f64::consts::PI)).doc("PI()", "π", "FLOOR(PI()) = 3e0"),
    Spec::new("e", &[], Returns::Double, |_| constant(std::f64::consts::E)).doc(
        "E()",
        "Euler's number",
        "LN(E()) = 1e0",
    ),
    of_double!("sqrt", "the square root; NaN of a negative number", "SQRT(16) = 4e0", f64::sqrt),
    of_double!("cbrt", "the cube root", "CBRT(27) = 3e0", f64::cbrt),
    of_double!("exp", "e raised to a power", "EXP(0) = 1e0", f64::exp),
    of_double!("ln", "the natural logarithm", "LN(1) = 0e0", f64::ln),
    of_double!("log10", "the logarithm to base 10", "LOG10(1000) = 3e0", f64::log10),
    of_double!("log2", "the logarithm to base 2", "LOG2(8) = 3e0", f64::log2),
    of_double!("sin", "the sine of an angle in radians", "SIN(0) = 0e0", f64::sin),
    of_double!("cos", "the cosine of an angle in radians", "COS(0) = 1e0", f64::cos),
    of_double!("tan", "the tangent of an angle in radians", "TAN(0) = 0e0", f64::tan),
    of_double!("cot", "the cotangent of an angle in radians", "ROUND(COT(0.5e0), 2) = 1.83e0", |x| 1.0 / x.tan()),
    of_double!("asin", "the arc sine", "ASIN(0) = 0e0", f64::asin),
    of_double!("acos", "the arc cosine", "ACOS(1) = 0e0", f64::acos),
    of_double!("atan", "the arc tangent", "ATAN(0) = 0e0", f64::atan),
    of_double!("sinh", "the hyperbolic sine", "SINH(0) = 0e0", f64::sinh),
    of_double!("cosh", "the hyperbolic cosine", "COSH(0) = 1e0", f64::cosh),
    of_double!("tanh", "the hyperbolic tangent", "TANH(0) = 0e0", f64::tanh),
    of_double!("degrees", "radians in degrees", "ROUND(DEGREES(PI()), 0) = 180e0", f64::to_degrees),
    of_double!("radians", "degrees in radians", "RADIANS(0) = 0e0", f64::to_radians),
];

fn constant(value: f64) -> Result<ArrayRef> {
    Ok(Arc::new(Float64Array::from(vec![value])))
}

/// Applies one operation to integers (wrapping, as Flink's), one to floats and one to unscaled decimals.
fn per_kind(
    args: &Args<'_>,
    integer: fn(i64) -> i64,
    float: fn(f64) -> f64,
    decimal: fn(i128, i128) -> i128,
) -> Result<ArrayRef> {
    let array = args.array(0)?;
    match array.data_type() {
        DataType::Decimal128(precision, scale) => {
            let one = 10_i128.pow(u32::from(scale.unsigned_abs()));
            let values = array.as_primitive::<Decimal128Type>();
            let result: Decimal128Array = unary(values, |v| decimal(v, one));
            Ok(Arc::new(result.with_precision_and_scale(*precision, *scale)?))
        }
        from if from.is_floating() => {
            let wide = cast(&array, &DataType::Float64)?;
            let result: Float64Array = unary(wide.as_primitive::<Float64Type>(), float);
            Ok(cast(&result, from)?)
        }
        DataType::Int64 => Ok(Arc::new(unary::<_, _, Int64Type>(array.as_primitive::<Int64Type>(), integer))),
        from => {
            let wide = cast(&array, &DataType::Int64)?;
            let result = unary::<_, _, Int64Type>(wide.as_primitive::<Int64Type>(), integer);
            // The least value has no absolute value in its own type; as in Java it stays what it is.
            let narrow = cast(&result, from)?;
            if narrow.null_count() > array.null_count() {
                return Ok(arrow::compute::kernels::zip::zip(&arrow::compute::is_null(&narrow)?, &array, &narrow)?);
            }
            Ok(narrow)
        }
    }
}

fn abs(args: &Args<'_>) -> Result<ArrayRef> {
    per_kind(args, i64::wrapping_abs, f64::abs, |v, _| v.wrapping_abs())
}

fn sign(args: &Args<'_>) -> Result<ArrayRef> {
    let of_float = |v: f64| if v == 0.0 || v.is_nan() { v } else { v.signum() };
    per_kind(args, i64::signum, of_float, |v, one| v.signum() * one)
}

fn modulo(args: &Args<'_>) -> Result<ArrayRef> {
    let (left, right) = (args.data_type(0), args.data_type(1));
    let (left, right) = BinaryTypeCoercer::new(&left, &Operator::Modulo, &right).get_input_types()?;
    let dividend = cast(&args.array(0)?, &left)?;
    let remainder = match args.constant(1) {
        Some(divisor) => numeric::rem(&dividend, &divisor.cast_to(&right)?.to_scalar()?),
        None => numeric::rem(&dividend, &cast(&args.array(1)?, &right)?),
    };
    match remainder {
        Ok(remainder) => Ok(cast(&remainder, args.return_type())?),
        Err(arrow::error::ArrowError::DivideByZero) => {
            let error = fleuve_base::Error::input("E301", "division by zero").with_detail("in MOD(…, 0)");
            Err(external(error.with_hint("guard it: MOD(a, NULLIF(b, 0))")))
        }
        Err(other) => Err(other.into()),
    }
}

fn of_two_doubles(args: &Args<'_>, compute: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let left = args.doubles(0)?;
    if let Some(ScalarValue::Float64(Some(right))) = args.constant(1) {
        return Ok(Arc::new(left.unary::<_, Float64Type>(|left| compute(left, *right))));
    }
    let result: Float64Array = binary(&left, &args.doubles(1)?, compute)?;
    Ok(Arc::new(result))
}

fn power(args: &Args<'_>) -> Result<ArrayRef> {
    of_two_doubles(args, f64::powf)
}

fn atan2(args: &Args<'_>) -> Result<ArrayRef> {
    of_two_doubles(args, f64::atan2)
}

fn log(args: &Args<'_>) -> Result<ArrayRef> {
    if args.len() == 1 {
        return Ok(Arc::new(args.doubles(0)?.unary::<_, Float64Type>(f64::ln)));
    }
    of_two_doubles(args, |base, number| number.ln() / base.ln())
}
