//! The types of operators, where Flink's differ from the analysis library's.
//!
//! Arithmetic on DECIMALs has the result types of Flink's `LogicalTypeMerging`; integers enter it as DECIMALs of their
//! own width (BIGINT is DECIMAL(19, 0)). `/` of integers is an integer. A STRING compared with a number becomes a
//! number. A STRING in arithmetic is an error, as it is in Flink.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion_common::{Result, ScalarValue, Span};
use datafusion_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion_expr::{BinaryExpr, Cast, Expr, Operator};
use fleuve_base::{Error, Place};

use super::errors::{at_opt, external, place_of};
use crate::types::display;

/// Least scale that a quotient of DECIMALs keeps, and that too wide a result is not cut below.
const SCALE_KEPT_MIN: i16 = 6;

/// Precision and scale of a DECIMAL, wide enough for intermediate sums.
type Digits = (i16, i16);

/// `left op right` with Flink's typing. `types` are the operands' types.
pub fn binary(op: Operator, left: Expr, right: Expr, types: (DataType, DataType)) -> Result<Expr> {
    let place = place_of_exprs([&left, &right]);
    let (left, left_type) = narrow(left, types.0);
    let (right, right_type) = narrow(right, types.1);
    let built = match (digits(&left_type), digits(&right_type)) {
        (Some(a), Some(b)) if op.is_numerical_operators() && (is_decimal(&left_type) || is_decimal(&right_type)) => {
            decimal_arithmetic(op, as_decimal(left, &left_type, a), a, as_decimal(right, &right_type, b), b)
        }
        _ if op.is_numerical_operators() => arithmetic(op, left, &left_type, right, &right_type),
        _ => compare(op, left, &left_type, right, &right_type),
    };
    built.map_err(|error| external(at_opt(error, place)))
}

/// Checks an operator and leaves the conversion of its operands to the analysis library.
fn arithmetic(
    op: Operator,
    left: Expr,
    left_type: &DataType,
    right: Expr,
    right_type: &DataType,
) -> Result<Expr, Error> {
    let text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::Boolean);
    let moment =
        |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_));
    let number = |data_type: &DataType| data_type.is_numeric();
    let misfit = text(left_type)
        || text(right_type)
        || moment(left_type) && number(right_type)
        || number(left_type) && moment(right_type)
        || BinaryTypeCoercer::new(left_type, &op, right_type).get_result_type().is_err();
    if misfit {
        return Err(cannot_apply(op, left_type, right_type));
    }
    if op == Operator::Modulo && left_type == &DataType::Int64 && right_type == &DataType::Int32 {
        return Ok(cast(plain(op, left, right), DataType::Int32));
    }
    Ok(plain(op, left, right))
}

fn compare(op: Operator, left: Expr, left_type: &DataType, right: Expr, right_type: &DataType) -> Result<Expr, Error> {
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::Utf8View);
    let comparison = op.supports_propagation() || matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    let (left, left_type, right, right_type) = match comparison {
        true if is_text(left_type) && right_type.is_numeric() => {
            (cast(left, right_type.clone()), right_type, right, right_type)
        }
        true if left_type.is_numeric() && is_text(right_type) => {
            (left, left_type, cast(right, left_type.clone()), left_type)
        }
        _ => (left, left_type, right, right_type),
    };
    if BinaryTypeCoercer::new(left_type, &op, right_type).get_input_types().is_err() {
        return Err(cannot_apply(op, left_type, right_type));
    }
    Ok(plain(op, left, right))
}

fn decimal_arithmetic(op: Operator, left: Expr, a: Digits, right: Expr, b: Digits) -> Result<Expr, Error> {
    let wanted = result_digits(op, a, b);
    let target = decimal_type(wanted);
    let left = if op == Operator::Divide { with_quotient_scale(left, a, b, wanted) } else { left };
    let expr = plain(op, left, right);
    Ok(if op != Operator::Divide && kernel_digits(op, a, b) == wanted { expr } else { cast(expr, target) })
}

