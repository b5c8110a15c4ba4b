//! The indexes of a data directory: built by pipelines that go on where they are, dropped with all that they have stored.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use fleuve_base::{Env, Error, ErrorKind, Result};
use fleuve_connect::StandardConnectors;
use fleuve_connect::index::Indexes;
use fleuve_flow::runtime::{Handle, Outcome as Ended, PipelineStore, StartOptions, start};
use fleuve_journal::Log;
use fleuve_plan::{Operator, Pipeline, SinkSpec};
use fleuve_sql::session::{DropIndex, index_pipeline};

use crate::live::Live;
use crate::signals;

/// How often pipelines are looked at.
const POLL: Duration = Duration::from_millis(20);

/// A pipeline whose counters stand still for so long has written what it has read, even if some records were no rows.
const STILL: Duration = Duration::from_secs(1);

/// The sink of an index's pipeline.
fn sink(pipeline: &Pipeline) -> Result<&SinkSpec> {
    let sink = pipeline.nodes.iter().find_map(|node| match &node.operator {
        Operator::Sink(spec) if spec.options.connector() == fleuve_connect::index::CONNECTOR => Some(spec),
        _ => None,
    });
    sink.map(|sink| &**sink).ok_or_else(|| Error::internal("the pipeline of an index does not end in one"))
}

/// Sees to it that a pipeline and what its index has stored belong together, before it starts: a deletion of one of them that
/// was interrupted is finished, and an index over something else is an error.
pub fn prepare(pipeline: &Pipeline, env: &Env, log: &Arc<Log>, directory: &Path) -> Result<()> {
    let (spec, indexes) = (sink(pipeline)?, Indexes::of(env, log));
    let store = PipelineStore::open(env.clone(), directory, &pipeline.name)?;
    match (store.plan()?, indexes.has(&spec.table)) {
        (Some(stored), true) => {
            indexes.check(spec)?;
            if stored.pipeline.fingerprint == pipeline.fingerprint { Ok(()) } else { Err(declared_anew(spec)) }
        }
        (None, true) => indexes.remove(&spec.table).map(drop),
        (Some(stored), false) => {
            StandardConnectors::forget(log, &stored.identity())?;
            store.forget()
        }
        (None, false) => Ok(()),
    }
}

fn declared_anew(spec: &SinkSpec) -> Error {
    let table = spec.options.get("table").unwrap_or_default();
    let message = format!("index `{}` exists, over `{table}` as it was declared before", spec.table);
    Error::new(ErrorKind::Conflict, "E408", message)
        .with_detail("the table's options or columns have changed since, and with them perhaps its rows")
        .with_hint(format!("DROP INDEX {} first: it is built anew then", spec.table))
}

/// Deletes what an index and its pipeline have stored; whether there was anything.
fn delete(name: &str, env: &Env, log: &Arc<Log>, directory: &Path) -> Result<bool> {
    let store = PipelineStore::open(env.clone(), directory, &index_pipeline(name))?;
    let (plan, indexes) = (store.plan()?, Indexes::of(env, log));
    let found = indexes.remove(name)? || plan.is_some();
    if let Some(stored) = plan {
        StandardConnectors::forget(log, &stored.identity())?;
    }
    store.forget().map(|()| found)
}

/// The indexes of a script.
#[derive(Default)]
pub struct ScriptIndexes {
    waiting: Vec<Pipeline>,
    running: Vec<Building>,
}

/// An index whose pipeline runs.
struct Building {
    handle: Handle,
    /// The counters, and since when they are so.
    last: (Instant, [u64; 3]),
}

impl ScriptIndexes {
    /// Adds an index, which is built by the next [`ScriptIndexes::build`].
    pub fn add(&mut self, pipeline: Pipeline) {
        self.waiting.push(pipeline);
    }

    /// Whether there is something to build.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The pipelines that run.
    pub fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.running.iter().map(|building| &building.handle)
    }

    /// Starts what waits, and waits until each has read what was there, or the user has had enough.
    pub fn build(&mut self, options: &StartOptions) -> Result<()> {
        let Some((log, directory)) = &options.durable else { return Err(Error::internal("an index needs a log")) };
        for pipeline in std::mem::take(&mut self.waiting) {
            prepare(&pipeline, &options.env, log, directory)?;
            self.running.push(Building::new(start(pipeline, options)?));
        }
        let mut live = Live::new();
        while !signals::stop_requested() && !self.handles().any(Handle::failed) && !self.caught_up() {
            live.draw(&self.handles().collect::<Vec<_>>());
            std::thread::sleep(POLL);
        }
        live.clear();
        log.commit_now()?;
        self.end_finished(&Indexes::of(&options.env, log))
    }

    /// Whether all have written what was there to read.
    pub fn caught_up(&mut self) -> bool {
        // All are asked, for each watches its own counters.
        self.running.iter_mut().map(Building::caught_up).filter(|caught_up| !caught_up).count() == 0
    }

    /// Lets go of those that have ended; the error of one that has failed.
    fn end_finished(&mut self, indexes: &Indexes) -> Result<()> {
        let is_over = |building: &mut Building| building.handle.ended() || building.handle.failed();
        let ended: Vec<Building> = self.running.extract_if(.., is_over).collect();
        ended.into_iter().try_for_each(|building| {
            let name = sink(building.handle.pipeline())?.table.clone();
            if building.handle.wait()? == Ended::Finished {
                indexes.finished(&name);
            }
            Ok(())
        })
    }

    /// Asks all to stop.
    pub fn stop(&self) {
        self.handles().for_each(|handle| (handle.stopper())());
    }

    /// Waits for all, which have been stopped or end by themselves; tells of each.
    pub fn finish(&mut self, mut tell: impl FnMut(&Handle)) -> Result<()> {
        let mut result = Ok(());
        for building in self.running.drain(..) {
            tell(&building.handle);
            result = result.and(building.handle.wait().map(drop));
        }
        result
    }

    /// Drops an index, whoever has made it.
    pub fn drop(&mut self, index: &DropIndex, env: &Env, log: &Arc<Log>, directory: &Path) -> Result<()> {
        let pipeline = index_pipeline(&index.name);
        self.waiting.retain(|waiting| waiting.name != pipeline);
        let is_it = |building: &mut Building| building.handle.pipeline().name == pipeline;
        for building in self.running.extract_if(.., is_it).collect::<Vec<_>>() {
            (building.handle.stopper())();
            building.handle.wait()?;
        }
        if delete(&index.name, env, log, directory)? || index.declared || index.if_exists {
            return Ok(());
        }
        Err(Error::input("E026", format!("there is no index `{}`", index.name))
            .with_hint("DROP INDEX IF EXISTS says nothing where there is none")
            .at(index.place.clone()))
    }
}

impl Building {
    fn new(handle: Handle) -> Self {
        Building { handle, last: (Instant::now(), [0; 3]) }
    }

    fn caught_up(&mut self) -> bool {
        if self.handle.ended() {
            return true;
        }
        let sources = self.handle.sources();
        if sources.iter().any(|(_, source)| source.bounded() || source.lag().is_some_and(|lag| lag > 0)) {
            return false;
        }
        let stats = self.handle.stats();
        let counters = [stats.rows_in.load(Relaxed), stats.rows_out.load(Relaxed), stats.bad_records.load(Relaxed)];
        if counters != self.last.1 {
            self.last = (Instant::now(), counters);
        }
        let [rows_in, rows_out, bad] = counters;
        (self.handle.has_replayed() && rows_out + bad >= rows_in) || self.last.0.elapsed() >= STILL
    }
}
