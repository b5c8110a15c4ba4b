//! How the values of one column are made.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray, MapArray,
    StringBuilder, StructArray, make_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, cast_with_options};
use arrow::datatypes::{DataType, Field, TimeUnit};
use fleuve_base::{Error, Result};

use super::random::Random;
use crate::internal::hash;
use crate::options::Options;

/// Elements of a random collection, unless its `length` says otherwise.
const COLLECTION_LENGTH: i64 = 3;

/// Characters of a random text, unless its `length` says otherwise.
const TEXT_LENGTH: i64 = 100;

/// Characters or elements that may be asked for.
const LENGTH_MAX: i64 = 1 << 20;

/// The rows that are being made.
pub(super) struct Rows {
    pub(super) numbers: Range<u64>,
    /// Start of the run, in ms since 1970, and rows in a second: they say when each row is due.
    pub(super) start_ms: i64,
    pub(super) rate: u64,
}

impl Rows {
    pub(super) fn count(&self) -> usize {
        (self.numbers.end - self.numbers.start) as usize
    }

    fn due_ms(&self, row: u64) -> i64 {
        self.start_ms.saturating_add((u128::from(row) * 1000 / u128::from(self.rate)) as i64)
    }
}

/// A column and where its values come from.
pub(super) struct Column {
    seed: u64,
    data_type: DataType,
    null_rate: f64,
    values: Values,
}

enum Values {
    Sequence { start: i128, end: i128 },
    Integer { min: i128, max: i128 },
    Float { min: f64, max: f64 },
    Decimal { min: i128, max: i128, precision: u8, scale: i8 },
    Boolean,
    Text { length: i64, variable: bool },
    Bytes { length: i64, variable: bool },
    Time { max_past_ms: i64 },
    Struct(Vec<Column>),
    List { item: Box<Column>, length: i64 },
    Map { entries: Box<Column>, length: i64 },
}

impl Column {
    pub(super) fn new(options: &Options, field: &Field) -> Result<Self> {
        let seed = options.integer("seed")?.unwrap_or(42) as u64;
        Self::build(
            &Settings { options, column: field.name() },
            field.data_type(),
            seed ^ hash(field.name().as_bytes()),
        )
    }

    fn build(settings: &Settings<'_>, data_type: &DataType, seed: u64) -> Result<Self> {
        let null_rate = settings.number("null-rate")?.unwrap_or(0.0);
        let sequence = settings.text("kind") == Some("sequence");
        let values = if sequence { settings.sequence(data_type)? } else { settings.random(data_type, seed)? };
        Ok(Column { seed, data_type: data_type.clone(), null_rate, values })
    }

    /// How many rows the column allows: a sequence ends.
    pub(super) fn rows(&self) -> Option<u64> {
        match self.values {
            Values::Sequence { start, end } => Some(u64::try_from(end - start + 1).unwrap_or(0)),
            _ => None,
        }
    }

    /// The values of some rows.
    pub(super) fn make(&self, rows: &Rows) -> Result<ArrayRef> {
        let made = self.values(rows)?;
        let made = if made.data_type() == &self.data_type { made } else { self.convert(&made)? };
        if self.null_rate <= 0.0 {
            return Ok(made);
        }
        let valid = rows.numbers.clone().map(|row| Random::new(self.seed ^ NULLS, row).fraction() >= self.null_rate);
        let valid = NullBuffer::from_iter(valid);
        let data = made.to_data().into_builder().nulls(Some(valid)).build();
        data.map(make_array).map_err(|error| Error::internal(format!("generated values: {error}")))
    }

    fn convert(&self, made: &ArrayRef) -> Result<ArrayRef> {
        let strict = arrow::compute::CastOptions { safe: false, ..Default::default() };
        cast_with_options(made, &self.data_type, &strict)
            .map_err(|error| Error::input("E502", format!("generated values do not fit their column: {error}")))
    }

    fn values(&self, rows: &Rows) -> Result<ArrayRef> {
        let numbers = rows.numbers.clone();
        let random = |row| Random::new(self.seed, row);
        Ok(match &self.values {
            Values::Sequence { start, .. } => {
                Arc::new(Int64Array::from_iter_values(numbers.map(|row| (start + i128::from(row)) as i64)))
            }
            Values::Integer { min, max } => {
                Arc::new(Int64Array::from_iter_values(numbers.map(|row| random(row).between(*min, *max) as i64)))
            }
            Values::Float { min, max } => {
                Arc::new(Float64Array::from_iter_values(numbers.map(|row| min + random(row).fraction() * (max - min))))
            }
            Values::Decimal { min, max, precision, scale } => {
                let values = Decimal128Array::from_iter_values(numbers.map(|row| random(row).between(*min, *max)));
                let values = values.with_precision_and_scale(*precision, *scale);
                Arc::new(values.map_err(|error| Error::internal(format!("generated decimals: {error}")))?)
            }
            Values::Boolean => Arc::new(BooleanArray::from_iter(numbers.map(|row| Some(random(row).next() & 1 == 1)))),
            Values::Text { length, variable } => texts(numbers.map(|row| (random(row), *length, *variable))),
            Values::Bytes { length, variable } => bytes(numbers.map(|row| (random(row), *length, *variable))),
            Values::Time { max_past_ms } => {
                times(numbers.map(|row| rows.due_ms(row) - random(row).between(0, i128::from(*max_past_ms)) as i64))?
            }
            Values::Struct(columns) => self.structs(columns, rows)?,
            Values::List { item, length } => self.list(item, *length, rows)?,
            Values::Map { entries, length } => self.map(entries, *length, rows)?,
        })
    }

