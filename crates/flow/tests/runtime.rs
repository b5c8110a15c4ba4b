//! The runtime end to end, with a source of numbers and a sink that remembers: epochs, restarts, stops, errors.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use fleuve_base::{Env, Error, Result};
use fleuve_flow::Batch;
use fleuve_flow::connectors::{Connectors, Reader};
use fleuve_flow::runtime::{Handle, Outcome, StartOptions, begin, start};
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, Source, Waker};
use fleuve_journal::{Log, LogOptions};
use fleuve_plan::{
    AggregateCall, BinaryOp, Changelog, Expr, Node, Operator, Pipeline, Settings, SinkSpec, SourceSpec, TableOptions,
};

/// Numbers from 0 up to a limit, in chunks of 100, a chunk a millisecond at most.
struct Numbers {
    limit: u64,
    next: AtomicU64,
    scan: Scan,
    fail_at: Option<u64>,
    /// Never finished: there may always be more.
    endless: bool,
    claims: Arc<AtomicU64>,
}

impl Source for Numbers {
    fn bounded(&self) -> bool {
        !self.endless
    }

    fn splits(&self) -> Vec<String> {
        vec!["numbers".to_owned()]
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        let start = self.next.fetch_add(100, Ordering::Relaxed);
        if start >= self.limit {
            return Ok(if self.endless { Claim::Pending } else { Claim::Finished });
        }
        std::thread::sleep(Duration::from_micros(200));
        let range = Range { split: 0, item: 0, start, end: (start + 100).min(self.limit) };
        Ok(Claim::Chunk(Chunk { range, bytes: None }))
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        Ok(Chunk { range, bytes: None })
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        self.next.store(last.iter().map(|range| range.end).max().unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(NumbersDecoder { scan: self.scan.clone(), fail_at: self.fail_at }))
    }

    fn subscribe(&self, _waker: Waker) {}
}

struct NumbersDecoder {
    scan: Scan,
    fail_at: Option<u64>,
}

impl Decoder for NumbersDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        if self.fail_at.is_some_and(|at| (chunk.range.start..chunk.range.end).contains(&at)) {
            return Err(Error::input("E410", "a number that cannot be read"));
        }
        let numbers: Int64Array = (chunk.range.start..chunk.range.end).map(|n| n as i64).collect();
        let columns = self.scan.columns.iter().map(|_| Arc::new(numbers.clone()) as _).collect();
        decoded.batches.push(RecordBatch::try_new(self.scan.schema.clone(), columns).expect("numbers fit"));
        decoded.rows = chunk.range.end - chunk.range.start;
        Ok(())
    }
}

/// Rows with weights, and the last epoch.
type WrittenRows = (Vec<(Vec<i64>, i64)>, Option<u64>);

/// What was written, by lane.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<BTreeMap<usize, WrittenRows>>>);

impl Written {
    /// The net rows of all lanes, sorted.
    fn net(&self) -> Vec<(Vec<i64>, i64)> {
        let mut net: BTreeMap<Vec<i64>, i64> = BTreeMap::new();
        for (rows, _) in self.0.lock().expect("no panic").values() {
            rows.iter().for_each(|(row, weight)| *net.entry(row.clone()).or_insert(0) += weight);
        }
        net.into_iter().filter(|(_, weight)| *weight != 0).collect()
    }
}

struct WrittenSink {
    written: Written,
    lanes: usize,
    commit_takes: Duration,
    commit_fails: bool,
    recovered: Arc<Mutex<Vec<String>>>,
}

impl Sink for WrittenSink {
    fn lanes(&self) -> Lanes {
        Lanes::Fixed { count: self.lanes, by: vec![0] }
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn recover(&self, committed: &[String]) -> Result<()> {
        self.recovered.lock().expect("no panic").extend_from_slice(committed);
        Ok(())
    }

    fn open(&self, lane: usize) -> Result<Box<dyn Lane>> {
        Ok(Box::new(WrittenLane { written: self.written.clone(), lane }))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        std::thread::sleep(self.commit_takes);
        match self.commit_fails {
            true => Err(Error::internal("the output cannot be shown")),
            false => Ok(()),
        }
    }
}

struct WrittenLane {
    written: Written,
    lane: usize,
}

impl Lane for WrittenLane {
    fn last_epoch(&self) -> Option<u64> {
        self.written.0.lock().expect("no panic").get(&self.lane).and_then(|(_, last)| *last)
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let mut written = self.written.0.lock().expect("no panic");
        let (rows, last) = written.entry(self.lane).or_default();
        assert!(last.is_none_or(|last| last < epoch), "epoch {epoch} twice in lane {}", self.lane);
        *last = Some(epoch);
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cells = batch.columns.columns().iter().map(|c| c.as_primitive::<Int64Type>().value(row)).collect();
                rows.push((cells, batch.weight(row)));
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, epoch: u64) -> Result<String> {
        Ok(format!("lane {} up to {epoch}", self.lane))
    }
}

#[derive(Default)]
struct World {
    limit: u64,
    endless: bool,
    claims: Arc<AtomicU64>,
    fail_at: Option<u64>,
    written: Written,
    commit_takes: Duration,
    commit_fails: bool,
    recovered: Arc<Mutex<Vec<String>>>,
}

impl Connectors for World {
    fn source(&self, _reader: &Reader<'_>, _spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>> {
        let (endless, claims) = (self.endless, self.claims.clone());
        Ok(Arc::new(Numbers {
            limit: self.limit,
            next: AtomicU64::new(0),
            scan,
            fail_at: self.fail_at,
            endless,
            claims,
        }))
    }

