//! The arguments of a call, and builders for its result.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, NullBufferBuilder, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use fleuve_base::{Error, ErrorKind};

use super::time::Zone;
use crate::compile::external;

/// The arguments of one call over a batch, already of the types that the function takes.
pub(crate) struct Args<'a> {
    name: &'static str,
    call: &'a ScalarFunctionArgs,
    /// Rows of the result.
    pub(crate) rows: usize,
}

impl<'a> Args<'a> {
    pub(crate) fn new(name: &'static str, call: &'a ScalarFunctionArgs, rows: usize) -> Self {
        Args { name, call, rows }
    }

    /// The number of arguments.
    pub(crate) fn len(&self) -> usize {
        self.call.args.len()
    }

    /// The type of the result.
    pub(crate) fn return_type(&self) -> &DataType {
        self.call.return_type()
    }

    /// The type of an argument.
    pub(crate) fn data_type(&self, nth: usize) -> DataType {
        self.call.args.get(nth).map_or(DataType::Null, ColumnarValue::data_type)
    }

    /// The session's time zone.
    pub(crate) fn zone(&self) -> Result<Zone> {
        match &self.call.config_options.execution.time_zone {
            Some(name) => Zone::parse(name),
            None => Ok(Zone::Utc),
        }
    }

    fn value(&self, nth: usize) -> Result<&'a ColumnarValue> {
        self.call.args.get(nth).ok_or_else(|| external(Error::internal(format!("{} lacks argument {nth}", self.name))))
    }

    /// The argument if it is a constant.
    pub(crate) fn constant(&self, nth: usize) -> Option<&'a ScalarValue> {
        match self.call.args.get(nth)? {
            ColumnarValue::Scalar(scalar) => Some(scalar),
            ColumnarValue::Array(_) => None,
        }
    }

    /// The argument as a column.
    pub(crate) fn array(&self, nth: usize) -> Result<ArrayRef> {
        self.value(nth)?.to_array(self.rows)
    }

    /// A STRING argument.
    pub(crate) fn text(&self, nth: usize) -> Result<Text<'a>> {
        match self.value(nth)? {
            ColumnarValue::Scalar(scalar) => Ok(Text::Constant(scalar.try_as_str().flatten().unwrap_or_default())),
            ColumnarValue::Array(array) => match array.as_string_opt::<i32>() {
                Some(texts) => Ok(Text::Column(texts)),
                None => Err(self.unexpected(nth, array.data_type())),
            },
        }
    }

    /// A STRING argument that may be left out.
    pub(crate) fn text_or(&self, nth: usize, default: &'static str) -> Result<Text<'a>> {
        if nth < self.len() { self.text(nth) } else { Ok(Text::Constant(default)) }
    }

    /// A BIGINT argument.
    pub(crate) fn integer(&self, nth: usize) -> Result<Integers<'a>> {
        match self.value(nth)? {
            ColumnarValue::Scalar(ScalarValue::Int64(value)) => Ok(Integers::Constant(value.unwrap_or_default())),
            ColumnarValue::Array(array) => match array.as_primitive_opt::<Int64Type>() {
                Some(integers) => Ok(Integers::Column(integers)),
                None => Err(self.unexpected(nth, array.data_type())),
            },
            ColumnarValue::Scalar(other) => Err(self.unexpected(nth, &other.data_type())),
        }
    }

    /// A BIGINT argument that may be left out.
    pub(crate) fn integer_or(&self, nth: usize, default: i64) -> Result<Integers<'a>> {
        if nth < self.len() { self.integer(nth) } else { Ok(Integers::Constant(default)) }
    }

    /// A DOUBLE argument, as a column.
    pub(crate) fn doubles(&self, nth: usize) -> Result<arrow::array::Float64Array> {
        let array = self.array(nth)?;
        match array.as_primitive_opt::<Float64Type>() {
            Some(doubles) => Ok(doubles.clone()),
            None => Err(self.unexpected(nth, array.data_type())),
        }
    }

    /// The rows in which some argument is NULL.
    pub(crate) fn nulls(&self) -> Option<NullBuffer> {
        let mut all: Option<NullBuffer> = None;
        for value in &self.call.args {
            if let ColumnarValue::Array(array) = value {
                all = NullBuffer::union(all.as_ref(), array.logical_nulls().as_ref());
            }
        }
        all
    }

    fn unexpected(&self, nth: usize, data_type: &DataType) -> datafusion_common::DataFusionError {
        external(Error::internal(format!("argument {nth} of {} came as {data_type}", self.name)))
    }

    /// An error of this call.
    pub(crate) fn fail(&self, code: &'static str, problem: &str) -> datafusion_common::DataFusionError {
        external(Error::input(code, format!("{}: {problem}", self.name.to_uppercase())))
    }
}

