//! Schemas written as JSON.

use std::collections::HashMap;

use arrow::datatypes::TimeUnit;
use fleuve_base::{Error, Result};
use serde_json::Value;

use super::schema::{AvroSchema, RecordField, Schema};

/// Levels of types within types.
const DEPTH_MAX: usize = 64;

/// Bytes of a schema's text.
const SCHEMA_BYTES_MAX: usize = 1 << 20;

impl AvroSchema {
    /// Reads a record's schema from JSON. Types may refer to named ones before them; a type within itself is refused.
    pub fn parse(json: &str) -> Result<Self> {
        if json.len() > SCHEMA_BYTES_MAX {
            return Err(wrong(format!("it is longer than {SCHEMA_BYTES_MAX} bytes")));
        }
        let value: Value = serde_json::from_str(json).map_err(|error| wrong(format!("it is not JSON: {error}")))?;
        match Names::default().schema(&value, DEPTH_MAX)? {
            Schema::Record(fields) => Ok(AvroSchema { fields }),
            other => Err(wrong(format!("it is of {}, and a table's must be of a record", other.name()))),
        }
    }
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::input("E419", format!("this Avro schema cannot be used: {what}"))
}

/// Named types so far.
#[derive(Default)]
struct Names(HashMap<String, Schema>);

impl Names {
    fn schema(&mut self, value: &Value, depth: usize) -> Result<Schema> {
        let depth =
            depth.checked_sub(1).ok_or_else(|| wrong(format!("types are nested more than {DEPTH_MAX} deep")))?;
        match value {
            Value::String(name) => self.named(name),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.schema(branch, depth));
                Ok(Schema::Union(branches.collect::<Result<_>>()?))
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(kind)) => self.object(kind, value, depth),
                Some(nested) => self.schema(nested, depth),
                None => Err(wrong("a type has no \"type\"")),
            },
            _ => Err(wrong(format!("`{value}` is no type"))),
        }
    }

    fn named(&self, name: &str) -> Result<Schema> {
        if let Some(schema) = primitive(name) {
            return Ok(schema);
        }
        let short = name.rsplit('.').next().unwrap_or(name);
        let found = self.0.get(short).cloned();
        found.ok_or_else(|| wrong(format!("type `{name}` is not declared before its use, or lies within itself")))
    }

    fn object(&mut self, kind: &str, value: &Value, depth: usize) -> Result<Schema> {
        let schema = match kind {
            "record" | "error" => Schema::Record(self.fields(value, depth)?),
            "enum" => Schema::Enum(symbols(value)?),
            "array" => Schema::Array(Box::new(self.schema(member(value, "items")?, depth)?)),
            "map" => Schema::Map(Box::new(self.schema(member(value, "values")?, depth)?)),
            "fixed" => {
                let size = member(value, "size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                Schema::Fixed(size.ok_or_else(|| wrong("the size of a fixed is no number"))?)
            }
            name => self.named(name)?,
        };
        let schema = logical(schema, value)?;
        if let Some(name) = value.get("name").and_then(Value::as_str) {
            let short = name.rsplit('.').next().unwrap_or(name);
            self.0.insert(short.to_owned(), schema.clone());
        }
        Ok(schema)
    }

    fn fields(&mut self, value: &Value, depth: usize) -> Result<Vec<RecordField>> {
        let fields = member(value, "fields")?.as_array().ok_or_else(|| wrong("\"fields\" is no list"))?;
        let field = |field: &Value| {
            let name = member(field, "name")?.as_str().ok_or_else(|| wrong("a field's name is no text"))?;
            Ok(RecordField { name: name.to_owned(), schema: self.schema(member(field, "type")?, depth)? })
        };
        fields.iter().map(field).collect()
    }
}

fn primitive(name: &str) -> Option<Schema> {
    Some(match name {
        "null" => Schema::Null,
        "boolean" => Schema::Boolean,
        "int" => Schema::Int,
        "long" => Schema::Long,
        "float" => Schema::Float,
        "double" => Schema::Double,
        "bytes" => Schema::Bytes,
        "string" => Schema::Text,
        _ => return None,
    })
}

fn member<'a>(value: &'a Value, name: &str) -> Result<&'a Value> {
    value.get(name).ok_or_else(|| wrong(format!("a type or field has no \"{name}\"")))
}

fn symbols(value: &Value) -> Result<Vec<String>> {
    let symbols = member(value, "symbols")?.as_array().ok_or_else(|| wrong("\"symbols\" is no list"))?;
    let symbol = |symbol: &Value| symbol.as_str().map(str::to_owned).ok_or_else(|| wrong("a symbol is no text"));
    symbols.iter().map(symbol).collect()
}

/// A logical type that is not known is ignored, as Avro demands.
fn logical(schema: Schema, value: &Value) -> Result<Schema> {
    let number = |name: &str| value.get(name).and_then(Value::as_i64);
    Ok(match (&schema, value.get("logicalType").and_then(Value::as_str)) {
        (Schema::Int, Some("date")) => Schema::Date,
        (Schema::Int, Some("time-millis")) => Schema::Time(TimeUnit::Millisecond),
        (Schema::Long, Some("time-micros")) => Schema::Time(TimeUnit::Microsecond),
        (Schema::Long, Some("timestamp-millis" | "local-timestamp-millis")) => Schema::Timestamp(TimeUnit::Millisecond),
        (Schema::Long, Some("timestamp-micros" | "local-timestamp-micros")) => Schema::Timestamp(TimeUnit::Microsecond),
        (Schema::Long, Some("timestamp-nanos" | "local-timestamp-nanos")) => Schema::Timestamp(TimeUnit::Nanosecond),
        (Schema::Bytes | Schema::Fixed(_), Some("decimal")) => {
            let scale =
                i8::try_from(number("scale").unwrap_or(0)).map_err(|_| wrong("a decimal's scale is too large"))?;
            let fixed = if let Schema::Fixed(size) = schema { Some(size) } else { None };
            Schema::Decimal { scale, fixed }
        }
        _ => schema,
    })
}
