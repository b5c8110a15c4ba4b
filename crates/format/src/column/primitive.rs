//! Columns of fixed width: numbers, booleans, dates, times and timestamps.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, BooleanArray, BooleanBufferBuilder, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, TimeUnit};
use fleuve_base::{Error, Result};

use super::fault::Fault;
use super::nulls::Nulls;
use super::{Context, Source};
use crate::bad::Faults;
use crate::escape;
use crate::number;
use crate::span::{Kind, Span, Table};
use crate::time::{self, TimestampReader};

/// Integers up to here are exact in a double.
const EXACT_DOUBLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A column of values of one width.
#[derive(Debug)]
pub(super) struct Primitive<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    nulls: Nulls,
}

impl<T: ArrowPrimitiveType> Primitive<T> {
    pub(super) fn new() -> Self {
        Primitive { values: Vec::new(), nulls: Nulls::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    /// The values from `row` on, unless some row has none.
    pub(super) fn without_nulls(&self, row: usize) -> Option<&[T::Native]> {
        if self.nulls.any() { None } else { Some(&self.values[row..]) }
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef> {
        let capacity = self.values.len();
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(capacity));
        let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), self.nulls.finish())
            .map_err(|error| Error::internal(format!("a column of primitives: {error}")))?;
        Ok(Arc::new(array.with_data_type(data_type.clone())))
    }

    /// Appends a row for every span, converted by `convert`, which is told the bytes that the span points into.
    #[inline]
    pub(super) fn append_from(
        &mut self,
        column: Context<'_>,
        table: &Table,
        source: Source<'_>,
        faults: &mut Faults,
        mut convert: impl FnMut(Span, &[u8]) -> Result<T::Native, Fault>,
    ) {
        let before = self.values.len();
        self.values.reserve(table.rows());
        for (row, span) in table.column(column.slot).enumerate() {
            let value = if span.is_null() {
                if !column.nullable {
                    faults.report_null(column, row, span);
                }
                None
            } else {
                match convert(span, source.block) {
                    Ok(value) => Some(value),
                    Err(fault) => rescue(column, row, span, source, faults, fault, &mut convert),
                }
            };
            match value {
                Some(_) => self.nulls.push_valid(),
                None => self.nulls.push_null(before + row),
            }
            self.values.push(value.unwrap_or_default());
        }
    }
}

/// A value that could not be converted as it stands: perhaps it can without its escapes, else it is a fault.
#[cold]
fn rescue<V>(
    column: Context<'_>,
    row: usize,
    span: Span,
    source: Source<'_>,
    faults: &mut Faults,
    fault: Fault,
    convert: &mut impl FnMut(Span, &[u8]) -> Result<V, Fault>,
) -> Option<V> {
    let converted = if span.is(Kind::Escaped) { unescaped(span, source, convert) } else { Err(fault) };
    converted.map_err(|fault| faults.report(column, row, span, source, fault)).ok()
}

/// Converts a text after its escapes have been resolved.
#[cold]
fn unescaped<V>(
    span: Span,
    source: Source<'_>,
    convert: &mut impl FnMut(Span, &[u8]) -> Result<V, Fault>,
) -> Result<V, Fault> {
    let mut text = Vec::with_capacity(span.len());
    escape::unescape(span.of(source.block), source.dialect, &mut text).map_err(Fault::Text)?;
    convert(Span::new(Kind::Text, 0, text.len()), &text)
}

/// A 64-bit integer: a number without a fraction, or text that spells one.
#[inline]
pub(super) fn long(span: Span, block: &[u8]) -> Result<i64, Fault> {
    if span.is(Kind::Integer) {
        return number::integer(block, span.start(), span.end()).ok_or(Fault::Range);
    }
    long_of_other(span, block)
}

/// An integer that is not written as one.
fn long_of_other(span: Span, block: &[u8]) -> Result<i64, Fault> {
    match span.kind() {
        Kind::Text => {
            let text = span.of(block);
            number::integer_of_text(text).ok_or_else(|| range_or_type(text))
        }
        Kind::Number => whole(span.of(block)).ok_or(Fault::Type),
        _ => Err(Fault::Type),
    }
}

fn range_or_type(text: &[u8]) -> Fault {
    let digits = text.trim_ascii();
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if number { Fault::Range } else { Fault::Type }
}

/// The integer that `1.0` or `1e3` stands for.
fn whole(text: &[u8]) -> Option<i64> {
    let value: f64 = number::float(text)?;
    (value.fract() == 0.0 && value.abs() <= EXACT_DOUBLE_MAX).then_some(value as i64)
}

