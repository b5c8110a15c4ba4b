//! Flink's types and Arrow's.
//!
//! | Flink | Arrow |
//! |---|---|
//! | STRING, VARCHAR(n), CHAR(n) | Utf8 |
//! | BOOLEAN | Boolean |
//! | TINYINT, SMALLINT, INT, BIGINT | Int8, Int16, Int32, Int64 |
//! | FLOAT, DOUBLE | Float32, Float64 |
//! | DECIMAL(p, s) | Decimal128(p, s) |
//! | BYTES, BINARY(n), VARBINARY(n) | Binary |
//! | DATE, TIME(p) | Date32, Time32(ms) |
//! | TIMESTAMP(p) | Timestamp(ms, µs or ns for p ≤ 3, 6, 9) |
//! | TIMESTAMP_LTZ(p) | the same in zone UTC |
//! | ROW, ARRAY, MAP | Struct, List, Map |
//! | MULTISET of T | Map of T to Int32 (how often it occurs) |
//!
//! The length of a VARCHAR and the precision of a TIME are not kept.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Fields, IntervalUnit, TimeUnit};
use fleuve_base::{Error, Result, nearest};
use sqlparser::ast::{self, ArrayElemTypeDef, ExactNumberInfo, TimezoneInfo};

/// The time zone of TIMESTAMP_LTZ columns in memory.
pub const LOCAL_ZONE: &str = "UTC";

/// Every type name of the dialect.
pub const TYPE_NAMES: &[&str] = &[
    "STRING",
    "VARCHAR",
    "CHAR",
    "CHARACTER",
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "FLOAT",
    "REAL",
    "DOUBLE",
    "DECIMAL",
    "DEC",
    "NUMERIC",
    "BYTES",
    "BINARY",
    "VARBINARY",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "TIMESTAMP_NTZ",
    "ROW",
    "ARRAY",
    "MAP",
    "MULTISET",
];

/// DECIMAL without a precision.
const DECIMAL_DEFAULT: (u64, i64) = (10, 0);

/// Fractional digits of a TIMESTAMP without a precision.
const TIMESTAMP_PRECISION_DEFAULT: u64 = 6;

/// Most fractional digits of a TIMESTAMP.
const TIMESTAMP_PRECISION_MAX: u64 = 9;

/// The type that a scalar type's name and numbers in parentheses mean.
pub(crate) fn scalar(name: &str, numbers: &[u64]) -> Result<DataType> {
    let upper = name.to_ascii_uppercase();
    let (data_type, numbers_max) = match upper.as_str() {
        "STRING" => (DataType::Utf8, 0),
        "VARCHAR" | "CHAR" | "CHARACTER" => (DataType::Utf8, 1),
        "BOOLEAN" => (DataType::Boolean, 0),
        "TINYINT" => (DataType::Int8, 0),
        "SMALLINT" => (DataType::Int16, 0),
        "INT" | "INTEGER" => (DataType::Int32, 0),
        "BIGINT" => (DataType::Int64, 0),
        "FLOAT" | "REAL" => (DataType::Float32, 0),
        "DOUBLE" => (DataType::Float64, 0),
        "BYTES" => (DataType::Binary, 0),
        "BINARY" | "VARBINARY" => (DataType::Binary, 1),
        "DATE" => (DataType::Date32, 0),
        "TIME" => (DataType::Time32(TimeUnit::Millisecond), 1),
        "TIMESTAMP" | "TIMESTAMP_NTZ" => (timestamp(numbers.first().copied(), false)?, 1),
        "TIMESTAMP_LTZ" => (timestamp(numbers.first().copied(), true)?, 1),
        "DECIMAL" | "DEC" | "NUMERIC" => (decimal(numbers)?, 2),
        _ => return Err(unknown_type(name)),
    };
    if numbers.len() > numbers_max {
        return Err(Error::input("E014", format!("{upper} takes at most {numbers_max} numbers in parentheses")));
    }
    Ok(data_type)
}

/// The error for a name that is no type.
pub(crate) fn unknown_type(name: &str) -> Error {
    let upper = name.to_ascii_uppercase();
    if ["RAW", "INTERVAL", "VARIANT", "STRUCTURED"].contains(&upper.as_str()) {
        return Error::unsupported("E014", format!("columns of type {upper} are not in this build"));
    }
    let foreign = match upper.as_str() {
        "TEXT" | "CLOB" | "NVARCHAR" => Some("STRING"),
        "BOOL" => Some("BOOLEAN"),
        "INT8" | "LONG" | "INT64" => Some("BIGINT"),
        "INT4" | "INT32" => Some("INT"),
        "INT2" | "INT16" => Some("SMALLINT"),
        "FLOAT8" | "FLOAT64" => Some("DOUBLE"),
        "FLOAT4" | "FLOAT32" => Some("FLOAT"),
        "DATETIME" => Some("TIMESTAMP"),
        "TIMESTAMPTZ" => Some("TIMESTAMP_LTZ"),
        "BLOB" | "BYTEA" => Some("BYTES"),
        "STRUCT" => Some("ROW<…>"),
        "LIST" => Some("ARRAY<…>"),
        _ => nearest(name, TYPE_NAMES.iter().copied()),
    };
    let error = Error::input("E014", format!("unknown type `{name}`"));
    foreign.into_iter().fold(error, |error, near| error.with_hint(format!("did you mean {near}?")))
}

