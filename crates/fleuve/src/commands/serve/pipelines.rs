//! Pipelines that run beside the broker, over the same open log.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fleuve_base::{Env, Error, Result};
use fleuve_broker::Broker;
use fleuve_connect::index::Indexes;
use fleuve_connect::{GroupOffsets, StandardConnectors};
use fleuve_flow::runtime::{Handle, Outcome as Ended, StartOptions, end};
use fleuve_plan::Pipeline;
use fleuve_sql::session::{Outcome, Session};

use crate::check;
use crate::commands::run::{read_script, unique_name};
use crate::indexes;
use crate::launch::start_all;
use crate::report::Failure;

/// The consumer groups of the broker in this process.
struct Groups(Arc<Broker>);

impl GroupOffsets for Groups {
    fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<u64>> {
        Ok(self.0.committed_offset(group, topic, partition))
    }

    fn commit(&self, group: &str, offsets: Vec<(String, u32, u64)>) {
        self.0.commit_offsets(group, offsets);
    }
}

/// A script whose statements have been understood.
pub(super) struct Script {
    path: PathBuf,
    pipelines: Vec<Pipeline>,
}

impl Script {
    /// Reads and plans a script. A mistake in it is told before anything starts.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_script(path)?;
        let located = |error: Error| Failure::in_script(error, &path.display().to_string(), &text);
        let mut session = Session::new();
        let mut pipelines = vec![];
        for statement in &session.parse(&text).map_err(located)? {
            match session.execute(statement).map_err(located)? {
                Outcome::Pipeline(pipeline) | Outcome::Index(pipeline) => {
                    check::tables(&pipeline, session.catalog(), &text).map_err(located)?;
                    pipelines.push(pipeline);
                }
                Outcome::Done(_) => {}
                Outcome::DropIndex(index) => {
                    let error = Error::unsupported("E203", "DROP INDEX is not for a script of `serve`")
                        .with_hint("it would be dropped at every start: run it once, with `fleuve sql`");
                    return Err(located(error.at(index.place)));
                }
                _ => return Err(located(nothing_to_print_on())),
            }
        }
        let stem = path.file_stem().map_or("script".into(), |stem| stem.to_string_lossy().into_owned());
        let mut names = std::collections::HashMap::new();
        let pipelines = pipelines.into_iter().map(|pipeline| unique_name(pipeline, &stem, &mut names)).collect();
        Ok(Script { path: path.to_owned(), pipelines })
    }
}

fn nothing_to_print_on() -> Error {
    Error::unsupported("E203", "a script of `serve` has nothing to print on")
        .with_hint("write results into a table with INSERT INTO, or run the script with `fleuve run`")
}

/// The pipelines of one script.
struct Run {
    path: PathBuf,
    names: Vec<String>,
    handles: Vec<Handle>,
    finished: usize,
    /// The end of its statements has been noted; its indexes may go on.
    is_ended: bool,
}

/// What runs beside the broker.
pub(super) struct Pipelines {
    env: Env,
    directory: PathBuf,
    runs: Vec<Run>,
    indexes: Arc<Indexes>,
}

impl Pipelines {
    /// Starts all scripts. One that cannot start is reported; the broker and the others go on.
    /// `kafka` tables at one of `addresses` are topics of the log.
    pub(super) fn start(
        scripts: Vec<Script>,
        env: &Env,
        broker: &Arc<Broker>,
        directory: &Path,
        addresses: impl IntoIterator<Item = String>,
    ) -> Self {
        let (log, groups) = (broker.log(), Arc::new(Groups(Arc::clone(broker))));
        let connectors = StandardConnectors::new(env.clone()).with_log(Arc::clone(log));
        let connectors = Arc::new(connectors.with_addresses(addresses).with_groups(groups));
        let durable = Some((Arc::clone(log), directory.to_owned()));
        let options = StartOptions { env: env.clone(), durable, connectors };
        let (mut runs, mut indexed) = (vec![], HashSet::new());
        for Script { path, mut pipelines } in scripts {
            // Several scripts may name the same index.
            pipelines.retain(|pipeline| !pipeline.accumulates() || indexed.insert(pipeline.name.clone()));
            // A run is ended when its statements have been carried out; indexes go on in the next one.
            let named = pipelines.iter().filter(|pipeline| !pipeline.accumulates());
            let names = named.map(|pipeline| pipeline.name.clone()).collect();
            let mut of_indexes = pipelines.iter().filter(|pipeline| pipeline.accumulates());
            let prepared = of_indexes.try_for_each(|pipeline| indexes::prepare(pipeline, env, log, directory));
            match prepared.and_then(|()| start_all(pipelines, &options)) {
                Ok(handles) => runs.push(Run { finished: 0, is_ended: false, path, names, handles }),
                Err(error) => failed(&path.display().to_string(), &error),
            }
        }
        Pipelines { env: env.clone(), directory: directory.to_owned(), runs, indexes: Indexes::of(env, log) }
    }

    /// Tells of pipelines that have ended since the last time.
    pub(super) fn report(&mut self) {
        for run in &mut self.runs {
            for handle in run.handles.extract_if(.., |handle| handle.ended()) {
                let counts = !handle.pipeline().accumulates();
                run.finished += usize::from(wait(handle) && counts);
            }
            let only_indexes = run.handles.iter().all(|handle| handle.pipeline().accumulates());
            let finished = only_indexes && run.finished == run.names.len();
            if finished && !std::mem::replace(&mut run.is_ended, true) {
                // The next start begins the script anew; if this note fails, it finds nothing to do.
                if let Err(error) = end(&run.names, &self.env, &self.directory) {
                    failed(&run.path.display().to_string(), &error);
                }
            }
        }
        self.runs.retain(|run| !run.handles.is_empty());
    }

    /// Stops all at an epoch's end; they go on there at the next start.
    pub(super) fn stop(self) {
        let handles = || self.runs.iter().flat_map(|run| &run.handles);
        handles().for_each(|handle| (handle.stopper())());
        for run in self.runs {
            run.handles.into_iter().for_each(|handle| _ = wait(handle));
        }
        if let Err(error) = self.indexes.store() {
            failed("indexes", &error);
        }
    }
}

/// Waits for a pipeline's end and tells of it; whether it has finished.
fn wait(handle: Handle) -> bool {
    let (name, stats) = (handle.pipeline().name.clone(), handle.stats().clone());
    match handle.wait() {
        Ok(Ended::Finished) => {
            let (rows_in, rows_out) = (stats.rows_in.load(Relaxed), stats.rows_out.load(Relaxed));
            let seconds = stats.elapsed().as_secs_f64();
            tracing::info!(pipeline = name, rows_in, rows_out, seconds, "finished");
        }
        Ok(_) => {
            tracing::info!(pipeline = name, "stopped");
            return false;
        }
        Err(error) => {
            failed(&name, &error);
            return false;
        }
    }
    true
}

fn failed(name: &str, error: &Error) {
    let hint = error.hint().unwrap_or_default();
    tracing::error!(pipeline = name, hint, "{error}; the broker goes on without it");
}
