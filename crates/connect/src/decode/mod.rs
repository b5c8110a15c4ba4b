//! From a table's format and the engine's scan to a row decoder, and from its columns to the scan's batches.

mod assemble;
mod bad;

pub(crate) use assemble::{Assemble, Constants, HeadersBuilder, Surroundings, WEIGHT, keys_column, weights_or_ones};
pub(crate) use bad::BadPolicy;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Result};
use fleuve_flow::source::{Decoded, Scan, ScanColumn, ScanField};
use fleuve_format::{
    AvroDecoder, AvroOptions, AvroSchema, Condition, CsvDecoder, CsvOptions, DebeziumDecoder, Decode, JsonDecoder,
    JsonOptions, Literal, OnBad, Prefilter, Wanted,
};
use fleuve_plan::Value;

use crate::options::Options;
use crate::raw::RawDecoder;

/// A table as its decoders see it: the format with its options, and what the engine wants of each record.
pub(crate) struct Layout {
    options: Options,
    physical: Arc<Schema>,
    scan: Scan,
    pub(crate) policy: BadPolicy,
}

/// What is asked of a decoder beyond the scan.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extras {
    /// Each row's record number is wanted.
    pub(crate) track: bool,
}

impl Layout {
    /// Checks that the format can deliver the scan.
    pub(crate) fn new(options: &Options, physical: &Arc<Schema>, scan: Scan) -> Result<Self> {
        let policy = BadPolicy::of(options)?;
        if options.format() == Some("debezium-json") && !wants_weights(&scan) {
            return Err(unreadable_changelog(
                options.table(),
                "its format `debezium-json` holds updates and deletions",
            ));
        }
        Ok(Layout { options: options.clone(), physical: physical.clone(), scan, policy })
    }

    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    pub(crate) fn physical(&self) -> &Arc<Schema> {
        &self.physical
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The format's name.
    pub(crate) fn format(&self) -> &str {
        self.options.format().unwrap_or("json")
    }

    /// A decoder for records of this format.
    pub(crate) fn decoder(&self, extras: Extras) -> Result<Box<dyn Decode>> {
        match self.format() {
            "csv" => self.csv(extras),
            "avro" => self.avro(extras),
            "raw" => Ok(Box::new(RawDecoder::new(&self.options, &self.physical, &self.data_columns())?)),
            "debezium-json" => {
                Ok(Box::new(DebeziumDecoder::new(&self.wanted(), self.json_options("debezium-json", extras))?))
            }
            _ => Ok(Box::new(JsonDecoder::new(&self.wanted(), self.json_options("json", extras))?)),
        }
    }

    /// The wanted columns that stand in the data, with their names in the scan.
    pub(crate) fn data_columns(&self) -> Vec<(&str, &ScanColumn, &[String])> {
        let fields = self.scan.schema.fields().iter().zip(&self.scan.columns);
        let data = fields.filter_map(|(field, column)| match &column.field {
            ScanField::Data(path) => Some((field.name().as_str(), column, path.as_slice())),
            ScanField::Metadata(_) => None,
        });
        data.collect()
    }

    fn wanted(&self) -> Vec<Wanted> {
        let wanted = |(name, column, path): (&str, &ScanColumn, &[String])| Wanted {
            name: name.to_owned(),
            path: path.to_vec(),
            data_type: column.data_type.clone(),
            nullable: column.nullable,
        };
        self.data_columns().into_iter().map(wanted).collect()
    }

    fn json_options(&self, prefix: &str, extras: Extras) -> JsonOptions {
        JsonOptions {
            ignore_parse_errors: self.options.flag(&format!("{prefix}.ignore-parse-errors")),
            fail_on_missing_field: self.options.flag(&format!("{prefix}.fail-on-missing-field")),
            on_bad: OnBad::Collect,
            prefilter: self.prefilter(),
            max_of: self.scan.max_of.iter().cloned().collect(),
            track_lines: extras.track,
            ..JsonOptions::default()
        }
    }

    /// The conditions that a decoder can test on the raw field; the engine tests all of them again.
    fn prefilter(&self) -> Vec<Prefilter> {
        let usable = self.scan.prefilter.iter().filter_map(|prefilter| {
            let any_of = prefilter.any_of.iter().map(raw_literal).collect::<Option<Vec<_>>>()?;
            Some(Prefilter { path: prefilter.path.clone(), condition: Condition::AnyOf(any_of) })
        });
        usable.collect()
    }

    fn csv(&self, extras: Extras) -> Result<Box<dyn Decode>> {
        let options = CsvOptions {
            on_bad: OnBad::Collect,
            max_of: self.scan.max_of.iter().map(|path| self.position(path)).collect::<Result<_>>()?,
            track_lines: extras.track,
            ..csv_options(&self.options)?
        };
        let columns = self.data_columns();
        let projection = columns.iter().map(|(_, _, path)| self.position(path)).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(CsvDecoder::new(&self.physical, &projection, options)?))
    }

