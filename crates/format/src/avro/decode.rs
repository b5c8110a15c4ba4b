//! Avro records to batches.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::max;
use arrow::datatypes::{DataType, Field, Schema as Columns, SchemaRef, TimeUnit, TimestampMillisecondType};
use fleuve_base::{Error, ErrorKind, Result};

use super::column::Column;
use super::input::{Fault, Input};
use super::schema::{AvroSchema, RecordField, Schema};
use crate::assembly::Decoded;
use crate::bad::{BadRecord, OnBad};
use crate::decode::Decode;
use crate::types::sql_type;
use crate::wanted::Wanted;

/// How Avro records are decoded.
#[derive(Debug, Clone, Default)]
pub struct AvroOptions {
    /// What happens to bad records.
    pub on_bad: OnBad,
    /// Paths of timestamps whose maximum over all records is wanted.
    pub max_of: Vec<Vec<String>>,
    /// Note the record that each row came from.
    pub track_lines: bool,
}

/// Decodes Avro records of a known schema, one by one.
///
/// ```
/// use arrow::array::{AsArray, types::Int64Type};
/// use arrow::datatypes::DataType;
/// use fleuve_format::{AvroDecoder, AvroOptions, AvroSchema, Decode, Wanted};
///
/// let schema = AvroSchema::parse(r#"{"type":"record","name":"bid","fields":[
///     {"name":"url","type":"string"},{"name":"price","type":"long"}]}"#)?;
/// let price = Wanted::path("price", ["price"], DataType::Int64);
/// let mut decoder = AvroDecoder::new(&schema, &[price], AvroOptions::default())?;
/// decoder.push_record(b"\x04ab\x54")?;
/// assert_eq!(decoder.flush()?.batch.column(0).as_primitive::<Int64Type>().value(0), 42);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
pub struct AvroDecoder {
    plan: Vec<FieldPlan>,
    columns: Vec<Column>,
    /// The wanted columns come first, then those that only give the maximum of times.
    wanted: usize,
    times: Vec<usize>,
    schema: SchemaRef,
    options: AvroOptions,
    rows: usize,
    /// Number of the next record.
    record: u64,
    lines: Vec<u64>,
    read: u64,
    skipped: u64,
    bad: Vec<BadRecord>,
}

/// What becomes of a field of the writer's record.
struct FieldPlan {
    schema: Schema,
    /// Columns that take the field whole.
    whole: Vec<usize>,
    /// Columns that take something inside it: where the fields lie if it is a record, and all such columns.
    inside: Option<(Vec<FieldPlan>, Vec<usize>)>,
}

/// A column and the path to it that is still to go.
type Goal<'a> = (usize, &'a [String], &'a Field);

impl AvroDecoder {
    /// A decoder of the wanted columns. Fails if the schema cannot give one of them.
    pub fn new(schema: &AvroSchema, wanted: &[Wanted], options: AvroOptions) -> Result<Self> {
        let fields: Vec<Field> = wanted.iter().map(Wanted::field).collect();
        let time = Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, None), true);
        let mut goals: Vec<Goal<'_>> = Vec::new();
        goals.extend(wanted.iter().zip(&fields).enumerate().map(|(at, (wanted, field))| (at, &*wanted.path, field)));
        goals.extend(options.max_of.iter().enumerate().map(|(at, path)| (wanted.len() + at, path.as_slice(), &time)));
        let plan = plan(&schema.fields, &goals)?;
        let columns = goals.iter().map(|(_, _, field)| Column::new(field)).collect();
        Ok(AvroDecoder {
            plan,
            columns,
            wanted: wanted.len(),
            times: (wanted.len()..goals.len()).collect(),
            schema: Arc::new(Columns::new(fields)),
            options,
            rows: 0,
            record: 1,
            lines: Vec::new(),
            read: 0,
            skipped: 0,
            bad: Vec::new(),
        })
    }

    fn reject(&mut self, value: &[u8], at: usize, reason: Fault) -> Result<()> {
        let raw = if self.options.on_bad == OnBad::Collect { value.to_vec() } else { Vec::new() };
        let bad = BadRecord { line: self.record, column: at as u64 + 1, position: 0, length: value.len(), reason, raw };
        match self.options.on_bad {
            OnBad::Fail => return Err(bad.to_error("Avro")),
            OnBad::Skip => {}
            OnBad::Collect => self.bad.push(bad),
        }
        self.skipped += 1;
        Ok(())
    }
}

