//! Columns under construction: values are appended one by one, and what a bad record left behind is cut off again.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, ListArray, MapArray, PrimitiveArray, StringArray,
    StructArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int64Type, TimeUnit};
use fleuve_base::{Error, Result};

use super::input::{Fault, Input};
use super::schema::{RecordField, Schema};

/// A column and which of its rows are there.
#[derive(Debug)]
pub(super) struct Column {
    data_type: DataType,
    nullable: bool,
    valid: Vec<bool>,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Boolean(Vec<bool>),
    /// Integers of any width, dates, times and moments, in the unit of the column.
    Integer(Vec<i64>),
    Decimal(Vec<i128>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    /// Texts, which are checked, or bytes.
    Bytes {
        ends: Vec<i32>,
        bytes: Vec<u8>,
        text: bool,
    },
    List {
        ends: Vec<i32>,
        items: Box<Column>,
    },
    Map {
        ends: Vec<i32>,
        keys: Box<Column>,
        values: Box<Column>,
    },
    Row(Vec<(String, Column)>),
    /// A field that no record has.
    Absent,
}

/// Bytes or items that one column may gather: Arrow's offsets have 31 bits.
const ITEMS_MAX: usize = i32::MAX as usize;

impl Column {
    /// A column for this field; the schema was found to fit it.
    pub(super) fn new(field: &Field) -> Self {
        let data = match field.data_type() {
            DataType::Boolean => Data::Boolean(vec![]),
            DataType::Float32 => Data::Float(vec![]),
            DataType::Float64 => Data::Double(vec![]),
            DataType::Decimal128(..) => Data::Decimal(vec![]),
            DataType::Utf8 => Data::Bytes { ends: vec![], bytes: vec![], text: true },
            DataType::Binary => Data::Bytes { ends: vec![], bytes: vec![], text: false },
            DataType::List(item) => Data::List { ends: vec![], items: Box::new(Column::new(item)) },
            DataType::Struct(fields) => {
                Data::Row(fields.iter().map(|field| (field.name().clone(), Column::new(field))).collect())
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(entry) if entry.len() == 2 => Data::Map {
                    ends: vec![],
                    keys: Box::new(Column::new(&entry[0])),
                    values: Box::new(Column::new(&entry[1])),
                },
                _ => Data::Absent,
            },
            _ => Data::Integer(vec![]),
        };
        Column { data_type: field.data_type().clone(), nullable: field.is_nullable(), valid: vec![], data }
    }

    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    /// Cuts off rows from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.valid.truncate(len);
        let cut = |ends: &mut Vec<i32>| {
            ends.truncate(len);
            ends.last().map_or(0, |end| *end as usize)
        };
        match &mut self.data {
            Data::Boolean(values) => values.truncate(len),
            Data::Integer(values) => values.truncate(len),
            Data::Decimal(values) => values.truncate(len),
            Data::Float(values) => values.truncate(len),
            Data::Double(values) => values.truncate(len),
            Data::Bytes { ends, bytes, .. } => bytes.truncate(cut(ends)),
            Data::List { ends, items } => items.truncate(cut(ends)),
            Data::Map { ends, keys, values } => {
                let end = cut(ends);
                keys.truncate(end);
                values.truncate(end);
            }
            Data::Row(columns) => columns.iter_mut().for_each(|(_, column)| column.truncate(len)),
            Data::Absent => {}
        }
    }

    /// Adds NULL.
    pub(super) fn push_null(&mut self) -> std::result::Result<(), Fault> {
        if !self.nullable {
            return Err("NULL in a column that is NOT NULL".to_owned());
        }
        self.push_nothing();
        Ok(())
    }

    /// Adds a row that is not there, in nested columns, too.
    fn push_nothing(&mut self) {
        self.valid.push(false);
        let again = |ends: &mut Vec<i32>| ends.push(ends.last().copied().unwrap_or(0));
        match &mut self.data {
            Data::Boolean(values) => values.push(false),
            Data::Integer(values) => values.push(0),
            Data::Decimal(values) => values.push(0),
            Data::Float(values) => values.push(0.0),
            Data::Double(values) => values.push(0.0),
            Data::Bytes { ends, .. } | Data::List { ends, .. } | Data::Map { ends, .. } => again(ends),
            Data::Row(columns) => columns.iter_mut().for_each(|(_, column)| column.push_nothing()),
            Data::Absent => {}
        }
    }

    /// Adds the value that stands next in the input.
    #[inline]
    pub(super) fn push(&mut self, schema: &Schema, input: &mut Input<'_>) -> std::result::Result<(), Fault> {
        match schema {
            Schema::Null => return self.push_null(),
            Schema::Union(branches) => {
                let branch = input.branch(branches)?;
                return self.push(branch, input);
            }
            _ => {}
        }
        self.push_value(schema, input)?;
        self.valid.push(true);
        Ok(())
    }

