//! The words for a value that a column cannot take.

use arrow::datatypes::DataType;

use super::{Context, Dialect, Source};
use crate::bad::{BadValue, Faults};
use crate::escape;
use crate::span::{Kind, Span};
use crate::types::{a_type, sql_type};

/// Characters of a value that an error quotes.
const QUOTED_CHARS_MAX: usize = 40;

/// Why a value does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is of another type, or not in the type's form.
    Type,
    /// It is a number that the type is too small for.
    Range,
    /// It stands at `position` and is wrong in itself: bad UTF-8, a bad escape, bad base64.
    Text(&'static str),
}

impl Faults {
    /// Reports what is wrong with `span`, unless it may become NULL instead.
    #[cold]
    pub(super) fn report(&mut self, column: Context<'_>, row: usize, span: Span, source: Source<'_>, fault: Fault) {
        if self.null_instead && column.forgiving && !span.is_null() {
            self.nulled += 1;
            return;
        }
        let position = (span.kind() != Kind::Missing).then(|| span.start() as u32);
        let reason = describe(column, span, source, fault);
        self.bad.push(BadValue { row: row as u32, position, reason });
    }

    /// Reports a NULL in a column that is NOT NULL.
    #[cold]
    pub(super) fn report_null(&mut self, column: Context<'_>, row: usize, span: Span) {
        let missing = span.kind() == Kind::Missing;
        let found = if missing { "the field is missing" } else { "the value is null" };
        let reason = format!("column `{}` is NOT NULL, but {found}", column.label);
        // Where the null of an object that is entered stands is not noted.
        let position = (span.len() > 0).then(|| span.start() as u32);
        self.bad.push(BadValue { row: row as u32, position, reason });
    }
}

fn describe(column: Context<'_>, span: Span, source: Source<'_>, fault: Fault) -> String {
    let Context { label, data_type, .. } = column;
    match fault {
        Fault::Type => {
            let (example, hint) = (example(data_type), epoch_hint(data_type, span.kind()));
            format!("column `{label}`: expected {}{example}, found {}{hint}", a_type(data_type), found(span, source))
        }
        Fault::Range => {
            format!("column `{label}`: {} does not fit {}", found(span, source), a_type(data_type))
        }
        Fault::Text(what) => format!("column `{label}`: {what}"),
    }
}

/// What a value of a type with a form of its own looks like.
fn example(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Timestamp(_, None) => " such as 2015-07-15 00:00:00.000",
        DataType::Timestamp(_, Some(_)) => " such as 2015-07-15 00:00:00.000Z",
        DataType::Date32 => " such as 2015-07-15",
        DataType::Time32(_) | DataType::Time64(_) => " such as 23:59:59",
        _ => "",
    }
}

fn epoch_hint(data_type: &DataType, kind: Kind) -> String {
    match (data_type, kind) {
        (DataType::Timestamp(..), Kind::Integer) => {
            format!(
                "; for epoch milliseconds declare the column {} and use TO_TIMESTAMP_LTZ",
                sql_type(&DataType::Int64)
            )
        }
        _ => String::new(),
    }
}

/// The value as the user wrote it, with its kind: `the string "abc"`.
fn found(span: Span, source: Source<'_>) -> String {
    let shown = shorten(&readable(span, source));
    match span.kind() {
        Kind::Missing => "nothing".into(),
        Kind::Null => "null".into(),
        Kind::True | Kind::False => format!("the boolean {shown}"),
        Kind::Integer | Kind::Number => format!("the number {shown}"),
        Kind::Text | Kind::Escaped if source.dialect == Dialect::Json => format!("the string \"{shown}\""),
        Kind::Text | Kind::Escaped => format!("\"{shown}\""),
        Kind::Array => format!("the array {shown}"),
        Kind::Object => format!("the object {shown}"),
    }
}

fn readable(span: Span, source: Source<'_>) -> String {
    let mut text = Vec::new();
    if span.kind() != Kind::Escaped || escape::unescape(span.of(source.block), source.dialect, &mut text).is_err() {
        text.clear();
        text.extend_from_slice(span.of(source.block));
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
