//! `run`, `sql` and `play`: statements in order, pipelines beside each other.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fleuve_base::{Error, Place, Result, limits};
use fleuve_flow::runtime::{Handle, Outcome as Ended, StartOptions, end, start};
use fleuve_plan::{Changelog, Control, Operator, Pipeline};
use fleuve_sql::session::{Outcome, Session};

use super::steer::Steering;
use crate::args::{EngineArguments, Format, PlayArguments, RunArguments, SqlArguments};
use crate::check;
use crate::estimates::Estimates;
use crate::indexes::ScriptIndexes;
use crate::launch::start_all;
use crate::live::Live;
use crate::output::{self, Presenter, Printer, io_error};
use crate::report::Failure;
use crate::result::{PRINTER_CLOSED, Rows, WithResult};
use crate::signals;
use crate::workspace::Workspace;

/// How often running pipelines are looked at.
const POLL: Duration = Duration::from_millis(50);

/// `fleuve run FILE`
pub fn file(arguments: &RunArguments, json: bool) -> Result<(), Failure> {
    let text = read_script(&arguments.file)?;
    let stem = arguments.file.file_stem().map_or("script".into(), |s| s.to_string_lossy().into_owned());
    let name = arguments.file.display().to_string();
    script(&Script { name: &name, stem: &stem, text: &text }, &arguments.engine, json)
}

/// `fleuve sql -c …`
pub fn text(arguments: &SqlArguments, json: bool) -> Result<(), Failure> {
    script(&Script { name: "command", stem: "sql", text: &arguments.command }, &arguments.engine, json)
}

/// Reads a script, bounded.
pub fn read_script(path: &Path) -> Result<String> {
    let shown = path.display();
    let length = std::fs::metadata(path).map_err(|e| missing(path, &e))?.len();
    if length > limits::SCRIPT_BYTES_MAX as u64 {
        return Err(Error::input("E003", format!("{shown} is larger than {} bytes", limits::SCRIPT_BYTES_MAX)));
    }
    let bytes = std::fs::read(path).map_err(|e| missing(path, &e))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::input("E003", format!("{shown} is not UTF-8 at byte {at}"))
    })
}

fn missing(path: &Path, error: &std::io::Error) -> Error {
    Error::io(format!("read the script {}", path.display()), error)
}

/// `fleuve play FILE`: an INSERT of the file into a topic, paced by its time column.
pub fn play(arguments: &PlayArguments, json: bool) -> Result<(), Failure> {
    let shown = arguments.file.display().to_string();
    let stem = arguments.file.file_name().map_or("recording".into(), |s| s.to_string_lossy().into_owned());
    let topic = arguments.topic.clone().unwrap_or_else(|| stem.split('.').next().unwrap_or(&stem).to_owned());
    let options = format!(
        "'scan.replay.time' = '{}', 'scan.replay.speed' = '{}'",
        arguments.time.replace('\'', "''"),
        arguments.speed
    );
    let recording = super::discover::create_table(&arguments.file, "recording", Some(&options))?;
    let sink = super::discover::create_topic(&arguments.file, &topic)?;
    let quoted = topic.replace('`', "``");
    let text = format!("{recording}\n{sink}\nINSERT INTO `{quoted}` SELECT * FROM recording;\n");
    let stem = format!("play-{topic}");
    let engine = EngineArguments {
        data: arguments.data.clone(),
        workers: None,
        format: None,
        set: vec![],
        dry_run: false,
        stats: false,
    };
    script(&Script { name: &shown, stem: &stem, text: &text }, &engine, json)
}

/// A script and what its pipelines are named after.
pub struct Script<'a> {
    /// For messages.
    pub name: &'a str,
    /// For pipelines.
    pub stem: &'a str,
    /// The text.
    pub text: &'a str,
}

/// Executes a script to its end.
pub fn script(script: &Script<'_>, engine: &EngineArguments, json: bool) -> Result<(), Failure> {
    let located = |error: Error| Failure::in_script(error, script.name, script.text);
    let mut session = Session::new();
    for setting in &engine.set {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| Error::input("E019", format!("--set takes KEY=VALUE, not `{setting}`")))?;
        session.set(key.trim(), value.trim())?;
    }
    if let Some(workers) = engine.workers {
        session.set("parallelism.default", &workers.to_string())?;
    }
    let statements = session.parse(script.text).map_err(located)?;
    let mut runner = Runner::new(engine, json, script.stem);
    for statement in &statements {
        let outcome = session.execute(statement).map_err(located)?;
        if let Outcome::Pipeline(pipeline) | Outcome::Query(pipeline) | Outcome::Index(pipeline) = &outcome {
            check::tables(pipeline, session.catalog(), script.text).map_err(located)?;
        }
        runner.take(outcome).map_err(located)?;
    }
    runner.finish().map_err(located)
}