    fn structs(&self, columns: &[Column], rows: &Rows) -> Result<ArrayRef> {
        let DataType::Struct(fields) = &self.data_type else { return Err(Error::internal("a row without fields")) };
        let columns = columns.iter().map(|column| column.make(rows)).collect::<Result<Vec<_>>>()?;
        let made = StructArray::try_new_with_length(fields.clone(), columns, None, rows.count());
        Ok(Arc::new(made.map_err(|error| Error::internal(format!("generated rows: {error}")))?))
    }

    fn list(&self, item: &Column, length: i64, rows: &Rows) -> Result<ArrayRef> {
        let DataType::List(field) = &self.data_type else { return Err(Error::internal("an array without elements")) };
        let (elements, offsets) = elements(item, length, rows)?;
        let made = ListArray::try_new(field.clone(), offsets, elements, None);
        Ok(Arc::new(made.map_err(|error| Error::internal(format!("generated arrays: {error}")))?))
    }

    fn map(&self, entries: &Column, length: i64, rows: &Rows) -> Result<ArrayRef> {
        let DataType::Map(field, sorted) = &self.data_type else {
            return Err(Error::internal("a map without entries"));
        };
        let (elements, offsets) = elements(entries, length, rows)?;
        let Some(entries) = elements.as_any().downcast_ref::<StructArray>() else {
            return Err(Error::internal("a map whose entries are no rows"));
        };
        let made = MapArray::try_new(field.clone(), offsets, entries.clone(), None, *sorted);
        Ok(Arc::new(made.map_err(|error| Error::internal(format!("generated maps: {error}")))?))
    }
}

/// Tells the numbers that decide about NULL from those of the values.
const NULLS: u64 = 0x6E75_6C6C;

/// The elements of collections: those of row *n* are numbered from *n* × length.
fn elements(item: &Column, length: i64, rows: &Rows) -> Result<(ArrayRef, OffsetBuffer<i32>)> {
    let length = length.unsigned_abs();
    let numbers = rows.numbers.start * length..rows.numbers.end * length;
    let rate = rows.rate * length.max(1);
    let elements = item.make(&Rows { numbers, start_ms: rows.start_ms, rate })?;
    Ok((elements, OffsetBuffer::from_lengths(std::iter::repeat_n(length as usize, rows.count()))))
}

fn size(random: &mut Random, length: i64, variable: bool) -> usize {
    let length = if variable { random.between(1, i128::from(length.max(1))) as i64 } else { length };
    length as usize
}

/// Hexadecimal digits, as Flink makes them.
fn texts(cells: impl Iterator<Item = (Random, i64, bool)>) -> ArrayRef {
    let (mut values, mut text) = (StringBuilder::new(), String::new());
    for (mut random, length, variable) in cells {
        text.clear();
        let length = size(&mut random, length, variable);
        while text.len() < length {
            let mut digits = random.next();
            for _ in 0..16.min(length - text.len()) {
                text.push(char::from(b"0123456789abcdef"[(digits & 15) as usize]));
                digits >>= 4;
            }
        }
        values.append_value(&text);
    }
    Arc::new(values.finish())
}

fn bytes(cells: impl Iterator<Item = (Random, i64, bool)>) -> ArrayRef {
    let (mut values, mut buffer) = (BinaryBuilder::new(), Vec::new());
    for (mut random, length, variable) in cells {
        buffer.clear();
        let length = size(&mut random, length, variable);
        buffer.extend((0..length).map(|_| random.next() as u8));
        values.append_value(&buffer);
    }
    Arc::new(values.finish())
}

fn times(values: impl Iterator<Item = i64>) -> Result<ArrayRef> {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    cast(&numbers, &DataType::Timestamp(TimeUnit::Millisecond, None))
        .map_err(|error| Error::internal(format!("generated times: {error}")))
}

/// The options of one column.
struct Settings<'a> {
    options: &'a Options,
    column: &'a str,
}

