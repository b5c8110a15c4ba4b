//! Discovering the columns of data that comes without a schema.
//!
//! A sample is read whole; the narrowest type that holds all its values is taken. What a reader may want to know
//! before trusting the guess is said in a hint.

mod csv;
mod json;
mod shape;

use ::parquet::file::reader::ChunkReader;
use arrow::datatypes::Field;
use fleuve_base::Result;

pub use csv::csv;
pub use json::json_lines;

use crate::parquet::ParquetReader;

/// A column that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct InferredColumn {
    /// Its name and type; all columns may be NULL.
    pub field: Field,
    /// What the sample shows besides the type.
    pub hint: Option<String>,
}

/// What a sample holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inferred {
    /// The columns, in the order in which they first appear.
    pub columns: Vec<InferredColumn>,
    /// Rows that were looked at.
    pub rows: u64,
    /// Lines that could not be read, and so were left out.
    pub bad_lines: u64,
    /// Of CSV: the delimiter.
    pub delimiter: Option<u8>,
    /// Of CSV: whether the first line holds the columns' names.
    pub header: bool,
}

/// The columns of a Parquet file, from its footer.
pub fn parquet<R: ChunkReader>(input: &R) -> Result<Inferred> {
    let reader = ParquetReader::open(input)?;
    let columns =
        reader.schema().fields().iter().map(|field| InferredColumn { field: Field::clone(field), hint: None });
    Ok(Inferred { columns: columns.collect(), rows: reader.rows(), ..Inferred::default() })
}
