//! The columns of a CSV file, its delimiter, and whether it has a header.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use fleuve_base::{Error, Result};

use super::Inferred;
use super::shape::Shape;
use crate::bad::OnBad;
use crate::csv::{CsvDecoder, CsvOptions};
use crate::decode::Decode;
use crate::number;

/// Delimiters that are tried, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Columns of a file that is still taken for CSV.
const COLUMNS_MAX: usize = 4096;

/// The columns of some whole CSV rows. The options' delimiter and header are guessed anew; the rest is respected.
pub fn csv(sample: &[u8], options: &CsvOptions) -> Result<Inferred> {
    let tried = DELIMITERS.iter().map(|delimiter| (*delimiter, width(sample, *delimiter, options.quote)));
    let (delimiter, columns) = tried.rev().max_by_key(|(_, width)| *width).unwrap_or((b',', 1));
    if columns > COLUMNS_MAX {
        return Err(Error::input(
            "E418",
            format!("this is not CSV: the first line has more than {COLUMNS_MAX} columns"),
        ));
    }
    let fields = (0..columns).map(|at| Field::new(format!("c{}", at + 1), DataType::Utf8, true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let everything: Vec<usize> = (0..columns).collect();
    let options = CsvOptions {
        delimiter,
        header: false,
        on_bad: OnBad::Skip,
        max_of: Vec::new(),
        track_lines: false,
        ..options.clone()
    };
    let mut decoder = CsvDecoder::new(&schema, &everything, options)?;
    decoder.decode(sample)?;
    let decoded = decoder.flush()?;
    let header = has_header(&decoded.batch);
    Ok(Inferred {
        columns: (0..columns).map(|at| column(&decoded.batch, at, header)).collect(),
        rows: (decoded.batch.num_rows() - usize::from(header)) as u64,
        bad_lines: decoded.skipped,
        delimiter: Some(delimiter),
        header,
    })
}

/// Columns of the first line.
fn width(sample: &[u8], delimiter: u8, quote: Option<u8>) -> usize {
    let (mut columns, mut quoted) = (1, false);
    for byte in sample {
        if Some(*byte) == quote {
            quoted = !quoted;
        } else if !quoted && *byte == b'\n' {
            break;
        } else if !quoted && *byte == delimiter {
            columns += 1;
        }
    }
    columns
}

/// Whether the first row holds names: different ones, none of them a number, a date or empty, while some column
/// below does hold other values than text (or there is nothing below).
fn has_header(batch: &RecordBatch) -> bool {
    if batch.num_rows() == 0 {
        return false;
    }
    let columns: Vec<&StringArray> = batch.columns().iter().map(|column| column.as_string()).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.value(0)).collect();
    let distinct = names.iter().collect::<std::collections::HashSet<_>>().len() == names.len();
    let words = columns.iter().all(|column| column.is_valid(0) && is_name(column.value(0)));
    distinct && words && (batch.num_rows() == 1 || columns.iter().any(|column| shape(column, 1) != Shape::Text))
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && shape_of(text.as_bytes()) == Shape::Text
}

fn column(batch: &RecordBatch, at: usize, header: bool) -> super::InferredColumn {
    let values: &StringArray = batch.column(at).as_string();
    let name = if header { values.value(0).trim().to_owned() } else { format!("c{}", at + 1) };
    shape(values, usize::from(header)).column(&name)
}

fn shape(values: &StringArray, from: usize) -> Shape {
    let mut shape = Shape::Nothing;
    for value in values.iter().skip(from).flatten().filter(|value| !value.is_empty()) {
        shape.merge(shape_of(value.as_bytes()));
    }
    // Every field can be text, whatever it looks like.
    if shape == Shape::Mixed { Shape::Text } else { shape }
}

fn shape_of(text: &[u8]) -> Shape {
    let trimmed = text.trim_ascii();
    let digits = trimmed.strip_prefix(b"-").unwrap_or(trimmed);
    // A leading zero is part of a code (of a postal area, of an article), not of a number.
    let code = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && !code {
        return Shape::of_integer(trimmed);
    }
    let numeric = digits.first().is_some_and(|first| first.is_ascii_digit() || *first == b'.') && !code;
    if numeric && number::float::<f64>(trimmed).is_some() {
        return Shape::Number;
    }
    if trimmed.eq_ignore_ascii_case(b"true") || trimmed.eq_ignore_ascii_case(b"false") {
        return Shape::Boolean;
    }
    Shape::of_text(text)
}