    fn sink(&self, _reader: &Reader<'_>, _spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(WrittenSink {
            written: self.written.clone(),
            lanes: 3,
            commit_takes: self.commit_takes,
            commit_fails: self.commit_fails,
            recovered: self.recovered.clone(),
        }))
    }
}

fn schema(names: &[&str]) -> Arc<Schema> {
    Arc::new(Schema::new(names.iter().map(|n| Field::new(*n, DataType::Int64, true)).collect::<Vec<_>>()))
}

/// Even numbers; with `count`, how many there are for each remainder by 10.
fn pipeline(workers: usize, count: bool) -> Pipeline {
    let empty = Arc::new(Schema::empty());
    let even =
        Expr::binary(BinaryOp::Eq, Expr::binary(BinaryOp::Modulo, Expr::Column(0), Expr::int64(2)), Expr::int64(0));
    let source = SourceSpec {
        table: "numbers".to_owned(),
        options: TableOptions::default(),
        physical: schema(&["n"]),
        metadata: vec![],
        metadata_schema: empty.clone(),
        computed: vec![],
        computed_schema: empty,
        watermark: None,
        predicate: Some(even),
        output: vec![Expr::Column(0)],
        primary_key: vec![],
        order: fleuve_plan::ReadOrder::Stored,
    };
    let node = |operator, inputs: &[usize], names: &[&str], changelog| Node {
        operator,
        inputs: inputs.to_vec(),
        schema: schema(names),
        changelog,
        upsert_key: None,
    };
    let mut nodes = vec![node(Operator::Source(Box::new(source)), &[], &["n"], Changelog::AppendOnly)];
    let mut columns = vec!["n"];
    if count {
        let remainder = Expr::binary(BinaryOp::Modulo, Expr::Column(0), Expr::int64(10));
        let calc = Operator::Calc { predicate: None, projection: vec![remainder] };
        nodes.push(node(calc, &[0], &["r"], Changelog::AppendOnly));
        let call = AggregateCall {
            function: "count".to_owned(),
            args: vec![],
            parameters: vec![],
            distinct: false,
            filter: None,
            data_type: DataType::Int64,
        };
        let aggregate = Operator::Aggregate { keys: vec![0], aggregates: vec![call] };
        columns = vec!["r", "count"];
        nodes.push(node(aggregate, &[1], &columns, Changelog::Retract));
    }
    let last = nodes.len() - 1;
    let sink = SinkSpec {
        table: "written".to_owned(),
        options: TableOptions::default(),
        schema: schema(&columns),
        primary_key: vec![],
        partition_by: vec![],
        metadata: vec![],
        changelog: count,
        upsert_key: None,
    };
    nodes.push(node(Operator::Sink(Box::new(sink)), &[last], &columns, nodes[last].changelog));
    let settings = Settings { workers, snapshot_interval_ms: 5, ..Settings::default() };
    let mut pipeline = Pipeline { name: "test".to_owned(), fingerprint: 0, settings, nodes };
    pipeline.fingerprint = pipeline.compute_fingerprint();
    pipeline
}

fn launch(plan: Pipeline, world: World, log: Option<&Arc<Log>>, dir: &Path) -> Result<Handle> {
    let durable = log.map(|log| (log.clone(), dir.to_owned()));
    start(plan, &StartOptions { env: Env::system(), durable, connectors: Arc::new(world) })
}

/// A short snapshot interval is not needed where only the last snapshot counts.
fn one_snapshot(mut plan: Pipeline) -> Pipeline {
    plan.settings.snapshot_interval_ms = 60_000;
    plan
}

fn open(dir: &Path) -> Arc<Log> {
    Log::open(Env::system(), dir, LogOptions::default()).expect("opens")
}

fn evens(limit: i64) -> Vec<(Vec<i64>, i64)> {
    (0..limit).step_by(2).map(|n| (vec![n], 1)).collect()
}

#[test]
fn every_row_arrives_once_whatever_the_number_of_workers() {
    let dir = tempfile::tempdir().expect("a directory");
    for workers in [1, 2, 4] {
        let written = Written::default();
        let world = World { limit: 10_000, written: written.clone(), ..World::default() };
        let handle = launch(pipeline(workers, false), world, None, dir.path()).expect("starts");
        assert_eq!(handle.wait().expect("ends"), Outcome::Finished);
        assert_eq!(written.net(), evens(10_000));
    }
}

