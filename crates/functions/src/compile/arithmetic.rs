//! Arithmetic that deserves a kernel of its own: a timestamp moved by a constant, a decimal constant times an integer.

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion_common::{Result, ScalarValue, internal_datafusion_err};
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::expressions as physical;
use fleuve_plan::{BinaryOp, Expr, Value};

use super::kernel::{self, Kernel};
use super::{Compiler, PhysicalExprRef};

/// Decimal digits that any BIGINT fits in.
const BIGINT_DIGITS: u8 = 19;
/// Most digits of a DECIMAL.
const DECIMAL_DIGITS_MAX: u8 = 38;

/// Whether the operator can fail for a row whose left operand has this type.
pub(super) fn can_fail(op: BinaryOp, left: &DataType) -> bool {
    match op {
        BinaryOp::Divide | BinaryOp::Modulo => true,
        BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Multiply => !left.is_integer() && !left.is_floating(),
        _ => false,
    }
}

/// The special form of `left op right`, if there is one.
pub(super) fn special(
    compiler: &mut Compiler<'_>,
    op: BinaryOp,
    left: &Expr,
    right: &Expr,
) -> fleuve_base::Result<Option<PhysicalExprRef>> {
    match op {
        BinaryOp::Multiply => match scale_bigint(compiler, left, right)? {
            Some(expr) => Ok(Some(expr)),
            None => scale_bigint(compiler, right, left),
        },
        BinaryOp::Plus => match shift(compiler, left, right, 1)? {
            Some(expr) => Ok(Some(expr)),
            None => shift(compiler, right, left, 1),
        },
        BinaryOp::Minus => shift(compiler, left, right, -1),
        _ => Ok(None),
    }
}

/// `time ± interval` for a constant interval without months: days are always 24 hours long.
fn shift(
    compiler: &mut Compiler<'_>,
    time: &Expr,
    interval: &Expr,
    sign: i128,
) -> fleuve_base::Result<Option<PhysicalExprRef>> {
    let Some(nanos) = constant_nanos(interval) else { return Ok(None) };
    let time = compiler.compile(time)?;
    let data_type = compiler.data_type(&time)?;
    let DataType::Timestamp(unit, _) = &data_type else { return Ok(None) };
    let per_tick = nanos_per_tick(*unit);
    let Ok(delta) = i64::try_from(sign * nanos / per_tick) else { return Ok(None) };
    if nanos % per_tick != 0 {
        return Ok(None);
    }
    let nullable = time.nullable(compiler.schema).map_err(|e| super::to_error(&e))?;
    let text = format!("{time} + {delta} ticks");
    Ok(Some(kernel::expr(text, vec![time], data_type, nullable, Shift { delta })))
}

/// The nanoseconds of a constant interval without months.
fn constant_nanos(expr: &Expr) -> Option<i128> {
    let Expr::Literal(literal) = expr else { return None };
    match (&literal.value, &literal.data_type) {
        (Value::Interval { months: 0, days, nanos }, _) => {
            Some(i128::from(*days) * 86_400_000_000_000 + i128::from(*nanos))
        }
        (Value::Int(ticks), DataType::Duration(unit)) => Some(i128::from(*ticks) * nanos_per_tick(*unit)),
        _ => None,
    }
}

fn nanos_per_tick(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A timestamp moved by a constant number of its own ticks.
#[derive(Debug)]
struct Shift {
    delta: i64,
}

impl Kernel for Shift {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        per_array(operands[0].evaluate(batch)?, |array| {
            let delta = self.delta;
            macro_rules! moved {
                ($type:ty) => {{
                    let moved = array.as_primitive::<$type>().unary::<_, $type>(|tick| tick.wrapping_add(delta));
                    Ok(std::sync::Arc::new(moved.with_data_type(array.data_type().clone())))
                }};
            }
            match array.data_type() {
                DataType::Timestamp(TimeUnit::Second, _) => moved!(TimestampSecondType),
                DataType::Timestamp(TimeUnit::Millisecond, _) => moved!(TimestampMillisecondType),
                DataType::Timestamp(TimeUnit::Microsecond, _) => moved!(TimestampMicrosecondType),
                DataType::Timestamp(TimeUnit::Nanosecond, _) => moved!(TimestampNanosecondType),
                other => Err(internal_datafusion_err!("a {other} is not a timestamp")),
            }
        })
    }
}

