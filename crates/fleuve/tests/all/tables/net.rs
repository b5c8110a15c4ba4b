//! A sink that adds up what it is given: rows as text with their weights.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use fleuve_base::Result;
use fleuve_connect::StandardConnectors;
use fleuve_flow::Batch;
use fleuve_flow::connectors::{Connectors, Reader};
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_flow::source::{Scan, Source};
use fleuve_plan::{SinkSpec, SourceSpec};

/// The net rows of every table with connector `net`, whatever was started how often.
#[derive(Clone, Default)]
pub struct Net(Arc<Mutex<Held>>);

#[derive(Clone, Default)]
struct Held {
    rows: BTreeMap<String, i64>,
    last_epoch: Option<u64>,
}

impl Net {
    /// What is held now, and nothing of what is written from here on by whoever has this one.
    pub fn as_it_is(&self) -> Net {
        let held = self.0.lock().expect("no panic while locked").clone();
        Net(Arc::new(Mutex::new(held)))
    }

    /// Each row as often as it is there, sorted.
    pub fn rows(&self) -> Vec<String> {
        let held = self.0.lock().expect("no panic while locked");
        assert!(held.rows.values().all(|weight| *weight >= 0), "retracted what was not there: {:?}", held.rows);
        let times = |(row, weight): (&String, &i64)| std::iter::repeat_n(row.clone(), *weight as usize);
        held.rows.iter().flat_map(times).collect()
    }
}

/// The standard connectors, and `net`.
pub struct WithNet {
    pub inner: StandardConnectors,
    pub net: Net,
}

impl Connectors for WithNet {
    fn source(&self, reader: &Reader<'_>, spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>> {
        self.inner.source(reader, spec, scan)
    }

    fn sink(&self, reader: &Reader<'_>, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        match spec.options.connector() {
            "net" => Ok(Arc::new(self.net.clone())),
            _ => self.inner.sink(reader, spec),
        }
    }
}

impl Sink for Net {
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

impl Lane for Net {
    fn last_epoch(&self) -> Option<u64> {
        self.0.lock().expect("no panic while locked").last_epoch
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let mut held = self.0.lock().expect("no panic while locked");
        held.last_epoch = Some(epoch);
        let options = FormatOptions::default().with_null("NULL");
        for batch in &batches {
            let columns = batch.columns.columns().iter();
            let columns: Vec<_> =
                columns.map(|c| ArrayFormatter::try_new(c, &options).expect("can be shown")).collect();
            for row in 0..batch.num_rows() {
                let text = columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(",");
                *held.rows.entry(text).or_insert(0) += batch.weight(row);
            }
        }
        held.rows.retain(|_, weight| *weight != 0);
        Ok(())
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        Ok(String::new())
    }
}