    fn push_value(&mut self, schema: &Schema, input: &mut Input<'_>) -> std::result::Result<(), Fault> {
        match (&mut self.data, schema) {
            (Data::Integer(values), _) => values.push(integer(&self.data_type, schema, input)?),
            (Data::Bytes { ends, bytes, text }, _) => {
                let value = bytes_of(schema, input)?;
                if *text {
                    std::str::from_utf8(value).map_err(|_| "a text is not UTF-8".to_owned())?;
                }
                bytes.extend_from_slice(value);
                ends.push(end_of(bytes.len())?);
            }
            (Data::Boolean(values), _) => values.push(input.boolean()?),
            (Data::Float(values), _) => values.push(double(schema, input)? as f32),
            (Data::Double(values), _) => values.push(double(schema, input)?),
            (Data::Decimal(values), _) => values.push(decimal(&self.data_type, schema, input)?),
            (Data::List { ends, items }, Schema::Array(item)) => {
                blocks(input, |input| items.push(item, input))?;
                ends.push(end_of(items.len())?);
            }
            (Data::Map { ends, keys, values }, Schema::Map(value)) => {
                blocks(input, |input| {
                    keys.push(&Schema::Text, input)?;
                    values.push(value, input)
                })?;
                ends.push(end_of(keys.len())?);
            }
            (Data::Row(columns), Schema::Record(fields)) => push_row(columns, fields, input)?,
            (_, schema) => return Err(format!("{} cannot be {}", schema.name(), self.data_type)),
        }
        Ok(())
    }

    /// Takes all rows.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let rows = self.len();
        let valid = std::mem::take(&mut self.valid);
        let nulls = valid.iter().any(|valid| !valid).then(|| NullBuffer::from(valid));
        let offsets = |ends: &mut Vec<i32>| {
            let starts = std::iter::once(0).chain(std::mem::take(ends));
            OffsetBuffer::new(ScalarBuffer::from(starts.collect::<Vec<i32>>()))
        };
        Ok(match &mut self.data {
            Data::Absent => new_null_array(&self.data_type, rows),
            Data::Boolean(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(std::mem::take(values)), nulls)),
            Data::Integer(values) => {
                let values: ArrayRef = Arc::new(primitive::<Int64Type>(values, nulls));
                integers_as(&values, &self.data_type)?
            }
            Data::Float(values) => Arc::new(primitive::<Float32Type>(values, nulls)),
            Data::Double(values) => Arc::new(primitive::<Float64Type>(values, nulls)),
            Data::Decimal(values) => {
                let values = Decimal128Array::new(std::mem::take(values).into(), nulls);
                Arc::new(values.with_data_type(self.data_type.clone()))
            }
            Data::Bytes { ends, bytes, text } => {
                let (offsets, bytes) = (offsets(ends), std::mem::take(bytes).into());
                match text {
                    true => Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(internal)?),
                    false => Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(internal)?),
                }
            }
            Data::List { ends, items } => match &self.data_type {
                DataType::List(field) => Arc::new(
                    ListArray::try_new(field.clone(), offsets(ends), items.finish()?, nulls).map_err(internal)?,
                ),
                other => return Err(Error::internal(format!("a list of type {other}"))),
            },
            Data::Map { ends, keys, values } => match &self.data_type {
                DataType::Map(field, sorted) => {
                    let offsets = offsets(ends);
                    let entries = entries(field, vec![keys.finish()?, values.finish()?])?;
                    Arc::new(MapArray::try_new(field.clone(), offsets, entries, nulls, *sorted).map_err(internal)?)
                }
                other => return Err(Error::internal(format!("a map of type {other}"))),
            },
            Data::Row(columns) => {
                let arrays = columns.iter_mut().map(|(_, column)| column.finish()).collect::<Result<Vec<_>>>()?;
                row(&self.data_type, arrays, nulls, rows)?
            }
        })
    }
}

/// The fields of a record, wherever the row has them.
fn push_row(
    columns: &mut [(String, Column)],
    fields: &[RecordField],
    input: &mut Input<'_>,
) -> std::result::Result<(), Fault> {
    for field in fields {
        match columns.iter_mut().find(|(name, _)| *name == field.name) {
            Some((_, column)) => column.push(&field.schema, input)?,
            None => input.skip(&field.schema)?,
        }
    }
    let missing = columns.iter_mut().filter(|(name, _)| fields.iter().all(|field| field.name != *name));
    missing.into_iter().try_for_each(|(_, column)| column.push_null())
}