/// Texts of a batch. NULLs are masked by [`Args::nulls`], or asked for with [`Text::get`].
#[derive(Clone, Copy)]
pub(crate) enum Text<'a> {
    Constant(&'a str),
    Column(&'a StringArray),
}

impl<'a> Text<'a> {
    /// The row's text; of a row that is NULL, any text.
    #[inline]
    pub(crate) fn at(&self, row: usize) -> &'a str {
        match self {
            Text::Constant(text) => text,
            Text::Column(texts) => texts.value(row),
        }
    }

    /// The text if it is the same for all rows.
    pub(crate) fn constant(&self) -> Option<&'a str> {
        match self {
            Text::Constant(text) => Some(text),
            Text::Column(_) => None,
        }
    }

    /// The bytes of all texts together.
    pub(crate) fn total_bytes(&self) -> usize {
        match self {
            Text::Constant(text) => text.len(),
            Text::Column(texts) => {
                let offsets = texts.value_offsets();
                let span = offsets.last().copied().unwrap_or(0) - offsets.first().copied().unwrap_or(0);
                usize::try_from(span).unwrap_or(0)
            }
        }
    }

    /// Whether no text has a character beyond ASCII.
    pub(crate) fn is_ascii(&self) -> bool {
        match self {
            Text::Constant(text) => text.is_ascii(),
            Text::Column(texts) => texts.is_ascii(),
        }
    }
}

/// Integers of a batch.
#[derive(Clone, Copy)]
pub(crate) enum Integers<'a> {
    Constant(i64),
    Column(&'a Int64Array),
}

impl Integers<'_> {
    /// The row's integer; of a row that is NULL, any.
    #[inline]
    pub(crate) fn at(&self, row: usize) -> i64 {
        match self {
            Integers::Constant(value) => *value,
            Integers::Column(values) => values.value(row),
        }
    }
}

#[inline]
fn is_null(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_some_and(|nulls| nulls.is_null(row))
}

/// A column of texts: `write` appends the bytes of each row that is not NULL.
pub(crate) fn texts(
    rows: usize,
    nulls: Option<NullBuffer>,
    bytes: usize,
    mut write: impl FnMut(usize, &mut Vec<u8>),
) -> Result<ArrayRef> {
    let mut out = Vec::with_capacity(bytes);
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    for row in 0..rows {
        if !is_null(nulls.as_ref(), row) {
            write(row, &mut out);
        }
        offsets.push(out.len() as i32);
    }
    finish_texts(out, offsets, nulls)
}

/// A column of texts: `write` appends the bytes of each row that has arguments, and says whether it has a result.
pub(crate) fn texts_or_null(
    rows: usize,
    nulls: Option<&NullBuffer>,
    bytes: usize,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> bool,
) -> Result<ArrayRef> {
    let mut out = Vec::with_capacity(bytes);
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut valid = NullBufferBuilder::new(rows);
    offsets.push(0);
    for row in 0..rows {
        valid.append(!is_null(nulls, row) && write(row, &mut out));
        offsets.push(out.len() as i32);
    }
    finish_texts(out, offsets, valid.finish())
}

/// The offsets only ever grow, so that none overflowed if the last did not.
pub(crate) fn finish_texts(bytes: Vec<u8>, offsets: Vec<i32>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    if i32::try_from(bytes.len()).is_err() {
        let error = Error::new(ErrorKind::Limit, "E307", "the strings of one batch exceed 2 GiB");
        return Err(external(error));
    }
    let texts = StringArray::try_new(OffsetBuffer::new(offsets.into()), Buffer::from_vec(bytes), nulls)?;
    Ok(Arc::new(texts))
}

/// A column of BIGINTs: `value` is called for each row that is not NULL.
pub(crate) fn integers(rows: usize, nulls: Option<NullBuffer>, mut value: impl FnMut(usize) -> i64) -> ArrayRef {
    let values: Vec<i64> = (0..rows).map(|row| if is_null(nulls.as_ref(), row) { 0 } else { value(row) }).collect();
    Arc::new(Int64Array::new(values.into(), nulls))
}

/// A column of INTs.
pub(crate) fn ints(rows: usize, nulls: Option<NullBuffer>, mut value: impl FnMut(usize) -> i32) -> ArrayRef {
    let values: Vec<i32> = (0..rows).map(|row| if is_null(nulls.as_ref(), row) { 0 } else { value(row) }).collect();
    Arc::new(arrow::array::Int32Array::new(values.into(), nulls))
}

/// A column of BOOLEANs.
pub(crate) fn booleans(rows: usize, nulls: Option<NullBuffer>, mut value: impl FnMut(usize) -> bool) -> ArrayRef {
    let values = BooleanBuffer::collect_bool(rows, |row| !is_null(nulls.as_ref(), row) && value(row));
    Arc::new(BooleanArray::new(values, nulls))
}

/// A column of BIGINTs in which some rows have no result.
pub(crate) fn optional_integers(
    rows: usize,
    nulls: Option<&NullBuffer>,
    mut value: impl FnMut(usize) -> Option<i64>,
) -> Int64Array {
    (0..rows).map(|row| if is_null(nulls, row) { None } else { value(row) }).collect()
}
