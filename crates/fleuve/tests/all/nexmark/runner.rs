//! Runs one query on one data set, with the restarts that a case asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleuve_base::Env;
use fleuve_connect::StandardConnectors;
use fleuve_flow::runtime::{Outcome, StartOptions, start};
use fleuve_journal::{Log, LogOptions};
use fleuve_plan::{Operator, Pipeline};
use fleuve_sql::session::{Outcome as Executed, Session};

use super::collect::{Answer, Collecting};
use super::data::{self, DataSet};

/// How a query is run.
pub struct Case {
    /// The data set.
    pub data: fn() -> &'static DataSet,
    /// Workers of each run; between two runs the pipeline is stopped in the middle.
    pub workers: Vec<usize>,
    /// A data directory that holds the events as the topic `nexmark`; without one they are read from the file.
    pub topics: Option<PathBuf>,
}

impl Case {
    pub fn sparse() -> Self {
        Case { data: data::sparse, workers: vec![1], topics: None }
    }

    pub fn large() -> Self {
        Case { data: data::large, workers: vec![1], topics: None }
    }
}

/// Where the broker is said to listen whose log the topics are in.
const ADDRESS: &str = "127.0.0.1:9092";

/// The data set's table over a topic instead of a file.
const TOPIC_TABLE: &str = "'connector' = 'kafka',
  'topic' = 'nexmark',
  'properties.bootstrap.servers' = '127.0.0.1:9092',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'format' = 'json'";

fn plan(query: &str, case: &Case) -> Pipeline {
    let set = (case.data)();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/nexmark");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("the query's text");
    let text = format!("{}\n{}", read("tables.sql"), read(&format!("{query}.sql")));
    let of_file = "'connector' = 'filesystem',\n  'path' = '${data}',\n  'format' = 'json'";
    assert!(text.contains(of_file), "the table of the events is over a file");
    let text = if case.topics.is_some() { text.replace(of_file, TOPIC_TABLE) } else { text };
    let text = text
        .replace("${data}", &set.file.display().to_string())
        .replace("${side_input}", &set.side.display().to_string())
        .replace("${output}", "/nowhere");
    let mut session = Session::new();
    let mut pipeline = None;
    for statement in session.parse(&text).expect("parses") {
        if let Executed::Pipeline(found) = session.execute(&statement).expect("plans") {
            pipeline = Some(found);
        }
    }
    let mut pipeline = pipeline.expect("an INSERT");
    // A data directory may have known the query before.
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    pipeline.name = format!("{query}-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    // Small epochs and frequent snapshots: many of each within the data.
    pipeline.settings.epoch_bytes = 4 << 20;
    pipeline.settings.snapshot_interval_ms = 50;
    for node in &mut pipeline.nodes {
        if let Operator::Sink(sink) = &mut node.operator {
            // The answer takes changes; what the table's own connector would refuse is not asked here.
            sink.options.0.insert("connector".to_owned(), "collect".to_owned());
        }
    }
    pipeline
}

/// Runs a query and compares its answer; the error says what differs.
pub fn run(query: &str, case: &Case) -> Result<(), String> {
    let set = (case.data)();
    let own = tempfile::tempdir().expect("a temporary directory");
    let directory = case.topics.as_deref().unwrap_or(own.path());
    let answer = Answer::default();
    let plan = plan(query, case);
    for (number, workers) in case.workers.iter().enumerate() {
        let env = Env::system();
        let log = Log::open(env.clone(), directory, LogOptions::default()).expect("opens");
        let inner = StandardConnectors::new(env.clone()).with_log(log.clone()).with_addresses([ADDRESS.to_owned()]);
        let inner = Arc::new(inner);
        let options = StartOptions {
            env,
            durable: Some((log.clone(), directory.to_owned())),
            connectors: Arc::new(Collecting { inner, answer: answer.clone() }),
        };
        let mut pipeline = plan.clone();
        pipeline.settings.workers = *workers;
        let handle = start(pipeline, &options).map_err(|e| format!("{query}: {e}"))?;
        let last = number + 1 == case.workers.len();
        if !last {
            // Stop once some more of the input has been read.
            let goal = 30_000 * (number as u64 + 1) / case.workers.len() as u64;
            while !handle.ended() && handle.stats().rows_in.load(Ordering::Relaxed) < goal {
                std::thread::sleep(Duration::from_millis(1));
            }
            (handle.stopper())();
        }
        let outcome = handle.wait().map_err(|e| format!("{query}: {e}"))?;
        drop(options);
        log.close().expect("closes");
        if last && outcome != Outcome::Finished {
            return Err(format!("{query}: ended as {outcome:?}"));
        }
        if outcome == Outcome::Finished {
            break;
        }
    }
    compare(query, set, &answer)
}

fn compare(query: &str, set: &DataSet, answer: &Answer) -> Result<(), String> {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden.json")).expect("valid JSON");
    let expected = &golden[set.golden]["queries"][query];
    let (rows, sha256) = if query == "q12" { answer.totals() } else { answer.digest() };
    if expected["rows"] == rows && expected["sha256"] == sha256.as_str() {
        return Ok(());
    }
    Err(format!("{query}: {rows} rows, {sha256}; expected {} rows, {}", expected["rows"], expected["sha256"]))
}