/// TIMESTAMP or TIMESTAMP_LTZ of a precision.
pub(crate) fn timestamp(precision: Option<u64>, local: bool) -> Result<DataType> {
    let unit = match precision.unwrap_or(TIMESTAMP_PRECISION_DEFAULT) {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        7..=TIMESTAMP_PRECISION_MAX => TimeUnit::Nanosecond,
        more => {
            let limit = format!("a timestamp has at most {TIMESTAMP_PRECISION_MAX} fractional digits, not {more}");
            return Err(Error::input("E014", limit));
        }
    };
    Ok(DataType::Timestamp(unit, local.then(|| LOCAL_ZONE.into())))
}

fn decimal(numbers: &[u64]) -> Result<DataType> {
    let (precision, scale) = match numbers {
        [] => DECIMAL_DEFAULT,
        [precision] => (*precision, 0),
        [precision, scale, ..] => (*precision, i64::try_from(*scale).unwrap_or(i64::MAX)),
    };
    let max = DECIMAL128_MAX_PRECISION;
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p), Ok(s)) if (1..=max).contains(&p) && i64::from(p) >= scale => Ok(DataType::Decimal128(p, s)),
        _ => Err(Error::input("E014", format!("DECIMAL({precision}, {scale}) is out of range"))
            .with_hint(format!("the precision is 1 to {max}, the scale 0 to the precision"))),
    }
}

/// ARRAY of a type.
pub(crate) fn array(element: DataType, nullable: bool) -> DataType {
    DataType::List(Arc::new(Field::new(Field::LIST_FIELD_DEFAULT_NAME, element, nullable)))
}

/// MAP of two types.
pub(crate) fn map(key: DataType, value: DataType, value_nullable: bool) -> DataType {
    let fields = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, value_nullable)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields), false)), false)
}

/// MULTISET of a type: how often each value occurs.
pub(crate) fn multiset(element: DataType) -> DataType {
    map(element, DataType::Int32, false)
}

/// The type that a type in an expression (`CAST(x AS …)`) means. The error has no place.
pub fn from_ast(data_type: &ast::DataType) -> Result<DataType> {
    match data_type {
        ast::DataType::Array(ArrayElemTypeDef::AngleBracket(element)) => Ok(array(from_ast(element)?, true)),
        ast::DataType::Map(key, value) => Ok(map(from_ast(key)?, from_ast(value)?, true)),
        ast::DataType::Struct(fields, _) => row_from_ast(fields),
        ast::DataType::Timestamp(precision, TimezoneInfo::WithTimeZone) => timestamp(*precision, true),
        ast::DataType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            timestamp(*precision, false)
        }
        ast::DataType::Decimal(info) | ast::DataType::Numeric(info) | ast::DataType::Dec(info) => match *info {
            ExactNumberInfo::None => decimal(&[]),
            ExactNumberInfo::Precision(precision) => decimal(&[precision]),
            ExactNumberInfo::PrecisionAndScale(precision, scale) => {
                decimal(&[precision, u64::try_from(scale).unwrap_or(u64::MAX)])
            }
        },
        ast::DataType::DoublePrecision => Ok(DataType::Float64),
        other => named_from_ast(&other.to_string()),
    }
}

/// A scalar type from its text, for example `VARCHAR(10)`.
fn named_from_ast(text: &str) -> Result<DataType> {
    let (name, numbers) = text.split_once('(').unwrap_or((text, ""));
    let numbers = numbers.trim_end_matches(')').split(',').map(str::trim).filter(|number| !number.is_empty());
    let numbers: Option<Vec<u64>> = numbers.map(|number| number.parse().ok()).collect();
    scalar(name.trim().trim_matches('`'), &numbers.ok_or_else(|| unknown_type(text))?)
}

fn row_from_ast(fields: &[ast::StructField]) -> Result<DataType> {
    let field = |(index, field): (usize, &ast::StructField)| {
        let name = field.field_name.as_ref().map_or_else(|| format!("f{index}"), |name| name.value.clone());
        Ok(Field::new(name, from_ast(&field.field_type)?, true))
    };
    Ok(DataType::Struct(fields.iter().enumerate().map(field).collect::<Result<Fields>>()?))
}

/// The type in Flink's words: `BIGINT`, `TIMESTAMP(3)`, ``ROW<`a` INT>``.
pub fn display(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTES".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        DataType::Timestamp(unit, zone) => display_timestamp(*unit, zone.is_some()),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Struct(fields) => display_row(fields),
        DataType::List(item) | DataType::LargeList(item) => format!("ARRAY<{}>", display_field(item)),
        DataType::Map(entries, _) => display_map(entries),
        DataType::Interval(IntervalUnit::YearMonth) => "INTERVAL YEAR TO MONTH".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL DAY TO SECOND(3)".to_owned(),
        DataType::Dictionary(_, value) => display(value),
        other => other.to_string().to_ascii_uppercase(),
    }
}

/// The type of a field with `NOT NULL` where it says so.
pub fn display_field(field: &Field) -> String {
    format!("{}{}", display(field.data_type()), if field.is_nullable() { "" } else { " NOT NULL" })
}

fn display_timestamp(unit: TimeUnit, local: bool) -> String {
    let precision = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    format!("TIMESTAMP{}({precision})", if local { "_LTZ" } else { "" })
}

fn display_row(fields: &Fields) -> String {
    let fields: Vec<String> = fields.iter().map(|f| format!("`{}` {}", f.name(), display_field(f))).collect();
    format!("ROW<{}>", fields.join(", "))
}

fn display_map(entries: &Field) -> String {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => {
            format!("MAP<{}, {}>", display(fields[0].data_type()), display_field(&fields[1]))
        }
        other => format!("MAP<{}>", display(other)),
    }
}
