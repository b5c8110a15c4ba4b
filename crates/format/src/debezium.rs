//! debezium-json: a changelog as JSON objects `{"before":…,"after":…,"op":…}`, as Flink reads and writes it.
//!
//! Writing gives `"op":"c"` with the row as `after` for each +1, and `"op":"d"` with the row as `before` for each
//! −1. Reading also understands `r` (a snapshot's row) and `u` (an update, which becomes −before +after).

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use std::sync::Arc;

use crate::assembly::Decoded;
use crate::bad::{BadRecord, OnBad};
use crate::cells::{check_type, write_json_fields};
use crate::decode::Decode;
use crate::json::{JsonDecoder, JsonOptions, fields_of};
use crate::time::TimestampFormat;
use crate::wanted::Wanted;

/// Encodes a changelog. Each row is written as often as its weight says.
#[derive(Debug, Clone)]
pub struct DebeziumEncoder {
    format: TimestampFormat,
}

impl DebeziumEncoder {
    /// An encoder of batches of this schema. Fails if a type has no JSON form.
    pub fn new(schema: &Schema, format: TimestampFormat) -> Result<Self> {
        schema.fields().iter().try_for_each(|field| check_type(field.name(), field.data_type()))?;
        Ok(DebeziumEncoder { format })
    }

    /// Appends the rows' objects, without newlines, and to `ends` where each ends in `out`. Without weights all
    /// rows are insertions.
    pub fn encode_records(
        &self,
        batch: &RecordBatch,
        weights: Option<&Int64Array>,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<()> {
        let mut fields = fields_of(batch, self.format)?;
        for row in 0..batch.num_rows() {
            let weight = weights.map_or(1, |weights| weights.value(row));
            for _ in 0..weight.unsigned_abs() {
                let (before, after): (&[u8], &[u8]) = match weight {
                    0.. => (b"{\"before\":null,\"after\":", b",\"op\":\"c\"}"),
                    _ => (b"{\"before\":", b",\"after\":null,\"op\":\"d\"}"),
                };
                out.extend_from_slice(before);
                write_json_fields(&mut fields, row, out);
                out.extend_from_slice(after);
                ends.push(out.len());
            }
        }
        Ok(())
    }

    /// The same, each object on a line of its own.
    pub fn encode(&self, batch: &RecordBatch, weights: Option<&Int64Array>, out: &mut Vec<u8>) -> Result<()> {
        let (mut objects, mut ends) = (Vec::new(), Vec::new());
        self.encode_records(batch, weights, &mut objects, &mut ends)?;
        out.reserve(objects.len() + ends.len());
        let mut start = 0;
        for end in ends {
            out.extend_from_slice(&objects[start..end]);
            out.push(b'\n');
            start = end;
        }
        Ok(())
    }
}

/// Decodes a changelog. Each batch has weights: +1 for a row that came, −1 for one that went.
///
/// Prefilters do not apply to a changelog, and `max_of` paths begin within `after`.
pub struct DebeziumDecoder {
    inner: JsonDecoder,
    schema: SchemaRef,
    on_bad: OnBad,
    track_lines: bool,
}

impl DebeziumDecoder {
    /// A decoder of the wanted columns, whose paths begin within `before` and `after`.
    pub fn new(wanted: &[Wanted], options: JsonOptions) -> Result<Self> {
        let schema = Arc::new(Schema::new(wanted.iter().map(Wanted::field).collect::<Vec<_>>()));
        // NOT NULL is checked where the image of the row is there.
        let image = |name: &'static str| {
            wanted.iter().map(move |column| Wanted {
                name: format!("{name}.{}", column.name),
                path: std::iter::once(name.to_owned()).chain(column.path.iter().cloned()).collect(),
                nullable: true,
                ..column.clone()
            })
        };
        let presence = ["before", "after"].map(|name| Wanted::path(name, [name], DataType::Struct(Default::default())));
        let op = Wanted { nullable: false, ..Wanted::path("op", ["op"], DataType::Utf8) };
        let all: Vec<Wanted> =
            std::iter::once(op).chain(presence).chain(image("before")).chain(image("after")).collect();
        let max_of = options.max_of.iter().map(|path| [vec!["after".to_owned()], path.clone()].concat()).collect();
        let (on_bad, track_lines) = (options.on_bad, options.track_lines);
        let inner =
            JsonOptions { max_of, prefilter: Vec::new(), track_lines: true, fail_on_missing_field: false, ..options };
        Ok(DebeziumDecoder { inner: JsonDecoder::new(&all, inner)?, schema, on_bad, track_lines })
    }

