//! What the tests of several modules need.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use fleuve_base::{Clock, Env, Fs, MemoryFs, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::source::{Chunk, Claim, Decoded, Range, Scan, ScanColumn, ScanField, Source};
use fleuve_journal::{Log, LogOptions};
use fleuve_plan::{SourceSpec, TableOptions};

pub(crate) const READER: Reader<'static> = Reader { pipeline: "test.0001", node: 3 };

pub(crate) fn options(pairs: &[(&str, &str)]) -> TableOptions {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    TableOptions(pairs.collect::<BTreeMap<_, _>>())
}

pub(crate) fn schema(columns: &[(&str, DataType)]) -> Arc<Schema> {
    Arc::new(Schema::new(columns.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>()))
}

pub(crate) fn source_spec(pairs: &[(&str, &str)], physical: &Arc<Schema>) -> SourceSpec {
    SourceSpec {
        table: "t".to_owned(),
        options: options(pairs),
        physical: physical.clone(),
        metadata: vec![],
        metadata_schema: Arc::new(Schema::empty()),
        computed: vec![],
        computed_schema: Arc::new(Schema::empty()),
        watermark: None,
        predicate: None,
        output: vec![],
        primary_key: vec![],
        order: fleuve_plan::ReadOrder::Stored,
    }
}

/// All physical columns, then these metadata columns.
pub(crate) fn scan(physical: &Schema, metadata: &[(&str, DataType)]) -> Scan {
    let data = physical.fields().iter().map(|field| {
        let column = ScanField::Data(vec![field.name().clone()]);
        (field.as_ref().clone(), column)
    });
    let metadata = metadata
        .iter()
        .map(|(key, data_type)| (Field::new(*key, data_type.clone(), true), ScanField::Metadata((*key).to_owned())));
    let (fields, places): (Vec<_>, Vec<_>) = data.chain(metadata).unzip();
    let columns = fields.iter().zip(places).map(|(field, place)| ScanColumn {
        field: place,
        data_type: field.data_type().clone(),
        nullable: field.is_nullable(),
    });
    Scan { columns: columns.collect(), schema: Arc::new(Schema::new(fields)), prefilter: vec![], max_of: None }
}

/// Rows as texts, their values separated by `|`.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        rows.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")),
        );
    }
    rows
}

pub(crate) fn decode(source: &dyn Source, chunk: &Chunk) -> Result<Decoded> {
    let mut decoded = Decoded::default();
    source.decoder()?.decode(chunk, &mut decoded)?;
    Ok(decoded)
}

/// Claims until the source ends, or until there is nothing for now; returns the rows and the ranges.
pub(crate) fn drain(source: &dyn Source, bytes_max: usize) -> Result<(Vec<String>, Vec<Range>)> {
    let (mut all, mut ranges) = (vec![], vec![]);
    while let Claim::Chunk(chunk) = source.claim(bytes_max)? {
        all.extend(rows(&decode(source, &chunk)?.batches));
        ranges.push(chunk.range);
    }
    Ok((all, ranges))
}

/// Reads ranges again.
pub(crate) fn reread(source: &dyn Source, ranges: &[Range]) -> Result<Vec<String>> {
    let mut all = vec![];
    for range in ranges {
        let chunk = source.reclaim(*range)?;
        assert_eq!(chunk.range, *range);
        all.extend(rows(&decode(source, &chunk)?.batches));
    }
    Ok(all)
}

/// A clock that stands until it is moved.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(TestClock(AtomicI64::new(0)))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst) as u64)
    }
}

/// The real world, with files in memory.
pub(crate) fn memory_env(fs: &MemoryFs) -> Env {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    Env { fs, ..Env::system() }
}

pub(crate) fn memory_log() -> Arc<Log> {
    Log::open(memory_env(&MemoryFs::new()), Path::new("/data"), LogOptions::default()).unwrap()
}