#[test]
fn a_stopped_pipeline_goes_on_with_other_workers() {
    for count in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let written = Written::default();
        let mut outcomes = vec![];
        for workers in [1, 3, 2, 4, 1] {
            let log = open(dir.path());
            let world = World { limit: 50_000, written: written.clone(), ..World::default() };
            let handle = launch(pipeline(workers, count), world, Some(&log), dir.path()).expect("starts");
            if workers != 1 || outcomes.is_empty() {
                std::thread::sleep(Duration::from_millis(12));
                (handle.stopper())();
            }
            outcomes.push(handle.wait().expect("ends"));
            log.close().expect("closes");
        }
        assert_eq!(outcomes.last(), Some(&Outcome::Finished));
        match count {
            false => assert_eq!(written.net(), evens(50_000)),
            true => assert_eq!(written.net(), (0..5).map(|r| (vec![2 * r, 5_000], 1)).collect::<Vec<_>>()),
        }
    }
}

#[test]
fn an_error_of_a_source_ends_the_pipeline_with_that_error() {
    let dir = tempfile::tempdir().expect("a directory");
    for workers in [1, 2] {
        let world = World { limit: 10_000, fail_at: Some(5_000), ..World::default() };
        let handle = launch(pipeline(workers, false), world, None, dir.path()).expect("starts");
        assert_eq!(handle.wait().expect_err("fails").code(), "E410");
    }
}

#[test]
fn an_edited_pipeline_is_refused_until_the_old_one_has_finished() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let world = |limit| World { limit, ..World::default() };
    let handle = launch(pipeline(1, false), world(1_000_000), Some(&log), dir.path()).expect("starts");
    (handle.stopper())();
    assert_eq!(handle.wait().expect("ends"), Outcome::Stopped);
    let refused = launch(pipeline(1, true), world(1_000), Some(&log), dir.path()).err().expect("is refused");
    assert_eq!(refused.code(), "E401");
    let handle = launch(pipeline(1, false), world(1_000), Some(&log), dir.path()).expect("starts");
    assert_eq!(handle.wait().expect("ends"), Outcome::Finished);
    let handle = launch(pipeline(1, true), world(1_000), Some(&log), dir.path()).expect("starts");
    assert_eq!(handle.wait().expect("ends"), Outcome::Finished);
}

#[test]
fn no_epochs_without_rows_while_a_snapshot_takes_long() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let written = Written::default();
    let commit_takes = Duration::from_millis(150);
    let world = World { limit: 100_000, written: written.clone(), commit_takes, ..World::default() };
    let handle = launch(pipeline(1, false), world, Some(&log), dir.path()).expect("starts");
    let stats = handle.stats().clone();
    assert_eq!(handle.wait().expect("ends"), Outcome::Finished);
    assert_eq!(written.net(), evens(100_000));
    // A chunk of 100 rows makes at most one epoch, and there is one to end with.
    let epochs = stats.epoch.load(Ordering::Relaxed);
    assert!(epochs <= 1_000 + 2, "{epochs} epochs for 1,000 chunks");
}

#[test]
fn what_a_finished_run_committed_is_shown_after_a_crash_before_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let plan = one_snapshot(pipeline(1, false));
    let world = World { limit: 1_000, commit_fails: true, ..World::default() };
    let handle = launch(plan.clone(), world, Some(&log), dir.path()).expect("starts");
    handle.wait().expect_err("the last snapshot is valid, but its output is not shown");
    let recovered = Arc::new(Mutex::new(vec![]));
    let world = World { limit: 1_000, recovered: recovered.clone(), ..World::default() };
    let durable = Some((log, dir.path().to_owned()));
    let options = StartOptions { env: Env::system(), durable, connectors: Arc::new(world) };
    let unfinished = begin(vec![plan], &options).expect("begins");
    assert!(unfinished.is_empty(), "the pipeline has finished");
    assert_eq!(recovered.lock().expect("no panic").len(), 3, "one acknowledgement for each lane");
}

#[test]
fn idle_workers_sleep() {
    let dir = tempfile::tempdir().expect("a directory");
    for workers in [1, 2] {
        let (written, claims) = (Written::default(), Arc::new(AtomicU64::new(0)));
        let world =
            World { limit: 1_000, endless: true, claims: claims.clone(), written: written.clone(), ..World::default() };
        let handle = launch(pipeline(workers, false), world, None, dir.path()).expect("starts");
        while written.net().len() < 500 {
            std::thread::yield_now();
        }
        let before = claims.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(300));
        let asked = claims.load(Ordering::Relaxed) - before;
        (handle.stopper())();
        assert_eq!(handle.wait().expect("ends"), Outcome::Stopped);
        // Awake, a worker would ask a hundred times in a millisecond.
        assert!(asked < 3_000, "{workers} workers asked {asked} times in 300 ms");
    }
}
