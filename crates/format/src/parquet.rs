//! Parquet: row groups and columns of a file to batches, and batches into a sink.
//!
//! The bytes come from a `ChunkReader` of the parquet crate (`bytes::Bytes`, `std::fs::File`) and go to a `Write`;
//! nothing here opens a file.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use fleuve_base::{Error, ErrorKind, Result};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;

/// The footer of a Parquet file: its schema and row groups.
///
/// It keeps no file open. Row groups can be dealt out to several readers, each with a handle of its own.
#[derive(Debug, Clone)]
pub struct ParquetReader {
    metadata: ArrowReaderMetadata,
}

impl ParquetReader {
    /// Reads the footer. Types that only differ in how Arrow lays them out (large, view and dictionary strings) are
    /// read as the plain ones.
    pub fn open<R: ChunkReader>(input: &R) -> Result<Self> {
        let load = |options| guarded("read the footer", || ArrowReaderMetadata::load(input, options));
        let metadata = load(ArrowReaderOptions::new())?;
        if metadata.schema().fields().iter().all(|field| is_plain(field.data_type())) {
            return Ok(ParquetReader { metadata });
        }
        // Without the writer's Arrow schema, which is but a hint, all types are plain.
        Ok(ParquetReader { metadata: load(ArrowReaderOptions::new().with_skip_arrow_metadata(true))? })
    }

    /// The file's columns.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// How many row groups there are.
    pub fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows of one row group.
    pub fn rows_of(&self, row_group: usize) -> u64 {
        self.metadata.metadata().row_group(row_group).num_rows().unsigned_abs()
    }

    /// Rows of the file.
    pub fn rows(&self) -> u64 {
        self.metadata.metadata().file_metadata().num_rows().unsigned_abs()
    }

    /// Reads some row groups' columns (by their number, in the file's order) in batches of at most `batch_rows`.
    pub fn read<R: ChunkReader + 'static>(
        &self,
        input: R,
        projection: &[usize],
        row_groups: Range<usize>,
        batch_rows: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<R>> {
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), projection.iter().copied());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, self.metadata.clone());
        let builder = builder.with_projection(mask).with_row_groups(row_groups.collect()).with_batch_size(batch_rows);
        let mut reader = guarded("read a row group", || builder.build())?;
        let mut failed = false;
        Ok(std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next =
                guarded("read a row group", || reader.next().transpose().map_err(ParquetError::from)).transpose();
            failed = matches!(next, Some(Err(_)));
            next
        }))
    }
}

fn is_plain(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => is_plain(item.data_type()),
        DataType::Map(entries, _) => is_plain(entries.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_plain(field.data_type())),
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) => false,
        DataType::LargeUtf8 | DataType::Utf8View | DataType::LargeBinary | DataType::BinaryView => false,
        DataType::LargeList(_) | DataType::ListView(_) | DataType::LargeListView(_) => false,
        _ => true,
    }
}

/// The parquet crate may panic over damaged bytes; to us that is one more kind of damage.
fn guarded<T>(what: &str, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    let damaged = |detail: String| {
        Error::new(ErrorKind::Input, "E415", format!("this is not a valid Parquet file: could not {what}"))
            .with_detail(detail)
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| damaged(error.to_string())),
        Err(_) => Err(damaged("the decoder gave up on damaged bytes".into())),
    }
}

/// How Parquet pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParquetCompression {
    /// Not at all.
    None,
    /// Snappy: fast, read by everything.
    #[default]
    Snappy,
    /// LZ4 without framing.
    Lz4,
    /// Zstandard at its default level.
    Zstd,
    /// gzip at its default level.
    Gzip,
}

impl ParquetCompression {
    /// By the name that `parquet.compression` takes.
    pub fn of_name(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "none" | "uncompressed" => Ok(ParquetCompression::None),
            "snappy" => Ok(ParquetCompression::Snappy),
            "lz4" | "lz4_raw" => Ok(ParquetCompression::Lz4),
            "zstd" => Ok(ParquetCompression::Zstd),
            "gzip" => Ok(ParquetCompression::Gzip),
            _ => Err(Error::input("E416", format!("unknown Parquet compression `{name}`"))
                .with_hint("use one of none, snappy, lz4, zstd, gzip")),
        }
    }

    fn codec(self) -> Compression {
        match self {
            ParquetCompression::None => Compression::UNCOMPRESSED,
            ParquetCompression::Snappy => Compression::SNAPPY,
            ParquetCompression::Lz4 => Compression::LZ4_RAW,
            ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
            ParquetCompression::Gzip => Compression::GZIP(Default::default()),
        }
    }
}

/// How Parquet is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetOptions {
    /// `parquet.compression`.
    pub compression: ParquetCompression,
    /// Rows after which a row group ends.
    pub row_group_rows_max: usize,
    /// Encoded bytes after which a row group ends (`parquet.block.size`).
    pub row_group_bytes_max: usize,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        ParquetOptions {
            compression: ParquetCompression::default(),
            row_group_rows_max: 1 << 20,
            row_group_bytes_max: 128 << 20,
        }
    }
}

/// Writes batches as one Parquet file into a `Write`.
///
/// ```
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use fleuve_format::{ParquetOptions, ParquetReader, ParquetSink};
/// use std::sync::Arc;
///
/// let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
/// let batch = RecordBatch::try_from_iter([("id", ids)])?;
/// let mut sink = ParquetSink::new(Vec::new(), batch.schema(), &ParquetOptions::default())?;
/// sink.write(&batch)?;
/// let file = bytes::Bytes::from(sink.finish()?);
///
/// let reader = ParquetReader::open(&file)?;
/// let mut batches = reader.read(file, &[0], 0..reader.row_groups(), 8192)?;
/// assert_eq!(batches.next().transpose()?, Some(batch));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ParquetSink<W: std::io::Write + Send> {
    writer: ArrowWriter<W>,
}

