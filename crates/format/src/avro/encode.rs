//! Batches to Avro records.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type, Schema as Columns, TimeUnit};
use fleuve_base::{Error, Result};

use super::schema::{AvroSchema, RecordField, Schema};

/// Encodes rows as Avro records by the schema of their columns.
///
/// ```
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use fleuve_format::AvroEncoder;
/// use std::sync::Arc;
///
/// let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
/// let batch = RecordBatch::try_from_iter_with_nullable([("id", ids, true)])?;
/// let (mut bytes, mut ends) = (Vec::new(), Vec::new());
/// AvroEncoder::new(&batch.schema())?.encode_records(&batch, &mut bytes, &mut ends)?;
/// assert_eq!((bytes, ends), (vec![2, 2, 0], vec![2, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct AvroEncoder {
    schema: AvroSchema,
}

impl AvroEncoder {
    /// An encoder of batches of this schema. Fails if a type has no Avro form.
    pub fn new(columns: &Columns) -> Result<Self> {
        Ok(AvroEncoder { schema: AvroSchema::of_columns(columns)? })
    }

    /// Appends a record for every row, and to `ends` where each ends in `out`.
    pub fn encode_records(&self, batch: &RecordBatch, out: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<()> {
        let fields = values_of(&self.schema.fields, batch.columns())?;
        for row in 0..batch.num_rows() {
            fields.iter().try_for_each(|field| field.write(row, out))?;
            ends.push(out.len());
        }
        Ok(())
    }
}

/// A column in the form in which its values are written.
struct Values {
    /// The value is in a union with null.
    nullable: bool,
    array: ArrayRef,
    kind: Kind,
}

enum Kind {
    Boolean,
    Long,
    Float,
    Double,
    /// Texts and bytes, as bytes.
    Bytes,
    Decimal,
    List(Box<Values>),
    Map(Box<Values>, Box<Values>),
    Row(Vec<Values>),
}

fn values_of(fields: &[RecordField], columns: &[ArrayRef]) -> Result<Vec<Values>> {
    fields.iter().zip(columns).map(|(field, column)| Values::new(&field.schema, column)).collect()
}

impl Values {
    fn new(schema: &Schema, column: &ArrayRef) -> Result<Self> {
        if let Schema::Union(branches) = schema {
            let [Schema::Null, branch] = branches.as_slice() else {
                return Err(Error::internal("a column is a union of more than null and a type"));
            };
            return Ok(Values { nullable: true, ..Values::new(branch, column)? });
        }
        let as_type = |data_type: &DataType| cast(column, data_type).map_err(internal);
        let (kind, array) = match schema {
            Schema::Boolean => (Kind::Boolean, column.clone()),
            Schema::Float => (Kind::Float, column.clone()),
            Schema::Double => (Kind::Double, column.clone()),
            Schema::Text | Schema::Bytes => (Kind::Bytes, as_type(&DataType::Binary)?),
            Schema::Decimal { .. } => (Kind::Decimal, column.clone()),
            Schema::Timestamp(unit) => (Kind::Long, moments(column, *unit)?),
            Schema::Time(unit) => (Kind::Long, times(column, *unit)?),
            Schema::Date => (Kind::Long, cast(&as_type(&DataType::Int32)?, &DataType::Int64).map_err(internal)?),
            Schema::Array(item) => {
                let items = column.as_list::<i32>().values();
                (Kind::List(Box::new(Values::new(item, items)?)), column.clone())
            }
            Schema::Map(value) => {
                let map = column.as_map();
                let keys = Values::new(&Schema::Text, map.keys())?;
                (Kind::Map(Box::new(keys), Box::new(Values::new(value, map.values())?)), column.clone())
            }
            Schema::Record(fields) => (Kind::Row(values_of(fields, column.as_struct().columns())?), column.clone()),
            _ => (Kind::Long, as_type(&DataType::Int64)?),
        };
        Ok(Values { nullable: false, array, kind })
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let there = self.array.is_valid(row);
        if self.nullable {
            out.push(if there { 2 } else { 0 });
        } else if !there {
            return Err(Error::input("E410", "NULL cannot be written into a column that is NOT NULL"));
        }
        if !there {
            return Ok(());
        }
        match &self.kind {
            Kind::Boolean => out.push(u8::from(self.array.as_boolean().value(row))),
            Kind::Long => long(self.array.as_primitive::<Int64Type>().value(row), out),
            Kind::Float => out.extend_from_slice(&self.array.as_primitive::<Float32Type>().value(row).to_le_bytes()),
            Kind::Double => out.extend_from_slice(&self.array.as_primitive::<Float64Type>().value(row).to_le_bytes()),
            Kind::Bytes => bytes(self.array.as_binary::<i32>().value(row), out),
            Kind::Decimal => decimal(self.array.as_primitive::<Decimal128Type>().value(row), out),
            Kind::List(items) => {
                let offsets = self.array.as_list::<i32>().value_offsets();
                block(offsets, row, out, |item, out| items.write(item, out))?;
            }
            Kind::Map(keys, values) => {
                let offsets = self.array.as_map().value_offsets();
                block(offsets, row, out, |entry, out| {
                    keys.write(entry, out)?;
                    values.write(entry, out)
                })?;
            }
            Kind::Row(fields) => fields.iter().try_for_each(|field| field.write(row, out))?,
        }
        Ok(())
    }
}

/// All items of a list as one block, and its end.
fn block(
    offsets: &[i32],
    row: usize,
    out: &mut Vec<u8>,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let items = offsets[row] as usize..offsets[row + 1] as usize;
    if !items.is_empty() {
        long(items.len() as i64, out);
        items.into_iter().try_for_each(|item| write(item, out))?;
    }
    long(0, out);
    Ok(())
}

fn moments(column: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let zone = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let scaled = cast(column, &DataType::Timestamp(unit, zone)).map_err(internal)?;
    cast(&scaled, &DataType::Int64).map_err(internal)
}

fn times(column: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let (to, number) = match unit {
        TimeUnit::Second | TimeUnit::Millisecond => (DataType::Time32(TimeUnit::Millisecond), DataType::Int32),
        _ => (DataType::Time64(TimeUnit::Microsecond), DataType::Int64),
    };
    let scaled = cast(column, &to).map_err(internal)?;
    let number = cast(&scaled, &number).map_err(internal)?;
    cast(&number, &DataType::Int64).map_err(internal)
}

/// A zigzag varint.
fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

/// The fewest bytes of two's complement that hold the number.
fn decimal(value: i128, out: &mut Vec<u8>) {
    let wide = value.to_be_bytes();
    let fill = if value < 0 { 0xff } else { 0 };
    let is_surplus = |at: usize| wide[at] == fill && (wide[at + 1] ^ fill) & 0x80 == 0;
    let start = (0..15).find(|at| !is_surplus(*at)).unwrap_or(15);
    bytes(&wide[start..], out);
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("a column for Avro records: {error}"))
}
