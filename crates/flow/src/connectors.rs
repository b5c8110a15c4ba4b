//! Where the engine gets its sources and sinks from: the rim implements this.

use std::sync::Arc;

use fleuve_base::Result;
use fleuve_plan::{SinkSpec, SourceSpec};

use crate::sink::Sink;
use crate::source::{Scan, Source};

/// Opens tables by their specification.
pub trait Connectors: Send + Sync {
    /// Opens a table for reading. `pipeline` and `node` identify the reader (for pins and internal topics).
    fn source(&self, reader: &Reader<'_>, spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>>;

    /// Opens a table for writing.
    fn sink(&self, reader: &Reader<'_>, spec: &SinkSpec) -> Result<Arc<dyn Sink>>;
}

/// Who opens a table.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// What identifies the pipeline among all that the data directory has ever known.
    pub pipeline: &'a str,
    /// The node of its plan.
    pub node: usize,
}
