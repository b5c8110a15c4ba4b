//! A file that is being written: rows are gathered, then appended in large pieces.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use fleuve_base::{Env, Error, File, Result};
use fleuve_flow::batch::Batch;
use fleuve_format::{CsvEncoder, ParquetCompression, ParquetOptions, ParquetSink};

use crate::decode::csv_options;
use crate::encode::RowEncoder;
use crate::options::Options;

/// Bytes of text that are gathered before they are written.
pub(super) const BUFFER_BYTES: usize = 1 << 20;

/// How rows become bytes.
#[derive(Clone)]
pub(super) struct Encoding {
    options: Options,
    schema: SchemaRef,
    parquet: Option<ParquetOptions>,
    header: Vec<u8>,
}

impl Encoding {
    pub(super) fn new(options: &Options, schema: &Schema) -> Result<Self> {
        let parquet = (options.format() == Some("parquet")).then(|| parquet_options(options)).transpose()?;
        let schema = Arc::new(schema.clone());
        if parquet.is_none() {
            RowEncoder::new(options, &schema)?;
        }
        let header = options.format() == Some("csv") && options.flag("csv.header");
        let header = if header { csv_header(options, &schema)? } else { vec![] };
        Ok(Encoding { options: options.clone(), schema, parquet, header })
    }

    /// The encoder of rows; none for Parquet, whose files have one each.
    pub(super) fn rows(&self) -> Result<Option<RowEncoder>> {
        match self.parquet {
            Some(_) => Ok(None),
            None => RowEncoder::new(&self.options, &self.schema).map(Some),
        }
    }

    /// What a file's name ends with.
    pub(super) fn extension(&self) -> &'static str {
        match self.options.format() {
            Some("csv") => "csv",
            Some("parquet") => "parquet",
            Some("raw") => "txt",
            _ => "json",
        }
    }
}

fn parquet_options(options: &Options) -> Result<ParquetOptions> {
    let compression = ParquetCompression::of_name(options.text("parquet.compression").unwrap_or("SNAPPY"))?;
    Ok(ParquetOptions { compression, ..ParquetOptions::default() })
}

fn csv_header(options: &Options, schema: &Schema) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    CsvEncoder::new(schema, csv_options(options)?)?.encode_header(schema, &mut header);
    Ok(header)
}

/// An open file of one partition.
pub(super) struct PartFile {
    pub(super) temporary: PathBuf,
    /// The name that it will have, relative to the table's directory.
    pub(super) name: String,
    content: Content,
}

enum Content {
    Text { buffer: Vec<u8>, output: Output },
    Parquet(Box<ParquetSink<Output>>),
}

/// A file that is appended to; closed now and then, since there may be thousands.
struct Output {
    env: Env,
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    position: u64,
}

impl PartFile {
    pub(super) fn create(env: &Env, encoding: &Encoding, temporary: PathBuf, name: String) -> Result<Self> {
        let mut output = Output { env: env.clone(), path: temporary.clone(), file: None, position: 0 };
        output.truncate().map_err(|error| written(&temporary, &error))?;
        let content = match &encoding.parquet {
            Some(options) => Content::Parquet(Box::new(ParquetSink::new(output, encoding.schema.clone(), options)?)),
            None => Content::Text { buffer: encoding.header.clone(), output },
        };
        Ok(PartFile { temporary, name, content })
    }

    /// Adds rows; returns the bytes that are gathered in memory.
    pub(super) fn write(&mut self, encoder: Option<&RowEncoder>, rows: &Batch) -> Result<usize> {
        match (&mut self.content, encoder) {
            (Content::Text { buffer, .. }, Some(encoder)) => {
                encoder.lines(&rows.columns, rows.weights.as_ref(), buffer)?;
                if buffer.len() >= BUFFER_BYTES {
                    self.flush()?;
                }
                Ok(self.gathered())
            }
            (Content::Parquet(sink), _) => {
                sink.write(&rows.columns)?;
                Ok(0)
            }
            (Content::Text { .. }, None) => Err(Error::internal("a text file was written without an encoder")),
        }
    }

    /// Bytes in memory.
    pub(super) fn gathered(&self) -> usize {
        match &self.content {
            Content::Text { buffer, .. } => buffer.len(),
            Content::Parquet(_) => 0,
        }
    }

    /// Bytes of the file so far.
    pub(super) fn bytes(&self) -> u64 {
        match &self.content {
            Content::Text { buffer, output } => output.position + buffer.len() as u64,
            Content::Parquet(sink) => sink.bytes_written() as u64,
        }
    }

    /// Writes what has been gathered, and gives the file handle back.
    pub(super) fn flush(&mut self) -> Result<()> {
        let Content::Text { buffer, output } = &mut self.content else { return Ok(()) };
        output.write_all(buffer).map_err(|error| written(&self.temporary, &error))?;
        buffer.clear();
        output.file = None;
        Ok(())
    }

    /// Ends the file. It still has to be synced.
    pub(super) fn finish(mut self) -> Result<Finished> {
        self.flush()?;
        if let Content::Parquet(sink) = self.content {
            sink.finish()?;
        }
        Ok(Finished { temporary: self.temporary, name: self.name })
    }
}

/// A whole file that is still hidden.
pub(super) struct Finished {
    pub(super) temporary: PathBuf,
    pub(super) name: String,
}

impl Finished {
    /// Makes its bytes survive a power cut.
    pub(super) fn sync(&self, env: &Env) -> Result<()> {
        let file = env.fs.open(&self.temporary, false);
        file.and_then(|file| file.sync())
            .map_err(|error| Error::io(format_args!("sync `{}`", self.temporary.display()), &error))
    }
}

fn written(path: &Path, error: &io::Error) -> Error {
    Error::io(format_args!("write `{}`", path.display()), error)
}

impl Output {
    fn file(&mut self) -> io::Result<Arc<dyn File>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.env.fs.open(&self.path, true)?,
        };
        Ok(self.file.insert(file).clone())
    }

    /// Empties a file that an earlier process may have left behind.
    fn truncate(&mut self) -> io::Result<()> {
        let file = self.file()?;
        self.file = None;
        file.set_len(0)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
