//! Tables over Kafka: the log of this process, if its address is ours, or a foreign broker.
//!
//! The same script runs in both places. With one of our own addresses a table is a topic of the log: read as slices of
//! its buffers and written with an epoch's identity (`topic`). With another one a broker is dialled.

mod addresses;
pub mod client;
#[cfg(feature = "foreign-kafka")]
mod foreign;
#[cfg(not(feature = "foreign-kafka"))]
#[path = "absent.rs"]
mod foreign;

pub(crate) use addresses::Addresses;

use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::sink::Sink;
use fleuve_flow::source::{Scan, ScanField, Source};
use fleuve_plan::{SinkSpec, SourceSpec};

use self::foreign::{ForeignSink, ForeignSource};
use crate::options::Options;
use crate::topic::{Bound, RecordFields, RecordShape, Start};

/// The option that names the brokers.
const SERVERS: &str = "properties.bootstrap.servers";

/// Checks a table that is read, without dialling anyone.
pub(crate) fn check_source(options: &Options, spec: &SourceSpec) -> Result<()> {
    options.required(SERVERS)?;
    options.required("topic")?;
    Start::of(options)?;
    Bound::of(options)?;
    RecordFields::new(options, &spec.physical, &spec.primary_key).map(drop)
}

/// Checks a table that is written, without dialling anyone.
pub(crate) fn check_sink(options: &Options, spec: &SinkSpec) -> Result<()> {
    options.required(SERVERS)?;
    let topic = options.required("topic")?;
    if topic.contains(';') {
        let message = format!("table `{}`: 'topic' = '{topic}' names several, and one is written", options.table());
        return Err(Error::input("E502", message));
    }
    RecordShape::new(options, spec).map(drop)
}

/// Opens topics of a foreign broker.
pub(crate) fn open_source(
    reader: &Reader<'_>,
    options: &Options,
    spec: &SourceSpec,
    scan: Scan,
) -> Result<Arc<dyn Source>> {
    if scan.columns.iter().any(|column| column.field == ScanField::Metadata("leader-epoch".to_owned())) {
        let message = format!("table `{}`: a foreign broker's 'leader-epoch' is not known here", options.table());
        return Err(Error::unsupported("E505", message).with_hint("remove the column"));
    }
    Ok(Arc::new(ForeignSource::open(reader, options, spec, scan)?))
}

/// Opens a topic of a foreign broker for writing.
pub(crate) fn open_sink(reader: &Reader<'_>, options: &Options, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
    Ok(Arc::new(ForeignSink::open(reader, options, spec)?))
}
