//! Arrow values as text: the cells of one column, written one at a time into the caller's buffer.
//!
//! JSON and CSV share these; they differ in quotes and in how nested values are joined.

use arrow::array::{Array, ArrayRef, AsArray, types::*};
use arrow::array::{
    BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, ListArray, MapArray, StringArray, StringViewArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, TimeUnit};
use fleuve_base::{Error, Result};

use crate::base64;
use crate::escape::write_json_string;
use crate::number::{write_decimal, write_integer};
use crate::time::{TimestampFormat, TimestampWriter, write_date, write_time};
use crate::types::sql_type;

/// The cells of one column.
pub(crate) struct Cells<'a> {
    array: &'a dyn Array,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    UInt8(&'a UInt8Array),
    UInt16(&'a UInt16Array),
    UInt32(&'a UInt32Array),
    UInt64(&'a UInt64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, i8),
    Text(&'a StringArray),
    TextView(&'a StringViewArray),
    Binary(&'a BinaryArray),
    Date(&'a ScalarBuffer<i32>),
    Time32(&'a ScalarBuffer<i32>, TimeUnit),
    Time64(&'a ScalarBuffer<i64>, TimeUnit),
    Timestamp(&'a ScalarBuffer<i64>, TimestampWriter),
    List(&'a ListArray, Box<Cells<'a>>),
    Map(&'a MapArray, Box<(Cells<'a>, Cells<'a>)>),
    Row(Vec<(Vec<u8>, Cells<'a>)>),
}

/// Fails for a type whose values have no text form here.
pub(crate) fn check_type(name: &str, data_type: &DataType) -> Result<()> {
    let empty = arrow::array::new_empty_array(data_type);
    Cells::new(name, &empty, TimestampFormat::Sql).map(|_| ())
}

impl<'a> Cells<'a> {
    /// The cells of `array`; `name` is for the error if its type has no text form.
    pub(crate) fn new(name: &str, array: &'a ArrayRef, format: TimestampFormat) -> Result<Cells<'a>> {
        let values = match array.data_type() {
            DataType::Timestamp(unit, zone) => {
                Values::Timestamp(timestamps(array), TimestampWriter::new(format, *unit, zone.is_some()))
            }
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                Values::List(list, Box::new(Cells::new(item.name(), list.values(), format)?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let (keys, values) = (Cells::new(name, map.keys(), format)?, Cells::new(name, map.values(), format)?);
                Values::Map(map, Box::new((keys, values)))
            }
            DataType::Struct(fields) => {
                let row = array.as_struct();
                let cells = fields
                    .iter()
                    .zip(row.columns())
                    .map(|(field, column)| Ok((json_key(field.name()), Cells::new(field.name(), column, format)?)));
                Values::Row(cells.collect::<Result<_>>()?)
            }
            _ => scalars(name, array)?,
        };
        Ok(Cells { array, values })
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row) || matches!(self.values, Values::Null)
    }

    /// Appends the cell as a JSON value.
    #[inline]
    pub(crate) fn write_json(&mut self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match &mut self.values {
            Values::Text(text) => write_json_string(text.value(row).as_bytes(), out),
            Values::TextView(text) => write_json_string(text.value(row).as_bytes(), out),
            Values::List(list, items) => {
                out.push(b'[');
                let offsets = list.value_offsets();
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    items.write_json(at, out);
                    out.push(b',');
                }
                close(out, b'[', b']');
            }
            Values::Map(map, entries) => {
                out.push(b'{');
                let offsets = map.value_offsets();
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    entries.0.write_json_key(at, out);
                    out.push(b':');
                    entries.1.write_json(at, out);
                    out.push(b',');
                }
                close(out, b'{', b'}');
            }
            Values::Row(fields) => write_json_fields(fields, row, out),
            Values::Binary(_) | Values::Date(_) | Values::Time32(..) | Values::Time64(..) | Values::Timestamp(..) => {
                out.push(b'"');
                self.write_plain(row, out);
                out.push(b'"');
            }
            Values::Float32(values) if !values.value(row).is_finite() => quoted_float(out, values.value(row).into()),
            Values::Float64(values) if !values.value(row).is_finite() => quoted_float(out, values.value(row)),
            _ => self.write_plain(row, out),
        }
    }

    /// Appends a key of a map, which JSON wants to be a string.
    fn write_json_key(&mut self, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        self.write_json(row, out);
        if out[start] != b'"' {
            out.insert(start, b'"');
            out.push(b'"');
        }
    }

    /// Appends the cell, which is not NULL, without quotes or escapes. Elements of an array are joined by `;`.
    #[inline]
    pub(crate) fn write_plain(&mut self, row: usize, out: &mut Vec<u8>) {
        match &mut self.values {
            Values::Null => {}
            Values::Boolean(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Int8(values) => write_integer(out, values.value(row).into()),
            Values::Int16(values) => write_integer(out, values.value(row).into()),
            Values::Int32(values) => write_integer(out, values.value(row).into()),
            Values::Int64(values) => write_integer(out, values.value(row)),
            Values::UInt8(values) => write_integer(out, values.value(row).into()),
            Values::UInt16(values) => write_integer(out, values.value(row).into()),
            Values::UInt32(values) => write_integer(out, values.value(row).into()),
            Values::UInt64(values) => write_decimal(out, values.value(row).into(), 0),
            Values::Float32(values) => write_float(out, format_args!("{:?}", values.value(row))),
            Values::Float64(values) => write_float(out, format_args!("{:?}", values.value(row))),
            Values::Decimal(values, scale) => write_decimal(out, values.value(row), *scale),
            Values::Text(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::TextView(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::Binary(values) => base64::encode(values.value(row), out),
            Values::Date(days) => write_date(out, days[row].into()),
            Values::Time32(values, unit) => write_time(out, values[row].into(), *unit),
            Values::Time64(values, unit) => write_time(out, values[row], *unit),
            Values::Timestamp(values, writer) => writer.write(out, values[row]),
            Values::List(list, items) => {
                let offsets = list.value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                for at in range.clone() {
                    if at > range.start {
                        out.push(b';');
                    }
                    if !items.is_null(at) {
                        items.write_plain(at, out);
                    }
                }
            }
            Values::Map(..) | Values::Row(_) => self.write_json(row, out),
        }
    }
}

/// Appends the fields of a row as a JSON object. Keys are given as [`json_key`] makes them.
#[inline]
pub(crate) fn write_json_fields(fields: &mut [(Vec<u8>, Cells<'_>)], row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for (key, cells) in fields {
        out.extend_from_slice(key);
        cells.write_json(row, out);
        out.push(b',');
    }
    close(out, b'{', b'}');
}

/// A field's name as the key of a JSON object, with its colon.
pub(crate) fn json_key(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 3);
    write_json_string(name.as_bytes(), &mut key);
    key.push(b':');
    key
}

/// Closes an array or object: the comma after the last element becomes the bracket.
fn close(out: &mut Vec<u8>, open: u8, bracket: u8) {
    match out.last_mut() {
        Some(last) if *last != open => *last = bracket,
        _ => out.push(bracket),
    }
}

fn quoted_float(out: &mut Vec<u8>, value: f64) {
    let name: &[u8] = if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    };
    out.extend_from_slice(name);
}

/// The shortest digits that read back as the same number.
fn write_float(out: &mut Vec<u8>, value: std::fmt::Arguments<'_>) {
    use std::io::Write;
    out.write_fmt(value).expect("writing to memory does not fail");
}

fn scalars<'a>(name: &str, array: &'a ArrayRef) -> Result<Values<'a>> {
    Ok(match array.data_type() {
        DataType::Null => Values::Null,
        DataType::Boolean => Values::Boolean(array.as_boolean()),
        DataType::Int8 => Values::Int8(array.as_primitive()),
        DataType::Int16 => Values::Int16(array.as_primitive()),
        DataType::Int32 => Values::Int32(array.as_primitive()),
        DataType::Int64 => Values::Int64(array.as_primitive()),
        DataType::UInt8 => Values::UInt8(array.as_primitive()),
        DataType::UInt16 => Values::UInt16(array.as_primitive()),
        DataType::UInt32 => Values::UInt32(array.as_primitive()),
        DataType::UInt64 => Values::UInt64(array.as_primitive()),
        DataType::Float32 => Values::Float32(array.as_primitive()),
        DataType::Float64 => Values::Float64(array.as_primitive()),
        DataType::Decimal128(_, scale) => Values::Decimal(array.as_primitive(), *scale),
        DataType::Utf8 => Values::Text(array.as_string()),
        DataType::Utf8View => Values::TextView(array.as_string_view()),
        DataType::Binary => Values::Binary(array.as_binary()),
        DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>().values()),
        DataType::Time32(TimeUnit::Second) => {
            Values::Time32(array.as_primitive::<Time32SecondType>().values(), TimeUnit::Second)
        }
        DataType::Time32(unit) => Values::Time32(array.as_primitive::<Time32MillisecondType>().values(), *unit),
        DataType::Time64(TimeUnit::Microsecond) => {
            Values::Time64(array.as_primitive::<Time64MicrosecondType>().values(), TimeUnit::Microsecond)
        }
        DataType::Time64(unit) => Values::Time64(array.as_primitive::<Time64NanosecondType>().values(), *unit),
        other => {
            let message = format!("column `{name}`: {} cannot be written as text", sql_type(other));
            return Err(Error::unsupported("E414", message));
        }
    })
}

fn timestamps(array: &ArrayRef) -> &ScalarBuffer<i64> {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().values(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().values(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().values(),
        _ => array.as_primitive::<TimestampNanosecondType>().values(),
    }
}
