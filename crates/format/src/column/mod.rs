//! Columns under construction: each converts the spans of its slot, all rows of a block in one loop.
//!
//! A column never fails in the middle of a block. A value that it cannot convert is reported to [`Faults`] and
//! stands as NULL until the decoder has taken the bad rows out and converted the block again.

mod fault;
mod nested;
mod nulls;
mod primitive;
mod text;

use arrow::array::ArrayRef;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use fleuve_base::{Error, Result};

use crate::bad::Faults;
use crate::index::Index;
use crate::span::Table;
use crate::time::TimestampReader;
use crate::types::sql_type;
use nested::{ListColumn, MapColumn, RowColumn};
use primitive::{BooleanColumn, Primitive};
use text::BytesColumn;

pub(crate) use nested::key_is;
pub(crate) use primitive::{boolean_of, long_of, timestamp_of};

/// How a text format escapes and nests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Json,
    /// Quotes are doubled or escaped; arrays are split at `elements`.
    Csv {
        quote: u8,
        escape: Option<u8>,
        elements: u8,
    },
}

/// What spans point into.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) block: &'a [u8],
    pub(crate) index: &'a Index,
    pub(crate) dialect: Dialect,
}

/// A column under construction.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its name as errors print it: `bid.price`.
    label: String,
    data_type: DataType,
    nullable: bool,
    /// Whether a value that cannot be converted may stand as NULL.
    forgiving: bool,
    slot: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Boolean(BooleanColumn),
    Int8(Primitive<Int8Type>),
    Int16(Primitive<Int16Type>),
    Int32(Primitive<Int32Type>),
    Int64(Primitive<Int64Type>),
    Float32(Primitive<Float32Type>),
    Float64(Primitive<Float64Type>),
    Decimal(Primitive<Decimal128Type>, u8, i8),
    Text(BytesColumn),
    Binary(BytesColumn),
    Date(Primitive<Date32Type>),
    TimeSecond(Primitive<Time32SecondType>),
    TimeMilli(Primitive<Time32MillisecondType>),
    TimeMicro(Primitive<Time64MicrosecondType>),
    TimeNano(Primitive<Time64NanosecondType>),
    StampSecond(Primitive<TimestampSecondType>, TimestampReader),
    StampMilli(Primitive<TimestampMillisecondType>, TimestampReader),
    StampMicro(Primitive<TimestampMicrosecondType>, TimestampReader),
    StampNano(Primitive<TimestampNanosecondType>, TimestampReader),
    List(ListColumn),
    Map(MapColumn),
    Row(RowColumn),
}

/// Applies one expression to whichever variant there is.
macro_rules! each {
    ($values:expr, $column:ident => $do:expr) => {
        match $values {
            Values::Boolean($column) => $do,
            Values::Int8($column) => $do,
            Values::Int16($column) => $do,
            Values::Int32($column) => $do,
            Values::Int64($column) => $do,
            Values::Float32($column) => $do,
            Values::Float64($column) => $do,
            Values::Decimal($column, ..) => $do,
            Values::Text($column) | Values::Binary($column) => $do,
            Values::Date($column) => $do,
            Values::TimeSecond($column) => $do,
            Values::TimeMilli($column) => $do,
            Values::TimeMicro($column) => $do,
            Values::TimeNano($column) => $do,
            Values::StampSecond($column, _) => $do,
            Values::StampMilli($column, _) => $do,
            Values::StampMicro($column, _) => $do,
            Values::StampNano($column, _) => $do,
            Values::List($column) => $do,
            Values::Map($column) => $do,
            Values::Row($column) => $do,
        }
    };
}

impl Column {
    /// A column of `data_type` fed from `slot`. Nested types get their own inner tables.
    pub(crate) fn new(label: &str, data_type: &DataType, nullable: bool, slot: usize) -> Result<Column> {
        let values = Values::new(label, data_type)?;
        let (label, data_type) = (label.to_owned(), data_type.clone());
        Ok(Column { label, data_type, nullable, forgiving: nullable, slot, values })
    }

