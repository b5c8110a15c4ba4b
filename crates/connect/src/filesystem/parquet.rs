//! Parquet files: a chunk is a row group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow::compute::{CastOptions, cast, cast_with_options, max};
use arrow::datatypes::{DataType, Int64Type, Schema, TimeUnit};
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Place, Result};
use fleuve_flow::source::{Chunk, Decoded, Decoder, Range};
use fleuve_format::ParquetReader;

use super::chunks::Cursor;
use super::decoder::name;
use super::listing::FileEntry;
use super::{METADATA, Shape};
use crate::decode::{Assemble, Constants};
use crate::nearest::nearest;

impl Shape {
    /// The next row group; its number is its position.
    pub(super) fn next_row_group(&self, cursor: &mut Cursor) -> Result<Option<Range>> {
        let groups = self.parquet(cursor.item)?.row_groups() as u64;
        if cursor.position >= groups {
            return Ok(None);
        }
        let start = cursor.position;
        cursor.position += 1;
        Ok(Some(Range { split: 0, item: cursor.item, start, end: cursor.position }))
    }

    /// The rows of a row group.
    pub(super) fn row_group_rows(&self, range: Range) -> Result<u64> {
        Ok(self.parquet(range.item)?.rows_of(range.start as usize))
    }

    fn parquet(&self, item: u32) -> Result<ParquetReader> {
        let path = self.files.get(item)?.path.display().to_string();
        ParquetReader::open(&*self.files.open(item)?).map_err(|error| error.at(Place::file(path, 0, 0)))
    }
}

/// Decodes row groups; keeps the last file's footer.
pub(super) struct ParquetDecoder {
    shape: Arc<Shape>,
    assemble: Assemble,
    /// The wanted paths: those of the scan's data columns, then that of the timestamp whose maximum is wanted.
    paths: Vec<(Vec<String>, Option<DataType>)>,
    open: Option<(u32, ParquetReader)>,
}

impl ParquetDecoder {
    pub(super) fn new(shape: Arc<Shape>) -> Result<Self> {
        let layout = &shape.layout;
        let data = layout.data_columns().into_iter();
        let paths = data.map(|(_, column, path)| (path.to_vec(), Some(column.data_type.clone())));
        let max_of = layout.scan().max_of.iter().map(|path| (path.clone(), None));
        Ok(ParquetDecoder {
            assemble: Assemble::new(layout.options().table(), layout.scan(), METADATA)?,
            paths: paths.chain(max_of).collect(),
            open: None,
            shape,
        })
    }

    fn reader(&mut self, item: u32) -> Result<&ParquetReader> {
        let reader = match self.open.take() {
            Some((open, reader)) if open == item => reader,
            _ => self.shape.parquet(item)?,
        };
        Ok(&self.open.insert((item, reader)).1)
    }

    /// Wanted columns of the file: each once, and for each path which of them it is.
    fn projection(&self, schema: &Schema, place: &str) -> Result<(Vec<usize>, Vec<usize>)> {
        let columns = self.paths.iter().map(|(path, _)| find(schema, &path[0], place));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let mut projection = columns.clone();
        projection.sort_unstable();
        projection.dedup();
        let slots = columns.iter().map(|column| projection.binary_search(column).unwrap_or(0)).collect();
        Ok((projection, slots))
    }

    fn push(&self, batch: &RecordBatch, slots: &[usize], file: &FileEntry, decoded: &mut Decoded) -> Result<()> {
        let path = || file.path.display().to_string();
        let values = self.paths.iter().zip(slots).map(|((path, data_type), slot)| {
            let value = descend(batch.column(*slot), &path[1..])?;
            data_type.as_ref().map_or(Ok(value.clone()), |data_type| convert(&value, data_type, &path.join(".")))
        });
        let values = values.collect::<Result<Vec<_>>>().map_err(|error| error.at(Place::file(path(), 0, 0)))?;
        let data = self.shape.layout.data_columns().len();
        if let Some(times) = values.get(data) {
            decoded.max_timestamp = decoded.max_timestamp.max(latest(times));
        }
        let rows = batch.num_rows();
        let texts = [("file.path", path()), ("file.name", name(file))];
        let numbers = [("file.size", i64::try_from(file.bytes).unwrap_or(i64::MAX))];
        let times = [("file.modification-time", file.modified_ms)];
        let constants = Constants { rows, texts: &texts, numbers: &numbers, times: &times, weights: None };
        let data = unnamed(&values[..data], rows)?;
        decoded.rows += rows as u64;
        decoded.batches.push(self.assemble.batch(&data, &constants)?);
        Ok(())
    }
}