/// What runs on behalf of a script.
struct Runner<'a> {
    engine: &'a EngineArguments,
    format: Format,
    stem: &'a str,
    workspace: Workspace,
    waiting: Vec<Pipeline>,
    begun: Vec<String>,
    running: Vec<Handle>,
    indexes: ScriptIndexes,
    /// The script does something beside keeping indexes: it ends when that has ended.
    has_work: bool,
    names: HashMap<String, usize>,
    /// What the next SELECT ONLINE is to begin with.
    controls: Vec<(Control, Place)>,
}

impl<'a> Runner<'a> {
    fn new(engine: &'a EngineArguments, json: bool, stem: &'a str) -> Self {
        let workspace = Workspace::ephemeral(engine.data.data.as_ref());
        let format = output::effective(engine.format, json);
        Runner {
            engine,
            format,
            stem,
            workspace,
            waiting: vec![],
            begun: vec![],
            running: vec![],
            indexes: ScriptIndexes::default(),
            has_work: false,
            names: HashMap::new(),
            controls: vec![],
        }
    }

    fn take(&mut self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Done(_) => Ok(()),
            Outcome::Control(control, place) => {
                self.controls.push((control, place));
                Ok(())
            }
            Outcome::Explain(text) => print_text(&text),
            Outcome::Rows(rows) => {
                let mut out = std::io::stdout().lock();
                let mut printer = output::printer(self.format, &rows.schema())?;
                printer.print(&rows, &mut out)?;
                printer.finish(&mut out)
            }
            Outcome::Pipeline(pipeline) | Outcome::Query(pipeline) | Outcome::Index(pipeline)
                if self.engine.dry_run =>
            {
                let text = fleuve_sql::explain::explain(&pipeline, &fleuve_sql::explain::Options::default());
                print_text(&text)
            }
            Outcome::Pipeline(pipeline) => {
                let pipeline = self.named(pipeline);
                self.waiting.push(pipeline);
                Ok(())
            }
            Outcome::Index(pipeline) => {
                self.indexes.add(pipeline);
                Ok(())
            }
            Outcome::DropIndex(_) if self.engine.dry_run => Ok(()),
            Outcome::DropIndex(index) => {
                let log = self.workspace.require_log()?.clone();
                self.has_work = true;
                self.indexes.drop(&index, &self.workspace.env, &log, self.workspace.directory())
            }
            Outcome::Query(pipeline) => {
                self.start_waiting()?;
                self.has_work = true;
                self.query(pipeline)
            }
        }
    }

    fn named(&mut self, pipeline: Pipeline) -> Pipeline {
        unique_name(pipeline, self.stem, &mut self.names)
    }

    /// Starts what the statements so far ask for: only now, since a mistake further down is found before anything runs.
    fn start_waiting(&mut self) -> Result<()> {
        if self.waiting.is_empty() && !self.indexes.is_waiting() {
            return Ok(());
        }
        let log = self.workspace.require_log()?.clone();
        let durable = Some((log, self.workspace.directory().to_owned()));
        let options =
            StartOptions { env: self.workspace.env.clone(), durable, connectors: self.workspace.connectors() };
        self.has_work |= !self.waiting.is_empty();
        self.begun.extend(self.waiting.iter().map(|pipeline| pipeline.name.clone()));
        self.running.extend(start_all(std::mem::take(&mut self.waiting), &options)?);
        if self.indexes.is_waiting() { self.indexes.build(&options) } else { Ok(()) }
    }

    /// A query runs in memory; topics are there if the data directory is.
    fn query(&mut self, pipeline: Pipeline) -> Result<()> {
        if self.engine.data.data.is_some() || self.workspace.directory().is_dir() || reads_topic(&pipeline) {
            self.workspace.require_log()?;
        }
        let mut pipeline = self.named(pipeline);
        pipeline.settings.snapshot_interval_ms = u64::from(u32::MAX);
        let mut screen = Screen::new(&pipeline, self.format)?;
        let steering = Steering::new(&pipeline, std::mem::take(&mut self.controls));
        let (connectors, rows) = WithResult::new(self.workspace.connectors());
        let connectors = Arc::new(connectors);
        let options = StartOptions { env: self.workspace.env.clone(), durable: None, connectors };
        let handle = start(pipeline, &options)?;
        drop(options);
        let printed = steering.begin(&handle).and_then(|()| print_query(&handle, &rows, &mut screen, &steering));
        drop(rows);
        finish_query(handle, printed, self.engine.stats)
    }

    fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.running.iter().chain(self.indexes.handles())
    }

    /// That every wish was for a query.
    fn check_controls(&self) -> Result<()> {
        let Some((_, place)) = self.controls.first() else { return Ok(()) };
        Err(Error::input("E001", "no SELECT ONLINE follows whose groups this could steer")
            .with_hint("SET RATE OF and STOP GROUP stand before the SELECT ONLINE … GROUP BY that they are for")
            .at(place.clone()))
    }

    /// Waits for everything that still runs.
    fn finish(mut self) -> Result<()> {
        self.check_controls()?;
        self.start_waiting()?;
        let mut live = Live::new();
        let mut stopping = false;
        while !self.handles().all(Handle::ended) {
            if !stopping && (signals::stop_requested() || self.handles().any(failed)) {
                stopping = true;
                self.handles().for_each(|handle| (handle.stopper())());
            }
            // Indexes alone keep no script running that has done something with them.
            if !stopping && self.has_work && self.running.iter().all(Handle::ended) && self.indexes.caught_up() {
                stopping = true;
                self.indexes.stop();
            }
            live.draw(&self.handles().collect::<Vec<_>>());
            std::thread::sleep(POLL);
        }
        live.clear();
        let stats = self.engine.stats;
        let (mut result, mut finished) = (self.indexes.finish(|handle| tell_end(handle, stats)), true);
        for handle in self.running.drain(..) {
            let (stats, name) = (handle.stats().clone(), handle.pipeline().name.clone());
            let ended = handle.wait();
            finished &= matches!(ended, Ok(Ended::Finished));
            result = result.and(ended.map(|_| ()));
            if self.engine.stats {
                print_stats(&name, &stats, None);
            }
        }
        let (env, directory) = (self.workspace.env.clone(), self.workspace.directory().to_owned());
        result.and(self.workspace.close())?;
        if finished { end(&self.begun, &env, &directory) } else { Ok(()) }
    }
}

