//! Texts and numbers as moments: TO_TIMESTAMP, TO_DATE, UNIX_TIMESTAMP and their kin. What cannot be read is NULL.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion_common::Result;

use super::pattern::{self, Pattern};
use super::{DAY, standard};
use crate::scalar::args::{Args, Integers, Text, optional_integers};
use crate::scalar::function::{Param, Returns, Spec};

const TEXTS: &[Param] = &[Param::Text, Param::Text];

/// The functions of this module.
pub(crate) static FUNCTIONS: &[Spec] = &[
    Spec::new("to_timestamp", TEXTS, Returns::Timestamp, to_timestamp)
        .optional(1)
        .nullable()
        .checked(|args| pattern::check(args.get(1)))
        .doc(
            "TO_TIMESTAMP(string[, pattern])",
            "the TIMESTAMP(3) that a text stands for; the pattern is by default yyyy-MM-dd HH:mm:ss",
            "TO_TIMESTAMP('29.02.2020', 'dd.MM.yyyy') = TIMESTAMP '2020-02-29 00:00:00'",
        ),
    Spec::new("to_timestamp_ltz", &[Param::Any, Param::Integer], Returns::TimestampLtz, to_timestamp_ltz)
        .optional(1)
        .nullable()
        .can_fail()
        .doc(
            "TO_TIMESTAMP_LTZ(number[, precision])",
            "the TIMESTAMP_LTZ(3) of seconds (precision 0) or milliseconds (3, the default) since 1970, or of a text",
            "TO_TIMESTAMP_LTZ(100, 0) = TIMESTAMP_LTZ '1970-01-01 00:01:40'",
        ),
    Spec::new("to_date", TEXTS, Returns::Date, to_date)
        .optional(1)
        .nullable()
        .checked(|args| pattern::check(args.get(1)))
        .doc(
            "TO_DATE(string[, pattern])",
            "the DATE that a text stands for; the pattern is by default yyyy-MM-dd",
            "TO_DATE('2020-02-29') = DATE '2020-02-29'",
        ),
    Spec::new("unix_timestamp", TEXTS, Returns::BigInt, unix_timestamp)
        .optional(1)
        .nullable()
        .checked(|args| pattern::check(args.get(1)))
        .doc(
            "UNIX_TIMESTAMP(string[, pattern])",
            "the seconds since 1970 of a text in the session's time zone",
            "UNIX_TIMESTAMP('1970-01-01 00:01:00') = 60",
        ),
];

/// How the texts of a call are read.
enum Reader<'a> {
    Standard,
    Constant(Rc<Pattern>),
    PerRow(Text<'a>),
}

impl<'a> Reader<'a> {
    fn new(args: &Args<'a>, nth: usize) -> Result<Self> {
        if args.len() <= nth {
            return Ok(Reader::Standard);
        }
        let pattern = args.text(nth)?;
        Ok(match pattern.constant() {
            Some(pattern) => Reader::Constant(Pattern::of(pattern)?),
            None => Reader::PerRow(pattern),
        })
    }

    /// Seconds and nanoseconds of local time.
    fn read(&self, row: usize, text: &str) -> Option<(i64, i64)> {
        match self {
            Reader::Standard => standard::read(text),
            Reader::Constant(pattern) => pattern.read(text),
            Reader::PerRow(pattern) => Pattern::of(pattern.at(row)).ok()?.read(text),
        }
    }
}

/// Local seconds and nanoseconds of each row's text, turned into a number.
fn read_all(args: &Args<'_>, convert: impl Fn(i64, i64) -> Option<i64>) -> Result<arrow::array::Int64Array> {
    let (text, reader) = (args.text(0)?, Reader::new(args, 1)?);
    let nulls = args.nulls();
    Ok(optional_integers(args.rows, nulls.as_ref(), |row| {
        let (seconds, nanos) = reader.read(row, text.at(row))?;
        convert(seconds, nanos)
    }))
}

fn millis(seconds: i64, nanos: i64) -> Option<i64> {
    seconds.checked_mul(1_000)?.checked_add(nanos / 1_000_000)
}

fn to_timestamp(args: &Args<'_>) -> Result<ArrayRef> {
    let ticks = read_all(args, millis)?;
    let (_, values, nulls) = ticks.into_parts();
    Ok(Arc::new(TimestampMillisecondArray::new(values, nulls)))
}

fn to_date(args: &Args<'_>) -> Result<ArrayRef> {
    let days = read_all(args, |seconds, _| Some(seconds.div_euclid(DAY)))?;
    let days: Date32Array = days.iter().map(|day| i32::try_from(day?).ok()).collect();
    Ok(Arc::new(days))
}

fn unix_timestamp(args: &Args<'_>) -> Result<ArrayRef> {
    let zone = args.zone()?;
    Ok(Arc::new(read_all(args, |seconds, _| Some(zone.instant_of(seconds)))?))
}

fn to_timestamp_ltz(args: &Args<'_>) -> Result<ArrayRef> {
    let array = args.array(0)?;
    let precision = args.integer_or(1, 3)?;
    let nulls = args.nulls();
    let per_unit = |row: usize| match precision.at(row) {
        0 => Ok(1_000),
        3 => Ok(1),
        other => Err(args.fail("E309", &format!("the precision is 0 (seconds) or 3 (milliseconds), not {other}"))),
    };
    if let Integers::Constant(_) = precision {
        per_unit(0)?;
    }
    let scale = |row: usize| per_unit(row).unwrap_or(1);
    let ticks = match array.data_type() {
        from if from.is_integer() => {
            let wide = arrow::compute::cast(&array, &DataType::Int64)?;
            let values = wide.as_primitive::<Int64Type>();
            optional_integers(args.rows, nulls.as_ref(), |row| values.value(row).checked_mul(scale(row)))
        }
        from if from.is_numeric() => {
            let wide = arrow::compute::cast(&array, &DataType::Float64)?;
            let values = wide.as_primitive::<Float64Type>();
            optional_integers(args.rows, nulls.as_ref(), |row| Some((values.value(row) * scale(row) as f64) as i64))
        }
        DataType::Utf8 => {
            let (texts, zone) = (array.as_string::<i32>(), args.zone()?);
            optional_integers(args.rows, nulls.as_ref(), |row| {
                let (seconds, nanos) = standard::read(texts.value(row))?;
                millis(zone.instant_of(seconds), nanos)
            })
        }
        other => return Err(args.fail("E304", &format!("{other} is neither a number nor a string"))),
    };
    let (_, values, nulls) = ticks.into_parts();
    let instants = TimestampMillisecondArray::new(values, nulls);
    Ok(Arc::new(instants.with_data_type(args.return_type().clone())))
}