impl Decoder for ParquetDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let range = chunk.range;
        let file = self.shape.files.get(range.item)?;
        let place = file.path.display().to_string();
        let schema = self.reader(range.item)?.schema().clone();
        let (projection, slots) = self.projection(&schema, &place)?;
        let groups = range.start as usize..range.end as usize;
        let input = self.shape.files.open(range.item)?;
        let input = input.try_clone().map_err(|error| self.shape.files.unreadable(range, &error))?;
        let batches = self.reader(range.item)?.read(input, &projection, groups, BATCH_ROWS)?;
        for batch in batches {
            let batch = batch.map_err(|error| error.at(Place::file(&place, 0, 0)))?;
            self.push(&batch, &slots, &file, decoded)?;
        }
        Ok(())
    }
}

/// The position of a column by name; as Flink does, regardless of case if there is no exact match.
fn find(schema: &Schema, name: &str, place: &str) -> Result<usize> {
    let fields = schema.fields();
    let exact = fields.iter().position(|field| field.name() == name);
    exact.or_else(|| fields.iter().position(|field| field.name().eq_ignore_ascii_case(name))).ok_or_else(|| {
        Error::input("E411", format!("the file has no column `{name}`"))
            .with_hint(nearest(name, fields.iter().map(|field| field.name().as_str())))
            .at(Place::file(place, 0, 0))
    })
}

/// A field inside rows: NULL where the row is.
fn descend(column: &ArrayRef, path: &[String]) -> Result<ArrayRef> {
    let [name, rest @ ..] = path else { return Ok(column.clone()) };
    let missing = || Error::input("E411", format!("the file has no field `{name}` inside its column"));
    let rows: &StructArray = column.as_struct_opt().ok_or_else(missing)?;
    let field = rows.column_by_name(name).ok_or_else(missing)?;
    let nulls = arrow::buffer::NullBuffer::union(rows.nulls(), field.nulls());
    let field = field.to_data().into_builder().nulls(nulls).build();
    let field = field.map_err(|error| Error::internal(format!("a field of a Parquet column: {error}")))?;
    descend(&arrow::array::make_array(field), rest)
}

fn convert(column: &ArrayRef, data_type: &DataType, name: &str) -> Result<ArrayRef> {
    if column.data_type() == data_type {
        return Ok(column.clone());
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, data_type, &strict).map_err(|error| {
        let held = column.data_type();
        Error::input("E411", format!("column `{name}` of the file holds {held}, which cannot be read as {data_type}"))
            .with_detail(error.to_string())
    })
}

/// The greatest time, in ms.
fn latest(times: &ArrayRef) -> Option<i64> {
    let times = match times.data_type() {
        DataType::Timestamp(..) => cast(times, &DataType::Timestamp(TimeUnit::Millisecond, None)).ok()?,
        _ => times.clone(),
    };
    let numbers: ArrayRef = cast(&times, &DataType::Int64).ok()?;
    let numbers: &Int64Array = numbers.as_primitive::<Int64Type>();
    max(numbers)
}

/// Columns as a batch whose names nobody reads.
fn unnamed(columns: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
    let field = |column: &ArrayRef| arrow::datatypes::Field::new("", column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns.to_vec(), &options)
        .map_err(|error| Error::internal(format!("columns of a Parquet file: {error}")))
}
