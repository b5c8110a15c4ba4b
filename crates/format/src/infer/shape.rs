//! What a column's values have in common.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::InferredColumn;
use crate::number;
use crate::time::{self, TimestampReader};

/// Keys after which an object is taken for a map: its keys are data.
const ROW_FIELDS_MAX: usize = 256;

/// 2000-01-01 and 2100-01-01 in milliseconds since 1970: integers between them may well be timestamps.
const EPOCH_MILLIS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// What is known of the values seen so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Only NULLs.
    Nothing,
    Boolean,
    Integer {
        min: i64,
        max: i64,
    },
    /// Integers beyond 64 bits.
    Huge,
    Number,
    Timestamp {
        unit: TimeUnit,
        zoned: bool,
    },
    Date,
    Time,
    Text,
    Array(Box<Shape>),
    Row(Vec<(String, Shape)>),
    Map(Box<Shape>),
    /// Values of kinds that nothing but text holds together.
    Mixed,
}

impl Shape {
    /// The shape of an integer as it is written.
    pub(super) fn of_integer(text: &[u8]) -> Shape {
        number::integer_of_text(text).map_or(Shape::Huge, |value| Shape::Integer { min: value, max: value })
    }

    /// The shape of a text: perhaps a moment, else just text.
    pub(super) fn of_text(text: &[u8]) -> Shape {
        if TimestampReader::new().read(text).is_some() {
            let fraction = text[19..].iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
            let has_fraction = text.get(19) == Some(&b'.');
            let unit = match if has_fraction { fraction } else { 0 } {
                0..=3 => TimeUnit::Millisecond,
                4..=6 => TimeUnit::Microsecond,
                _ => TimeUnit::Nanosecond,
            };
            let end = if has_fraction { 20 + fraction } else { 19 };
            return Shape::Timestamp { unit, zoned: end < text.len() };
        }
        match (time::read_date(text), time::read_time(text)) {
            (Some(_), _) => Shape::Date,
            (_, Some(_)) => Shape::Time,
            _ => Shape::Text,
        }
    }

    /// The shape of values of both kinds.
    pub(super) fn merge(&mut self, other: Shape) {
        let own = std::mem::replace(self, Shape::Nothing);
        *self = own.with(other);
    }

    fn with(self, other: Shape) -> Shape {
        use Shape::*;
        match (self, other) {
            (Nothing, shape) | (shape, Nothing) => shape,
            (Integer { min: a, max: b }, Integer { min: c, max: d }) => Integer { min: a.min(c), max: b.max(d) },
            (Integer { .. } | Huge, Huge) | (Huge, Integer { .. }) => Huge,
            (Integer { .. } | Huge | Number, Number) | (Number, Integer { .. } | Huge) => Number,
            (Timestamp { unit: a, zoned: x }, Timestamp { unit: b, zoned: y }) if x == y => {
                Timestamp { unit: a.max(b), zoned: x }
            }
            (Array(mut items), Array(more)) => {
                items.merge(*more);
                Array(items)
            }
            (Row(fields), Row(more)) => merge_rows(fields, more),
            (Map(mut values), Row(fields)) | (Row(fields), Map(mut values)) => {
                fields.into_iter().for_each(|(_, shape)| values.merge(shape));
                Map(values)
            }
            (Map(mut values), Map(more)) => {
                values.merge(*more);
                Map(values)
            }
            (one, other) if one.is_text() && other.is_text() => Text,
            (one, other) if one == other => one,
            _ => Mixed,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Shape::Timestamp { .. } | Shape::Date | Shape::Time | Shape::Text)
    }

    /// The Arrow type.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Shape::Boolean => DataType::Boolean,
            Shape::Integer { .. } => DataType::Int64,
            Shape::Huge => DataType::Decimal128(38, 0),
            Shape::Number => DataType::Float64,
            Shape::Timestamp { unit, zoned } => DataType::Timestamp(*unit, zoned.then(|| "UTC".into())),
            Shape::Date => DataType::Date32,
            Shape::Time => DataType::Time32(TimeUnit::Millisecond),
            Shape::Nothing | Shape::Text | Shape::Mixed => DataType::Utf8,
            Shape::Array(items) => DataType::new_list(items.data_type(), true),
            Shape::Row(fields) => {
                DataType::Struct(fields.iter().map(|(name, shape)| Field::new(name, shape.data_type(), true)).collect())
            }
            Shape::Map(values) => {
                let key = Field::new("key", DataType::Utf8, false);
                let entries = Fields::from(vec![key, Field::new("value", values.data_type(), true)]);
                DataType::Map(Field::new("entries", DataType::Struct(entries), false).into(), false)
            }
        }
    }

    /// The column of this name.
    pub(super) fn column(&self, name: &str) -> InferredColumn {
        InferredColumn { field: Field::new(name, self.data_type(), true), hint: self.hint(name) }
    }

    /// What should be known besides the type; of a row, about its fields.
    fn hint(&self, name: &str) -> Option<String> {
        match self {
            Shape::Integer { min, max } if EPOCH_MILLIS.contains(min) && EPOCH_MILLIS.contains(max) => Some(format!(
                "`{name}` looks like epoch milliseconds; TO_TIMESTAMP_LTZ(`{name}`, 3) makes a timestamp of it"
            )),
            Shape::Nothing => Some(format!("`{name}` is NULL in the whole sample, so its type is a guess")),
            Shape::Mixed => Some(format!("`{name}` holds values of several types; as STRING it holds each as written")),
            Shape::Row(fields) => {
                let hints: Vec<String> =
                    fields.iter().filter_map(|(field, shape)| shape.hint(&format!("{name}.{field}"))).collect();
                (!hints.is_empty()).then(|| hints.join("\n"))
            }
            _ => None,
        }
    }
}

/// The fields of both rows, in the order in which they came up.
fn merge_rows(mut fields: Vec<(String, Shape)>, more: Vec<(String, Shape)>) -> Shape {
    for (at, (name, shape)) in more.into_iter().enumerate() {
        // Mostly the same fields in the same order.
        let same = fields.get(at).is_some_and(|(found, _)| *found == name);
        let found = if same { Some(at) } else { fields.iter().position(|(found, _)| *found == name) };
        match found {
            Some(found) => fields[found].1.merge(shape),
            None => fields.push((name, shape)),
        }
    }
    if fields.len() <= ROW_FIELDS_MAX {
        return Shape::Row(fields);
    }
    let mut values = Shape::Nothing;
    fields.into_iter().for_each(|(_, shape)| values.merge(shape));
    Shape::Map(Box::new(values))
}