/// Prints the counters of a pipeline that has ended, if they are wanted.
fn tell_end(handle: &Handle, stats: bool) {
    if stats {
        print_stats(&handle.pipeline().name, handle.stats(), None);
    }
}

/// The pipeline under its own name, or one after the script: `job`, `job-2`, ….
pub fn unique_name(mut pipeline: Pipeline, stem: &str, names: &mut HashMap<String, usize>) -> Pipeline {
    if pipeline.name.is_empty() {
        pipeline.name = stem.to_owned();
    }
    let count = names.entry(pipeline.name.clone()).or_insert(0);
    *count += 1;
    if *count > 1 {
        pipeline.name = format!("{}-{count}", pipeline.name);
    }
    pipeline
}

fn failed(handle: &Handle) -> bool {
    handle.failed()
}

fn reads_topic(pipeline: &Pipeline) -> bool {
    pipeline.nodes.iter().any(|node| match &node.operator {
        Operator::Source(source) => matches!(source.options.connector(), "topic" | fleuve_connect::index::CONNECTOR),
        _ => false,
    })
}

/// Where the rows of a query go.
struct Screen {
    /// Each epoch's estimates stand for themselves: they replace all before them, and their groups tell which is which.
    online: bool,
    view: View,
}

enum View {
    /// One after the other.
    Rows(Presenter, Box<dyn Printer>),
    /// One picture, which changes.
    Estimates(Estimates),
}

impl Screen {
    fn new(pipeline: &Pipeline, format: Format) -> Result<Self> {
        let sink = pipeline.nodes.iter().find_map(|node| match &node.operator {
            Operator::Sink(sink) => Some((sink, &pipeline.nodes[node.inputs[0]])),
            _ => None,
        });
        let (sink, input) = sink.ok_or_else(|| Error::internal("a query has a sink"))?;
        let online = pipeline.nodes.iter().any(|node| matches!(node.operator, Operator::Online(_)));
        if online && matches!(format, Format::Table) && std::io::stdout().is_terminal() {
            return Ok(Screen { online, view: View::Estimates(Estimates::new(&sink.schema)) });
        }
        let changelog = input.changelog == Changelog::Retract && !online;
        let presenter = Presenter::new(&sink.schema, changelog, sink.upsert_key.clone());
        let printer = output::query_printer(format, presenter.schema())?;
        Ok(Screen { online, view: View::Rows(presenter, printer) })
    }

