//! Avro schemas: what a record's bytes mean.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as Columns, TimeUnit};
use fleuve_base::{Error, Result};

use crate::types::sql_type;
use crate::wanted::Wanted;

/// Digits of the largest decimal that a column holds.
const DECIMAL_DIGITS_MAX: u8 = 38;

/// The schema of an Avro record.
///
/// ```
/// use arrow::datatypes::{DataType, Field, Schema};
/// use fleuve_format::AvroSchema;
///
/// let columns = Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)]);
/// let schema = AvroSchema::of_columns(&columns)?;
/// let json = r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]}]}"#;
/// assert_eq!(schema, AvroSchema::parse(json)?);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AvroSchema {
    pub(super) fields: Vec<RecordField>,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RecordField {
    pub(super) name: String,
    pub(super) schema: Schema,
}

/// The schema of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Schema {
    Null,
    Boolean,
    /// A 32-bit integer; both kinds of integer are written alike.
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Box<Schema>),
    /// From texts.
    Map(Box<Schema>),
    Union(Vec<Schema>),
    Record(Vec<RecordField>),
    /// Days since 1970 as an int.
    Date,
    /// A time of day, or a moment since 1970, as an int or long of this unit.
    Time(TimeUnit),
    Timestamp(TimeUnit),
    /// A scaled integer, big-endian in two's complement, as bytes or as a fixed of this size.
    Decimal {
        scale: i8,
        fixed: Option<usize>,
    },
}

impl AvroSchema {
    /// The schema by which Flink writes a table of these columns, with either of its mappings of timestamps: they differ
    /// in the logical type's name, and not in the bytes.
    pub fn of_columns(columns: &Columns) -> Result<Self> {
        Ok(AvroSchema { fields: fields(columns.fields())? })
    }
}

impl AvroSchema {
    /// A column for every field, to see a record whole.
    ///
    /// # Errors
    /// `E419` for a type that no column has: a union of several types, an array of nothing.
    pub fn columns(&self) -> Result<Vec<Wanted>> {
        let field = |field: &RecordField| Ok(Wanted::column(&field.schema.column(&field.name)?));
        self.fields.iter().map(field).collect()
    }
}

fn fields<'a>(columns: impl IntoIterator<Item = &'a Arc<Field>>) -> Result<Vec<RecordField>> {
    let field =
        |field: &Arc<Field>| Ok(RecordField { name: field.name().clone(), schema: of_field(field.name(), field)? });
    columns.into_iter().map(field).collect()
}

fn of_field(name: &str, field: &Field) -> Result<Schema> {
    let schema = of_type(name, field.data_type())?;
    Ok(if field.is_nullable() { Schema::Union(vec![Schema::Null, schema]) } else { schema })
}

fn of_type(name: &str, data_type: &DataType) -> Result<Schema> {
    Ok(match data_type {
        DataType::Boolean => Schema::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Schema::Int,
        DataType::Int64 => Schema::Long,
        DataType::Float32 => Schema::Float,
        DataType::Float64 => Schema::Double,
        DataType::Utf8 => Schema::Text,
        DataType::Binary => Schema::Bytes,
        DataType::Date32 => Schema::Date,
        DataType::Time32(_) => Schema::Time(TimeUnit::Millisecond),
        DataType::Time64(_) => Schema::Time(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _) => Schema::Timestamp(TimeUnit::Millisecond),
        DataType::Timestamp(unit, _) => Schema::Timestamp(*unit),
        DataType::Decimal128(_, scale) => Schema::Decimal { scale: *scale, fixed: None },
        DataType::List(item) => Schema::Array(Box::new(of_field(name, item)?)),
        DataType::Struct(columns) => Schema::Record(fields(columns)?),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) if entry.len() == 2 && entry[0].data_type() == &DataType::Utf8 => {
                Schema::Map(Box::new(of_field(name, &entry[1])?))
            }
            _ => return Err(no_form(name, data_type)),
        },
        _ => return Err(no_form(name, data_type)),
    })
}

fn no_form(name: &str, data_type: &DataType) -> Error {
    Error::unsupported("E414", format!("column `{name}`: {} has no form in Avro", sql_type(data_type)))
}

