//! The columns of JSON lines.

use fleuve_base::{Error, Place, Result};

use super::shape::Shape;
use super::{Inferred, InferredColumn};
use crate::column::Dialect;
use crate::escape;
use crate::index::Index;
use crate::json::{Scanner, Syntax, after};
use crate::simd::Stops;
use crate::span::{Kind, SPAN_BYTES_MAX, Span};

/// The columns of some whole JSON lines. Fails if not one of them is a JSON object.
pub fn json_lines(sample: &[u8]) -> Result<Inferred> {
    let mut found = Inferred::default();
    let mut shape = Shape::Nothing;
    let mut first_error = None;
    let mut index = Index::default();
    for (number, line) in sample.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() || line.len() > SPAN_BYTES_MAX {
            continue;
        }
        index.build(line, Stops::JSON);
        match object(Scanner { block: line, index: &index, end: line.len() }) {
            Ok(row) => {
                found.rows += 1;
                shape.merge(row);
            }
            Err(syntax) => {
                found.bad_lines += 1;
                first_error.get_or_insert((number as u64 + 1, syntax));
            }
        }
    }
    if let (0, Some((line, syntax))) = (found.rows, first_error) {
        let place = Place::file("sample", line, syntax.position as u64 + 1);
        return Err(Error::input("E417", format!("this is not JSON, one object a line: {}", syntax.what)).at(place));
    }
    found.columns = columns(shape);
    Ok(found)
}

fn columns(shape: Shape) -> Vec<InferredColumn> {
    match shape {
        Shape::Row(fields) => fields.iter().map(|(name, shape)| shape.column(name)).collect(),
        _ => Vec::new(),
    }
}

/// The shape of a line.
fn object(scanner: Scanner<'_>) -> Result<Shape, Syntax> {
    let start = scanner.skip_blanks(0);
    if scanner.byte(start) != b'{' {
        return Err(Syntax { position: start, what: "expected a JSON object" });
    }
    let span = scanner.value(start, 0)?;
    let rest = scanner.skip_blanks(after(span));
    if scanner.byte(rest) != b'\n' {
        return Err(Syntax { position: rest, what: "there is more text after the JSON object" });
    }
    Ok(shape_of(scanner, span))
}

/// The shape of a value that was scanned, and so is neither broken nor nested too deeply.
fn shape_of(scanner: Scanner<'_>, span: Span) -> Shape {
    match span.kind() {
        Kind::Missing | Kind::Null => Shape::Nothing,
        Kind::True | Kind::False => Shape::Boolean,
        Kind::Integer => Shape::of_integer(span.of(scanner.block)),
        Kind::Number => Shape::Number,
        Kind::Text | Kind::Escaped => Shape::of_text(text(scanner, span).as_bytes()),
        Kind::Array => {
            let mut items = Shape::Nothing;
            let scanned = scanner.elements(span, |item| items.merge(shape_of(scanner, item)));
            debug_assert!(scanned.is_ok(), "the array was scanned before");
            Shape::Array(Box::new(items))
        }
        Kind::Object => {
            let mut fields = Shape::Row(Vec::new());
            let scanned = scanner.entries(span, |key, value| {
                fields.merge(Shape::Row(vec![(text(scanner, key), shape_of(scanner, value))]));
            });
            debug_assert!(scanned.is_ok(), "the object was scanned before");
            fields
        }
    }
}

fn text(scanner: Scanner<'_>, span: Span) -> String {
    let mut text = Vec::new();
    if span.kind() != Kind::Escaped || escape::unescape(span.of(scanner.block), Dialect::Json, &mut text).is_err() {
        text = span.of(scanner.block).to_vec();
    }
    String::from_utf8_lossy(&text).into_owned()
}