    fn avro(&self, extras: Extras) -> Result<Box<dyn Decode>> {
        let schema = match self.options.stated("avro.schema") {
            Some(json) => AvroSchema::parse(json)?,
            None => AvroSchema::of_columns(&self.physical)?,
        };
        let max_of = self.scan.max_of.iter().cloned().collect();
        let options = AvroOptions { on_bad: OnBad::Collect, max_of, track_lines: extras.track };
        Ok(Box::new(AvroDecoder::new(&schema, &self.wanted(), options)?))
    }

    /// The physical column that a path names; a format without nesting has nothing inside it.
    pub(crate) fn position(&self, path: &[String]) -> Result<usize> {
        match path {
            [name] => self.physical.index_of(name).map_err(|_| {
                Error::internal(format!("table `{}` has no physical column `{name}`", self.options.table()))
            }),
            _ => Err(Error::unsupported(
                "E504",
                format!("table `{}`: format `{}` holds no rows inside columns", self.options.table(), self.format()),
            )),
        }
    }
}

/// Whether the engine asks for the rows' weights, so that it can take deletions.
pub(crate) fn wants_weights(scan: &Scan) -> bool {
    scan.columns.iter().any(|column| matches!(&column.field, ScanField::Metadata(key) if key == WEIGHT))
}

/// A table that holds deletions, read by someone who knows only insertions.
pub(crate) fn unreadable_changelog(table: &str, why: &str) -> Error {
    Error::unsupported("E508", format!("table `{table}` holds changes, and is read here as rows that stay"))
        .with_detail(why)
        .with_hint("read it as a stream (a join without FOR SYSTEM_TIME AS OF), or declare another table over the same data, without the PRIMARY KEY or as format `raw`, to read its records as they are")
}

/// The CSV dialect of a table, for reading and writing.
pub(crate) fn csv_options(options: &Options) -> Result<CsvOptions> {
    let quote =
        if options.flag("csv.disable-quote-character") { None } else { options.character("csv.quote-character")? };
    Ok(CsvOptions {
        delimiter: options.character("csv.field-delimiter")?.unwrap_or(b','),
        quote,
        escape: options.character("csv.escape-character")?,
        null_literal: options.text("csv.null-literal").map(str::to_owned),
        array_delimiter: options.character("csv.array-element-delimiter")?.unwrap_or(b';'),
        allow_comments: options.flag("csv.allow-comments"),
        ignore_parse_errors: options.flag("csv.ignore-parse-errors"),
        ..CsvOptions::default()
    })
}

fn raw_literal(literal: &fleuve_plan::Literal) -> Option<Literal> {
    match (&literal.value, &literal.data_type) {
        (Value::Int(value), data_type) if data_type.is_signed_integer() => Some(Literal::Int(*value)),
        (Value::String(text), DataType::Utf8 | DataType::Utf8View) => Some(Literal::Text(text.clone())),
        (Value::Bool(value), DataType::Boolean) => Some(Literal::Bool(*value)),
        _ => None,
    }
}

/// Hands a batch on in pieces that stay in the cache.
pub(crate) fn push_batches(batch: RecordBatch, decoded: &mut Decoded) {
    let rows = batch.num_rows();
    if rows == 0 {
        return;
    }
    if rows <= 2 * BATCH_ROWS {
        decoded.batches.push(batch);
        return;
    }
    let pieces = (0..rows).step_by(BATCH_ROWS).map(|start| batch.slice(start, BATCH_ROWS.min(rows - start)));
    decoded.batches.extend(pieces);
}

/// Takes over what a format's decoder counted.
pub(crate) fn add_counts(from: &fleuve_format::Decoded, decoded: &mut Decoded) {
    decoded.rows += from.lines_read;
    decoded.max_timestamp = decoded.max_timestamp.max(from.max_timestamp);
}