    /// Splits the decoded envelopes into rows with weights.
    fn unfold(&self, mut decoded: Decoded) -> Result<Decoded> {
        let envelopes = &decoded.batch;
        let ops = envelopes.column(0).as_string::<i32>();
        let (befores, afters) = (envelopes.column(1), envelopes.column(2));
        let width = self.schema.fields().len();
        let mut order = Vec::with_capacity(envelopes.num_rows());
        let mut bad = Vec::new();
        for row in 0..envelopes.num_rows() {
            let images = [(befores.is_valid(row), -1), (afters.is_valid(row), 1)];
            let wanted: &[usize] = match ops.value(row) {
                "c" | "r" => &[1],
                "d" => &[0],
                "u" => &[0, 1],
                other => {
                    bad.push((row, format!("op is \"{other}\", but must be one of c, r, u and d")));
                    continue;
                }
            };
            if let Some(missing) = wanted.iter().find(|image| !images[**image].0) {
                let name = ["before", "after"][*missing];
                bad.push((row, format!("op is \"{}\", but `{name}` is null", ops.value(row))));
                continue;
            }
            order.extend(wanted.iter().map(|image| (*image * envelopes.num_rows() + row, images[*image].1)));
        }
        let images = [0, 1].map(|image| self.image(envelopes, 3 + image * width));
        let [before, after] = images;
        let both = concat_batches(&self.schema_nullable(), [&before?, &after?]).map_err(internal)?;
        let indices: UInt32Array = order.iter().map(|(at, _)| *at as u32).collect();
        let rows = take_record_batch(&both, &indices).map_err(internal)?;
        let lines = order.iter().map(|(at, _)| decoded.lines[at % envelopes.num_rows()]).collect::<Vec<_>>();
        let weights: Int64Array = order.iter().map(|(_, weight)| *weight).collect();
        self.report(&mut decoded, bad)?;
        self.finish(decoded, rows, lines, weights)
    }

    /// The columns of one image, from `first` on, under the wanted names.
    fn image(&self, envelopes: &RecordBatch, first: usize) -> Result<RecordBatch> {
        let columns = envelopes.columns()[first..first + self.schema.fields().len()].to_vec();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(envelopes.num_rows()));
        RecordBatch::try_new_with_options(self.schema_nullable(), columns, &options).map_err(internal)
    }

    fn schema_nullable(&self) -> SchemaRef {
        let fields = self.schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Deals with envelopes that contradict themselves, as the policy says.
    fn report(&self, decoded: &mut Decoded, bad: Vec<(usize, String)>) -> Result<()> {
        for (row, reason) in bad {
            let line = decoded.lines[row];
            let record = BadRecord { line, column: 0, position: 0, length: 0, reason, raw: Vec::new() };
            match self.on_bad {
                OnBad::Fail => return Err(record.to_error("debezium-json")),
                OnBad::Skip => {}
                OnBad::Collect => decoded.bad.push(record),
            }
            decoded.skipped += 1;
        }
        Ok(())
    }

    /// Takes out rows that are NULL where they must not be, and gives the rest its schema.
    fn finish(&self, mut decoded: Decoded, rows: RecordBatch, lines: Vec<u64>, weights: Int64Array) -> Result<Decoded> {
        let mut keep = vec![true; rows.num_rows()];
        let mut bad = Vec::new();
        for (field, column) in self.schema.fields().iter().zip(rows.columns()).filter(|(field, _)| !field.is_nullable())
        {
            for row in (0..rows.num_rows()).filter(|row| column.is_null(*row)) {
                if std::mem::replace(&mut keep[row], false) {
                    bad.push((row, format!("column `{}` is NOT NULL, but the value is null or missing", field.name())));
                }
            }
        }
        decoded.lines = lines;
        self.report(&mut decoded, bad)?;
        let keep = BooleanArray::from(keep);
        let kept = filter_record_batch(&rows, &keep).map_err(internal)?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        decoded.batch =
            RecordBatch::try_new_with_options(self.schema(), kept.columns().to_vec(), &options).map_err(internal)?;
        let weights = arrow::compute::filter(&weights, &keep).map_err(internal)?;
        decoded.weights = Some(weights.as_primitive().clone());
        let mut at = keep.values().iter();
        decoded.lines.retain(|_| at.next().unwrap_or(false));
        if !self.track_lines {
            decoded.lines.clear();
        }
        Ok(decoded)
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("unfolding a changelog: {error}"))
}

impl Decode for DebeziumDecoder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn seek(&mut self, origin: &str, line: u64, position: u64) {
        self.inner.seek(origin, line, position);
    }

    fn decode(&mut self, lines: &[u8]) -> Result<()> {
        self.inner.decode(lines)
    }

    fn push_record(&mut self, value: &[u8]) -> Result<()> {
        self.inner.push_record(value)
    }

    fn rows(&self) -> usize {
        self.inner.rows()
    }

    fn flush(&mut self) -> Result<Decoded> {
        let decoded = self.inner.flush()?;
        self.unfold(decoded)
    }
}
