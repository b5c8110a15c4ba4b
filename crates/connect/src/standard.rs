//! The connectors of this crate, by the names that `'connector' = '…'` uses.

use std::io::Read;
use std::sync::Arc;

use fleuve_base::{Env, Error, Result};
use fleuve_flow::connectors::{Connectors, Reader};
use fleuve_flow::sink::Sink;
use fleuve_flow::source::{Scan, Source};
use fleuve_journal::Log;
use fleuve_plan::{ReadOrder, SinkSpec, SourceSpec};
use parking_lot::Mutex;

use crate::blackhole::Blackhole;
use crate::datagen::Datagen;
use crate::file_sink::FileSink;
use crate::filesystem::{self, FileSource};
use crate::index::{self, Definition, IndexSink, Indexes};
use crate::ingest::{self, Stdin};
use crate::internal;
use crate::kafka::{self, Addresses};
use crate::nexmark::NexmarkSource;
use crate::options::{Options, Use};
use crate::print::{Output, Print};
use crate::topic::{self, GroupOffsets, TopicSink, TopicSource};

/// Opens tables of every connector that [`documentation`](crate::documentation) lists.
pub struct StandardConnectors {
    env: Env,
    log: Option<Arc<Log>>,
    indexes: Option<Arc<Indexes>>,
    addresses: Addresses,
    groups: Option<Arc<dyn GroupOffsets>>,
    output: Option<Output>,
    stdin: Stdin,
    fallback: Option<Arc<dyn Connectors>>,
}

impl StandardConnectors {
    /// Without a log: topics are refused, and streams are kept in memory.
    pub fn new(env: Env) -> Self {
        StandardConnectors {
            env,
            log: None,
            indexes: None,
            addresses: Addresses::default(),
            groups: None,
            output: None,
            stdin: Stdin::default(),
            fallback: None,
        }
    }

    /// Topics, and streams that are kept, are those of this log.
    #[must_use]
    pub fn with_log(mut self, log: Arc<Log>) -> Self {
        self.indexes = Some(Indexes::of(&self.env, &log));
        self.log = Some(log);
        self
    }

    /// `kafka` tables whose `properties.bootstrap.servers` names one of these (`host:port`, where this process listens)
    /// are topics of the log, read and written without a socket.
    #[must_use]
    pub fn with_addresses(mut self, addresses: impl IntoIterator<Item = String>) -> Self {
        self.addresses = Addresses::new(addresses);
        self
    }

    /// Where the consumer groups of the log have their places, for `'scan.startup.mode' = 'group-offsets'`.
    #[must_use]
    pub fn with_groups(mut self, groups: Arc<dyn GroupOffsets>) -> Self {
        self.groups = Some(groups);
        self
    }

    /// `print` tables write here, instead of to standard output or error.
    #[must_use]
    pub fn with_output(mut self, output: Output) -> Self {
        self.output = Some(output);
        self
    }

    /// `stdin` tables read this instead of standard input.
    #[must_use]
    pub fn with_input(mut self, input: Box<dyn Read + Send>) -> Self {
        self.stdin = Stdin::other(input);
        self
    }

    /// Tables whose connector begins with `$` are opened by these.
    #[must_use]
    pub fn with_fallback(mut self, fallback: Arc<dyn Connectors>) -> Self {
        self.fallback = Some(fallback);
        self
    }

    /// Deletes what the readers of a pipeline that is removed have kept in the log: the streams and the lists of files.
    /// `pipeline` is what [`Reader::pipeline`] was.
    pub fn forget(log: &Log, pipeline: &str) -> Result<()> {
        let kinds = [internal::INGEST, internal::FILES];
        let prefixes = kinds.map(|kind| format!("{kind}.{}.", internal::escaped(pipeline)));
        for topic in log.topics() {
            let node = prefixes.iter().find_map(|prefix| topic.name().strip_prefix(prefix.as_str()));
            if node.is_some_and(|node| node.parse::<usize>().is_ok()) {
                log.delete_topic(topic.name())?;
            }
        }
        Ok(())
    }

    fn output(&self, options: &Options) -> Output {
        match &self.output {
            Some(output) => output.clone(),
            None if options.flag("standard-error") => Arc::new(Mutex::new(std::io::stderr())),
            None => Arc::new(Mutex::new(std::io::stdout())),
        }
    }

    fn fallback(&self, connector: &str) -> Option<&Arc<dyn Connectors>> {
        self.fallback.as_ref().filter(|_| connector.starts_with('$') && connector != index::CONNECTOR)
    }

    /// The part of a table that a query needs, through an index that has it.
    fn part(&self, options: &Options, spec: &SourceSpec, scan: &Scan) -> Result<Option<Arc<dyn Source>>> {
        let (ReadOrder::Indexed(read), Some(indexes), Some(log)) = (&spec.order, &self.indexes, &self.log) else {
            return Ok(None);
        };
        index::open_part(indexes, read, spec, scan, |index, pipeline| {
            // The pipeline of an index begins with its table.
            let reader = Reader { pipeline, node: 0 };
            match options.connector() {
                "filesystem" if !options.flag("scan.follow") => {
                    filesystem::are_as_listed(&self.env, log, &reader, options, spec)
                }
                "topic" => topic::has_rows(log, options, index.tree().len()),
                _ => Ok(false),
            }
        })
    }

