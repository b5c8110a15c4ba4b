//! The sink of a plain SELECT: its rows go to whoever prints them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use fleuve_base::{Error, ErrorKind, Result};
use fleuve_flow::Batch;
use fleuve_flow::connectors::{Connectors, Reader};
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_flow::source::{Scan, Source};
use fleuve_plan::{SinkSpec, SourceSpec};

/// The connector's name in a query's plan.
pub const RESULT_CONNECTOR: &str = "$result";

/// Epochs of results that may wait for the printer; then the pipeline waits.
const EPOCHS_QUEUED_MAX: usize = 16;

/// One epoch's rows.
pub type Rows = (u64, Vec<Batch>);

/// Adds the result sink to other connectors.
pub struct WithResult {
    inner: Arc<dyn Connectors>,
    sender: SyncSender<Rows>,
}

impl WithResult {
    /// The connectors, and where the rows arrive.
    pub fn new(inner: Arc<dyn Connectors>) -> (Self, Receiver<Rows>) {
        let (sender, receiver) = sync_channel(EPOCHS_QUEUED_MAX);
        (WithResult { inner, sender }, receiver)
    }
}

impl Connectors for WithResult {
    fn source(&self, reader: &Reader<'_>, spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>> {
        self.inner.source(reader, spec, scan)
    }

    fn sink(&self, reader: &Reader<'_>, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        match spec.options.connector() {
            RESULT_CONNECTOR => Ok(Arc::new(ResultSink { sender: self.sender.clone() })),
            _ => self.inner.sink(reader, spec),
        }
    }
}

struct ResultSink {
    sender: SyncSender<Rows>,
}

impl Sink for ResultSink {
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
        Ok(Box::new(ResultLane { sender: self.sender.clone() }))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

struct ResultLane {
    sender: SyncSender<Rows>,
}

impl Lane for ResultLane {
    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let closed = |_| Error::new(ErrorKind::Io, PRINTER_CLOSED, "nobody reads the result any more");
        self.sender.send((epoch, batches)).map_err(closed)
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        Ok(String::new())
    }
}

/// The code of the error by which a query ends when its printer has gone.
pub const PRINTER_CLOSED: &str = "E903";
