//! A sink that prints rows as Flink does: `+I[1, apple]`.
//!
//! A terminal has no memory, so after a crash the rows since the last snapshot are printed again.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use fleuve_base::{Error, Result};
use fleuve_flow::batch::Batch;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_plan::SinkSpec;
use parking_lot::Mutex;

use crate::changelog::split;
use crate::options::Options;

/// Where rows are printed.
pub type Output = Arc<Mutex<dyn Write + Send>>;

/// A `print` table.
pub(crate) struct Print {
    output: Output,
    prefix: String,
    upsert_key: Option<Vec<usize>>,
}

impl Print {
    pub(crate) fn new(output: Output, options: &Options, spec: &SinkSpec) -> Self {
        let prefix = options.stated("print-identifier").map(|text| format!("{text}> ")).unwrap_or_default();
        Print { output, prefix, upsert_key: spec.upsert_key.clone() }
    }
}

impl Sink for Print {
    fn lanes(&self) -> Lanes {
        Lanes::Fixed { count: 1, by: vec![] }
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, _lane: usize) -> Result<Box<dyn Lane>> {
        let (prefix, upsert_key) = (self.prefix.clone(), self.upsert_key.clone());
        Ok(Box::new(PrintLane { output: self.output.clone(), prefix, upsert_key, text: String::new() }))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

struct PrintLane {
    output: Output,
    prefix: String,
    upsert_key: Option<Vec<usize>>,
    text: String,
}

impl Lane for PrintLane {
    fn write(&mut self, _epoch: u64, batches: Vec<Batch>) -> Result<()> {
        self.text.clear();
        if batches.iter().all(|batch| batch.weights.is_none()) {
            batches.iter().try_for_each(|batch| self.print(batch, &HashSet::new(), "+I", "+I"))?;
        } else {
            self.print_changes(&split(&batches, false), &split(&batches, true))?;
        }
        let mut output = self.output.lock();
        let written = output.write_all(self.text.as_bytes()).and_then(|()| output.flush());
        written.map_err(|error| Error::io("print", &error))
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        Ok(String::new())
    }
}

/// Keys of rows, in a form that can be compared.
type Keys = HashSet<Box<[u8]>>;

impl PrintLane {
    /// What goes, then what comes; a row that is replaced is `-U` and `+U`.
    fn print_changes(&mut self, retracted: &[Batch], inserted: &[Batch]) -> Result<()> {
        let (gone, come) = (self.keys(retracted)?, self.keys(inserted)?);
        retracted.iter().try_for_each(|batch| self.print(batch, &come, "-U", "-D"))?;
        inserted.iter().try_for_each(|batch| self.print(batch, &gone, "+U", "+I"))
    }

    fn keys(&self, batches: &[Batch]) -> Result<Keys> {
        let mut keys = Keys::new();
        for batch in batches {
            if let Some(rows) = self.key_rows(batch)? {
                keys.extend(rows.iter().map(|row| Box::from(row.as_ref())));
            }
        }
        Ok(keys)
    }

    fn key_rows(&self, batch: &Batch) -> Result<Option<Rows>> {
        let Some(key) = &self.upsert_key else { return Ok(None) };
        let columns: Vec<_> = key.iter().map(|column| batch.column(*column).clone()).collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
        let rows = RowConverter::new(fields.collect()).and_then(|converter| converter.convert_columns(&columns));
        rows.map(Some).map_err(|error| Error::internal(format!("keys of printed rows: {error}")))
    }

    fn print(&mut self, batch: &Batch, others: &Keys, with_other: &str, alone: &str) -> Result<()> {
        let keys = self.key_rows(batch)?;
        let options = FormatOptions::default().with_null("null");
        let columns = formatters(&batch.columns, &options)?;
        for row in 0..batch.num_rows() {
            let replaced = keys.as_ref().is_some_and(|keys| others.contains(keys.row(row).as_ref()));
            let kind = if replaced { with_other } else { alone };
            for _ in 0..batch.weight(row).unsigned_abs() {
                self.line(kind, &columns, row)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, kind: &str, columns: &[ArrayFormatter<'_>], row: usize) -> Result<()> {
        let failed = |_| Error::input("E432", "a value cannot be printed");
        self.text.push_str(&self.prefix);
        self.text.push_str(kind);
        self.text.push('[');
        for (number, column) in columns.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(self.text, "{comma}{}", column.value(row)).map_err(failed)?;
        }
        self.text.push_str("]\n");
        Ok(())
    }
}

fn formatters<'a>(rows: &'a RecordBatch, options: &FormatOptions<'a>) -> Result<Vec<ArrayFormatter<'a>>> {
    let columns = rows.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), options));
    columns
        .collect::<Result<_, _>>()
        .map_err(|error| Error::unsupported("E508", format!("a column cannot be printed: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::Schema;
    use std::collections::BTreeMap;

    fn batch(keys: &[i64], names: &[Option<&str>], weights: Option<&[i64]>) -> Batch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(keys.to_vec()))),
            ("name", Arc::new(StringArray::from(names.to_vec()))),
        ];
        let columns = RecordBatch::try_from_iter(columns).unwrap();
        match weights {
            Some(weights) => Batch::weighted(columns, Int64Array::from(weights.to_vec())),
            None => Batch::append(columns),
        }
    }

    fn printed(identifier: Option<&str>, batch: Batch) -> String {
        let mut options = BTreeMap::from([("connector".to_owned(), "print".to_owned())]);
        options.extend(identifier.map(|text| ("print-identifier".to_owned(), text.to_owned())));
        let options = fleuve_plan::TableOptions(options);
        let spec = SinkSpec {
            table: "t".to_owned(),
            options: options.clone(),
            schema: Arc::new(Schema::empty()),
            primary_key: vec![],
            partition_by: vec![],
            metadata: vec![],
            changelog: true,
            upsert_key: Some(vec![0]),
        };
        let checked = Options::check("t", &options, crate::options::Use::Write).unwrap();
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let print = Print::new(bytes.clone(), &checked, &spec);
        print.open(0).unwrap().write(1, vec![batch]).unwrap();
        String::from_utf8(bytes.lock().clone()).unwrap()
    }

    #[test]
    fn rows_are_printed_as_flink_does() {
        assert_eq!(printed(None, batch(&[1, 2], &[Some("a"), None], None)), "+I[1, a]\n+I[2, null]\n");
        assert_eq!(printed(Some("out"), batch(&[1], &[Some("a")], None)), "out> +I[1, a]\n");
    }

    #[test]
    fn updates_are_told_from_deletions() {
        let changes =
            batch(&[1, 1, 2, 3], &[Some("new"), Some("old"), Some("gone"), Some("came")], Some(&[1, -1, -1, 2]));
        assert_eq!(printed(None, changes), "-U[1, old]\n-D[2, gone]\n+U[1, new]\n+I[3, came]\n+I[3, came]\n");
    }
}