    /// A struct whose fields are slots of the same table as its own presence.
    pub(crate) fn flat_row(
        label: &str,
        data_type: &DataType,
        nullable: bool,
        slot: usize,
        fields: Vec<(Column, bool)>,
    ) -> Column {
        let values = Values::Row(RowColumn::flat(data_type, fields));
        let (label, data_type) = (label.to_owned(), data_type.clone());
        Column { label, data_type, nullable, forgiving: nullable, slot, values }
    }

    /// A field of a row: NULL is allowed here, since the row itself may be NULL, and is checked by the row.
    pub(crate) fn of_row(label: &str, field: &Field, slot: usize) -> Result<(Column, bool)> {
        let mut column = Column::new(label, field.data_type(), true, slot)?;
        column.forgiving = field.is_nullable();
        Ok((column, field.is_nullable()))
    }

    fn of_field(parent: &str, field: &Field, slot: usize) -> Result<Column> {
        Column::new(&format!("{parent}.{}", field.name()), field.data_type(), field.is_nullable(), slot)
    }

    /// Rows so far.
    pub(crate) fn len(&self) -> usize {
        each!(&self.values, column => column.len())
    }

    /// Forgets the rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        each!(&mut self.values, column => column.truncate(rows));
    }

    /// The finished array; the column starts anew.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let data_type = &self.data_type;
        each!(&mut self.values, column => column.finish(data_type))
    }

    /// Bytes of text held.
    pub(crate) fn text_bytes(&self) -> usize {
        match &self.values {
            Values::Text(column) | Values::Binary(column) => column.bytes(),
            Values::List(column) => column.text_bytes(),
            Values::Map(column) => column.text_bytes(),
            Values::Row(column) => column.text_bytes(),
            _ => 0,
        }
    }

    /// The greatest millisecond timestamp from `row` on, if this is a column of them, fed from `slot`, without NULL.
    pub(crate) fn max_millis(&self, slot: usize, row: usize) -> Option<i64> {
        match &self.values {
            Values::StampMilli(column, _) if self.slot == slot => column.without_nulls(row)?.iter().copied().max(),
            _ => None,
        }
    }

    /// Appends the rows of `table`.
    pub(crate) fn append(&mut self, table: &Table, source: Source<'_>, faults: &mut Faults) {
        let Column { label, data_type, nullable, forgiving, slot, .. } = self;
        let column = Context { label, data_type, nullable: *nullable, forgiving: *forgiving, slot: *slot };
        self.values.append(column, table, source, faults);
    }
}

/// What a column's values need to know about the column.
#[derive(Clone, Copy)]
struct Context<'a> {
    label: &'a str,
    data_type: &'a DataType,
    nullable: bool,
    forgiving: bool,
    slot: usize,
}

