//! `PARTITIONED BY`: which directory each row belongs to.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{partition, take_record_batch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use fleuve_base::{Error, Result};
use fleuve_flow::batch::Batch;
use fleuve_plan::SinkSpec;

use crate::options::Options;

/// The partition columns of a table; none for a table that is not partitioned.
pub(super) struct Partitioning {
    names: Vec<String>,
    columns: Vec<usize>,
    data: Vec<usize>,
    default_name: String,
}

/// The rows of one partition.
pub(super) struct Part {
    /// `dt=2024-01-01/hm=12:05`, escaped; empty for a table that is not partitioned.
    pub(super) directory: String,
    pub(super) rows: Batch,
}

impl Partitioning {
    pub(super) fn new(options: &Options, spec: &SinkSpec) -> Result<Self> {
        let columns = spec.partition_by.clone();
        let data: Vec<usize> = (0..spec.schema.fields().len()).filter(|column| !columns.contains(column)).collect();
        if data.is_empty() {
            let message =
                format!("table `{}`: all columns are in PARTITIONED BY, so nothing is left for the files", spec.table);
            return Err(Error::input("E511", message));
        }
        Ok(Partitioning {
            names: columns.iter().map(|column| spec.schema.field(*column).name().clone()).collect(),
            columns,
            data,
            default_name: options.text("partition.default-name").unwrap_or("__DEFAULT_PARTITION__").to_owned(),
        })
    }

    /// The columns that are written to the files: those of the partition stand in the directory's name.
    pub(super) fn data(&self) -> &[usize] {
        &self.data
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Divides a batch; the rows of a part keep their order.
    pub(super) fn split(&self, batch: &Batch) -> Result<Vec<Part>> {
        let internal = |error| Error::internal(format!("rows of a partition: {error}"));
        let data = batch.columns.project(&self.data).map_err(internal)?;
        let data = Batch { columns: data, weights: batch.weights.clone() };
        if self.columns.is_empty() {
            return Ok(vec![Part { directory: String::new(), rows: data }]);
        }
        let by: Vec<_> = self.columns.iter().map(|column| batch.column(*column).clone()).collect();
        let runs = partition(&by).map_err(internal)?.ranges();
        let parts = self.group(&batch.columns, runs)?;
        parts.into_iter().map(|(directory, runs)| Ok(Part { directory, rows: rows_of(&data, &runs)? })).collect()
    }

    /// Joins the runs of equal values that belong to the same directory, in the order of their first rows.
    fn group(&self, rows: &RecordBatch, runs: Vec<Range<usize>>) -> Result<Vec<(String, Vec<Range<usize>>)>> {
        let options = FormatOptions::default();
        let formatters = self.columns.iter().map(|column| ArrayFormatter::try_new(rows.column(*column), &options));
        let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(|error| {
            Error::unsupported("E511", format!("a table cannot be partitioned by this column: {error}"))
        })?;
        let (mut groups, mut numbers) = (Vec::new(), HashMap::<String, usize>::new());
        for run in runs {
            let directory = self.directory(&formatters, run.start);
            match numbers.get(&directory) {
                Some(number) => push_run(&mut groups, *number, run),
                None => {
                    numbers.insert(directory.clone(), groups.len());
                    groups.push((directory, vec![run]));
                }
            }
        }
        Ok(groups)
    }

    fn directory(&self, formatters: &[ArrayFormatter<'_>], row: usize) -> String {
        let mut directory = String::new();
        for (name, formatter) in self.names.iter().zip(formatters) {
            if !directory.is_empty() {
                directory.push('/');
            }
            let value = formatter.value(row).to_string();
            escape(name, &mut directory);
            directory.push('=');
            escape(if value.is_empty() { &self.default_name } else { &value }, &mut directory);
        }
        directory
    }

    /// The values of a partition, from its directory's name.
    pub(super) fn values(directory: &str) -> Vec<String> {
        let value = |part: &str| unescape(part.split_once('=').map_or(part, |(_, value)| value));
        directory.split('/').map(value).collect()
    }
}

fn push_run(groups: &mut [(String, Vec<Range<usize>>)], number: usize, run: Range<usize>) {
    groups[number].1.push(run);
}

fn rows_of(batch: &Batch, runs: &[Range<usize>]) -> Result<Batch> {
    if let [run] = runs {
        let weights = batch.weights.as_ref().map(|weights| weights.slice(run.start, run.len()));
        return Ok(Batch { columns: batch.columns.slice(run.start, run.len()), weights });
    }
    let rows: UInt32Array = runs.iter().flat_map(|run| run.start as u32..run.end as u32).collect();
    let columns = take_record_batch(&batch.columns, &rows)
        .map_err(|error| Error::internal(format!("rows of a partition: {error}")))?;
    let weights = batch.weights.as_ref();
    let weights = weights.map(|weights| rows.values().iter().map(|row| weights.value(*row as usize)).collect());
    Ok(Batch { columns, weights })
}

/// Characters that Hive, and so Flink, writes as `%XX` in the name of a directory.
fn is_special(c: char) -> bool {
    c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c)
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if is_special(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
}

fn unescape(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(&piece[2..]);
            }
            None => {
                out.push('%');
                out.push_str(piece);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_hive_does() {
        let mut out = String::new();
        escape("12:05/a=b%", &mut out);
        assert_eq!(out, "12%3A05%2Fa%3Db%25");
        assert_eq!(unescape(&out), "12:05/a=b%");
        assert_eq!(Partitioning::values("dt=2024-01-01/hm=12%3A05"), ["2024-01-01", "12:05"]);
    }
}
