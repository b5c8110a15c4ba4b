//! Keys from columns, and columns from keys.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use fleuve_base::{Error, Result};
use fleuve_plan::{Literal, Value};
use fleuve_sketch::index::{KEY_BYTES_MAX, key};

use super::definition::Definition;

/// Columns of a key.
pub(super) const COLUMNS_MAX: usize = 16;

/// How the columns of a key become bytes that compare as their values do. NULLs come first.
///
/// A key has at most [`KEY_BYTES_MAX`] bytes, which its columns share evenly: of a longer text or of longer bytes only the first ones
/// count, and rows that agree in them have one key.
#[derive(Debug, Clone)]
pub struct KeyShape {
    columns: Vec<(Kind, DataType)>,
}

/// A column's part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    /// No other value has this part.
    pub(super) exact: bool,
}

/// The first byte of a part is less: it tells NULL from a value.
const VALUES_END: u8 = 2;

/// How values of a type stand in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As an integer of 64 bits.
    Integer,
    /// As an integer of 128 bits.
    Wide,
    Double,
    Bytes,
}

/// A column of a key, in the form in which it is written.
enum Values {
    Integer(Int64Array),
    Wide(Decimal128Array),
    Double(Float64Array),
    Bytes(BinaryArray),
}

/// How a type is written; none if it has no order that bytes can have.
fn kind_of(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Kind::Integer,
        DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => Kind::Integer,
        DataType::Decimal128(..) => Kind::Wide,
        DataType::Float32 | DataType::Float64 => Kind::Double,
        DataType::Utf8 | DataType::Binary => Kind::Bytes,
        _ => return None,
    })
}

impl KeyShape {
    /// Of an index's columns.
    ///
    /// # Errors
    /// E430 for a column of a type without order, E432 for too many columns.
    pub fn new(definition: &Definition) -> Result<Self> {
        if definition.key.is_empty() || definition.key.len() > COLUMNS_MAX {
            let message = format!("an index has 1 to {COLUMNS_MAX} columns, not {}", definition.key.len());
            return Err(Error::input("E432", message));
        }
        let column = |column: &usize| {
            let field = definition.schema.field(*column);
            let kind = kind_of(field.data_type()).ok_or_else(|| {
                let message = format!("index `{}`: `{}` cannot be a key", definition.name, field.name());
                Error::input("E430", message).with_detail("rows, arrays and maps have no order")
            })?;
            Ok((kind, field.data_type().clone()))
        };
        Ok(KeyShape { columns: definition.key.iter().map(column).collect::<Result<_>>()? })
    }