/// Where each field of a record goes.
fn plan(fields: &[RecordField], goals: &[Goal<'_>]) -> Result<Vec<FieldPlan>> {
    let known = |goal: &&Goal<'_>| fields.iter().any(|field| goal.1.first() == Some(&field.name));
    if let Some((_, path, field)) = goals.iter().find(|goal| !known(goal))
        && !field.is_nullable()
    {
        let message =
            format!("column `{}` is NOT NULL, and the Avro schema has no field `{}`", field.name(), path.join("."));
        return Err(Error::input("E419", message));
    }
    fields.iter().map(|field| field_plan(field, goals)).collect()
}

fn field_plan(field: &RecordField, goals: &[Goal<'_>]) -> Result<FieldPlan> {
    let (mut whole, mut inside) = (Vec::new(), Vec::<Goal<'_>>::new());
    for (column, path, wanted) in goals {
        match path.split_first() {
            Some((name, [])) if *name == field.name => {
                check(field, wanted)?;
                whole.push(*column);
            }
            Some((name, rest)) if *name == field.name => inside.push((*column, rest, wanted)),
            _ => {}
        }
    }
    let columns: Vec<usize> = inside.iter().map(|(column, ..)| *column).collect();
    let inside = match record_of(&field.schema) {
        _ if inside.is_empty() => None,
        Some(fields) => Some((plan(fields, &inside)?, columns)),
        None => {
            let message = format!("the Avro field `{}` is {} and no record", field.name, field.schema.name());
            return Err(Error::input("E419", message));
        }
    };
    Ok(FieldPlan { schema: field.schema.clone(), whole, inside })
}

/// The fields of a record, or of a record that may be null.
fn record_of(schema: &Schema) -> Option<&[RecordField]> {
    match schema {
        Schema::Record(fields) => Some(fields),
        Schema::Union(branches) => {
            let mut records = branches.iter().filter(|branch| **branch != Schema::Null);
            records.next().filter(|_| records.next().is_none()).and_then(record_of)
        }
        _ => None,
    }
}

fn check(field: &RecordField, wanted: &Field) -> Result<()> {
    if field.schema.reads_as(wanted.data_type()) {
        return Ok(());
    }
    let (name, column) = (field.schema.name(), sql_type(wanted.data_type()));
    let message =
        format!("column `{}` is {column}, and the Avro schema says {name} for `{}`", wanted.name(), field.name);
    Err(Error::input("E419", message))
}

/// Reads the fields of one record into their columns.
fn read(plan: &[FieldPlan], columns: &mut [Column], input: &mut Input<'_>) -> std::result::Result<(), Fault> {
    for field in plan {
        let start = *input;
        match field.whole.split_first() {
            None => input.skip(&field.schema)?,
            Some((first, others)) => {
                columns[*first].push(&field.schema, input)?;
                others.iter().try_for_each(|column| columns[*column].push(&field.schema, &mut start.clone()))?;
            }
        }
        if let Some((inside, below)) = &field.inside {
            read_inside(&field.schema, inside, below, columns, start)?;
        }
    }
    Ok(())
}

fn read_inside(
    schema: &Schema,
    plan: &[FieldPlan],
    below: &[usize],
    columns: &mut [Column],
    mut input: Input<'_>,
) -> std::result::Result<(), Fault> {
    match schema {
        Schema::Union(branches) => {
            let branch = input.branch(branches)?;
            read_inside(branch, plan, below, columns, input)
        }
        Schema::Null => below.iter().try_for_each(|column| columns[*column].push_null()),
        _ => read(plan, columns, &mut input),
    }
}

impl Decode for AvroDecoder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn seek(&mut self, _origin: &str, line: u64, _position: u64) {
        self.record = line;
    }

    fn decode(&mut self, _lines: &[u8]) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "E410", "Avro records are not lines")
            .with_hint("they come from topics; a file holds them in a container, which is not read here"))
    }

    fn push_record(&mut self, value: &[u8]) -> Result<()> {
        let mut input = Input { rest: value };
        let decoded = read(&self.plan, &mut self.columns, &mut input);
        self.read += 1;
        let missing = |column: &mut Column| if column.len() == self.rows { column.push_null() } else { Ok(()) };
        let decoded = decoded.and_then(|()| match input.rest.len() {
            0 => self.columns.iter_mut().try_for_each(missing),
            more => Err(format!("{more} bytes follow the record")),
        });
        let judged = match decoded {
            Ok(()) => {
                self.rows += 1;
                if self.options.track_lines {
                    self.lines.push(self.record);
                }
                Ok(())
            }
            Err(reason) => {
                self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
                self.reject(value, value.len() - input.rest.len(), reason)
            }
        };
        self.record += 1;
        judged
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn flush(&mut self) -> Result<Decoded> {
        let mut arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>>>()?;
        let times = self.times.iter().filter_map(|at| max(arrays[*at].as_primitive::<TimestampMillisecondType>()));
        let max_timestamp = times.max();
        arrays.truncate(self.wanted);
        let rows = std::mem::take(&mut self.rows);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema(), arrays, &options)
            .map_err(|error| Error::internal(format!("decoded columns do not make a batch: {error}")))?;
        Ok(Decoded {
            batch,
            lines: std::mem::take(&mut self.lines),
            weights: None,
            max_timestamp,
            lines_read: std::mem::take(&mut self.read),
            filtered: 0,
            skipped: std::mem::take(&mut self.skipped),
            nulled: 0,
            bad: std::mem::take(&mut self.bad),
        })
    }
}