impl<W: std::io::Write + Send> ParquetSink<W> {
    /// Begins a file.
    pub fn new(output: W, schema: SchemaRef, options: &ParquetOptions) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(options.compression.codec())
            .set_max_row_group_row_count(Some(options.row_group_rows_max))
            .set_max_row_group_bytes(Some(options.row_group_bytes_max))
            .set_created_by(format!("fleuve {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = ArrowWriter::try_new(output, schema, Some(properties)).map_err(write_error)?;
        Ok(ParquetSink { writer })
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(write_error)
    }

    /// Bytes that the file would have if it ended now, about; for rolling over to the next file.
    pub fn bytes_written(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Bytes of memory in use, about.
    pub fn memory_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    /// Ends the row group, so that its bytes go to the output.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(write_error)
    }

    /// Writes the footer and hands the output back.
    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(write_error)
    }
}

fn write_error(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::io("write a Parquet file", &source),
            Err(source) => Error::internal(format!("writing Parquet: {source}")),
        },
        other => Error::internal(format!("writing Parquet: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decode, JsonDecoder, JsonOptions, Wanted};
    use arrow::datatypes::{Field, Fields, TimeUnit};
    use bytes::Bytes;
    use std::sync::Arc;

    fn sample() -> RecordBatch {
        let inner = DataType::Struct(Fields::from(vec![Field::new("x", DataType::Int64, true)]));
        let wanted = [
            Wanted::path("id", ["id"], DataType::Int64),
            Wanted::path("name", ["name"], DataType::Utf8),
            Wanted::path("at", ["at"], DataType::Timestamp(TimeUnit::Millisecond, None)),
            Wanted::path("inner", ["inner"], inner),
            Wanted::path("list", ["list"], DataType::new_list(DataType::Utf8, true)),
            Wanted::path("price", ["price"], DataType::Decimal128(10, 2)),
        ];
        let mut decoder = JsonDecoder::new(&wanted, JsonOptions::default()).expect("types");
        for id in 0..1000 {
            let line = format!(
                r#"{{"id":{id},"name":"n{id}","at":"2015-07-15 00:00:00.{:03}","inner":{{"x":{id}}},"list":["a",null],"price":{id}.25}}"#,
                id % 1000
            );
            decoder.push_record(line.as_bytes()).expect("valid");
        }
        decoder.flush().expect("valid").batch
    }

    fn write(batch: &RecordBatch, options: &ParquetOptions) -> Bytes {
        let mut sink = ParquetSink::new(Vec::new(), batch.schema(), options).expect("schema");
        sink.write(batch).expect("memory");
        assert!(sink.bytes_written() > 0);
        sink.finish().expect("memory").into()
    }

    fn read_all(file: &Bytes, projection: &[usize], groups: Range<usize>) -> Result<Vec<RecordBatch>> {
        ParquetReader::open(file)?.read(file.clone(), projection, groups, 300)?.collect()
    }

    #[test]
    fn round_trip_with_every_compression() {
        let batch = sample();
        for name in ["none", "snappy", "lz4", "zstd", "gzip"] {
            let compression = ParquetCompression::of_name(name).expect(name);
            let file =
                write(&batch, &ParquetOptions { compression, row_group_rows_max: 400, ..ParquetOptions::default() });
            let reader = ParquetReader::open(&file).expect(name);
            assert_eq!((reader.row_groups(), reader.rows(), reader.rows_of(2)), (3, 1000, 200), "{name}");
            let batches = read_all(&file, &[0, 1, 2, 3, 4, 5], 0..3).expect(name);
            assert!(batches.iter().all(|batch| batch.num_rows() <= 300));
            let back = arrow::compute::concat_batches(&batch.schema(), &batches).expect("same schema");
            assert_eq!(back, batch, "{name}");
        }
    }

    #[test]
    fn projection_and_row_groups() {
        let batch = sample();
        let file = write(&batch, &ParquetOptions { row_group_rows_max: 250, ..ParquetOptions::default() });
        let batches = read_all(&file, &[1], 1..2).expect("valid");
        assert_eq!(batches[0], batch.slice(250, 250).project(&[1]).expect("column 1"));
    }

    #[test]
    fn strings_of_other_layouts_become_plain() {
        let text: arrow::array::ArrayRef = Arc::new(arrow::array::LargeStringArray::from(vec!["a"]));
        let file = write(&RecordBatch::try_from_iter([("s", text)]).expect("one column"), &ParquetOptions::default());
        let reader = ParquetReader::open(&file).expect("valid");
        assert_eq!(reader.schema().field(0).data_type(), &DataType::Utf8);
        assert_eq!(read_all(&file, &[0], 0..1).expect("valid")[0].column(0).data_type(), &DataType::Utf8);
    }

    #[test]
    fn damaged_files_are_refused() {
        let error = ParquetReader::open(&Bytes::from_static(b"PAR1 but not really")).expect_err("not a file");
        assert_eq!(error.message(), "this is not a valid Parquet file: could not read the footer");
        assert_eq!(ParquetCompression::of_name("brotli9").expect_err("unknown").code(), "E416");
        let good =
            write(&sample(), &ParquetOptions { compression: ParquetCompression::None, ..ParquetOptions::default() });
        for at in (0..good.len()).step_by(97) {
            let mut bytes = good.to_vec();
            bytes[at] ^= 0x55;
            let bytes = Bytes::from(bytes);
            if let Ok(reader) = ParquetReader::open(&bytes) {
                let groups = reader.row_groups();
                let _ = reader.read(bytes, &[0, 1], 0..groups.min(1), 300).map(|batches| batches.count());
            }
        }
    }
}