impl Schema {
    /// What it is called in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Schema::Null => "null",
            Schema::Boolean => "boolean",
            Schema::Int => "int",
            Schema::Long => "long",
            Schema::Float => "float",
            Schema::Double => "double",
            Schema::Bytes => "bytes",
            Schema::Text => "string",
            Schema::Fixed(_) => "fixed",
            Schema::Enum(_) => "enum",
            Schema::Array(_) => "array",
            Schema::Map(_) => "map",
            Schema::Union(_) => "union",
            Schema::Record(_) => "record",
            Schema::Date => "date",
            Schema::Time(_) => "time",
            Schema::Timestamp(_) => "timestamp",
            Schema::Decimal { .. } => "decimal",
        }
    }

    /// The column that holds all of its values.
    fn column(&self, name: &str) -> Result<Field> {
        let some = |data_type| Ok(Field::new(name, data_type, false));
        match self {
            Schema::Null => Ok(Field::new(name, DataType::Utf8, true)),
            Schema::Union(branches) => {
                let mut others = branches.iter().filter(|branch| **branch != Schema::Null);
                match (others.next(), others.next()) {
                    (Some(branch), None) => Ok(branch.column(name)?.with_nullable(branches.len() > 1)),
                    _ => {
                        Err(Error::unsupported("E419", format!("the Avro field `{name}` is a union of several types")))
                    }
                }
            }
            Schema::Boolean => some(DataType::Boolean),
            Schema::Int => some(DataType::Int32),
            Schema::Long => some(DataType::Int64),
            Schema::Float => some(DataType::Float32),
            Schema::Double => some(DataType::Float64),
            Schema::Bytes | Schema::Fixed(_) => some(DataType::Binary),
            Schema::Text | Schema::Enum(_) => some(DataType::Utf8),
            Schema::Date => some(DataType::Date32),
            Schema::Time(TimeUnit::Millisecond) => some(DataType::Time32(TimeUnit::Millisecond)),
            Schema::Time(unit) => some(DataType::Time64(*unit)),
            Schema::Timestamp(unit) => some(DataType::Timestamp(*unit, Some("UTC".into()))),
            Schema::Decimal { scale, .. } => some(DataType::Decimal128(DECIMAL_DIGITS_MAX, *scale)),
            Schema::Array(item) => some(DataType::List(Arc::new(item.column("item")?))),
            Schema::Map(value) => {
                let entry = vec![Field::new("key", DataType::Utf8, false), value.column("value")?];
                some(DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry.into()), false)), false))
            }
            Schema::Record(fields) => {
                let columns =
                    fields.iter().map(|field| field.schema.column(&field.name)).collect::<Result<Vec<_>>>()?;
                some(DataType::Struct(columns.into()))
            }
        }
    }

    /// Whether a value takes no bytes, so that its count is not bounded by what is there.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Schema::Null | Schema::Fixed(0) => true,
            Schema::Record(fields) => fields.iter().all(|field| field.schema.is_empty()),
            _ => false,
        }
    }

    /// Whether values can become a column of this type.
    pub(super) fn reads_as(&self, data_type: &DataType) -> bool {
        use DataType::{Binary, Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Utf8};
        match (self, data_type) {
            (Schema::Null, _) => true,
            (Schema::Union(branches), _) => branches.iter().all(|branch| branch.reads_as(data_type)),
            (Schema::Boolean, Boolean) => true,
            (Schema::Int, Int8 | Int16 | Int32 | Int64 | Float32 | Float64) => true,
            (Schema::Long, Int8 | Int16 | Int32 | Int64 | Float32 | Float64) => true,
            (Schema::Long, DataType::Timestamp(..)) => true,
            (Schema::Float, Float32 | Float64) | (Schema::Double, Float64) => true,
            (Schema::Text | Schema::Bytes, Utf8 | Binary) => true,
            (Schema::Enum(_), Utf8) | (Schema::Fixed(_), Binary) => true,
            (Schema::Date, Date32 | Int32) => true,
            (Schema::Time(_), DataType::Time32(_) | DataType::Time64(_)) => true,
            (Schema::Timestamp(_), DataType::Timestamp(..) | Int64) => true,
            (Schema::Decimal { .. }, Decimal128(..)) => true,
            (Schema::Array(item), DataType::List(field)) => !item.is_empty() && item.reads_as(field.data_type()),
            (Schema::Map(value), DataType::Map(entries, _)) => match entries.data_type() {
                DataType::Struct(entry) if entry.len() == 2 => {
                    entry[0].data_type() == &Utf8 && value.reads_as(entry[1].data_type())
                }
                _ => false,
            },
            (Schema::Record(fields), DataType::Struct(columns)) => columns.iter().all(|column| {
                let found = fields.iter().find(|field| field.name == *column.name());
                found.map_or(column.is_nullable(), |field| field.schema.reads_as(column.data_type()))
            }),
            _ => false,
        }
    }
}