impl Settings<'_> {
    fn key(&self, name: &str) -> String {
        format!("fields.{}.{name}", self.column)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.options.text(&self.key(name))
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.options.number(&self.key(name))
    }

    /// An integer; also when it is written as `10.0`.
    fn integer(&self, name: &str) -> Result<Option<i128>> {
        let exact = self.text(name).and_then(|text| text.trim().parse().ok());
        Ok(exact.or(self.number(name)?.map(|number| number as i128)))
    }

    fn length(&self, default: i64) -> Result<i64> {
        let length = self.options.integer(&self.key("length"))?.unwrap_or(default);
        if length <= LENGTH_MAX {
            return Ok(length);
        }
        Err(self.wrong(format!("'{}' is more than {LENGTH_MAX}", self.key("length"))))
    }

    fn wrong(&self, what: String) -> Error {
        Error::input("E502", format!("table `{}`: {what}", self.options.table()))
    }

    fn sequence(&self, data_type: &DataType) -> Result<Values> {
        let required = |name: &str| {
            self.integer(name)?.ok_or_else(|| self.wrong(format!("a sequence needs '{}'", self.key(name))))
        };
        let (start, end) = (required("start")?, required("end")?);
        let counts = data_type.is_numeric() || matches!(data_type, DataType::Utf8 | DataType::Utf8View);
        if !counts {
            return Err(self.wrong(format!("column `{}` of type {data_type} cannot count up", self.column)));
        }
        if end < start {
            return Err(self.wrong(format!("'{}' is before its start", self.key("end"))));
        }
        Ok(Values::Sequence { start, end })
    }

    fn random(&self, data_type: &DataType, seed: u64) -> Result<Values> {
        let variable = self.options.flag(&self.key("var-len"));
        Ok(match data_type {
            DataType::Int8 => self.integers(i8::MIN.into(), i8::MAX.into())?,
            DataType::Int16 => self.integers(i16::MIN.into(), i16::MAX.into())?,
            DataType::Int32 => self.integers(i32::MIN.into(), i32::MAX.into())?,
            DataType::Int64 => self.integers(i64::MIN.into(), i64::MAX.into())?,
            DataType::Float32 | DataType::Float64 => {
                let (min, max) =
                    (self.number("min")?.unwrap_or(0.0), self.number("max")?.unwrap_or(f64::from(f32::MAX)));
                Values::Float { min, max }
            }
            DataType::Decimal128(precision, scale) => self.decimals(*precision, *scale)?,
            DataType::Boolean => Values::Boolean,
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
                Values::Text { length: self.length(TEXT_LENGTH)?, variable }
            }
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => {
                Values::Bytes { length: self.length(TEXT_LENGTH)?, variable }
            }
            DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) => {
                let past = self.options.duration(&self.key("max-past"))?.unwrap_or_default();
                Values::Time { max_past_ms: i64::try_from(past.as_millis()).unwrap_or(i64::MAX) }
            }
            other => self.collection(other, seed)?,
        })
    }

    fn collection(&self, data_type: &DataType, seed: u64) -> Result<Values> {
        let inner = |field: &Field| Column::build(self, field.data_type(), seed ^ hash(field.name().as_bytes()));
        Ok(match data_type {
            DataType::Struct(fields) => {
                Values::Struct(fields.iter().map(|field| inner(field)).collect::<Result<Vec<_>>>()?)
            }
            DataType::List(item) => {
                Values::List { item: Box::new(inner(item)?), length: self.length(COLLECTION_LENGTH)? }
            }
            DataType::Map(entries, _) => {
                Values::Map { entries: Box::new(inner(entries)?), length: self.length(COLLECTION_LENGTH)? }
            }
            other => {
                let message = format!("table `{}`: values of type {other} cannot be made up", self.options.table());
                return Err(Error::unsupported("E502", message));
            }
        })
    }

    fn integers(&self, least: i128, greatest: i128) -> Result<Values> {
        let (min, max) = (self.integer("min")?.unwrap_or(least), self.integer("max")?.unwrap_or(greatest));
        if min < least || max > greatest || min > max {
            let message = format!("the values of `{}` from {min} to {max} do not fit its type", self.column);
            return Err(self.wrong(message));
        }
        Ok(Values::Integer { min, max })
    }

    fn decimals(&self, precision: u8, scale: i8) -> Result<Values> {
        let most = 10i128.pow(u32::from(precision).min(38)) - 1;
        let unscaled = |number: f64| (number * 10f64.powi(i32::from(scale))).round() as i128;
        let min = self.number("min")?.map_or(0, unscaled).clamp(-most, most);
        let max = self.number("max")?.map_or(most, unscaled).clamp(-most, most);
        Ok(Values::Decimal { min, max: max.max(min), precision, scale })
    }
}
