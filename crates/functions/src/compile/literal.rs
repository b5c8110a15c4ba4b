//! The plan's constants as DataFusion's, and back.

use arrow::datatypes::{DataType, IntervalDayTime, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion_common::ScalarValue;
use fleuve_base::{Error, Result};
use fleuve_plan::{Literal, Value};

use super::to_error;

/// The constant in DataFusion's form.
pub fn literal_to_scalar(literal: &Literal) -> Result<ScalarValue> {
    let to = &literal.data_type;
    match &literal.value {
        Value::Null => ScalarValue::try_new_null(to).map_err(|e| to_error(&e)),
        Value::Bool(v) => exact(ScalarValue::Boolean(Some(*v)), literal),
        Value::Int(v) => int(*v, to).ok_or_else(|| mismatch(literal)),
        Value::UInt(v) => exact_or_cast(ScalarValue::UInt64(Some(*v)), literal),
        Value::Float(v) => exact_or_cast(ScalarValue::Float64(Some(*v)), literal),
        Value::Decimal(v) => match to {
            DataType::Decimal128(precision, scale) => Ok(ScalarValue::Decimal128(Some(*v), *precision, *scale)),
            _ => Err(mismatch(literal)),
        },
        Value::String(v) => exact_or_cast(ScalarValue::Utf8(Some(v.clone())), literal),
        Value::Bytes(v) => exact_or_cast(ScalarValue::Binary(Some(v.clone())), literal),
        Value::Interval { months, days, nanos } => {
            interval(*months, *days, *nanos, to).ok_or_else(|| mismatch(literal))
        }
    }
}

fn mismatch(literal: &Literal) -> Error {
    Error::internal(format!("a literal of type {} holds {:?}", literal.data_type, literal.value))
}

fn exact(scalar: ScalarValue, literal: &Literal) -> Result<ScalarValue> {
    if scalar.data_type() == literal.data_type { Ok(scalar) } else { Err(mismatch(literal)) }
}

fn exact_or_cast(scalar: ScalarValue, literal: &Literal) -> Result<ScalarValue> {
    if scalar.data_type() == literal.data_type {
        return Ok(scalar);
    }
    scalar.cast_to(&literal.data_type).map_err(|_| mismatch(literal))
}

fn int(v: i64, to: &DataType) -> Option<ScalarValue> {
    Some(match to {
        DataType::Int8 => ScalarValue::Int8(Some(i8::try_from(v).ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(v).ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(v).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(v)),
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(v).ok()?)),
        DataType::Date64 => ScalarValue::Date64(Some(v)),
        DataType::Time32(TimeUnit::Second) => ScalarValue::Time32Second(Some(i32::try_from(v).ok()?)),
        DataType::Time32(_) => ScalarValue::Time32Millisecond(Some(i32::try_from(v).ok()?)),
        DataType::Time64(TimeUnit::Microsecond) => ScalarValue::Time64Microsecond(Some(v)),
        DataType::Time64(_) => ScalarValue::Time64Nanosecond(Some(v)),
        DataType::Timestamp(unit, zone) => timestamp(v, *unit, zone.clone()),
        DataType::Duration(unit) => duration(v, *unit),
        DataType::Interval(IntervalUnit::YearMonth) => ScalarValue::IntervalYearMonth(Some(i32::try_from(v).ok()?)),
        _ => return None,
    })
}

fn timestamp(v: i64, unit: TimeUnit, zone: Option<std::sync::Arc<str>>) -> ScalarValue {
    match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(v), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(v), zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(v), zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(v), zone),
    }
}

fn duration(v: i64, unit: TimeUnit) -> ScalarValue {
    match unit {
        TimeUnit::Second => ScalarValue::DurationSecond(Some(v)),
        TimeUnit::Millisecond => ScalarValue::DurationMillisecond(Some(v)),
        TimeUnit::Microsecond => ScalarValue::DurationMicrosecond(Some(v)),
        TimeUnit::Nanosecond => ScalarValue::DurationNanosecond(Some(v)),
    }
}

fn interval(months: i32, days: i32, nanos: i64, to: &DataType) -> Option<ScalarValue> {
    match to {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            Some(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanos))))
        }
        DataType::Interval(IntervalUnit::DayTime) if months == 0 && nanos % 1_000_000 == 0 => {
            let millis = i32::try_from(nanos / 1_000_000).ok()?;
            Some(ScalarValue::IntervalDayTime(Some(IntervalDayTime::new(days, millis))))
        }
        DataType::Interval(IntervalUnit::YearMonth) if days == 0 && nanos == 0 => {
            Some(ScalarValue::IntervalYearMonth(Some(months)))
        }
        _ => None,
    }
}

/// The constant in the plan's form; what has none (arrays, rows, maps) is refused.
pub fn scalar_to_literal(scalar: &ScalarValue) -> Result<Literal> {
    let data_type = scalar.data_type();
    let value = if scalar.is_null() { Some(Value::Null) } else { value_of(scalar) };
    match value {
        Some(value) => Ok(Literal { data_type, value }),
        None => Err(Error::unsupported("E305", format!("a constant of type {data_type} is not supported"))),
    }
}

fn value_of(scalar: &ScalarValue) -> Option<Value> {
    use ScalarValue as S;
    Some(match scalar {
        S::Boolean(Some(v)) => Value::Bool(*v),
        S::UInt8(Some(v)) => Value::UInt((*v).into()),
        S::UInt16(Some(v)) => Value::UInt((*v).into()),
        S::UInt32(Some(v)) => Value::UInt((*v).into()),
        S::UInt64(Some(v)) => Value::UInt(*v),
        S::Float32(Some(v)) => Value::Float((*v).into()),
        S::Float64(Some(v)) => Value::Float(*v),
        S::Decimal128(Some(v), _, _) => Value::Decimal(*v),
        S::Utf8(Some(v)) | S::Utf8View(Some(v)) | S::LargeUtf8(Some(v)) => Value::String(v.clone()),
        S::Binary(Some(v)) | S::BinaryView(Some(v)) | S::LargeBinary(Some(v)) => Value::Bytes(v.clone()),
        S::FixedSizeBinary(_, Some(v)) => Value::Bytes(v.clone()),
        S::IntervalMonthDayNano(Some(v)) => Value::Interval { months: v.months, days: v.days, nanos: v.nanoseconds },
        S::IntervalDayTime(Some(v)) => {
            Value::Interval { months: 0, days: v.days, nanos: i64::from(v.milliseconds) * 1_000_000 }
        }
        _ => Value::Int(int_of(scalar)?),
    })
}

fn int_of(scalar: &ScalarValue) -> Option<i64> {
    use ScalarValue as S;
    match scalar {
        S::Int8(Some(v)) => Some((*v).into()),
        S::Int16(Some(v)) => Some((*v).into()),
        S::Int32(Some(v))
        | S::Date32(Some(v))
        | S::Time32Second(Some(v))
        | S::Time32Millisecond(Some(v))
        | S::IntervalYearMonth(Some(v)) => Some((*v).into()),
        S::Int64(Some(v))
        | S::Date64(Some(v))
        | S::Time64Microsecond(Some(v))
        | S::Time64Nanosecond(Some(v))
        | S::TimestampSecond(Some(v), _)
        | S::TimestampMillisecond(Some(v), _)
        | S::TimestampMicrosecond(Some(v), _)
        | S::TimestampNanosecond(Some(v), _)
        | S::DurationSecond(Some(v))
        | S::DurationMillisecond(Some(v))
        | S::DurationMicrosecond(Some(v))
        | S::DurationNanosecond(Some(v)) => Some(*v),
        _ => None,
    }
}