/// Result digits by Flink's rules (`LogicalTypeMerging.findAdditionDecimalType` and its siblings).
fn result_digits(op: Operator, (p1, s1): Digits, (p2, s2): Digits) -> Digits {
    let (precision, scale) = match op {
        Operator::Multiply => (p1 + p2, s1 + s2),
        Operator::Divide => {
            let scale = SCALE_KEPT_MIN.max(s1 + p2 + 1);
            (p1 - s1 + s2 + scale, scale)
        }
        Operator::Modulo => {
            let scale = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
    };
    fit(precision, scale)
}

/// Cuts digits to what a DECIMAL can hold, fractional ones first, but keeps a few of those.
fn fit(precision: i16, scale: i16) -> Digits {
    let most = i16::from(DECIMAL128_MAX_PRECISION);
    if precision <= most {
        return (precision, scale);
    }
    let whole = precision - scale;
    (most, (most - whole).max(scale.min(SCALE_KEPT_MIN)))
}

/// Result digits of the kernels that will compute the operator.
fn kernel_digits(op: Operator, (p1, s1): Digits, (p2, s2): Digits) -> Digits {
    let scale = s1.max(s2);
    let (precision, scale) = match op {
        Operator::Multiply => (p1 + p2 + 1, s1 + s2),
        Operator::Modulo => ((p1 - s1).min(p2 - s2) + scale, scale),
        _ => ((p1 - s1).max(p2 - s2) + scale + 1, scale),
    };
    (precision.min(i16::from(DECIMAL128_MAX_PRECISION)), scale)
}

/// The division kernel yields four more fractional digits than its dividend has, and cuts the rest off. One digit more
/// than wanted lets the conversion to the result's type round half up.
fn with_quotient_scale(left: Expr, (p1, s1): Digits, (_, s2): Digits, (_, wanted): Digits) -> Expr {
    const KERNEL_EXTRA_SCALE: i16 = 4;
    let most = i16::from(DECIMAL128_MAX_PRECISION);
    let needed = (wanted + 1 - KERNEL_EXTRA_SCALE).max(s1).min(most - s2);
    let precision = (p1 + needed - s1).min(most);
    if needed <= s1 { left } else { cast(left, decimal_type((precision, needed))) }
}

fn digits(data_type: &DataType) -> Option<Digits> {
    match data_type {
        DataType::Decimal128(precision, scale) => Some((i16::from(*precision), i16::from(*scale))),
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        _ => None,
    }
}

fn decimal_type((precision, scale): Digits) -> DataType {
    let precision = u8::try_from(precision).unwrap_or(DECIMAL128_MAX_PRECISION);
    DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(0))
}

fn as_decimal(expr: Expr, data_type: &DataType, digits: Digits) -> Expr {
    if is_decimal(data_type) { expr } else { cast(expr, decimal_type(digits)) }
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..))
}

/// An integer literal that fits is an INT, as in Flink.
fn narrow(expr: Expr, data_type: DataType) -> (Expr, DataType) {
    match narrow_literal(&expr) {
        Some(narrowed) => (narrowed, DataType::Int32),
        None => (expr, data_type),
    }
}

/// The INT literal in place of a BIGINT literal that fits into one.
pub fn narrow_literal(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), metadata) => {
            let value = i32::try_from(*value).ok()?;
            Some(Expr::Literal(ScalarValue::Int32(Some(value)), metadata.clone()))
        }
        _ => None,
    }
}

/// `CAST(expr AS data_type)`.
pub fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), data_type))
}

fn plain(op: Operator, left: Expr, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn cannot_apply(op: Operator, left: &DataType, right: &DataType) -> Error {
    let text = format!("`{op}` cannot take {} and {}", display(left), display(right));
    Error::input("E020", text).with_hint(format!("convert one side: CAST(… AS {})", display(left)))
}

/// From the first to the last column that expressions name.
pub fn place_of_exprs<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Option<Place> {
    let columns = exprs.into_iter().flat_map(Expr::column_refs);
    place_of(Span::union_iter(columns.filter_map(|column| column.spans.first())))
}