/// Applies a kernel over arrays to a column or a constant.
pub(super) fn per_array(value: ColumnarValue, kernel: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    match value {
        ColumnarValue::Array(array) => kernel(&array).map(ColumnarValue::Array),
        ColumnarValue::Scalar(scalar) => {
            let array = kernel(&scalar.to_array()?)?;
            ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar)
        }
    }
}

/// `decimal constant × CAST(integer AS DECIMAL)`: one multiplication, whose result always fits.
fn scale_bigint(
    compiler: &mut Compiler<'_>,
    constant: &Expr,
    integer: &Expr,
) -> fleuve_base::Result<Option<PhysicalExprRef>> {
    let (Expr::Literal(literal), Expr::Cast { expr: inner, to, .. }) = (constant, integer) else { return Ok(None) };
    let (Value::Decimal(factor), DataType::Decimal128(factor_digits, _)) = (&literal.value, &literal.data_type) else {
        return Ok(None);
    };
    let DataType::Decimal128(digits, scale @ 0..) = *to else { return Ok(None) };
    let whole_digits = digits.saturating_sub(scale.unsigned_abs());
    let product_digits = factor_digits + BIGINT_DIGITS + scale.unsigned_abs();
    if whole_digits < BIGINT_DIGITS || product_digits > DECIMAL_DIGITS_MAX {
        return Ok(None);
    }
    let inner = compiler.compile(inner)?;
    let from = compiler.data_type(&inner)?;
    if !from.is_signed_integer() {
        return Ok(None);
    }
    let left = physical::lit(ScalarValue::Decimal128(Some(*factor), *factor_digits, literal_scale(&literal.data_type)));
    let right = physical::lit(ScalarValue::Decimal128(None, digits, scale));
    let product = physical::BinaryExpr::new(left, Operator::Multiply, right);
    let data_type = compiler.data_type(&(std::sync::Arc::new(product) as PhysicalExprRef))?;
    let nullable = inner.nullable(compiler.schema).map_err(|e| super::to_error(&e))?;
    let factor = factor * 10_i128.pow(u32::from(scale.unsigned_abs()));
    let text = format!("{literal} * {inner}");
    Ok(Some(kernel::expr(text, vec![inner], data_type.clone(), nullable, ScaleBigint { factor, data_type })))
}

fn literal_scale(data_type: &DataType) -> i8 {
    if let DataType::Decimal128(_, scale) = data_type { *scale } else { 0 }
}

/// An integer times a constant, as the unscaled value of a decimal.
#[derive(Debug)]
struct ScaleBigint {
    factor: i128,
    data_type: DataType,
}

impl Kernel for ScaleBigint {
    fn evaluate(&self, operands: &[PhysicalExprRef], batch: &RecordBatch) -> Result<ColumnarValue> {
        per_array(operands[0].evaluate(batch)?, |array| {
            let wide =
                if array.data_type() == &DataType::Int64 { array.clone() } else { cast(array, &DataType::Int64)? };
            let integers = wide.as_primitive::<Int64Type>();
            let products: Vec<i128> = match i64::try_from(self.factor) {
                // A 64 × 64 → 128 bit multiplication is one instruction; the general one is three.
                Ok(factor) => integers.values().iter().map(|v| i128::from(*v) * i128::from(factor)).collect(),
                Err(_) => integers.values().iter().map(|v| i128::from(*v) * self.factor).collect(),
            };
            let products = Decimal128Array::new(products.into(), integers.nulls().cloned());
            Ok(std::sync::Arc::new(products.with_data_type(self.data_type.clone())))
        })
    }
}