    fn indexes(&self) -> Result<&Arc<Indexes>> {
        self.indexes.as_ref().ok_or_else(|| {
            Error::input("E509", "an index is kept in topics, and there is no data directory to hold them")
                .with_hint("give one with --data DIR")
        })
    }
}

/// Checks a table that is to be read, as far as that is possible without opening anything: connector, format, options.
pub fn check_source(spec: &SourceSpec) -> Result<()> {
    if spec.options.connector() == index::CONNECTOR {
        return Ok(());
    }
    let options = Options::check(&spec.table, &spec.options, Use::Read)?;
    match options.connector() {
        "datagen" => Datagen::check(&options, spec),
        "nexmark" => NexmarkSource::check(&options).map(drop),
        "filesystem" if !options.flag("scan.follow") => options.required("path").map(drop),
        "kafka" | "upsert-kafka" => kafka::check_source(&options, spec),
        _ => ingest::check(&options),
    }
}

/// Checks a table that is to be written: connector, format, options, and whether it can hold what the query gives.
pub fn check_sink(spec: &SinkSpec) -> Result<()> {
    if spec.options.connector() == index::CONNECTOR {
        return Definition::of(spec).map(drop);
    }
    let options = Options::check(&spec.table, &spec.options, Use::Write)?;
    match options.connector() {
        "topic" => TopicSink::check(&options, spec),
        "kafka" | "upsert-kafka" => kafka::check_sink(&options, spec),
        _ if !spec.metadata.is_empty() => Err(unwritable_metadata(&options, spec)),
        "filesystem" => FileSink::check(&options, spec),
        _ => Ok(()),
    }
}

fn unwritable_metadata(options: &Options, spec: &SinkSpec) -> Error {
    let key = spec.metadata.first().map_or("", |(_, key)| key.as_str());
    let (table, connector) = (&spec.table, options.connector());
    let message = format!("table `{table}`: the `{connector}` connector writes no metadata '{key}'");
    Error::input("E505", message).with_hint("declare the column VIRTUAL: … METADATA VIRTUAL")
}

impl Connectors for StandardConnectors {
    fn source(&self, reader: &Reader<'_>, spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>> {
        if let Some(fallback) = self.fallback(spec.options.connector()) {
            return fallback.source(reader, spec, scan);
        }
        if spec.options.connector() == index::CONNECTOR {
            return index::open_source(self.indexes()?, spec, scan);
        }
        check_source(spec)?;
        let options = Options::check(&spec.table, &spec.options, Use::Read)?;
        if let Some(part) = self.part(&options, spec, &scan)? {
            return Ok(part);
        }
        let (env, log) = (&self.env, self.log.as_ref());
        Ok(match options.connector() {
            "datagen" => Arc::new(Datagen::open(env, &options, spec, scan)?),
            "nexmark" => Arc::new(NexmarkSource::open(env, &options, spec, scan)?),
            "topic" => Arc::new(TopicSource::open(log, None, reader, &options, spec, scan)?),
            "kafka" | "upsert-kafka" if self.addresses.are_named_by(&options)? => {
                Arc::new(TopicSource::open(log, self.groups.clone(), reader, &options, spec, scan)?)
            }
            "kafka" | "upsert-kafka" => kafka::open_source(reader, &options, spec, scan)?,
            "filesystem" if !options.flag("scan.follow") => {
                Arc::new(FileSource::open(env, log, reader, &options, spec, scan)?)
            }
            _ => ingest::open(env, log, reader, &options, spec, scan, &self.stdin)?,
        })
    }

    fn sink(&self, reader: &Reader<'_>, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        if let Some(fallback) = self.fallback(spec.options.connector()) {
            return fallback.sink(reader, spec);
        }
        if spec.options.connector() == index::CONNECTOR {
            return Ok(Arc::new(IndexSink::open(&self.env, self.indexes()?, reader, spec)?));
        }
        let options = Options::check(&spec.table, &spec.options, Use::Write)?;
        let (env, log) = (&self.env, self.log.as_ref());
        Ok(match options.connector() {
            "print" => Arc::new(Print::new(self.output(&options), &options, spec)),
            "topic" => Arc::new(TopicSink::open(env, log, reader, &options, spec)?),
            "kafka" | "upsert-kafka" if self.addresses.are_named_by(&options)? => {
                Arc::new(TopicSink::open(env, log, reader, &options, spec)?)
            }
            "kafka" | "upsert-kafka" => kafka::open_sink(reader, &options, spec)?,
            "filesystem" => Arc::new(FileSink::open(env, reader, &options, spec)?),
            _ => Arc::new(Blackhole),
        })
    }
}
