//! A build without librdkafka: tables over foreign brokers are refused by name.

use fleuve_base::{Error, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_flow::source::{Chunk, Claim, Decoder, Range, Scan, Source, Waker};
use fleuve_plan::{SinkSpec, SourceSpec};

use super::SERVERS;
use crate::options::Options;

/// Cannot be made.
pub(crate) enum ForeignSource {}

/// Cannot be made.
pub(crate) enum ForeignSink {}

fn absent(options: &Options) -> Error {
    let servers = options.stated(SERVERS).unwrap_or_default();
    let message = format!("table `{}`: '{SERVERS}' = '{servers}' is not this process's own broker", options.table());
    Error::unsupported("E514", message).with_detail("this build has no client for other brokers").with_hint(
        "build it with `--features foreign-kafka`, or run the script beside the broker: `fleuve serve --run FILE`",
    )
}

impl ForeignSource {
    pub(crate) fn open(_: &Reader<'_>, options: &Options, _: &SourceSpec, _: Scan) -> Result<Self> {
        Err(absent(options))
    }
}

impl ForeignSink {
    pub(crate) fn open(_: &Reader<'_>, options: &Options, _: &SinkSpec) -> Result<Self> {
        Err(absent(options))
    }
}

impl Source for ForeignSource {
    fn bounded(&self) -> bool {
        match *self {}
    }

    fn splits(&self) -> Vec<String> {
        match *self {}
    }

    fn claim(&self, _: usize) -> Result<Claim> {
        match *self {}
    }

    fn reclaim(&self, _: Range) -> Result<Chunk> {
        match *self {}
    }

    fn resume(&self, _: &[Range]) -> Result<()> {
        match *self {}
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        match *self {}
    }

    fn subscribe(&self, _: Waker) {
        match *self {}
    }
}

impl Sink for ForeignSink {
    fn lanes(&self) -> Lanes {
        match *self {}
    }

    fn guarantee(&self) -> Guarantee {
        match *self {}
    }

    fn recover(&self, _: &[String]) -> Result<()> {
        match *self {}
    }

    fn open(&self, _: usize) -> Result<Box<dyn Lane>> {
        match *self {}
    }

    fn commit(&self, _: &[String]) -> Result<()> {
        match *self {}
    }
}