    /// Shows the rows of an epoch.
    fn take(&mut self, batches: &[fleuve_flow::Batch], out: &mut dyn Write) -> Result<()> {
        let batches = if self.online { latest(batches) } else { batches };
        match &mut self.view {
            View::Rows(presenter, printer) => {
                for rows in presenter.present(batches)? {
                    printer.print(&rows, out)?;
                }
            }
            View::Estimates(estimates) => batches.iter().try_for_each(|rows| estimates.take(&rows.columns, out))?,
        }
        out.flush().map_err(|e| io_error(&e))
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<()> {
        if let View::Rows(_, printer) = &mut self.view {
            printer.finish(out)?;
        }
        out.flush().map_err(|e| io_error(&e))
    }
}

/// The estimates of an epoch, without those that they replace; none if the epoch has none.
fn latest(batches: &[fleuve_flow::Batch]) -> &[fleuve_flow::Batch] {
    let come = batches.iter().rfind(|batch| batch.num_rows() > 0 && batch.weight(0) > 0);
    come.map(std::slice::from_ref).unwrap_or_default()
}

/// Shows rows until the query ends or is stopped.
fn print_query(handle: &Handle, rows: &Receiver<Rows>, screen: &mut Screen, steering: &Steering) -> Result<()> {
    let mut live = Live::new();
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let mut stopped = false;
    let result = loop {
        if signals::stop_requested() && !stopped {
            stopped = true;
            (handle.stopper())();
        }
        steering.follow(handle, &live);
        match rows.recv_timeout(POLL) {
            Ok((_, batches)) => {
                let printed = live.suspend(|| screen.take(&batches, &mut out));
                if printed.is_err() {
                    break printed;
                }
            }
            Err(RecvTimeoutError::Timeout) if !handle.ended() => {}
            Err(_) => break Ok(()),
        }
        live.draw(&[handle]);
    };
    live.clear();
    result.and_then(|()| screen.finish(&mut out))
}

/// Ends a query. That the reader of the output has gone is how `head` ends one.
fn finish_query(handle: Handle, printed: Result<()>, stats: bool) -> Result<()> {
    let (counters, name) = (handle.stats().clone(), handle.pipeline().name.clone());
    let by_rejection = handle.pipeline().nodes.iter().any(|node| match &node.operator {
        Operator::Source(source) => source.options.get("method") == Some("rejection"),
        _ => false,
    });
    if printed.is_err() {
        (handle.stopper())();
    }
    let draws = draws(&handle);
    let ended = handle.wait().map(|_| ());
    if let Some((accepted, rejected)) = draws.filter(|_| by_rejection) {
        eprintln!("{accepted} rows drawn, {rejected} draws rejected");
    }
    if stats {
        print_stats(&name, &counters, draws);
    }
    match printed.and(ended) {
        Err(error) if error.code() == PRINTER_CLOSED => Ok(()),
        result => result,
    }
}

/// Draws of all sources that draw at random: how many gave a row, and how many were rejected.
fn draws(handle: &Handle) -> Option<(u64, u64)> {
    let draws = handle.sources().iter().filter_map(|(_, source)| source.draws());
    draws.reduce(|sum, draws| (sum.0 + draws.0, sum.1 + draws.1))
}

fn print_text(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| io_error(&e))
}

/// Counters of a finished pipeline, as one line of JSON on standard error.
fn print_stats(name: &str, stats: &fleuve_flow::runtime::Stats, draws: Option<(u64, u64)>) {
    let total = stats.total();
    let ms = |quantile: f64| stats.latency_quantile(quantile).map(|d| d.as_secs_f64() * 1e3);
    let mut line = serde_json::json!({
        "pipeline": name,
        "rows_in": stats.rows_in.load(Ordering::Relaxed),
        "rows_out": stats.rows_out.load(Ordering::Relaxed),
        "bad_records": stats.bad_records.load(Ordering::Relaxed),
        "late_rows": total.late_rows,
        "epochs": stats.epoch.load(Ordering::Relaxed),
        "state_bytes": total.state_bytes,
        "latency_ms_p50": ms(0.5),
        "latency_ms_p99": ms(0.99),
        "seconds": stats.elapsed().as_secs_f64(),
    });
    if let Some((accepted, rejected)) = draws {
        line["draws"] = serde_json::json!({"accepted": accepted, "rejected": rejected});
    }
    eprintln!("{line}");
}