impl Values {
    fn new(label: &str, data_type: &DataType) -> Result<Values> {
        use DataType::{Time32, Time64, Timestamp};
        Ok(match data_type {
            DataType::Boolean => Values::Boolean(BooleanColumn::default()),
            DataType::Int8 => Values::Int8(Primitive::new()),
            DataType::Int16 => Values::Int16(Primitive::new()),
            DataType::Int32 => Values::Int32(Primitive::new()),
            DataType::Int64 => Values::Int64(Primitive::new()),
            DataType::Float32 => Values::Float32(Primitive::new()),
            DataType::Float64 => Values::Float64(Primitive::new()),
            DataType::Decimal128(precision, scale) => Values::Decimal(Primitive::new(), *precision, *scale),
            DataType::Utf8 => Values::Text(BytesColumn::new()),
            DataType::Binary => Values::Binary(BytesColumn::new()),
            DataType::Date32 => Values::Date(Primitive::new()),
            Time32(TimeUnit::Second) => Values::TimeSecond(Primitive::new()),
            Time32(TimeUnit::Millisecond) => Values::TimeMilli(Primitive::new()),
            Time64(TimeUnit::Microsecond) => Values::TimeMicro(Primitive::new()),
            Time64(TimeUnit::Nanosecond) => Values::TimeNano(Primitive::new()),
            Timestamp(TimeUnit::Second, _) => Values::StampSecond(Primitive::new(), TimestampReader::new()),
            Timestamp(TimeUnit::Millisecond, _) => Values::StampMilli(Primitive::new(), TimestampReader::new()),
            Timestamp(TimeUnit::Microsecond, _) => Values::StampMicro(Primitive::new(), TimestampReader::new()),
            Timestamp(TimeUnit::Nanosecond, _) => Values::StampNano(Primitive::new(), TimestampReader::new()),
            DataType::List(item) => Values::List(ListColumn::new(label, item)?),
            DataType::Map(entries, _) => Values::Map(MapColumn::new(label, entries)?),
            DataType::Struct(fields) => Values::Row(RowColumn::nested(label, fields)?),
            other => return Err(unsupported(label, other)),
        })
    }

    fn append(&mut self, column: Context<'_>, table: &Table, source: Source<'_>, faults: &mut Faults) {
        match self {
            Values::Boolean(values) => values.append(column, table, source, faults),
            Values::Int8(values) => values.append_from(column, table, source, faults, primitive::narrow),
            Values::Int16(values) => values.append_from(column, table, source, faults, primitive::narrow),
            Values::Int32(values) => values.append_from(column, table, source, faults, primitive::narrow),
            Values::Int64(values) => values.append_from(column, table, source, faults, primitive::long),
            Values::Float32(values) => values.append_from(column, table, source, faults, primitive::float),
            Values::Float64(values) => values.append_from(column, table, source, faults, primitive::float),
            Values::Decimal(values, precision, scale) => {
                let (precision, scale) = (*precision, *scale);
                values.append_from(column, table, source, faults, |s, block| {
                    primitive::decimal(s, block, precision, scale)
                });
            }
            Values::Text(values) => values.append_text(column, table, source, faults),
            Values::Binary(values) => values.append_binary(column, table, source, faults),
            Values::Date(values) => values.append_from(column, table, source, faults, primitive::date),
            Values::TimeSecond(values) => {
                values.append_from(column, table, source, faults, |s, block| primitive::time(s, block, 1_000_000_000))
            }
            Values::TimeMilli(values) => {
                values.append_from(column, table, source, faults, |s, block| primitive::time(s, block, 1_000_000))
            }
            Values::TimeMicro(values) => {
                values.append_from(column, table, source, faults, |s, block| primitive::time64(s, block, 1_000))
            }
            Values::TimeNano(values) => {
                values.append_from(column, table, source, faults, |s, block| primitive::time64(s, block, 1))
            }
            Values::StampSecond(values, reader) => values.append_from(column, table, source, faults, |s, block| {
                primitive::timestamp(s, block, reader, TimeUnit::Second)
            }),
            Values::StampMilli(values, reader) => values.append_from(column, table, source, faults, |s, block| {
                primitive::timestamp(s, block, reader, TimeUnit::Millisecond)
            }),
            Values::StampMicro(values, reader) => values.append_from(column, table, source, faults, |s, block| {
                primitive::timestamp(s, block, reader, TimeUnit::Microsecond)
            }),
            Values::StampNano(values, reader) => values.append_from(column, table, source, faults, |s, block| {
                primitive::timestamp(s, block, reader, TimeUnit::Nanosecond)
            }),
            Values::List(values) => values.append(column, table, source, faults),
            Values::Map(values) => values.append(column, table, source, faults),
            Values::Row(values) => values.append(column, table, source, faults),
        }
    }
}

fn unsupported(label: &str, data_type: &DataType) -> Error {
    Error::unsupported("E411", format!("column `{label}`: {} cannot be read from text", sql_type(data_type)))
}