    /// The keys of rows, from the key's columns in order; as many as rows.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Vec<Vec<u8>>> {
        if columns.len() > self.columns.len() {
            return Err(Error::internal("a key has more columns than its index"));
        }
        let rows = columns.first().map_or(0, |column| column.len());
        let values = columns.iter().zip(&self.columns).map(|(column, (kind, _))| Values::new(*kind, column));
        let values = values.collect::<Result<Vec<_>>>()?;
        let bytes_max = KEY_BYTES_MAX / self.columns.len();
        let key = |row| {
            let mut key = Vec::with_capacity(9 * values.len());
            values.iter().for_each(|values| values.push(row, bytes_max, &mut key));
            key
        };
        Ok((0..rows).map(key).collect())
    }

    /// How NULL begins a column's part of a key.
    pub(super) fn null() -> Vec<u8> {
        let mut part = vec![];
        key::push_null(&mut part);
        part
    }

    /// What comes after the parts of all values.
    pub(super) fn values_end() -> Vec<u8> {
        vec![VALUES_END]
    }

    /// A constant as it stands in a key; none if the column's values are not written from such constants.
    pub(super) fn part(&self, column: usize, value: &Literal) -> Option<Part> {
        let (kind, data_type) = self.columns.get(column)?;
        let (mut bytes, mut exact) = (vec![], true);
        match (kind, &value.value) {
            (Kind::Integer, Value::Int(value)) => key::push_i64(*value, &mut bytes),
            (Kind::Wide, Value::Decimal(unscaled)) if *data_type == value.data_type => {
                key::push_i128(*unscaled, &mut bytes);
            }
            // A key does not keep the sign of NaN, by which comparisons put it before or after all numbers.
            (Kind::Double, Value::Float(value)) if !value.is_nan() => {
                key::push_f64(*value, &mut bytes);
                // −0 and 0 are one key, and any two NaN.
                exact = false;
            }
            (Kind::Bytes, Value::String(text)) => exact = !self.push_bytes(text.as_bytes(), &mut bytes),
            (Kind::Bytes, Value::Bytes(value)) => exact = !self.push_bytes(value, &mut bytes),
            _ => return None,
        }
        Some(Part { bytes, exact })
    }

    /// Whether the bytes were cut.
    fn push_bytes(&self, value: &[u8], out: &mut Vec<u8>) -> bool {
        key::push_cut_bytes(value, KEY_BYTES_MAX / self.columns.len(), out)
    }

    /// How the parts of all texts begin that begin with this one, which has no character 0.
    pub(super) fn beginning(&self, column: usize, text: &str) -> Option<Part> {
        let (Kind::Bytes, DataType::Utf8) = self.columns.get(column)? else { return None };
        let mut bytes = vec![];
        let cut = self.push_bytes(text.as_bytes(), &mut bytes);
        // Without the end of the text.
        bytes.truncate(bytes.len() - 2);
        Some(Part { bytes, exact: !cut })
    }

    /// Whether a column has floating-point numbers.
    pub(super) fn is_double(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|(kind, _)| *kind == Kind::Double)
    }

    /// The part of a key that is its first column's.
    pub(super) fn first_part<'k>(&self, whole: &'k [u8]) -> &'k [u8] {
        let mut rest = whole;
        let read = match self.columns.first().map(|(kind, _)| kind) {
            Some(Kind::Integer) => key::take_i64(&mut rest).map(drop),
            Some(Kind::Double) => key::take_f64(&mut rest).map(drop),
            Some(Kind::Wide) => key::take_i128(&mut rest).map(drop),
            Some(Kind::Bytes) | None => key::take_bytes(&mut rest).map(drop),
        };
        // What cannot be read is tied with nothing else.
        if read.is_ok() { &whole[..whole.len() - rest.len()] } else { whole }
    }

    /// The first column of keys.
    ///
    /// # Errors
    /// Corrupt, if a key is not what was written.
    pub fn decode_first<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<ArrayRef> {
        let Some((kind, data_type)) = self.columns.first() else { return Err(Error::internal("a key has no column")) };
        let array: ArrayRef = match kind {
            Kind::Integer => Arc::new(keys.map(|mut k| key::take_i64(&mut k)).collect::<Result<Int64Array>>()?),
            Kind::Double => Arc::new(keys.map(|mut k| key::take_f64(&mut k)).collect::<Result<Float64Array>>()?),
            Kind::Wide => Arc::new(keys.map(|mut k| key::take_i128(&mut k)).collect::<Result<Decimal128Array>>()?),
            Kind::Bytes => {
                let bytes = keys.map(|mut k| key::take_bytes(&mut k)).collect::<Result<Vec<_>>>()?;
                bytes_column(&bytes, data_type)
            }
        };
        from_plain(&array, data_type).map_err(arrow_error)
    }
}

/// Bytes, or text of which a character may have been cut.
fn bytes_column(values: &[Option<Vec<u8>>], data_type: &DataType) -> ArrayRef {
    let text = |value: &Option<Vec<u8>>| value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
    match data_type {
        DataType::Utf8 => Arc::new(values.iter().map(text).collect::<StringArray>()),
        _ => Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>()),
    }
}

/// Integers to a type that is stored in fewer of their bits, or means something else by them.
fn from_plain(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    match to {
        DataType::Date32 | DataType::Time32(_) => cast(&cast(array, &DataType::Int32)?, to),
        DataType::Decimal128(precision, scale) => {
            let wide = array.as_primitive::<Decimal128Type>().clone();
            Ok(Arc::new(wide.with_precision_and_scale(*precision, *scale)?))
        }
        _ => cast(array, to),
    }
}

impl Values {
    fn new(kind: Kind, column: &ArrayRef) -> Result<Self> {
        let plain = |to: &DataType| {
            let narrow = matches!(column.data_type(), DataType::Date32 | DataType::Time32(_));
            let column = if narrow { cast(column, &DataType::Int32) } else { Ok(Arc::clone(column)) };
            column.and_then(|column| cast(&column, to)).map_err(arrow_error)
        };
        Ok(match kind {
            Kind::Integer => Values::Integer(plain(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            Kind::Double => Values::Double(plain(&DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            Kind::Wide => match column.as_primitive_opt::<Decimal128Type>() {
                Some(values) => Values::Wide(values.clone()),
                None => return Err(Error::internal("a DECIMAL of a key is none")),
            },
            Kind::Bytes => Values::Bytes(plain(&DataType::Binary)?.as_binary::<i32>().clone()),
        })
    }

    fn push(&self, row: usize, bytes_max: usize, out: &mut Vec<u8>) {
        match self {
            Values::Integer(values) if values.is_valid(row) => key::push_i64(values.value(row), out),
            Values::Wide(values) if values.is_valid(row) => key::push_i128(values.value(row), out),
            Values::Double(values) if values.is_valid(row) => key::push_f64(values.value(row), out),
            Values::Bytes(values) if values.is_valid(row) => {
                key::push_cut_bytes(values.value(row), bytes_max, out);
            }
            _ => key::push_null(out),
        }
    }
}

fn arrow_error(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("columns of a key: {error}"))
}