fn blocks(
    input: &mut Input<'_>,
    mut item: impl FnMut(&mut Input<'_>) -> std::result::Result<(), Fault>,
) -> std::result::Result<(), Fault> {
    loop {
        let count = input.block()?;
        if count == 0 {
            return Ok(());
        }
        (0..count).try_for_each(|_| item(input))?;
    }
}

fn end_of(length: usize) -> std::result::Result<i32, Fault> {
    if length <= ITEMS_MAX {
        Ok(length as i32)
    } else {
        Err("a column has more than 2 GiB between two flushes".to_owned())
    }
}

fn bytes_of<'b, 'i: 'b>(schema: &'b Schema, input: &mut Input<'i>) -> std::result::Result<&'b [u8], Fault> {
    match schema {
        Schema::Text | Schema::Bytes => input.bytes(),
        Schema::Fixed(size) => input.take(*size),
        Schema::Enum(symbols) => {
            let number = input.long()?;
            let symbol = usize::try_from(number).ok().and_then(|number| symbols.get(number));
            symbol.map(String::as_bytes).ok_or_else(|| format!("an enum has no symbol {number}"))
        }
        other => Err(format!("{} is no text", other.name())),
    }
}

fn double(schema: &Schema, input: &mut Input<'_>) -> std::result::Result<f64, Fault> {
    match schema {
        Schema::Float => input.float().map(f64::from),
        Schema::Double => input.double(),
        Schema::Int | Schema::Long => input.long().map(|value| value as f64),
        other => Err(format!("{} is no number", other.name())),
    }
}

/// An integer in the unit of its column.
fn integer(data_type: &DataType, schema: &Schema, input: &mut Input<'_>) -> std::result::Result<i64, Fault> {
    let value = input.long()?;
    let (from, to) = match (schema, data_type) {
        (Schema::Timestamp(from) | Schema::Time(from), DataType::Timestamp(to, _)) => (*from, *to),
        (Schema::Timestamp(from) | Schema::Time(from), DataType::Time32(to) | DataType::Time64(to)) => (*from, *to),
        (Schema::Long, DataType::Timestamp(to, _)) => (TimeUnit::Millisecond, *to),
        _ => return fits(value, data_type).then_some(value).ok_or_else(|| format!("{value} is out of range")),
    };
    let (from, to) = (per_second(from), per_second(to));
    let scaled = if to >= from { value.checked_mul(to / from) } else { Some(value.div_euclid(from / to)) };
    scaled.filter(|value| fits(*value, data_type)).ok_or_else(|| format!("the time {value} is out of range"))
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn fits(value: i64, data_type: &DataType) -> bool {
    match data_type {
        DataType::Int8 => i8::try_from(value).is_ok(),
        DataType::Int16 => i16::try_from(value).is_ok(),
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) => i32::try_from(value).is_ok(),
        _ => true,
    }
}

fn decimal(data_type: &DataType, schema: &Schema, input: &mut Input<'_>) -> std::result::Result<i128, Fault> {
    let (Schema::Decimal { scale, fixed }, DataType::Decimal128(precision, wanted)) = (schema, data_type) else {
        return Err(format!("{} is no decimal", schema.name()));
    };
    let bytes = match fixed {
        Some(size) => input.take(*size)?,
        None => input.bytes()?,
    };
    let out_of_range = || format!("a decimal has more than {precision} digits");
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let surplus = bytes.len().saturating_sub(16);
    if bytes[..surplus].iter().any(|byte| *byte != fill) {
        return Err(out_of_range());
    }
    let mut wide = [fill; 16];
    let bytes = &bytes[surplus..];
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    let value = i128::from_be_bytes(wide);
    let shift = i32::from(*wanted) - i32::from(*scale);
    let power = 10i128.checked_pow(shift.unsigned_abs()).ok_or_else(out_of_range)?;
    let value = if shift >= 0 { value.checked_mul(power).ok_or_else(out_of_range)? } else { value / power };
    let limit = 10i128.checked_pow(u32::from(*precision)).ok_or_else(out_of_range)?;
    if value.abs() < limit { Ok(value) } else { Err(out_of_range()) }
}

fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>) -> PrimitiveArray<T> {
    PrimitiveArray::new(ScalarBuffer::from(std::mem::take(values)), nulls)
}

/// 64-bit integers as the column's type; each fits it.
fn integers_as(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let narrow = match data_type {
        DataType::Date32 | DataType::Time32(_) => cast(values, &DataType::Int32).map_err(internal)?,
        _ => values.clone(),
    };
    cast(&narrow, data_type).map_err(internal)
}

fn entries(field: &Field, columns: Vec<ArrayRef>) -> Result<StructArray> {
    match field.data_type() {
        DataType::Struct(fields) => StructArray::try_new(fields.clone(), columns, None).map_err(internal),
        other => Err(Error::internal(format!("entries of type {other}"))),
    }
}

fn row(data_type: &DataType, columns: Vec<ArrayRef>, nulls: Option<NullBuffer>, rows: usize) -> Result<ArrayRef> {
    match data_type {
        DataType::Struct(fields) if fields.is_empty() => Ok(Arc::new(StructArray::new_empty_fields(rows, nulls))),
        DataType::Struct(fields) => {
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls).map_err(internal)?))
        }
        other => Err(Error::internal(format!("a row of type {other}"))),
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("a column of Avro records: {error}"))
}