/// An integer of fewer bits.
#[inline]
pub(super) fn narrow<N: TryFrom<i64>>(span: Span, block: &[u8]) -> Result<N, Fault> {
    N::try_from(long(span, block)?).map_err(|_| Fault::Range)
}

/// A float, rounded correctly.
pub(super) fn float<N: std::str::FromStr>(span: Span, block: &[u8]) -> Result<N, Fault> {
    match span.kind() {
        Kind::Integer | Kind::Number | Kind::Text => number::float(span.of(block)).ok_or(Fault::Type),
        _ => Err(Fault::Type),
    }
}

/// A decimal, never by way of a float.
pub(super) fn decimal(span: Span, block: &[u8], precision: u8, scale: i8) -> Result<i128, Fault> {
    match span.kind() {
        Kind::Integer | Kind::Number | Kind::Text => {
            number::decimal(span.of(block), precision, scale).map_err(|error| match error {
                number::DecimalError::Syntax => Fault::Type,
                number::DecimalError::Overflow => Fault::Range,
            })
        }
        _ => Err(Fault::Type),
    }
}

/// Days since 1970.
pub(super) fn date(span: Span, block: &[u8]) -> Result<i32, Fault> {
    match span.kind() {
        Kind::Text => time::read_date(span.of(block)).ok_or(Fault::Type),
        _ => Err(Fault::Type),
    }
}

/// A time of day in units of `nanos` nanoseconds.
pub(super) fn time64(span: Span, block: &[u8], nanos: i64) -> Result<i64, Fault> {
    match span.kind() {
        Kind::Text => time::read_time(span.of(block)).map(|time| time / nanos).ok_or(Fault::Type),
        _ => Err(Fault::Type),
    }
}

/// The same in 32 bits.
pub(super) fn time(span: Span, block: &[u8], nanos: i64) -> Result<i32, Fault> {
    i32::try_from(time64(span, block, nanos)?).map_err(|_| Fault::Range)
}

/// A timestamp as a count of `unit`s since 1970.
#[inline]
pub(super) fn timestamp(span: Span, block: &[u8], reader: &mut TimestampReader, unit: TimeUnit) -> Result<i64, Fault> {
    if !span.is(Kind::Text) {
        return Err(Fault::Type);
    }
    reader.read(span.of(block)).ok_or(Fault::Type)?.count(unit).ok_or(Fault::Range)
}

/// Event time for a watermark: a timestamp in milliseconds, or an integer as it stands.
#[inline]
pub(crate) fn timestamp_of(span: Span, block: &[u8], reader: &mut TimestampReader) -> Option<i64> {
    match span.kind() {
        Kind::Text => {
            let text = span.of(block);
            match reader.read(text) {
                Some(moment) => moment.count(TimeUnit::Millisecond),
                None => number::integer_of_text(text),
            }
        }
        Kind::Integer => number::integer(block, span.start(), span.end()),
        _ => None,
    }
}

/// A column of booleans.
#[derive(Debug)]
pub(super) struct BooleanColumn {
    values: BooleanBufferBuilder,
    nulls: Nulls,
}

impl Default for BooleanColumn {
    fn default() -> Self {
        BooleanColumn { values: BooleanBufferBuilder::new(0), nulls: Nulls::default() }
    }
}

impl BooleanColumn {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(super) fn finish(&mut self, _: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(BooleanArray::new(self.values.finish(), self.nulls.finish())))
    }

    pub(super) fn append(&mut self, column: Context<'_>, table: &Table, source: Source<'_>, faults: &mut Faults) {
        for (row, span) in table.column(column.slot).enumerate() {
            let value = boolean_of(span, source.block);
            if value.is_none() {
                self.nulls.push_null(self.values.len());
                match span.is_null() {
                    false => faults.report(column, row, span, source, Fault::Type),
                    true if !column.nullable => faults.report_null(column, row, span),
                    true => {}
                }
            } else {
                self.nulls.push_valid();
            }
            self.values.append(value == Some(true));
        }
    }
}

/// An integer for a comparison.
#[inline]
pub(crate) fn long_of(span: Span, block: &[u8]) -> Option<i64> {
    long(span, block).ok()
}

/// A boolean, or text that spells one.
pub(crate) fn boolean_of(span: Span, block: &[u8]) -> Option<bool> {
    match span.kind() {
        Kind::True => Some(true),
        Kind::False => Some(false),
        Kind::Text if span.of(block).trim_ascii().eq_ignore_ascii_case(b"true") => Some(true),
        Kind::Text if span.of(block).trim_ascii().eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}
