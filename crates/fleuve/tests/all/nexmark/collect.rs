//! A sink that keeps the answer: a multiset of rows as text, and the epochs that it has seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::Array;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use fleuve_base::Result;
use fleuve_flow::Batch;
use fleuve_flow::connectors::{Connectors, Reader};
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_flow::source::{Scan, Source};
use fleuve_plan::{SinkSpec, SourceSpec};
use sha2::{Digest, Sha256};

/// The answer so far. It outlives restarts of the pipeline, as a table elsewhere would, and remembers for each lane the
/// last epoch that it holds.
#[derive(Clone, Default)]
pub struct Answer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: HashMap<String, i64>,
    last_epoch: Option<u64>,
}

impl Answer {
    /// Rows of the answer and the SHA-256 of its text.
    pub fn digest(&self) -> (usize, String) {
        let state = self.0.lock().expect("no panic while locked");
        let mut lines: Vec<String> = vec![];
        for (row, weight) in &state.rows {
            assert!(*weight >= 0, "a row was retracted more often than it was there: {row}");
            lines.extend((0..*weight).map(|_| row.clone()));
        }
        lines.sort_unstable();
        let mut hash = Sha256::new();
        lines.iter().for_each(|line| hash.update(format!("{line}\n")));
        (lines.len(), hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The answer summed up by its first column: for windows whose bounds the clock decides.
    pub fn totals(&self) -> (usize, String) {
        let state = self.0.lock().expect("no panic while locked");
        let mut totals: HashMap<&str, i64> = HashMap::new();
        for (row, weight) in &state.rows {
            let mut cells = row.split(',');
            let (key, count) = (cells.next().unwrap_or(""), cells.next().unwrap_or("0"));
            *totals.entry(key).or_insert(0) += weight * count.parse::<i64>().expect("a count");
        }
        let mut lines: Vec<String> = totals.iter().map(|(key, count)| format!("{key},{count}\n")).collect();
        lines.sort_unstable();
        let mut hash = Sha256::new();
        lines.iter().for_each(|line| hash.update(line));
        (lines.len(), hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Real sources; every sink is the answer.
pub struct Collecting {
    pub inner: Arc<dyn Connectors>,
    pub answer: Answer,
}

impl Connectors for Collecting {
    fn source(&self, reader: &Reader<'_>, spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>> {
        self.inner.source(reader, spec, scan)
    }

    fn sink(&self, _reader: &Reader<'_>, _spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.answer.clone()))
    }
}

impl Sink for Answer {
    fn lanes(&self) -> Lanes {
        Lanes::Fixed { count: 1, by: vec![] }
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, _lane: usize) -> Result<Box<dyn Lane>> {
        Ok(Box::new(self.clone()))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

impl Lane for Answer {
    fn last_epoch(&self) -> Option<u64> {
        self.0.lock().expect("no panic while locked").last_epoch
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let mut state = self.0.lock().expect("no panic while locked");
        for batch in &batches {
            let options = FormatOptions::new().with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"));
            let columns = batch.columns.columns();
            let formatters: Vec<_> =
                columns.iter().map(|c| ArrayFormatter::try_new(c, &options).expect("formats")).collect();
            for row in 0..batch.num_rows() {
                let cells = columns.iter().zip(&formatters).map(|(column, formatter)| match column.is_null(row) {
                    true => "\\N".to_owned(),
                    false => formatter.value(row).to_string(),
                });
                let text = cells.collect::<Vec<_>>().join(",");
                let weight = state.rows.entry(text).or_insert(0);
                *weight += batch.weight(row);
            }
        }
        state.rows.retain(|_, weight| *weight != 0);
        state.last_epoch = Some(epoch);
        Ok(())
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        Ok(String::new())
    }
}
